//! The issuing CA: certificates for devices, its own CRL, and the signature under a publication.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use rand_core::CryptoRng;

use super::subordinate::Subordinate;
use super::{AuthorityError, Chain};
use crate::key::{PublicKey, Signer};
use crate::model::event::{Issued, KeySource};
use crate::model::{Authority, Draft, Revocation, Serial, Signed};
use crate::x509::build::Kind;
use crate::x509::crl;

/// The issuing CA's chain and its key, unlocked.
#[derive(Debug)]
pub struct Issuing(Subordinate);

/// A draft and what goes with it into the ledger.
#[derive(Debug)]
pub struct Order<'a> {
    /// What the certificate will say.
    pub draft: Draft,
    /// The device's public key.
    pub public_key: &'a PublicKey,
    /// Where that key came from.
    pub source: KeySource,
    /// What it will replace.
    pub supersedes: Vec<Serial>,
}

impl Issuing {
    /// The issuing CA of these. `base_url` is where its CRL and certificate are served.
    ///
    /// # Errors
    /// Where key and certificate do not belong together.
    pub fn open(
        chain: Chain,
        key: impl Signer + 'static,
        base_url: Option<String>,
    ) -> Result<Self, AuthorityError> {
        Subordinate::open(Authority::Issuing, chain, key, base_url).map(Self)
    }

    /// Its chain.
    pub fn chain(&self) -> &Chain {
        self.0.chain()
    }

    /// Signs a device's certificate.
    ///
    /// # Errors
    /// Where what is about to be signed is not what was drafted.
    pub fn sign(&self, order: Order<'_>, rng: &mut impl CryptoRng) -> Result<Signed, AuthorityError> {
        let Order {
            draft,
            public_key,
            source,
            supersedes,
        } = order;
        let (serial, certificate) = self.0.certify(Kind::Device(&draft), public_key, rng)?;
        let holder = draft.holder();
        Ok(Signed::attest(Issued {
            serial,
            address: holder.address.clone(),
            name: holder.name.clone(),
            email: holder.email.clone(),
            platform: holder.platform,
            profile: draft.profile().to_owned(),
            days: draft.days(),
            key: source,
            supersedes,
            validity: draft.validity(),
            spki_sha256: public_key.spki_sha256(),
            certificate,
        }))
    }

    /// Signs its CRL, in DER.
    ///
    /// # Errors
    /// Where the CA is out of date, or the terms make no sense.
    pub fn sign_crl(&self, terms: crl::Terms, entries: &[Revocation]) -> Result<Vec<u8>, AuthorityError> {
        self.0.sign_crl(terms, entries)
    }

    /// Signs a statement for the consumers of a publication: a JWS in compact form (RFC 7515 §7.1) by ES256,
    /// with exactly these octets as payload and the CA's own certificate as `x5c`.
    ///
    /// # Errors
    /// Where the key does not sign.
    pub fn sign_statement(&self, typ: &str, payload: &[u8]) -> Result<String, AuthorityError> {
        let certificate = BASE64.encode(self.chain().issuing().der());
        let header = serde_json::json!({ "alg": "ES256", "typ": typ, "x5c": [certificate] });
        let signed = format!(
            "{}.{}",
            BASE64URL_NOPAD.encode(header.to_string().as_bytes()),
            BASE64URL_NOPAD.encode(payload)
        );
        let signature = self.0.sign_octets(signed.as_bytes())?.to_fixed();
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
    }
}
