//! Any certificate, of whatever CA, version and key: the fields that are displayed. No decision depends on
//! them.

use sha2::{Digest, Sha256};

use super::X509Error;
use super::certificate::only;
use super::key_kind::KeyKind;
use crate::model::{Pin, Time, Validity};

/// The fields of a certificate that are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyCertificate {
    /// Its subject as text.
    pub subject: String,
    /// Its issuer as text.
    pub issuer: String,
    /// The content octets of its serial number.
    pub serial: Vec<u8>,
    /// The validity period.
    pub validity: Validity,
    /// basicConstraints cA.
    pub is_ca: bool,
    /// The kind of its public key.
    pub key: KeyKind,
    /// The pin of its key.
    pub pin: Pin,
    /// SHA-256 of the whole in DER.
    pub sha256: [u8; 32],
}

impl AnyCertificate {
    /// Reads one certificate in DER. An extension that cannot be read is ignored.
    ///
    /// # Errors
    /// Anything but exactly one certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        let parsed = only(der)?;
        let tbs = &parsed.tbs_certificate;
        Ok(Self {
            subject: tbs.subject.to_string(),
            issuer: tbs.issuer.to_string(),
            serial: tbs.raw_serial().to_vec(),
            validity: Validity {
                not_before: Time::from_unix(tbs.validity.not_before.timestamp()),
                not_after: Time::from_unix(tbs.validity.not_after.timestamp()),
            },
            is_ca: tbs.is_ca(),
            key: KeyKind::of(tbs.subject_pki.raw),
            pin: Pin(Sha256::digest(tbs.subject_pki.raw).into()),
            sha256: Sha256::digest(der).into(),
        })
    }
}
