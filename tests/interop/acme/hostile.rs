//! Clients that ask for what they must not have: each is refused by the answer that RFC 8555 has for it, and
//! nothing is in the ledger afterwards.

use serde_json::{Value, json};

use super::jose::{Client, Key, Request, base64url, binding, bound_by, csr, csr_of, new_account, register};
use super::{Given, HOST, NAMES, Ordering};
use crate::support::{EC, finish};

fn ledger(at: &Ordering) -> String {
    std::fs::read_to_string(at.home.home().join("ledger.jsonl")).unwrap()
}

#[test]
fn a_nonce_is_good_once_and_only_where_it_was_made() {
    let Some(at) = Ordering::start() else { return };
    let client = Client::bound(&at, &at.account());
    let path = "/acme/new-order";
    let payload = json!({ "identifiers": [{ "type": "dns", "value": NAMES[0] }] });
    let used = client.request(path, &payload).signed_by(&client.key);
    at.post(path, &used).is(201);
    at.post(path, &used).refused(400, "badNonce");
    for nonce in [
        json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        json!(base64url("of another service of another CA")),
        json!(""),
        Value::Null,
    ] {
        let mut request = client.request(path, &payload);
        request.header["nonce"] = nonce;
        at.post(path, &request.signed_by(&client.key))
            .refused(400, "badNonce");
    }
    let mut none = client.request(path, &payload);
    none.header.as_object_mut().unwrap().remove("nonce");
    at.post(path, &none.signed_by(&client.key))
        .refused(400, "badNonce");
    // Whoever cannot sign uses up nobody's.
    let mut request = client.request(path, &payload);
    let nonce = request.header["nonce"].clone();
    at.post(path, &request.signed_by(&Key::new()))
        .refused(400, "malformed");
    request.header["nonce"] = nonce;
    at.post(path, &request.signed_by(&client.key)).is(201);
    // The nonce of a refusal is good.
    let refused = client
        .order(&["evil.acme.example"])
        .refused(403, "rejectedIdentifier");
    let mut request = client.request(path, &payload);
    request.header["nonce"] = json!(refused.header("replay-nonce").unwrap());
    at.post(path, &request.signed_by(&client.key)).is(201);
}

#[test]
fn a_request_is_for_where_it_was_sent() {
    let Some(at) = Ordering::start() else { return };
    let client = Client::bound(&at, &at.account());
    let path = "/acme/new-order";
    let payload = json!({ "identifiers": [{ "type": "dns", "value": NAMES[0] }] });
    for url in [
        at.url("/acme/revoke-cert"),
        at.url("/acme/new-order/"),
        at.url("/acme/new-order?a=b"),
        at.url("/acme/NEW-ORDER"),
        at.url(path).replace("https", "http"),
        at.url(path).replace(HOST, "other.acme.example"),
        at.url(path).replace(HOST, &HOST.to_uppercase()),
        path.to_owned(),
    ] {
        let mut request = client.request(path, &payload);
        request.header["url"] = json!(url);
        at.post(path, &request.signed_by(&client.key))
            .refused(403, "unauthorized");
    }
    let mut request = client.request(path, &payload);
    request.header.as_object_mut().unwrap().remove("url");
    at.post(path, &request.signed_by(&client.key))
        .refused(400, "malformed");
    // A query is no part of any URL here.
    let request = client.request(path, &payload);
    at.post(&format!("{path}?a=b"), &request.signed_by(&client.key))
        .is(404);
}

#[test]
fn a_signature_is_by_the_key_it_names_in_the_form_of_jose() {
    let Some(at) = Ordering::start() else { return };
    let client = Client::bound(&at, &at.account());
    let before = ledger(&at);
    let path = "/acme/new-order";
    let payload = json!({ "identifiers": [{ "type": "dns", "value": NAMES[0] }] });
    let signed = |change: &dyn Fn(&mut Request)| {
        let mut request = client.request(path, &payload);
        change(&mut request);
        request.signed_by(&client.key)
    };
    let with = |name: &'static str, value: Value| {
        signed(&move |request: &mut Request| request.header[name] = value.clone())
    };
    // Algorithms that nobody signs by here, and the one that proves nothing.
    for alg in ["none", "HS256", "RS384", "ES384", "es256", "EdDSA", ""] {
        let answer = at
            .post(path, &with("alg", json!(alg)))
            .refused(400, "badSignatureAlgorithm");
        assert_eq!(answer.json()["algorithms"], json!(["ES256", "RS256"]));
    }
    // Of a key of the other kind.
    at.post(path, &with("alg", json!("RS256")))
        .refused(400, "malformed");
    // The octets of DER are not those of JOSE.
    let request = client.request(path, &payload);
    let [protected, said] = request.parts();
    let message = format!("{protected}.{said}");
    for signature in [
        base64url(client.key.sign_as_der(&message)),
        base64url([0; 64]),
        String::new(),
        base64url(client.key.sign(&message)) + "=",
        base64url(client.key.sign(&message)) + "AA",
        "not base64url!".into(),
    ] {
        let body = json!({ "protected": protected, "payload": said, "signature": signature });
        at.post(path, &body).refused(400, "malformed");
    }
    // What was signed is what is read.
    let mut altered = signed(&|_| {});
    let evil = json!({ "identifiers": [{ "type": "dns", "value": NAMES[1] }] });
    altered["payload"] = json!(base64url(evil.to_string()));
    at.post(path, &altered).refused(400, "malformed");
    // One key, and not two ways to name one.
    at.post(path, &with("jwk", client.key.jwk()))
        .refused(400, "malformed");
    at.post(path, &with("crit", json!(["b64"])))
        .refused(400, "malformed");
    let neither = signed(&|request| {
        request.header.as_object_mut().unwrap().remove("kid");
    });
    at.post(path, &neither).refused(400, "malformed");
    let by_key = signed(&|request| {
        request.header.as_object_mut().unwrap().remove("kid");
        request.header["jwk"] = client.key.jwk();
    });
    at.post(path, &by_key).refused(400, "malformed");
    for kid in [
        at.url("/acme/account/0011223344556677"),
        at.path_of(&client.account),
        client.account.replace("https", "http"),
        format!("{}/", client.account),
        String::new(),
    ] {
        at.post(path, &with("kid", json!(kid)))
            .refused(400, "accountDoesNotExist");
    }
    // Other forms of a JWS.
    let mut unprotected = signed(&|_| {});
    unprotected["header"] = json!({ "alg": "ES256" });
    at.post(path, &unprotected).refused(400, "malformed");
    let one = signed(&|_| {});
    let general = json!({
        "payload": one["payload"], "signatures": [{ "protected": one["protected"], "signature": one["signature"] }],
    });
    at.post(path, &general).refused(400, "malformed");
    let compact = format!(
        "{}.{}.{}",
        one["protected"].as_str().unwrap(),
        one["payload"].as_str().unwrap(),
        one["signature"].as_str().unwrap()
    );
    for text in [
        compact.as_str(),
        "",
        "{}",
        "[]",
        "null",
        "{\"protected\":1}",
        "\u{0}",
    ] {
        at.post_text(path, text).refused(400, "malformed");
    }
    // A member that stands there twice is read in two ways by two readers.
    let twice = one
        .to_string()
        .replacen('{', &format!("{{\"payload\":\"{}\",", base64url("{}")), 1);
    at.post_text(path, &twice).refused(400, "malformed");
    // What is no request of ACME.
    let file = at.home.write_private("plain.json", &signed(&|_| {}).to_string());
    let sent_as = |kind: &str| {
        at.send(
            path,
            &format!(
                "header = \"Content-Type: {kind}\"\ndata-binary = \"@{}\"\n",
                file.display()
            ),
        )
    };
    sent_as("application/json").refused(415, "malformed");
    sent_as("").refused(415, "malformed");
    at.send(path, "").is(405);
    at.send("/acme/directory", "request = \"DELETE\"\n").is(405);
    at.send("/acme/directory/", "").is(404);
    let long = format!("{{\"protected\":\"{}\"}}", "A".repeat(17_000));
    at.post_text(path, &long).refused(413, "malformed");
    assert_eq!(ledger(&at), before);
}

#[test]
fn a_client_is_bound_by_the_mac_key_of_its_own_account_once() {
    let Some(at) = Ordering::start() else { return };
    let [given, other] = [at.account(), at.account()];
    let url = at.url("/acme/new-account");
    let key = Key::new();
    let before = ledger(&at);
    let mut asked = json!({ "termsOfServiceAgreed": true });
    new_account(&at, &key, &asked).refused(403, "externalAccountRequired");
    let mut bound = |binding: Value| {
        asked["externalAccountBinding"] = binding;
        new_account(&at, &key, &asked)
    };
    let jwk = key.jwk();
    // Another account's MAC key, an account that there is not, another form of a name.
    for (kid, mac_key) in [
        (given.kid.as_str(), other.mac_key.as_str()),
        ("0011223344556677", &given.mac_key),
        (&given.kid.to_uppercase(), &given.mac_key),
        ("", &given.mac_key),
        (&given.kid, ""),
    ] {
        bound(binding(kid, mac_key, &url, &jwk)).refused(403, "unauthorized");
    }
    // Another key than the one that asks, another place, another algorithm.
    bound(binding(&given.kid, &given.mac_key, &url, &Key::new().jwk())).refused(400, "malformed");
    bound(binding(
        &given.kid,
        &given.mac_key,
        &at.url("/acme/new-order"),
        &jwk,
    ))
    .refused(403, "unauthorized");
    for alg in ["none", "HS384", "ES256", ""] {
        bound(bound_by(alg, &given.kid, &given.mac_key, &url, &jwk)).refused(400, "badSignatureAlgorithm");
    }
    let mut altered = binding(&given.kid, &given.mac_key, &url, &jwk);
    altered["signature"] = json!(base64url([0; 32]));
    bound(altered).refused(403, "unauthorized");
    assert_eq!(ledger(&at), before);

    // Twice: for the same key it is the same account, for another one it is refused.
    let client = Client::bound(&at, &given);
    let again = register(&at, &client.key, &given).is(200);
    assert_eq!(again.header("location").as_ref(), Some(&client.account));
    let after = ledger(&at);
    register(&at, &Key::new(), &given).refused(403, "unauthorized");
    // After it was cancelled, bound or not.
    at.home
        .run(&["server", "acme", NAMES[0], "--cancel", "all", "--yes"]);
    for ended in [&given, &other] {
        register(&at, &Key::new(), ended).refused(403, "unauthorized");
    }
    register(&at, &client.key, &given).refused(403, "unauthorized");
    assert_eq!(after.matches("acme_bound").count(), 1);
    assert_eq!(ledger(&at).matches("acme_bound").count(), 1);
}

#[test]
fn names_that_were_not_granted_are_not_ordered() {
    let Some(at) = Ordering::start() else { return };
    let client = Client::bound(&at, &at.account());
    let before = ledger(&at);
    for name in [
        "evil.acme.example",
        HOST,
        "acme.example",
        "*.acme.example",
        "*.www.acme.example",
        "www.acme.example.",
        "www.acme.example.evil.example",
        "münchen.acme.example",
        "xn--mnchen-3ya.acme.example",
        "127.0.0.1",
        "www.acme.example:443",
        "www.acme.example\u{0}.evil.example",
        "",
        " www.acme.example",
    ] {
        client.order(&[name]).refused(403, "rejectedIdentifier");
        let both = client
            .order(&[NAMES[0], name, "other.evil.example"])
            .refused(403, "rejectedIdentifier");
        assert_eq!(both.json()["subproblems"].as_array().unwrap().len(), 2, "{both}");
    }
    // Whoever looks after the service reads of it.
    crate::support::wait_until("a line of the log", || {
        at.log().contains("may not order evil.acme.example").then_some(())
    });
    // In other letters it is the same name.
    assert_eq!(
        client.order(&["WWW.acme.example"]).is(201).json()["identifiers"][0]["value"],
        NAMES[0]
    );
    let path = "/acme/new-order";
    let of = |identifiers: Value| client.post(path, &json!({ "identifiers": identifiers }));
    of(json!([{ "type": "ip", "value": "127.0.0.1" }])).refused(400, "unsupportedIdentifier");
    of(json!([{ "type": "email", "value": "a@acme.example" }])).refused(400, "unsupportedIdentifier");
    of(json!([])).refused(400, "malformed");
    of(json!([{ "value": NAMES[0] }])).refused(400, "malformed");
    of(json!("www.acme.example")).refused(400, "malformed");
    of(Value::Array(vec![
        json!({ "type": "dns", "value": NAMES[0] });
        101
    ]))
    .refused(400, "malformed");
    for dated in ["notBefore", "notAfter"] {
        let asked =
            json!({ "identifiers": [{ "type": "dns", "value": NAMES[0] }], dated: "2030-01-01T00:00:00Z" });
        client.post(path, &asked).refused(400, "malformed");
    }
    assert_eq!(ledger(&at), before);
}

#[test]
fn a_request_for_a_certificate_has_the_names_of_the_order_and_a_key_that_nobody_else_has() {
    let Some(at) = Ordering::start() else { return };
    let client = Client::bound(&at, &at.account());
    let [_, _, device] = at.home.opened(&at.home.issue("carl", &["--for", "linux"]));
    let before = ledger(&at);
    let order = client.order(&NAMES).is(201);
    let refused = |request: &[u8]| {
        client.finalize(&order, request).refused(400, "badCSR");
    };
    let own = NAMES.map(|name| format!("DNS:{name}")).join(",");
    for names in [
        format!("DNS:{}", NAMES[0]),
        format!("{own},DNS:evil.acme.example"),
        format!("{own},DNS:*.acme.example"),
        format!("{own},IP:127.0.0.1"),
        format!("{own},email:ops@acme.example"),
        format!("{own},URI:https://www.acme.example/"),
        "DNS:evil.acme.example".into(),
    ] {
        refused(&csr_of(&at, "other", &names, &EC));
    }
    let with_name = |subject: &str| {
        let arguments = [
            "req",
            "-new",
            "-noenc",
            "-subj",
            subject,
            "-addext",
            &format!("subjectAltName={own}"),
            "-outform",
            "DER",
            "-out",
            "named.csr",
            "-keyout",
            "named.key",
        ];
        at.home.foreign("openssl", &[&arguments[..], &EC].concat()).ok();
        std::fs::read(at.home.path("named.csr")).unwrap()
    };
    refused(&with_name("/CN=evil.acme.example"));
    // A device's key, a CA's, the account's own, and the one of a kind that is not certified.
    let device = device.to_str().unwrap().to_owned();
    refused(&csr_of(&at, "device", &own, &["-key", &device]));
    at.home.write_private("account.key", &client.key.pem());
    refused(&csr_of(&at, "account", &own, &["-key", "account.key"]));
    refused(&csr_of(&at, "rsa", &own, &["-newkey", "rsa:2048"]));
    refused(&csr_of(
        &at,
        "p384",
        &own,
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    ));
    let mut altered = csr(&at, "altered", &NAMES);
    let last = altered.len() - 1;
    altered[last] ^= 1;
    refused(&altered);
    refused(b"");
    refused(b"not DER");
    refused(&[0x30, 0x80, 0, 0]);
    assert_eq!(ledger(&at), before);
    // All of it was for the same order, which waits for a good request.
    let done = client
        .finalize(&order, &with_name(&format!("/CN={}", NAMES[1])))
        .is(200);
    assert_eq!(done.json()["status"], "valid");
    client
        .finalize(&client.order(&NAMES).is(201), &csr(&at, "good", &NAMES))
        .is(200);
}

#[test]
fn an_account_has_so_many_orders_and_is_told_so() {
    let Some(at) = Ordering::start() else { return };
    let client = Client::bound(&at, &at.account());
    // A thousand that nobody finalizes.
    let mut refused = None;
    let path = "/acme/new-order";
    let payload = json!({ "identifiers": [{ "type": "dns", "value": NAMES[0] }] });
    let mut nonce = at.nonce();
    for number in 0..=1000 {
        let request = Request {
            header: json!({ "alg": "ES256", "kid": client.account, "nonce": nonce, "url": at.url(path) }),
            payload: payload.to_string().into_bytes(),
        };
        let answer = at.post(path, &request.signed_by(&client.key));
        nonce = answer.header("replay-nonce").unwrap();
        if answer.status != 201 {
            refused = Some((number, answer));
            break;
        }
    }
    let (number, answer) = refused.unwrap();
    assert_eq!(number, 1000);
    answer.refused(429, "rateLimited");
    // Nobody else is held up.
    Client::bound(&at, &at.account()).order(&NAMES).is(201);
}

/// Whoever can write to the home, and has not got its passphrase, orders nothing.
#[test]
fn what_stands_in_the_ledger_alone_is_no_account() {
    let Some(at) = Ordering::start() else { return };
    let given: Given = at.account();
    let client = Client::bound(&at, &given);
    client.order(&NAMES).is(201);
    // A key that nobody has bound.
    let thief = Key::new();
    let jwk = {
        let jwk = thief.jwk();
        json!({ "crv": jwk["crv"], "kty": jwk["kty"], "x": jwk["x"], "y": jwk["y"] }).to_string()
    };
    append(&at, |bound| {
        bound["jwk"] = jwk.as_str().into();
        bound["number"] = 2.into();
        bound["proof"] = "00".repeat(16).into();
    });
    let stolen = Client {
        at: &at,
        key: thief,
        account: client.account.clone(),
    };
    stolen.order(&NAMES).refused(400, "accountDoesNotExist");
}

/// A key that an account has had does not come back by what the ledger said of it then.
#[test]
fn an_old_key_of_an_account_does_not_come_back() {
    let Some(at) = Ordering::start() else { return };
    let mut client = Client::bound(&at, &at.account());
    let next = Key::new();
    client.change_key(&next).is(200);
    append(&at, |_| {});
    client.order(&NAMES).refused(400, "malformed");
    client.key = next;
    client.order(&NAMES).is(201);
}

/// Nor does an account that was cancelled, by a ledger whose end was cut off.
#[test]
fn a_cancelled_account_does_not_come_back() {
    let Some(mut at) = Ordering::start() else { return };
    let client = Client::bound(&at, &at.account());
    let (key, account) = (client.key, client.account);
    at.home
        .run(&["server", "acme", NAMES[0], "--cancel", "--yes", "-q"]);
    at.home.rewrite_ledger(|events| {
        assert_eq!(events.pop().unwrap()["event"], "acme_cancelled");
    });
    at.restart();
    let client = Client {
        at: &at,
        key,
        account,
    };
    assert_ne!(client.order(&NAMES).status, 201);
}

/// Appends the first binding of a key once more, changed.
fn append(at: &Ordering, change: impl FnOnce(&mut Value)) {
    at.home.rewrite_ledger(|events| {
        let mut forged = events.last().unwrap().clone();
        let bound = events
            .iter()
            .find(|event| event["event"] == "acme_bound")
            .unwrap();
        for member in ["event", "account", "jwk", "number", "proof"] {
            forged[member] = bound[member].clone();
        }
        for member in [
            "host",
            "others",
            "serial",
            "pin",
            "not_before",
            "not_after",
            "certificate",
        ] {
            forged.as_object_mut().unwrap().remove(member);
        }
        forged["batch"] = json!([1, 1]);
        change(&mut forged);
        events.push(forged);
    });
}

#[test]
fn a_key_that_was_given_up_is_certified_for_nobody() {
    let Some(at) = Ordering::start() else { return };
    let [one, other] = [at.account(), at.account()].map(|given| Client::bound(&at, &given));
    let names = NAMES.map(|name| format!("DNS:{name}")).join(",");
    let request = csr_of(&at, "given-up", &names, &EC);
    let done = one.finalize(&one.order(&NAMES).is(201), &request).is(200);
    let serial = done.json()["certificate"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    at.home
        .run(&["revoke", &serial, "--reason", "compromised", "--yes", "-q"]);
    for client in [&one, &other] {
        client
            .finalize(&client.order(&NAMES).is(201), &request)
            .refused(400, "badCSR");
    }
    // Nor for a device, nor by the operator for a server.
    let device = ["issue", "carl", "--csr", "given-up.csr"];
    finish(&mut at.home.pki(&device), b"").exits(1);
    // Revoked for less, the key stays in use; what was revoked for less can be revoked for more.
    let other_key = csr(&at, "kept", &NAMES);
    let done = one.finalize(&one.order(&NAMES).is(201), &other_key).is(200);
    let kept = done.json()["certificate"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    at.home.run(&["revoke", &kept, "--yes", "-q"]);
    one.finalize(&one.order(&NAMES).is(201), &other_key).is(200);
    at.home
        .run(&["revoke", &kept, "--reason", "stolen", "--yes", "-q"]);
    one.finalize(&one.order(&NAMES).is(201), &other_key)
        .refused(400, "badCSR");
    // The same of a server of the register: its key is rotated.
    let listed = at.home.run(&["server", "list", HOST, "--json"]).json();
    let serial = listed["servers"][0]["certificate"]["serial"]
        .as_str()
        .unwrap()
        .to_owned();
    // Another CA has certified the same key.
    let by_another = [
        "req",
        "-x509",
        "-new",
        "-key",
        &format!("tls/{HOST}.key"),
        "-out",
        "another.crt",
        "-days",
        "30",
        "-subj",
        "/CN=x",
        "-addext",
        &format!("subjectAltName=DNS:{HOST}"),
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    at.home.foreign("openssl", &by_another).ok();
    let verify = ["server", "verify", HOST, "--cert", "another.crt"];
    at.home.run(&verify);
    at.home
        .run(&["revoke", &serial, "--reason", "compromised", "--yes", "-q"]);
    let said = finish(&mut at.home.pki(&verify), b"").exits(3);
    assert!(said.stderr.contains("given up"), "{said}");
    let pinned = Client::bound(&at, &at.account_for(HOST, &[]));
    let own = csr_of(
        &at,
        "own",
        &format!("DNS:{HOST}"),
        &["-key", &format!("tls/{HOST}.key")],
    );
    pinned
        .finalize(&pinned.order(&[HOST]).is(201), &own)
        .refused(400, "badCSR");
    finish(&mut at.home.pki(&["server", "issue", HOST, "--out", "tls"]), b"").exits(1);
}

/// A key is one device's, or servers', or an account's.
#[test]
fn a_key_is_of_one_kind() {
    let Some(at) = Ordering::start() else { return };
    let [one, other] = [at.account(), at.account()].map(|given| Client::bound(&at, &given));
    let names = NAMES.map(|name| format!("DNS:{name}")).join(",");
    at.home.write_private("account.key", &one.key.pem());
    let of_account = csr_of(&at, "account", &names, &["-key", "account.key"]);
    other
        .finalize(&other.order(&NAMES).is(201), &of_account)
        .refused(400, "badCSR");
    finish(&mut at.home.pki(&["issue", "carl", "--csr", "account.csr"]), b"").exits(1);
    // One that is certified signs for no account, and is no device's.
    let key = Key::new();
    at.home.write_private("server.key", &key.pem());
    let of_server = csr_of(&at, "server", &names, &["-key", "server.key"]);
    one.finalize(&one.order(&NAMES).is(201), &of_server).is(200);
    finish(&mut at.home.pki(&["issue", "carl", "--csr", "server.csr"]), b"").exits(1);
    register(&at, &key, &at.account()).refused(400, "badPublicKey");
    one.change_key(&key).refused(400, "badPublicKey");
}

#[test]
fn a_server_that_was_removed_and_taken_in_again_is_ordered_for_by_accounts_of_since() {
    let Some(at) = Ordering::start() else { return };
    let host = "shop.acme.example";
    let account = at.account_for(host, &[]);
    let before = Client::bound(&at, &account);
    at.home.run(&["server", "add", host, "--out", "shop", "-q"]);
    let said = at
        .home
        .run(&["server", "remove", host, "--confirm", host, "--yes", "-q"]);
    assert!(
        said.stderr
            .contains(&format!("the account {} orders nothing", account.kid)),
        "{said}"
    );
    let own = csr(&at, "first", &[host]);
    before
        .finalize(&before.order(&[host]).is(201), &own)
        .refused(403, "rejectedIdentifier");
    at.home.run(&["server", "add", host, "--out", "again", "-q"]);
    let files = at.home.home();
    assert!(files.is_dir());
    let names = format!("DNS:{host}");
    let own = csr_of(&at, "second", &names, &["-key", &format!("again/{host}.key")]);
    before
        .finalize(&before.order(&[host]).is(201), &own)
        .refused(403, "rejectedIdentifier");
    let since = Client::bound(&at, &at.account_for(host, &[]));
    since.finalize(&since.order(&[host]).is(201), &own).is(200);
}

/// What apps hold the hosts below a server to, these must show.
#[test]
fn below_a_server_whose_pins_hold_for_subdomains_its_key_is_the_one() {
    let Some(at) = Ordering::start() else { return };
    let (above, below) = ("apps.acme.example", "one.apps.acme.example");
    at.home.run(&[
        "server",
        "add",
        above,
        "--include-subdomains",
        "--out",
        "apps",
        "-q",
    ]);
    let client = Client::bound(&at, &at.account_for(below, &[]));
    let order = client.order(&[below]).is(201);
    client
        .finalize(&order, &csr(&at, "another", &[below]))
        .refused(400, "badCSR");
    let own = csr_of(
        &at,
        "own",
        &format!("DNS:{below}"),
        &["-key", &format!("apps/{above}.key")],
    );
    client.finalize(&order, &own).is(200);
    // The same as long as they do.
    let remove = ["server", "remove", above, "--confirm", above, "--yes", "-q"];
    at.home.run(&remove);
    let another = csr(&at, "another", &[below]);
    let order = client.order(&[below]).is(201);
    let said = client.finalize(&order, &another).refused(400, "badCSR");
    let told = said.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        told.contains(&format!("pki server remove {above} --now")),
        "{told}"
    );
    client.finalize(&order, &own).is(200);
    at.home.run(&[&remove[..], &["--now"]].concat());
    client.finalize(&client.order(&[below]).is(201), &another).is(200);
}
