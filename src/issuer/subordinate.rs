//! The parts that the two CAs below the root have in common: chain, key, and signing. The subjects that each
//! may certify are not part of it.

use rand_core::CryptoRng;

use super::root::{random_serial, sign_crl};
use super::{Chain, IssuerError, name};
use crate::key::{self, PublicKey, Signature, Signer};
use crate::model::{Authority, Revocation, Serial};
use crate::x509::build;
use crate::x509::crl;
use crate::x509::template::{Kind, Pointers, Template};

/// A CA below the root with its key, unlocked.
#[derive(Debug)]
pub(super) struct Subordinate {
    authority: Authority,
    chain: Chain,
    key: Box<dyn Signer>,
    base_url: Option<String>,
    ocsp_url: Option<String>,
}

impl Subordinate {
    pub fn open(
        authority: Authority,
        chain: Chain,
        key: impl Signer + 'static,
        base_url: Option<String>,
    ) -> Result<Self, IssuerError> {
        if key.public_key() != chain.ca().public_key() {
            return Err(IssuerError::KeyMismatch(name(authority)));
        }
        Ok(Self {
            authority,
            chain,
            key: Box::new(key),
            base_url,
            ocsp_url: None,
        })
    }

    /// The same, with the URL of an OCSP responder in what it certifies.
    pub fn asked_at(mut self, ocsp_url: Option<String>) -> Self {
        self.ocsp_url = ocsp_url;
        self
    }

    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// A certificate with a new serial number, in DER.
    pub fn certify(
        &self,
        kind: Kind<'_>,
        public_key: &PublicKey,
        rng: &mut impl CryptoRng,
    ) -> Result<(Serial, Vec<u8>), IssuerError> {
        let base_url = self.base_url.as_deref();
        let template = Template {
            serial: random_serial(rng),
            public_key,
            pointers: base_url
                .map(|url| Pointers::new(url, self.authority).asked_at(self.ocsp_url.as_deref())),
            kind,
        };
        let certificate = build::certificate(&template, self.chain.ca(), &*self.key)?;
        Ok((template.serial, certificate.der().to_vec()))
    }

    pub fn sign_crl(&self, terms: crl::Terms, entries: &[Revocation]) -> Result<Vec<u8>, IssuerError> {
        sign_crl(name(self.authority), self.chain.ca(), &*self.key, terms, entries)
    }

    /// Signs octets as they are.
    pub fn sign_octets(&self, octets: &[u8]) -> Result<Signature, IssuerError> {
        Ok(key::sign(&*self.key, octets)?)
    }
}
