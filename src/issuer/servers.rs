//! The servers' CA: signs certificates for the company's own servers, and its own CRL.

use rand_core::CryptoRng;

use super::subordinate::Subordinate;
use super::{Chain, IssuerError};
use crate::key::{PublicKey, Signer};
use crate::model::server::{Certified, ServerDraft};
use crate::model::{AccountId, Authority, Pin, Revocation};
use crate::x509::crl;
use crate::x509::template::Kind;

/// The servers' CA with its key, unlocked.
#[derive(Debug)]
pub struct Servers(Subordinate);

/// A server's certificate that was signed and nobody has seen. Only this file can make one, and only the
/// store takes it.
#[derive(Debug)]
pub struct SignedServer(Certified);

impl SignedServer {
    /// The same, ordered by an ACME account.
    #[must_use]
    pub fn ordered_by(mut self, account: AccountId) -> Self {
        self.0.account = Some(account);
        self
    }

    /// The facts that the ledger records of it.
    pub fn into_certified(self) -> Certified {
        self.0
    }
}

impl Servers {
    /// The servers' CA of this chain and key. `base_url` is the URL at which its CRL and certificate are
    /// served.
    ///
    /// # Errors
    /// Where key and certificate do not belong together.
    pub fn open(
        chain: Chain,
        key: impl Signer + 'static,
        base_url: Option<String>,
    ) -> Result<Self, IssuerError> {
        Subordinate::open(Authority::Servers, chain, key, base_url).map(Self)
    }

    /// The chain of the root and this CA.
    pub fn chain(&self) -> &Chain {
        self.0.chain()
    }

    /// Signs a server's certificate.
    ///
    /// # Errors
    /// Where the contents to be signed differ from the draft.
    pub fn sign(
        &self,
        draft: &ServerDraft,
        public_key: &PublicKey,
        rng: &mut impl CryptoRng,
    ) -> Result<SignedServer, IssuerError> {
        let (serial, certificate) = self.0.certify(Kind::Server(draft), public_key, rng)?;
        Ok(SignedServer(Certified {
            host: draft.host().clone(),
            others: draft.hosts()[1..].to_vec(),
            account: None,
            serial,
            pin: Pin(public_key.spki_sha256()),
            validity: draft.validity(),
            certificate,
        }))
    }

    /// Signs its CRL, in DER.
    ///
    /// # Errors
    /// Where the CA's certificate is not valid at that time, or the terms are not valid.
    pub fn sign_crl(&self, terms: crl::Terms, entries: &[Revocation]) -> Result<Vec<u8>, IssuerError> {
        self.0.sign_crl(terms, entries)
    }
}
