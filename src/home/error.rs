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

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is nothing there.
    #[error("there is no PKI in {0}")]
    Missing(Shown),
    /// There is something else there.
    #[error("{0} is not the home of a PKI: it has no {1}")]
    NotAHome(Shown, &'static str),
    /// It belongs to another account, which could not read what this one would write.
    #[error("{path} belongs to {owner}, and this is {me}")]
    OtherAccount {
        /// The home.
        path: Shown,
        /// Whose it is, by name or number.
        owner: String,
        /// Who runs the command.
        me: String,
    },
    /// Others can read what is private.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// A file could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// `pki.toml` makes no sense.
    #[error("{path}: {why}")]
    Config {
        /// Which file.
        path: Shown,
        /// What is wrong with it.
        why: InvalidConfig,
    },
    /// A profile makes no sense.
    #[error("profile {name}: {why}")]
    Profile {
        /// Which profile.
        name: String,
        /// What is wrong with it.
        why: InvalidProfile,
    },
    /// A template is not text as it should be.
    #[error("{path}: {why}")]
    Template {
        /// Which file.
        path: Shown,
        /// What is wrong with it.
        why: NotUtf8,
    },
    /// No such profile.
    #[error("there is no profile {0}")]
    NoProfile(String),
    /// A certificate in the home is damaged.
    #[error("{path}: {why}")]
    Certificate {
        /// Which file.
        path: Shown,
        /// What is wrong with it.
        why: X509Error,
    },
    /// The CAs do not belong together.
    #[error(transparent)]
    Chain(#[from] IssuerError),
    /// The certificates and the ledger are of two homes.
    #[error("{path} is not the certificate that this home's ledger has: files of two homes are mixed")]
    Mixed {
        /// Which file.
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
        /// Who has it, as far as can be said.
        holder: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The ledger or its index.
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
