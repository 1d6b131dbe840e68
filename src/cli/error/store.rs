//! Advice on ledgers and indexes that cannot be used.

use super::disk::ROOM;
use super::{Advice, THREADS};
use crate::store::StoreError;

impl Advice for StoreError {
    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Disk(error) => return error.advice(),
            Self::Encoding(_) => return None,
            Self::NotAppended(_) => ROOM,
            Self::OutcomeUnknown { .. } => {
                "mend the disk, then run `pki doctor`: it tells whether the event is there"
            }
            Self::Damaged { .. } => {
                "restore ledger.jsonl from a backup; `pki audit verify` tells how far it is good"
            }
            Self::Ahead { .. } => {
                "restore the newest ledger.jsonl; only if the older one is meant, remove the directory index/"
            }
            Self::Moved { .. } | Self::IndexBusy => "run the command again",
            Self::NoThreads(_) => THREADS,
            Self::Empty => "restore ledger.jsonl from a backup",
            Self::Index(_) => "remove the directory index/ in the home: it is made anew",
        };
        Some(advice.into())
    }
}
