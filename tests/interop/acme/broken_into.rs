//! A server that somebody broke into: with its account ends all that the account had, whatever the intruder
//! has done with it before.

use serde_json::{Value, json};

use super::jose::{Answer, Key};
use super::jose::{Client, base64url, csr, csr_of, register};
use super::{HOST, NAMES, Ordering};
use crate::support::{Finished, finish, wait_until};

/// Ends the account as the pages say.
fn end(at: &Ordering, more: &[&str]) -> Value {
    let command = [
        "server", "acme", NAMES[0], "--cancel", "--revoke", "--yes", "--json",
    ];
    at.home.run(&[&command[..], more].concat()).json()
}

fn refused(at: &Ordering, command: &[&str], code: i32) -> Finished {
    finish(&mut at.home.pki(command), b"").exits(code)
}

/// The certificate that an order has brought, as a request for its revocation names it.
fn leaf(at: &Ordering, client: &Client<'_>, done: &Answer) -> String {
    std::fs::write(at.home.path("chain.pem"), client.certificate(done)).unwrap();
    let der = ["x509", "-in", "chain.pem", "-outform", "DER", "-out", "leaf.der"];
    at.home.foreign("openssl", &der).ok();
    base64url(std::fs::read(at.home.path("leaf.der")).unwrap())
}

/// Neither the key of the certificate nor those of the account come back with another account.
fn nothing_comes_back(at: &Ordering, keys: &[&Key], request: &[u8]) {
    for key in keys {
        register(at, key, &at.account()).refused(400, "badPublicKey");
    }
    let next = Client::bound(at, &at.account());
    next.finalize(&next.order(&NAMES).is(201), request)
        .refused(400, "badCSR");
}

/// The intruder takes back himself what he ordered, as if nothing were wrong with its key, and gives the
/// account up: nothing is left of it that stands out.
#[test]
fn what_the_intruder_has_ended_himself_is_given_up_all_the_same() {
    for gives_up_account in [false, true] {
        let Some(at) = Ordering::start() else { return };
        let client = Client::bound(&at, &at.account());
        let request = csr(&at, "stolen", &NAMES);
        let done = client.finalize(&client.order(&NAMES).is(201), &request).is(200);
        let leaf = leaf(&at, &client, &done);
        client
            .post("/acme/revoke-cert", &json!({ "certificate": leaf, "reason": 4 }))
            .is(200);
        if gives_up_account {
            client
                .post(&at.path_of(&client.account), &json!({ "status": "deactivated" }))
                .is(200);
            // It is shown as long as it is to be ended for good.
            assert_eq!(at.accounts().len(), 1);
        }
        let said = end(&at, &[]);
        assert_eq!(said["keys_given_up"], 2, "{said}");
        assert_eq!(said["published"], true, "{said}");
        assert_eq!(at.accounts().len(), 0);
        nothing_comes_back(&at, &[&client.key], &request);
    }
}

/// Whoever goes on to ask is what an operator wants to see then, also after the service was started anew.
#[test]
fn who_asks_by_an_account_that_has_ended_is_told_so_and_so_is_the_log() {
    let Some(mut at) = Ordering::start() else { return };
    let given = at.account();
    let client = Client::bound(&at, &given);
    let (key, account) = (client.key, client.account);
    end(&at, &[]);
    for _ in 0..2 {
        let client = Client {
            at: &at,
            key: key.clone(),
            account: account.clone(),
        };
        client.order(&NAMES).refused(403, "unauthorized");
        let line = format!(
            "(account {}) from 127.0.0.0/24 was refused: the account has ended",
            given.kid
        );
        wait_until(&line, || at.log().contains(&line).then_some(()));
        at.restart();
    }
}

/// He changes the key of the account, and has the one before, which the server's own client goes on to use.
#[test]
fn every_key_that_the_account_had_is_given_up() {
    let Some(at) = Ordering::start() else { return };
    let mut client = Client::bound(&at, &at.account());
    let request = csr(&at, "stolen", &NAMES);
    client.finalize(&client.order(&NAMES).is(201), &request).is(200);
    let next = Key::new();
    client.change_key(&next).is(200);
    let before = std::mem::replace(&mut client.key, next);
    end(&at, &[]);
    nothing_comes_back(&at, &[&client.key, &before], &request);
}

/// What was cut off is done by the same command, and what was done is not undone by it.
#[test]
fn the_same_command_again_finishes_what_was_cut_off() {
    let Some(at) = Ordering::start() else { return };
    let given = at.account();
    let client = Client::bound(&at, &given);
    let request = csr(&at, "stolen", &NAMES);
    client.finalize(&client.order(&NAMES).is(201), &request).is(200);
    let secret = at.home.home().join(format!("acme/{}.key", given.kid));
    let kept = std::fs::read_to_string(&secret).unwrap();
    // Killed behind what is recorded: nothing is published, and the secret is there.
    assert_eq!(end(&at, &["--no-publish"])["published"], false);
    at.home
        .write_private(secret.strip_prefix(at.home.path("")).unwrap(), &kept);
    let listed = || {
        let crl = at.home.home().join("public/crl/servers.crl");
        let said = at.home.foreign(
            "openssl",
            &["crl", "-in", crl.to_str().unwrap(), "-noout", "-text"],
        );
        said.ok().stdout.matches("Serial Number:").count()
    };
    assert_eq!(listed(), 0);
    let said = end(&at, &[]);
    assert_eq!(said["cancelled"], json!([]), "{said}");
    assert_eq!(said["published"], true, "{said}");
    assert_eq!(listed(), 1);
    assert!(!secret.exists());
    // Without anything left to do no key is asked for.
    let named = [
        "server", "acme", NAMES[0], "--cancel", &given.kid, "--revoke", "--yes",
    ];
    let said = at.home.run(&named);
    assert!(said.stderr.contains("ended already"), "{said}");
    // A secret that cannot be removed is work that is not done.
    std::fs::create_dir_all(secret.join("not a file")).unwrap();
    let said = refused(&at, &[&named[..], &["--json"]].concat(), 5);
    assert!(
        said.json()["secrets_left"][0]
            .as_str()
            .unwrap()
            .contains(&given.kid),
        "{said}"
    );
}

/// Keys of accounts that ended in peace may be in use elsewhere: whoever names none of them gives up none.
#[test]
fn what_ended_before_is_given_up_only_where_it_is_named() {
    let Some(at) = Ordering::start() else { return };
    let ordered = |name: &str| {
        let given = at.account();
        let client = Client::bound(&at, &given);
        let request = csr(&at, name, &NAMES);
        client.finalize(&client.order(&NAMES).is(201), &request).is(200);
        (given, client.key, request)
    };
    let older: Vec<_> = ["first", "second"].map(ordered).into_iter().collect();
    for (given, ..) in &older {
        at.home
            .run(&["server", "acme", NAMES[0], "--cancel", &given.kid, "--yes"]);
    }
    for line in at.accounts() {
        for certificate in line["certificates"].as_array().unwrap() {
            let serial = certificate["serial"].as_str().unwrap();
            at.home.run(&["revoke", serial, "--reason", "replaced", "--yes"]);
        }
    }
    let (given, key, request) = ordered("stolen");
    let command = ["server", "acme", NAMES[0], "--cancel", "--revoke", "--yes"];
    for _ in 0..2 {
        // The second time nothing is left to do with the one that was meant.
        let said = at.home.run(&command);
        assert!(
            said.stderr.contains("1 certificate revoked") || said.stderr.contains("ended already"),
            "{said}"
        );
        for (older, ..) in &older {
            assert!(
                !said
                    .stderr
                    .contains(&format!("more by the account {}", older.kid)),
                "{said}"
            );
        }
    }
    let (first, one, certified) = &older[0];
    let next = Client::bound(&at, &at.account());
    next.finalize(&next.order(&NAMES).is(201), certified).is(200);
    nothing_comes_back(&at, &[&key], &request);
    at.home.run(&[
        "server", "acme", NAMES[0], "--cancel", &first.kid, "--revoke", "--yes",
    ]);
    nothing_comes_back(&at, &[one], certified);
    assert_ne!(given.kid, first.kid);
}

/// Another account was granted since: it is the one that is meant, and the other is told of.
#[test]
fn what_an_intruder_has_ended_before_another_was_granted_is_told() {
    let Some(at) = Ordering::start() else { return };
    let given = at.account();
    let client = Client::bound(&at, &given);
    client
        .post(&at.path_of(&client.account), &json!({ "status": "deactivated" }))
        .is(200);
    at.account();
    let said = at
        .home
        .run(&["server", "acme", NAMES[0], "--cancel", "--revoke", "--yes"]);
    assert!(
        said.stderr.contains(&format!("--cancel {} --revoke", given.kid)),
        "{said}"
    );
}

/// A revocation never waits for a mistake in pki.toml.
#[test]
fn an_account_is_ended_where_the_configuration_cannot_be_read() {
    let Some(at) = Ordering::start() else { return };
    let client = Client::bound(&at, &at.account());
    client
        .finalize(&client.order(&NAMES).is(201), &csr(&at, "stolen", &NAMES))
        .is(200);
    let configuration = at.home.home().join("pki.toml");
    let text = std::fs::read_to_string(&configuration).unwrap();
    std::fs::write(&configuration, text + "\npassphrase_command = [\n").unwrap();
    let mut command = at.home.pki(&[
        "server", "acme", NAMES[0], "--cancel", "--revoke", "--yes", "--json",
    ]);
    command.env_remove("PKI_PASSPHRASE_FILE");
    let said = finish(&mut command, b"").exits(5);
    assert_eq!(said.json()["revoked"].as_array().unwrap().len(), 1, "{said}");
    assert!(said.stderr.contains("pki.toml"), "{said}");
}

/// An operator who names the server by its second name is told whose account it is.
#[test]
fn an_account_is_found_by_its_other_names_too() {
    let Some(at) = Ordering::start() else { return };
    let given = at.account();
    let command = ["server", "acme", NAMES[1], "--cancel", "--revoke", "--yes"];
    let said = refused(&at, &command, 1);
    assert!(
        said.stderr
            .contains(&format!("pki server acme {} --cancel {}", NAMES[0], given.kid)),
        "{said}"
    );
}

/// An account orders for a host with a request that somebody else has made: it has not got the key.
#[test]
fn an_account_gives_up_no_key_that_apps_hold_a_server_to() {
    let Some(at) = Ordering::start() else { return };
    let own = csr_of(
        &at,
        "own",
        &format!("DNS:{HOST}"),
        &["-key", &format!("tls/{HOST}.key")],
    );
    let client = Client::bound(&at, &at.account_for(HOST, &[]));
    let done = client.finalize(&client.order(&[HOST]).is(201), &own).is(200);
    let leaf = leaf(&at, &client, &done);
    client
        .post("/acme/revoke-cert", &json!({ "certificate": leaf, "reason": 1 }))
        .is(200);
    at.home.run(&["server", "issue", HOST, "--out", "tls", "-q"]);
}

/// Or the end of the one account would give up the key of another server.
#[test]
fn the_key_of_another_server_is_not_certified_for_an_account() {
    let Some(at) = Ordering::start() else { return };
    let client = Client::bound(&at, &at.account());
    let names = NAMES.map(|name| format!("DNS:{name}")).join(",");
    let others = csr_of(&at, "others", &names, &["-key", &format!("tls/{HOST}.key")]);
    client
        .finalize(&client.order(&NAMES).is(201), &others)
        .refused(400, "badCSR");
    // One that may order for that server can do so with its key anyway.
    let both = Client::bound(&at, &at.account_for(NAMES[0], &[HOST]));
    let second = csr_of(
        &at,
        "second",
        &format!("DNS:{}", NAMES[0]),
        &["-key", &format!("tls/{HOST}.key")],
    );
    both.finalize(&both.order(&NAMES[..1]).is(201), &second).is(200);
}

/// Apps hold the server to a key that nobody is certified with any more: who ends the account is told the way
/// out, and so is everybody who orders.
#[test]
fn a_pinned_server_that_was_broken_into_gets_its_next_key() {
    let Some(at) = Ordering::start() else { return };
    let given = at.account_for(HOST, &[]);
    let client = Client::bound(&at, &given);
    let names = format!("DNS:{HOST}");
    let own = csr_of(&at, "own", &names, &["-key", &format!("tls/{HOST}.key")]);
    client.finalize(&client.order(&[HOST]).is(201), &own).is(200);
    let rotation = format!("pki server rotate {HOST} --compromised");
    let said = at
        .home
        .run(&["server", "acme", HOST, "--cancel", "--revoke", "--yes"]);
    assert!(said.stderr.contains(&rotation), "{said}");
    let grant = at.home.run(&["server", "acme", HOST]);
    assert!(grant.stderr.contains(&rotation), "{grant}");
    let next = Client::bound(&at, &at.account_for(HOST, &[]));
    for request in [own, csr(&at, "new", &[HOST])] {
        let answer = next
            .finalize(&next.order(&[HOST]).is(201), &request)
            .refused(400, "badCSR");
        assert!(answer.text.contains(&rotation), "{answer}");
    }
    let rotate = [
        "server",
        "rotate",
        HOST,
        "--compromised",
        "--confirm",
        HOST,
        "--out",
        "tls",
        "--yes",
    ];
    let key = at.home.run(&rotate).stdout;
    let rotated = csr_of(&at, "rotated", &names, &["-key", key.trim()]);
    next.finalize(&next.order(&[HOST]).is(201), &rotated).is(200);
}
