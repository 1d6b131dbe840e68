//! What doctor finds in a home that works and is not as it should be.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Finished, Home, finish, is_root, need};

fn findings(said: &Finished) -> Vec<Value> {
    let found = said.json();
    found["findings"].as_array().unwrap().clone()
}

/// The only finding with this code.
#[track_caller]
fn the(code: &str, said: &Finished) -> Value {
    let mut found = findings(said);
    found.retain(|finding| finding["code"] == code);
    assert_eq!(found.len(), 1, "{code}: {said}");
    found.remove(0)
}

#[test]
fn a_key_that_is_not_encrypted_is_an_error() {
    if !need(&["openssl"]) {
        return;
    }
    for (key, code) in [
        ("issuing/issuing.key", "issuing-key"),
        ("root/root.key", "root-key"),
    ] {
        let home = Home::new();
        let place = home.home().join(key);
        let plain = home
            .foreign(
                "openssl",
                &[
                    "genpkey",
                    "-algorithm",
                    "EC",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                ],
            )
            .ok();
        std::fs::write(&place, plain.stdout).unwrap();
        let said = finish(&mut home.pki(&["doctor", "--json"]), b"").exits(3);
        let finding = the(code, &said);
        assert_eq!(finding["severity"], "error");
        let message = format!(
            "{} is no encrypted private key (PEM, \"ENCRYPTED PRIVATE KEY\")",
            place.display()
        );
        assert_eq!(finding["message"], message);
    }
}

#[test]
fn a_key_that_does_not_open_with_the_passphrase_of_the_others_is_found() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    home.run(&["server", "add", "api.acme.example"]);
    home.run(&["server", "issue", "api.acme.example"]);
    // Whoever does not ask for it is told so.
    let said = home.run(&["doctor"]);
    assert!(said.stderr.contains("the keys were not tried"), "{said}");
    let said = home.run(&["doctor", "--unlock"]);
    assert!(!said.stderr.contains("not tried"), "{said}");
    let unlock = ["doctor", "--unlock", "--json"];
    let is_of_keys = |finding: &Value| finding["code"].as_str().unwrap().starts_with("key-");
    let said = home.run(&unlock);
    assert!(!findings(&said).iter().any(is_of_keys), "{said}");

    // One with a passphrase of its own, and one that is another's.
    let directory = home.home().join("servers/api.acme.example");
    let mut keys: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "key"))
        .collect();
    keys.sort();
    home.write_private("other", "another: passphrase-of-its-own-9");
    let key = keys[0].to_str().unwrap();
    let change = [
        "pkcs8",
        "-topk8",
        "-scrypt",
        "-passin",
        "file:issuing-passphrase",
        "-passout",
        "file:other",
    ];
    let changed = home
        .foreign(
            "openssl",
            &[&change[..], &["-in", key, "-out", "changed"]].concat(),
        )
        .ok();
    drop(changed);
    std::fs::copy(home.path("changed"), &keys[0]).unwrap();
    std::fs::copy(&keys[1], home.home().join("servers/servers.key")).unwrap();
    let said = finish(&mut home.pki(&["doctor", "--json"]), b"");
    assert!(!findings(&said).iter().any(is_of_keys), "{said}");
    let said = finish(&mut home.pki(&unlock), b"").exits(3);
    let message = the("key-unopened", &said)["message"].as_str().unwrap().to_owned();
    assert!(message.contains(key), "{message}");
    let message = the("key-of-another", &said)["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains("servers/servers.key"), "{message}");
}

#[test]
fn a_file_among_the_published_ones_is_noted() {
    let home = Home::new();
    let target = home.path("web");
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{}\"\nreload = \"elsewhere\"\n",
        target.display()
    ));
    home.run(&["publish", "-q"]);
    assert!(
        findings(&home.run(&["doctor", "--json"]))
            .iter()
            .all(|finding| finding["code"] != "stray")
    );

    std::fs::create_dir(target.join("old")).unwrap();
    let strays = [
        home.server("allowed.map.bak"),
        target.join("crl/old.crl"),
        target.join(".mine.0123456789ab.tmp"),
        target.join("old"),
    ];
    // A write that was cut off left it, and the next one takes it away.
    std::fs::write(target.join("crl/.root.crl.0123456789ab.tmp"), "").unwrap();
    for stray in &strays[..3] {
        std::fs::write(stray, "").unwrap();
    }
    let said = home.run(&["doctor", "--json"]);
    let mut found = findings(&said);
    found.retain(|finding| finding["code"] == "stray");
    assert_eq!(found.len(), strays.len(), "{said}");
    for stray in &strays {
        let message = format!("{stray:?} is in a publication's directory and no part of it");
        assert!(
            found
                .iter()
                .any(|f| f["message"] == message && f["severity"] == "note"),
            "{message}: {said}"
        );
    }
}

#[test]
fn a_place_that_nobody_has_servers_read_is_a_warning() {
    let home = Home::new();
    let web = home.path("web");
    // No place at all: whoever reads the home's own copy is told, and no more.
    let said = home.run(&["doctor", "--json"]);
    assert_eq!(the("nobody-reloads", &said)["severity"], "note");
    let table = |name: &str, more: &str| {
        home.configure_table(&format!(
            "[[publish]]\npublic = \"{}\"\n{more}\n",
            web.join(name).display()
        ));
    };
    table("one", "command = [\"true\"]");
    table("two", "reload = \"elsewhere\"");
    home.run(&["publish", "-q"]);
    let said = home.run(&["doctor", "--json"]);
    assert!(
        findings(&said).iter().all(|f| f["code"] != "nobody-reloads"),
        "{said}"
    );
    table("three", "");
    home.run(&["publish", "-q"]);
    let said = finish(&mut home.pki(&["doctor", "--json"]), b"").exits(3);
    let finding = the("nobody-reloads", &said);
    assert_eq!(finding["severity"], "warning");
    let place = web.join("three").display().to_string();
    assert!(finding["message"].as_str().unwrap().contains(&place), "{said}");
    home.run(&["issue", "alice", "--bundle-passphrase-out", "alice", "-q"]);
    let said = home.run(&["revoke", "alice", "--yes"]);
    assert!(
        said.stderr
            .contains(&format!("servers that read {place} act on it")),
        "{said}"
    );
}

#[test]
fn a_private_key_among_the_published_files_is_an_error() {
    let home = Home::staffed();
    let target = home.path("web");
    home.configure_table(&format!("[[publish]]\npublic = \"{}\"\n", target.display()));
    home.run(&["publish", "-q"]);
    std::fs::create_dir(target.join("old")).unwrap();
    std::fs::copy(
        home.home().join("issuing/issuing.key"),
        target.join("ca/note.txt"),
    )
    .unwrap();
    std::fs::copy(home.alice().p12, target.join("old/alice")).unwrap();
    std::fs::write(target.join("bob.P12"), "").unwrap();
    let said = finish(&mut home.pki(&["doctor", "--json"]), b"").exits(3);
    let mut found = findings(&said);
    found.retain(|finding| finding["code"] == "key-published");
    assert_eq!(found.len(), 3, "{said}");
    for name in ["ca/note.txt", "old/alice", "bob.P12"] {
        let message = format!("{:?} holds a private key", target.join(name));
        let named = |finding: &Value| finding["message"].as_str().unwrap().starts_with(&message);
        let finding = found.iter().find(|finding| named(finding)).unwrap();
        assert_eq!(finding["severity"], "error");
    }
}

#[test]
fn a_strays_name_is_no_text_for_the_terminal_and_a_link_is_told_as_one() {
    let home = Home::new();
    let target = home.path("web");
    home.configure_table(&format!("[[publish]]\npublic = \"{}\"\n", target.display()));
    home.run(&["publish", "-q"]);
    std::fs::write(target.join("x\u{1b}[2J\nerror: no [index]\u{202e}"), "").unwrap();
    std::os::unix::fs::symlink(home.home(), target.join("here")).unwrap();
    std::fs::rename(target.join("crl"), target.join("was")).unwrap();
    std::os::unix::fs::symlink("was", target.join("crl")).unwrap();
    let said = finish(&mut home.pki(&["doctor"]), b"").exits(3);
    let told = said.stdout.clone() + &said.stderr;
    assert!(
        told.contains("x\\u{1b}[2J\\nerror: no [index]\\u{202e}"),
        "{said}"
    );
    assert!(!told.contains('\u{1b}') && !told.contains('\u{202e}'), "{said}");
    let why = format!(
        "{} could not be opened: it is a link",
        target.join("crl").display()
    );
    assert!(told.contains(&why), "{said}");
    for link in ["here", "crl"] {
        let link = format!("{:?} is a link", target.join(link));
        assert!(told.contains(&link), "{link}: {said}");
    }
}

#[test]
fn a_publication_inside_the_private_home_is_refused() {
    let home = Home::new();
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{}\"\n",
        home.home().join("web").display()
    ));
    let refused = finish(&mut home.pki(&["publish"]), b"").exits(1);
    assert!(
        refused
            .stderr
            .contains("a directory must not lie in the home, which is private"),
        "{refused}"
    );
}

#[test]
fn a_home_that_may_not_be_entered_is_not_said_to_be_missing() {
    if !need(&["setpriv"]) {
        return;
    }
    let home = Home::new();
    let mode = |path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(home.path("."), 0o755);
    mode(home.home(), if is_root() { 0o700 } else { 0o000 });
    for verb in ["list", "doctor", "publish"] {
        let said = finish(&mut home.pki_as_nobody(&[verb]), b"");
        assert!(said.text().contains("Permission denied"), "{said}");
        assert!(!said.text().contains("there is no PKI"), "{said}");
    }
    mode(home.home(), 0o700);
}

#[test]
fn a_place_whose_directory_is_missing_is_not_said_to_be_mended_by_publishing() {
    let home = Home::new();
    let target = home.path("no/such/pki/public");
    home.configure_table(&format!("[[publish]]\npublic = \"{}\"\n", target.display()));
    let said = finish(&mut home.pki(&["doctor", "--json"]), b"").exits(3);
    let remedy = the("publication-behind", &said)["remedy"].clone();
    let remedy = remedy.as_str().unwrap();
    assert!(remedy.starts_with("make that directory"), "{said}");
    let said = finish(&mut home.pki(&["publish"]), b"").exits(5);
    assert!(said.stderr.contains("→ make that directory"), "{said}");
    // What it says mends it.
    std::fs::create_dir_all(home.path("no/such")).unwrap();
    home.run(&["publish", "-q"]);
    let said = finish(&mut home.pki(&["doctor", "--json"]), b"");
    let codes = findings(&said);
    assert!(
        codes
            .iter()
            .all(|finding| finding["code"] != "publication-behind"),
        "{said}"
    );
}

#[test]
fn a_group_that_this_account_is_no_member_of_is_named_before_and_at_the_publication() {
    if !is_root() || !need(&["setpriv", "chown", "chmod"]) {
        return;
    }
    let home = Home::new();
    let [public, server] = ["web/public", "web/server"].map(|place| home.path(place).display().to_string());
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{public}\"\nserver = \"{server}\"\ngroup = \"0\"\nreload = \"elsewhere\"\n"
    ));
    std::fs::create_dir_all(&server).unwrap();
    home.foreign("chown", &["-R", "65534:65534", "."]).ok();
    let as_nobody = |arguments: &[&str]| finish(&mut home.pki_as_nobody(arguments), b"");
    let found = the("target-unwritable", &as_nobody(&["doctor", "--json"]).exits(3));
    assert!(found["message"].as_str().unwrap().starts_with(&server), "{found}");
    assert!(
        found["remedy"]
            .as_str()
            .unwrap()
            .contains("usermod -aG GROUP ACCOUNT"),
        "{found}"
    );
    let said = as_nobody(&["publish", "--confirm", "HOME"]).exits(5);
    assert!(said.stderr.contains("usermod -aG GROUP ACCOUNT"), "{said}");
    // A directory that hands its group on needs no member.
    home.foreign("chown", &["-R", "65534:0", "web/server"]).ok();
    home.foreign("chmod", &["2750", "web/server"]).ok();
    let said = as_nobody(&["doctor", "--json"]);
    assert!(!said.stdout.contains("target-unwritable"), "{said}");
}

#[test]
fn a_file_of_the_home_that_is_another_accounts_is_to_be_given_back_and_not_restored() {
    if !is_root() {
        eprintln!("skipped: only root can give a file to another account");
        return;
    }
    let home = Home::new();
    home.foreign("chown", &["-R", "65534:65534", "."]).ok();
    let place = home.home();
    std::fs::create_dir_all(place.join("templates/config")).unwrap();
    std::fs::write(place.join("templates/config/nginx.conf"), "x").unwrap();
    // And what is none of a home's files may be anybody's.
    std::fs::create_dir(place.join("lost+found")).unwrap();
    let codes = |said: &Finished| -> Vec<String> {
        let found = findings(said);
        found
            .iter()
            .map(|finding| finding["code"].as_str().unwrap().to_owned())
            .collect()
    };
    let doctor = || finish(&mut home.pki_as_nobody(&["doctor", "--json"]), b"");
    // What an operator writes and everybody reads may be root's.
    let said = doctor();
    assert!(!codes(&said).contains(&"other-owner".to_owned()), "{said}");
    std::fs::create_dir_all(place.join("templates/profiles")).unwrap();
    for directory in ["index", "handout"] {
        std::fs::create_dir_all(place.join(directory)).unwrap();
    }
    for file in ["templates/profiles/device.toml", "index/head", "waiting"] {
        std::fs::write(place.join(file), "").unwrap();
    }
    home.foreign("chown", &["-R", "65534:65534", "home"]).ok();
    for file in [
        "pki.toml",
        "issuing/issuing.key",
        "root/root.crl",
        "index",
        "handout",
        "waiting",
        "templates/profiles/device.toml",
    ] {
        let path = place.join(file);
        home.foreign("chown", &["-R", "0:0", path.to_str().unwrap()]).ok();
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let said = doctor();
        let finding = the("other-owner", &said);
        assert!(
            finding["message"]
                .as_str()
                .unwrap()
                .starts_with(path.to_str().unwrap()),
            "{said}"
        );
        let remedy = finding["remedy"].as_str().unwrap();
        assert!(
            remedy.starts_with("sudo chown -R ") && remedy.ends_with(place.to_str().unwrap()),
            "{said}"
        );
        assert!(!said.stdout.contains("restore"), "{said}");
        home.foreign("chown", &["-R", "65534:65534", "home"]).ok();
    }
}

#[test]
fn a_place_that_cannot_be_written_is_found_before_it_must_be() {
    if !need(&["setpriv", "chown"]) {
        return;
    }
    let home = Home::new();
    let target = home.path("web/public");
    home.configure_table(&format!("[[publish]]\npublic = \"{}\"\n", target.display()));
    home.run(&["publish", "-q"]);
    if is_root() {
        // Root may write anywhere: the home is given to another account, and the target stays root's.
        home.foreign("chown", &["-R", "65534:65534", "."]).ok();
        home.foreign("chown", &["-R", "0:0", "web"]).ok();
    } else {
        std::fs::set_permissions(&target, Permissions::from_mode(0o555)).unwrap();
    }
    let said = finish(&mut home.pki_as_nobody(&["doctor", "--json"]), b"").exits(3);
    std::fs::set_permissions(&target, Permissions::from_mode(0o755)).unwrap();
    let finding = the("target-unwritable", &said);
    let message = finding["message"].as_str().unwrap();
    assert!(
        message.starts_with(&format!("{} cannot be published to: ", target.display())),
        "{said}"
    );
    assert!(message.contains("Permission denied"), "{said}");
    assert!(finding["remedy"].as_str().unwrap().contains("chown -R"), "{said}");

    // Of one that is missing nothing can be given away.
    std::fs::remove_dir_all(&target).unwrap();
    std::fs::set_permissions(home.path("web"), Permissions::from_mode(0o555)).unwrap();
    let said = finish(&mut home.pki_as_nobody(&["doctor", "--json"]), b"").exits(3);
    std::fs::set_permissions(home.path("web"), Permissions::from_mode(0o755)).unwrap();
    let remedy = the("target-unwritable", &said)["remedy"].clone();
    let remedy = remedy.as_str().unwrap();
    assert!(
        remedy.contains("sudo install -d -o ") && remedy.ends_with(target.to_str().unwrap()),
        "{said}"
    );
}

#[test]
fn where_the_clock_is_in_doubt_no_remedy_is_a_command_that_is_refused_for_it() {
    if !need(&["faketime"]) {
        return;
    }
    let home = Home::new();
    let at = |arguments: &[&str]| finish(&mut home.pki_at("+60d", arguments), b"");
    let said = at(&["doctor", "--json"]).json();
    let found = said["findings"].as_array().unwrap();
    assert_eq!(found[0]["code"], "clock-ahead", "{said}");
    let remedies: Vec<&str> = found.iter().map(|f| f["remedy"].as_str().unwrap()).collect();
    assert!(
        remedies.iter().all(|remedy| !remedy.contains("pki ")
            || remedy.contains("--confirm CLOCK")
            || remedy.starts_with("first decide")),
        "{remedies:?}"
    );
    at(&["publish"]).exits(4);
    // And what it advises does it; the CRL that has ended is told without the advice to do what is being
    // done.
    let said = at(&["publish", "--confirm", "CLOCK"]).ok();
    assert!(said.stderr.contains("the CRL ended"), "{said}");
    assert!(!said.stderr.contains("run `pki publish` now"), "{said}");
}

#[test]
fn a_wrong_clock_is_warned_of_once() {
    if !need(&["faketime"]) {
        return;
    }
    let home = Home::new();
    home.run(&["issue", "alice", "--bundle-passphrase-out", "secret", "-q"]);
    let said = finish(&mut home.pki_at("+60d", &["revoke", "alice", "--yes"]), b"").exits(5);
    assert_eq!(said.stderr.matches("the clock says").count(), 1, "{said}");
    assert_eq!(said.stderr.matches("--confirm CLOCK").count(), 1, "{said}");
    assert!(
        said.stderr.contains("by that clock servers let nobody in"),
        "{said}"
    );
}

#[test]
fn one_is_counted_as_one_and_two_as_two() {
    let home = Home::new();
    let ending = || {
        let said = finish(&mut home.pki(&["doctor", "--json"]), b"");
        the("certificates-ending", &said)["message"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let issue = |who| {
        let days = ["--days", "10", "--bundle-passphrase-out", who, "-q"];
        home.run(&[&["issue", who][..], &days].concat());
    };
    issue("alice");
    assert!(ending().starts_with("1 certificate ends within"), "{}", ending());
    issue("bob");
    assert!(ending().starts_with("2 certificates end within"), "{}", ending());
}
