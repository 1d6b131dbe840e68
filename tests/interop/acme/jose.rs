//! A client of ACME that says exactly what it is told to say, so that it can say what nobody should.

use data_encoding::BASE64URL_NOPAD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

use super::{Given, HOST, Ordering, go_by};
use crate::support::{finish, program};

/// What came back.
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self}"))
    }

    /// The kind of a problem document.
    #[track_caller]
    pub fn kind(&self) -> String {
        assert!(
            self.header("content-type").as_deref() == Some("application/problem+json"),
            "{self}"
        );
        let kind = self.json()["type"].as_str().unwrap().to_owned();
        kind.strip_prefix("urn:ietf:params:acme:error:")
            .unwrap()
            .to_owned()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Demands a refusal.
    #[track_caller]
    pub fn refused(self, status: u16, kind: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(answer.kind(), kind, "{answer}");
        // Whoever is refused can go on.
        assert!(answer.header("replay-nonce").is_some(), "{answer}");
        answer
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n{}\n{}", self.status, self.headers, self.text)
    }
}

pub fn base64url(octets: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(octets.as_ref())
}

/// A key of P-256.
#[derive(Clone)]
pub struct Key(SigningKey);

impl Key {
    pub fn new() -> Self {
        let mut random = [0; 32];
        getrandom::fill(&mut random).unwrap();
        Self(SigningKey::from_slice(&random).unwrap())
    }

    pub fn jwk(&self) -> Value {
        let point = self.0.verifying_key().to_sec1_point(false);
        let octets = point.as_bytes();
        json!({ "kty": "EC", "crv": "P-256", "x": base64url(&octets[1..33]), "y": base64url(&octets[33..]) })
    }

    /// r and s, 32 octets each.
    pub fn sign(&self, message: &str) -> Vec<u8> {
        let signature: Signature = self.0.sign(message.as_bytes());
        signature.to_bytes().to_vec()
    }

    pub fn sign_as_der(&self, message: &str) -> Vec<u8> {
        let signature: Signature = self.0.sign(message.as_bytes());
        signature.to_der().as_bytes().to_vec()
    }

    /// The key in PKCS#8, PEM: for OpenSSL, which makes the requests for certificates.
    pub fn pem(&self) -> String {
        use p256::pkcs8::{EncodePrivateKey, LineEnding};
        self.0.to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
    }
}

/// A JWS in the making.
pub struct Request {
    pub header: Value,
    pub payload: Vec<u8>,
}

impl Request {
    /// Signs it as it is.
    pub fn signed_by(&self, key: &Key) -> Value {
        let [protected, payload] = self.parts();
        let signature = key.sign(&format!("{protected}.{payload}"));
        json!({ "protected": protected, "payload": payload, "signature": base64url(signature) })
    }

    pub fn parts(&self) -> [String; 2] {
        [base64url(self.header.to_string()), base64url(&self.payload)]
    }
}

/// The binding of a key to an account (RFC 8555 §7.3.4).
pub fn binding(kid: &str, mac_key: &str, url: &str, jwk: &Value) -> Value {
    bound_by("HS256", kid, mac_key, url, jwk)
}

/// The same, said to be by this algorithm.
pub fn bound_by(alg: &str, kid: &str, mac_key: &str, url: &str, jwk: &Value) -> Value {
    let request = Request {
        header: json!({ "alg": alg, "kid": kid, "url": url }),
        payload: jwk.to_string().into_bytes(),
    };
    let [protected, payload] = request.parts();
    let octets = BASE64URL_NOPAD.decode(mac_key.as_bytes()).unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &octets);
    let tag = ring::hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
    json!({ "protected": protected, "payload": payload, "signature": base64url(tag) })
}

impl Ordering {
    /// Sends what curl is told to.
    pub fn send(&self, path: &str, config: &str) -> Answer {
        let port = self.server.port;
        let url = format!(
            "url = \"https://{HOST}:{port}{path}\"\npath-as-is\nresolve = \"{HOST}:{port}:127.0.0.1\"\n\
             noproxy = \"*\"\ncacert = \"home/public/ca/root.crt\"\nsilent\nshow-error\nmax-time = 30\ninclude\n{config}"
        );
        let mut curl = program("curl");
        curl.args(["--disable", "--config", "-"])
            .current_dir(self.home.path("."))
            .env("HOME", self.home.path("."));
        if let Some(clock) = &self.clock {
            go_by(clock, &mut curl);
        }
        let said = finish(&mut curl, url.as_bytes());
        let (headers, text) = said
            .stdout
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{said}"));
        let status = headers.split_whitespace().nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            headers: headers.to_owned(),
            text: text.to_owned(),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// The path of a URL of this service.
    pub fn path_of(&self, url: &str) -> String {
        url.strip_prefix(&self.origin())
            .unwrap_or_else(|| panic!("{url}"))
            .to_owned()
    }

    pub fn nonce(&self) -> String {
        self.send("/acme/new-nonce", "head\n")
            .header("replay-nonce")
            .unwrap()
    }

    /// Sends a body as ACME has it.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, &body.to_string())
    }

    pub fn post_text(&self, path: &str, body: &str) -> Answer {
        let name = base64url(std::process::id().to_be_bytes()) + &base64url(path);
        let file = self.home.write_private(format!("request-{name}.json"), body);
        let config = format!(
            "header = \"Content-Type: application/jose+json\"\ndata-binary = \"@{}\"\n",
            file.display()
        );
        self.send(path, &config)
    }
}

/// A client that is bound to an account.
pub struct Client<'a> {
    pub at: &'a Ordering,
    pub key: Key,
    /// The URL of its account.
    pub account: String,
}

impl<'a> Client<'a> {
    /// Binds a new key to an account.
    pub fn bound(at: &'a Ordering, given: &Given) -> Self {
        let key = Key::new();
        let answer = register(at, &key, given).is(201);
        let account = answer.header("location").unwrap();
        Self { at, key, account }
    }

    /// What this client says to a path.
    pub fn request(&self, path: &str, payload: &Value) -> Request {
        Request {
            header: json!({
                "alg": "ES256", "kid": self.account, "nonce": self.at.nonce(), "url": self.at.url(path),
            }),
            payload: payload.to_string().into_bytes(),
        }
    }

    pub fn post(&self, path: &str, payload: &Value) -> Answer {
        let request = self.request(path, payload);
        self.at.post(path, &request.signed_by(&self.key))
    }

    /// Asks to go over to another key (RFC 8555 §7.3.5).
    pub fn change_key(&self, next: &Key) -> Answer {
        let path = "/acme/key-change";
        let inner = Request {
            header: json!({ "alg": "ES256", "jwk": next.jwk(), "url": self.at.url(path) }),
            payload: json!({ "account": self.account, "oldKey": self.key.jwk() })
                .to_string()
                .into_bytes(),
        };
        self.post(path, &inner.signed_by(next))
    }

    /// Reads (RFC 8555 §6.3).
    pub fn read(&self, path: &str) -> Answer {
        let mut request = self.request(path, &Value::Null);
        request.payload = Vec::new();
        self.at.post(path, &request.signed_by(&self.key))
    }

    /// A new order for these names.
    pub fn order(&self, names: &[&str]) -> Answer {
        let identifiers: Vec<Value> = names
            .iter()
            .map(|name| json!({ "type": "dns", "value": name }))
            .collect();
        self.post("/acme/new-order", &json!({ "identifiers": identifiers }))
    }

    /// Has an order finalized by a request in NAME.csr.
    pub fn finalize(&self, order: &Answer, csr: &[u8]) -> Answer {
        let url = order.json()["finalize"].as_str().unwrap().to_owned();
        self.post(&self.at.path_of(&url), &json!({ "csr": base64url(csr) }))
    }

    /// The certificate of a finalized order, with the one above it.
    pub fn certificate(&self, order: &Answer) -> String {
        let url = order.json()["certificate"].as_str().unwrap().to_owned();
        self.read(&self.at.path_of(&url)).is(200).text
    }
}

/// What comes of asking for an account with a key that is bound by what was given.
pub fn register(at: &Ordering, key: &Key, given: &Given) -> Answer {
    let url = at.url("/acme/new-account");
    let binding = binding(&given.kid, &given.mac_key, &url, &key.jwk());
    new_account(
        at,
        key,
        &json!({ "termsOfServiceAgreed": true, "externalAccountBinding": binding }),
    )
}

pub fn new_account(at: &Ordering, key: &Key, payload: &Value) -> Answer {
    let path = "/acme/new-account";
    let request = Request {
        header: json!({ "alg": "ES256", "jwk": key.jwk(), "nonce": at.nonce(), "url": at.url(path) }),
        payload: payload.to_string().into_bytes(),
    };
    at.post(path, &request.signed_by(key))
}

/// A request for a certificate of a new key, DER, with these names.
pub fn csr(at: &Ordering, name: &str, names: &[&str]) -> Vec<u8> {
    let all: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
    csr_of(at, name, &all.join(","), &crate::support::EC)
}

/// The same, for a key that OpenSSL makes by these arguments or has, and these alternative names.
pub fn csr_of(at: &Ordering, name: &str, alternatives: &str, key: &[&str]) -> Vec<u8> {
    let [key_file, request] = ["key", "csr"].map(|ending| format!("{name}.{ending}"));
    let alternatives = format!("subjectAltName={alternatives}");
    let mut arguments = vec!["req", "-new", "-noenc", "-subj", "/", "-addext", &alternatives];
    arguments.extend(["-outform", "DER", "-out", &request]);
    arguments.extend(key);
    if key.first() == Some(&"-newkey") {
        arguments.extend(["-keyout", &key_file]);
    }
    at.home.foreign("openssl", &arguments).ok();
    std::fs::read(at.home.path(request)).unwrap()
}
