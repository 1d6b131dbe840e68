//! What an account can make the ledger and the log grow by: whoever broke into a server fills no disk.

use serde_json::json;

use super::jose::{Client, Key, Request};
use super::{NAMES, Ordering};

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
