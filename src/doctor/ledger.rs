//! Checks the ledger and its index.

use super::{Finding, Severity};
use crate::model::counted;
use crate::store::{Cursor, Notice, Reached, Store, StoreError};

pub(super) fn examine(store: &Store, findings: &mut Vec<Finding>) {
    notices(store, findings);
    chain(store, findings);
}

fn notices(store: &Store, findings: &mut Vec<Finding>) {
    findings.extend(store.notices().iter().map(|notice| match notice {
        Notice::TornTail(path) => Finding::new(
            "ledger-torn",
            Severity::Warning,
            format!(
                "the ledger's end was never acknowledged; it was moved to {}",
                path.display()
            ),
            "nothing is lost; see why a pki was killed while it wrote",
        ),
        Notice::Rebuilt(why) => Finding::new(
            "index-rebuilt",
            Severity::Warning,
            format!("the index was of no use ({why}) and was made anew from the ledger"),
            "nothing is left to do",
        ),
        Notice::CaughtUp(count) => Finding::new(
            "index-behind",
            Severity::Note,
            format!(
                "the index was {} behind the ledger and has caught up",
                counted(count, "event")
            ),
            "nothing is left to do",
        ),
        Notice::IndexNotUsed(why) => Finding::new(
            "index-not-used",
            Severity::Note,
            format!("the ledger was read without its index ({why})"),
            "nothing is left to do",
        ),
    }));
}

/// Checks every link of the ledger, not only those beyond the index.
fn chain(store: &Store, findings: &mut Vec<Finding>) {
    match store.events(Cursor::START, &mut |_| Ok(())) {
        Ok(Reached { is_torn: false, .. }) => {}
        Ok(Reached { is_torn: true, .. }) => findings.push(Finding::new(
            "ledger-torn",
            Severity::Warning,
            "the ledger's end was never acknowledged",
            "the next command that changes something moves it aside",
        )),
        Err(error) => findings.push(unreadable(&error)),
    }
}

/// What to do where the system starts no threads.
pub(super) const MORE_THREADS: &str =
    "raise the limit (`ulimit -u`, or TasksMax= of the unit), or end other processes of this account";

/// The finding for a ledger or index that cannot be read.
pub(super) fn unreadable(error: &StoreError) -> Finding {
    let (code, remedy) = match error {
        StoreError::Damaged { .. } | StoreError::Empty => {
            ("ledger-damaged", "restore ledger.jsonl from a backup")
        }
        StoreError::Ahead { .. } => (
            "index-ahead",
            "restore the newest ledger.jsonl: acknowledged events are gone",
        ),
        StoreError::IndexBusy => ("busy", "run doctor again"),
        StoreError::NoThreads(_) => ("threads", MORE_THREADS),
        StoreError::Index(_) => (
            "index",
            "remove the directory index/ in the home: it is made anew",
        ),
        StoreError::Disk(_)
        | StoreError::NotAppended(_)
        | StoreError::OutcomeUnknown { .. }
        | StoreError::Encoding(_)
        | StoreError::Moved { .. } => ("unwritable", "look at the home's owner, mode and disk"),
    };
    Finding::new(code, Severity::Error, error, remedy)
}
