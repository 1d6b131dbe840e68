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
    /// The root's key was to go into the backup, and is away.
    #[error("the root's key is not at {0}")]
    RootAway(Shown),
}

impl Fault for CustodyError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::Backup { why, .. } => why.kind_and_code(),
            Self::RootAway(_) => (Kind::NotFound, "root-away"),
        }
    }
}
