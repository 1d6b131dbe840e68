//! A clock that is wrong.

use crate::state::{events, findings, is_sound, kind, ledger, recorded};
use crate::support::{Home, copy_of, finish, need, program};

const TOOLS: [&str; 2] = ["faketime", "openssl"];

fn lived_in() -> Home {
    let home = Home::new();
    home.run(&["issue", "alice", "--bundle-passphrase-out", "first", "-q"]);
    home
}

/// The time of the last event.
fn last(home: &Home) -> String {
    events(home).last().unwrap()["time"].as_str().unwrap().to_owned()
}

#[test]
fn a_clock_an_hour_back_is_refused_with_both_times() {
    if !need(&TOOLS) {
        return;
    }
    let home = lived_in();
    let (before, last) = (ledger(&home), last(&home));
    let arguments = ["issue", "bob", "--bundle-passphrase-out", "bob", "--json"];
    let refused = finish(&mut home.pki_at("-1h", &arguments), b"").exits(1);
    assert_eq!(kind(&refused), "clock-behind");
    let error: serde_json::Value = serde_json::from_str(&refused.stderr).unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    let clock = message
        .strip_prefix("the clock says ")
        .and_then(|rest| rest.split_once(", and the last event was recorded at "));
    let (clock, rest) = clock.unwrap_or_else(|| panic!("{message}"));
    assert_eq!(rest, format!("{last}: the clock is behind"));
    assert!(
        clock < last.as_str() && clock.ends_with('Z') && clock.len() == 20,
        "{message}"
    );
    assert!(
        error["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("--confirm CLOCK"),
        "{error}"
    );
    assert_eq!(ledger(&home), before);
    assert!(!home.path("bob").exists());
}

#[test]
fn a_confirmed_clock_goes_on_and_is_recorded() {
    if !need(&TOOLS) {
        return;
    }
    // The last event was recorded by a clock that stood two hours ahead. Now it is set right.
    let home = Home::new();
    finish(
        &mut home.pki_at(
            "+2h",
            &["issue", "alice", "--bundle-passphrase-out", "first", "-q"],
        ),
        b"",
    )
    .ok();
    let arguments = |confirm| {
        [
            "issue",
            "bob",
            "--bundle-passphrase-out",
            "bob",
            "--json",
            "-q",
            "--confirm",
            confirm,
        ]
    };
    let refused = finish(&mut home.pki(&arguments("CLOCK")[..6]), b"").exits(1);
    assert_eq!(kind(&refused), "clock-behind");
    finish(&mut home.pki(&arguments("bob")), b"").exits(2);
    home.run(&arguments("CLOCK"));
    let confirmed: Vec<_> = events(&home)
        .into_iter()
        .filter(|event| event["event"] == "clock_confirmed")
        .collect();
    assert_eq!(confirmed.len(), 1, "{:?}", events(&home));
    assert!(
        confirmed[0]["clock"].as_str().unwrap() < confirmed[0]["last"].as_str().unwrap(),
        "{confirmed:?}"
    );
    assert_eq!(home.run(&["audit", "verify", "--json"]).json()["good"], true);
}

#[test]
fn a_clock_two_minutes_back_is_the_last_events_time() {
    if !need(&TOOLS) {
        return;
    }
    let home = lived_in();
    let before = last(&home);
    finish(
        &mut home.pki_at("-2m", &["issue", "bob", "--bundle-passphrase-out", "bob", "-q"]),
        b"",
    )
    .ok();
    assert_eq!(last(&home), before);
    is_sound(&home, "two minutes back");
}

#[test]
fn revoking_is_never_refused_for_the_clock() {
    if !need(&TOOLS) {
        return;
    }
    for offset in ["-1h", "-400d", "+60d"] {
        let home = lived_in();
        let serial = home.serial_of("alice/phone");
        finish(
            &mut home.pki_at(offset, &["revoke", "alice", "--yes", "--json", "-q"]),
            b"",
        )
        // By such a clock the CRL is not good: that is told, and the right clock takes it.
        .exits(5);
        assert!(recorded(&home, &serial), "{offset}");
        let map = std::fs::read_to_string(home.server("revoked.map")).unwrap();
        assert_eq!(map, format!("{serial} 1;\n"), "{offset}");
    }
}

#[test]
fn a_clock_far_ahead_is_a_question() {
    if !need(&TOOLS) {
        return;
    }
    let home = lived_in();
    let before = ledger(&home);
    let arguments = ["issue", "bob", "--bundle-passphrase-out", "bob"];
    let refused = finish(&mut home.pki_at("+60d", &arguments), b"").exits(4);
    let last = last(&home);
    assert!(refused.stderr.contains("the clock says "), "{refused}");
    assert!(
        refused
            .stderr
            .contains(&format!("nothing has happened here since {last}")),
        "{refused}"
    );
    assert!(
        refused.stderr.contains("repeat with --confirm CLOCK"),
        "{refused}"
    );
    assert_eq!(ledger(&home), before);
    assert!(!home.path("bob").exists());

    let found = finish(&mut home.pki_at("+60d", &["doctor", "--json"]), b"")
        .exits(3)
        .json();
    let found = found["findings"].as_array().unwrap();
    assert!(
        found
            .iter()
            .any(|f| f["code"] == "clock-ahead" && f["severity"] == "warning"),
        "{found:?}"
    );
    assert!(
        !findings(&home)
            .iter()
            .any(|finding| finding["code"] == "clock-ahead")
    );

    finish(
        &mut home.pki_at(
            "+60d",
            &["issue", "bob", "--bundle-passphrase-out", "bob", "--yes"],
        ),
        b"",
    )
    .ok();
    assert!(home.path("bob-phone.p12").exists());
}

/// Nothing may be signed in the future on a doubtful clock's word, for no server takes it, nor be recorded
/// there: then the right time is refused.
#[test]
fn a_timer_on_a_clock_far_ahead_changes_nothing() {
    if !need(&TOOLS) {
        return;
    }
    let home = lived_in();
    let before = (ledger(&home), crl(&home));
    for arguments in [
        &["publish", "--no-input"][..],
        &["root", "crl", "--no-input"],
        &[
            "renew",
            "alice",
            "--no-input",
            "--bundle-passphrase-out",
            "second",
        ],
        &[
            "renew",
            "--expiring",
            "900d",
            "--no-input",
            "--bundle-passphrase-out",
            "second",
        ],
    ] {
        let refused = finish(&mut home.pki_at("+60d", &[arguments, &["--json"]].concat()), b"").exits(4);
        assert_eq!(kind(&refused), "clock-ahead", "{arguments:?}");
        assert_eq!((ledger(&home), crl(&home)), before, "{arguments:?}");
    }
    let would = finish(
        &mut home.pki_at("+60d", &["publish", "--dry-run", "--confirm", "CLOCK"]),
        b"",
    )
    .ok();
    assert_eq!((ledger(&home), crl(&home)), before, "{would}");
    home.run(&["publish", "--no-input", "-q"]);

    finish(
        &mut home.pki_at("+60d", &["publish", "--confirm", "CLOCK", "-q"]),
        b"",
    )
    .ok();
    assert_ne!(crl(&home), before.1);
    let confirmed = events(&home)
        .into_iter()
        .filter(|event| event["event"] == "clock_confirmed");
    assert_eq!(confirmed.count(), 1);
}

#[test]
fn revoking_on_a_clock_far_ahead_locks_nobody_else_out() {
    if !need(&TOOLS) {
        return;
    }
    let home = lived_in();
    let said = finish(&mut home.pki_at("+4000d", &["revoke", "alice", "--yes"]), b"").exits(5);
    assert!(
        said.stderr.contains("run `pki publish --confirm CLOCK`"),
        "{said}"
    );
    let shown = home
        .run(&["show", home.public("crl/issuing.crl").to_str().unwrap(), "--json"])
        .json();
    let now = finish(program("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]), b"").text();
    assert!(shown["this_update"].as_str().unwrap() <= now.trim(), "{shown}");
    assert!(shown["next_update"].as_str().unwrap() > now.trim(), "{shown}");
    // And the right clock is not refused after it.
    home.run(&["issue", "bob", "--bundle-passphrase-out", "second", "-q"]);
}

#[test]
fn a_home_that_was_idle_for_long_is_told_how_to_finish_a_revocation() {
    if !need(&TOOLS) {
        return;
    }
    let home = lived_in();
    let serial = home.serial_of("alice/phone");
    finish(&mut home.pki_at("+60d", &["revoke", "alice", "--yes", "-q"]), b"").exits(5);
    finish(
        &mut home.pki_at("+60d", &["publish", "--confirm", "CLOCK", "-q"]),
        b"",
    )
    .ok();
    assert!(good_at(&home, 60) && recorded(&home, &serial));
}

/// What was published since proves the clock that the old ledger doubts.
#[test]
fn a_restored_backup_revokes_with_a_crl_that_is_good() {
    if !need(&TOOLS) {
        return;
    }
    for root_signs in [false, true] {
        let home = lived_in();
        let serial = home.serial_of("alice/phone");
        let [public, server] = ["web/public", "web/server"].map(|area| home.path(area).display().to_string());
        home.configure_table(&format!(
            "[[publish]]\npublic = \"{public}\"\nserver = \"{server}\"\n"
        ));
        home.run(&["publish", "-q"]);
        let backup = copy_of(&home);
        for (days, arguments) in [("+20d", &["publish", "-q"][..]), ("+40d", &["root", "crl", "-q"])] {
            if root_signs || arguments[0] == "publish" {
                finish(&mut home.pki_at(days, arguments), b"").ok();
            }
        }
        finish(&mut home.pki_at("+40d", &["publish", "-q"]), b"").ok();
        std::fs::remove_dir_all(home.home()).unwrap();
        std::fs::rename(backup.home(), home.home()).unwrap();

        finish(&mut home.pki_at("+50d", &["revoke", "alice", "--yes", "-q"]), b"").ok();
        let map = std::fs::read_to_string(home.path("web/server/revoked.map")).unwrap();
        assert_eq!(map, format!("{serial} 1;\n"));
        assert!(good_at(&home, 50), "root signs: {root_signs}");
    }
}

/// Whether the published issuing CRL is good so many days from now.
fn good_at(home: &Home, days: i64) -> bool {
    let path = home.public("crl/issuing.crl");
    let shown = home.run(&["show", path.to_str().unwrap(), "--json"]).json();
    let at = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days)).to_string();
    shown["this_update"].as_str().unwrap() <= at.as_str()
        && at.as_str() < shown["next_update"].as_str().unwrap()
}

#[test]
fn a_confirmed_clock_is_recorded_with_what_goes_by_it_and_not_without() {
    if !need(&TOOLS) {
        return;
    }
    let home = lived_in();
    let before = ledger(&home);
    let issue = [
        "issue",
        "alice",
        "--confirm",
        "CLOCK",
        "--json",
        "--bundle-passphrase-out",
        "x",
    ];
    let refused = finish(&mut home.pki_at("+60d", &issue), b"").exits(1);
    assert_eq!(kind(&refused), "already-valid");
    assert_eq!(ledger(&home), before);
}

fn crl(home: &Home) -> Vec<u8> {
    std::fs::read(home.public("crl/issuing.crl")).unwrap()
}

#[test]
fn a_clock_that_is_wrong_hides_no_certificate_that_is_to_be_taken_back() {
    if !need(&TOOLS) {
        return;
    }
    // By a clock 100 days ahead her certificate has ended; nobody else's clock says that.
    let home = lived_in();
    let serial = home.serial_of("alice/phone");
    finish(
        &mut home.pki_at("+100d", &["revoke", "alice", "--yes", "-q"]),
        b"",
    )
    .exits(5);
    assert!(recorded(&home, &serial));

    // A timer published while the clock stood ahead: the last event is in the future when it has been set
    // right.
    let home = lived_in();
    home.run(&["issue", "bob", "--bundle-passphrase-out", "second", "-q"]);
    home.run(&["revoke", "bob", "--yes", "-q"]);
    let (alice, bob) = (home.serial_of("alice/phone"), home.serial_of("bob/phone"));
    finish(&mut home.pki_at("+100d", &["publish", "--yes", "-q"]), b"").ok();
    finish(&mut home.pki(&["revoke", "alice", "--yes", "-q"]), b"").exits(5);
    assert!(recorded(&home, &alice));
    let map = std::fs::read_to_string(home.server("revoked.map")).unwrap();
    assert!(map.contains(&alice) && map.contains(&bob), "{map}");
    home.run(&["publish", "--confirm", "CLOCK", "-q"]);
    let map = std::fs::read_to_string(home.server("revoked.map")).unwrap();
    assert!(map.contains(&alice) && map.contains(&bob), "{map}");
}

#[test]
fn a_crl_is_good_at_once_where_the_last_event_was_recorded_by_a_clock_ahead() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::new();
    let issue = [
        "issue",
        "alice",
        "--bundle-passphrase-out",
        "first",
        "--no-publish",
        "-q",
    ];
    finish(&mut home.pki_at("+2h", &issue), b"").ok();
    home.run(&["revoke", "alice", "--yes", "-q"]);
    let crl = home.public("crl/issuing.crl");
    let shown = home.run(&["show", crl.to_str().unwrap(), "--json"]).json();
    let now = finish(program("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]), b"").text();
    assert!(shown["this_update"].as_str().unwrap() <= now.trim(), "{shown}");
    assert_eq!(shown["entries"].as_array().unwrap().len(), 1);
}
