//! The reasons for which a backup cannot be written or read.

use std::io;

use crate::age::AgeError;
use crate::model::fault::{Fault, Kind};

/// The errors by which a backup cannot be written or read. A text begins so that the name of the file can
/// stand in front of it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The encrypted file around it, or the disk below that.
    #[error(transparent)]
    Age(#[from] AgeError),
    /// It is encrypted as a backup is, and what is inside is none.
    #[error("is no backup of a home: backup.json is not the first that it holds")]
    NotABackup,
    /// It was made by a later version of this program.
    #[error("is a backup of format {0}, which only a later version of pki knows")]
    Later(u32),
    /// The archive is damaged, or holds what no backup holds.
    #[error("is no whole backup: {0}")]
    Malformed(String),
    /// A file of it is not what its list says.
    #[error("is no whole backup: {0} is not what its SHA256SUMS says")]
    Changed(String),
    /// The ledger in it does not hold.
    #[error("holds a ledger that is damaged behind event {0}")]
    Ledger(u64),
    /// A file has a name that no backup can hold.
    #[error("cannot hold {0:?}: such a name is not the same everywhere")]
    Name(String),
    /// A file grew or shrank while it was read.
    #[error("cannot be made: {0} was changed meanwhile")]
    Moved(String),
}

impl Fault for BackupError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::Age(error) => error.kind_and_code(),
            Self::NotABackup => (Kind::BadRequest, "not-backup"),
            Self::Later(_) => (Kind::BadRequest, "backup-version"),
            Self::Malformed(_) | Self::Changed(_) => (Kind::BadRequest, "backup-damaged"),
            Self::Ledger(_) => (Kind::Damaged, "ledger-damaged"),
            Self::Name(_) => (Kind::BadRequest, "backup-name"),
            Self::Moved(_) => (Kind::Busy, "busy"),
        }
    }
}

/// What a stream tells: an error of the encrypted file, or one of the system.
impl From<io::Error> for BackupError {
    fn from(error: io::Error) -> Self {
        Self::Age(AgeError::from(error))
    }
}
