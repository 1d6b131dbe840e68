//! The reasons for which a device does not get its next certificate, or not into its place.

use std::time::Duration;

use crate::credential::CredentialError;
use crate::disk::{DiskError, Shown};
use crate::https::{NoTrust, Trouble};
use crate::model::fault::{Fault, Kind};
use crate::x509::X509Error;

use super::answer::Unfit;

/// The reasons for which a certificate was not renewed. Certificate and key are those that were there before.
#[derive(Debug, thiserror::Error)]
pub enum ReenrollError {
    /// A file of this machine could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The device's certificate or key cannot be used.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// A certificate lies where the next one would, and is of no key that is there.
    #[error("{0} is in the way: neither key that is there is its own")]
    Stray(Shown),
    /// The file that was given as the root is no root, or not in date.
    #[error("{path} {why}")]
    Root {
        /// The path of the file.
        path: Shown,
        /// The reason why it cannot be the root.
        why: String,
    },
    /// There is no certificate to trust the service by.
    #[error(transparent)]
    NoTrust(NoTrust),
    /// Another renewal is at work on the same files.
    #[error("another renewal is at work in {directory}, and was for {} s", .waited.as_secs())]
    Busy {
        /// The directory of the key.
        directory: Shown,
        /// How long this one waited for it.
        waited: Duration,
    },
    /// The service cannot be reached, or is not the right one.
    #[error("{url}: {why}")]
    Network {
        /// The URL that was asked.
        url: String,
        /// The reason.
        why: Trouble,
    },
    /// The service sent nothing, or too little, in the time allowed.
    #[error("{url} did not answer in time: {why}")]
    Slow {
        /// The URL that was asked.
        url: String,
        /// What the client was waiting for.
        why: String,
    },
    /// The service cannot answer for now.
    #[error("{url} cannot answer now (status {status}): {told}")]
    Unavailable {
        /// The URL that was asked.
        url: String,
        /// The status of its answer.
        status: u16,
        /// The service's words, escaped.
        told: String,
    },
    /// The service refuses.
    #[error("{url} refuses (status {status}): {told}")]
    Refused {
        /// The URL that was asked.
        url: String,
        /// The status of its answer.
        status: u16,
        /// The service's words, escaped.
        told: String,
        /// The new key, where an earlier run has made it.
        kept: Option<Shown>,
    },
    /// What the service sent is not what was asked for.
    #[error("{url}: {why}")]
    Unfit {
        /// The URL that was asked.
        url: String,
        /// What is wrong with it.
        why: Unfit,
    },
    /// The request could not be written.
    #[error("the request could not be made: {0}")]
    Request(X509Error),
}

impl Fault for ReenrollError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::Disk(error) => error.kind_and_code(),
            Self::Credential(error) => error.kind_and_code(),
            Self::Stray(_) => (Kind::Conflict, "stray"),
            Self::Root { .. } | Self::NoTrust(_) => (Kind::BadRequest, "root"),
            Self::Busy { .. } => (Kind::Busy, "busy"),
            Self::Network { .. } | Self::Slow { .. } | Self::Unavailable { .. } => {
                (Kind::Elsewhere, "service")
            }
            Self::Refused { .. } => (Kind::PolicyRefused, "refused"),
            Self::Unfit { why, .. } => why.kind_and_code(),
            Self::Request(_) => (Kind::Bug, "request"),
        }
    }
}
