//! Bundles for devices that cannot make a key: made with the invite, kept in the home, and handed out by a
//! plain form. curl is the browser without scripts.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::operations::logged;
use super::{Invite, Serving, TOOLS, kind_of};
use crate::support::{Bundle, Finished, HOST, Home, finish, need, wait_until};

/// What the form was answered.
struct Answer {
    status: u16,
    /// The head, in lower case.
    head: String,
    /// Where the body is.
    file: PathBuf,
}

impl Answer {
    fn words(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap()
    }

    fn octets(&self) -> Vec<u8> {
        std::fs::read(&self.file).unwrap()
    }
}

impl Serving {
    /// Sends the form of this invite from an address of this machine.
    fn fetch_from(&self, from: &str, id: &str, fields: &[(&str, &str)]) -> Answer {
        let (file, head) = (self.home.path("device.p12"), self.home.path("head"));
        let _ = std::fs::remove_file(&file);
        let mut config = format!(
            "output = \"{}\"\ndump-header = \"{}\"\ninterface = \"{from}\"\n",
            file.display(),
            head.display()
        );
        for (name, value) in fields {
            config.push_str(&format!("data-urlencode = \"{name}={value}\"\n"));
        }
        let (status, _) = self.ask(&format!("/i/{id}"), &config);
        let head = std::fs::read_to_string(head).unwrap().to_lowercase();
        Answer { status, head, file }
    }

    fn fetch(&self, invite: &Invite) -> Answer {
        let fields = [("secret", invite.word("secret"))];
        self.fetch_from("127.0.0.1", invite.word("id"), &fields)
    }

    /// An invite with a bundle, which is kept.
    fn with_key(&self, more: &[&str]) -> Invite {
        let invite = self.invite(&[&["alice", "--server-key"], more].concat());
        assert!(self.kept(&invite).exists());
        invite
    }

    fn kept(&self, invite: &Invite) -> PathBuf {
        kept(&self.home, invite.word("id"))
    }

    fn opened(&self, answer: &Answer, invite: &Invite) -> [PathBuf; 3] {
        let passphrase = format!("{}\n", invite.word("passphrase"));
        self.home.opened(&Bundle {
            files: vec![answer.file.clone()],
            p12: answer.file.clone(),
            passphrase: self.home.write_private("word", &passphrase),
            serial: invite.word("serial").to_owned(),
        })
    }
}

fn kept(home: &Home, id: &str) -> PathBuf {
    home.home().join(format!("handout/{id}.p12"))
}

fn status_of(home: &Home, serial: &str) -> String {
    let said = home.run(&["list", "--json"]).json();
    let devices = said["devices"].as_array().unwrap();
    let one = devices.iter().find(|one| one["serial"] == serial);
    one.unwrap_or_else(|| panic!("{said}"))["status"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_browser_without_scripts_gets_the_file_for_the_secret_that_is_typed() {
    if !need(&["keytool"]) {
        return;
    }
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let invite = serving.with_key(&["--name", "Alice Doe", "--out", "sheets"]);
    let (id, serial) = (invite.word("id"), invite.word("serial"));
    // Nobody has it yet, and servers let nobody in by it.
    assert_eq!(status_of(home, serial), "undelivered");
    let said = finish(&mut home.pki(&["doctor"]), b"");
    assert!(!said.stdout.contains("undelivered"), "{said}");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&serving.kept(&invite).metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // The sheet has the secret as it is typed, and the home has neither that nor the passphrase.
    let sheet = std::fs::read_to_string(home.path("sheets/alice-phone.invite.html")).unwrap();
    let letters: Vec<char> = invite.word("secret").chars().collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    assert!(sheet.contains(&format!(">{}<", groups.join("-"))), "{sheet}");
    for secret in [invite.word("passphrase"), invite.word("secret")] {
        assert!(!serving.ledger().contains(secret));
    }
    assert!(!sheet.contains(invite.word("passphrase")));

    let (status, page) = serving.ask(&format!("/i/{id}"), "include\n");
    assert!(
        status == 200 && page.contains("<form method=\"post\"") && page.contains("form-action 'self'"),
        "{page}"
    );
    let typed = groups.join(" ").to_lowercase();
    let first = serving.fetch_from("127.0.0.1", id, &[("secret", &typed), ("code", "")]);
    assert_eq!(first.status, 200);
    assert!(
        first.head.contains("content-type: application/x-pkcs12"),
        "{}",
        first.head
    );
    assert!(first.head.contains("attachment; filename=\"device.p12\"") && first.head.contains("no-store"));
    let octets = first.octets();
    assert_eq!(octets, std::fs::read(serving.kept(&invite)).unwrap());
    let [leaf, ..] = serving.opened(&first, &invite);
    let said = home.foreign(
        "openssl",
        &[
            "x509",
            "-in",
            leaf.to_str().unwrap(),
            "-noout",
            "-serial",
            "-subject",
        ],
    );
    assert!(
        said.stdout.contains(serial) && said.stdout.contains("Alice Doe"),
        "{said}"
    );
    // `any` is for what is old: the oldest form there is.
    let info = [
        "pkcs12",
        "-in",
        first.file.to_str().unwrap(),
        "-info",
        "-noout",
        "-passin",
        "file:word",
    ];
    assert!(
        home.foreign("openssl", &info)
            .ok()
            .stderr
            .contains("3-KeyTripleDES")
    );
    let store = [
        "-list",
        "-storetype",
        "PKCS12",
        "-keystore",
        "device.p12",
        "-storepass:file",
        "word",
    ];
    assert!(
        home.foreign("keytool", &store)
            .ok()
            .stdout
            .contains("PrivateKeyEntry")
    );

    // It is delivered by that, and the invite redeemed: in one batch.
    assert_eq!(status_of(home, serial), "valid");
    wait_until("the servers' lists", || {
        serving.is_published(serial).then_some(())
    });
    let ledger = serving.ledger();
    let lines: Vec<&str> = ledger.lines().collect();
    let redeemed = lines
        .iter()
        .position(|line| line.contains("invite_redeemed"))
        .unwrap();
    assert!(
        lines[redeemed].contains("\"from\":\"127.0.0.0/24\"") && lines[redeemed].contains("\"batch\":[1,2]")
    );
    assert!(lines[redeemed + 1].contains("\"event\":\"delivered\""));
    // A lost answer costs nothing: the same again, and nothing more is recorded.
    let events = |ledger: &str| ledger.matches("invite_").count();
    let again = serving.fetch(&invite);
    assert_eq!((again.status, again.octets()), (200, octets));
    assert_eq!(events(&serving.ledger()), events(&ledger));
    home.run(&["audit", "verify"]);
}

#[test]
fn an_apple_device_gets_its_file_as_a_profile() {
    let Some(serving) = Serving::start() else { return };
    let invite = serving.with_key(&["--for", "ios"]);
    let answer = serving.fetch(&invite);
    assert!(
        answer
            .head
            .contains("content-type: application/x-apple-aspen-config"),
        "{}",
        answer.head
    );
    assert!(answer.head.contains("filename=\"device.mobileconfig\""));
    assert!(answer.words().contains("<data>") && !answer.words().contains(invite.word("passphrase")));
}

#[test]
fn whoever_lacks_the_secret_gets_one_answer_and_whoever_has_it_is_told_what_is_wrong() {
    let Some(serving) = Serving::start() else { return };
    let invite = serving.with_key(&[]);
    let own = serving.invite(&["bob"]);
    let ended = serving.invite(&["carol", "--server-key"]);
    serving.home.run(&["invite", "cancel", ended.word("id")]);
    let wrong = own.word("secret");
    let refused = |id: &str, fields: &[(&str, &str)]| {
        let answer = serving.fetch_from("127.0.0.1", id, fields);
        assert!(answer.head.contains("content-type: text/html"), "{}", answer.head);
        (answer.status, answer.words())
    };
    let nothing = refused("ZZZZZZZZ", &[("secret", wrong)]);
    assert_eq!(nothing.0, 403);
    assert!(
        nothing.1.contains("There is no such invite") && nothing.1.contains("<form"),
        "{}",
        nothing.1
    );
    let wrongs: [(&str, &[(&str, &str)]); 5] = [
        (invite.word("id"), &[("secret", wrong)]),
        (invite.word("id"), &[("secret", "")]),
        (invite.word("id"), &[("other", wrong)]),
        (ended.word("id"), &[("secret", wrong)]),
        ("..", &[("secret", wrong)]),
    ];
    for (id, fields) in wrongs {
        let answer = refused(&id.replace("..", "%2e%2e"), fields);
        assert_eq!(answer, nothing, "{id} {fields:?}");
    }
    // With the secret it is told what is wrong.
    let (status, told) = refused(ended.word("id"), &[("secret", ended.word("secret"))]);
    assert!(status == 410 && told.contains("cancelled"), "{told}");
    let (status, told) = refused(own.word("id"), &[("secret", own.word("secret"))]);
    assert!(status == 409 && told.contains("makes its key itself"), "{told}");
    // Nor does an invite with a file certify a key that a device has made.
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("phone") });
    let (status, told) = serving.redeem(invite.word("id"), &body);
    assert_eq!(
        (status, kind_of(&told).as_str()),
        (409, "hands-out-file"),
        "{told}"
    );
    // What is not of the form is not read as it, and a path or query has no secret.
    let (status, _) = serving.ask(
        &format!("/i/{}?secret={}", invite.word("id"), invite.word("secret")),
        "data = \"\"\n",
    );
    assert_eq!(status, 403);
    let long = "x".repeat(20_000);
    assert_eq!(refused(invite.word("id"), &[("secret", &long)]).0, 413);
    assert!(!serving.ledger().contains("invite_redeemed") && !serving.ledger().contains("invite_refused"));
}

#[test]
fn who_guesses_secrets_in_the_form_waits() {
    let Some(serving) = Serving::start() else { return };
    let invite = serving.with_key(&[]);
    let wrong = [("secret", "00000000000000000000000000")];
    let answers: Vec<u16> = (0..61)
        .map(|_| serving.fetch_from("127.0.0.1", invite.word("id"), &wrong).status)
        .collect();
    assert!(
        answers[..60].iter().all(|status| *status == 403) && answers[60] == 429,
        "{answers:?}"
    );
    // Nobody else does.
    let fields = [("secret", invite.word("secret"))];
    assert_eq!(
        serving.fetch_from("127.0.1.1", invite.word("id"), &fields).status,
        200
    );
}

#[test]
fn the_six_digits_are_the_second_field_and_five_wrong_ones_end_the_invite_and_its_certificate() {
    let Some(serving) = Serving::start() else { return };
    let invite = serving.with_key(&["--code"]);
    let (id, secret) = (invite.word("id"), invite.word("secret"));
    let tried = |code: &str| {
        serving
            .fetch_from("127.0.0.1", id, &[("secret", secret), ("code", code)])
            .status
    };
    assert_eq!(tried(""), 403);
    let right = invite.word("code");
    let wrong = if right == "000000" { "000001" } else { "000000" };
    assert_eq!(
        [tried(wrong), tried(&format!("{} {}", &right[..3], &right[3..]))],
        [403, 200]
    );
    let invite = serving.with_key(&["--code", "--replace"]);
    let (id, secret) = (invite.word("id"), invite.word("secret"));
    let tried = |code: &str| {
        serving
            .fetch_from("127.0.0.1", id, &[("secret", secret), ("code", code)])
            .status
    };
    let right = invite.word("code");
    let wrong = if right == "000000" { "000001" } else { "000000" };
    assert!((0..5).all(|_| tried(wrong) == 403));
    assert_eq!(tried(right), 410);
    serving.home.run(&["publish"]);
    assert_eq!(status_of(&serving.home, invite.word("serial")), "revoked");
    assert!(!serving.kept(&invite).exists());
}

#[test]
fn a_fetch_from_another_network_is_recorded_and_told() {
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let invite = serving.with_key(&[]);
    let fetch =
        |from: &str| serving.fetch_from(from, invite.word("id"), &[("secret", invite.word("secret"))]);
    let octets = fetch("127.0.0.1").octets();
    // Phones change their networks, and answers are lost.
    for from in ["127.0.1.1", "127.0.1.2", "127.0.0.1"] {
        assert_eq!(fetch(from).octets(), octets);
    }
    assert_eq!(serving.ledger().matches("invite_fetched_again").count(), 1);
    assert_eq!(serving.invites()[0]["fetched_again"], 1);
    let said = home.run(&["invite", "list"]);
    assert!(
        said.stderr.contains("fetched once more, from another network"),
        "{said}"
    );
    assert!(
        said.stdout.contains("fetched again from 1 other network"),
        "{said}"
    );
    let said = home.run(&["audit", "alice"]);
    assert!(said.stdout.contains("fetched again, from 127.0.1.0/24"), "{said}");
    // The third is the last.
    assert_eq!([fetch("127.0.2.1").status, fetch("127.0.3.1").status], [200, 200]);
    assert_eq!([fetch("127.0.4.1").status, fetch("127.0.0.1").status], [410, 410]);
    let said = home.run(&["invite", "list"]);
    assert!(
        said.stdout.contains("3 other networks, and handed out no more"),
        "{said}"
    );
    home.run(&["publish"]);
    assert!(!serving.kept(&invite).exists());
    assert_eq!(status_of(home, invite.word("serial")), "valid");
}

#[test]
fn the_log_tells_a_fetch_from_another_network_from_the_first() {
    for (second_try, told) in [("tell", 200), ("revoke", 410)] {
        let home = Home::with_server();
        home.configure("on_second_try", &format!("\"{second_try}\""));
        let Some(serving) = Serving::told(home, "+0d", &["--json"]) else {
            return;
        };
        let invite = serving.with_key(&[]);
        let fetch =
            |from: &str| serving.fetch_from(from, invite.word("id"), &[("secret", invite.word("secret"))]);
        let statuses = ["127.0.0.1", "127.0.0.1", "127.0.1.1"].map(|from| fetch(from).status);
        assert_eq!(statuses, [200, 200, told]);
        let entries = logged(&serving.home, "another-network");
        let told: Vec<_> = entries
            .iter()
            .filter(|entry| entry["invite"] == invite.word("id"))
            .map(|entry| json!([entry["event"], entry["level"], entry["from"]]))
            .collect();
        let expected = [
            json!(["enrolled", "info", "127.0.0.0/24"]),
            json!(["again", "info", "127.0.0.0/24"]),
            json!(["another-network", "warning", "127.0.1.0/24"]),
        ];
        assert_eq!(told, expected, "{entries:?}");
    }
}

#[test]
fn where_a_second_try_revokes_another_network_gets_nothing() {
    let home = Home::with_server();
    home.configure("on_second_try", "\"revoke\"");
    let Some(serving) = Serving::of(home) else { return };
    let invite = serving.with_key(&[]);
    let fetch =
        |from: &str| serving.fetch_from(from, invite.word("id"), &[("secret", invite.word("secret"))]);
    assert_eq!([fetch("127.0.0.1").status, fetch("127.0.1.1").status], [200, 410]);
    assert_eq!(status_of(&serving.home, invite.word("serial")), "revoked");
    assert_eq!(fetch("127.0.0.1").status, 410);
}

#[test]
fn what_the_device_has_is_revoked_when_the_file_is_fetched_and_not_before() {
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    home.issue("alice", &[]);
    let old = home.serial_of("alice/phone");
    let mut create = home.pki(&["invite", "create", "alice", "--server-key", "--json"]);
    assert!(finish(&mut create, b"").exits(1).stderr.contains("already-valid"));
    let invite = serving.with_key(&["--replace"]);
    assert_eq!(status_of(home, &old), "valid");
    assert_eq!(serving.fetch(&invite).status, 200);
    assert_eq!(
        [status_of(home, &old), status_of(home, invite.word("serial"))],
        ["revoked", "valid"]
    );
}

/// Each way by which an invite ends before its file is fetched.
#[test]
fn the_certificate_of_a_file_that_nobody_fetched_is_revoked_with_its_invite() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    let create = |more: &[&str]| {
        let all = [&["invite", "create", "alice", "--server-key", "--json"], more].concat();
        Invite(home.run(&all).json())
    };
    let ways: [&[&str]; 6] = [
        &["invite", "cancel", "ID"],
        &["revoke", "alice", "--yes"],
        &["revoke", "alice/phone", "--reason", "lost", "--yes"],
        &["invite", "create", "alice", "--json"],
        &["invite", "create", "alice", "--server-key", "--json"],
        &["offboard", "alice", "--confirm", "alice"],
    ];
    for way in ways {
        let invite = create(&[]);
        let id = invite.word("id");
        let way: Vec<&str> = way
            .iter()
            .map(|word| if *word == "ID" { id } else { word })
            .collect();
        home.run(&way);
        assert_eq!(status_of(&home, invite.word("serial")), "revoked", "{way:?}");
        assert!(!kept(&home, id).exists(), "{way:?}");
        let revoked = format!("\"event\":\"revoked\",\"serial\":\"{}\"", invite.word("serial"));
        let ledger = std::fs::read_to_string(home.home().join("ledger.jsonl")).unwrap();
        assert_eq!(ledger.matches(&revoked).count(), 1, "{way:?}");
    }
    let said = finish(&mut home.pki(&["doctor"]), b"");
    assert!(!said.stdout.contains("handout-ended"), "{said}");
    home.run(&["audit", "verify"]);
}

#[test]
fn what_is_not_fetched_in_time_is_taken_back_by_whoever_publishes_next_or_by_the_service() {
    if !need(&["faketime"]) || !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    let create = |home: &Home, who: &str| {
        let all = [
            "invite",
            "create",
            who,
            "--server-key",
            "--json",
            "--expires",
            "1h",
        ];
        Invite(home.run(&all).json())
    };
    let invite = create(&home, "alice");
    let publish = |offset: &str| finish(&mut home.pki_at(offset, &["publish"]), b"").ok();
    publish("+50m");
    assert!(kept(&home, invite.word("id")).exists());
    let doctor = finish(&mut home.pki_at("+2h", &["doctor"]), b"");
    assert!(doctor.stdout.contains("handout-ended"), "{doctor}");
    publish("+2h");
    let said: Finished = finish(&mut home.pki_at("+2h", &["list", "--json"]), b"");
    let status = |said: &Finished, serial: &str| -> Value {
        let devices = said.json()["devices"].as_array().unwrap().clone();
        let one = devices.into_iter().find(|one| one["serial"] == serial);
        one.unwrap()["status"].clone()
    };
    assert_eq!(status(&said, invite.word("serial")), "revoked");
    assert!(!kept(&home, invite.word("id")).exists());

    // The service does the same when it begins, and each minute.
    let invite = finish(
        &mut home.pki_at(
            "+3h",
            &[
                "invite",
                "create",
                "bob",
                "--server-key",
                "--json",
                "--expires",
                "1h",
            ],
        ),
        b"",
    );
    let invite = Invite(invite.ok().json());
    let Some(serving) = Serving::ahead(home, "+5h") else {
        return;
    };
    let said = finish(&mut serving.home.pki_at("+5h", &["list", "--json"]), b"");
    assert_eq!(status(&said, invite.word("serial")), "revoked");
    assert!(!serving.kept(&invite).exists());
}

/// A minute of the service takes two seconds. What the kernel waits for is no quicker: whoever asks for
/// something wakes the clerk.
#[test]
fn the_service_takes_back_what_is_not_fetched_while_it_runs() {
    if !need(&["faketime"]) || !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    home.configure("publish_on_issue", "false");
    let arguments = [
        "invite",
        "create",
        "alice",
        "--server-key",
        "--json",
        "--expires",
        "2m",
    ];
    let invite = Invite(home.run(&arguments).json());
    let other = Invite(home.run(&["invite", "create", "bob", "--json"]).json());
    let Some(serving) = Serving::ahead(home, "+0 x30") else {
        return;
    };
    assert!(
        serving.kept(&invite).exists(),
        "it was ended when the service began"
    );
    wait_until("the end of the invite", || {
        // In so little time an answer may fail; that she asked is enough.
        let form = format!("data-urlencode = \"secret={}\"\n", other.word("secret"));
        let path = format!("/i/{}", other.word("id"));
        serving.server.curl_with(&serving.home, None, &path, &form);
        (!serving.kept(&invite).exists()).then_some(())
    });
    let revoked = format!("\"event\":\"revoked\",\"serial\":\"{}\"", invite.word("serial"));
    assert!(serving.ledger().contains(&revoked));
}

#[test]
fn an_invite_with_a_file_needs_a_place_for_the_passphrase_and_nothing_to_compare() {
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    let create = |more: &[&str]| {
        let all = [&["invite", "create", "alice", "--server-key"], more].concat();
        finish(&mut home.pki(&all), b"")
    };
    // Where the bundle cannot be kept, nothing is recorded.
    let before = std::fs::read(home.home().join("ledger.jsonl")).unwrap();
    home.write_private("home/handout", "");
    assert_ne!(create(&["--json"]).code, Some(0));
    assert_eq!(std::fs::read(home.home().join("ledger.jsonl")).unwrap(), before);
    std::fs::remove_file(home.home().join("handout")).unwrap();
    assert!(
        create(&["--approve", "--json"])
            .exits(1)
            .stderr
            .contains("nothing-to-compare")
    );
    assert!(
        create(&["--out", "sheets"])
            .exits(4)
            .stderr
            .contains("--bundle-passphrase-out")
    );
    let plain = [
        "invite",
        "create",
        "alice",
        "--json",
        "--bundle-passphrase-out",
        "word",
    ];
    finish(&mut home.pki(&plain), b"").exits(2);
    let said = create(&["--json", "--bundle-passphrase-out", "word"]).ok();
    let word = std::fs::read_to_string(home.path("word")).unwrap();
    assert!(
        word.trim().len() > 12 && !said.stdout.contains(word.trim()),
        "{said}"
    );
    assert!(
        create(&["--json", "--bundle-passphrase-out", "word"])
            .exits(1)
            .stderr
            .contains("word")
    );
    // What cannot be handed over is taken back at once.
    std::fs::create_dir_all(home.path("sheets/alice-phone.invite.png/in-the-way")).unwrap();
    let said = create(&["--out", "sheets", "--bundle-passphrase-out", "other"]).exits(1);
    assert!(said.stderr.contains("the invite is cancelled"), "{said}");
    let said = home.run(&["list", "--json"]).json();
    let devices = said["devices"].as_array().unwrap();
    assert!(
        !devices.is_empty() && devices.iter().all(|one| one["status"] == "revoked"),
        "{said}"
    );
    assert_eq!(std::fs::read_dir(home.home().join("handout")).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_lost_or_another_one_is_not_handed_out() {
    let Some(serving) = Serving::start() else { return };
    let invite = serving.with_key(&[]);
    let other = serving.invite(&["bob", "--server-key"]);
    std::fs::copy(serving.kept(&other), serving.kept(&invite)).unwrap();
    let answer = serving.fetch(&invite);
    assert!(
        answer.status == 410 && answer.words().contains("not there any more"),
        "{}",
        answer.words()
    );
    std::fs::remove_file(serving.kept(&invite)).unwrap();
    assert_eq!(serving.fetch(&invite).status, 410);
    assert_eq!(status_of(&serving.home, invite.word("serial")), "undelivered");
    // Nor what its certificate is revoked for.
    serving.home.run(&["revoke", other.word("serial"), "--yes"]);
    assert_eq!(serving.fetch(&other).status, 410);
}
