//! The history of the ledger in what a home publishes for servers: it grows with the ledger, stays where
//! nothing changes, and is made anew where it is lost.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Finished, Home, finish};

fn history(home: &Home) -> PathBuf {
    home.home().join("server/history.jsonl")
}

/// What the checkpoints of a history say.
fn told(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let payload = |line: &str| {
        let payload = line.split('.').nth(1).unwrap();
        let payload = data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap();
        serde_json::from_slice(&payload).unwrap()
    };
    text.lines().map(payload).collect()
}

fn ledger(home: &Home) -> Vec<Value> {
    let text = std::fs::read_to_string(home.home().join("ledger.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Each checkpoint is true of the ledger, and their numbers rise.
#[track_caller]
fn holds(home: &Home) {
    let (told, ledger) = (told(&history(home)), ledger(home));
    assert!(!told.is_empty());
    let mut last = 0;
    for checkpoint in told {
        let events = checkpoint["events"].as_u64().unwrap();
        assert!(events > last, "{checkpoint}");
        last = events;
        let event = &ledger[usize::try_from(events).unwrap() - 1];
        assert_eq!(checkpoint["head"], event["sha"], "{checkpoint}");
        assert_eq!(checkpoint["home"], ledger[0]["sha"], "{checkpoint}");
    }
    // What follows is that it was published, and what changes the public half alone.
    let mut rest = ledger[usize::try_from(last).unwrap()..].iter();
    let beside = ["published", "server_added", "pins_signed"];
    assert!(rest.all(|event| beside.contains(&event["event"].as_str().unwrap())));
    home.run(&[
        "audit",
        "verify",
        "--checkpoint",
        &history(home).display().to_string(),
    ]);
}

fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status();
    assert!(done.unwrap().success());
}

fn octets_below(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let files = crate::support::files_below(directory).into_iter();
    files
        .map(|file| (file.clone(), std::fs::read(directory.join(file)).unwrap()))
        .collect()
}

fn fetch(home: &Home, more: &[&str]) -> Finished {
    let [from, root, to] = ["server", "public/ca/root.crt", "../fetched"].map(|name| home.home().join(name));
    let [from, root, to] = [from, root, to].map(|path| path.display().to_string());
    let arguments = ["fetch", &from, "--root", &root, "--out", &to];
    finish(&mut home.pki(&[&arguments[..], more].concat()), b"")
}

#[test]
fn a_history_grows_with_the_ledger_and_stays_where_nothing_changes() {
    let home = Home::staffed();
    holds(&home);
    fetch(&home, &[]).ok();
    for arguments in [
        &["revoke", "alice/phone", "--yes"][..],
        &["offboard", "bob", "--confirm", "bob"],
        &["server", "add", "api.acme.example"],
        &["issue", "alice/tablet", "--bundle-passphrase-out", "secret"],
    ] {
        let before = std::fs::read(history(&home)).unwrap();
        home.run(arguments);
        let after = std::fs::read(history(&home)).unwrap();
        assert!(after.starts_with(&before), "{arguments:?}");
        holds(&home);
        fetch(&home, &[]).ok();
        let published = octets_below(&home.home().join("server"));
        let events = ledger(&home).len();
        home.run(&["publish"]);
        home.run(&["publish", "--unlock"]);
        assert_eq!(
            octets_below(&home.home().join("server")),
            published,
            "{arguments:?}"
        );
        assert_eq!(ledger(&home).len(), events);
        let said = home.run(&["publish", "--dry-run", "--json"]).json();
        assert_eq!(said["would"], serde_json::json!([]), "{said}");
    }
    home.run(&["doctor", "--json"]);
}

#[test]
fn a_history_that_is_lost_or_changed_is_made_anew_and_says_what_servers_have_seen() {
    type Way = (&'static str, fn(&Home));
    let ways: [Way; 4] = [
        ("gone", |home| std::fs::remove_file(history(home)).unwrap()),
        ("changed", |home| {
            std::fs::write(history(home), "no history\n").unwrap()
        }),
        ("cut", |home| {
            let octets = std::fs::read(history(home)).unwrap();
            std::fs::write(history(home), &octets[..octets.len() / 2]).unwrap();
        }),
        ("with all of it", |home| {
            std::fs::remove_dir_all(home.home().join("server")).unwrap();
        }),
    ];
    for (what, lose) in ways {
        let home = Home::staffed();
        home.run(&["revoke", "alice/phone", "--yes"]);
        fetch(&home, &[]).ok();
        let before = told(&history(&home));
        lose(&home);
        home.run(&["publish"]);
        let after = told(&history(&home));
        for checkpoint in &before {
            let end = |one: &Value| (one["events"].clone(), one["head"].clone());
            assert!(
                after.iter().any(|one| end(one) == end(checkpoint)),
                "{what}: {checkpoint}"
            );
        }
        holds(&home);
        fetch(&home, &[]).ok();
    }
}

/// A home that an earlier version has published goes on without a word, and begins with the next change.
#[test]
fn a_home_that_has_no_history_begins_one_with_its_next_change() {
    let home = Home::staffed();
    let manifest = std::fs::read_to_string(home.home().join("server/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert!(
        manifest["files"].get("history.jsonl").is_none(),
        "an earlier fetch refuses it there"
    );
    assert!(manifest["optional"]["history.jsonl"]["sha256"].is_string());
}

#[test]
fn a_ledger_that_was_set_back_is_found_by_whoever_has_a_checkpoint_of_it() {
    let home = Home::staffed();
    copy(&home.home(), &home.path("backup"));
    home.run(&["revoke", "alice/phone", "--yes"]);
    let root = home.public("ca/root.crt").display().to_string();
    std::fs::copy(&root, home.path("root.crt")).unwrap();
    let root = home.path("root.crt").display().to_string();
    let kept = home.path("kept.jsonl");
    std::fs::copy(history(&home), &kept).unwrap();
    let kept = kept.display().to_string();
    let verify = |arguments: &[&str]| {
        let arguments = [&["audit", "verify", "--json"], arguments].concat();
        finish(&mut home.pki(&arguments), b"")
    };
    // Where no home is named.
    let apart = |arguments: &[&str]| {
        let arguments = [&["audit", "verify", "--json", "--root"], arguments].concat();
        finish(home.pki(&arguments).env_remove("PKI_HOME"), b"")
    };
    let good = verify(&["--checkpoint", &kept]).ok().json();
    assert_eq!(
        (&good["good"], &good["ledger"]),
        (&true.into(), &true.into()),
        "{good}"
    );
    // The old one is put back, and goes on.
    std::fs::remove_dir_all(home.home()).unwrap();
    copy(&home.path("backup"), &home.home());
    let problem = |said: Finished| said.exits(3).json()["problem"].as_str().unwrap().to_owned();
    let short = problem(verify(&["--checkpoint", &kept]));
    assert!(short.contains("events are missing"), "{short}");
    for device in ["bob/tablet", "bob/laptop", "bob/watch"] {
        home.issue(device, &[]);
    }
    let changed = problem(verify(&["--checkpoint", &kept]));
    assert!(changed.contains("is not what it was by"), "{changed}");
    holds(&home);
    // Whoever has the publications alone finds it, too.
    let now = history(&home).display().to_string();
    let gap = problem(apart(&[&root, "--checkpoint", &kept, "--checkpoint", &now]));
    assert!(gap.contains("does not go on"), "{gap}");
    for file in [&kept, &now] {
        apart(&[&root, "--checkpoint", file, "--checkpoint", file]).ok();
    }
    // One line is a history, too.
    let text = std::fs::read_to_string(&now).unwrap();
    let one = home.path("one.jws").display().to_string();
    std::fs::write(&one, text.lines().last().unwrap()).unwrap();
    let said = apart(&[&root, "--checkpoint", &one]).ok().json();
    assert_eq!(
        (&said["checkpoints"], &said["ledger"]),
        (&1.into(), &false.into()),
        "{said}"
    );
    let foreign = home.public("ca/issuing.crt").display().to_string();
    apart(&[&foreign, "--checkpoint", &one]).exits(3);
    apart(&[&one, "--checkpoint", &one]).exits(1);
    apart(&[&root]).exits(2);
    let three = ["--checkpoint", &*one].repeat(3);
    apart(&[&[&*root], &*three].concat()).exits(2);
}

/// A home from an older backup goes on: servers refuse what was lost without a word.
#[test]
fn a_server_that_has_seen_more_takes_an_older_ledger_only_where_that_is_confirmed() {
    let home = Home::staffed();
    copy(&home.home(), &home.path("backup"));
    // That a secret was handed out is on no list.
    home.run(&["server", "add", "api.acme.example"]);
    home.issue("alice/tablet", &[]);
    fetch(&home, &[]).ok();
    std::fs::remove_dir_all(home.home()).unwrap();
    copy(&home.path("backup"), &home.home());
    for device in ["alice/watch", "bob/laptop", "bob/watch"] {
        home.issue(device, &[]);
    }
    let refused = fetch(&home, &[]).exits(1);
    assert!(refused.stderr.contains("was set back"), "{refused}");
    assert!(refused.stderr.contains("--confirm HISTORY"), "{refused}");
    let confirmed = fetch(&home, &["--confirm", "HISTORY"]);
    assert!(matches!(confirmed.code, Some(0 | 3)), "{confirmed}");
    home.issue("bob/tablet", &[]);
    let next = fetch(&home, &[]);
    assert!(matches!(next.code, Some(0 | 3)), "{next}");
}

/// A home from an older backup takes in what a server has, and cites it: that server and every other goes on.
#[test]
fn a_home_that_has_taken_in_what_was_lost_cites_it() {
    let home = Home::staffed();
    copy(&home.home(), &home.path("backup"));
    let out = |name: &str| home.path(name).display().to_string();
    let fetch = |name: &str| {
        let from = home.home().join("server").display().to_string();
        let root = home.public("ca/root.crt").display().to_string();
        let said = finish(
            &mut home.pki(&["fetch", &from, "--root", &root, "--out", &out(name)]),
            b"",
        );
        // Near its end is not asked here.
        assert!(matches!(said.code, Some(0 | 3)), "{name}: {said}");
    };
    home.issue("alice/tablet", &[]);
    fetch("early");
    home.issue("bob/tablet", &[]);
    fetch("late");
    std::fs::remove_dir_all(home.home()).unwrap();
    copy(&home.path("backup"), &home.home());
    // What is published before it is taken in has been seen by somebody, too.
    home.issue("alice/watch", &[]);
    fetch("new");
    home.run(&["publish", "--reconcile", &out("late")]);
    let cited = || {
        let told = told(&history(&home));
        told.iter().filter(|one| one["cites"].is_object()).count()
    };
    for _ in 0..2 {
        for name in ["early", "late", "new"] {
            fetch(name);
        }
        assert_eq!(cited(), 1);
        home.run(&[
            "audit",
            "verify",
            "--checkpoint",
            &history(&home).display().to_string(),
        ]);
        // It goes on from there as ever.
        home.run(&["revoke", "alice/phone", "--yes"]);
    }
}
