//! Why a home is not backed up, or not restored.

use crate::backup::BackupError;
use crate::disk::Shown;
use crate::model::fault::{Fault, Kind};

/// The errors by which a home is not backed up or restored. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// The backup cannot be written or read.
    #[error("{path} {why}")]
    Backup {
        /// The backup.
        path: Shown,
        /// What is wrong with it.
        why: BackupError,
    },
    /// A home is there already that knows more than the backup.
    #[error("the home {home} has {more} events that this backup has not: it is ahead of it")]
    Ahead {
        /// The home that is there.
        home: Shown,
        /// How many events more it has.
        more: u64,
    },
    /// A home is there already, and its ledger goes another way.
    #[error("the home {0} is of the same PKI, and other things have happened in it than in this backup")]
    Diverged(Shown),
    /// A home of another PKI is there.
    #[error("the home {0} is of another PKI than this backup")]
    AnotherPki(Shown),
    /// A home is there that cannot be read.
    #[error("the home {home} cannot be read, so that nobody can tell what is lost with it: {why}")]
    Unreadable {
        /// The home that is there.
        home: Shown,
        /// Why it cannot be read.
        why: String,
    },
    /// The files of the backup do not belong together.
    #[error("{path} is no backup of one home: {why}")]
    Unfit {
        /// The backup.
        path: Shown,
        /// What does not fit.
        why: String,
    },
    /// Keys came and went while they were encrypted anew.
    #[error("keys of the home were made or changed meanwhile")]
    KeysChange,
    /// The root's key was to go into the backup, and is away.
    #[error("the root's key is not at {0}")]
    RootAway(Shown),
}

impl Fault for CustodyError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::Backup { why, .. } => why.kind_and_code(),
            Self::Ahead { .. } => (Kind::Conflict, "home-ahead"),
            Self::Diverged(_) => (Kind::Conflict, "home-diverged"),
            Self::AnotherPki(_) => (Kind::Conflict, "other-home"),
            Self::Unreadable { .. } => (Kind::Conflict, "home-unreadable"),
            Self::Unfit { .. } => (Kind::BadRequest, "backup-unfit"),
            Self::KeysChange => (Kind::Busy, "busy"),
            Self::RootAway(_) => (Kind::NotFound, "root-away"),
        }
    }
}
