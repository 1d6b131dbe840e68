//! A device's side of signed requests, `pki sign-request`: an HTTP message signature (RFC 9421) by the
//! device's own key or a shared one, with a digest of the body (RFC 9530). It needs no home, and sends
//! nothing.
//!
//! The profile is one, and what verifies it takes no other: `docs/protocol.md` has it.

#[cfg(test)]
mod fuzz_tests;
mod method;
mod shared_key;
mod target;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use sha2::{Digest, Sha256};

use crate::key::{self, Signer, SigningError};
use crate::model::{Span, Time};
use crate::x509::Certificate;

pub use method::{InvalidMethod, Method};
pub use shared_key::{InvalidSharedKey, SharedKey};
pub use target::{InvalidTarget, Target};

/// How long a signature lasts, in seconds: the longest that is taken.
const LIFE: i64 = 60;

/// The parts of a request that are signed.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a Method,
    /// The URL that it is sent to.
    pub target: &'a Target,
    /// Its body, octet for octet; empty where it has none.
    pub body: &'a [u8],
    /// The value of its field Authorization, where it has one.
    pub authorization: Option<&'a str>,
}

/// The fields that a signed request has besides its own, each with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// Content-Digest (RFC 9530 §2), where there is a body.
    pub content_digest: Option<String>,
    /// Signature-Input (RFC 9421 §4.1).
    pub signature_input: String,
    /// Signature (RFC 9421 §4.2).
    pub signature: String,
}

/// The key that signs.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// The device's own, and its certificate.
    Own(&'a dyn Signer, &'a Certificate),
    /// One that the device has in common with the server.
    Shared(&'a SharedKey),
}

impl By<'_> {
    /// The name of the key, and of the algorithm.
    fn names(&self) -> (String, &'static str) {
        match self {
            Self::Own(_, certificate) => (
                BASE64URL_NOPAD.encode(&Sha256::digest(certificate.der())),
                "ecdsa-p256-sha256",
            ),
            Self::Shared(key) => (key.keyid().to_owned(), "hmac-sha256"),
        }
    }

    /// r and s, 32 octets each (RFC 9421 §3.3.4); or the hash (§3.3.3).
    fn sign(&self, base: &[u8]) -> Result<Vec<u8>, SigningError> {
        match self {
            Self::Own(signer, _) => Ok(key::sign(*signer, base)?.to_fixed().to_vec()),
            Self::Shared(key) => Ok(key.hash(base).to_vec()),
        }
    }
}

/// Signs a request. The nonce must be random, and of no other request.
///
/// # Errors
/// Where the key cannot be used.
pub fn sign(request: &Request<'_>, by: By<'_>, now: Time, nonce: [u8; 16]) -> Result<Fields, SigningError> {
    let content_digest = (!request.body.is_empty())
        .then(|| format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(request.body))));
    let covered = [
        ("@method", Some(request.method.as_str())),
        ("@authority", Some(request.target.authority())),
        ("@target-uri", Some(request.target.uri())),
        ("content-digest", content_digest.as_deref()),
        ("authorization", request.authorization),
    ];
    let covered: Vec<(&str, &str)> = covered
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    let names: Vec<String> = covered.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let (keyid, algorithm) = by.names();
    let parameters = format!(
        "({names});created={created};expires={expires};nonce=\"{nonce}\";keyid=\"{keyid}\";alg=\"{algorithm}\";tag=\"pki-v1\"",
        names = names.join(" "),
        created = now.unix(),
        expires = (now + Span::seconds(LIFE)).unix(),
        nonce = BASE64URL_NOPAD.encode(&nonce),
    );
    // The signature base (RFC 9421 §2.5).
    let mut base: String = covered
        .iter()
        .map(|(name, value)| format!("\"{name}\": {value}\n"))
        .collect();
    base.push_str(&format!("\"@signature-params\": {parameters}"));
    let signature = by.sign(base.as_bytes())?;
    Ok(Fields {
        content_digest,
        signature_input: format!("pki={parameters}"),
        signature: format!("pki=:{}:", BASE64.encode(&signature)),
    })
}

impl Fields {
    /// Each field with its value, in the order in which they are written.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let digest = self
            .content_digest
            .as_deref()
            .map(|value| ("Content-Digest", value));
        digest.into_iter().chain([
            ("Signature-Input", self.signature_input.as_str()),
            ("Signature", self.signature.as_str()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::seeds::Company;
    use crate::key::{SoftwareKey, os_rng};

    /// Signs by a new device: the fields, its certificate, and its key.
    fn signed(request: &Request<'_>) -> (Fields, Certificate, SoftwareKey) {
        let key = SoftwareKey::generate(&mut os_rng());
        let certificate = Company::new().device_of("alice/laptop", key.public_key());
        let now = Time::from_unix(1_800_000_000);
        let fields = sign(request, By::Own(&key, &certificate), now, [0xFB; 16]).unwrap();
        (fields, certificate, key)
    }

    #[test]
    fn a_request_is_signed_with_all_that_it_has_and_nothing_else() {
        let target: Target = "https://API.acme.example:443/orders?a=%2F#top".parse().unwrap();
        let method: Method = "POST".parse().unwrap();
        let whole = Request {
            method: &method,
            target: &target,
            body: b"{}",
            authorization: Some("Bearer word"),
        };
        let (fields, certificate, key) = signed(&whole);
        let digest = "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:";
        let parameters = format!(
            "(\"@method\" \"@authority\" \"@target-uri\" \"content-digest\" \"authorization\")\
             ;created=1800000000;expires=1800000060;nonce=\"-_v7-_v7-_v7-_v7-_v7-w\";keyid=\"{}\"\
             ;alg=\"ecdsa-p256-sha256\";tag=\"pki-v1\"",
            BASE64URL_NOPAD.encode(&Sha256::digest(certificate.der()))
        );
        let base = format!(
            "\"@method\": POST\n\"@authority\": api.acme.example\n\
             \"@target-uri\": https://api.acme.example/orders?a=%2F\n\"content-digest\": {digest}\n\
             \"authorization\": Bearer word\n\"@signature-params\": {parameters}"
        );
        assert_eq!(fields.content_digest.as_deref(), Some(digest));
        assert_eq!(fields.signature_input, format!("pki={parameters}"));
        let signature = fields
            .signature
            .strip_prefix("pki=:")
            .unwrap()
            .strip_suffix(':')
            .unwrap();
        let signature = BASE64.decode(signature.as_bytes()).unwrap();
        assert!(key.public_key().verifies_es256(base.as_bytes(), &signature));
        let names: Vec<&str> = fields.all().map(|(name, _)| name).collect();
        assert_eq!(names, ["Content-Digest", "Signature-Input", "Signature"]);

        let bare = Request {
            body: b"",
            authorization: None,
            ..whole
        };
        let (fields, ..) = signed(&bare);
        assert_eq!(fields.content_digest, None);
        let covered = "pki=(\"@method\" \"@authority\" \"@target-uri\");created";
        assert!(fields.signature_input.starts_with(covered), "{fields:?}");
    }
}
