//! The reasons for which a device's certificate and key cannot be used.

use crate::disk::{DiskError, Exposed, Shown};
use crate::key::KeyError;
use crate::model::fault::{Fault, Kind};
use crate::x509::X509Error;

/// The reasons for which a device's certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file of this machine could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Others can read the key.
    #[error("the key {0}")]
    Exposed(#[from] Exposed),
    /// The file that was given as the key is none, or does not open.
    #[error("{path} {why}")]
    Key {
        /// The path of the file.
        path: Shown,
        /// The reason why it cannot be used.
        why: KeyError,
    },
    /// The file that was given as the key is a bundle, which has it in it.
    #[error("{0} is a PKCS#12 bundle, whose key must be taken out of it")]
    Bundle(Shown),
    /// The file that was given as the certificate is none.
    #[error("{path}: {why}")]
    Certificate {
        /// The path of the file.
        path: Shown,
        /// The reason why it cannot be used.
        why: X509Error,
    },
    /// Certificate and key are one file, of which not both can be exchanged one after the other.
    #[error("{0} holds the key as well as the certificate")]
    Together(Shown),
    /// The key is another certificate's.
    #[error("{key} is not the key of {certificate}")]
    Mismatch {
        /// The path of the key.
        key: Shown,
        /// The path of the certificate.
        certificate: Shown,
    },
}

impl Fault for CredentialError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::Disk(error) => error.kind_and_code(),
            Self::Exposed(_) => (Kind::Storage, "exposed"),
            Self::Key { why, .. } => why.kind_and_code(),
            Self::Bundle(_) => (Kind::BadRequest, "bundle"),
            Self::Certificate { .. } => (Kind::BadRequest, "certificate"),
            Self::Together(_) => (Kind::BadRequest, "together"),
            Self::Mismatch { .. } => (Kind::Conflict, "mismatch"),
        }
    }
}
