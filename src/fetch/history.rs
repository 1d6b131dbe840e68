//! Checks the history of the ledger in a servers' half: that the CA has signed each checkpoint, and that the
//! ledger has gone on from the last one that was seen here.
//!
//! A number cannot tell that, and lists can tell it in part: a home that was set back may have lost what was
//! never published.

use std::collections::HashSet;

use super::error::Unfit;
use super::state::SeenEnd;
use crate::publish::{Checkpoint, End, History, Statement};
use crate::x509::Certificate;

/// What a history is held against.
pub(super) struct Before<'a> {
    /// The last checkpoint that was seen.
    pub seen: Option<&'a SeenEnd>,
    /// The history that came with it, which was verified when it came.
    pub history: Option<Vec<u8>>,
    /// Whether the operator says that another history is meant.
    pub is_confirmed: bool,
}

/// Verifies a history, none where the publication has none, and returns its last checkpoint.
pub(super) fn examine(
    octets: Option<&[u8]>,
    before: &Before<'_>,
    manifest: &Statement,
    root: &Certificate,
) -> Result<Option<SeenEnd>, Unfit> {
    let known = before
        .history
        .as_deref()
        .and_then(|octets| History::read(octets).ok());
    let known = known.unwrap_or_default();
    let seen = before.seen.cloned().or_else(|| known.last().map(SeenEnd::of));
    let seen = seen.filter(|_| !before.is_confirmed);
    let Some(octets) = octets else {
        return match seen {
            Some(seen) => Err(Unfit::NoHistory(seen.end.events)),
            None => Ok(None),
        };
    };
    let history = History::read(octets).map_err(Unfit::unreadable)?;
    verify(&history, &known, manifest, root)?;
    let Some(last) = history.last() else {
        return Ok(None);
    };
    match seen {
        Some(seen) if seen.home != last.home => Err(Unfit::OtherLedger),
        Some(SeenEnd { end, .. }) if !history.continues(end) => Err(set_back(end, last)),
        Some(_) | None => Ok(Some(SeenEnd::of(last))),
    }
}

fn set_back(seen: End, last: &Checkpoint) -> Unfit {
    Unfit::SetBack {
        seen: seen.events,
        events: last.end.events,
    }
}

/// The last checkpoint was signed by whoever has signed the manifest, and each before it by a CA of the root
/// that may have ended since. A line that was verified before is the same octets.
fn verify(history: &History, known: &History, manifest: &Statement, root: &Certificate) -> Result<(), Unfit> {
    let known: HashSet<&str> = known.lines().iter().map(|line| line.jws.as_str()).collect();
    let Some((last, earlier)) = history.lines().split_last() else {
        return Ok(());
    };
    let statement = Statement::of_root(Checkpoint::TYPE, last.jws.as_bytes(), root)?;
    if statement.signer() != manifest.signer() {
        return Err(Unfit::NotSignedBy("the CA that signed the manifest"));
    }
    for line in earlier.iter().filter(|line| !known.contains(line.jws.as_str())) {
        Statement::of_root(Checkpoint::TYPE, line.jws.as_bytes(), root)?;
    }
    Ok(())
}
