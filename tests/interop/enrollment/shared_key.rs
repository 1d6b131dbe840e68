//! Shared keys (HMAC) that a device fetches by its certificate, where its profile says so.

use serde_json::Value;

use super::{Serving, with_est_of};
use crate::support::Home;

/// The API host that the keys are for.
const API: &str = "orders.acme.example";

impl Serving {
    /// What the face of devices says to who asks for a shared key: status and body.
    fn shared_key(&self, port: u16, host: &str, config: &str) -> (u16, String) {
        self.device_face(port, &format!("hmac/{host}"), config)
    }
}

#[test]
fn a_device_fetches_its_shared_key_by_its_certificate_where_its_profile_says_so() {
    let home = Home::with_certified_server();
    home.run(&["hmac", "rotate", API]).ok();
    home.run(&["hmac", "rotate", "other.acme.example"]).ok();
    let profile = home.home().join("templates/profiles/device.toml");
    std::fs::create_dir_all(profile.parent().unwrap()).unwrap();
    std::fs::write(
        &profile,
        format!("days = 90\nmax_days = 398\nhmac = [\"{API}\"]\n"),
    )
    .unwrap();
    let Some((serving, port)) = with_est_of(home, "+0d") else {
        return;
    };
    for name in ["alice", "bob"] {
        let invite = serving.invite(&[name]);
        let csr = serving.request(name);
        let right = format!("user = \"{}:{}\"\n", invite.word("id"), invite.word("secret"));
        let (status, body) = serving.simple_enroll(port, &right, &csr);
        assert_eq!(status, 200, "{body}");
        serving.unpacked(&body, &format!("{name}.pem"));
    }
    let by = |name: &str| format!("cert = \"{name}.pem\"\nkey = \"{name}.key\"\n");
    let key = |name: &str| -> Value {
        let (status, body) = serving.shared_key(port, API, &by(name));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    };
    let first = key("alice");
    assert_eq!(
        (&first["keyid"], &first["host"]),
        (&"alice/phone/1".into(), &API.into())
    );
    assert_eq!(key("alice"), first);
    assert_ne!(key("bob")["key"], first["key"]);
    // The same as an operator hands out; and each hand-out by the service is recorded once.
    serving
        .home
        .run(&["hmac", "show", API, "alice/phone", "--out", "key.json"])
        .ok();
    let shown = std::fs::read_to_string(serving.home.path("key.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), first);
    let audit = serving.home.run(&["audit", "alice"]).ok().stdout;
    assert_eq!(audit.matches("handed out").count(), 2, "{audit}");

    serving.home.run(&["hmac", "rotate", API]).ok();
    assert_eq!(key("alice")["keyid"], "alice/phone/2");

    for (host, config, told) in [
        (API, String::new(), "show the certificate of the device"),
        (
            "other.acme.example",
            by("alice"),
            "this device gets no shared key for that host",
        ),
        (
            "nowhere.acme.example",
            by("alice"),
            "this device gets no shared key for that host",
        ),
    ] {
        let (status, body) = serving.shared_key(port, host, &config);
        assert!(status == 403 && body.contains(told), "{host}: {status} {body}");
    }
    assert_eq!(serving.shared_key(port, "..", &by("alice")).0, 404);
    serving.home.run(&["revoke", "alice", "--yes"]).ok();
    let (status, body) = serving.shared_key(port, API, &by("alice"));
    assert!(status == 403 && body.contains("revoked"), "{status} {body}");
    // The next phone of that name has another key, which is another hand-out.
    let invite = serving.invite(&["alice"]);
    let csr = serving.request("again");
    let right = format!("user = \"{}:{}\"\n", invite.word("id"), invite.word("secret"));
    let (status, body) = serving.simple_enroll(port, &right, &csr);
    assert_eq!(status, 200, "{body}");
    serving.unpacked(&body, "again.pem");
    let again = key("again");
    assert_eq!(again["keyid"], "alice/phone/2");
    let audit = serving.home.run(&["audit", "alice"]).ok().stdout;
    assert_eq!(audit.matches("handed out").count(), 4, "{audit}");
    let log = std::fs::read_to_string(serving.home.path(super::LOG)).unwrap();
    assert!(!log.contains(first["key"].as_str().unwrap()), "{log}");
}
