//! The servers' CA: certificates for the company's own servers, and its own CRL.

use rand_core::CryptoRng;

use super::root::{random_serial, sign_crl};
use super::{AuthorityError, Chain};
use crate::key::{PublicKey, SoftwareKey};
use crate::model::server::{Certified, ServerDraft, SignedServer};
use crate::model::{Authority, Pin, Revocation};
use crate::x509::build::{self, Kind, Pointers, Template};
use crate::x509::crl;

/// The servers' CA with its key, unlocked.
#[derive(Debug)]
pub struct Servers {
    chain: Chain,
    key: SoftwareKey,
    base_url: Option<String>,
}

impl Servers {
    /// The servers' CA of these. `base_url` is where its CRL and certificate are served.
    ///
    /// # Errors
    /// Where key and certificate do not belong together.
    pub fn open(chain: Chain, key: SoftwareKey, base_url: Option<String>) -> Result<Self, AuthorityError> {
        if key.public_key() != chain.issuing().public_key() {
            return Err(AuthorityError::KeyMismatch("servers' CA"));
        }
        Ok(Self { chain, key, base_url })
    }

    /// Its chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Signs a server's certificate.
    ///
    /// # Errors
    /// Where what is about to be signed is not what was drafted.
    pub fn sign(
        &self,
        draft: &ServerDraft,
        public_key: &PublicKey,
        rng: &mut impl CryptoRng,
    ) -> Result<SignedServer, AuthorityError> {
        let template = Template {
            serial: random_serial(rng),
            public_key,
            pointers: self
                .base_url
                .as_deref()
                .map(|url| Pointers::new(url, Authority::Servers)),
            kind: Kind::Server(draft),
        };
        let certificate = build::certificate(&template, self.chain.issuing(), &self.key)?;
        Ok(SignedServer::attest(Certified {
            host: draft.host().clone(),
            serial: template.serial,
            pin: Pin(public_key.spki_sha256()),
            validity: draft.validity(),
            certificate: certificate.der().to_vec(),
        }))
    }

    /// Signs its CRL, in DER.
    ///
    /// # Errors
    /// Where the CA is out of date, or the terms make no sense.
    pub fn sign_crl(&self, terms: crl::Terms, entries: &[Revocation]) -> Result<Vec<u8>, AuthorityError> {
        sign_crl("servers' CA", self.chain.issuing(), &self.key, terms, entries)
    }
}
