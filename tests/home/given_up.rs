//! Servers' keys that were given up: their certificates were revoked as compromised, and the operator is told.

use serde_json::Value;

use crate::support::{Finished, HOST, Home, finish, need};

const ISSUE: [&str; 5] = ["server", "issue", HOST, "--out", "tls"];

/// A home with a certified server, and the serial number of its certificate. None: a program is not installed.
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

fn doctor(home: &Home) -> Vec<Value> {
    let said = finish(&mut home.pki(&["doctor", "--json"]), b"").json();
    let findings = said["findings"].as_array().unwrap().clone();
    let of_keys = |finding: &Value| finding["code"] == "server-key-given-up";
    findings.into_iter().filter(of_keys).collect()
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
