//! What an account may order, and what becomes of it.

use serde_json::json;

use super::jose::{Client, Key, base64url, csr, csr_of, new_account, register};
use super::{HOST, NAMES, Ordering};
use crate::support::{Home, need, self_signed};

/// A certificate of these names, by a new key in NAME.key.
#[track_caller]
fn certified(client: &Client<'_>, name: &str, names: &[&str]) -> String {
    let order = client.order(names).is(201);
    let done = client.finalize(&order, &csr(client.at, name, names)).is(200);
    client.certificate(&done)
}

fn written(at: &Ordering, name: &str, chain: &str) {
    std::fs::write(at.home.path(name), chain).unwrap();
}

fn serial(at: &Ordering, file: &str) -> String {
    let said = at
        .home
        .foreign("openssl", &["x509", "-in", file, "-noout", "-serial"])
        .ok();
    said.stdout.trim().trim_start_matches("serial=").to_owned()
}

/// The leaf of a chain in base64url, as `revoke-cert` takes it.
fn encoded(at: &Ordering, file: &str) -> String {
    let der = format!("{file}.der");
    at.home
        .foreign("openssl", &["x509", "-in", file, "-outform", "DER", "-out", &der])
        .ok();
    base64url(std::fs::read(at.home.path(der)).unwrap())
}

#[test]
fn an_account_orders_any_of_its_names_and_authorizations_are_valid_at_once() {
    let Some(at) = Ordering::start() else { return };
    let directory = at.send("/acme/directory", "").is(200).json();
    assert_eq!(directory["meta"]["externalAccountRequired"], true);
    let client = Client::bound(&at, &at.account());
    for names in [&NAMES[..], &NAMES[1..], &NAMES[..1]] {
        let order = client.order(names).is(201);
        let made = order.json();
        assert_eq!(made["status"], "ready");
        assert_eq!(made["identifiers"].as_array().unwrap().len(), names.len());
        for (number, url) in made["authorizations"].as_array().unwrap().iter().enumerate() {
            let answer = client.read(&at.path_of(url.as_str().unwrap())).is(200).json();
            assert_eq!(answer["status"], "valid");
            assert_eq!(answer["identifier"]["value"], names[number]);
        }
        let done = client.finalize(&order, &csr(&at, "server", names)).is(200);
        assert_eq!(done.json()["status"], "valid");
        let chain = client.certificate(&done);
        written(&at, "chain.pem", &chain);
        assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
        at.home
            .foreign(
                "openssl",
                &[
                    "verify",
                    "-CAfile",
                    "home/public/ca/root.crt",
                    "-untrusted",
                    "chain.pem",
                    "chain.pem",
                ],
            )
            .ok();
        let said = at.home.foreign(
            "openssl",
            &["x509", "-in", "chain.pem", "-noout", "-ext", "subjectAltName"],
        );
        let listed: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
        assert_eq!(said.stdout.lines().last().unwrap().trim(), listed.join(", "));
    }
    let orders = client
        .read(&format!("{}/orders", at.path_of(&client.account)))
        .is(200);
    assert_eq!(orders.json()["orders"].as_array().unwrap().len(), 3);
    // All of it is in the ledger, and whoever audits it reads who ordered what.
    assert!(
        at.home
            .run(&["audit"])
            .stdout
            .contains("granted to www.acme.example, shop.acme.example")
    );
}

#[test]
fn a_certificate_is_known_by_its_serial_and_is_given_to_its_own_account_alone() {
    let Some(at) = Ordering::start() else { return };
    let [one, other] = [at.account(), at.account()].map(|given| Client::bound(&at, &given));
    let order = one.order(&NAMES[..1]).is(201);
    let done = one.finalize(&order, &csr(&at, "server", &NAMES[..1])).is(200);
    written(&at, "chain.pem", &one.certificate(&done));
    let serial = serial(&at, "chain.pem");
    let url = done.json()["certificate"].as_str().unwrap().to_owned();
    assert!(url.ends_with(&serial), "{url}");
    other.read(&at.path_of(&url)).is(404);
    other
        .read(&at.path_of(&order.header("location").unwrap()))
        .is(404);
    // Not to be finalized twice.
    one.finalize(&order, &csr(&at, "again", &NAMES[..1]))
        .refused(403, "orderNotReady");
    let listed = at.home.run(&["server", "list"]).stdout;
    assert!(
        listed.contains(&format!("certificate {serial} of {} until", NAMES[0])),
        "{listed}"
    );
}

#[test]
fn a_certificate_is_revoked_by_its_account_or_by_its_key_and_by_nobody_else() {
    let Some(at) = Ordering::start() else { return };
    let [one, other] = [at.account(), at.account()].map(|given| Client::bound(&at, &given));
    for (number, by_key) in [false, true].into_iter().enumerate() {
        let key = Key::new();
        at.home.write_private("held.key", &key.pem());
        let order = one.order(&NAMES).is(201);
        let names = NAMES.map(|name| format!("DNS:{name}")).join(",");
        let request = csr_of(&at, "held", &names, &["-key", "held.key"]);
        let done = one.finalize(&order, &request).is(200);
        written(&at, "chain.pem", &one.certificate(&done));
        let payload = json!({ "certificate": encoded(&at, "chain.pem"), "reason": 4 });
        let path = "/acme/revoke-cert";
        other.post(path, &payload).refused(403, "unauthorized");
        let by = |key: &Key| {
            let request = super::jose::Request {
                header: json!({ "alg": "ES256", "jwk": key.jwk(), "nonce": at.nonce(), "url": at.url(path) }),
                payload: payload.to_string().into_bytes(),
            };
            at.post(path, &request.signed_by(key))
        };
        by(&Key::new()).refused(403, "unauthorized");
        let odd = json!({ "certificate": encoded(&at, "chain.pem"), "reason": 2 });
        one.post(path, &odd).refused(400, "badRevocationReason");
        match by_key {
            true => by(&key).is(200),
            false => one.post(path, &payload).is(200),
        };
        one.post(path, &payload).refused(400, "alreadyRevoked");
        let audit = at.home.run(&["audit"]).stdout;
        let serial = serial(&at, "chain.pem");
        assert!(
            audit.contains(&format!("revoked      {} {serial} (replaced)", NAMES[0])),
            "{audit}"
        );
        assert_eq!(audit.matches("(replaced)").count(), number + 1);
    }
    // One of another CA, and one that is no certificate.
    self_signed(
        &at.home,
        "foreign",
        &format!("DNS:{}", NAMES[0]),
        30,
        &crate::support::EC,
    );
    let foreign = json!({ "certificate": encoded(&at, "foreign.crt") });
    one.post("/acme/revoke-cert", &foreign)
        .refused(403, "unauthorized");
    one.post("/acme/revoke-cert", &json!({ "certificate": "AAAA" }))
        .refused(400, "malformed");
}

/// What apps hold a server to is not for a client to change.
#[test]
fn a_server_that_is_pinned_keeps_its_key() {
    let Some(at) = Ordering::start() else { return };
    // HOST is a server of the home, whose key is in `tls`.
    let client = Client::bound(&at, &at.account_for(HOST, &[]));
    let order = client.order(&[HOST]).is(201);
    let refused = client
        .finalize(&order, &csr(&at, "another", &[HOST]))
        .refused(400, "badCSR");
    assert!(refused.text.contains("--reuse-key"), "{refused}");
    // The log is written by a thread of its own.
    crate::support::wait_until("a line of the log", || {
        at.log().contains("--reuse-key").then_some(())
    });
    // The order is still there for who brings the right one.
    let alternatives = format!("DNS:{HOST}");
    let own = format!("tls/{HOST}.key");
    let request = csr_of(&at, "own", &alternatives, &["-key", &own]);
    let done = client.finalize(&order, &request).is(200);
    written(&at, "chain.pem", &client.certificate(&done));
    let listed = at.home.run(&["server", "list", "--json"]).json();
    assert_eq!(
        listed["servers"][0]["certificate"]["serial"],
        serial(&at, "chain.pem"),
        "{listed}"
    );
}

/// One that is not can be, by what it got: from then on it keeps its key.
#[test]
fn a_key_that_was_ordered_for_can_be_pinned() {
    let Some(at) = Ordering::start() else { return };
    let client = Client::bound(&at, &at.account());
    written(&at, "chain.pem", &certified(&client, "first", &NAMES[..1]));
    written(&at, "renewed.pem", &certified(&client, "second", &NAMES[..1]));
    at.home
        .run(&["server", "import", NAMES[0], "--cert", "renewed.pem", "-q"]);
    let order = client.order(&NAMES[..1]).is(201);
    let names = format!("DNS:{}", NAMES[0]);
    let again = csr_of(&at, "first-again", &names, &["-key", "first.key"]);
    client.finalize(&order, &again).refused(400, "badCSR");
    let again = csr_of(&at, "second-again", &names, &["-key", "second.key"]);
    client.finalize(&order, &again).is(200);
    let listed = at.home.run(&["server", "list", NAMES[0], "--json"]).json();
    assert_eq!(listed["servers"][0]["certificate"]["issuer"], "own", "{listed}");
}

#[test]
fn an_account_changes_its_key_and_is_given_up() {
    let Some(at) = Ordering::start() else { return };
    let given = at.account();
    let mut client = Client::bound(&at, &given);
    let next = Key::new();
    let path = "/acme/key-change";
    let change = |old: &Key, account: &str, next: &Key| {
        let inner = super::jose::Request {
            header: json!({ "alg": "ES256", "jwk": next.jwk(), "url": at.url(path) }),
            payload: json!({ "account": account, "oldKey": old.jwk() })
                .to_string()
                .into_bytes(),
        };
        inner.signed_by(next)
    };
    // Another's old key, another's account, or no proof of the new key.
    client
        .post(path, &change(&Key::new(), &client.account, &next))
        .refused(400, "malformed");
    client
        .post(
            path,
            &change(&client.key, &at.url("/acme/account/0011223344556677"), &next),
        )
        .refused(400, "malformed");
    let mut forged = change(&client.key, &client.account, &next);
    forged["signature"] = change(&client.key, &client.account, &Key::new())["signature"].clone();
    client.post(path, &forged).refused(400, "malformed");
    // A key that another account has.
    let other = Client::bound(&at, &at.account());
    let taken = client.post(path, &change(&client.key, &client.account, &other.key));
    assert_eq!(taken.is(409).header("location").as_ref(), Some(&other.account));

    client
        .post(path, &change(&client.key, &client.account, &next))
        .is(200);
    client.order(&NAMES).refused(400, "malformed");
    client.key = next;
    client.order(&NAMES).is(201);
    // Whoever comes with a key that is bound is told so, whatever else it brings (RFC 8555 §7.3.1).
    let found = new_account(&at, &client.key, &json!({ "onlyReturnExisting": true })).is(200);
    assert_eq!(found.header("location").as_ref(), Some(&client.account));
    new_account(&at, &Key::new(), &json!({ "onlyReturnExisting": true })).refused(400, "accountDoesNotExist");

    let account = at.path_of(&client.account);
    client
        .post(&account, &json!({ "status": "revoked" }))
        .refused(400, "malformed");
    let given_up = client.post(&account, &json!({ "status": "deactivated" })).is(200);
    assert_eq!(given_up.json()["status"], "deactivated");
    client.order(&NAMES).refused(403, "unauthorized");
    register(&at, &Key::new(), &given).refused(403, "unauthorized");
}

#[test]
fn an_operator_ends_an_account_and_what_it_ordered_stays_good() {
    let Some(at) = Ordering::start() else { return };
    let [one, other] = [at.account(), at.account()];
    let [client, left] = [&one, &other].map(|given| Client::bound(&at, given));
    written(&at, "chain.pem", &certified(&client, "server", &NAMES));
    let dry = at
        .home
        .run(&["server", "acme", NAMES[0], "--cancel", &one.kid, "--dry-run"]);
    assert!(dry.stderr.contains(&one.kid), "{dry}");
    client.order(&NAMES).is(201);
    at.home
        .run(&["server", "acme", NAMES[0], "--cancel", &one.kid, "--yes"]);
    client.order(&NAMES).refused(403, "unauthorized");
    left.order(&NAMES).is(201);
    // Who was ended is shown as long as something that it has ordered is good.
    let kids = |at: &Ordering, is_ended: bool| -> Vec<String> {
        let accounts = at.accounts();
        let of = accounts.iter().filter(|one| one["ended"].is_null() != is_ended);
        of.map(|one| one["kid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kids(&at, true), std::slice::from_ref(&one.kid));
    assert_eq!(kids(&at, false), std::slice::from_ref(&other.kid));
    let several = [at.account(), at.account()];
    let run = |arguments: &[&str]| {
        let all = [&["server", "acme"], arguments, &["--yes"]].concat();
        crate::support::finish(&mut at.home.pki(&all), b"").exits(1)
    };
    let which = run(&[NAMES[0], "--cancel"]);
    assert!(which.stderr.contains(&several[0].kid), "{which}");
    for given in &several {
        at.home
            .run(&["server", "acme", NAMES[0], "--cancel", &given.kid, "--yes"]);
    }
    let audit = at.home.run(&["audit"]).stdout;
    assert!(!audit.contains("revoked "), "{audit}");
    // All that one has ordered is taken back with it.
    written(&at, "chain.pem", &certified(&left, "left", &NAMES));
    let taken = at
        .home
        .run(&[
            "server", "acme", NAMES[0], "--cancel", &other.kid, "--revoke", "--yes", "--json",
        ])
        .json();
    assert_eq!(taken["revoked"], json!([serial(&at, "chain.pem")]), "{taken}");
    assert!(at.home.run(&["audit"]).stdout.contains("(compromised)"));
    // Of one host, with its accounts and what they have ordered, and of no other.
    let own = at.home.run(&["audit", "--server", NAMES[0]]).stdout;
    for what in [
        format!("account {} granted", other.kid),
        format!("account {} has the key", other.kid),
        format!("ordered by account {}", other.kid),
        format!("account {} cancelled", other.kid),
        "(compromised)".into(),
    ] {
        assert!(own.contains(&what), "{what}: {own}");
    }
    assert!(
        !own.contains("initialized") && !own.contains("published"),
        "{own}"
    );
    let none = at.home.run(&["audit", "--server", "nothing.acme.example"]);
    assert!(
        none.stdout.is_empty() && none.stderr.contains("knows no server nothing.acme.example"),
        "{none}"
    );
    // What one that was ended has left is taken back by itself.
    let taken = at
        .home
        .run(&[
            "server", "acme", NAMES[0], "--cancel", &one.kid, "--revoke", "--yes", "--json",
        ])
        .json();
    assert_eq!(taken["revoked"].as_array().unwrap().len(), 1, "{taken}");
    // Ended twice, and another server's.
    at.home.run(&[
        "server",
        "acme",
        NAMES[0],
        "--cancel",
        &one.kid.to_uppercase(),
        "--yes",
    ]);
    run(&[HOST, "--cancel", &other.kid]);
    run(&[HOST, "--cancel"]);
}

#[test]
fn what_is_ordered_is_told_when_to_be_renewed() {
    let Some(at) = Ordering::start() else { return };
    let client = Client::bound(&at, &at.account());
    written(&at, "chain.pem", &certified(&client, "server", &NAMES));
    let octets = |extension: &str, from: &str| {
        let said = at
            .home
            .foreign(
                "openssl",
                &["x509", "-in", "chain.pem", "-noout", "-ext", extension],
            )
            .ok();
        let hex: String = said.stdout.split_once(from).unwrap().1.trim().replace(':', "");
        data_encoding::HEXUPPER.decode(hex.trim().as_bytes()).unwrap()
    };
    let authority = octets("authorityKeyIdentifier", "Identifier:");
    let serial = data_encoding::HEXUPPER
        .decode(serial(&at, "chain.pem").as_bytes())
        .unwrap();
    let id = format!("{}.{}", base64url(&authority), base64url(&serial));
    let info = at.send(&format!("/acme/renewal-info/{id}"), "").is(200);
    assert_eq!(info.header("retry-after").as_deref(), Some("21600"));
    let window = &info.json()["suggestedWindow"];
    let [start, end] = ["start", "end"].map(|edge| window[edge].as_str().unwrap().to_owned());
    let days = |time: &str| {
        let said = at.home.foreign("date", &["-u", "-d", time, "+%s"]).ok();
        let now = at.home.foreign("date", &["-u", "+%s"]).ok();
        let [at, now] = [said, now].map(|said| said.stdout.trim().parse::<f64>().unwrap());
        ((at - now) / 86_400.0).round()
    };
    assert_eq!((days(&start), days(&end)), (60.0, 63.0));
    // An order says which one it replaces, once, and of its own.
    let order = |client: &Client<'_>, id: &str| {
        let names: Vec<_> = NAMES
            .iter()
            .map(|name| json!({ "type": "dns", "value": name }))
            .collect();
        client.post(
            "/acme/new-order",
            &json!({ "identifiers": names, "replaces": id }),
        )
    };
    let other = Client::bound(&at, &at.account());
    order(&other, &id).refused(400, "malformed");
    order(&client, "AAAA.AAAA").refused(400, "malformed");
    let replacing = order(&client, &id).is(201);
    client.finalize(&replacing, &csr(&at, "next", &NAMES)).is(200);
    order(&client, &id).refused(409, "alreadyReplaced");
    // One that is revoked is to be renewed at once.
    client
        .post(
            "/acme/revoke-cert",
            &json!({ "certificate": encoded(&at, "chain.pem") }),
        )
        .is(200);
    let info = at.send(&format!("/acme/renewal-info/{id}"), "").is(200).json();
    assert!(
        days(info["suggestedWindow"]["end"].as_str().unwrap()) <= 0.0,
        "{info}"
    );
    at.send("/acme/renewal-info/AAAA.AAAA", "").is(404);
    at.send("/acme/renewal-info/nothing", "").is(404);
}

/// The face for servers needs the key of the servers' CA, and no other.
#[test]
fn where_servers_alone_are_served_the_issuing_key_is_not_opened() {
    if !need(&["curl", "openssl"]) {
        return;
    }
    let home = Home::with_certified_server();
    std::fs::rename(home.home().join("issuing/issuing.key"), home.path("issuing.key")).unwrap();
    let at = Ordering::of(home).unwrap();
    std::fs::rename(
        at.home.path("issuing.key"),
        at.home.home().join("issuing/issuing.key"),
    )
    .unwrap();
    let client = Client::bound(&at, &at.account());
    let chain = certified(&client, "server", &NAMES);
    assert!(chain.contains("BEGIN CERTIFICATE"));
}
