//! Opens the store: finds the index that fits the ledger, in memory or on disk, and makes it anew where it
//! cannot be used; and reads the head, which tells whether the ledger has lost its end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::head::{self, Head};
use super::index::Index;
use super::kv::{NotOpened, Sled};
use super::ledger::{Ledger, Position, Tail};
use crate::disk;
use crate::store::{Notice, Paths, StoreError};

/// Applies what the ledger has beyond the index, many keys at a time: each bucket of the index is then
/// written a few times, not thousands.
pub(in crate::store) fn catch_up(ledger: &Ledger, index: &mut Index) -> Result<(Position, Tail), StoreError> {
    const AT_ONCE: usize = 1 << 17;
    let position = index.position()?;
    let mut pending = index.pending();
    let outcome = ledger.replay(position, |batch| {
        pending.apply(&batch)?;
        if pending.len() < AT_ONCE {
            return Ok(());
        }
        pending.write()
    })?;
    pending.write()?;
    Ok(outcome)
}

/// Why an index is of no use that another version of this program has kept.
const OTHER_VERSION: &str = "it was kept by another version of pki";

/// How long to sleep between two tries at a busy index.
const RETRY: Duration = Duration::from_millis(5);

/// A ledger of at most this many octets (some 300 devices) is read whole at every start: about 3 ms, less
/// than opening sled takes.
pub(in crate::store) const WHOLE: u64 = 512 << 10;

/// A ledger of at most this many octets is read whole, index or none, where somebody waits for a moment only.
pub(in crate::store) const AT_A_GLANCE: u64 = 4 << 20;

/// The index of a whole ledger, in memory.
pub(in crate::store) fn read_whole(ledger: &Ledger) -> Result<(Index, Position, Tail), StoreError> {
    let mut index = Index::new(Box::new(BTreeMap::new()));
    let (position, tail) = catch_up(ledger, &mut index)?;
    Ok((index, position, tail))
}

/// The head, if it is this ledger's; the ledger must have its event.
pub(in crate::store) fn demand_head(paths: &Paths, ledger: &Ledger) -> Result<Option<Head>, StoreError> {
    let Some(head) = head::read(&paths.index) else {
        return Ok(None);
    };
    if ledger.holds(head.position)? {
        return Ok(Some(head));
    }
    let (first, last) = ends(ledger)?;
    if first != Some(head.home) {
        return Ok(None);
    }
    Err(StoreError::Ahead {
        ledger: last.seq,
        index: head.position.seq,
    })
}

/// An end that does not hold was never acknowledged, unless the head says otherwise: then it is damage, and
/// nothing to be cut off.
pub(in crate::store) fn demand_acknowledged(head: Option<Head>, last: Position) -> Result<(), StoreError> {
    match head {
        Some(head) if last.seq < head.position.seq => Err(StoreError::Damaged {
            seq: last.seq + 1,
            offset: last.offset,
            why: "its hash or its link to the event before does not hold, and it had been acknowledged"
                .into(),
        }),
        _ => Ok(()),
    }
}

/// The hash of the first event of a ledger, and the place after its last.
pub(in crate::store) fn ends(ledger: &Ledger) -> Result<(Option<[u8; 32]>, Position), StoreError> {
    let mut first = None;
    let (last, _) = ledger.replay(Position::START, |batch| {
        first = first.or(batch.first().map(|entry| entry.after.sha));
        Ok(())
    })?;
    Ok((first, last))
}

/// The index on disk, where no other process has it open and it is at the ledger's end.
pub(in crate::store) fn current_index(paths: &Paths, ledger: &Ledger) -> Result<(Index, Position), String> {
    if !paths.index.is_dir() {
        return Err("missing".into());
    }
    let index = match Sled::open(&paths.index) {
        Ok(sled) => Index::new(Box::new(sled)),
        Err(NotOpened::Busy) => return Err("in use".into()),
        Err(NotOpened::NoThreads(why) | NotOpened::Unusable(why)) => return Err(why),
    };
    let position = index.position().map_err(|e| e.to_string())?;
    if !index.is_of_this_version().map_err(|e| e.to_string())? {
        return Err(OTHER_VERSION.into());
    }
    let current = position != Position::START
        && ledger.holds(position).map_err(|e| e.to_string())?
        && ledger.len().map_err(|e| e.to_string())? == position.offset;
    if current {
        Ok((index, position))
    } else {
        Err("behind the ledger".into())
    }
}

/// The index on disk, brought up to date with the ledger.
pub(in crate::store) fn open_on_disk(
    paths: &Paths,
    ledger: &Ledger,
    patience: Duration,
) -> Result<(Index, Position, Tail, Vec<Notice>), StoreError> {
    let (mut index, mut notices) = open_index(paths, ledger, patience)?;
    let (position, tail) = match catch_up(ledger, &mut index) {
        Err(StoreError::Index(why)) => {
            drop(index);
            index = new_index(paths, &mut notices, &why)?;
            catch_up(ledger, &mut index)?
        }
        caught_up => caught_up?,
    };
    Ok((index, position, tail, notices))
}

/// The index of this ledger, which is not ahead of it; made anew where it is foreign or damaged.
fn open_index(
    paths: &Paths,
    ledger: &Ledger,
    patience: Duration,
) -> Result<(Index, Vec<Notice>), StoreError> {
    let mut notices = Vec::new();
    let begun = Instant::now();
    let index = loop {
        match Sled::open(&paths.index) {
            Ok(sled) => break Index::new(Box::new(sled)),
            Err(NotOpened::Busy) if begun.elapsed() < patience => std::thread::sleep(RETRY),
            Err(NotOpened::Busy) => return Err(StoreError::IndexBusy),
            Err(NotOpened::NoThreads(why)) => return Err(StoreError::NoThreads(why)),
            Err(NotOpened::Unusable(why)) => {
                return Ok((new_index(paths, &mut notices, &why)?, notices));
            }
        }
    };
    let known = index
        .position()
        .and_then(|position| Ok((position, index.home()?)));
    let (position, home) = match known {
        Ok(known) => known,
        Err(error) => {
            drop(index);
            return Ok((new_index(paths, &mut notices, &error.to_string())?, notices));
        }
    };
    if home.is_none() || ledger.holds(position)? {
        let usable = index.is_of_this_version();
        if matches!(usable, Ok(true)) {
            return Ok((index, notices));
        }
        drop(index);
        let why = usable.map_or_else(|error| error.to_string(), |_| OTHER_VERSION.into());
        return Ok((new_index(paths, &mut notices, &why)?, notices));
    }
    let (first, last) = ends(ledger)?;
    if first.map(Vec::from) == home {
        return Err(StoreError::Ahead {
            ledger: last.seq,
            index: position.seq,
        });
    }
    drop(index);
    Ok((
        new_index(paths, &mut notices, "it belongs to another home")?,
        notices,
    ))
}

/// An empty index in place of one that is of no use.
fn new_index(paths: &Paths, notices: &mut Vec<Notice>, why: &str) -> Result<Index, StoreError> {
    std::fs::remove_dir_all(&paths.index).map_err(disk::failed("removed", &paths.index))?;
    disk::create_private_directory(&paths.index)?;
    notices.push(Notice::Rebuilt(why.to_owned()));
    match Sled::open(&paths.index) {
        Ok(sled) => Ok(Index::new(Box::new(sled))),
        Err(NotOpened::Busy) => Err(StoreError::IndexBusy),
        Err(NotOpened::NoThreads(why)) => Err(StoreError::NoThreads(why)),
        Err(NotOpened::Unusable(why)) => Err(StoreError::Index(why)),
    }
}
