//! The errors by which octets are not a valid certificate, CRL or request, or cannot be written.

use crate::key::SigningError;

/// The errors by which octets are not a valid certificate, CRL or extension, or cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum X509Error {
    /// Not a certificate, CRL or extension in DER.
    #[error("{what} cannot be read: {why}")]
    Malformed {
        /// The kind of object that was expected.
        what: &'static str,
        /// The message of the library.
        why: String,
    },
    /// There are octets after the end.
    #[error("{0} is followed by octets that do not belong to it")]
    TrailingOctets(&'static str),
    /// Not PEM, or of another label.
    #[error("no PEM block \"{0}\" found")]
    NoPem(&'static str),
    /// A file has something else than was wanted, or too much.
    #[error("it {0}")]
    Unwanted(#[from] crate::model::Unwanted),
    /// A private key where a certificate was wanted.
    #[error("it holds a private key: give the certificate alone, and keep the key where it is")]
    HoldsKey,
    /// Not of the form that this program's CAs make.
    #[error("{0}")]
    Foreign(String),
    /// The certificate about to be signed is not the one that was drafted.
    #[error("refused to sign: {0}")]
    Lint(String),
    /// The key did not sign it.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The library could not write it.
    #[error("the certificate could not be written: {0}")]
    Build(String),
    /// The signature is not the issuer's.
    #[error("{0} is not signed by {1}")]
    NotSignedBy(&'static str, &'static str),
}

impl X509Error {
    pub(super) fn malformed(what: &'static str) -> impl Fn(&dyn std::fmt::Display) -> Self {
        move |why| Self::Malformed {
            what,
            why: why.to_string(),
        }
    }
}
