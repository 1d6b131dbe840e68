//! What was begun outside of the home is known until it is done: after a failure and after a kill `doctor`
//! names it, and `publish` finishes it.

use std::path::PathBuf;

use crate::ground::{DURABLE, WRITES, refused_at_every_step, under_strace};
use crate::state::kind;
use crate::support::{
    Finished, HOST, Home, ISSUING_PASSPHRASE, PKI, copy_of, files_below, finish, need, reseal,
};

/// A home that publishes its public half to `web/NAME` beside it and then has a shell run this, for each of
/// these.
fn publishing(home: Home, tables: &[(&str, &str)]) -> Home {
    for (name, script) in tables {
        std::fs::create_dir_all(home.path("web")).unwrap();
        let place = home.path("web").join(name).display().to_string();
        home.configure_table(&format!(
            "[[publish]]\npublic = \"{place}\"\ncommand = [\"sh\", \"-c\", '''{script}''']\n"
        ));
    }
    home
}

fn run(home: &Home, arguments: &[&str]) -> Finished {
    finish(&mut home.pki(arguments), b"")
}

fn ran(home: &Home) -> usize {
    let lines = std::fs::read_to_string(home.path("ran")).unwrap_or_default();
    lines.lines().count()
}

/// The messages of what `doctor` finds with this code.
fn found(home: &Home, code: &str) -> Vec<String> {
    let said = run(home, &["doctor", "--json"]).json();
    let findings = said["findings"].as_array().unwrap().iter();
    let of = findings.filter(|finding| finding["code"] == code);
    of.map(|finding| finding["message"].as_str().unwrap().to_owned())
        .collect()
}

fn list(home: &Home) -> PathBuf {
    home.home().join("owed.json")
}

#[test]
fn a_command_that_fails_is_run_again_until_it_succeeds_and_then_no_more() {
    let script = "test -e mended && echo >> ran";
    let home = publishing(Home::staffed(), &[("public", script)]);
    let failed = run(&home, &["revoke", "alice", "--yes"]).exits(5);
    assert!(failed.stderr.contains("sh: exit status: 1"), "{failed}");
    for arguments in [
        &["publish"][..],
        &["publish", "--no-input", "-q"],
        &["revoke", "alice", "--yes"],
        &["issue", "carol", "--bundle-passphrase-out", "carol"],
    ] {
        run(&home, arguments).exits(5);
        let place = home.path("web/public").display().to_string();
        let [said] = found(&home, "command-owed").try_into().unwrap();
        assert!(said.starts_with(&place), "{said}");
    }
    let dry = run(&home, &["publish", "--dry-run"]).ok();
    assert!(dry.stderr.contains("would run sh -c 'test -e mended"), "{dry}");
    std::fs::write(home.path("mended"), "").unwrap();
    let said = run(&home, &["publish"]).ok();
    assert!(
        said.stderr.contains("has not succeeded since: it is run now"),
        "{said}"
    );
    assert_eq!(ran(&home), 1);
    assert!(!list(&home).exists());
    let said = run(&home, &["publish"]).ok();
    assert!(!said.stderr.contains("still"), "{said}");
    assert_eq!((ran(&home), found(&home, "command-owed")), (1, vec![]));
}

#[test]
fn who_revokes_is_told_to_reload_servers_only_where_no_command_has_done_it() {
    let said = |home: &Home, arguments: &[&str], exit| {
        let said = run(home, arguments).exits(exit).stderr;
        let hint = said
            .lines()
            .find(|line| line.contains("act on it when they have read it"));
        hint.map(|line| line.trim().to_owned())
    };
    let revoke = ["revoke", "alice", "--yes"];
    let offboard = ["offboard", "bob", "--confirm", "bob"];
    let by_hand =
        "→ servers act on it when they have read it: some by themselves, most at a reload, all at a restart";
    for (tables, exit, told) in [
        (&[][..], 0, Some(by_hand.to_owned())),
        (&[("one", "true"), ("two", "true")], 0, None),
        (&[("one", "exit 7")], 5, Some(by_hand.to_owned())),
        (
            &[("one", "true"), ("two", "exit 7")],
            5,
            Some(by_hand.replace("servers", "servers that read PLACE/two")),
        ),
    ] {
        let home = publishing(Home::staffed(), tables);
        let web = home.path("web").display().to_string();
        let told = told.map(|told| told.replace("PLACE", &web));
        assert_eq!(said(&home, &revoke, exit), told, "{tables:?}");
        assert_eq!(said(&home, &offboard, exit), told, "{tables:?}");
    }
    // A table without a command.
    let home = publishing(Home::staffed(), &[("one", "true")]);
    let other = home.path("web/two").display().to_string();
    home.configure_table(&format!("[[publish]]\npublic = \"{other}\"\n"));
    let told = by_hand.replace("servers", &format!("servers that read {other}"));
    assert_eq!(said(&home, &revoke, 0), Some(told));
}

/// The command tells its reader the manifest that is there: after any kill and one more `publish` the last
/// one was told.
#[test]
fn a_command_is_run_after_a_kill_at_any_write() {
    a_command_is_run_after_a_kill(&DURABLE[..WRITES]);
}

#[test]
fn a_command_is_run_after_a_kill_at_any_other_step() {
    a_command_is_run_after_a_kill(&DURABLE[WRITES..]);
}

fn a_command_is_run_after_a_kill(calls: &[&str]) {
    if !need(&["strace", "openssl"]) {
        return;
    }
    let before = Home::new();
    before.run(&["issue", "alice", "--bundle-passphrase-out", "first", "-q"]);
    let (mut steps, mut owed) = (0, 0);
    for call in calls {
        for n in 1.. {
            let home = publishing(copy_of(&before), &[("public", "cp web/public/manifest.jws told")]);
            let command = home.pki(&["revoke", "alice", "--yes"]);
            let ended = under_strace(&command, call, &format!("{call}:signal=SIGKILL:when={n}"));
            if ended.code.is_some() {
                ended.ok();
                break;
            }
            let step = format!("killed at {call} {n}");
            let told = || std::fs::read(home.path("told")).ok();
            let published = || std::fs::read(home.path("web/public/manifest.jws")).ok();
            steps += 1;
            if published().is_some() && told() != published() {
                assert_eq!(found(&home, "command-owed").len(), 1, "{step}");
                owed += 1;
            }
            run(&home, &["publish"]).ok();
            assert!(published().is_some() && told() == published(), "{step}");
            assert_eq!(found(&home, "command-owed"), [""; 0], "{step}");
        }
    }
    assert!(
        steps > 20 && owed > 0,
        "{steps} steps, {owed} of them owe a command"
    );
}

#[test]
fn a_target_that_is_named_has_its_own_command_run_and_no_other() {
    let tables = [
        ("one", "test -e mended && echo one >> ran"),
        ("two", "test -e mended && echo two >> ran"),
    ];
    let home = publishing(Home::staffed(), &tables);
    run(&home, &["publish"]).exits(5);
    assert_eq!(found(&home, "command-owed").len(), 2);
    std::fs::write(home.path("mended"), "").unwrap();
    let two = home.path("web/two").display().to_string();
    run(&home, &["publish", &two]).ok();
    assert_eq!(std::fs::read_to_string(home.path("ran")).unwrap(), "two\n");
    let [said] = found(&home, "command-owed").try_into().unwrap();
    assert!(said.contains("web/one"), "{said}");
    run(&home, &["publish"]).ok();
    assert_eq!(std::fs::read_to_string(home.path("ran")).unwrap(), "two\none\n");
}

#[test]
fn a_command_that_a_place_is_given_later_is_owed_what_was_published_before() {
    let configured = |home: &Home| std::fs::read_to_string(home.home().join("pki.toml")).unwrap();
    let with = |before: &str, more: &str| {
        let home = Home::staffed();
        let place = home.path("web").display().to_string();
        home.configure_table(&format!("[[publish]]\npublic = \"{place}\"\n{before}\n"));
        run(&home, &["publish"]).ok();
        run(&home, &["revoke", "alice", "--yes"]).ok();
        assert_eq!(found(&home, "command-owed"), [""; 0], "{before}");
        let text = configured(&home).replace(&format!("\n{before}\n"), &format!("\n{more}\n"));
        std::fs::write(home.home().join("pki.toml"), text).unwrap();
        run(&home, &["publish"]).ok();
        let first = ran(&home);
        run(&home, &["publish"]).ok();
        assert_eq!(ran(&home), first, "once: {before}");
        first
    };
    let command = "command = [\"sh\", \"-c\", \"echo >> ran\"]";
    // Nobody has told servers of the revocation yet.
    assert_eq!(with("# by hand", command), 1);
    // Something else has.
    assert_eq!(with("reload = \"elsewhere\"", command), 0);
    assert_eq!(with("command = [\"true\"]", command), 0);
}

#[test]
fn what_pki_toml_says_now_is_run_and_what_it_names_no_more_is_forgotten() {
    let configured = |home: &Home| std::fs::read_to_string(home.home().join("pki.toml")).unwrap();
    let home = publishing(Home::staffed(), &[("public", "exit 7")]);
    run(&home, &["publish"]).exits(5);
    let mended = configured(&home).replace("exit 7", "echo >> ran");
    std::fs::write(home.home().join("pki.toml"), &mended).unwrap();
    run(&home, &["publish"]).ok();
    assert_eq!(ran(&home), 1);
    // Another command than the one that has succeeded is not owed.
    std::fs::write(home.home().join("pki.toml"), mended.replace("echo", "printf x")).unwrap();
    run(&home, &["publish"]).ok();
    assert_eq!(ran(&home), 1);
    let home = publishing(Home::staffed(), &[("public", "exit 7")]);
    run(&home, &["publish"]).exits(5);
    let [before, _] = [0, 1].map(|part| {
        configured(&home)
            .split("\n[[publish]]\n")
            .nth(part)
            .unwrap()
            .to_owned()
    });
    let none = format!("publish = []\n{before}");
    std::fs::write(home.home().join("pki.toml"), none).unwrap();
    assert_eq!(found(&home, "command-owed"), [""; 0]);
    run(&home, &["publish"]).ok();
}

/// The command's first run has another `pki` write to the same place, whose own run of it fails.
#[test]
fn a_command_that_ends_settles_nothing_that_was_written_while_it_ran() {
    let script =
        format!("if [ -e inner ]; then exit 7; fi; touch inner; '{PKI}' revoke alice --yes -q; test $? = 5");
    let home = publishing(Home::staffed(), &[("public", &script)]);
    run(&home, &["publish"]).ok();
    assert_eq!(found(&home, "command-owed").len(), 1);
    run(&home, &["publish"]).exits(5);
}

#[test]
fn a_place_that_could_not_be_written_has_its_command_run_once_it_is() {
    let home = publishing(Home::staffed(), &[("public", "echo >> ran")]);
    std::fs::create_dir_all(home.path("web/public/crl/bundle.pem")).unwrap();
    let said = run(&home, &["publish"]).exits(5);
    assert!(
        said.stderr.contains("written in this home alone: public"),
        "{said}"
    );
    assert!(!said.stderr.contains("published public"), "{said}");
    assert_eq!(ran(&home), 0);
    std::fs::remove_dir(home.path("web/public/crl/bundle.pem")).unwrap();
    run(&home, &["publish"]).ok();
    assert_eq!(ran(&home), 1);
}

#[test]
fn a_list_that_cannot_be_read_owes_every_command_and_keeps_nobody_from_publishing() {
    for damage in ["", "{", "[]", "{\"version\":1,\"places\":7}"] {
        let home = publishing(Home::staffed(), &[("public", "echo >> ran")]);
        run(&home, &["publish"]).ok();
        std::fs::write(list(&home), damage).unwrap();
        run(&home, &["publish"]).ok();
        assert_eq!(ran(&home), 2, "{damage}");
        assert!(!list(&home).exists(), "{damage}");
    }
}

#[test]
fn files_of_a_server_that_were_not_written_are_named_until_they_are() {
    if !need(&["strace", "openssl"]) {
        return;
    }
    let issue = ["server", "issue", HOST, "--out", "tls", "-q", "--json"];
    let before = Home::with_certified_server();
    let servers = before.home().join("servers");
    for file in files_below(&servers).iter().filter(|file| file.ends_with(".key")) {
        reseal(&before, &servers.join(file), ISSUING_PASSPHRASE);
    }
    let mut undelivered = 0;
    refused_at_every_step(
        &before,
        &["renameat", "fsync"],
        "EROFS",
        &issue,
        |home, ended, step| {
            if ended.code == Some(5) && kind(&ended) == "undelivered" {
                undelivered += 1;
                let [said] = found(home, "server-files").try_into().unwrap();
                assert!(said.contains(HOST), "{step}: {said}");
                run(home, &issue).ok();
            }
            if ended.code != Some(5) || kind(&ended) == "undelivered" {
                assert_eq!(found(home, "server-files"), [""; 0], "{step}");
            }
        },
    );
    assert!(undelivered > 0);
}

/// Whatever is wrong with the home's own copy, or with the note of what is owed: a full disk there keeps no
/// lost phone in.
#[test]
fn a_revocation_reaches_servers_where_the_homes_own_copy_cannot_be_written() {
    for broken in [
        "server/devices.json",
        "server/revoked.map",
        "server/manifest.jws",
        "server",
        "public/crl/issuing.crl",
        "public/crl",
        "public/manifest.json",
        "public",
        "owed.json",
    ] {
        let home = publishing(Home::staffed(), &[("public", "echo >> ran")]);
        let place = home.path("web/server").display().to_string();
        home.configure_table(&format!(
            "[[publish]]\nserver = \"{place}\"\ncommand = [\"sh\", \"-c\", 'echo >> ran']\n"
        ));
        home.run(&["publish"]);
        let alice = home.serial_of("alice/phone").to_uppercase();
        let was = ran(&home);
        let own = home.home().join(broken);
        let aside = home.path("aside");
        if own.exists() {
            std::fs::rename(&own, &aside).unwrap();
        }
        // A directory where a file belongs, and a file where a directory does: no permission keeps root out.
        if aside.is_dir() {
            std::fs::write(&own, "").unwrap();
        } else {
            std::fs::create_dir_all(own.join("in the way")).unwrap();
        }
        let said = run(&home, &["revoke", "alice", "--yes"]).exits(5);
        assert!(
            said.stderr.contains(broken) && said.stderr.contains('→'),
            "{broken}: {said}"
        );
        let [web_public, web_server] = ["web/public", "web/server"].map(|place| home.path(place));
        let map = std::fs::read_to_string(web_server.join("revoked.map")).unwrap();
        assert!(map.to_uppercase().contains(&alice), "{broken}: {said}");
        let crl = web_public.join("crl/issuing.crl").display().to_string();
        let listed = home.foreign(
            "openssl",
            &["crl", "-in", &crl, "-inform", "DER", "-noout", "-text"],
        );
        assert!(listed.ok().stdout.contains(&alice), "{broken}: {said}");
        assert!(ran(&home) >= was + 2, "{broken}: {said}");

        // Once it is mended all of it is as it should be.
        if own.is_dir() {
            std::fs::remove_dir_all(&own).unwrap();
        } else {
            std::fs::remove_file(&own).unwrap();
        }
        home.run(&["publish"]);
        for (half, web) in [("server", &web_server), ("public", &web_public)] {
            for file in files_below(web) {
                let [own, there] =
                    [home.home().join(half), web.clone()].map(|place| std::fs::read(place.join(&file)));
                assert_eq!(own.unwrap(), there.unwrap(), "{broken}: {half}/{file}");
            }
        }
        let said = run(&home, &["publish"]).ok();
        assert!(said.stderr.contains("nothing has changed"), "{broken}: {said}");
    }
}
