//! The reasons for which there is no shared key.

use crate::disk::Shown;
use crate::model::fault::{Fault, Kind};
use crate::model::{Address, Host};

/// The reasons for which there is no shared key.
#[derive(Debug, thiserror::Error)]
pub enum HmacError {
    /// The file that is named for the secret has another.
    #[error("{0} is the secret of another epoch or host")]
    OtherSecret(Shown),
    /// The host's keys have another epoch than the one whose secret was opened.
    #[error("the keys of {0} have begun a new epoch meanwhile")]
    Rotated(Host),
    /// The device has no certificate that servers accept, or none that was issued since its last revocation.
    #[error(
        "{0} has no certificate that is accepted and was issued since its last revocation: it has no key"
    )]
    Revoked(Address),
}

impl Fault for HmacError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::OtherSecret(_) => (Kind::Damaged, "key"),
            Self::Rotated(_) => (Kind::Conflict, "rotated"),
            Self::Revoked(_) => (Kind::Conflict, "revoked"),
        }
    }
}
