//! Orders many certificates by ACME at once, as clients do: an order, its authorization, the request for the
//! certificate, and the certificate, each signed. Says how fast that went.
//!
//! Usage: order COUNT PORT ROOT KID MAC_KEY CONNECTIONS

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::TcpStream;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use pki::key::{SoftwareKey, os_rng};
use pki::x509::{pem, request};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::{Value, json};

mod http;
mod trusting;

fn encoded(octets: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(octets.as_ref())
}

/// The key of an account.
struct Account {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Account {
    fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).unwrap();
        Self { key, random }
    }

    fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "x": encoded(&point[1..33]), "y": encoded(&point[33..]) })
    }

    fn signed(&self, header: &Value, payload: &str) -> String {
        let (header, payload) = (encoded(header.to_string()), encoded(payload));
        let signature = self
            .key
            .sign(&self.random, format!("{header}.{payload}").as_bytes());
        json!({ "protected": header, "payload": payload, "signature": encoded(signature.unwrap()) })
            .to_string()
    }
}

/// One connection, with the nonce that came last.
struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    origin: String,
    nonce: String,
}

impl Connection {
    fn open(config: &Arc<ClientConfig>, port: u16) -> Self {
        let name = ServerName::try_from(trusting::HOST).unwrap();
        let tls = ClientConnection::new(config.clone(), name).unwrap();
        let stream = StreamOwned::new(tls, TcpStream::connect(("127.0.0.1", port)).unwrap());
        let mut connection = Self {
            stream,
            origin: format!("https://{}:{port}", trusting::HOST),
            nonce: String::new(),
        };
        let head = format!("GET /acme/directory HTTP/1.1\r\nHost: {}\r\n\r\n", trusting::HOST);
        let directory = http::ask(&mut connection.stream, head.as_bytes()).unwrap();
        assert_eq!(directory.status, 200);
        // The first request is refused for want of one, and brings one.
        let refused = connection.post("/acme/new-account", "{}");
        assert_eq!(refused.status, 400);
        connection
    }

    fn post(&mut self, path: &str, body: &str) -> http::Answer {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/jose+json\r\nContent-Length: {}\r\n\r\n{body}",
            trusting::HOST,
            body.len()
        );
        let answer = http::ask(&mut self.stream, request.as_bytes()).unwrap();
        assert!(answer.stays_open, "{path}");
        self.nonce = answer.nonce.clone().unwrap();
        answer
    }

    /// What the account at `kid` says to a URL.
    fn say(&mut self, account: &Account, kid: &str, url: &str, payload: &str) -> http::Answer {
        let header = json!({ "alg": "ES256", "kid": kid, "nonce": self.nonce, "url": url });
        let body = account.signed(&header, payload);
        let path = url.strip_prefix(&self.origin).unwrap().to_owned();
        let answer = self.post(&path, &body);
        let said = String::from_utf8_lossy(&answer.body);
        assert!(
            matches!(answer.status, 200 | 201),
            "{url}: {} {said}",
            answer.status
        );
        answer
    }

    /// Binds the account, and says what its name is.
    fn bind(&mut self, account: &Account, kid: &str, mac_key: &str) -> String {
        let url = format!("{}/acme/new-account", self.origin);
        let (header, payload) = (
            encoded(json!({ "alg": "HS256", "kid": kid, "url": url }).to_string()),
            encoded(account.jwk().to_string()),
        );
        let mac_key = BASE64URL_NOPAD.decode(mac_key.as_bytes()).unwrap();
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &mac_key),
            format!("{header}.{payload}").as_bytes(),
        );
        let binding = json!({ "protected": header, "payload": payload, "signature": encoded(tag) });
        let header = json!({ "alg": "ES256", "jwk": account.jwk(), "nonce": self.nonce, "url": url });
        let body = account.signed(&header, &json!({ "externalAccountBinding": binding }).to_string());
        let answer = self.post("/acme/new-account", &body);
        assert!(
            matches!(answer.status, 200 | 201),
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        format!("{}/acme/account/{kid}", self.origin)
    }
}

fn word<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, port, root, kid, mac_key, connections] = arguments.as_slice() else {
        panic!("usage: order COUNT PORT ROOT KID MAC_KEY CONNECTIONS");
    };
    let (count, port, connections): (usize, u16, usize) = (
        count.parse().unwrap(),
        port.parse().unwrap(),
        connections.parse().unwrap(),
    );
    let config = trusting::config(&[root]);
    let account = Account::new();
    let named = Connection::open(&config, port).bind(&account, kid, mac_key);
    let name = "www.acme.example";
    let key = SoftwareKey::generate(&mut os_rng());
    let csr = request::create(Some(&name.parse().unwrap()), &key).unwrap();
    let csr = encoded(pem::decode(pem::REQUEST, csr.as_bytes()).unwrap());
    let wanted = json!({ "identifiers": [{ "type": "dns", "value": name }] }).to_string();
    let finalizing = json!({ "csr": csr }).to_string();
    let worker = || {
        let mut connection = Connection::open(&config, port);
        let (account, named, wanted, finalizing) = (&account, &named, &wanted, &finalizing);
        move |_: usize| {
            let url = format!("{}/acme/new-order", connection.origin);
            let order = connection.say(account, named, &url, wanted);
            let order: Value = serde_json::from_slice(&order.body).unwrap();
            let authorization = order["authorizations"][0].as_str().unwrap();
            connection.say(account, named, authorization, "");
            let done = connection.say(account, named, word(&order, "finalize"), finalizing);
            let done: Value = serde_json::from_slice(&done.body).unwrap();
            let chain = connection.say(account, named, word(&done, "certificate"), "");
            assert!(chain.body.starts_with(b"-----BEGIN CERTIFICATE"));
        }
    };
    http::measure(count, connections, worker, Vec::new);
}
