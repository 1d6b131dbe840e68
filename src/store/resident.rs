//! A store for a process that runs for a long time: a service. Its index lies in memory, and it never opens
//! the one on disk, which only one process at a time can have. It takes in the commits of other processes
//! when it catches up.

use std::collections::BTreeMap;

use super::file::head;
use super::file::index::Index;
use super::file::ledger::{Ledger, Position, Tail};
use super::file::open::{catch_up, demand_acknowledged, demand_head, ends};
use super::{Notice, Paths, Store, StoreError};
use crate::disk;
use crate::model::Time;

impl Store {
    /// Reads the whole ledger. It is for reading until it has its [turn](Self::take_turn).
    ///
    /// # Errors
    /// A damaged ledger, events that are gone, or a failing disk.
    pub fn resident(paths: &Paths) -> Result<Self, StoreError> {
        let ledger = Ledger::open(&paths.ledger)?;
        let head = demand_head(paths, &ledger)?;
        let mut index = Index::new(Box::new(BTreeMap::new()));
        let (position, _) = catch_up(&ledger, &mut index)?;
        demand_acknowledged(head, position)?;
        Self::at(ledger, index, position, Vec::new(), Some(paths.index.clone()))
    }

    /// Takes in what other processes have committed since, and says how many events that were. It costs what
    /// is new, and needs no lock.
    ///
    /// # Errors
    /// A damaged ledger, or one that lacks what was read before.
    pub fn catch_up(&mut self) -> Result<u64, StoreError> {
        self.follow_ledger().map(|(events, _)| events)
    }

    /// Gets ready for a change: catches up, and moves aside what was never acknowledged. The caller holds the
    /// home's exclusive lock until the change is committed.
    ///
    /// # Errors
    /// As [`Self::catch_up`], and a failing disk.
    pub fn take_turn(&mut self, now: Time) -> Result<(), StoreError> {
        if let (_, Tail::Torn) = self.follow_ledger()? {
            self.notices
                .push(Notice::TornTail(self.ledger.cut(self.position, now)?));
        }
        if let Some(directory) = self.head.as_ref().filter(|directory| !directory.is_dir()) {
            disk::ensure_directory(directory, disk::PRIVATE_DIRECTORY)?;
        }
        Ok(())
    }

    fn follow_ledger(&mut self) -> Result<(u64, Tail), StoreError> {
        // By its name: another may stand in its place by now.
        let ledger = Ledger::open(self.ledger.path())?;
        if !ledger.holds(self.position)? {
            let (_, last) = ends(&ledger)?;
            return Err(StoreError::Ahead {
                ledger: last.seq,
                index: self.position.seq,
            });
        }
        let before: Position = self.position;
        let (position, tail) = catch_up(&ledger, &mut self.index)?;
        let head = self.head.as_deref().and_then(head::read);
        demand_acknowledged(head, position)?;
        self.ledger = ledger;
        self.position = position;
        if position != before {
            self.last = self.last_event()?.time;
        }
        Ok((position.seq - before.seq, tail))
    }
}
