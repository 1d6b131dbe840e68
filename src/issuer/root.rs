//! The root: signs the certificates of the issuing CAs, of devices and of servers, and its own CRL, and
//! nothing else.

use rand_core::CryptoRng;

use super::{Chain, IssuerError};
use crate::key::{PublicKey, Signer};
use crate::model::{Authority, NameConstraints, Revocation, Serial, Span, Time, Validity};
use crate::x509::template::{AuthorityKind, Kind, Pointers, Template};
use crate::x509::{Certificate, build, crl};

/// The root's certificate and its key, unlocked.
#[derive(Debug)]
pub struct Root {
    certificate: Certificate,
    key: Box<dyn Signer>,
}

/// How long a root lives: 10 years.
const ROOT_LIFE: Span = Span::days(3652);
/// How long an issuing CA lives: 5 years.
const ISSUING_LIFE: Span = Span::days(1826);

impl Root {
    /// Creates a new root of this organization with this key. Its certificate states what it can vouch for
    /// (name constraints), or does not.
    ///
    /// # Errors
    /// Where the certificate cannot be made.
    pub fn create(
        key: impl Signer + 'static,
        organization: &str,
        constraints: Option<&NameConstraints>,
        now: Time,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, IssuerError> {
        let template = Template {
            serial: random_serial(rng),
            public_key: key.public_key(),
            pointers: None,
            kind: Kind::Authority(AuthorityKind {
                authority: Authority::Root,
                organization,
                validity: Validity::starting(now, Time::from_unix(0), ROOT_LIFE),
                constraints,
            }),
        };
        let certificate = build::self_signed(&template, &key)?;
        Ok(Self {
            certificate,
            key: Box::new(key),
        })
    }

    /// Opens a root with its certificate and key.
    ///
    /// # Errors
    /// Where they do not belong together.
    pub fn open(certificate: Certificate, key: impl Signer + 'static) -> Result<Self, IssuerError> {
        if key.public_key() != certificate.public_key() {
            return Err(IssuerError::KeyMismatch("root"));
        }
        Ok(Self {
            certificate,
            key: Box::new(key),
        })
    }

    /// The certificate of the root.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Signs the devices' CA for `public_key`, which says what the root says itself, and lives within its
    /// life. Both may vouch for what is permitted.
    ///
    /// # Errors
    /// Where the certificate cannot be made.
    pub fn sign_issuing(
        &self,
        public_key: &PublicKey,
        permitted: &NameConstraints,
        base_url: Option<&str>,
        now: Time,
        rng: &mut impl CryptoRng,
    ) -> Result<Chain, IssuerError> {
        let says = self.certificate.name_constraints();
        let issuing = self.sign_authority(Authority::Issuing, public_key, says, base_url, now, rng)?;
        Chain::of_issuing(self.certificate.clone(), issuing, Some(permitted.clone()))
    }

    /// Signs the servers' CA for `public_key`. It always says what is permitted: those who take servers'
    /// certificates for good are browsers and phones, which can read it. Where nobody knows what is, it is
    /// what the root says.
    ///
    /// # Errors
    /// Where the certificate cannot be made, or the root does not say it either.
    pub fn sign_servers(
        &self,
        public_key: &PublicKey,
        permitted: Option<&NameConstraints>,
        base_url: Option<&str>,
        now: Time,
        rng: &mut impl CryptoRng,
    ) -> Result<Chain, IssuerError> {
        // One key would then have both powers.
        if public_key == self.certificate.public_key() {
            return Err(IssuerError::SharedKey("root", "servers' CA"));
        }
        let permitted = permitted
            .or(self.certificate.name_constraints())
            .ok_or(IssuerError::NothingSaid)?
            .of_servers();
        let servers = self.sign_authority(
            Authority::Servers,
            public_key,
            Some(&permitted),
            base_url,
            now,
            rng,
        )?;
        Chain::of_servers(self.certificate.clone(), servers)
    }

    fn sign_authority(
        &self,
        authority: Authority,
        public_key: &PublicKey,
        constraints: Option<&NameConstraints>,
        base_url: Option<&str>,
        now: Time,
        rng: &mut impl CryptoRng,
    ) -> Result<Certificate, IssuerError> {
        let outer = self.certificate.validity();
        let mut validity = Validity::starting(now, outer.not_before, ISSUING_LIFE);
        validity.not_after = validity.not_after.min(outer.not_after);
        let template = Template {
            serial: random_serial(rng),
            public_key,
            pointers: base_url.map(|url| Pointers::new(url, Authority::Root)),
            kind: Kind::Authority(AuthorityKind {
                authority,
                organization: self
                    .certificate
                    .organization()
                    .ok_or(IssuerError::NotOurs("root"))?,
                validity,
                constraints,
            }),
        };
        Ok(build::certificate(&template, &self.certificate, &*self.key)?)
    }

    /// Signs the root's CRL, in DER.
    ///
    /// # Errors
    /// Where the root's certificate is not valid at that time, or the terms are not valid.
    pub fn sign_crl(&self, terms: crl::Terms, entries: &[Revocation]) -> Result<Vec<u8>, IssuerError> {
        sign_crl("root", &self.certificate, &*self.key, terms, entries)
    }
}

/// Signs a CRL, where its authority is good at that time.
pub(super) fn sign_crl(
    who: &'static str,
    certificate: &Certificate,
    key: &dyn Signer,
    terms: crl::Terms,
    entries: &[Revocation],
) -> Result<Vec<u8>, IssuerError> {
    let Validity {
        not_before: from,
        not_after: to,
    } = certificate.validity();
    if terms.this_update < from || terms.this_update > to {
        return Err(IssuerError::OutOfDate {
            who,
            from,
            to,
            at: terms.this_update,
        });
    }
    Ok(crl::sign(certificate, key, terms, entries)?)
}

pub(super) fn random_serial(rng: &mut impl CryptoRng) -> Serial {
    let mut octets = [0; 16];
    rng.fill_bytes(&mut octets);
    Serial::from_random(octets)
}
