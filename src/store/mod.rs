//! The store, which remembers everything that happened in a home: the ledger is the truth, the index is
//! derived from it.
//!
//! A ledger of some hundred devices is read whole at every start: that takes less time than sled's threads
//! take to begin, and leaves nothing that could be damaged. A longer one has its index in sled. In both cases
//! the index's *head* remembers the last event, so that a ledger that lost its end is noticed.
//!
//! The methods of [`Store`] are the interface that the rest of the program uses; each that changes something
//! is one commit: one append to the ledger, made durable, then applied to the index.

mod by_device;
mod error;
mod file;
mod invites;
mod orders;
mod published;
mod resident;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use by_device::ByDevice;
pub use error::StoreError;
pub use file::chain::{Chain, Extent};
pub use file::last::{LastCrl, LastPublication};
pub use file::lists::{Changed, Content, LastLists};
pub use file::servers::LastPins;

use file::head::Head;
use file::index::Index;
use file::ledger::{Entry, Ledger, Position, Tail};
use file::open::{
    AT_A_GLANCE, WHOLE, current_index, demand_acknowledged, demand_head, ends, open_on_disk, read_whole,
};

use crate::disk;
use crate::issuer::{Signed, SignedServer};
use crate::model::event::Issued;
use crate::model::server::Certified;
use crate::model::{
    Address, Authority, Clock, Employee, Event, Fact, HmacHost, Host, KnownBy, Record, Revocation, Serial,
    Server, Time,
};

/// A notice for the operator: something that opening the store did on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// What followed the last acknowledged event was moved to this file.
    TornTail(PathBuf),
    /// The index was made anew from the ledger.
    Rebuilt(String),
    /// The index was this many events behind the ledger, and has caught up.
    CaughtUp(u64),
    /// The index was not used, because it is busy, behind or out of reach; the ledger was read instead.
    IndexNotUsed(String),
}

/// A certificate that the ledger has, on disk. Only from one of these can a bundle be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    issued: Issued,
}

impl Committed {
    /// The facts that the ledger has recorded of it.
    pub fn issued(&self) -> &Issued {
        &self.issued
    }
}

/// The ledger and its index, open.
pub struct Store {
    ledger: Ledger,
    index: Index,
    position: Position,
    last: Time,
    notices: Vec<Notice>,
    /// The directory of the head, where this store may change it.
    head: Option<PathBuf>,
}

/// A place in the ledger, behind an event that was read: reading goes on there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(Position);

impl Cursor {
    /// The place before the first event.
    pub const START: Self = Self(Position::START);
}

/// The point up to which the ledger was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The place after the last event.
    pub cursor: Cursor,
    /// Whether something follows there that was never acknowledged: the next change moves it aside.
    pub is_torn: bool,
}

/// An event, and its link in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// The event.
    pub event: Event,
    /// The `sha` of its line: SHA-256, which the next line has as `prev`.
    pub sha256: [u8; 32],
}

/// The files of a store in a home.
#[derive(Debug, Clone)]
pub struct Paths {
    /// `ledger.jsonl`.
    pub ledger: PathBuf,
    /// `index/`.
    pub index: PathBuf,
}

impl Paths {
    /// The store's files in `home`.
    pub fn in_home(home: &Path) -> Self {
        Self {
            ledger: home.join("ledger.jsonl"),
            index: home.join("index"),
        }
    }
}

impl Store {
    /// Makes the ledger of a new home with its first event.
    ///
    /// # Errors
    /// Where there is one already, or it cannot be written.
    pub fn create(paths: &Paths, first: Fact, time: Time, by: &str) -> Result<(), StoreError> {
        Ledger::create(&paths.ledger)?.append(Position::START, time, by, vec![first])?;
        Ok(())
    }

    /// The first event of a ledger, by itself.
    ///
    /// # Errors
    /// Where it is damaged or cannot be read.
    pub fn first_event(paths: &Paths) -> Result<Event, StoreError> {
        Ledger::read(&paths.ledger)?.event_at(0)
    }

    /// Opens the store for changes. The caller holds the home's exclusive lock. Waits for readers of the
    /// index until `patience` is over, moves a torn tail aside, and makes the index anew where that is
    /// needed.
    ///
    /// # Errors
    /// A damaged ledger, events that are gone, a busy index, or a failing disk.
    pub fn open(paths: &Paths, patience: Duration, now: Time) -> Result<Self, StoreError> {
        let ledger = Ledger::open(&paths.ledger)?;
        let head = demand_head(paths, &ledger)?;
        if !paths.index.is_dir() {
            disk::ensure_directory(&paths.index, disk::PRIVATE_DIRECTORY)?;
        }
        let (index, position, tail, mut notices) = if ledger.len()? <= WHOLE {
            let (index, position, tail) = read_whole(&ledger)?;
            (index, position, tail, Vec::new())
        } else {
            open_on_disk(paths, &ledger, patience)?
        };
        demand_acknowledged(head, position)?;
        match head {
            None if position.seq > 1 && notices.is_empty() => {
                notices.push(Notice::Rebuilt("its head is missing".into()))
            }
            Some(head) if head.position.seq < position.seq && notices.is_empty() => {
                notices.push(Notice::CaughtUp(position.seq - head.position.seq));
            }
            _ => {}
        }
        if tail == Tail::Torn {
            notices.push(Notice::TornTail(ledger.cut(position, now)?));
        }
        let store = Self::at(ledger, index, position, notices, Some(paths.index.clone()))?;
        // Whoever makes the index anew removes the head with it, and notes that.
        let is_written = head.is_some_and(|head| head.position == position);
        if !is_written || !store.notices.is_empty() {
            store.write_head()?;
        }
        Ok(store)
    }

    /// Opens the store for reading, beside whoever is writing: without a lock, without changing anything,
    /// from the index where it is there and up to date, and from the ledger alone otherwise.
    ///
    /// # Errors
    /// A damaged ledger, or one that cannot be read.
    pub fn read(paths: &Paths) -> Result<Self, StoreError> {
        let ledger = Ledger::read(&paths.ledger)?;
        let head = demand_head(paths, &ledger)?;
        let mut notices = Vec::new();
        if ledger.len()? > WHOLE {
            match current_index(paths, &ledger) {
                Ok((index, position)) => return Self::at(ledger, index, position, notices, None),
                Err(why) => notices.push(Notice::IndexNotUsed(why)),
            }
        }
        let (index, position, _) = read_whole(&ledger)?;
        demand_acknowledged(head, position)?;
        Self::at(ledger, index, position, notices, None)
    }

    /// Opens the store for reading as [`Self::read`], but only where the index is of use or the ledger so
    /// short that it is read in some hundredths of a second.
    ///
    /// # Errors
    /// A damaged ledger, or one that cannot be read.
    pub fn glance(paths: &Paths) -> Result<Option<Self>, StoreError> {
        let ledger = Ledger::read(&paths.ledger)?;
        if ledger.len()? <= AT_A_GLANCE {
            return Self::read(paths).map(Some);
        }
        demand_head(paths, &ledger)?;
        match current_index(paths, &ledger) {
            Ok((index, position)) => Self::at(ledger, index, position, Vec::new(), None).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn at(
        ledger: Ledger,
        index: Index,
        position: Position,
        notices: Vec<Notice>,
        head: Option<PathBuf>,
    ) -> Result<Self, StoreError> {
        if position == Position::START {
            return Err(StoreError::Empty);
        }
        let mut store = Self {
            ledger,
            index,
            position,
            last: Time::from_unix(0),
            notices,
            head,
        };
        store.last = store.last_event()?.time;
        Ok(store)
    }

    /// Remembers the last event beside the index.
    fn write_head(&self) -> Result<(), StoreError> {
        let home = self.index.home()?.and_then(|home| home.try_into().ok());
        let (Some(directory), Some(home)) = (&self.head, home) else {
            return Ok(());
        };
        Ok(file::head::write(
            directory,
            &Head {
                home,
                position: self.position,
            },
        )?)
    }

    /// The notices of opening the store.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// The number of the last event.
    pub fn seq(&self) -> u64 {
        self.position.seq
    }

    /// How far the ledger goes.
    pub fn extent(&self) -> Extent {
        Extent::of(self.position)
    }

    /// The time of the last event.
    pub fn last_time(&self) -> Time {
        self.last
    }

    /// Judges the machine's clock by the times in the ledger: how far it can be trusted.
    ///
    /// # Errors
    /// A damaged index.
    pub fn judge(&self, clock: Time) -> Result<Clock, StoreError> {
        let crl = self.last_crl(Authority::Issuing)?;
        Ok(Clock::judge(clock, self.last, crl.map(|crl| crl.next_update)))
    }

    /// The event that created the home.
    pub fn initialized(&self) -> Result<Event, StoreError> {
        self.index.initialized()
    }

    /// Records what happened, as one batch: durable when this returns.
    ///
    /// # Errors
    /// Where nothing was recorded, or the outcome is unknown.
    pub fn commit(&mut self, facts: Vec<Fact>, time: Time, by: &str) -> Result<(), StoreError> {
        if facts.is_empty() {
            return Ok(());
        }
        let entries = self.ledger.append(self.position, time, by, facts)?;
        self.advance(&entries, time);
        Ok(())
    }

    /// Records signed certificates, and what comes with them, as one batch. Only now may anybody see them.
    ///
    /// # Errors
    /// Where nothing was recorded, or the outcome is unknown.
    pub fn commit_signed(
        &mut self,
        before: Vec<Fact>,
        signed: Vec<Signed>,
        time: Time,
        by: &str,
    ) -> Result<Vec<Committed>, StoreError> {
        let committed: Vec<Committed> = signed
            .into_iter()
            .map(|signed| Committed {
                issued: signed.into_issued(),
            })
            .collect();
        let issued = committed.iter().map(|c| Fact::Issued(Box::new(c.issued.clone())));
        self.commit(before.into_iter().chain(issued).collect(), time, by)?;
        Ok(committed)
    }

    /// Records servers' signed certificates as one batch. Only now may anybody see them.
    ///
    /// # Errors
    /// Where nothing was recorded, or the outcome is unknown.
    pub fn commit_servers(
        &mut self,
        before: Vec<Fact>,
        signed: Vec<SignedServer>,
        time: Time,
        by: &str,
    ) -> Result<Vec<Certified>, StoreError> {
        let certified: Vec<Certified> = signed.into_iter().map(SignedServer::into_certified).collect();
        let facts = certified.iter().cloned().map(Box::new).map(Fact::ServerCertified);
        self.commit(before.into_iter().chain(facts).collect(), time, by)?;
        Ok(certified)
    }

    /// Takes acknowledged entries into the index. An index that cannot follow is left behind: the next open
    /// catches up.
    fn advance(&mut self, entries: &[Entry], time: Time) {
        if let Some(last) = entries.last() {
            self.position = last.after;
            self.last = time;
        }
        // What is recorded stays recorded: neither an index nor a head that cannot follow undoes it.
        if let Err(error) = self.index.apply(entries).and_then(|()| self.write_head()) {
            self.notices.push(Notice::IndexNotUsed(error.to_string()));
        }
    }

    /// The record of a device's certificate, if the ledger has it. A server's is found by
    /// [`Self::certified`].
    ///
    /// # Errors
    /// A damaged index.
    pub fn record(&self, serial: &Serial) -> Result<Option<Record>, StoreError> {
        self.index.record(serial)
    }

    /// The certificates of one device, oldest first.
    pub fn device(&self, address: &Address) -> Result<Vec<Record>, StoreError> {
        self.index.device(address)
    }

    /// The certificates of one person, by device, oldest first.
    pub fn employee(&self, employee: &Employee) -> Result<Vec<Record>, StoreError> {
        self.index.employee(employee)
    }

    /// The time at which an employee was offboarded, if she was.
    pub fn offboarded(&self, employee: &Employee) -> Result<Option<Time>, StoreError> {
        self.index.offboarded(employee)
    }

    /// Every certificate that is not revoked, in the order of the serials.
    ///
    /// # Errors
    /// An error of `visit`, or a damaged index.
    pub fn unrevoked(
        &self,
        visit: &mut dyn FnMut(Record) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.index.unrevoked(visit)
    }

    /// The records of all devices whose addresses begin so.
    ///
    /// # Errors
    /// A damaged index.
    pub fn beginning(&self, address: &str) -> Result<Vec<Record>, StoreError> {
        self.index.beginning(address)
    }

    /// Every certificate for the key with this pin (SHA-256 of its SubjectPublicKeyInfo), by serial: revoked
    /// ones, too.
    ///
    /// # Errors
    /// A damaged index.
    pub fn holders_of_key(&self, spki_sha256: &[u8; 32]) -> Result<Vec<Record>, StoreError> {
        self.index.holders_of_key(spki_sha256)
    }

    /// Every certificate, in no order that means anything.
    ///
    /// # Errors
    /// An error of `visit`, or a damaged index.
    pub fn records(&self, visit: &mut dyn FnMut(Record) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.index.records(visit)
    }

    /// The certificate of the servers' CA, DER, once there is one.
    ///
    /// # Errors
    /// A damaged index.
    pub fn servers_ca(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.index.servers_ca()
    }

    /// The registered server of this name; none where there is none, or it was removed.
    ///
    /// # Errors
    /// A damaged index.
    pub fn server(&self, host: &Host) -> Result<Option<Server>, StoreError> {
        self.index.server(host)
    }

    /// Every registered server, sorted by name. Removed servers are left out: see [`Self::known_servers`].
    ///
    /// # Errors
    /// A damaged index.
    pub fn servers(&self) -> Result<Vec<Server>, StoreError> {
        let mut servers = self.known_servers()?;
        servers.retain(|server| server.removed.is_none());
        Ok(servers)
    }

    /// The epochs of a host's shared keys, where it has any.
    ///
    /// # Errors
    /// A damaged index.
    pub fn hmac_host(&self, host: &Host) -> Result<Option<HmacHost>, StoreError> {
        self.index.hmac_host(host)
    }

    /// Every host that has shared keys, by name.
    ///
    /// # Errors
    /// A damaged index.
    pub fn hmac_hosts(&self) -> Result<Vec<HmacHost>, StoreError> {
        self.index.hmac_hosts()
    }

    /// The first certificate of a device that was issued after every one of its own that is revoked; none
    /// where there is none.
    ///
    /// # Errors
    /// A damaged index.
    pub fn first_since_revocation(&self, address: &Address) -> Result<Option<Serial>, StoreError> {
        self.index.first_since_revocation(address)
    }

    /// Whether nothing was issued to a device, and nothing of it lost, since the last publication of this
    /// ledger.
    ///
    /// # Errors
    /// A damaged index.
    pub fn is_first_published(&self, address: &Address) -> Result<bool, StoreError> {
        self.index.is_first_published(address)
    }

    /// Every server that there is or was, by name: what pins in the field stand for, and whose a key is, a
    /// removal does not change.
    ///
    /// # Errors
    /// A damaged index.
    pub fn known_servers(&self) -> Result<Vec<Server>, StoreError> {
        self.index.known_servers()
    }

    /// The host that a certificate of the servers' CA was issued for, and its revocation.
    ///
    /// # Errors
    /// A damaged index.
    pub fn certified(&self, serial: &Serial) -> Result<Option<(Host, Option<Revocation>)>, StoreError> {
        self.index.certified(serial)
    }

    /// The facts that were recorded of a certificate when it was issued, its octets included; none of one
    /// that the ledger knows by a list alone.
    ///
    /// # Errors
    /// Where the ledger does not have it where the index says.
    pub fn issued(&self, record: &Record) -> Result<Option<Issued>, StoreError> {
        match record.known_by {
            KnownBy::Issuance => {}
            KnownBy::List { .. } => return Ok(None),
        }
        let event = self.ledger.event_at(self.index.offset(&record.serial)?)?;
        if let Fact::Issued(issued) = event.fact
            && issued.serial == record.serial
        {
            return Ok(Some(*issued));
        }
        Err(StoreError::Index(format!(
            "it places certificate {} wrongly",
            record.serial
        )))
    }

    /// The event that issued a certificate, or took it in.
    ///
    /// # Errors
    /// Where the ledger does not have it where the index says.
    pub fn issuing_event(&self, record: &Record) -> Result<Event, StoreError> {
        self.ledger.event_at(self.index.offset(&record.serial)?)
    }

    /// Every acknowledged event after the cursor, in order. Reads the ledger from there, and checks each
    /// event and its link to the one before.
    ///
    /// # Errors
    /// Damage, events that were read before and are gone, or an error of `visit`.
    pub fn events(
        &self,
        after: Cursor,
        visit: &mut dyn FnMut(Event) -> Result<(), StoreError>,
    ) -> Result<Reached, StoreError> {
        events_of(&self.ledger, after, &mut |linked| visit(linked.event))
    }

    /// As [`Self::events`], without opening the rest of the store: for whoever looks again every second.
    ///
    /// # Errors
    /// Damage, events that were read before and are gone, or an error of `visit`.
    pub fn follow(
        paths: &Paths,
        after: Cursor,
        visit: &mut dyn FnMut(Event) -> Result<(), StoreError>,
    ) -> Result<Reached, StoreError> {
        Self::follow_chain(paths, after, &mut |linked| visit(linked.event))
    }

    /// As [`Self::follow`], with the link of each event.
    ///
    /// # Errors
    /// Damage, events that were read before and are gone, or an error of `visit`.
    pub fn follow_chain(
        paths: &Paths,
        after: Cursor,
        visit: &mut dyn FnMut(Linked) -> Result<(), StoreError>,
    ) -> Result<Reached, StoreError> {
        events_of(&Ledger::read(&paths.ledger)?, after, visit)
    }

    fn last_event(&self) -> Result<Event, StoreError> {
        self.ledger.event_ending_at(self.position.offset)
    }
}

/// The events of a ledger behind a place that it still has.
fn events_of(
    ledger: &Ledger,
    after: Cursor,
    visit: &mut dyn FnMut(Linked) -> Result<(), StoreError>,
) -> Result<Reached, StoreError> {
    let Cursor(from) = after;
    if !ledger.holds(from)? {
        let (_, last) = ends(ledger)?;
        return Err(StoreError::Ahead {
            ledger: last.seq,
            index: from.seq,
        });
    }
    let (last, tail) = ledger.replay(from, |batch| {
        let linked = batch.into_iter().map(|entry| Linked {
            event: entry.event,
            sha256: entry.after.sha,
        });
        linked.into_iter().try_for_each(&mut *visit)
    })?;
    Ok(Reached {
        cursor: Cursor(last),
        is_torn: tail == Tail::Torn,
    })
}

#[cfg(test)]
mod contract;
#[cfg(test)]
mod tests;
