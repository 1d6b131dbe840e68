//! The ledger is the truth: what was acknowledged is never lost without a word, and what was not is moved
//! aside.

use std::path::PathBuf;

use crate::state::{certificates, findings, is_sound, kind, ledger};
use crate::support::{Home, copy_of, finish, need};

fn lived_in() -> Home {
    let home = Home::new();
    home.run(&["issue", "alice", "--bundle-passphrase-out", "first", "-q"]);
    home
}

fn change(home: &Home, change: impl FnOnce(&mut Vec<u8>)) {
    let mut octets = ledger(home);
    change(&mut octets);
    std::fs::write(home.home().join("ledger.jsonl"), octets).unwrap();
}

/// What was moved aside.
fn torn(home: &Home) -> Vec<PathBuf> {
    let names = std::fs::read_dir(home.home())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    names
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("ledger.torn-")
        })
        .collect()
}

/// The octets of a line that somebody began to write after the last one.
fn begun(home: &Home) -> Vec<u8> {
    let later = copy_of(home);
    later.run(&[
        "issue",
        "dora",
        "--bundle-passphrase-out",
        "dora",
        "--no-publish",
        "-q",
    ]);
    ledger(&later)[ledger(home).len()..].to_vec()
}

#[test]
fn a_line_that_was_begun_is_moved_aside_and_told() {
    if !need(&["openssl"]) {
        return;
    }
    let before = lived_in();
    let whole = ledger(&before);
    let line = begun(&before);
    let first = line.iter().position(|octet| *octet == b'\n').unwrap();
    let tails = [
        ("one octet", line[..1].to_vec()),
        ("half a line", line[..first / 2].to_vec()),
        ("a line without its end", line[..first].to_vec()),
        ("zeros", vec![0; 4096]),
        ("half a line and zeros", [&line[..first / 2], &[0; 512]].concat()),
    ];
    for (what, tail) in tails {
        let home = copy_of(&before);
        change(&home, |octets| octets.extend_from_slice(&tail));
        // Reading goes past it, and moves nothing.
        assert_eq!(certificates(&home).len(), 1, "{what}");
        assert!(torn(&home).is_empty(), "{what}");
        let verified = finish(&mut home.pki(&["audit", "verify", "--json"]), b"")
            .exits(3)
            .json();
        assert_eq!(verified["good"], false, "{what}: {verified}");

        let issued = finish(
            &mut home.pki(&["issue", "bob", "--bundle-passphrase-out", "bob"]),
            b"",
        )
        .ok();
        let aside = torn(&home);
        assert_eq!(aside.len(), 1, "{what}: {issued}");
        assert_eq!(std::fs::read(&aside[0]).unwrap(), tail, "{what}");
        let named = aside[0].display().to_string();
        assert!(
            issued
                .stderr
                .contains("pki: warning: the end of the ledger was cut off"),
            "{what}: {issued}"
        );
        assert!(issued.stderr.contains(&named), "{what}: {issued}");
        assert!(ledger(&home).starts_with(&whole), "{what}");
        is_sound(&home, what);
    }
}

#[test]
fn doctor_tells_of_a_line_that_was_begun() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    change(&home, |octets| octets.extend_from_slice(b"{\"seq\":99"));
    let found = findings(&home);
    assert!(
        found.iter().any(|finding| finding["code"] == "ledger-torn"),
        "{found:?}"
    );
    assert_eq!(torn(&home).len(), 1);
    is_sound(&home, "after doctor");
}

#[test]
fn an_octet_that_flipped_stops_every_change_and_is_named() {
    if !need(&["openssl"]) {
        return;
    }
    let before = lived_in();
    let whole = ledger(&before);
    let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
    // Acknowledged events follow the first one, one in the middle and the last but one. Of the last one the
    // index's head knows.
    for line in [0, ends.len() / 2, ends.len() - 2, ends.len() - 1] {
        let begin = if line == 0 { 0 } else { ends[line - 1] + 1 };
        let at = begin + (ends[line] - begin) / 2;
        let home = copy_of(&before);
        change(&home, |octets| octets[at] ^= 1);
        let what = format!("octet {at} of event {}", line + 1);
        let place = format!("the ledger is damaged at event {} (octet {begin})", line + 1);
        let damaged = ledger(&home);

        let verified = finish(&mut home.pki(&["audit", "verify", "--json"]), b"")
            .exits(3)
            .json();
        assert_eq!(verified["good"], false, "{what}: {verified}");
        assert!(
            verified["problem"].as_str().unwrap().starts_with(&place),
            "{what}: {verified}"
        );

        finish(&mut home.pki(&["doctor"]), b"").exits(3);
        let found = findings(&home);
        let finding = found
            .iter()
            .find(|finding| finding["code"] == "ledger-damaged")
            .unwrap_or_else(|| panic!("{found:?}"));
        assert_eq!(finding["severity"], "error", "{what}");
        assert!(
            finding["message"].as_str().unwrap().starts_with(&place),
            "{what}: {finding}"
        );

        for arguments in [
            &["issue", "bob", "--bundle-passphrase-out", "bob", "--json"][..],
            &["revoke", "alice", "--yes", "--json"],
            &["publish", "--json"],
        ] {
            let refused = finish(&mut home.pki(arguments), b"").exits(1);
            assert_eq!(kind(&refused), "ledger-damaged", "{what}: {refused}");
            assert!(refused.stderr.contains(&place), "{what}: {refused}");
        }
        assert_eq!(
            ledger(&home),
            damaged,
            "{what}: the damaged ledger is evidence, and is left alone"
        );
        assert!(torn(&home).is_empty() && !home.path("bob").exists(), "{what}");
    }
}

#[test]
fn acknowledged_events_that_are_gone_stop_the_program() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    let gone = home.serial_of("alice/phone");
    home.run(&["revoke", "alice", "--yes", "-q"]);
    // An older copy of the ledger, as a careless restore puts it back: every link holds, and the lost phone
    // is let in again.
    change(&home, |octets| {
        let text = String::from_utf8(octets.clone()).unwrap();
        let kept = text
            .find("\"revoked\"")
            .map(|at| text[..at].rfind('\n').unwrap() + 1)
            .unwrap();
        octets.truncate(kept);
    });
    for arguments in [
        &["issue", "bob", "--bundle-passphrase-out", "bob", "--json"][..],
        &["revoke", &gone, "--yes", "--json"],
        &["publish", "--json"],
        &["list", "--json"],
    ] {
        let stopped = finish(&mut home.pki(arguments), b"").exits(1);
        assert_eq!(kind(&stopped), "events-missing", "{stopped}");
    }
    finish(&mut home.pki(&["doctor"]), b"").exits(3);
    let found = findings(&home);
    assert!(
        found
            .iter()
            .any(|f| f["code"] == "index-ahead" && f["severity"] == "error"),
        "{found:?}"
    );
    let verified = finish(&mut home.pki(&["audit", "verify", "--json"]), b"")
        .exits(3)
        .json();
    assert!(
        verified["problem"]
            .as_str()
            .unwrap()
            .contains("events are missing"),
        "{verified}"
    );
}

#[test]
fn a_certificate_that_a_restored_backup_has_lost_is_revoked_by_its_number_said_twice() {
    let backup = Home::new();
    let lost = {
        let home = copy_of(&backup);
        home.run(&["issue", "alice", "--bundle-passphrase-out", "first", "-q"]);
        home.serial_of("alice/phone")
    };
    let home = backup;
    let before = ledger(&home);
    let other = "00112233445566778899AABBCCDDEEFF".replace("0011", &lost[..4]);
    for arguments in [
        &["revoke", &lost, "--yes", "--json"][..],
        &["revoke", &lost, "--confirm", &other, "--json"],
    ] {
        let refused = finish(&mut home.pki(arguments), b"").exits(1);
        assert_eq!(kind(&refused), "unknown");
        assert!(
            refused
                .stderr
                .contains(&format!("`pki revoke {lost} --confirm {lost}`")),
            "{refused}"
        );
    }
    let confirmed = [
        "revoke",
        &lost,
        "--confirm",
        &lost,
        "--reason",
        "stolen",
        "--json",
        "-q",
    ];
    home.run(&[&confirmed[..], &["--dry-run"]].concat());
    assert_eq!(ledger(&home), before);

    let revoked = home.run(&confirmed).json();
    assert_eq!(
        (&revoked["revoked"][0], &revoked["published"]),
        (&lost.clone().into(), &true.into())
    );
    assert_eq!(revoked.get("employee"), None);
    let map = std::fs::read_to_string(home.server("revoked.map")).unwrap();
    assert_eq!(map, format!("{lost} 1;\n"));
    let crl = home.public("crl/issuing.crl");
    let shown = home.run(&["show", crl.to_str().unwrap(), "--json"]).json();
    assert_eq!(shown["entries"][0]["serial"], lost.clone());

    let again = home.run(&["revoke", &lost, "--json"]).json();
    assert!(
        again["revoked"].as_array().unwrap().is_empty() && again["already_since"].is_string(),
        "{again}"
    );
    assert_eq!(home.run(&["audit", "verify", "--json"]).json()["good"], true);
    let codes: Vec<_> = findings(&home)
        .iter()
        .map(|finding| finding["code"].to_string())
        .collect();
    assert!(
        !codes.iter().any(|code| code.contains("publication")),
        "{codes:?}"
    );
}
