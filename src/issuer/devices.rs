//! The issuing CA: signs certificates for devices, its own CRL, and the statements of a publication.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use rand_core::CryptoRng;

use super::subordinate::Subordinate;
use super::{Chain, IssuerError};
use crate::key::{PublicKey, Signer};
use crate::model::event::{Issued, KeySource};
use crate::model::invite::EnrolledBy;
use crate::model::{Authority, Draft, Revocation, Serial, Time};
use crate::x509::crl;
use crate::x509::ocsp::{self, CertId, CertStatus};
use crate::x509::template::Kind;

/// The issuing CA's chain and its key, unlocked.
#[derive(Debug)]
pub struct Devices(Subordinate);

/// An order for a certificate: a draft, and the facts that are recorded in the ledger with it.
#[derive(Debug)]
pub struct Order<'a> {
    /// The contents of the certificate.
    pub draft: Draft,
    /// The device's public key.
    pub public_key: &'a PublicKey,
    /// The origin of that key.
    pub source: KeySource,
    /// The certificates that it will replace.
    pub supersedes: Vec<Serial>,
    /// How the device comes to it, where no operator issues it.
    pub enrolled_by: Option<EnrolledBy>,
}

/// A certificate that the devices' CA has signed and nobody has seen. Only this file can make one, and only
/// the store takes it.
#[derive(Debug)]
pub struct Signed(Issued);

impl Signed {
    /// The facts that the ledger records of it.
    pub fn into_issued(self) -> Issued {
        self.0
    }

    /// The facts that the ledger records of it.
    pub fn issued(&self) -> &Issued {
        &self.0
    }

    /// Its serial number.
    pub fn serial(&self) -> Serial {
        self.0.serial
    }
}

impl Devices {
    /// The issuing CA of this chain and key. `base_url` is the URL at which its CRL and certificate are
    /// served.
    ///
    /// # Errors
    /// Where key and certificate do not belong together.
    pub fn open(
        chain: Chain,
        key: impl Signer + 'static,
        base_url: Option<String>,
    ) -> Result<Self, IssuerError> {
        Subordinate::open(Authority::Issuing, chain, key, base_url).map(Self)
    }

    /// The same, with the URL of an OCSP responder in the certificates that it signs. It stands beside the
    /// others of `base_url`, without which there is none.
    #[must_use]
    pub fn asked_at(self, ocsp_url: Option<String>) -> Self {
        Self(self.0.asked_at(ocsp_url))
    }

    /// The chain of the root and this CA.
    pub fn chain(&self) -> &Chain {
        self.0.chain()
    }

    /// Signs a device's certificate.
    ///
    /// # Errors
    /// Where the contents to be signed differ from the draft.
    pub fn sign(&self, order: Order<'_>, rng: &mut impl CryptoRng) -> Result<Signed, IssuerError> {
        let Order {
            draft,
            public_key,
            source,
            supersedes,
            enrolled_by,
        } = order;
        let (serial, certificate) = self.0.certify(Kind::Device(&draft), public_key, rng)?;
        let holder = draft.holder();
        Ok(Signed(Issued {
            serial,
            address: holder.address.clone(),
            name: holder.name.clone(),
            email: holder.email.clone(),
            platform: holder.platform,
            profile: draft.profile().to_owned(),
            days: draft.days(),
            key: source,
            supersedes,
            enrolled_by,
            validity: draft.validity(),
            spki_sha256: public_key.spki_sha256(),
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

    /// Signs an OCSP response: the status of some of its certificates, produced now and good until then
    /// (RFC 6960 §4.2). The responder is the CA itself.
    ///
    /// # Errors
    /// Where the key does not sign.
    pub fn sign_ocsp(
        &self,
        answers: &[(&CertId, CertStatus)],
        nonce: Option<&[u8]>,
        produced: Time,
        next_update: Time,
    ) -> Result<Vec<u8>, IssuerError> {
        let ca = self.chain().ca();
        let data = ocsp::response_data(ca, answers, nonce, produced, next_update);
        let signature = self.0.sign_octets(&data)?.to_der();
        Ok(ocsp::response(ca, &data, &signature))
    }

    /// Signs a statement for the consumers of a publication: a JWS in compact form (RFC 7515 §7.1) by ES256,
    /// with exactly these octets as payload and the CA's own certificate as `x5c`.
    ///
    /// # Errors
    /// Where the key does not sign.
    pub fn sign_statement(&self, typ: &str, payload: &[u8]) -> Result<String, IssuerError> {
        let certificate = BASE64.encode(self.chain().ca().der());
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
