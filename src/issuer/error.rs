//! The errors by which a CA does not sign.

use crate::key::{KeyError, SigningError};
use crate::model::Time;
use crate::model::fault::{Fault, Kind};
use crate::x509::X509Error;

/// The errors by which a CA does not sign.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// A certificate or CRL is not valid, or cannot be written.
    #[error(transparent)]
    X509(#[from] X509Error),
    /// A key cannot be read, or is of another kind.
    #[error("the key {0}")]
    Key(#[from] KeyError),
    /// The key does not sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// Key and certificate are of different CAs.
    #[error("the key of the {0} does not belong to its certificate")]
    KeyMismatch(&'static str),
    /// The issuing CA was not certified by this root.
    #[error("the certificate of the {0} is not issued by the root beside it")]
    ChainBroken(&'static str),
    /// Two CAs would have the same key, which would then have the powers of both.
    #[error("the key of the {0} cannot be the {1}'s as well")]
    SharedKey(&'static str, &'static str),
    /// A root that does not say what its servers' CA may vouch for.
    #[error("the root does not say what the servers' CA may vouch for")]
    NothingSaid,
    /// The servers' CA says otherwise than the home what it may vouch for.
    #[error("the certificate of the servers' CA is not for the domains and addresses of this PKI")]
    OtherNames,
    /// The certificate is not that of a CA of this program's making.
    #[error("the certificate of the {0} is not one that this program made")]
    NotOurs(&'static str),
    /// The CA's own certificate is not valid at that time.
    #[error("the certificate of the {who} is good from {from} to {to}, not at {at}")]
    OutOfDate {
        /// The CA.
        who: &'static str,
        /// The start of the validity period (notBefore), inclusive.
        from: Time,
        /// The end of the validity period (notAfter), inclusive.
        to: Time,
        /// The time at which it was to sign.
        at: Time,
    },
}

impl Fault for IssuerError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::KeyMismatch(_) => (Kind::Damaged, "mixed"),
            Self::SharedKey(..) => (Kind::KeyRefused, "shared-key"),
            Self::OutOfDate { to, at, .. } if at <= to => (Kind::ClockDoubt, "authority"),
            Self::X509(_)
            | Self::Key(_)
            | Self::Signing(_)
            | Self::ChainBroken(_)
            | Self::NothingSaid
            | Self::OtherNames
            | Self::NotOurs(_)
            | Self::OutOfDate { .. } => (Kind::Damaged, "authority"),
        }
    }
}
