//! The signed form of requests: JWS in flattened JSON (RFC 7515 §7.2.2), as RFC 8555 §6.2 narrows it.

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::problem::Problem;
use crate::key::{Jwk, JwkMembers, JwsAlgorithm};

/// The algorithms by which requests are signed.
const SIGNED_BY: [&str; 2] = ["ES256", "RS256"];

/// A JWS as it comes. Members that nobody names are ignored (RFC 7515 §7.2.2).
#[derive(Debug, Deserialize)]
pub struct Flattened {
    protected: String,
    payload: String,
    signature: String,
    /// Headers that nobody has signed (RFC 8555 §6.2 forbids them).
    header: Option<IgnoredAny>,
    /// Several signatures (forbidden likewise).
    signatures: Option<IgnoredAny>,
}

/// A protected header.
#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    nonce: Option<String>,
    url: Option<String>,
    jwk: Option<JwkMembers>,
    kid: Option<String>,
    /// Extensions that must be understood (RFC 7515 §4.1.11): none is.
    crit: Option<IgnoredAny>,
}

/// A JWS, taken apart. Nothing in it is verified yet.
#[derive(Debug)]
pub struct Jws {
    /// The algorithm of its signature, as it says itself.
    pub algorithm: String,
    /// Its nonce.
    pub nonce: Option<String>,
    /// The URL that it is for.
    pub url: Option<String>,
    /// Who has signed it.
    pub signer: Signer,
    /// What it says.
    pub payload: Vec<u8>,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// Who has signed a JWS, as it says itself.
#[derive(Debug)]
pub enum Signer {
    /// This key.
    Key(Box<Jwk>),
    /// The key of this name: the URL of an account, or the key identifier of one.
    Named(String),
}

impl Jws {
    /// Takes the body of a request apart.
    ///
    /// # Errors
    /// Where it is no flattened JWS, or has what it must not have.
    pub fn parse(octets: &[u8]) -> Result<Self, Problem> {
        let flattened = serde_json::from_slice(octets);
        Self::of(flattened.map_err(|_| Problem::malformed("the request is no JWS in flattened JSON"))?)
    }

    /// Takes a JWS apart.
    ///
    /// # Errors
    /// Where it has what it must not have, or lacks what it must have.
    pub fn of(flattened: Flattened) -> Result<Self, Problem> {
        if flattened.header.is_some() || flattened.signatures.is_some() {
            return Err(Problem::malformed(
                "the JWS has an unprotected header, or several signatures",
            ));
        }
        let decoded = |text: &str| {
            BASE64URL_NOPAD
                .decode(text.as_bytes())
                .map_err(|_| Problem::malformed("the JWS has a part that is no base64url without padding"))
        };
        let header: Header = serde_json::from_slice(&decoded(&flattened.protected)?)
            .map_err(|_| Problem::malformed("the JWS has a protected header that cannot be read"))?;
        if header.crit.is_some() {
            return Err(Problem::malformed(
                "the JWS demands an extension: none is known here",
            ));
        }
        let signer = match (header.jwk, header.kid) {
            (Some(jwk), None) => Signer::Key(Box::new(Jwk::try_from(jwk)?)),
            (None, Some(kid)) => Signer::Named(kid),
            (Some(_), Some(_)) | (None, None) => {
                return Err(Problem::malformed("the JWS must have one of jwk and kid"));
            }
        };
        Ok(Self {
            algorithm: header.alg,
            nonce: header.nonce,
            url: header.url,
            signer,
            payload: decoded(&flattened.payload)?,
            signature: decoded(&flattened.signature)?,
            signed: format!("{}.{}", flattened.protected, flattened.payload).into_bytes(),
        })
    }

    /// Demands that the signature is by this key.
    ///
    /// # Errors
    /// Where it is not, or its algorithm is not known.
    pub fn demand_signed_by(&self, key: &Jwk) -> Result<(), Problem> {
        let algorithm = match self.algorithm.as_str() {
            "ES256" => JwsAlgorithm::Es256,
            "RS256" => JwsAlgorithm::Rs256,
            _ => return Err(Problem::algorithm(&SIGNED_BY)),
        };
        match key.verifies(algorithm, &self.signed, &self.signature) {
            true => Ok(()),
            false => Err(Problem::malformed("the signature of the JWS is not by this key")),
        }
    }

    /// Demands that the algorithm is one that is taken: before anything else is looked at.
    ///
    /// # Errors
    /// Where it is not.
    pub fn demand_known_algorithm(&self) -> Result<(), Problem> {
        match SIGNED_BY.contains(&self.algorithm.as_str()) {
            true => Ok(()),
            false => Err(Problem::algorithm(&SIGNED_BY)),
        }
    }

    /// Whether it is authenticated by this MAC key, by HS256.
    pub fn is_authenticated_by(&self, key: &[u8; 32]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        self.algorithm == "HS256" && hmac::verify(&key, &self.signed, &self.signature).is_ok()
    }
}
