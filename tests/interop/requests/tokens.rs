//! Access tokens that are bound to devices (RFC 8705): an authorization server issues them to who shows a
//! certificate of ours, and an API takes them from that device alone.

use std::path::Path;

use super::api::{Node, data, enroll, node, renew, with_devices};
use crate::support::{HOST, Home, finish, free_port, need, program};

/// An authorization server, and two APIs that take its tokens: loosely and strictly.
struct Company {
    home: Home,
    ports: [u16; 3],
    _processes: [Node; 3],
}

impl Company {
    fn founded() -> Option<Self> {
        let home = with_devices(&["oidc-provider", "jose"]).filter(|_| need(&["curl"]))?;
        let place = home.home();
        let halves = ["public", "server"].map(|half| place.join(half).display().to_string());
        let [crt, key] = ["server.crt", "server.key"].map(|name| home.path(name).display().to_string());
        let printed = home.run(&[
            "config",
            "node",
            HOST,
            "--cert",
            &crt,
            "--key",
            &key,
            "--public",
            &halves[0],
            "--server-dir",
            &halves[1],
        ]);
        std::fs::write(home.path("server.mjs"), printed.ok().stdout).unwrap();
        let sample =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/requests/authorization-server.mjs");
        std::fs::copy(sample, home.path("authorization-server.mjs")).unwrap();
        std::fs::copy(data("tokens.mjs"), home.path("tokens.mjs")).unwrap();
        std::fs::copy(home.public("ca/root.crt"), home.path("ca.crt")).unwrap();
        let ports = [free_port(), free_port(), free_port()];
        let issuer = format!("https://{HOST}:{}", ports[0]);
        let audience = "https://orders.acme.example";
        let at = |port: u16| port.to_string();
        let processes = [
            node(
                &home,
                &["authorization-server.mjs", &issuer, &at(ports[0]), audience],
            ),
            node(&home, &["tokens.mjs", &issuer, &at(ports[1]), audience, "loose"]),
            node(&home, &["tokens.mjs", &issuer, &at(ports[2]), audience, "strict"]),
        ];
        Some(Self {
            home,
            ports,
            _processes: processes,
        })
    }

    /// What a server says to a device that shows this certificate.
    fn asks(&self, certificate: &str, at: usize, path: &str, more: &[&str]) -> String {
        let port = self.ports[at];
        let url = format!("https://{HOST}:{port}{path}");
        let resolve = format!("{HOST}:{port}:127.0.0.1");
        let key = format!("{}.key", certificate.split('-').next().unwrap());
        let certificate = format!("{certificate}.crt");
        let mut curl = program("curl");
        curl.args([
            "-sS",
            "--cacert",
            "ca.crt",
            "--resolve",
            &resolve,
            "--cert",
            &certificate,
            "--key",
            &key,
            &url,
        ]);
        finish(curl.args(more).current_dir(self.home.path("")), b"")
            .ok()
            .stdout
    }

    /// A token for the device that shows this certificate.
    fn token(&self, certificate: &str, client: &str) -> String {
        let client = format!("client_id={client}");
        let said = self.asks(
            certificate,
            0,
            "/token",
            &["-d", "grant_type=client_credentials", "-d", &client],
        );
        let answer: serde_json::Value = serde_json::from_str(&said).unwrap();
        answer["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("{said}"))
            .to_owned()
    }

    /// What an API says to this token from who shows this certificate.
    fn uses(&self, certificate: &str, at: usize, token: &str) -> String {
        self.asks(
            certificate,
            at,
            "/orders",
            &["-H", &format!("Authorization: Bearer {token}")],
        )
    }
}

const LOOSE: usize = 1;
const STRICT: usize = 2;

/// The token with another signature: its first octet is another one, whatever it was.
fn altered(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{other}{}", &signature[1..])
}

#[test]
fn a_token_is_good_from_the_device_that_it_was_issued_to_across_renewals() {
    let Some(company) = Company::founded() else {
        return;
    };
    let token = company.token("alice", "alice/phone");
    for api in [LOOSE, STRICT] {
        assert_eq!(company.uses("alice", api, &token), "alice/phone as alice/phone");
        let stolen = company.uses("bob", api, &token);
        assert!(stolen.contains(r#""status":401,"code":"token""#), "{stolen}");
        let none = company.asks("alice", api, "/orders", &[]);
        assert!(none.contains("there is no access token"), "{none}");
        let altered = company.uses("alice", api, &altered(&token));
        assert!(altered.contains("the token is not good"), "{altered}");
    }
    let refused = company.asks(
        "bob",
        0,
        "/token",
        &[
            "-d",
            "grant_type=client_credentials",
            "-d",
            "client_id=alice/phone",
        ],
    );
    assert!(refused.contains("invalid_client"), "{refused}");

    std::fs::copy(company.home.path("alice.crt"), company.home.path("alice-old.crt")).unwrap();
    renew(&company.home, "alice");
    read();
    assert_eq!(company.uses("alice", LOOSE, &token), "alice/phone as alice/phone");
    assert_eq!(
        company.uses("alice-old", STRICT, &token),
        "alice/phone as alice/phone"
    );
    let strict = company.uses("alice", STRICT, &token);
    assert!(
        strict.contains("the token was issued to another certificate"),
        "{strict}"
    );
    let fresh = company.token("alice", "alice/phone");
    assert_eq!(
        company.uses("alice", STRICT, &fresh),
        "alice/phone as alice/phone"
    );
    assert_eq!(
        company.uses("alice-old", LOOSE, &fresh),
        "alice/phone as alice/phone"
    );

    // A phone that is lost takes its tokens with it, also when the next one has its name.
    company.home.run(&["revoke", "alice", "--yes"]).ok();
    // The next phone has a key of its own: no key is certified again once it was lost.
    enroll(&company.home, "alice");
    read();
    for old in [&token, &fresh] {
        let lost = company.uses("alice", LOOSE, old);
        assert!(lost.contains("not accepted any more"), "{lost}");
    }
    let next = company.token("alice", "alice/phone");
    assert_eq!(company.uses("alice", LOOSE, &next), "alice/phone as alice/phone");
}

/// Waits until every server has read what was published last: they look twice a second.
fn read() {
    std::thread::sleep(std::time::Duration::from_millis(1500));
}

#[test]
fn only_a_good_token_of_the_device_that_asks_is_taken_by_each_framework() {
    let Some(home) = with_devices(&["express", "fastify"]) else {
        return;
    };
    std::fs::copy(data("bound.mjs"), home.path("bound.mjs")).unwrap();
    let said = home.foreign("node", &["bound.mjs"]).ok().stdout;
    assert_eq!(said, "51 requests, 0 with another answer\n");
}
