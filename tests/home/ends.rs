//! Certificates that end: nothing does so unforetold, and a renewal gives what the last one gave.

use serde_json::Value;

use crate::support::{Finished, Home, finish, need};

/// What the program says at another time; it must succeed.
#[track_caller]
fn at(home: &Home, when: &str, arguments: &[&str]) -> Finished {
    finish(&mut home.pki_at(when, arguments), b"").ok()
}

/// The findings of `doctor` with this code, at another time.
#[track_caller]
fn found(home: &Home, when: &str, code: &str) -> Vec<Value> {
    let said = finish(&mut home.pki_at(when, &["doctor", "--json"]), b"").json();
    let mut found = said["findings"].as_array().unwrap().clone();
    found.retain(|finding| finding["code"] == code);
    found
}

fn addresses(devices: &Value) -> Vec<&str> {
    let devices = devices.as_array().unwrap().iter();
    devices
        .map(|device| device["address"].as_str().unwrap())
        .collect()
}

/// A device for each of these, of a life of its own where one is named.
fn with_devices(devices: &[(&str, Option<&str>)]) -> Home {
    let home = Home::new();
    for (device, days) in devices {
        match days {
            Some(days) => home.issue(device, &["--days", days]),
            None => home.issue(device, &[]),
        };
    }
    home
}

#[test]
fn a_device_whose_last_certificate_has_ended_is_found_listed_and_renewed() {
    let home = with_devices(&[
        ("alice/phone", None),
        ("bob/phone", Some("365")),
        ("carol/phone", None),
        ("dave/phone", None),
        ("erin/phone", Some("120")),
    ]);
    home.run(&["revoke", "carol/phone", "--yes"]);
    home.run(&["offboard", "dave", "--confirm", "dave"]);
    at(&home, "+100d", &["publish", "--confirm", "CLOCK"]);

    let now = "+113d";
    let finding = found(&home, now, "certificates-ended");
    assert_eq!(finding.len(), 1);
    assert_eq!(finding[0]["severity"], "warning");
    let message = finding[0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("1 device has no certificate") && message.ends_with(": alice/phone"),
        "{message}"
    );
    let list = ["list", "--expiring", "30d", "--json"];
    let said = at(&home, now, &list).json();
    assert_eq!(addresses(&said["devices"]), ["alice/phone", "erin/phone"]);
    finish(
        &mut home.pki_at(now, &["list", "--expiring", "1d", "--check"]),
        b"",
    )
    .exits(3);

    let delivery = ["--out", "renewed", "--bundle-passphrase-out", "list", "--json"];
    let would = at(
        &home,
        now,
        &[&["renew", "--expiring", "30d", "--dry-run"], &delivery[..]].concat(),
    );
    assert!(would.stderr.contains("would issue 2"), "{would}");
    let renewed = at(&home, now, &[&["renew", "--expired"], &delivery[..]].concat()).json();
    assert_eq!(addresses(&renewed["issued"]), ["alice/phone"]);
    assert_eq!(found(&home, now, "certificates-ended"), Vec::<Value>::new());
    assert_eq!(
        addresses(&at(&home, now, &list).json()["devices"]),
        ["erin/phone"]
    );

    // What nobody uses any more is taken back, and is told no more.
    at(&home, "+125d", &["publish"]);
    assert_eq!(found(&home, "+125d", "certificates-ended").len(), 1);
    at(&home, "+125d", &["revoke", "erin/phone", "--yes"]);
    assert_eq!(found(&home, "+125d", "certificates-ended"), Vec::<Value>::new());
}

#[test]
fn findings_of_one_kind_are_counted() {
    let home = Home::new();
    let target = home.path("web");
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{}\"\nreload = \"elsewhere\"\n",
        target.display()
    ));
    home.run(&["publish", "-q"]);
    for number in 0..12 {
        std::fs::write(target.join(format!("stray-{number}")), "").unwrap();
    }
    let strays = found(&home, "+0d", "stray");
    assert_eq!(strays.len(), 6, "{strays:?}");
    assert_eq!(strays[5]["message"], "and 7 more of this kind");
}

/// How many days each certificate of a device lives, the oldest first.
#[track_caller]
fn lives(home: &Home, device: &str) -> Vec<i64> {
    let said = home.run(&["show", device, "--json"]).json();
    let history = said["history"].as_array().unwrap().iter();
    let unix = |time: &Value| {
        let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
        time.as_second()
    };
    history
        .map(|record| (unix(&record["not_after"]) - unix(&record["not_before"]) + 1) / 86_400)
        .collect()
}

#[test]
fn a_renewal_keeps_the_life_that_was_asked_for() {
    let home = with_devices(&[("kim/phone", Some("365")), ("lee/phone", None)]);
    for device in ["kim/phone", "lee/phone"] {
        home.renew(device, &[]);
    }
    assert_eq!(lives(&home, "kim/phone"), [365, 365]);
    assert_eq!(lives(&home, "lee/phone"), [90, 90]);
    let again = ["renew", "lee/phone", "--days", "30", "--out", "more"];
    home.run(&[&again[..], &["--bundle-passphrase-out", "lee"]].concat());
    let all = [
        "renew",
        "--expiring",
        "60d",
        "--out",
        "more",
        "--bundle-passphrase-out",
        "list",
    ];
    // Who was to have it for a month has it for another one, and is named.
    let said = home.run(&all);
    assert!(
        said.stderr
            .contains("1 device was issued for a time of its own, which begins anew: lee/phone (30 days)"),
        "{said}"
    );
    assert!(said.stderr.contains("pki revoke EMPLOYEE/DEVICE"), "{said}");
    assert_eq!(lives(&home, "lee/phone"), [90, 90, 30, 30]);
}

#[test]
fn a_renewal_for_less_than_the_last_one_says_so() {
    let home = with_devices(&[
        ("kim/phone", Some("365")),
        ("lee/phone", None),
        ("max/phone", Some("50")),
    ]);
    let profiles = home.home().join("templates/profiles");
    std::fs::create_dir_all(&profiles).unwrap();
    std::fs::write(profiles.join("device.toml"), "days = 60\nmax_days = 100\n").unwrap();
    let renew = |device: &str| {
        let file = format!("{}.renewed", device.replace('/', "-"));
        home.run(&["renew", device, "--out", "one", "--bundle-passphrase-out", &file])
            .stderr
    };
    let said = renew("kim/phone");
    let told =
        "the last certificate of kim/phone was for 365 days, and this one is for 100: profile device says so";
    assert!(said.contains(told), "{said}");
    assert!(renew("lee/phone").contains("was for 90 days, and this one is for 60"));
    let said = renew("max/phone");
    assert!(!said.contains("days, and this one"), "{said}");

    std::fs::write(profiles.join("device.toml"), "days = 10\nmax_days = 20\n").unwrap();
    let all = [
        "renew",
        "--expiring",
        "365d",
        "--out",
        "more",
        "--bundle-passphrase-out",
        "list",
    ];
    let said = home.run(&all).stderr;
    let told =
        "3 devices: kim/phone (20 days, not 100), lee/phone (10 days, not 60), max/phone (20 days, not 50)";
    assert!(said.contains(told), "{said}");
}

#[test]
fn who_reads_what_the_timer_says_is_told_of_certificates_that_end() {
    let home = with_devices(&[("alice/phone", None), ("bob/phone", None)]);
    let timer = |when: &str| at(&home, when, &["publish", "--no-input", "--unlock", "-q"]);
    let told = |when: &str| {
        let said = timer(when).stderr;
        said.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    for quiet in ["+0d", "+15d", "+30d", "+45d", "+59d"] {
        assert_eq!(told(quiet), [""; 0], "{quiet}");
    }
    let said = told("+60d");
    let [warning, hint] = &said[..] else {
        panic!("{said:?}")
    };
    assert!(
        warning.starts_with("pki: warning: 2 certificates of devices end within 30 days, the first on "),
        "{warning}"
    );
    assert!(warning.ends_with(": alice/phone, bob/phone"), "{warning}");
    assert!(
        hint.contains("renew --expiring 30d --out DIR --bundle-passphrase-out FILE"),
        "{hint}"
    );
    // The same list is no news, not on the next day either; another one is, and so is the same after a week.
    assert_eq!(told("+60d"), [""; 0]);
    assert_eq!(told("+61d"), [""; 0]);
    let renew = [
        "renew",
        "bob/phone",
        "--out",
        "new",
        "--bundle-passphrase-out",
        "bob.new",
        "-q",
    ];
    at(&home, "+61d", &renew);
    let said = told("+62d");
    assert!(
        said[0].starts_with("pki: warning: 1 certificate of a device ends within"),
        "{said:?}"
    );
    assert_eq!(told("+68d"), [""; 0]);
    assert_eq!(told("+69d").len(), 2);
    timer("+80d");
    let said = told("+91d");
    assert!(
        said[0].starts_with("pki: warning: 1 device has no certificate any more"),
        "{said:?}"
    );
    let said = at(&home, "+91d", &["publish", "--json"]).json();
    assert_eq!(said["ended"], serde_json::json!(["alice/phone"]));
    home.configure("warn_days", "0");
    assert_eq!(told("+92d"), [""; 0]);
}

#[test]
fn who_reads_what_the_timer_says_is_told_of_servers_whose_certificates_end() {
    let home = Home::bare();
    let (own, other) = ("api.acme.example", "www.acme.example");
    for host in [own, other] {
        home.run(&["server", "add", host, "--out", "tls"]);
    }
    home.run(&["server", "issue", own, "--out", "tls", "--days", "60"]);
    let by_another = format!(
        "req -x509 -key tls/{other}.key -days 60 -subj /CN=x -addext subjectAltName=DNS:{other} -addext \
         basicConstraints=critical,CA:FALSE -out other.crt"
    );
    home.foreign("openssl", &by_another.split_whitespace().collect::<Vec<_>>())
        .ok();
    home.run(&["server", "import", other, "--cert", "other.crt"]);
    let told = |when: &str| at(&home, when, &["publish", "--no-input", "--unlock", "-q"]).stderr;
    for quiet in ["+0d", "+15d", "+29d"] {
        assert_eq!(told(quiet), "", "{quiet}");
    }
    let said = told("+31d");
    assert!(said.contains(&format!("the server {own} ends on")), "{said}");
    assert!(
        said.contains(&format!("pki server issue {own} --out DIR")),
        "{said}"
    );
    // Another CA renews it when it thinks right, and mostly later than that.
    assert!(!said.contains(other), "{said}");
    assert_eq!(told("+32d"), "");
    let said = told("+47d");
    assert!(said.contains(&format!("server import {other}")), "{said}");
    at(
        &home,
        "+48d",
        &["server", "issue", own, "--out", "tls", "--days", "398"],
    );
    let said = at(&home, "+48d", &["publish", "--json"]).json();
    assert_eq!(said["ending_servers"], serde_json::json!([other]));
    assert!(told("+61d").contains("has ended on"));
}

#[test]
fn who_reads_what_the_timer_says_is_told_of_cas_that_end() {
    let home = Home::new();
    let told = |when: &str| {
        let timer = ["publish", "--no-input", "--unlock", "-q", "--confirm", "CLOCK"];
        // The root's CRL has ended, which is told beside.
        let said = finish(&mut home.pki_at(when, &timer), b"").exits(5);
        let lines = said
            .stderr
            .lines()
            .filter(|line| line.contains("the certificate of the"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    // The issuing CA is good for five years.
    assert_eq!(told("+1640d"), [""; 0]);
    let [said] = told("+1650d").try_into().unwrap();
    assert!(
        said.contains("the certificate of the issuing CA ends on"),
        "{said}"
    );
    assert_eq!(told("+1651d"), [""; 0]);
    assert_eq!(told("+1658d").len(), 1);
    // Nothing can be signed after the end.
    let said = finish(
        &mut home.pki_at("+1830d", &["publish", "--confirm", "CLOCK"]),
        b"",
    )
    .exits(1);
    assert!(
        said.stderr
            .contains("the certificate of the issuing CA is good from"),
        "{said}"
    );
    assert!(said.stderr.contains("found a new PKI"), "{said}");
    assert_eq!(found(&home, "+1830d", "ca-ended").len(), 1);
}

#[test]
fn a_home_of_which_nobody_makes_backups_is_found() {
    let home = Home::new();
    let severity = |when: &str| -> Vec<String> {
        let found = found(&home, when, "backup-unknown");
        let severities = found.iter().map(|finding| finding["severity"].as_str().unwrap());
        severities.map(str::to_owned).collect()
    };
    assert_eq!(severity("+0d"), ["note"]);
    assert_eq!(severity("+29d"), ["note"]);
    assert_eq!(severity("+31d"), ["warning"]);
    home.configure("backup", "\"elsewhere\"");
    assert_eq!(severity("+31d"), [""; 0]);
    home.configure("backup", "\"nowhere\"");
    assert_eq!(found(&home, "+0d", "home").len(), 1);
}

#[test]
fn a_timer_that_never_ran_and_one_that_runs_no_more_are_found() {
    let home = Home::new();
    let severity = |when: &str, code: &str| -> Vec<String> {
        let found = found(&home, when, code);
        let severities = found.iter().map(|finding| finding["severity"].as_str().unwrap());
        severities.map(str::to_owned).collect()
    };
    assert_eq!(severity("+0d", "timer-never"), ["note"]);
    assert_eq!(severity("+8d", "timer-never"), ["warning"]);
    home.run(&["publish", "-q"]);
    assert_eq!(severity("+7d", "timer-never"), [""; 0]);
    assert_eq!(severity("+7d", "timer-stopped"), [""; 0]);
    assert_eq!(severity("+8d", "timer-stopped"), ["warning"]);
    at(&home, "+8d", &["publish", "-q"]);
    assert_eq!(severity("+8d", "timer-stopped"), [""; 0]);
    // What a file says that cannot be read is that no timer ran.
    std::fs::write(home.home().join("timer.json"), "{").unwrap();
    assert_eq!(severity("+8d", "timer-never"), ["warning"]);
}

#[test]
fn the_life_of_certificates_and_how_their_ends_are_spread_are_keys_of_the_configuration() {
    let home = Home::new();
    home.configure("days", "60");
    home.issue("alice/phone", &[]);
    assert_eq!(lives(&home, "alice/phone"), [60]);
    home.configure("spread", "\"20d\"");
    let devices = ["a/phone", "b/phone", "c/phone", "d/phone"];
    let ends: Vec<i64> = devices
        .iter()
        .map(|device| {
            home.issue(device, &[]);
            lives(&home, device)[0]
        })
        .collect();
    assert!(ends.iter().all(|days| (40..=60).contains(days)), "{ends:?}");
    assert!(ends.iter().any(|days| *days != ends[0]), "{ends:?}");
    home.renew("a/phone", &[]);
    assert_eq!(lives(&home, "a/phone"), [ends[0]; 2]);
    home.issue("e/phone", &["--days", "60"]);
    assert_eq!(lives(&home, "e/phone"), [60]);
}

/// Only the device itself can ask for the next one, and nothing else is due.
#[test]
fn what_needs_a_request_is_not_said_not_to_end() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    home.request("a");
    home.run(&["issue", "alice", "--csr", "a.csr", "--days", "8"])
        .ok();
    let said = finish(
        &mut home.pki(&["renew", "--expiring", "30d", "--bundle-passphrase-out", "list"]),
        b"",
    );
    assert_eq!(said.code, Some(5), "{said}");
    assert!(said.stderr.contains("alice/phone made its own key"), "{said}");
    assert!(!said.stderr.contains("no certificate ends"), "{said}");
}
