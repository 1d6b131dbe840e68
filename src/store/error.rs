//! The errors by which the store cannot answer a query or take in events.

use crate::disk::DiskError;
use crate::model::fault::{Fault, Kind};

/// The errors by which the store cannot answer a query or take in events.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The append failed and was undone: nothing happened.
    #[error("nothing was recorded: {0}")]
    NotAppended(DiskError),
    /// The append failed, and so did undoing it.
    #[error("it is not known whether the event was recorded: {append}; undoing it failed as well: {undo}")]
    OutcomeUnknown {
        /// The failure of the append.
        append: DiskError,
        /// The failure of undoing it.
        undo: String,
    },
    /// An event could not be written as JSON.
    #[error("the event cannot be written: {0}")]
    Encoding(String),
    /// The ledger's chain is broken before its end.
    #[error("the ledger is damaged at event {seq} (octet {offset}): {why}")]
    Damaged {
        /// The number of the event.
        seq: u64,
        /// The offset in the ledger at which its line begins.
        offset: u64,
        /// The check that fails.
        why: String,
    },
    /// The index has seen events that the ledger does not have.
    #[error("the ledger ends at event {ledger}, and event {index} had been acknowledged: events are missing")]
    Ahead {
        /// The last event in the ledger.
        ledger: u64,
        /// The last event that the index has seen.
        index: u64,
    },
    /// Somebody else wrote to the ledger without the lock.
    #[error("the ledger changed while it was open: it has {found} octets, not {expected}")]
    Moved {
        /// The offset at which the ledger ended.
        expected: u64,
        /// The offset at which it ends now.
        found: u64,
    },
    /// The ledger has no events.
    #[error("the ledger is empty")]
    Empty,
    /// The index is in use by another process for longer than one is willing to wait.
    #[error("the index is in use by another process")]
    IndexBusy,
    /// The index works in threads, and the system starts none.
    #[error("the index needs threads, and the system starts no more threads for this account: {0}")]
    NoThreads(String),
    /// The index cannot be read; it can be made anew.
    #[error("the index is damaged: {0}")]
    Index(String),
}

impl Fault for StoreError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::Disk(error) => error.kind_and_code(),
            Self::NotAppended(_) => (Kind::Storage, "disk"),
            Self::OutcomeUnknown { .. } => (Kind::Incomplete, "unknown-outcome"),
            Self::Encoding(_) => (Kind::Bug, "bug"),
            Self::Damaged { .. } | Self::Empty => (Kind::Damaged, "ledger-damaged"),
            Self::Ahead { .. } => (Kind::Damaged, "events-missing"),
            Self::Index(_) => (Kind::Damaged, "index"),
            Self::Moved { .. } | Self::IndexBusy => (Kind::Busy, "busy"),
            Self::NoThreads(_) => (Kind::Busy, "threads"),
        }
    }
}
