//! Remembers when a home was backed up last, in a note beside the ledger: a backup is not an event, or each
//! would leave the ledger ahead of itself. Where the note is lost, one backup more is asked for.

use serde::{Deserialize, Serialize};

use crate::backup::Header;
use crate::ca::note;
use crate::disk::DiskError;
use crate::home::Home;
use crate::model::Time;

/// The name of the file in the home. It is in no backup: what is restored was backed up by that one.
pub(super) const FILE: &str = "backup.json";

/// The last backup of a home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastBackup {
    version: u32,
    /// The time when it was made.
    pub made: Time,
    /// How many events it has.
    pub events: u64,
    /// Whether the root's key is in it.
    pub with_root: bool,
}

/// The last backup of this home that is known.
pub fn last_backup(home: &Home) -> Option<LastBackup> {
    note::read(home, FILE).ok().flatten()
}

/// Notes a backup. For the holder of the lock.
pub(super) fn note_backup(home: &Home, backup: &Header) -> Result<(), DiskError> {
    let last = LastBackup {
        version: 1,
        made: backup.made,
        events: backup.ledger.events,
        with_root: backup.with_root,
    };
    note::write(home, FILE, Some(&last))
}
