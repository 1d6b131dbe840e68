//! Whatever is wrong with `pki.toml` keeps no lost phone in: what locks somebody out waits for no key of it.

use crate::support::{Finished, HOST, Home, finish, need};

/// What may happen to the file: its new text, and what is said of it.
const FAULTS: [(&str, &str); 6] = [
    ("oops = 1", "unknown field `oops`"),
    ("publish_on_issue = \"yes\"", "publish_on_issue"),
    ("no TOML at all", "TOML"),
    ("base_url = \"https://pki.acme.example\"", "base_url"),
    ("default_device = \"My Phone\"", "default_device"),
    ("publish = \"/srv/public\"", "publish"),
];

fn run(home: &Home, arguments: &[&str]) -> Finished {
    finish(&mut home.pki(arguments), b"")
}

/// A home with alice and bob, which publishes beside itself and has somebody told.
fn publishing() -> Home {
    let home = Home::staffed();
    std::fs::create_dir_all(home.path("web")).unwrap();
    let place = home.path("web").display().to_string();
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{place}/public\"\nserver = \"{place}/server\"\ncommand = [\"sh\", \"-c\", \"echo >> ran\"]\n"
    ));
    home.run(&["publish"]);
    home
}

fn read(home: &Home, file: &str) -> String {
    std::fs::read_to_string(home.path(file)).unwrap()
}

/// Puts a fault at the head of the file, where keys of no table stand, and gives what the file was.
fn spoil(home: &Home, fault: &str) -> String {
    let before = read(home, "home/pki.toml");
    std::fs::write(home.path("home/pki.toml"), format!("{fault}\n{before}")).unwrap();
    before
}

fn ran(home: &Home) -> usize {
    std::fs::read_to_string(home.path("ran"))
        .unwrap_or_default()
        .lines()
        .count()
}

#[test]
fn a_faulty_configuration_keeps_no_phone_in_and_publish_finishes_once_it_is_right() {
    for (fault, named) in FAULTS {
        let home = publishing();
        let serial = home.alice().serial;
        let before = spoil(&home, fault);
        // What issues waits for the operator.
        run(&home, &["issue", "carol", "--bundle-passphrase-out", "carol"]).exits(1);
        let said = run(&home, &["revoke", "alice", "--yes"]).exits(5);
        assert_eq!(said.stdout.trim(), serial, "{said}");
        assert!(said.stderr.contains("alice/phone is revoked"), "{said}");
        assert!(
            said.stderr.contains(named) && said.stderr.contains("pki.toml"),
            "{said}"
        );
        assert!(said.stderr.contains("then run `pki publish`"), "{said}");
        // The home's own places know it, and the others are as they were.
        assert!(
            read(&home, "home/server/revoked.map").contains(&serial),
            "{fault}"
        );
        assert!(
            !read(&home, "web/server/revoked.map").contains(&serial),
            "{fault}"
        );
        // Once more is the same, and asks for the same.
        run(&home, &["revoke", "alice", "--yes"]).exits(5);
        let ran_before = ran(&home);
        std::fs::write(home.path("home/pki.toml"), before).unwrap();
        home.run(&["publish"]);
        assert!(read(&home, "web/server/revoked.map").contains(&serial), "{fault}");
        assert_eq!(ran(&home), ran_before + 1, "{fault}");
    }
}

#[test]
fn a_configuration_that_cannot_be_read_keeps_nobody_in() {
    type Fault = fn(&std::path::Path);
    let faults: [Fault; 4] = [
        |file| std::fs::remove_file(file).unwrap(),
        |file| std::fs::write(file, b"default_device = \"\xFF\"").unwrap(),
        |file| {
            std::fs::remove_file(file).unwrap();
            std::fs::create_dir(file).unwrap();
        },
        |file| std::fs::write(file, "#".repeat(2 << 20)).unwrap(),
    ];
    for fault in faults {
        let home = Home::staffed();
        fault(&home.path("home/pki.toml"));
        run(&home, &["publish"]).exits(1);
        let said = run(&home, &["offboard", "alice", "--confirm", "alice"]).exits(5);
        assert!(said.stderr.contains("pki.toml"), "{said}");
        assert!(read(&home, "home/server/revoked.map").contains(&home.alice().serial));
        // Whom to revoke is found out as before.
        let said = run(&home, &["list", "--employee", "alice"]).ok();
        assert!(said.stdout.contains("revoked"), "{said}");
        run(&home, &["show", "alice"]).ok();
        run(&home, &["audit"]).ok();
    }
}

#[test]
fn recording_alone_needs_no_configuration_either() {
    let home = publishing();
    spoil(&home, "oops = 1");
    let said = run(&home, &["revoke", "alice", "--yes", "--no-publish"]).exits(5);
    assert!(said.stderr.contains("unknown field `oops`"), "{said}");
    assert!(
        said.stderr.contains("correct the file, then run `pki publish`"),
        "{said}"
    );
    let said = run(&home, &["list", "--employee", "alice"]).ok();
    assert!(said.stdout.contains("revoked"), "{said}");
    // The passphrase that only the file tells where to find keeps nobody in.
    let mut command = home.pki(&["revoke", "bob", "--yes"]);
    let said = finish(command.env_remove("PKI_PASSPHRASE_FILE"), b"").exits(5);
    assert!(said.stderr.contains("bob/phone is revoked"), "{said}");
    assert!(
        said.stderr.contains("recorded alone, and servers let it in"),
        "{said}"
    );
    let said = finish(&mut home.pki(&["doctor"]), b"");
    assert!(
        said.stdout.contains("then run `pki publish`: what was revoked"),
        "{said}"
    );
    assert!(!read(&home, "home/server/revoked.map").contains(&home.bob().serial));
    // A wrong one is told as ever, and records nothing.
    let wrong = home
        .write_private("wrong", "no such passphrase")
        .display()
        .to_string();
    let home = publishing();
    spoil(&home, "oops = 1");
    let said = run(&home, &["revoke", "bob", "--yes", "--passphrase-file", &wrong]).exits(4);
    assert!(said.stderr.contains("--no-publish"), "{said}");
}

#[test]
fn a_server_is_locked_out_whatever_the_configuration_says() {
    let home = Home::with_certified_server();
    let said = run(&home, &["server", "list", "--json"]).json();
    let serial = said["servers"][0]["certificate"]["serial"]
        .as_str()
        .unwrap()
        .to_owned();
    spoil(&home, "oops = 1");
    let said = run(&home, &["revoke", &serial, "--yes"]).exits(5);
    assert!(
        said.stderr.contains("is revoked") && said.stderr.contains("oops"),
        "{said}"
    );
    let crl = run(&home, &["show", "home/public/crl/servers.crl"]).ok();
    assert!(crl.stdout.contains(&serial), "{crl}");
}

#[test]
fn what_the_configuration_decided_last_holds_until_it_can_be_read_again() {
    let home = publishing();
    home.configure("issuing_crl_days", "7");
    home.run(&["revoke", "bob", "--yes"]);
    spoil(&home, "oops = 1");
    run(&home, &["revoke", "alice", "--yes"]).exits(5);
    // The new CRL holds as long as the last one did.
    let said = run(&home, &["show", "home/public/crl/issuing.crl"]).ok();
    let good = said.stdout.lines().find_map(|line| line.strip_prefix("good"));
    let (from, to) = good.and_then(|good| good.trim().split_once(" to ")).unwrap();
    assert_eq!(days_between(&home, from, to), 7, "{said}");
}

#[test]
fn no_pin_is_given_up_by_a_default() {
    if !need(&["faketime"]) {
        return;
    }
    let home = publishing();
    home.configure("overlap_days", "90");
    home.run(&["server", "add", HOST, "--out", "tls"]);
    home.run(&["server", "rotate", HOST, "--confirm", HOST, "--out", "tls"]);
    finish(&mut home.pki_at("+20d", &["revoke", "bob", "--yes"]), b"").ok();
    let pins = read(&home, "home/public/pins/pins.json");
    assert!(pins.contains("retiring"), "{pins}");
    spoil(&home, "oops = 1");
    finish(&mut home.pki_at("+40d", &["revoke", "alice", "--yes"]), b"").exits(5);
    assert_eq!(read(&home, "home/public/pins/pins.json"), pins);
}

/// Whole days between two times, by the foreign program `date`.
fn days_between(home: &Home, from: &str, to: &str) -> i64 {
    let seconds = |time: &str| {
        let told = home.foreign("date", &["-d", time, "+%s"]).ok().stdout;
        told.trim().parse::<i64>().unwrap()
    };
    (seconds(to) - seconds(from)) / 86_400
}

#[test]
fn what_is_owed_and_in_doubt_is_not_forgotten_by_a_home_that_cannot_tell_its_places() {
    let home = publishing();
    // A command that fails is owed; a place that was emptied is in doubt.
    let table = read(&home, "home/pki.toml").replace("echo >> ran", "test -e mended");
    std::fs::write(home.path("home/pki.toml"), &table).unwrap();
    std::fs::remove_dir_all(home.path("web/server")).unwrap();
    std::fs::create_dir(home.path("web/server")).unwrap();
    run(&home, &["publish"]).exits(5);
    let notes = ["home/owed.json", "home/doubts.json"].map(|note| read(&home, note));
    assert!(notes.iter().all(|note| note.contains("web/server")), "{notes:?}");
    let before = spoil(&home, "oops = 1");
    run(&home, &["revoke", "alice", "--yes"]).exits(5);
    for (note, was) in ["home/owed.json", "home/doubts.json"].into_iter().zip(notes) {
        assert!(read(&home, note).contains("web/server"), "{note}: {was}");
    }
    std::fs::write(home.path("home/pki.toml"), before).unwrap();
    std::fs::write(home.path("mended"), "").unwrap();
    let said = run(&home, &["publish"]).ok();
    assert!(said.stderr.contains("web/server"), "{said}");
}

#[test]
fn a_faulty_template_keeps_nobody_in() {
    let home = Home::staffed();
    for file in ["templates/profiles/device.toml", "templates/config/nginx.conf"] {
        let file = home.home().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "{{ no template }} and no TOML").unwrap();
    }
    run(&home, &["issue", "carol", "--bundle-passphrase-out", "carol"]).exits(1);
    home.run(&["revoke", "alice", "--yes"]);
    home.run(&["offboard", "bob", "--confirm", "bob"]);
}

#[test]
fn places_that_a_file_has_lost_are_missed() {
    for lost in ["", "publish_on_issue = true\n"] {
        let home = publishing();
        let before = read(&home, "home/pki.toml");
        std::fs::write(home.path("home/pki.toml"), lost).unwrap();
        let said = run(&home, &["revoke", "alice", "--yes"]).exits(5);
        assert!(
            said.stderr.contains("no [[publish]]") && said.stderr.contains("web/public"),
            "{said}"
        );
        run(&home, &["publish", "--no-input"]).exits(5);
        let found = run(&home, &["doctor", "--json"]).exits(3).json();
        let mut findings = found["findings"].as_array().unwrap().iter();
        assert!(findings.any(|one| one["code"] == "places-forgotten"), "{found}");

        std::fs::write(home.path("home/pki.toml"), &before).unwrap();
        run(&home, &["publish"]).ok();
        assert!(read(&home, "web/server/revoked.map").contains(&home.alice().serial));

        // That there is to be none can be said.
        std::fs::write(home.path("home/pki.toml"), format!("publish = []\n{lost}")).unwrap();
        run(&home, &["revoke", "bob", "--yes"]).ok();
    }
}
