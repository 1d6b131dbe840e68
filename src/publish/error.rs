//! The errors by which an area is not written to its target.

use crate::disk::{self, DiskError};
use crate::model::fault::{Fault, Kind};

use super::bucket::BucketError;
use super::file::Gone;
use super::manifest::Area;

/// The errors by which an area is not written to its target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The places are not known, because the configuration cannot be read.
    #[error("no place beside the home is known: {0}")]
    Unconfigured(String),
    /// The configuration names none any more, and does not say that there is to be none.
    #[error("pki.toml names no [[publish]], and these were published to before: {0}")]
    Forgotten(String),
    /// A file could not be written. Those before it are in place, and each is whole.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A long list, which is written whole only now and then, is not there any more.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// The area was not written to its bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The place is in the home, or the home in the place, by whatever path: the home is private, and what is
    /// published is not.
    #[error("it lies in the home, which is private, or the home in it")]
    Home,
    /// Two areas in one directory would overwrite each other's manifest; and what serves one that lies above
    /// another serves both.
    #[error("it is {0} by another path, or lies in it: each needs a directory of its own")]
    Shared(disk::Shown),
    /// Another CA has published there: a successor of the same root, or another PKI's.
    #[error("its manifest is signed by {0}, a CA that this home does not know: nothing was written there")]
    OtherCa(String),
    /// The other half of a publication is there.
    #[error(
        "the {there} half of a publication is there, and not the {wanted} half: nothing was written there"
    )]
    OtherHalf {
        /// The half that is there.
        there: Area,
        /// The half that pki.toml gives for the place.
        wanted: Area,
    },
    /// Another home, or a copy of this one, publishes to the place at the same time.
    #[error("another pki publishes there, and was faster: nothing was written there")]
    Rival,
    /// A home from an older backup went on while the place was not among its own.
    #[error(
        "it has pins that neither the ledger nor the newest pin sets know, and that apps may hold a server to: nothing was written there, no CRL either"
    )]
    UnknownPins,
    /// The CRL of the servers' CA that is published there revokes certificates that the one which can be
    /// published without that CA's key does not.
    #[error(
        "its CRL of the servers' CA takes back what an older one does not have, and a new one waits for that CA's key"
    )]
    ServersRevoked,
    /// No manifest of this home's CA is there, or what is there may keep out somebody whom the publication
    /// that was signed last lets in.
    #[error(
        "what was signed last may let somebody in whom it keeps out, or there is nothing there: it waits for the issuing key"
    )]
    AwaitsKey,
}

impl TargetError {
    /// Whether a long list was gone that should have been there: all lists are to be written whole.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone(_) | Self::Bucket(BucketError::Gone(_)))
    }

    /// Whether a directory is missing that would have to be there: publishing again makes no such one.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Disk(error) if error.source.kind() == std::io::ErrorKind::NotFound)
    }
}

impl Fault for TargetError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        let kind = match self {
            Self::Disk(error) => error.kind(),
            Self::Bucket(error) => error.kind(),
            Self::Unconfigured(_) | Self::Forgotten(_) | Self::Home | Self::Shared(_) => Kind::Damaged,
            Self::OtherCa(_)
            | Self::OtherHalf { .. }
            | Self::Rival
            | Self::Gone(_)
            | Self::UnknownPins
            | Self::ServersRevoked
            | Self::AwaitsKey => Kind::Conflict,
        };
        (kind, "target")
    }
}
