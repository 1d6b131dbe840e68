//! Devices that enroll themselves by an invite: curl in the place of the phone, and OpenSSL's keys.

mod browser;

use std::process::{Child, Stdio};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Finished, HOST, Home, Server, ServerCertificate, finish, free_port, need, wait_until};

const TOOLS: [&str; 2] = ["curl", "openssl"];

/// A home with a service that runs until it is dropped.
struct Serving {
    home: Home,
    server: Server,
    /// By how much its clock, and that of whoever asks, is ahead.
    ahead: &'static str,
}

/// An invite as `pki invite create --json` tells it.
struct Invite(Value);

impl Invite {
    fn word(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }
}

impl Serving {
    fn start() -> Option<Self> {
        Self::of(Home::with_server())
    }

    fn of(home: Home) -> Option<Self> {
        Self::ahead(home, "+0d")
    }

    /// As [`Self::of`], at another time.
    fn ahead(home: Home, ahead: &'static str) -> Option<Self> {
        if !need(&TOOLS) {
            return None;
        }
        let page = ServerCertificate::make(&home);
        let quoted = |path: &std::path::Path| format!("\"{}\"", path.display());
        home.configure("page_certificate", &quoted(&page.certificate));
        home.configure("page_key", &quoted(&page.key));
        home.configure("device_host", &format!("\"{HOST}\""));
        let server = Server::on_free_port(|port| {
            home.configure("host", &format!("\"{HOST}:{port}\""));
            let arguments = ["serve", "--page", &format!("127.0.0.1:{port}")];
            let mut command = home.pki(&arguments);
            if ahead != "+0d" {
                // As faketime does, which would stand between a signal and the service.
                command
                    .env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1")
                    .env("FAKETIME", ahead)
                    .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                    .env("DONT_FAKE_MONOTONIC", "1");
            }
            command.stdin(Stdio::null());
            command
        });
        Some(Self {
            server: server.expect("the service ended at once"),
            home,
            ahead,
        })
    }

    fn invite(&self, arguments: &[&str]) -> Invite {
        let all = [&["invite", "create", "--json"], arguments].concat();
        Invite(self.home.run(&all).json())
    }

    /// A new key in NAME.key, and a request for it: PEM.
    fn request(&self, name: &str) -> String {
        let (key, csr) = (format!("{name}.key"), format!("{name}.csr"));
        let mut arguments = vec!["req", "-new", "-noenc", "-subj", "/CN=phone", "-keyout", &key];
        arguments.extend(crate::support::EC);
        arguments.extend(["-out", &csr]);
        self.home.foreign("openssl", &arguments).ok();
        std::fs::read_to_string(self.home.path(csr)).unwrap()
    }

    /// What is answered to a request for this invite: the status, and the body.
    fn redeem(&self, id: &str, body: &Value) -> (u16, String) {
        self.post(id, &body.to_string(), "")
    }

    fn post(&self, id: &str, body: &str, more: &str) -> (u16, String) {
        let file = self.home.write_private("request.json", body);
        let config = format!(
            "header = \"Content-Type: application/json\"\ndata-binary = \"@{}\"\n{more}",
            file.display()
        );
        self.ask(&format!("/i/{id}"), &config)
    }

    fn ask(&self, path: &str, config: &str) -> (u16, String) {
        let (status, said) = self.server.curl_with(&self.home, None, path, config);
        let body = said.stdout.rsplit_once('\n').unwrap().0.to_owned();
        (status.unwrap_or_else(|| panic!("{said}")), body)
    }

    fn ledger(&self) -> String {
        std::fs::read_to_string(self.home.home().join("ledger.jsonl")).unwrap()
    }

    fn invites(&self) -> Vec<Value> {
        let said = self.home.run(&["invite", "list", "--json"]).json();
        said["invites"].as_array().unwrap().clone()
    }

    /// Whether servers are told to let this certificate in.
    fn is_published(&self, serial: &str) -> bool {
        let list = std::fs::read_to_string(self.home.server("allowed.map"));
        list.is_ok_and(|list| list.contains(serial))
    }
}

fn kind_of(body: &str) -> String {
    let said: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{body}"));
    said["error"]["kind"].as_str().unwrap().to_owned()
}

#[test]
fn an_invited_device_gets_a_certificate_for_a_key_of_its_own_and_as_often_as_it_asks() {
    let Some(serving) = Serving::start() else { return };
    let invite = serving.invite(&["alice", "--name", "Alice Doe", "--for", "android"]);
    assert_eq!(
        invite.word("link"),
        format!(
            "https://{HOST}:{}/i/{}#{}.{}",
            serving.server.port,
            invite.word("id"),
            invite.word("secret"),
            invite.word("pin")
        )
    );
    let csr = serving.request("alice");
    let body = json!({ "secret": invite.word("secret"), "csr": csr });
    let (status, chain) = serving.redeem(invite.word("id"), &body);
    assert_eq!(status, 200, "{chain}");
    std::fs::write(serving.home.path("alice.pem"), &chain).unwrap();
    let mut verify = vec!["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile"];
    verify.extend(["home/public/ca/root.crt", "-untrusted", "alice.pem", "alice.pem"]);
    serving.home.foreign("openssl", &verify).ok();
    let of = |what: &[&str]| serving.home.foreign("openssl", what).ok().stdout;
    assert_eq!(
        of(&["x509", "-in", "alice.pem", "-noout", "-pubkey"]),
        of(&["pkey", "-in", "alice.key", "-pubout"])
    );
    // The answer was lost, and the phone asks again, in the other form of a request and in other letters.
    let bare: String = csr.lines().filter(|line| !line.starts_with('-')).collect();
    let again = json!({ "secret": invite.word("secret").to_lowercase(), "csr": bare });
    let ledger = serving.ledger();
    assert_eq!(
        serving.redeem(&invite.word("id").to_lowercase(), &again),
        (200, chain)
    );
    assert_eq!(serving.ledger(), ledger);
    let serial = serving.home.serial_of("alice/phone");
    let listed = &serving.invites()[0];
    assert_eq!(
        (&listed["state"], &listed["serial"]),
        (&json!("redeemed"), &json!(serial))
    );
    wait_until("the servers' lists", || {
        serving.is_published(&serial).then_some(())
    });
    let said = serving.home.run(&["audit", "verify", "--json"]);
    assert!(said.stderr.is_empty(), "{said}");
}

#[test]
fn another_key_is_refused_recorded_and_told_and_suspends_nobody_who_was_first() {
    let Some(serving) = Serving::start() else { return };
    let invite = serving.invite(&["alice"]);
    let (id, secret) = (invite.word("id"), invite.word("secret"));
    let first = json!({ "secret": secret, "csr": serving.request("first") });
    assert_eq!(serving.redeem(id, &first).0, 200);
    for n in 0..5 {
        let other = json!({ "secret": secret, "csr": serving.request(&format!("other{n}")) });
        let (status, told) = serving.redeem(id, &other);
        assert_eq!((status, kind_of(&told).as_str()), (409, "another-key"), "{told}");
    }
    assert_eq!(serving.invites()[0]["refused"], 3);
    assert_eq!(serving.ledger().matches("invite_refused").count(), 3);
    assert_eq!(serving.ledger().matches("invite_suspended").count(), 1);
    let said = serving.home.run(&["invite", "list"]);
    assert!(said.stderr.contains("somebody else has seen the code"), "{said}");
    assert_eq!(serving.redeem(id, &first).0, 200);
}

#[test]
fn whoever_lacks_the_secret_learns_nothing_and_changes_nothing() {
    let Some(serving) = Serving::start() else { return };
    let [open, used, cancelled] = ["alice", "bob", "carol"].map(|name| serving.invite(&[name]));
    let csr = serving.request("phone");
    let body = json!({ "secret": used.word("secret"), "csr": serving.request("bob") });
    assert_eq!(serving.redeem(used.word("id"), &body).0, 200);
    serving.home.run(&["invite", "cancel", cancelled.word("id")]);
    let ledger = serving.ledger();
    let mut answers = Vec::new();
    for id in [
        open.word("id"),
        used.word("id"),
        cancelled.word("id"),
        "ZZZZZZZZ",
        "nobody",
        "%00",
    ] {
        for secret in ["0".repeat(26).as_str(), "", "short"] {
            answers.push(serving.redeem(id, &json!({ "secret": secret, "csr": csr })));
        }
    }
    assert_eq!(answers[0].0, 403);
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    // Looking at the page is no use of it, for whoever looks.
    for id in [open.word("id"), "ZZZZZZZZ"] {
        for more in ["", "head\n", "header = \"Accept: application/json\"\n"] {
            assert_eq!(serving.ask(&format!("/i/{id}"), more).0, 200);
        }
    }
    assert_eq!(serving.ledger(), ledger);
    // Whoever has it is told in words.
    let body = json!({ "secret": cancelled.word("secret"), "csr": csr });
    let (status, told) = serving.redeem(cancelled.word("id"), &body);
    assert_eq!((status, kind_of(&told).as_str()), (410, "invite-ended"));
}

#[test]
fn a_code_that_travels_apart_is_asked_for_and_five_wrong_ones_are_enough() {
    let Some(serving) = Serving::start() else { return };
    let invite = serving.invite(&["alice", "--code"]);
    let code = invite.word("code");
    assert!(
        code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()),
        "{code}"
    );
    let csr = serving.request("phone");
    let wrong = if code == "000000" { "111111" } else { "000000" };
    let mut body = json!({ "secret": invite.word("secret"), "csr": csr });
    // Whoever has not been asked for it has not tried.
    for _ in 0..9 {
        assert_eq!(serving.redeem(invite.word("id"), &body).0, 403);
    }
    assert_eq!(kind_of(&serving.redeem(invite.word("id"), &body).1), "wrong-code");
    body["code"] = wrong.into();
    for _ in 0..5 {
        assert_eq!(serving.redeem(invite.word("id"), &body).0, 403);
    }
    body["code"] = code.into();
    assert_eq!(serving.redeem(invite.word("id"), &body).0, 410);
    let other = serving.invite(&["bob", "--code"]);
    let body = json!({ "secret": other.word("secret"), "csr": csr, "code": other.word("code") });
    assert_eq!(serving.redeem(other.word("id"), &body).0, 200);
}

#[test]
fn a_refused_request_spends_nothing() {
    let Some(serving) = Serving::start() else { return };
    let invite = serving.invite(&["alice"]);
    let (id, secret) = (invite.word("id"), invite.word("secret"));
    let csr = serving.request("phone");
    let ledger = serving.ledger();
    let cut = &csr[..csr.len() / 2];
    for (body, more, status) in [
        (json!({ "secret": secret, "csr": "" }).to_string(), "", 400),
        (json!({ "secret": secret, "csr": cut }).to_string(), "", 400),
        (
            json!({ "secret": secret, "csr": csr, "colour": "red" }).to_string(),
            "",
            400,
        ),
        ("{}".into(), "", 400),
        ("\u{0}".into(), "", 400),
        (
            json!({ "secret": secret, "csr": "A".repeat(20_000) }).to_string(),
            "",
            413,
        ),
        (
            json!({ "secret": secret, "csr": csr }).to_string(),
            "header = \"Content-Type: text/plain\"\n",
            415,
        ),
    ] {
        let (told, said) = match more {
            "" => serving.post(id, &body, ""),
            more => {
                let file = serving.home.write_private("request.txt", &body);
                let config = format!("{more}data-binary = \"@{}\"\n", file.display());
                serving.ask(&format!("/i/{id}"), &config)
            }
        };
        assert_eq!(told, status, "{body}: {said}");
    }
    assert_eq!(serving.ledger(), ledger);
    assert_eq!(
        serving.redeem(id, &json!({ "secret": secret, "csr": csr })).0,
        200
    );
}

#[test]
fn a_line_written_into_the_ledger_by_hand_redeems_nothing() {
    let Some(serving) = Serving::start() else { return };
    let invite = serving.invite(&["alice"]);
    let (id, secret) = (invite.word("id"), invite.word("secret"));
    // Whoever can write the home says that the invite was mallory's: the chain and all that follows from it
    // are right, and only the issuing CA has not said so.
    let Serving { home, mut server, .. } = serving;
    server.end();
    let place = home.home().join("ledger.jsonl");
    let text = std::fs::read_to_string(&place).unwrap();
    let line = text.lines().last().unwrap();
    let (said, _) = line.rsplit_once(",\"sha\":").unwrap();
    let forged = said.replace("alice/phone", "mallory/phone");
    assert!(said.contains("invite_created") && said != forged, "{line}");
    let sha = HEXLOWER.encode(&Sha256::digest(&forged));
    std::fs::write(
        &place,
        text.replace(line, &format!("{forged},\"sha\":\"{sha}\"}}")),
    )
    .unwrap();
    std::fs::remove_dir_all(home.home().join("index")).unwrap();
    let listed = home.run(&["invite", "list", "--json"]).json();
    assert_eq!(listed["invites"][0]["address"], "mallory/phone");
    assert_eq!(listed["invites"][0]["state"], "open");
    let Some(serving) = Serving::of(home) else { return };
    let (status, told) = serving.redeem(id, &json!({ "secret": secret, "csr": serving.request("phone") }));
    assert_eq!(status, 403, "{told}");
    assert!(!serving.ledger().contains("\"event\":\"issued\""));
}

#[test]
fn many_keys_at_once_get_one_certificate_and_one_key_gets_the_same_one_many_times() {
    const MANY: usize = 24;
    let Some(serving) = Serving::start() else { return };
    let invites: Vec<Invite> = (0..3).map(|n| serving.invite(&[&format!("e{n}")])).collect();
    let mut started = Vec::new();
    for n in 0..MANY {
        let csr = serving.request(&format!("key{n}"));
        for invite in &invites {
            let body = json!({ "secret": invite.word("secret"), "csr": csr }).to_string();
            let file = serving
                .home
                .write_private(format!("{}-{n}.json", invite.word("id")), &body);
            started.push((
                invite.word("id").to_owned(),
                curl(&serving, invite.word("id"), &file),
            ));
        }
    }
    let mut won = std::collections::BTreeMap::<String, usize>::new();
    for (id, child) in started {
        let said = child.wait_with_output().unwrap();
        let status = String::from_utf8(said.stdout).unwrap();
        match status.lines().last().unwrap() {
            "200" => *won.entry(id).or_default() += 1,
            "409" => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(won.values().copied().collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(serving.ledger().matches("\"event\":\"issued\"").count(), 3);
    // One key for each of them now.
    let invite = serving.invite(&["same"]);
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("same") }).to_string();
    let file = serving.home.write_private("same.json", &body);
    let started: Vec<Child> = (0..MANY)
        .map(|_| curl(&serving, invite.word("id"), &file))
        .collect();
    let answers: Vec<String> = started
        .into_iter()
        .map(|child| String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap())
        .collect();
    assert!(answers[0].ends_with("200"), "{}", answers[0]);
    assert!(answers.iter().all(|answer| answer == &answers[0]));
    assert_eq!(serving.ledger().matches("\"event\":\"issued\"").count(), 4);
}

/// A phone that asks, and does not wait for the others.
fn curl(serving: &Serving, id: &str, body: &std::path::Path) -> Child {
    let port = serving.server.port;
    let mut command = crate::support::program("curl");
    command.args([
        "--disable",
        "--silent",
        "--cacert",
        "server.crt",
        "--noproxy",
        "*",
    ]);
    command.args(["--resolve", &format!("{HOST}:{port}:127.0.0.1")]);
    command.args([
        "--header",
        "Content-Type: application/json",
        "--write-out",
        "\n%{http_code}",
    ]);
    command.args(["--data-binary", &format!("@{}", body.display())]);
    command.arg(format!("https://{HOST}:{port}/i/{id}"));
    command.current_dir(serving.home.path(""));
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn what_the_operator_does_beside_the_service_holds_at_once() {
    let Some(serving) = Serving::start() else { return };
    let invites = ["alice", "bob", "carol"].map(|name| serving.invite(&[name]));
    let csr = |name: &str| serving.request(name);
    // She leaves before she has used it.
    serving.home.run(&["offboard", "alice", "--confirm", "alice"]);
    let body = json!({ "secret": invites[0].word("secret"), "csr": csr("alice") });
    assert_eq!(serving.redeem(invites[0].word("id"), &body).0, 410);
    // Somebody issued her phone a bundle meanwhile.
    serving.home.issue("bob", &[]);
    let body = json!({ "secret": invites[1].word("secret"), "csr": csr("bob") });
    let (status, told) = serving.redeem(invites[1].word("id"), &body);
    assert_eq!(
        (status, kind_of(&told).as_str()),
        (409, "already-valid"),
        "{told}"
    );
    // What was enrolled is revoked as everything is, and not handed out again.
    let body = json!({ "secret": invites[2].word("secret"), "csr": csr("carol") });
    assert_eq!(serving.redeem(invites[2].word("id"), &body).0, 200);
    serving.home.run(&["revoke", "carol", "--yes"]);
    let (status, told) = serving.redeem(invites[2].word("id"), &body);
    assert_eq!((status, kind_of(&told).as_str()), (410, "revoked"), "{told}");
}

#[test]
fn a_new_phone_takes_the_place_of_the_old_one_in_one_step() {
    let Some(serving) = Serving::start() else { return };
    serving.home.issue("alice", &[]);
    let old = serving.home.serial_of("alice/phone");
    let mut create = serving.home.pki(&["invite", "create", "alice", "--json"]);
    let refused = finish(&mut create, b"").exits(1);
    assert!(refused.stderr.contains("already-valid"), "{refused}");
    let invite = serving.invite(&["alice", "--replace"]);
    let accepted = || {
        let said: Finished = serving.home.run(&["list", "alice", "--json"]);
        let devices = said.json()["devices"].as_array().unwrap().clone();
        let valid = devices.iter().filter(|one| one["status"] == "valid");
        valid
            .map(|one| one["serial"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(accepted(), std::slice::from_ref(&old));
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("new") });
    assert_eq!(serving.redeem(invite.word("id"), &body).0, 200);
    let now = accepted();
    assert!(now.len() == 1 && now[0] != old, "{now:?}");
    // In one batch: no kill leaves her with both, or with none.
    let ledger = serving.ledger();
    let revoked = ledger
        .lines()
        .position(|line| line.contains("\"event\":\"revoked\""))
        .unwrap();
    let lines: Vec<&str> = ledger.lines().collect();
    assert!(lines[revoked + 1].contains("invite_redeemed") && lines[revoked + 2].contains("\"issued\""));
}

#[test]
fn an_invite_before_is_cancelled_by_the_next_for_the_same_device() {
    let Some(serving) = Serving::start() else { return };
    let lost = serving.invite(&["alice"]);
    let next = serving.invite(&["alice"]);
    let csr = serving.request("phone");
    let body = |invite: &Invite| json!({ "secret": invite.word("secret"), "csr": csr });
    assert_eq!(serving.redeem(lost.word("id"), &body(&lost)).0, 410);
    assert_eq!(serving.redeem(next.word("id"), &body(&next)).0, 200);
}

#[test]
fn an_invite_is_open_as_long_as_was_said_and_a_month_at_most() {
    if !need(&["faketime"]) {
        return;
    }
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}:{}\"", free_port()));
    let long = home.pki(&["invite", "create", "alice", "--expires", "31d", "--json"]);
    let refused = finish(&mut { long }, b"").exits(1);
    assert!(refused.stderr.contains("30 days at most"), "{refused}");
    home.run(&["invite", "create", "alice", "--expires", "30d", "--json"]);
    let state = |offset: &str| {
        let said = finish(&mut home.pki_at(offset, &["invite", "list", "--json"]), b"").ok();
        said.json()["invites"][0]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!((state("+29d"), state("+31d")), ("open".into(), "expired".into()));
}

/// A home whose service serves devices by EST as well, at this port.
fn with_est() -> Option<(Serving, u16)> {
    if !need(&TOOLS) {
        return None;
    }
    with_est_of(Home::with_certified_server(), "+0d")
}

fn with_est_of(home: Home, ahead: &'static str) -> Option<(Serving, u16)> {
    let port = free_port();
    home.configure("device", &format!("\"127.0.0.1:{port}\""));
    let serving = Serving::ahead(home, ahead)?;
    wait_until("the device face", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    Some((serving, port))
}

impl Serving {
    /// What EST answers: status and body.
    fn est(&self, port: u16, operation: &str, config: &str) -> (u16, String) {
        let url = format!(
            "url = \"https://{HOST}:{port}/.well-known/est/{operation}\"\nresolve = \"{HOST}:{port}:127.0.0.1\"\n\
             noproxy = \"*\"\ncacert = \"home/public/ca/root.crt\"\nsilent\nshow-error\nmax-time = 30\n\
             write-out = \"\\n%{{http_code}}\"\n{config}"
        );
        let curl = ["curl", "--disable", "--config", "-"];
        let said = match self.ahead {
            "+0d" => self.home.foreign_given(curl[0], &curl[1..], url.as_bytes()),
            ahead => {
                let at = [&["-f", ahead], &curl[..]].concat();
                self.home.foreign_given("faketime", &at, url.as_bytes())
            }
        };
        let (body, status) = said.stdout.rsplit_once('\n').unwrap_or_else(|| panic!("{said}"));
        (status.parse().unwrap(), body.to_owned())
    }

    /// Writes the certificate of an answer of EST as PEM, and says its serial number.
    fn unpacked(&self, body: &str, file: &str) -> String {
        assert_eq!(body.lines().count(), 1, "{body}");
        std::fs::write(
            self.home.path("answer.p7"),
            data_encoding::BASE64.decode(body.as_bytes()).unwrap(),
        )
        .unwrap();
        let out = [
            "pkcs7",
            "-inform",
            "DER",
            "-in",
            "answer.p7",
            "-print_certs",
            "-out",
            file,
        ];
        self.home.foreign("openssl", &out).ok();
        let serial = self
            .home
            .foreign("openssl", &["x509", "-in", file, "-noout", "-serial"])
            .ok();
        serial.stdout.trim().trim_start_matches("serial=").to_owned()
    }

    /// Asks for a new certificate by this one.
    fn reenroll(&self, port: u16, by: &str, csr: &str) -> (u16, String) {
        let body = self.home.write_private("request.csr", csr);
        let config = format!(
            "header = \"Content-Type: application/pkcs10\"\ndata-binary = \"@{}\"\ncert = \"{by}.pem\"\nkey = \"{by}.key\"\n",
            body.display()
        );
        self.est(port, "simplereenroll", &config)
    }

    fn simple_enroll(&self, port: u16, credentials: &str, csr: &str) -> (u16, String) {
        let body = self.home.write_private("request.csr", csr);
        let config = format!(
            "header = \"Content-Type: application/pkcs10\"\ndata-binary = \"@{}\"\n{credentials}",
            body.display()
        );
        self.est(port, "simpleenroll", &config)
    }
}

#[test]
fn est_hands_out_what_to_trust_and_enrolls_by_an_invite() {
    let Some((serving, port)) = with_est() else { return };
    let (status, body) = serving.est(port, "cacerts", "");
    assert_eq!((status, body.lines().count()), (200, 1), "{body}");
    std::fs::write(
        serving.home.path("ca.p7"),
        data_encoding::BASE64.decode(body.as_bytes()).unwrap(),
    )
    .unwrap();
    let printed = ["pkcs7", "-inform", "DER", "-in", "ca.p7", "-print_certs"];
    let printed = serving.home.foreign("openssl", &printed).ok().stdout;
    assert_eq!(printed.matches("BEGIN CERTIFICATE").count(), 2);
    let (status, body) = serving.est(port, "some-label/csrattrs", "");
    assert_eq!(status, 200);
    std::fs::write(
        serving.home.path("attrs"),
        data_encoding::BASE64.decode(body.as_bytes()).unwrap(),
    )
    .unwrap();
    let parsed = serving
        .home
        .foreign("openssl", &["asn1parse", "-inform", "DER", "-in", "attrs"])
        .ok()
        .stdout;
    assert!(
        parsed.contains("prime256v1") && parsed.contains("ecdsa-with-SHA256"),
        "{parsed}"
    );

    let invite = serving.invite(&["alice"]);
    let csr = serving.request("alice");
    let (status, told) = serving.simple_enroll(port, "", &csr);
    assert_eq!(status, 401, "{told}");
    let wrong = format!("user = \"{}:{}\"\n", invite.word("id"), "0".repeat(26));
    assert_eq!(serving.simple_enroll(port, &wrong, &csr).0, 403);
    let right = format!("user = \"{}:{}\"\n", invite.word("id"), invite.word("secret"));
    let (status, body) = serving.simple_enroll(port, &right, &csr);
    assert_eq!(status, 200, "{body}");
    let serial = serving.unpacked(&body, "alice.pem");
    assert_eq!(serial, serving.home.serial_of("alice/phone"));
    let token = format!(
        "oauth2-bearer = \"{}.{}\"\n",
        invite.word("id"),
        invite.word("secret")
    );
    let bare: String = csr.lines().filter(|line| !line.starts_with('-')).collect();
    assert_eq!(serving.simple_enroll(port, &token, &bare), (200, body));
}

/// The home at that time, with its timer having run.
fn later(serving: Serving, ahead: &'static str) -> Option<(Serving, u16)> {
    let Serving { home, mut server, .. } = serving;
    server.end();
    finish(
        &mut home.pki_at(ahead, &["publish", "--confirm", "CLOCK", "-q"]),
        b"",
    )
    .ok();
    with_est_of(home, ahead)
}

#[test]
fn a_device_renews_by_its_certificate_once_and_in_the_last_third_of_its_life_alone() {
    if !need(&["faketime"]) {
        return;
    }
    let Some((serving, port)) = with_est() else { return };
    let enroll = |serving: &Serving, port, name: &str, file: &str| {
        let invite = serving.invite(&[name, "--days", "90"]);
        let right = format!("user = \"{}:{}\"\n", invite.word("id"), invite.word("secret"));
        let (status, body) = serving.simple_enroll(port, &right, &serving.request(file));
        assert_eq!(status, 200, "{body}");
        serving.unpacked(&body, &format!("{file}.pem"))
    };
    let first = enroll(&serving, port, "alice", "first");
    enroll(&serving, port, "bob", "bob");
    enroll(&serving, port, "carol", "carol");
    let (status, told) = serving.reenroll(port, "first", &serving.request("second"));
    assert_eq!(status, 403, "{told}");
    assert!(
        told.starts_with("this certificate can be renewed from ") && told.lines().count() == 1,
        "{told}"
    );
    let no_certificate = format!(
        "data-binary = \"@{}\"\n",
        serving.home.path("second.csr").display()
    );
    let no_certificate = format!("header = \"Content-Type: application/pkcs10\"\n{no_certificate}");
    assert_eq!(serving.est(port, "simplereenroll", &no_certificate).0, 403);

    let Some((serving, port)) = later(serving, "+65d") else {
        return;
    };
    let csr = |name: &str| std::fs::read_to_string(serving.home.path(format!("{name}.csr"))).unwrap();
    let refused = |by: &str, csr: &str, why: &str| {
        let (status, told) = serving.reenroll(port, by, csr);
        assert_eq!((status, told.trim_end()), (403, why), "{by}");
    };
    let (status, body) = serving.reenroll(port, "first", &csr("second"));
    assert_eq!(status, 200, "{body}");
    let second = serving.unpacked(&body, "second.pem");
    assert_ne!(first, second);
    assert_eq!(serving.reenroll(port, "first", &csr("second")), (200, body));
    let third = serving.request("third");
    refused(
        "first",
        &third,
        "this certificate was renewed already, for another key",
    );
    // Its key is another device's.
    let (status, told) = serving.reenroll(port, "bob", &csr("carol"));
    assert_eq!(status, 409, "{told}");
    // What came before stays good until it ends.
    let said = finish(
        &mut serving.home.pki_at("+65d", &["list", "alice", "--json"]),
        b"",
    )
    .ok();
    let states: Vec<Value> = said.json()["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["status"].clone())
        .collect();
    assert_eq!(states, ["superseded", "valid"]);
    finish(
        &mut serving.home.pki_at("+65d", &["revoke", "alice", "--yes"]),
        b"",
    )
    .ok();
    refused("second", &third, "this certificate is revoked");
    finish(
        &mut serving
            .home
            .pki_at("+65d", &["offboard", "carol", "--confirm", "carol"]),
        b"",
    )
    .ok();
    refused("carol", &third, "this certificate is revoked");

    let Some((serving, port)) = later(serving, "+95d") else {
        return;
    };
    let (status, told) = serving.reenroll(port, "bob", &third);
    assert!(
        status == 403 && told.starts_with("this certificate ended on "),
        "{told}"
    );
}

#[test]
fn nobody_renews_by_a_certificate_that_is_no_devices_of_this_pki() {
    let Some((serving, port)) = with_est() else { return };
    let csr = serving.request("new");
    // Whoever holds the key of an authority, or another PKI's certificate, does not get as far as a request.
    let made = r#"
        openssl pkey -in home/issuing/issuing.key -passin file:issuing-passphrase -out issuing.key
        cp home/public/ca/issuing.crt issuing.pem
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=alice -keyout own.key -out own.pem
        printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n' > ext
        openssl x509 -req -in new.csr -days 9 -extfile ext -CA home/public/ca/issuing.crt -CAkey issuing.key -out new.pem
    "#;
    serving.home.foreign("sh", &["-e", "-c", made]).ok();
    let ledger = serving.ledger();
    for by in ["issuing", "own"] {
        let config = format!(
            "header = \"Content-Type: application/pkcs10\"\ndata-binary = \"@new.csr\"\ncert = \"{by}.pem\"\nkey = \"{by}.key\"\n"
        );
        let (status, _) = serving.est(port, "simplereenroll", &config);
        assert_eq!(status, 0, "{by}");
    }
    // Signed by the issuing CA, and in no ledger.
    let (status, told) = serving.reenroll(port, "new", &csr);
    assert_eq!(
        (status, told.trim_end()),
        (403, "this certificate is none that was issued here")
    );
    assert_eq!(serving.ledger(), ledger);
}

#[test]
fn strongswan_enrolls_by_est() {
    // It has the name of ours.
    const STRONGSWAN: &str = "/usr/bin/pki";
    if !need(&["haproxy", STRONGSWAN]) {
        return;
    }
    let Some((serving, port)) = with_est() else { return };
    let home = &serving.home;
    // It cannot read a CA with name constraints, which it would have to for the service's own certificate: so
    // somebody it can trust stands before it, and hands on what both say.
    crate::support::self_signed(home, "front", "IP:127.0.0.1", 9, &crate::support::EC);
    let pem = ["front.crt", "front.key"].map(|file| std::fs::read_to_string(home.path(file)).unwrap());
    let pem = home.write_private("front.pem", &pem.concat());
    let front = Server::on_free_port(|front| {
        let config = format!(
            "defaults\n mode http\n timeout connect 5s\n timeout client 20s\n timeout server 20s\nfrontend f\n \
             bind 127.0.0.1:{front} ssl crt {}\n default_backend b\nbackend b\n server s 127.0.0.1:{port} ssl verify none\n",
            pem.display()
        );
        let file = home.write_private("haproxy.cfg", &config);
        let mut haproxy = crate::support::program("haproxy");
        haproxy.arg("-db").arg("-f").arg(file);
        haproxy
    });
    let front = front.expect("haproxy ended at once");
    let invite = serving.invite(&["alice"]);
    serving.request("alice");
    let der = ["req", "-in", "alice.csr", "-outform", "DER", "-out", "alice.der"];
    home.foreign("openssl", &der).ok();
    let user = format!("{}:{}", invite.word("id"), invite.word("secret"));
    let url = format!("https://127.0.0.1:{}", front.port);
    let mut arguments = vec![
        "--est",
        "--url",
        &url,
        "--in",
        "alice.der",
        "--cacert",
        "front.crt",
    ];
    arguments.extend(["--userpass", &user, "--outform", "pem"]);
    let said = home.foreign(STRONGSWAN, &arguments).ok();
    std::fs::write(home.path("alice.pem"), &said.stdout).unwrap();
    let serial = home
        .foreign("openssl", &["x509", "-in", "alice.pem", "-noout", "-serial"])
        .ok();
    assert_eq!(
        serial.stdout.trim(),
        format!("serial={}", home.serial_of("alice/phone"))
    );
}

/// A home whose service answers for status, at this port.
fn with_status() -> Option<(Serving, u16)> {
    if !need(&TOOLS) {
        return None;
    }
    let home = Home::with_server();
    let port = free_port();
    home.configure("status", &format!("\"127.0.0.1:{port}\""));
    let serving = Serving::of(home)?;
    wait_until("the status face", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    Some((serving, port))
}

/// What openssl says of the certificate of this serial number, in its words: its exit code is 0 for bad
/// answers, too.
fn ocsp(home: &Home, port: u16, serial: &str, more: &[&str]) -> String {
    let (url, serial) = (format!("http://127.0.0.1:{port}/ocsp"), format!("0x{serial}"));
    let mut arguments = vec!["ocsp", "-issuer", "home/public/ca/issuing.crt"];
    arguments.extend(more);
    arguments.extend([
        "-serial",
        &serial,
        "-url",
        &url,
        "-CAfile",
        "home/public/ca/root.crt",
    ]);
    arguments.extend(["-verify_other", "home/public/ca/issuing.crt"]);
    home.foreign("openssl", &arguments).text()
}

#[test]
fn ocsp_says_what_the_ledger_says_as_soon_as_it_says_it() {
    let Some((serving, port)) = with_status() else {
        return;
    };
    let home = &serving.home;
    home.issue("alice", &[]);
    let serial = home.serial_of("alice/phone");
    for more in [&[][..], &["-no_nonce"], &["-sha256"]] {
        let said = ocsp(home, port, &serial, more);
        assert!(
            said.contains("Response verify OK") && said.contains(": good"),
            "{more:?}: {said}"
        );
        assert!(!said.to_lowercase().contains("nonce"), "{more:?}: {said}");
    }
    let never = ocsp(home, port, "01020304050607080102030405060708", &[]);
    assert!(
        never.contains("Response verify OK")
            && never.contains(": revoked")
            && never.contains("certificateHold"),
        "{never}"
    );
    home.run(&["revoke", "alice", "--yes", "--reason", "stolen"]);
    let said = ocsp(home, port, &serial, &["-no_nonce"]);
    assert!(
        said.contains(": revoked") && said.contains("keyCompromise") && said.contains("Response verify OK"),
        "{said}"
    );
}

#[test]
fn ocsp_is_asked_by_get_and_post_and_refuses_what_is_no_request() {
    let Some((serving, port)) = with_status() else {
        return;
    };
    let home = &serving.home;
    home.issue("alice", &[]);
    let serial = format!("0x{}", home.serial_of("alice/phone"));
    let request = |more: &[&str], file: &str| {
        let mut arguments = vec![
            "ocsp",
            "-issuer",
            "home/public/ca/issuing.crt",
            "-serial",
            &serial,
        ];
        arguments.extend(more);
        arguments.extend(["-reqout", file]);
        home.foreign("openssl", &arguments);
        std::fs::read(home.path(file)).unwrap()
    };
    let der = request(&["-no_nonce"], "request.der");
    let url = format!("http://127.0.0.1:{port}/ocsp");
    let curl = |arguments: &[&str]| {
        let mut all = vec![
            "--disable",
            "--silent",
            "--max-time",
            "20",
            "--noproxy",
            "*",
            "--write-out",
            "%{http_code} %{content_type}",
        ];
        all.extend(arguments);
        home.foreign("curl", &all).ok().stdout
    };
    let read = |file: &str| {
        let mut arguments = vec![
            "ocsp",
            "-respin",
            file,
            "-issuer",
            "home/public/ca/issuing.crt",
            "-serial",
            &serial,
        ];
        arguments.extend([
            "-CAfile",
            "home/public/ca/root.crt",
            "-verify_other",
            "home/public/ca/issuing.crt",
        ]);
        home.foreign("openssl", &arguments).text()
    };
    let text = data_encoding::BASE64.encode(&der);
    for path in [
        text.clone(),
        text.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D"),
    ] {
        let told = curl(&["--output", "got.der", &format!("{url}/{path}")]);
        assert_eq!(told, "200 application/ocsp-response");
        let said = read("got.der");
        assert!(
            said.contains("Response verify OK") && said.contains(": good"),
            "{said}"
        );
    }
    // Where nothing has changed the same answer is given again, and needs no signature.
    let first = std::fs::read(home.path("got.der")).unwrap();
    curl(&["--output", "got.der", &format!("{url}/{text}")]);
    assert_eq!(std::fs::read(home.path("got.der")).unwrap(), first);
    let post = |file: &str| {
        let body = format!("@{file}");
        let header = "Content-Type: application/ocsp-request";
        curl(&[
            "--output",
            "got.der",
            "--header",
            header,
            "--data-binary",
            &body,
            &url,
        ]);
        let said = home.foreign(
            "openssl",
            &["ocsp", "-respin", "got.der", "-resp_text", "-noverify"],
        );
        said.text()
    };
    assert!(post("request.der").contains("successful"));
    std::fs::write(home.path("cut.der"), &der[..der.len() - 1]).unwrap();
    std::fs::write(home.path("empty.der"), "").unwrap();
    for file in ["cut.der", "empty.der"] {
        assert!(post(file).contains("malformedrequest"), "{file}: {}", post(file));
    }
    let other = [
        "ocsp",
        "-issuer",
        "home/public/ca/root.crt",
        "-serial",
        "1",
        "-reqout",
        "other.der",
    ];
    home.foreign("openssl", &other);
    assert!(post("other.der").contains("unauthorized"));
}

#[test]
fn what_is_published_for_everybody_is_served_with_etags_and_nothing_else() {
    let Some((serving, port)) = with_status() else {
        return;
    };
    let home = &serving.home;
    let get = |path: &str, more: &[&str]| {
        let url = format!("http://127.0.0.1:{port}{path}");
        let mut all = vec![
            "--disable",
            "--silent",
            "--max-time",
            "20",
            "--noproxy",
            "*",
            "--path-as-is",
        ];
        all.extend([
            "--output",
            "got",
            "--dump-header",
            "head",
            "--write-out",
            "%{http_code}",
        ]);
        all.extend(more);
        all.push(&url);
        home.foreign("curl", &all).ok().stdout
    };
    assert_eq!(get("/crl/issuing.crl", &[]), "200");
    assert_eq!(
        std::fs::read(home.path("got")).unwrap(),
        std::fs::read(home.public("crl/issuing.crl")).unwrap()
    );
    let head = std::fs::read_to_string(home.path("head")).unwrap().to_lowercase();
    let tag = head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap()
        .to_owned();
    assert!(head.contains("content-type: application/pkix-crl"), "{head}");
    let known = format!("If-None-Match: {tag}");
    assert_eq!(get("/crl/issuing.crl", &["--header", &known]), "304");
    home.issue("alice", &[]);
    home.run(&["revoke", "alice", "--yes"]);
    assert_eq!(get("/crl/issuing.crl", &["--header", &known]), "200");
    for path in [
        "/server/devices.json",
        "/crl/../../issuing/issuing.key",
        "/../home/ledger.jsonl",
        "/pki.toml",
        "/crl/",
    ] {
        assert_eq!(get(path, &[]), "404", "{path}");
    }
}

#[test]
fn certificates_point_to_the_responder_where_the_configuration_names_it() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    home.configure("ocsp_url", "\"http://pki.acme.example/ocsp\"");
    let alice = home.issue("alice", &[]);
    let [leaf, _, _] = home.opened(&alice).map(|path| path.display().to_string());
    let said = home
        .foreign("openssl", &["x509", "-in", &leaf, "-noout", "-ocsp_uri"])
        .ok();
    assert_eq!(said.stdout, "http://pki.acme.example/ocsp\n");
    let said = home
        .foreign("openssl", &["x509", "-in", &leaf, "-noout", "-text"])
        .ok();
    assert!(
        said.stdout
            .contains("CA Issuers - URI:http://pki.acme.example/ca/issuing.der"),
        "{said}"
    );
}

#[test]
fn a_profile_is_made_of_what_the_redeemed_key_has_signed_and_of_nothing_else() {
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let invite = serving.invite(&["alice"]);
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("alice") });
    let (_, chain) = serving.redeem(invite.word("id"), &body);
    std::fs::write(home.path("alice.pem"), chain).unwrap();
    serving.request("mallory");
    let made = r#"
        openssl pkcs12 -export -in alice.pem -inkey alice.key -passout pass:secret -out own.p12
        head -c 9000 /dev/urandom > long.p12
        for file in own long; do for key in alice mallory; do
            openssl dgst -sha256 -sign $key.key -out $file.$key.der $file.p12
        done; done
    "#;
    home.foreign("sh", &["-e", "-c", made]).ok();
    let encoded = |file: &str| {
        let octets = std::fs::read(home.path(file)).unwrap();
        let fixed = match p256::ecdsa::Signature::from_der(&octets) {
            Ok(signature) => signature.to_bytes().to_vec(),
            Err(_) => octets,
        };
        data_encoding::BASE64.encode(&fixed)
    };
    let ask = |secret: &str, p12: &str, signature: &str| {
        let body = json!({ "secret": secret, "p12": p12, "signature": signature });
        serving.post(&format!("{}/profile", invite.word("id")), &body.to_string(), "")
    };
    let (secret, own) = (invite.word("secret"), encoded("own.p12"));
    let wrong = "0".repeat(26);
    for (told, status) in [
        (ask(&wrong, &own, &encoded("own.alice.der")), 403),
        (ask(secret, &own, &encoded("own.mallory.der")), 403),
        (ask(secret, &own, ""), 403),
        (ask(secret, &encoded("long.p12"), &encoded("long.alice.der")), 413),
        (ask(secret, "!", ""), 400),
    ] {
        assert_eq!(told.0, status, "{}", told.1);
    }
    let (status, told) = ask(secret, &own, &encoded("own.alice.der"));
    assert_eq!(status, 200, "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    let (status, profile) = serving.ask(told["address"].as_str().unwrap(), "");
    assert!(
        status == 200 && profile.contains("com.apple.security.pkcs12"),
        "{profile}"
    );
}

#[test]
fn a_device_that_is_taken_back_is_brought_in_by_no_invite_that_was_open() {
    let Some(serving) = Serving::start() else { return };
    let invite = serving.invite(&["carol"]);
    serving.home.issue("carol", &[]);
    let said = serving
        .home
        .run(&["revoke", "carol", "--reason", "stolen", "--yes"]);
    assert!(said.stderr.contains("is cancelled with it"), "{said}");
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("thief") });
    assert_eq!(serving.redeem(invite.word("id"), &body).0, 410);
}

#[test]
fn what_was_issued_is_published_by_a_service_that_was_killed_meanwhile() {
    let Some(mut serving) = Serving::start() else {
        return;
    };
    let invite = serving.invite(&["alice"]);
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("alice") });
    assert_eq!(serving.redeem(invite.word("id"), &body).0, 200);
    serving.server.signal(rustix::process::Signal::KILL);
    serving.server.end();
    let serial = serving.home.serial_of("alice/phone");
    assert!(!serving.is_published(&serial));
    let Some(serving) = Serving::of(serving.home) else {
        return;
    };
    assert!(
        serving.is_published(&serial),
        "it is there before anybody is answered"
    );
}

#[test]
fn a_home_from_an_older_backup_knows_what_was_published_before_it_answers() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    let web = home.path("web").display().to_string();
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{web}/public\"\nserver = \"{web}/server\"\n"
    ));
    let port = free_port();
    home.configure("status", &format!("\"127.0.0.1:{port}\""));
    home.issue("bob", &[]);
    let bob = home.serial_of("bob/phone");
    let Some(serving) = Serving::of(home) else { return };
    let invite = serving.invite(&["alice"]);
    let backup = crate::support::copy_of(&serving.home);
    let body = |name: &str| json!({ "secret": invite.word("secret"), "csr": serving.request(name) });
    let (first, second) = (body("first"), body("second"));
    assert_eq!(serving.redeem(invite.word("id"), &first).0, 200);
    let alice = serving.home.serial_of("alice/phone");
    serving.home.run(&["revoke", "bob", "--yes"]);
    wait_until("the servers' lists", || {
        let list = std::fs::read_to_string(serving.home.path("web/server/allowed.map"));
        list.is_ok_and(|list| list.contains(&alice)).then_some(())
    });
    // The home of yesterday in its place, and what servers have as it is.
    let Serving { home, mut server, .. } = serving;
    server.end();
    for file in ["ledger.jsonl", "index"] {
        let place = home.home().join(file);
        let _ = std::fs::remove_dir_all(&place);
        let from = backup.home().join(file).display().to_string();
        home.foreign("cp", &["-a", &from, place.to_str().unwrap()]).ok();
    }
    let Some(serving) = Serving::of(home) else { return };
    assert!(ocsp(&serving.home, port, &bob, &[]).contains(": revoked"));
    let (status, told) = serving.redeem(invite.word("id"), &second);
    assert_eq!(status, 409, "{told}");
}

#[test]
fn a_second_key_takes_the_first_out_where_the_operator_wants_it_so() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    home.configure("on_second_try", "\"revoke\"");
    let Some(serving) = Serving::of(home) else { return };
    let invite = serving.invite(&["alice"]);
    let body = |name: &str| json!({ "secret": invite.word("secret"), "csr": serving.request(name) });
    assert_eq!(serving.redeem(invite.word("id"), &body("first")).0, 200);
    assert_eq!(serving.redeem(invite.word("id"), &body("second")).0, 409);
    let said = serving.home.run(&["list", "alice", "--json"]).json();
    assert_eq!(said["devices"][0]["status"], "revoked");
}

#[test]
fn an_invite_that_cannot_be_handed_over_is_none() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    let open = |home: &Home| {
        let said = home.run(&["invite", "list", "--open", "--json"]).json();
        said["invites"].as_array().unwrap().len()
    };
    // A directory that there is not yet is made; a file that cannot be is told before anything is recorded.
    let said = home.run(&["invite", "create", "alice", "--out", "new/sheets"]);
    assert_eq!(said.stdout.lines().count(), 3, "{said}");
    for file in said.stdout.lines() {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(home.path(file)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(open(&home), 1);
    let nowhere = [
        "invite",
        "create",
        "bob",
        "--out",
        "sheets",
        "--code",
        "--code-out",
        "nowhere/digits",
    ];
    finish(&mut home.pki(&nowhere), b"").exits(1);
    assert_eq!(open(&home), 1);
    for expires in ["0s", "31d"] {
        let asked = [
            "invite",
            "create",
            "bob",
            "--json",
            "--dry-run",
            "--expires",
            expires,
        ];
        finish(&mut home.pki(&asked), b"").exits(1);
    }
    let digits = [
        "invite",
        "create",
        "bob",
        "--out",
        "sheets",
        "--code",
        "--code-out",
        "digits",
    ];
    home.run(&digits);
    let text = std::fs::read_to_string(home.path("digits")).unwrap();
    assert!(
        text.len() == 7 && text.trim_end().bytes().all(|digit| digit.is_ascii_digit()),
        "{text}"
    );
    let sheet = std::fs::read_to_string(home.path("sheets/bob-phone.invite.html")).unwrap();
    assert!(sheet.contains("six digits") && !sheet.contains(text.trim_end()));
}

#[test]
fn an_operator_compares_four_words_and_approves_that_phone_and_no_other() {
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let invite = serving.invite(&["alice", "--approve"]);
    let id = invite.word("id");
    let body = |name: &str| json!({ "secret": invite.word("secret"), "csr": serving.request(name) });
    let (first, other) = (body("first"), body("other"));
    let none = finish(
        &mut home.pki(&["invite", "approve", id, "--words", "lusab babad gutih tugad"]),
        b"",
    );
    assert!(none.exits(1).stderr.contains("no device has asked"));
    let (status, told) = serving.redeem(id, &first);
    assert_eq!((status, kind_of(&told).as_str()), (202, "waits"), "{told}");
    assert_eq!(serving.redeem(id, &first), (status, told.clone()));
    assert_eq!(serving.redeem(id, &other).0, 409);
    let shown = home.run(&["invite", "show", id, "--json"]).json();
    let words = shown["words"].as_str().unwrap();
    assert!(
        words.split(' ').count() == 4 && told.contains(words),
        "{told}: {words}"
    );
    assert_eq!(shown["state"], "asked");
    // Without somebody who compares, nothing is approved.
    for unseen in [
        &["invite", "approve", id][..],
        &["invite", "approve", id, "--yes"],
    ] {
        let refused = finish(&mut home.pki(unseen), b"");
        assert!(refused.exits(4).stderr.contains("--words"));
    }
    let others = finish(
        &mut home.pki(&["invite", "approve", id, "--words", "lusab babad gutih tugad"]),
        b"",
    );
    assert!(others.exits(1).stderr.contains("not the words of the phone"));
    assert_eq!(serving.redeem(id, &first).0, 202);
    home.run(&["invite", "approve", id, "--words", &words.to_uppercase()]);
    assert_eq!(serving.redeem(id, &other).0, 409);
    assert_eq!(serving.redeem(id, &first).0, 200);
    assert_eq!(serving.redeem(id, &first).0, 200);
    assert_eq!(serving.ledger().matches("\"event\":\"issued\"").count(), 1);
}

#[test]
fn a_new_certificate_of_the_page_is_used_without_a_dropped_connection() {
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let shown = || {
        let address = format!("127.0.0.1:{}", serving.server.port);
        let asked = ["s_client", "-connect", &address, "-servername", HOST];
        let said = home.foreign("openssl", &asked);
        std::fs::write(home.path("shown.pem"), &said.stdout).unwrap();
        home.foreign("openssl", &["x509", "-in", "shown.pem", "-noout", "-fingerprint"])
            .ok()
            .stdout
    };
    let before = shown();
    // Half of a renewal is none: the key is another's for a moment.
    let key = std::fs::read(home.path("server.key")).unwrap();
    ServerCertificate::make(home);
    let new = std::fs::read(home.path("server.key")).unwrap();
    std::fs::write(home.path("server.key"), key).unwrap();
    serving.server.hang_up();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(shown(), before);
    std::fs::write(home.path("server.key"), new).unwrap();
    serving.server.hang_up();
    wait_until("the new certificate", || (shown() != before).then_some(()));
    let invite = serving.invite(&["alice"]);
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("alice") });
    assert_eq!(serving.redeem(invite.word("id"), &body).0, 200);
}

#[test]
fn systemd_is_told_when_everything_listens_and_the_service_ends_when_it_is_asked() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    let page = ServerCertificate::make(&home);
    for (key, file) in [("page_certificate", &page.certificate), ("page_key", &page.key)] {
        home.configure(key, &format!("\"{}\"", file.display()));
    }
    let port = free_port();
    home.configure("host", &format!("\"{HOST}:{port}\""));
    let socket = std::os::unix::net::UnixDatagram::bind(home.path("notify")).unwrap();
    socket
        .set_read_timeout(Some(std::time::Duration::from_secs(30)))
        .unwrap();
    let mut command = home.pki(&["serve", "--page", &format!("127.0.0.1:{port}")]);
    let mut child = command
        .env("NOTIFY_SOCKET", home.path("notify"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut told = [0; 64];
    let length = socket.recv(&mut told).unwrap();
    assert_eq!(&told[..length], b"READY=1");
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
