//! A home that was copied: it can be read and tried, and publishes nothing until somebody says that the PKI
//! goes on there.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{Finished, Home, copy_of, files_below, finish, is_root, need, program};

/// A home whose publication goes outside, where a command counts how often it did; heidi has a phone.
fn published() -> Option<Home> {
    if !need(&["openssl", "cp"]) {
        return None;
    }
    let home = Home::new();
    let web = home.path("web");
    let [public, server] = ["public", "server"].map(|half| web.join(half));
    let count = format!("echo >> {}", home.path("count").display());
    home.configure_table(&format!(
        "[[publish]]\npublic = {public:?}\nserver = {server:?}\ncommand = [\"sh\", \"-c\", {count:?}]\n"
    ));
    home.run(&["publish", "-q"]);
    home.run(&["issue", "heidi", "--bundle-passphrase-out", "secret", "-q"]);
    Some(home)
}

/// `cp -a`, as a person does it.
fn copied(home: &Home, to: &str) {
    let mut command = program("cp");
    finish(command.arg("-a").arg(home.home()).arg(home.path(to)), b"").ok();
}

/// The program on the copy of this name.
fn in_copy(home: &Home, copy: &str, arguments: &[&str]) -> Finished {
    let mut command = home.pki(arguments);
    finish(command.env("PKI_HOME", home.path(copy)), b"")
}

/// What has left the home: every published file, and how often the command has run.
fn outside(home: &Home) -> BTreeMap<String, Vec<u8>> {
    let read = |path: &Path| std::fs::read(path).unwrap_or_default();
    let files = files_below(&home.path("web")).into_iter();
    let mut all: BTreeMap<_, _> = files
        .map(|file| (file.clone(), read(&home.path("web").join(file))))
        .collect();
    all.insert("count".into(), read(&home.path("count")));
    all
}

/// Has the home remember that it was used on another machine.
fn from_another_machine(home: &Home) {
    let note = home.home().join("residence.json");
    let mut said: serde_json::Value = serde_json::from_slice(&std::fs::read(&note).unwrap()).unwrap();
    said["machine"] = "0".repeat(64).into();
    std::fs::write(&note, said.to_string()).unwrap();
}

/// Whether the machine that runs the tests says which one it is.
fn has_machine_id() -> bool {
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    id.trim().len() == 32
}

fn finds_copy(said: &Finished) -> bool {
    let findings = said.json()["findings"].clone();
    let mut findings = findings.as_array().unwrap().iter();
    findings.any(|finding| finding["code"] == "copied-home")
}

#[test]
fn what_is_tried_in_a_copy_locks_nobody_out() {
    let Some(home) = published() else { return };
    copied(&home, "try");
    let before = outside(&home);
    let said = in_copy(&home, "try", &["offboard", "heidi", "--confirm", "heidi"]).exits(5);
    assert!(said.stderr.contains("heidi is offboarded"), "{said}");
    assert!(said.stderr.contains("pki publish --confirm HOME"), "{said}");
    assert_eq!(outside(&home), before, "{said}");
    // It was done all the same, as far as the copy goes.
    assert!(
        std::fs::read_to_string(home.path("try/server/allowed.map"))
            .unwrap()
            .is_empty()
    );

    let said = home.run(&["publish", "--json"]);
    assert_eq!(said.json()["adopted"], 0, "{said}");
    assert_eq!(outside(&home), before, "{said}");
    assert!(!finds_copy(&finish(&mut home.pki(&["doctor", "--json"]), b"")));
}

#[test]
fn a_copy_can_be_read_and_says_what_it_is() {
    let Some(home) = published() else { return };
    copied(&home, "try");
    for verb in [
        &["list"][..],
        &["show", "heidi"],
        &["audit", "verify"],
        &["config", "nginx", "a.acme.example"],
    ] {
        in_copy(&home, "try", verb).ok();
    }
    assert!(finds_copy(&in_copy(&home, "try", &["doctor", "--json"])));
    let ledger = || std::fs::read(home.path("try/ledger.jsonl")).unwrap();
    let before = ledger();
    for verb in [
        &["publish", "-q"][..],
        &["publish", "--unlock", "--yes"],
        &["publish", "--dry-run"],
        &["issue", "eve", "--bundle-passphrase-out", "eve"],
        &["renew", "heidi", "--bundle-passphrase-out", "eve"],
        &["server", "add", "api.acme.example"],
        &["root", "crl"],
    ] {
        let said = in_copy(&home, "try", verb).exits(4);
        let place = home.home().canonicalize().unwrap();
        assert!(
            said.stderr
                .contains(&format!("is a copy of the one in {}", place.display())),
            "{said}"
        );
        assert!(said.stderr.contains("pki publish --confirm HOME"), "{said}");
        assert!(!home.path("eve").exists(), "{said}");
    }
    assert_eq!(ledger(), before);
}

#[test]
fn what_doctor_advises_in_a_copy_says_first_what_must_be_decided() {
    let Some(home) = published() else { return };
    copied(&home, "try");
    std::fs::remove_dir_all(home.path("try/public/crl")).unwrap();
    let found = in_copy(&home, "try", &["doctor", "--json"]).json();
    let found = found["findings"].as_array().unwrap();
    assert_eq!(found[0]["code"], "copied-home", "{found:?}");
    let remedies: Vec<&str> = found.iter().map(|f| f["remedy"].as_str().unwrap()).collect();
    let commands: Vec<_> = remedies.iter().filter(|remedy| remedy.contains("pki ")).collect();
    assert!(commands.len() > 1, "{found:?}");
    assert!(
        commands
            .iter()
            .all(|remedy| remedy.contains("--confirm HOME") || remedy.starts_with("first decide")),
        "{commands:?}"
    );
}

#[test]
fn a_copy_in_which_the_pki_goes_on_publishes_and_is_not_asked_again() {
    let Some(home) = published() else { return };
    copied(&home, "try");
    in_copy(&home, "try", &["revoke", "heidi", "--yes", "-q"]).exits(5);
    let before = outside(&home);
    in_copy(&home, "try", &["publish", "--dry-run", "--confirm", "HOME"]).exits(2);
    in_copy(&home, "try", &["publish", "-q"]).exits(4);
    assert_eq!(outside(&home), before);
    in_copy(&home, "try", &["publish", "-q", "--confirm", "HOME"]).ok();
    let after = outside(&home);
    assert_ne!(after["server/revoked.map"], before["server/revoked.map"]);
    assert_ne!(after["count"], before["count"], "its command has run");
    let issue = ["issue", "eve", "--bundle-passphrase-out", "eve", "-q"];
    in_copy(&home, "try", &issue).ok();
    assert!(!finds_copy(&in_copy(&home, "try", &["doctor", "--json"])));
}

#[test]
fn a_restore_in_place_and_a_move_ask_nothing() {
    let Some(home) = published() else { return };
    let rename = |from: &str, to: &str| std::fs::rename(home.path(from), home.path(to)).unwrap();
    // From a backup, which has other inodes.
    copied(&home, "backup");
    rename("home", "gone");
    rename("backup", "home");
    home.run(&["publish", "-q"]);
    std::fs::remove_dir_all(home.path("gone")).unwrap();
    // To another disk, with a link where it was.
    std::fs::create_dir(home.path("disk")).unwrap();
    rename("home", "disk/home");
    std::os::unix::fs::symlink("disk/home", home.home()).unwrap();
    home.run(&["issue", "eve", "--bundle-passphrase-out", "eve", "-q"]);
    // To another name, where another PKI takes the old one.
    rename("disk/home", "moved");
    std::fs::create_dir(home.path("other")).unwrap();
    let mut init = home.pki(&["init", "--org", "B", "--domain", "b.example", "-q"]);
    finish(init.env("PKI_HOME", home.path("disk/home")), b"").ok();
    in_copy(&home, "moved", &["publish", "-q"]).ok();
    in_copy(
        &home,
        "moved",
        &["issue", "pat", "--bundle-passphrase-out", "pat", "-q"],
    )
    .ok();
    assert!(!finds_copy(&in_copy(&home, "moved", &["doctor", "--json"])));
}

#[test]
fn a_copy_is_asked_as_long_as_the_other_is_there() {
    let Some(home) = published() else { return };
    copied(&home, "try");
    in_copy(&home, "try", &["publish", "-q"]).exits(4);
    std::fs::remove_dir_all(home.home()).unwrap();
    in_copy(&home, "try", &["publish", "-q"]).ok();
}

#[test]
fn on_another_machine_a_lost_phone_is_recorded_at_once_and_published_when_that_is_said() {
    let Some(home) = published() else { return };
    if !has_machine_id() {
        eprintln!("skipped: this machine has no /etc/machine-id");
        return;
    }
    from_another_machine(&home);
    let before = outside(&home);
    // A timer does not fail in silence.
    let timer = ["publish", "--no-input", "--unlock", "-q"];
    let said = finish(&mut home.pki(&timer), b"").exits(4);
    assert!(said.stderr.contains("used on another machine"), "{said}");
    let said = finish(&mut home.pki(&["revoke", "heidi", "--yes"]), b"").exits(5);
    assert!(said.stderr.contains("heidi/phone is revoked"), "{said}");
    assert!(said.stderr.contains("pki publish --confirm HOME"), "{said}");
    assert_eq!(outside(&home), before);
    let own = std::fs::read_to_string(home.server("revoked.map")).unwrap();
    assert_eq!(own.lines().count(), 1, "the home's own half has it");
    home.run(&["publish", "-q", "--confirm", "HOME"]);
    assert_ne!(outside(&home)["server/revoked.map"], before["server/revoked.map"]);
    finish(&mut home.pki(&timer), b"").ok();
}

#[test]
fn a_home_that_does_not_remember_where_it_was_goes_on() {
    let Some(home) = published() else { return };
    for note in [None, Some("{"), Some("")] {
        let copy = copy_of(&home);
        if let Some(text) = note {
            std::fs::write(copy.home().join("residence.json"), text).unwrap();
        }
        copy.run(&["issue", "eve", "--bundle-passphrase-out", "eve", "-q"]);
        assert!(!finds_copy(&finish(&mut copy.pki(&["doctor", "--json"]), b"")));
    }
}

#[test]
fn a_copy_at_a_path_that_is_no_text_is_one_all_the_same() {
    use std::os::unix::ffi::OsStrExt;
    let Some(home) = published() else { return };
    let name = std::ffi::OsStr::from_bytes(b"copy\xff");
    let to = home.path("").join(name);
    finish(program("cp").arg("-a").arg(home.home()).arg(&to), b"").ok();
    let before = outside(&home);
    let mut command = home.pki(&["issue", "zed", "--bundle-passphrase-out", "zed"]);
    finish(command.env("PKI_HOME", &to), b"").exits(4);
    assert_eq!(outside(&home), before);
}

#[test]
fn what_an_account_may_not_look_at_may_be_the_home_that_its_own_was_copied_from() {
    if !is_root() || !need(&["setpriv", "chown", "chmod", "mv"]) {
        return;
    }
    let Some(home) = published() else { return };
    // Somebody else's account gets a copy of the administrator's.
    copied(&home, "copy");
    home.foreign(
        "chown",
        &["-R", "65534:65534", "copy", "web", "count", "issuing-passphrase"],
    )
    .ok();
    home.foreign("chmod", &["755", "."]).ok();
    let theirs = |arguments: &[&str]| {
        let mut command = home.pki_as_nobody(arguments);
        finish(command.env("PKI_HOME", home.path("copy")), b"")
    };
    let before = outside(&home);
    let said = theirs(&["revoke", "heidi", "--yes"]).exits(5);
    assert!(said.stderr.contains("pki publish --confirm HOME"), "{said}");
    assert!(
        said.stderr.contains("may not look") && !said.stderr.contains("still there"),
        "{said}"
    );
    assert_eq!(outside(&home), before, "{said}");
    // Where nothing stands any more it has moved.
    home.foreign("mv", &["home", "elsewhere"]).ok();
    theirs(&["publish"]).ok();
    assert_ne!(outside(&home), before);
}
