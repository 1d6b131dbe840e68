//! What an account can make the ledger and the log grow by: whoever broke into a server fills no disk.

use serde_json::json;

use super::jose::{Client, Key, Request, csr_of};
use super::{NAMES, Ordering};
use crate::support::wait_until;

fn ledger(at: &Ordering) -> String {
    std::fs::read_to_string(at.home.home().join("ledger.jsonl")).unwrap()
}

#[test]
fn an_account_changes_its_key_so_often_in_a_day() {
    let Some(at) = Ordering::start() else { return };
    let mut client = Client::bound(&at, &at.account());
    // What changes nothing is not counted.
    let path = "/acme/key-change";
    for _ in 0..3 {
        client.post(path, &json!({})).refused(400, "malformed");
        let inner = Request {
            header: json!({ "alg": "ES256", "jwk": Key::new().jwk(), "url": at.url(path) }),
            payload: json!({ "account": client.account, "oldKey": client.key.jwk() })
                .to_string()
                .into_bytes(),
        };
        client
            .post(path, &inner.signed_by(&Key::new()))
            .refused(400, "malformed");
    }
    for _ in 0..10 {
        let next = Key::new();
        client.change_key(&next).is(200);
        client.key = next;
    }
    let before = ledger(&at);
    let refused = client.change_key(&Key::new()).refused(429, "rateLimited");
    assert!(refused.header("retry-after").is_some(), "{refused}");
    assert_eq!(ledger(&at), before);
    assert_eq!(before.matches("acme_bound").count(), 11);
    // It goes on with the key that it has, and others change theirs.
    client.order(&NAMES).is(201);
    Client::bound(&at, &at.account()).change_key(&Key::new()).is(200);
}

#[test]
fn the_log_tells_so_many_refusals_of_an_account_in_a_minute() {
    let Some(at) = Ordering::start() else { return };
    let [one, other] = [at.account(), at.account()].map(|given| Client::bound(&at, &given));
    for _ in 0..15 {
        one.order(&["evil.acme.example"])
            .refused(403, "rejectedIdentifier");
    }
    // By the clerk as well as by the door.
    let certified = Key::new();
    at.home.write_private("server.key", &certified.pem());
    let names = NAMES.map(|name| format!("DNS:{name}")).join(",");
    let request = csr_of(&at, "server", &names, &["-key", "server.key"]);
    one.finalize(&one.order(&NAMES).is(201), &request).is(200);
    for _ in 0..3 {
        one.change_key(&certified).refused(400, "badPublicKey");
    }
    // Nor does it keep the refusals of others from being told.
    other
        .order(&["other.evil.example"])
        .refused(403, "rejectedIdentifier");
    let log = wait_until("the last refusal in the log", || {
        let log = at.log();
        log.contains("other.evil.example").then_some(log)
    });
    let refused = log
        .lines()
        .filter(|line| line.contains("was refused") && !line.contains("other.evil.example"));
    assert_eq!(refused.count(), 10, "{log}");
}
