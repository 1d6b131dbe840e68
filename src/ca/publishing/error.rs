//! The reasons for which nothing is published, or nothing is recovered from an earlier publication.

use crate::ca::CaError;
use crate::ca::revocation::Whom;
use crate::disk::Shown;
use crate::model::Time;
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
    /// A place may know what happened since the backup that the home was restored from.
    #[error("{}", unreconciled(*made, open))]
    Unreconciled {
        /// When the backup was made.
        made: Time,
        /// The places that were not read, each with the reason; none where there is no place at all.
        open: Vec<(Shown, String)>,
    },
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
            Self::Unreconciled { .. } => (Kind::ConfirmationNeeded, "unreconciled"),
            Self::PinsAhead => (Kind::Damaged, "pins-ahead"),
            Self::PinsUnread(_) => (Kind::Elsewhere, "pins-unread"),
            Self::Unpublished(_) => (Kind::Incomplete, "unpublished"),
        }
    }
}

/// The event that comes when every place has its publication.
pub(in crate::ca) const PUBLISHED: &str = "that it was published";

fn unreconciled(made: Time, open: &[(Shown, String)]) -> String {
    let known = format!("what happened since the backup of {made} is not known");
    if open.is_empty() {
        return format!("{known}: pki.toml names no place that it was published to");
    }
    let open: Vec<String> = open
        .iter()
        .map(|(place, why)| format!("{place}: {why}"))
        .collect();
    format!("{known}: {}", open.join("; "))
}

fn unpublished(why: &CaError) -> String {
    if matches!(why, CaError::NotRecorded { what: PUBLISHED, .. }) {
        format!("it is recorded and published, but the work is not done: {why}")
    } else {
        format!("it is recorded, but not published: {why}")
    }
}
