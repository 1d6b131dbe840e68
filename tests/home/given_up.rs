//! Servers' keys that were given up, because their certificates were revoked as compromised: the CRL says so,
//! a restored ledger takes it in, and the operator is told.

use serde_json::Value;

use crate::support::{Finished, HOST, Home, copy_of, finish, need};

const ISSUE: [&str; 5] = ["server", "issue", HOST, "--out", "tls"];
const GIVEN_UP: &str = "this key was given up as compromised, with api.acme.example";

/// A home with a certified server, and the serial number of its certificate. None: a program is not
/// installed.
fn certified() -> Option<(Home, String)> {
    if !need(&["openssl"]) {
        return None;
    }
    let home = Home::with_certified_server();
    let serial = listed(&home)["serial"].as_str().unwrap().to_owned();
    Some((home, serial))
}

/// The server's certificate, as it is listed.
fn listed(home: &Home) -> Value {
    home.run(&["server", "list", "--json"]).json()["servers"][0]["certificate"].clone()
}

fn revoke(home: &Home, serial: &str, more: &[&str]) -> Finished {
    home.run(&[&["revoke", serial, "--yes"], more].concat())
}

/// What OpenSSL reads of the entry of this serial number in a CRL of the home's publication.
#[track_caller]
fn entry(home: &Home, crl: &str, serial: &str) -> String {
    let file = format!("home/public/crl/{crl}.pem");
    let read = home
        .foreign("openssl", &["crl", "-in", &file, "-noout", "-text"])
        .ok()
        .stdout;
    let (_, entry) = read
        .split_once(&format!("Serial Number: {serial}"))
        .expect("it is revoked");
    let end = ["Serial Number:", "Signature Algorithm:"]
        .into_iter()
        .filter_map(|next| entry.find(next))
        .min();
    entry[..end.unwrap()].to_owned()
}

/// Puts the ledger of a backup in place. The publication goes on.
fn restore_ledger(home: &Home, backup: &Home) {
    std::fs::copy(
        backup.home().join("ledger.jsonl"),
        home.home().join("ledger.jsonl"),
    )
    .unwrap();
    let index = home.home().join("index");
    if index.exists() {
        std::fs::remove_dir_all(index).unwrap();
    }
}

fn doctor(home: &Home) -> Vec<Value> {
    let said = finish(&mut home.pki(&["doctor", "--json"]), b"").json();
    let findings = said["findings"].as_array().unwrap().clone();
    let of_keys = |finding: &Value| finding["code"] == "server-key-given-up";
    findings.into_iter().filter(of_keys).collect()
}

/// The server goes on with its key.
#[track_caller]
fn keeps_its_key(home: &Home) {
    home.run(&ISSUE);
    assert_eq!(doctor(home), Vec::<Value>::new());
}

/// Its key is certified no more.
#[track_caller]
fn has_lost_its_key(home: &Home) {
    let said = finish(&mut home.pki(&ISSUE), b"").exits(1);
    assert!(said.stderr.contains(GIVEN_UP), "{said}");
    assert_eq!(doctor(home).len(), 1);
}

#[test]
fn a_lost_certificate_of_a_server_costs_it_its_key_neither_now_nor_after_a_restore() {
    let Some((home, serial)) = certified() else { return };
    let backup = copy_of(&home);
    revoke(&home, &serial, &["--reason", "lost"]);
    let in_crl = entry(&home, "servers", &serial);
    assert!(!in_crl.contains("Reason"), "{in_crl}");
    keeps_its_key(&home);
    restore_ledger(&home, &backup);
    let said = home.run(&["publish"]);
    assert!(said.stderr.contains("recorded 1 revocation"), "{said}");
    assert!(!said.stderr.contains("rotate"), "{said}");
    keeps_its_key(&home);
}

/// A ledger and a CRL as they were when `lost` was written as keyCompromise.
fn with_lost_as_key_compromise() -> Option<(Home, Home, String)> {
    let (home, serial) = certified()?;
    let backup = copy_of(&home);
    revoke(&home, &serial, &["--reason", "compromised"]);
    home.rewrite_ledger(|events| {
        let revoked = |event: &&mut Value| event["event"] == "server_revoked";
        let event = events.iter_mut().find(revoked).unwrap();
        assert_eq!(event["reason"], "compromised");
        event["reason"] = "lost".into();
    });
    Some((home, backup, serial))
}

#[test]
fn a_ledger_that_signed_lost_as_key_compromise_itself_knows_better() {
    let Some((home, _, serial)) = with_lost_as_key_compromise() else {
        return;
    };
    assert!(entry(&home, "servers", &serial).contains("Key Compromise"));
    let said = home.run(&["publish"]);
    assert!(!said.stderr.contains("recorded"), "{said}");
    let in_crl = entry(&home, "servers", &serial);
    assert!(!in_crl.contains("Reason"), "{in_crl}");
    keeps_its_key(&home);
}

#[test]
fn a_restored_ledger_believes_the_crl_that_a_key_is_compromised_and_says_what_to_do() {
    let Some((home, backup, serial)) = with_lost_as_key_compromise() else {
        return;
    };
    restore_ledger(&home, &backup);
    let said = home.run(&["publish"]).stderr;
    for words in [
        &format!("the key of {serial} of {HOST}"),
        "`lost` was once written so, too",
        "pki server rotate HOST --compromised --confirm HOST",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    has_lost_its_key(&home);
    let rotate = doctor(&home)[0]["remedy"].as_str().unwrap().to_owned();
    let rotate = rotate.trim_matches('`').strip_prefix("pki ").unwrap().to_owned();
    let rotate: Vec<&str> = rotate.split(' ').chain(["--out", "tls"]).collect();
    home.run(&rotate);
    keeps_its_key(&home);
}

#[test]
fn a_reason_that_is_raised_reaches_the_crl_at_once_or_with_the_next_publication() {
    let Some((home, serial)) = certified() else { return };
    for more in [&[][..], &["--no-publish"]] {
        let home = copy_of(&home);
        revoke(&home, &serial, &[]);
        assert!(!entry(&home, "servers", &serial).contains("Reason"));
        let raised = revoke(&home, &serial, &[&["--reason", "compromised"][..], more].concat());
        let hint = format!("pki server rotate {HOST} --compromised --confirm {HOST}");
        assert!(raised.stderr.contains(&hint), "{raised}");
        if !more.is_empty() {
            let said = home.run(&["publish"]);
            assert!(!said.stderr.contains("nothing has changed"), "{said}");
        }
        assert!(entry(&home, "servers", &serial).contains("Key Compromise"));
        let said = home.run(&["publish"]);
        assert!(said.stderr.contains("nothing has changed"), "{said}");
    }
}

#[test]
fn a_key_that_was_given_up_after_a_backup_is_given_up_still() {
    let Some((home, serial)) = certified() else { return };
    let oldest = copy_of(&home);
    revoke(&home, &serial, &[]);
    let between = copy_of(&home);
    let crls = [&between, &home].map(|home| home.public("crl/servers.crl"));
    revoke(&home, &serial, &["--reason", "stolen"]);
    // By the ledger from between, which knows the revocation for less.
    let restored = copy_of(&home);
    restore_ledger(&restored, &between);
    let behind = restored.run(&["publish", "--dry-run"]).stderr;
    assert!(behind.contains("or not for that reason"), "{behind}");
    let said = restored.run(&["publish"]);
    assert!(
        said.stderr.contains(&format!("the key of {serial} of {HOST}")),
        "{said}"
    );
    has_lost_its_key(&restored);
    assert!(entry(&restored, "servers", &serial).contains("Key Compromise"));
    let said = restored.run(&["publish"]);
    assert!(said.stderr.contains("nothing has changed"), "{said}");
    // Of several CRLs the one counts that says more, in whatever order.
    for order in [[0, 1], [1, 0]] {
        let restored = copy_of(&oldest);
        let [one, other] = order.map(|i: usize| crls[i].to_str().unwrap());
        restored.run(&["publish", "--published", one, "--published", other]);
        has_lost_its_key(&restored);
    }
}

/// A device whose certificate was revoked for less than is known of it later: by its number or its name.
#[test]
fn a_key_of_a_device_is_given_up_once_somebody_says_so() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    home.request("phone");
    let issue = ["issue", "alice", "--csr", "phone.csr", "--json"];
    let serial = home.run(&issue).json()["serial"].as_str().unwrap().to_owned();
    revoke(&home, &serial, &["--reason", "replaced"]);
    let since = |home: &Home| home.run(&["show", &serial, "--json"]).json()["revoked_at"].clone();
    let at = since(&home);
    assert!(at.is_string(), "{at}");
    // Another second: a time that moves would be seen.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    for (by, reason, more) in [
        (serial.as_str(), "compromised", &[][..]),
        ("alice", "stolen", &[]),
        (&serial, "lost", &["--no-publish"]),
    ] {
        let home = copy_of(&home);
        // Said again, or for less, it is nothing new; nor is the reason that is meant where none is said.
        for again in [&[][..], &["--reason", "replaced"], &["--reason", "left"]] {
            let said = revoke(&home, by, again);
            assert!(said.stderr.contains("was revoked already, on"), "{said}");
            assert_eq!(said.stdout, "");
        }
        home.run(&["issue", "alice", "--csr", "phone.csr", "--dry-run"]);

        let would = revoke(&home, by, &["--reason", reason, "--dry-run"]);
        assert!(would.stderr.contains("would revoke 1 certificate"), "{would}");
        let raised = revoke(&home, by, &[&["--reason", reason][..], more].concat());
        assert_eq!(raised.stdout, format!("{serial}\n"));
        assert!(
            raised.stderr.contains("nobody is certified for its key"),
            "{raised}"
        );
        let said = finish(&mut home.pki(&["issue", "alice", "--csr", "phone.csr"]), b"").exits(1);
        assert!(said.stderr.contains(reason), "{said}");
        // Servers do not let it in, and have not since it was revoked.
        assert!(!raised.stderr.contains("servers let it in"), "{raised}");
        if !more.is_empty() {
            assert!(raised.stderr.contains("the CRL says less of it"), "{raised}");
            home.run(&["publish"]);
        }
        assert!(entry(&home, "issuing", &serial).contains("Key Compromise"));
        assert_eq!(since(&home), at);
        let said = revoke(&home, by, &["--reason", reason]);
        assert!(said.stderr.contains("was revoked already, on"), "{said}");
        assert_eq!(said.stdout, "");
        let said = home.run(&["publish"]);
        assert!(said.stderr.contains("nothing has changed"), "{said}");
    }
}

#[test]
fn a_number_that_only_its_revocation_is_known_of_is_revoked_for_more() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let serial = "2B7E151628AED2A6ABF7158809CF4F3C";
    revoke(&home, serial, &["--confirm", serial, "--reason", "replaced"]);
    let said = revoke(&home, serial, &[]);
    assert!(said.stderr.contains("was revoked already, on"), "{said}");
    assert!(!entry(&home, "issuing", serial).contains("Key Compromise"));
    let raised = revoke(&home, serial, &["--reason", "stolen"]);
    assert_eq!(raised.stdout, format!("{serial}\n"));
    assert!(!raised.stderr.contains("its key"), "{raised}");
    assert!(entry(&home, "issuing", serial).contains("Key Compromise"));
}

/// What a device of the same name had before is another phone's, and stays as it was said.
#[test]
fn a_former_phone_is_not_given_up_with_the_one_that_took_its_name() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let [old, new] = ["old", "new"].map(|phone| {
        home.request(phone);
        let issue = ["issue", "alice", "--csr", &format!("{phone}.csr"), "--json"];
        let serial = home.run(&issue).json()["serial"].as_str().unwrap().to_owned();
        // Two revocations of one second are one time.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        revoke(&home, &serial, &["--reason", "replaced"]);
        serial
    });
    let said = revoke(&home, "alice", &["--reason", "stolen"]);
    assert_eq!(said.stdout, format!("{new}\n"));
    assert!(entry(&home, "issuing", &new).contains("Key Compromise"));
    assert!(!entry(&home, "issuing", &old).contains("Key Compromise"));
}

/// The same of a device: whoever takes it back after a restore need not know what for it was before.
#[test]
fn a_device_that_was_stolen_stays_so_though_it_is_revoked_for_less_after_a_restore() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::staffed();
    let backup = copy_of(&home);
    let serial = home.bob().serial;
    revoke(&home, "bob", &["--reason", "stolen"]);
    restore_ledger(&home, &backup);
    revoke(&home, "bob", &["--reason", "replaced"]);
    let in_crl = entry(&home, "issuing", &serial);
    assert!(in_crl.contains("Key Compromise"), "{in_crl}");
    let audit = home.run(&["audit"]).stdout;
    assert!(
        audit.contains(&format!("bob/phone {serial} (compromised)")),
        "{audit}"
    );
    let said = home.run(&["publish"]);
    assert!(said.stderr.contains("nothing has changed"), "{said}");
}

#[test]
fn a_server_whose_key_was_given_up_is_listed_and_found_until_it_is_rotated() {
    let Some((home, serial)) = certified() else { return };
    let all_is_well = |home: &Home| {
        assert_eq!(listed(home).get("revoked"), None);
        assert_eq!(doctor(home), Vec::<Value>::new());
    };
    all_is_well(&home);
    // Revoked for less it is listed, and its key stays in use.
    revoke(&home, &serial, &[]);
    assert!(listed(&home)["revoked"].is_string());
    assert_eq!(doctor(&home), Vec::<Value>::new());
    let text = home.run(&["server", "list"]).stdout;
    let first = text.lines().next().unwrap();
    assert!(
        first.starts_with(HOST) && first.contains(", revoked on "),
        "{text}"
    );
    revoke(&home, &serial, &["--reason", "compromised"]);
    assert_eq!(listed(&home)["serial"], Value::from(serial));
    assert!(listed(&home)["revoked"].is_string());
    let found = doctor(&home);
    assert_eq!((found.len(), &found[0]["severity"]), (1, &Value::from("error")));
    assert!(
        found[0]["message"]
            .as_str()
            .unwrap()
            .contains("the active key of"),
        "{found:?}"
    );
    let rotate = [
        "server",
        "rotate",
        HOST,
        "--compromised",
        "--confirm",
        HOST,
        "--out",
        "tls",
    ];
    home.run(&rotate);
    home.run(&ISSUE);
    all_is_well(&home);
}

/// Which no command brings about, and whoever can write to the home.
#[test]
fn a_backup_key_that_was_given_up_is_not_left_to_be_used_next() {
    let Some((home, serial)) = certified() else { return };
    home.rewrite_ledger(|events| {
        let added = events.iter_mut().find(|event| event["event"] == "server_added");
        let added = added.unwrap();
        let active = added["active"].take();
        added["active"] = added["backup"].take();
        added["backup"] = active;
    });
    revoke(&home, &serial, &["--reason", "compromised", "--no-publish"]);
    let found = doctor(&home);
    assert_eq!(found.len(), 1);
    let said = |member: &str| found[0][member].as_str().unwrap().to_owned();
    assert!(said("message").contains("the backup key of"), "{found:?}");
    let first = format!("`pki server rotate {HOST} --confirm {HOST}`, then ");
    assert!(said("remedy").starts_with(&first), "{found:?}");
}

/// A CRL has the serial number alone: whose key that is nobody can say but the operator.
#[test]
fn a_compromised_certificate_that_the_ledger_has_lost_is_named() {
    let Some((home, _)) = certified() else { return };
    let backup = copy_of(&home);
    home.run(&ISSUE);
    let serial = listed(&home)["serial"].as_str().unwrap().to_owned();
    revoke(&home, &serial, &["--reason", "compromised"]);
    restore_ledger(&home, &backup);
    let said = home.run(&["publish"]).stderr;
    let named = format!("the key of {serial}, which the ledger does not know");
    assert!(said.contains(&named), "{said}");
}
