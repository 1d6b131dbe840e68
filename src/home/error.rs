//! The errors by which a home cannot be opened or used.

use std::time::Duration;

use super::config::InvalidConfig;
use crate::disk::{DiskError, Exposed, Shown};
use crate::issuer::IssuerError;
use crate::model::contents::NotUtf8;
use crate::model::fault::{Fault, Kind};
use crate::model::profile::InvalidProfile;
use crate::store::StoreError;
use crate::x509::X509Error;

/// The errors by which a home cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is nothing at the path.
    #[error("there is no PKI in {0}")]
    Missing(Shown),
    /// There is something else at the path.
    #[error("{0} is not the home of a PKI: it has no {1}")]
    NotAHome(Shown, &'static str),
    /// It belongs to another account, which could not read what this one would write.
    #[error("{path} belongs to {owner}, and this is {me}")]
    OtherAccount {
        /// The path of the home.
        path: Shown,
        /// The account that owns it, by name or number.
        owner: String,
        /// The account that runs the command.
        me: String,
    },
    /// Others can read what is private.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// A file could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// `pki.toml` is not valid.
    #[error("{path}: {why}")]
    Config {
        /// The path of the file.
        path: Shown,
        /// The rule that it breaks.
        why: InvalidConfig,
    },
    /// A profile is not valid.
    #[error("profile {name}: {why}")]
    Profile {
        /// The name of the profile.
        name: String,
        /// The rule that it breaks.
        why: InvalidProfile,
    },
    /// A template is not UTF-8 text.
    #[error("{path}: {why}")]
    Template {
        /// The path of the file.
        path: Shown,
        /// The reason: it is not UTF-8.
        why: NotUtf8,
    },
    /// There is no profile of this name.
    #[error("there is no profile {0}")]
    NoProfile(String),
    /// A certificate in the home is damaged.
    #[error("{path}: {why}")]
    Certificate {
        /// The path of the file.
        path: Shown,
        /// The reason why it cannot be read.
        why: X509Error,
    },
    /// The CAs do not belong together.
    #[error(transparent)]
    Chain(#[from] IssuerError),
    /// The certificates and the ledger are of two homes.
    #[error("{path} is not the certificate that this home's ledger has: files of two homes are mixed")]
    Mixed {
        /// The path of the file.
        path: Shown,
    },
    /// Another process has made the servers' CA since the home was opened.
    #[error("the servers' CA was just made by another process")]
    ServersMade,
    /// A file was missing or damaged, and is there again.
    #[error("{0} was missing or damaged, and was restored from the ledger")]
    Restored(Shown),
    /// Another process has the lock.
    #[error("the home is in use by {holder}, and was for {} s", .waited.as_secs())]
    Busy {
        /// The holder of the lock, as far as that is known.
        holder: String,
        /// The time that was spent waiting for it.
        waited: Duration,
    },
    /// The ledger or its index cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault for HomeError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::Disk(error) => error.kind_and_code(),
            Self::Store(error) => error.kind_and_code(),
            Self::Missing(_) | Self::NotAHome(..) => (Kind::NotFound, "no-home"),
            Self::NoProfile(_) => (Kind::NotFound, "profile"),
            Self::OtherAccount { .. } => (Kind::Storage, "other-account"),
            Self::Exposed(_) => (Kind::Storage, "exposed"),
            Self::Config { .. } => (Kind::Damaged, "config"),
            Self::Profile { .. } => (Kind::Damaged, "profile"),
            Self::Template { .. } => (Kind::Damaged, "template"),
            Self::Certificate { .. } | Self::Chain(_) => (Kind::Damaged, "damaged"),
            Self::Mixed { .. } => (Kind::Damaged, "mixed"),
            Self::Restored(_) => (Kind::Busy, "restored"),
            Self::ServersMade | Self::Busy { .. } => (Kind::Busy, "busy"),
        }
    }
}
