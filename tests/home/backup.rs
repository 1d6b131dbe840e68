//! Backups, and homes that are restored from them: nobody gets in again, whatever was lost meanwhile.

use std::path::{Path, PathBuf};

use pki::age::Identity;
use pki::key::os_rng;
use secrecy::ExposeSecret;

use crate::support::{Finished, Home, copy_of, files_below, finish};

/// A home that publishes into `web` beside it, and is backed up to an identity beside it.
fn published() -> Home {
    let home = Home::new();
    let place = home.path("web").display().to_string();
    home.configure_table(&format!(
        "[[publish]]\npublic = '{place}/public'\nserver = '{place}/server'\nreload = \"elsewhere\"\n"
    ));
    let identity = Identity::generate(&mut os_rng());
    home.write_private("identity", identity.to_secret_text().expose_secret());
    home.configure("backup_to", &format!("[\"{}\"]", identity.recipient()));
    home.run(&["publish", "-q"]);
    home.issue("alice/phone", &[]);
    home
}

fn back_up(home: &Home, name: &str) {
    home.run(&["backup", name, "-q"]);
}

/// Takes the home away, as a disk that breaks.
fn lose(home: &Home) {
    std::fs::remove_dir_all(home.home()).unwrap();
}

fn restore(home: &Home, name: &str) -> Finished {
    finish(
        &mut home.pki(&["restore", name, "--identity", "identity", "--yes"]),
        b"",
    )
}

/// A home that was lost after `since`, and restored from a backup of before.
fn restored<T>(since: impl FnOnce(&Home) -> T) -> (Home, T) {
    let home = published();
    home.run(&["backup", "old.age", "--with-root", "-q"]);
    let came_of_it = since(&home);
    lose(&home);
    restore(&home, "old.age").ok();
    (home, came_of_it)
}

fn status(home: &Home, address: &str) -> String {
    let said = home.run(&["list", "--json"]).json();
    let devices = said["devices"].as_array().unwrap();
    let of = devices.iter().find(|device| device["address"] == address);
    of.map_or("unknown", |device| device["status"].as_str().unwrap())
        .to_owned()
}

fn word(said: &Finished) -> String {
    let error: serde_json::Value = serde_json::from_str(said.stderr.lines().last().unwrap()).unwrap();
    error["error"]["kind"].as_str().unwrap().to_owned()
}

/// Refused by this word and exit code, and the ledger is as it was.
#[track_caller]
fn refused(home: &Home, arguments: &[&str], kind: &str, code: i32) {
    let ledger = || std::fs::read(home.home().join("ledger.jsonl")).ok();
    let before = ledger();
    let said = finish(&mut home.pki(&[arguments, &["--json"]].concat()), b"").exits(code);
    assert_eq!(word(&said), kind, "{said}");
    assert_eq!(ledger(), before, "{said}");
}

/// What lies beside the home, and is not this test's.
fn beside(home: &Home) -> Vec<String> {
    let names = std::fs::read_dir(home.path("")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with(".home") || name.contains("restore"))
        .collect()
}

fn facts(home: &Home) -> Vec<String> {
    let text = std::fs::read_to_string(home.home().join("ledger.jsonl")).unwrap();
    let event = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
    text.lines()
        .map(|line| event(line)["event"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_restored_home_is_the_one_that_was_backed_up_and_one_event_more() {
    let home = published();
    std::fs::create_dir_all(home.home().join("templates/profiles")).unwrap();
    home.write_private("home/templates/profiles/kiosk.toml", "days = 7\n");
    back_up(&home, "old.age");
    let kept = |home: &Home| -> Vec<(String, Vec<u8>)> {
        let derived = |file: &String| {
            [
                "index/",
                "public/",
                "server/",
                "lock",
                "waiting",
                "backup.json",
                "residence.json",
                "ledger.jsonl",
                "root/root.key",
            ]
            .iter()
            .any(|derived| file.starts_with(derived))
        };
        let files = files_below(&home.home())
            .into_iter()
            .filter(|file| !derived(file));
        files
            .map(|file| (file.clone(), std::fs::read(home.home().join(file)).unwrap()))
            .collect()
    };
    let (before, events) = (kept(&home), facts(&home));
    assert!(
        before
            .iter()
            .any(|(file, _)| file == "templates/profiles/kiosk.toml")
    );
    lose(&home);
    let said = restore(&home, "old.age").ok();
    assert!(
        said.stderr.contains("nothing is signed until `pki publish`"),
        "{said}"
    );
    assert!(kept(&home) == before);
    assert_eq!(facts(&home), [events, vec!["restored".into()]].concat());
    assert_eq!(beside(&home), [""; 0]);
    for file in files_below(&home.home()) {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &home.home().join(&file).metadata().unwrap().permissions(),
        );
        assert_eq!(mode & 0o077, 0, "{file}");
    }
}

#[test]
fn a_restored_home_signs_nothing_and_records_revocations() {
    let (home, ()) = restored(|_| ());
    for command in [
        &[
            "issue",
            "bob/phone",
            "--out",
            "out2",
            "--bundle-passphrase-out",
            "p",
        ][..],
        &[
            "renew",
            "alice/phone",
            "--out",
            "out2",
            "--bundle-passphrase-out",
            "p",
        ],
        &["root", "crl"],
        &["server", "add", "api.acme.example", "--out", "out2"],
    ] {
        refused(&home, command, "unreconciled", 4);
    }
    assert!(!home.path("out2").exists() || files_below(&home.path("out2")).is_empty());
    let public = std::fs::read(home.path("web/public/crl/issuing.crl")).unwrap();
    let said = finish(&mut home.pki(&["revoke", "alice", "--yes"]), b"").exits(5);
    assert!(said.stderr.contains("published nowhere yet"), "{said}");
    assert_eq!(status(&home, "alice/phone"), "revoked");
    assert_eq!(
        std::fs::read(home.path("web/public/crl/issuing.crl")).unwrap(),
        public
    );
    assert!(!home.home().join("public").exists());
    let found = finish(&mut home.pki(&["doctor", "--json"]), b"").exits(3).json();
    let codes: Vec<_> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["code"].clone())
        .collect();
    assert!(codes.contains(&"unreconciled".into()), "{codes:?}");
    home.run(&["publish"]);
    assert_ne!(
        std::fs::read(home.path("web/public/crl/issuing.crl")).unwrap(),
        public
    );
    home.issue("bob/phone", &[]);
}

#[test]
fn what_happened_since_the_backup_is_known_once_it_is_reconciled() {
    let number = |home: &Home, area: &str| -> u64 {
        let manifest = std::fs::read(home.path(format!("web/{area}/manifest.json"))).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        manifest["number"].as_u64().unwrap()
    };
    let (home, before) = restored(|home| {
        home.run(&["revoke", "alice", "--yes", "-q"]);
        home.issue("carol/phone", &[]);
        ["public", "server"].map(|area| number(home, area))
    });
    assert_eq!(status(&home, "carol/phone"), "unknown");
    let said = home.run(&["publish"]);
    assert!(said.stderr.contains("is reconciled with"), "{said}");
    assert_eq!(status(&home, "alice/phone"), "revoked");
    assert_eq!(status(&home, "carol/phone"), "valid");
    for (area, before) in ["public", "server"].into_iter().zip(before) {
        assert!(number(&home, area) > before, "{area}");
    }
    assert_eq!(
        facts(&home).iter().filter(|fact| *fact == "reconciled").count(),
        1
    );
    // Once: from now on it is a home like any other.
    home.run(&["publish"]);
    home.issue("bob/phone", &[]);
    assert_eq!(
        facts(&home).iter().filter(|fact| *fact == "reconciled").count(),
        1
    );
}

#[test]
fn a_place_that_knows_too_little_is_given_up_by_its_name_or_not_at_all() {
    let places = |home: &Home| ["public", "server"].map(|area| home.path(format!("web/{area}")));
    let emptied = |home: &Home| {
        for place in places(home) {
            std::fs::remove_dir_all(place).unwrap();
        }
    };
    // Older than the backup: somebody has put back what lets a lost phone in.
    let older = |home: &Home| {
        emptied(home);
        std::fs::rename(home.path("before"), home.path("web")).unwrap();
    };
    let torn = |home: &Home| {
        for (place, file) in places(home).iter().zip(["crl/issuing.crl", "revoked.map"]) {
            std::fs::remove_file(place.join(file)).unwrap();
        }
    };
    for (name, spoil) in [
        ("emptied", &emptied as &dyn Fn(&Home)),
        ("older", &older),
        ("torn", &torn),
    ] {
        let home = published();
        finish(
            crate::support::program("cp")
                .arg("-a")
                .arg(home.path("web"))
                .arg(home.path("before")),
            b"",
        )
        .ok();
        home.issue("bob/phone", &[]);
        back_up(&home, "old.age");
        home.run(&["revoke", "alice", "--yes", "-q"]);
        lose(&home);
        if name == "older" {
            std::fs::remove_dir_all(home.path("web")).unwrap();
            std::fs::rename(home.path("before"), home.path("web")).unwrap();
        } else {
            spoil(&home);
        }
        restore(&home, "old.age").ok();
        let [public, server] = places(&home).map(|place| place.display().to_string());
        refused(&home, &["publish"], "unreconciled", 4);
        refused(&home, &["publish", "--confirm", &public], "unreconciled", 4);
        refused(&home, &["publish", "--confirm", "LEDGER"], "unreconciled", 4);
        let said = finish(&mut home.pki(&["publish", "--confirm", "/elsewhere"]), b"").exits(2);
        assert!(said.stderr.contains("the places of pki.toml"), "{name}: {said}");
        let said = finish(
            &mut home.pki(&["publish", "--confirm", &public, "--confirm", &server]),
            b"",
        );
        assert!(
            said.stderr.contains(&format!("given up: what {server} knew")),
            "{name}: {said}"
        );
        assert!(facts(&home).contains(&"reconciled".into()), "{name}: {said}");
    }
}

#[test]
fn what_a_server_has_fetched_answers_for_every_place() {
    let (home, ()) = restored(|home| {
        home.run(&["revoke", "alice", "--yes", "-q"]);
        home.issue("carol/phone", &[]);
        for area in ["public", "server"] {
            let (from, to) = (home.path(format!("web/{area}")), format!("api/{area}"));
            std::fs::copy(home.home().join("root/root.crt"), home.path("root.crt")).unwrap();
            home.run(&[
                "fetch",
                from.to_str().unwrap(),
                "--root",
                "root.crt",
                "--out",
                &to,
                "-q",
            ]);
        }
        std::fs::remove_dir_all(home.path("web")).unwrap();
    });
    refused(&home, &["publish"], "unreconciled", 4);
    home.run(&[
        "publish",
        "--published",
        "api/public",
        "--published",
        "api/server",
    ]);
    assert_eq!(status(&home, "alice/phone"), "revoked");
    assert_eq!(status(&home, "carol/phone"), "valid");
    // The server that has seen more goes on with what this home publishes.
    for area in ["public", "server"] {
        let from = home.path(format!("web/{area}"));
        home.run(&[
            "fetch",
            from.to_str().unwrap(),
            "--root",
            "root.crt",
            "--out",
            &format!("api/{area}"),
        ]);
    }
}

#[test]
fn what_a_server_has_fetched_before_the_backup_is_no_answer() {
    let home = published();
    finish(
        crate::support::program("cp")
            .arg("-a")
            .arg(home.path("web"))
            .arg(home.path("stale")),
        b"",
    )
    .ok();
    home.issue("bob/phone", &[]);
    back_up(&home, "old.age");
    home.run(&["revoke", "alice", "--yes", "-q"]);
    lose(&home);
    std::fs::remove_dir_all(home.path("web")).unwrap();
    restore(&home, "old.age").ok();
    refused(
        &home,
        &["publish", "--published", "stale/server"],
        "unreconciled",
        4,
    );
}

#[test]
fn a_home_that_publishes_nowhere_needs_the_word_that_nothing_is_lost() {
    let home = Home::new();
    home.issue("alice/phone", &[]);
    let passphrase = home.write_private("backup-passphrase", "a passphrase of the backup\n");
    let passphrase = ["--backup-passphrase-file", passphrase.to_str().unwrap()];
    home.run(&[&["backup", "old.age", "-q"][..], &passphrase].concat());
    let newer = home.path("newer");
    std::fs::rename(home.home(), &newer).unwrap();
    home.run(&[&["restore", "old.age"][..], &passphrase].concat());
    std::fs::rename(newer.join("server"), home.path("kept")).unwrap();
    std::fs::remove_dir_all(newer).unwrap();
    refused(&home, &["publish"], "unreconciled", 4);
    let other = copy_of(&home);
    other.run(&["publish", "--published", "kept"]);
    home.run(&["publish", "--confirm", "LEDGER"]);
    home.issue("bob/phone", &[]);
}

#[test]
fn a_home_is_replaced_only_where_the_backup_has_all_of_it() {
    let home = published();
    back_up(&home, "old.age");
    home.issue("bob/phone", &[]);
    back_up(&home, "new.age");
    refused(
        &home,
        &["restore", "old.age", "--identity", "identity"],
        "home-ahead",
        1,
    );
    let diverged = copy_of(&home);
    lose(&diverged);
    restore(&diverged, "old.age").ok();
    finish(&mut diverged.pki(&["revoke", "alice", "--yes"]), b"").exits(5);
    refused(
        &diverged,
        &["restore", "new.age", "--identity", "identity"],
        "home-diverged",
        1,
    );
    let other = Home::founded();
    for file in ["new.age", "identity"] {
        std::fs::copy(home.path(file), other.path(file)).unwrap();
    }
    refused(
        &other,
        &["restore", "new.age", "--identity", "identity"],
        "other-home",
        1,
    );
    // The newer backup has all that this one has: it is replaced, and kept beside with its root's key.
    let older = copy_of(&home);
    lose(&older);
    restore(&older, "old.age").ok();
    let ledger = std::fs::read_to_string(older.home().join("ledger.jsonl")).unwrap();
    let without_last: String = ledger
        .split_inclusive('\n')
        .take(ledger.lines().count() - 1)
        .collect();
    std::fs::write(older.home().join("ledger.jsonl"), without_last).unwrap();
    std::fs::remove_dir_all(older.home().join("index")).unwrap();
    std::fs::copy(
        home.home().join("root/root.key"),
        older.home().join("root/root.key"),
    )
    .unwrap();
    restore(&older, "new.age").ok();
    assert_eq!(status(&older, "bob/phone"), "valid");
    assert_eq!(beside(&older), ["home.before-restore"]);
    assert!(older.home().join("root/root.key").exists());
    // The one that it was backed up from is still there.
    refused(&older, &["publish"], "copied-home", 4);
    older.run(&["publish", "--confirm", "HOME"]);
    // A directory that is no home is in the way, a home that cannot be read as well.
    std::fs::remove_file(home.home().join("issuing/issuing.crt")).unwrap();
    refused(
        &home,
        &["restore", "new.age", "--identity", "identity"],
        "home-unreadable",
        1,
    );
    lose(&home);
    std::fs::create_dir(home.home()).unwrap();
    std::fs::write(home.path("home/notes"), "mine").unwrap();
    refused(
        &home,
        &["restore", "new.age", "--identity", "identity"],
        "exists",
        1,
    );
}

#[test]
fn what_is_no_whole_backup_changes_nothing() {
    let home = published();
    back_up(&home, "good.age");
    let good = std::fs::read(home.path("good.age")).unwrap();
    lose(&home);
    let attempt = |octets: &[u8]| {
        std::fs::write(home.path("bad.age"), octets).unwrap();
        let said = restore(&home, "bad.age");
        assert!(matches!(said.code, Some(1 | 4)), "{said}");
        assert!(!home.home().exists(), "{said}");
        assert_eq!(beside(&home), [""; 0], "{said}");
    };
    let header = good.windows(4).position(|window| window == b"\n---").unwrap();
    for at in [
        0,
        30,
        header - 5,
        header + 10,
        header + 60,
        good.len() / 2,
        good.len() - 1,
    ] {
        let mut changed = good.clone();
        changed[at] ^= 1;
        attempt(&changed);
    }
    for length in [0, 10, header, header + 60, good.len() / 2, good.len() - 1] {
        attempt(&good[..length]);
    }
    attempt(&[&good[..], b"more"].concat());
    let stranger = Identity::generate(&mut os_rng());
    home.write_private("stranger", stranger.to_secret_text().expose_secret());
    refused(
        &home,
        &["restore", "good.age", "--identity", "stranger"],
        "wrong-identity",
        4,
    );
    refused(&home, &["restore", "good.age"], "wrong-identity", 4);
    refused(
        &home,
        &["restore", "stranger", "--identity", "identity"],
        "not-age",
        1,
    );
    restore(&home, "good.age").ok();
}

#[test]
fn a_backup_with_a_passphrase_opens_with_it_alone() {
    let home = published();
    let [right, wrong] = ["right", "wrong"].map(|name| {
        let text = format!("four {name} secret words\n");
        home.write_private(name, &text).display().to_string()
    });
    home.run(&[
        "backup",
        "safe.age",
        "--with-root",
        "--backup-passphrase-file",
        &right,
    ]);
    lose(&home);
    let open = |file: &str| {
        finish(
            &mut home.pki(&["restore", "safe.age", "--backup-passphrase-file", file]),
            b"",
        )
    };
    let said = open(&wrong).exits(4);
    assert!(!said.text().contains("secret words"), "{said}");
    refused(
        &home,
        &["restore", "safe.age", "--identity", "identity"],
        "age-lock",
        1,
    );
    open(&right).ok();
    // With the root's key everything goes on that the lost home could do.
    home.run(&["publish"]);
    home.run(&["root", "crl", "--yes"]);
}

#[test]
fn a_rehearsal_does_all_of_it_and_changes_nothing() {
    let home = published();
    home.run(&["revoke", "alice", "--yes", "-q"]);
    back_up(&home, "old.age");
    home.issue("bob/phone", &[]);
    let everything = |home: &Home| -> Vec<(String, Option<Vec<u8>>)> {
        let files = files_below(&home.path(""));
        files
            .into_iter()
            .map(|file| (file.clone(), std::fs::read(home.path(file)).ok()))
            .collect()
    };
    let before = everything(&home);
    let said = home.run(&[
        "restore",
        "--rehearse",
        "old.age",
        "--identity",
        "identity",
        "--json",
    ]);
    assert_eq!(said.json()["revoked"], 1, "{said}");
    assert!(everything(&home) == before);
    home.write_private("wrong", "not the passphrase\n");
    let mut wrong = home.pki(&["restore", "--rehearse", "old.age", "--identity", "identity"]);
    let said = finish(wrong.args(["--passphrase-file", "wrong"]), b"").exits(4);
    assert!(!said.text().contains("not the passphrase"), "{said}");
    std::fs::remove_file(home.path("wrong")).unwrap();
    assert!(everything(&home) == before);
    // Also where no home is.
    lose(&home);
    home.run(&["restore", "--rehearse", "old.age", "--identity", "identity"]);
    assert!(!home.home().exists());
    assert_eq!(beside(&home), [""; 0]);
}

#[test]
fn commands_of_a_backup_that_anybody_can_make_are_looked_at_first() {
    let home = published();
    home.configure("passphrase_command", "[\"touch\", \"ran\"]");
    back_up(&home, "old.age");
    lose(&home);
    let arguments = ["restore", "old.age", "--identity", "identity"];
    let said = finish(&mut home.pki(&arguments), b"").exits(4);
    assert!(said.stderr.contains("touch ran"), "{said}");
    assert!(!home.home().exists());
    home.run(&[&arguments[..], &["--rehearse"]].concat());
    home.run(&[&arguments[..], &["--yes"]].concat());
    assert!(!home.path("ran").exists());
}

#[test]
fn the_last_backup_is_known_and_asked_for() {
    let home = published();
    let codes = |home: &Home| -> Vec<String> {
        let said = finish(&mut home.pki(&["doctor", "--json"]), b"").json();
        let findings = said["findings"].as_array().unwrap().clone();
        let codes = findings
            .iter()
            .map(|finding| finding["code"].as_str().unwrap().to_owned());
        codes.filter(|code| code.starts_with("backup")).collect()
    };
    assert_eq!(codes(&home), ["backup-unknown"]);
    back_up(&home, "one.age");
    assert_eq!(codes(&home), [""; 0]);
    // Of long ago, and nothing has happened since; then something has.
    let note = home.home().join("backup.json");
    let text = std::fs::read_to_string(&note).unwrap();
    let mut last: serde_json::Value = serde_json::from_str(&text).unwrap();
    last["made"] = "2020-01-01T00:00:00Z".into();
    std::fs::write(&note, last.to_string()).unwrap();
    assert_eq!(codes(&home), [""; 0]);
    home.issue("bob/phone", &[]);
    assert_eq!(codes(&home), ["backup-old"]);
    back_up(&home, "two.age");
    assert_eq!(codes(&home), [""; 0]);
    // A restored home was backed up by what it comes from.
    lose(&home);
    restore(&home, "two.age").ok();
    assert_eq!(codes(&home), [""; 0]);
}

#[test]
fn a_backup_takes_nobodys_place_and_says_whether_the_root_is_in_it() {
    let home = published();
    let said = home.run(&["backup", "one.age"]);
    assert!(said.stderr.contains("the root's key is not in it"), "{said}");
    let said = home.run(&["backup", "two.age", "--with-root"]);
    assert!(said.stderr.contains("the root's key is in it"), "{said}");
    let before = std::fs::read(home.path("one.age")).unwrap();
    refused(&home, &["backup", "one.age"], "exists", 1);
    assert_eq!(std::fs::read(home.path("one.age")).unwrap(), before);
    refused(&home, &["backup", "home/one.age"], "place", 1);
    refused(&home, &["backup", "web/public/one.age"], "place", 1);
    std::fs::create_dir(home.path("all")).unwrap();
    for _ in 0..2 {
        home.run(&["backup", "all"]);
    }
    assert_eq!(files_below(&home.path("all")).len(), 2);
    std::fs::remove_file(home.home().join("root/root.key")).unwrap();
    refused(&home, &["backup", "three.age", "--with-root"], "root-away", 1);
    assert!(!home.path("three.age").exists());
    let hidden = |path: &Path| -> Vec<PathBuf> {
        let names = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        names
            .filter(|path| path.extension().is_some_and(|ending| ending == "tmp"))
            .collect()
    };
    assert_eq!(hidden(&home.path("")).len(), 0);
    let secret = std::fs::read_to_string(home.path("identity")).unwrap();
    let said = finish(&mut home.pki(&["backup", "four.age", "--to", secret.trim()]), b"").exits(2);
    assert!(!said.text().contains(secret.trim()), "{said}");
}
