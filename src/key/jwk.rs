//! Public keys as JSON Web Keys (RFC 7517), and the verification of what they sign: those of ACME clients,
//! which are nobody's certificate.

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use serde_json::{Value, json};

use super::public::PublicKey;

/// The one exponent of RSA keys that is taken, 65537.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// A public key in a JWK: P-256, or RSA of 2048 to 4096 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    key: Key,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    P256(PublicKey),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// The algorithms by which such a key signs (RFC 7518 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwsAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

/// The reason for which a JWK is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJwk {
    /// Not a JWK.
    #[error("the jwk cannot be read")]
    Malformed,
    /// It has more than a public key.
    #[error("the jwk holds a private key")]
    Private,
    /// A key of another kind.
    #[error("the jwk is no key of P-256, and no RSA key of 2048 to 4096 bits")]
    Kind,
}

/// A JWK as it comes: the members that count, and those that must not be there (RFC 7518 §6).
#[derive(Debug, Deserialize)]
pub struct JwkMembers {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<Value>,
    k: Option<Value>,
}

impl TryFrom<JwkMembers> for Jwk {
    type Error = InvalidJwk;

    fn try_from(members: JwkMembers) -> Result<Self, InvalidJwk> {
        Self::of(members)
    }
}

impl Jwk {
    /// Reads a JWK.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn parse(json: &str) -> Result<Self, InvalidJwk> {
        let members: JwkMembers = serde_json::from_str(json).map_err(|_| InvalidJwk::Malformed)?;
        Self::of(members)
    }

    fn of(members: JwkMembers) -> Result<Self, InvalidJwk> {
        if members.d.is_some() || members.k.is_some() {
            return Err(InvalidJwk::Private);
        }
        let octets = |text: Option<String>| {
            let text = text.ok_or(InvalidJwk::Malformed)?;
            BASE64URL_NOPAD
                .decode(text.as_bytes())
                .map_err(|_| InvalidJwk::Malformed)
        };
        match (members.kty.as_str(), members.crv.as_deref()) {
            ("EC", Some("P-256")) => Self::p256(&octets(members.x)?, &octets(members.y)?),
            ("RSA", None) => Self::rsa(octets(members.n)?, octets(members.e)?),
            _ => Err(InvalidJwk::Kind),
        }
    }

    fn p256(x: &[u8], y: &[u8]) -> Result<Self, InvalidJwk> {
        let (Ok(x), Ok(y)) = (<[u8; 32]>::try_from(x), <[u8; 32]>::try_from(y)) else {
            return Err(InvalidJwk::Malformed);
        };
        let key = PublicKey::from_coordinates(&x, &y).map_err(|_| InvalidJwk::Kind)?;
        let [x, y] = [x, y].map(|octets| BASE64URL_NOPAD.encode(&octets));
        Ok(Self {
            key: Key::P256(key),
            // Members in the order of their names, no spaces (RFC 7638 §3.3).
            text: json!({ "crv": "P-256", "kty": "EC", "x": x, "y": y }).to_string(),
        })
    }

    fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Self, InvalidJwk> {
        let is_minimal = |octets: &[u8]| octets.first().is_some_and(|first| *first != 0);
        let is_odd = |octets: &[u8]| octets.last().is_some_and(|last| last % 2 == 1);
        // Larger ones take long to verify, and whoever comes has them verified.
        let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
        if !is_minimal(&n) || !is_odd(&n) || !(2048..=4096).contains(&bits) || e != EXPONENT {
            return Err(InvalidJwk::Kind);
        }
        let [modulus, power] = [&n, &e].map(|octets| BASE64URL_NOPAD.encode(octets));
        Ok(Self {
            key: Key::Rsa { n, e },
            text: json!({ "e": power, "kty": "RSA", "n": modulus }).to_string(),
        })
    }

    /// The JWK in the one form of which thumbprints are made (RFC 7638 §3.2).
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same key as what certificates hold, where it is one of P-256.
    pub fn public_key(&self) -> Option<&PublicKey> {
        match &self.key {
            Key::P256(key) => Some(key),
            Key::Rsa { .. } => None,
        }
    }

    /// Whether a signature by this algorithm over `message` is this key's.
    pub fn verifies(&self, algorithm: JwsAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        match (&self.key, algorithm) {
            (Key::P256(key), JwsAlgorithm::Es256) => key.verifies_es256(message, signature),
            (Key::Rsa { n, e }, JwsAlgorithm::Rs256) => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            (Key::P256(_), JwsAlgorithm::Rs256) | (Key::Rsa { .. }, JwsAlgorithm::Es256) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7638 §3.1, with members in another order and some that do not count.
    const RSA: &str = r#"{"use":"sig","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","kty":"RSA","e":"AQAB"}"#;
    /// RFC 7517 appendix A.1.
    const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"}"#;

    #[test]
    fn a_jwk_has_one_form_whatever_stands_in_it_besides() {
        use sha2::{Digest, Sha256};
        let thumbprint = |json| BASE64URL_NOPAD.encode(&Sha256::digest(Jwk::parse(json).unwrap().text()));
        assert_eq!(thumbprint(RSA), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert!(
            Jwk::parse(EC)
                .unwrap()
                .text()
                .starts_with(r#"{"crv":"P-256","kty":"EC","x":"MK"#)
        );
    }

    #[test]
    fn what_is_no_public_key_that_signs_well_is_refused() {
        let with = |from: &str, to: &str| Jwk::parse(&EC.replace(from, to));
        assert_eq!(with("P-256", "P-384"), Err(InvalidJwk::Kind));
        assert_eq!(
            with(r#""kty":"EC","crv":"P-256""#, r#""kty":"oct","k":"AA""#),
            Err(InvalidJwk::Private)
        );
        assert_eq!(
            with("IFyM", "IFyN"),
            Err(InvalidJwk::Malformed),
            "bits that nobody may set"
        );
        assert_eq!(
            with("4Etl", "4Etm"),
            Err(InvalidJwk::Kind),
            "no point of the curve"
        );
        assert_eq!(with(r#""use""#, r#""d":"AA","use""#), Err(InvalidJwk::Private));
        assert_eq!(
            with(r#""use""#, r#""kty":"EC","use""#),
            Err(InvalidJwk::Malformed),
            "twice"
        );
        let rsa = |from: &str, to: &str| Jwk::parse(&RSA.replace(from, to));
        assert_eq!(rsa("AQAB", "Aw"), Err(InvalidJwk::Kind), "an exponent of 3");
        assert_eq!(rsa("AQAB", ""), Err(InvalidJwk::Kind));
        assert_eq!(
            rsa("0vx7", "AAAA0vx7"),
            Err(InvalidJwk::Kind),
            "zeros that say nothing"
        );
        assert_eq!(
            rsa(
                "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W",
                "2W"
            ),
            Err(InvalidJwk::Kind),
            "short"
        );
        assert_eq!(Jwk::parse("{}"), Err(InvalidJwk::Malformed));
        assert_eq!(
            Jwk::parse(r#"{"kty":"RSA","n":"","e":"AQAB"}"#),
            Err(InvalidJwk::Kind)
        );
    }

    #[test]
    fn a_key_verifies_by_its_own_algorithm_alone() {
        use crate::key::{SoftwareKey, os_rng, sign};
        let key = SoftwareKey::generate(&mut os_rng());
        let point = key.public_key().point();
        let [x, y] = [&point[1..33], &point[33..]].map(|octets| BASE64URL_NOPAD.encode(octets));
        let jwk = Jwk::parse(&json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }).to_string()).unwrap();
        assert_eq!(jwk.public_key(), Some(key.public_key()));
        let signature = sign(&key, b"message").unwrap();
        assert!(jwk.verifies(JwsAlgorithm::Es256, b"message", &signature.to_fixed()));
        assert!(!jwk.verifies(JwsAlgorithm::Es256, b"another", &signature.to_fixed()));
        assert!(!jwk.verifies(JwsAlgorithm::Es256, b"message", &signature.to_der()));
        assert!(!jwk.verifies(JwsAlgorithm::Rs256, b"message", &signature.to_fixed()));
    }
}
