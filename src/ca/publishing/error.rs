//! The reasons for which nothing is published, or nothing is recovered from an earlier publication.

use crate::ca::CaError;
use crate::ca::revocation::Whom;
use crate::disk::Shown;
use crate::model::fault::{Fault, Kind};

/// The reason for which nothing is published, or nothing is recovered from a publication.
#[derive(Debug, thiserror::Error)]
pub enum PublishingError {
    /// pki.toml names no such directory.
    #[error("no [[publish]] of pki.toml names the directory {0}")]
    NoTarget(Shown),
    /// No certificate of that name was recovered from a list.
    #[error("nothing of {0} was recovered from a published list")]
    NothingRecovered(Whom),
    /// The operator handed in something that is none of this PKI's publications.
    #[error("{0} holds no publication and no CRL of this PKI")]
    NothingToReconcile(Shown),
    /// The publication that the operator handed in is not complete.
    #[error("{0} is missing there, or not what the signed manifest says: the copy is not whole")]
    TornSource(Shown),
    /// The published pin sets are later than the ledger.
    #[error(
        "the published pin sets are later than what this ledger knows: it was restored from an older backup"
    )]
    PinsAhead,
    /// Pin sets may be installed in a place where they cannot be read.
    #[error("the pin sets in {0} cannot be read: they may be later than what this ledger knows")]
    PinsUnread(Shown),
    /// A change was recorded, but could not be published.
    #[error("{}", unpublished(.0))]
    Unpublished(Box<CaError>),
}

impl Fault for PublishingError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::NoTarget(_) | Self::NothingRecovered(_) => (Kind::NotFound, "unknown"),
            Self::NothingToReconcile(_) => (Kind::BadRequest, "unknown"),
            Self::TornSource(_) => (Kind::BadRequest, "publication"),
            Self::PinsAhead => (Kind::Damaged, "pins-ahead"),
            Self::PinsUnread(_) => (Kind::Elsewhere, "pins-unread"),
            Self::Unpublished(_) => (Kind::Incomplete, "unpublished"),
        }
    }
}

/// The event that comes when every place has its publication.
pub(in crate::ca) const PUBLISHED: &str = "that it was published";

fn unpublished(why: &CaError) -> String {
    if matches!(why, CaError::NotRecorded { what: PUBLISHED, .. }) {
        format!("it is recorded and published, but the work is not done: {why}")
    } else {
        format!("it is recorded, but not published: {why}")
    }
}
