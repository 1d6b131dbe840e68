//! The errors of delivery: a file cannot be put where it should go, or has no permitted place to go to.

use crate::ca::CaError;
use crate::disk::Shown;
use crate::model::fault::{Fault, Kind};

/// The reason for which a file was not delivered, or has no permitted place.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The directory for bundles takes none.
    #[error("no file can be put into {path}: {why}")]
    OutputDir {
        /// The path of the directory.
        path: Shown,
        /// The system's error.
        why: std::io::Error,
    },
    /// Something that is handed out would lie in the home.
    #[error("{0} lies in the home, which holds the PKI's own files and nothing else")]
    InHome(Shown),
    /// Something that is handed out would lie where it is published.
    #[error("{0} lies in a directory that is published to: others can read what is there")]
    InPublication(Shown),
    /// A name for the passphrase that the bundle's own files have.
    #[error("{0} cannot hold the passphrase: a file of the bundle has that name")]
    TakenByBundle(Shown),
    /// A file that passphrases would be appended to holds something else.
    #[error(
        "{0} is no list of passphrases: it must be empty, or begin and end with a line ADDRESS<TAB>PASSPHRASE"
    )]
    NoList(Shown),
    /// Another process is appending to the list of passphrases.
    #[error("another process is appending to {0}")]
    ListBusy(Shown),
    /// A file for secrets is another account's, or no file.
    #[error("{0} is not a file of this account")]
    NotOwn(Shown),
    /// Bundles were committed but did not reach their place: the same command again issues them anew.
    #[error("the certificate was recorded, but its bundle was not delivered: {0}")]
    Undelivered(Box<CaError>),
}

impl Fault for DeliveryError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::OutputDir { .. } => (Kind::Storage, "disk"),
            Self::NotOwn(_) => (Kind::Storage, "exposed"),
            Self::ListBusy(_) => (Kind::Busy, "busy"),
            Self::InHome(_) | Self::InPublication(_) => (Kind::BadRequest, "place"),
            Self::TakenByBundle(_) | Self::NoList(_) => (Kind::Conflict, "exists"),
            Self::Undelivered(_) => (Kind::Incomplete, "undelivered"),
        }
    }
}
