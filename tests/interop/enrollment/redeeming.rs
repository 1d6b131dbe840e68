//! An invite is redeemed by a key: once, by who has its secret, and by nobody else.

use std::process::{Child, Stdio};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Invite, Serving, TOOLS, kind_of};
use crate::support::{HOST, Home, finish, need, wait_until};

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
    assert_eq!(serving.redeem(id, &first).0, 200);
    // It is told with its name, by those who are asked, until the certificate that it brought is taken back.
    let told = |home: &Home| {
        let listed = home.run(&["invite", "list"]).stderr;
        let found = finish(&mut home.pki(&["doctor", "--json"]), b"").json();
        let found = found["findings"].as_array().unwrap().clone();
        let found = found
            .into_iter()
            .filter(|finding| finding["code"] == "second-key");
        let found: Vec<String> = found.map(|finding| finding["message"].to_string()).collect();
        (
            listed.contains(&format!("alice/phone's invite {id} came with another key")),
            found,
        )
    };
    let (is_listed, found) = told(&serving.home);
    assert!(
        is_listed && found.len() == 1 && found[0].contains(id),
        "{found:?}"
    );
    serving.home.run(&["revoke", "alice", "--yes"]);
    assert_eq!(told(&serving.home), (false, Vec::new()));
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
fn a_page_of_another_site_cannot_ask_in_a_browser_of_ours() {
    let Some(serving) = Serving::start() else { return };
    let invite = serving.invite(&["alice"]);
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("phone") }).to_string();
    for site in ["cross-site", "same-site"] {
        let header = format!("header = \"Sec-Fetch-Site: {site}\"\n");
        let (status, told) = serving.post(invite.word("id"), &body, &header);
        assert_eq!((status, kind_of(&told).as_str()), (403, "another-site"), "{told}");
    }
    let header = "header = \"Sec-Fetch-Site: same-origin\"\n";
    assert_eq!(serving.post(invite.word("id"), &body, header).0, 200);
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
fn a_second_key_and_a_new_phone_that_come_at_once_take_the_first_one_out_once() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    home.configure("on_second_try", "\"revoke\"");
    let Some(serving) = Serving::of(home) else { return };
    let ask = |invite: &Invite, name: &str| {
        let body = json!({ "secret": invite.word("secret"), "csr": serving.request(name) });
        let file = serving
            .home
            .write_private(format!("{name}.json"), &body.to_string());
        (invite.word("id").to_owned(), file)
    };
    let first = serving.invite(&["alice"]);
    let (id, file) = ask(&first, "first");
    let status = |child: Child| {
        let told = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        told.lines().last().unwrap().to_owned()
    };
    assert_eq!(status(curl(&serving, &id, &file)), "200");
    let second = serving.invite(&["alice", "--replace"]);
    let [thief, new] = [(&first, "thief"), (&second, "new")].map(|(of, name)| ask(of, name));
    let nobodys = json!({ "secret": "0".repeat(26), "csr": serving.request("nobody") });
    let nobodys = serving.home.write_private("nobodys.json", &nobodys.to_string());
    // While another has the home, whoever asks waits, and all of them are decided about at once.
    let lock = std::fs::File::options()
        .write(true)
        .open(serving.home.home().join("lock"))
        .unwrap();
    lock.lock().unwrap();
    let nobody = curl(&serving, first.word("id"), &nobodys);
    let waiting = serving.home.home().join("waiting");
    wait_until("the service that waits", || {
        let waiting = std::fs::File::open(&waiting).ok()?;
        waiting.try_lock().is_err().then_some(())
    });
    let thief = curl(&serving, &thief.0, &thief.1);
    let new = curl(&serving, &new.0, &new.1);
    std::thread::sleep(std::time::Duration::from_millis(500));
    drop(lock);
    assert_eq!([nobody, thief, new].map(status), ["403", "409", "200"]);
    let ledger = serving.ledger();
    let revoked: Vec<&str> = ledger
        .lines()
        .filter(|line| line.contains("\"event\":\"revoked\""))
        .collect();
    // Whichever of the two came first.
    assert_eq!(revoked.len(), 1, "{revoked:?}");
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
