//! Opens a session on a home, within which a change is made: the lock, the open store and the time that holds
//! for the change.

use std::time::Duration;

use super::CaError;
use super::publishing::published;
use super::residence::{self, Copied};
use crate::home::{Home, Lock};
use crate::issuer::{Signed, SignedServer};
use crate::model::fault::{Fault, Kind};
use crate::model::server::Certified;
use crate::model::{Clock, Fact, Time};
use crate::store::{Committed, Store};

/// An operator at work on a home.
pub struct Desk {
    /// The home that is worked on.
    pub home: Home,
    /// The operator's account, as the ledger records it.
    pub by: String,
    /// The text that others are shown while the lock is held.
    pub holder: String,
    /// The time to wait for the lock.
    pub patience: Duration,
    /// The function that reads the machine's clock.
    pub clock: fn() -> Time,
    /// Whether the operator says that the PKI goes on in this home, although it may be a copy.
    pub goes_on_here: bool,
    /// Whether the session is to reconcile a restored home with what was published since its backup.
    pub reconciles: bool,
}

/// The policy for a clock that is before the last event, or far after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockPolicy {
    /// Refuse: a certificate or CRL that is signed in the future lets nobody in, and an event that is
    /// recorded there blocks the right time.
    Strict,
    /// The operator said that the clock is right: go on, and record that.
    Confirmed,
    /// Go on with the last event's time: a revocation is never refused.
    Lenient,
}

/// The reason for which a session cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The home may be a copy of a home that is in use.
    #[error("{0}: it issues and publishes nothing until you say that the PKI goes on here")]
    Copied(Copied),
    /// The home was restored from a backup, and not reconciled since.
    #[error(
        "this home was restored from the backup of {0}, and what happened since is not known: it signs nothing until it is"
    )]
    Unreconciled(Time),
    /// The clock is at a time before there was this program.
    #[error(
        "the clock says {0}, before this program was made: certificates would have ended, and CRLs be out of date, by every right clock"
    )]
    ClockBeforeProgram(Time),
    /// The clock is before the last event.
    #[error("the clock says {clock}, and the last event was recorded at {last}: the clock is behind")]
    ClockBehind {
        /// The time by the clock.
        clock: Time,
        /// The last event's time.
        last: Time,
    },
    /// The clock is far after the last event.
    #[error("the clock says {clock}, and nothing has happened here since {last}: the clock may be ahead")]
    ClockAhead {
        /// The time by the clock.
        clock: Time,
        /// The last event's time.
        last: Time,
    },
}

impl Fault for SessionError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::Copied(_) => (Kind::ConfirmationNeeded, "copied-home"),
            Self::Unreconciled(_) => (Kind::ConfirmationNeeded, "unreconciled"),
            Self::ClockAhead { .. } => (Kind::ConfirmationNeeded, "clock-ahead"),
            Self::ClockBeforeProgram(_) | Self::ClockBehind { .. } => (Kind::ClockDoubt, "clock-behind"),
        }
    }
}

/// The store of a session: opened for it, or lent by a process that keeps it.
pub enum Held<'a> {
    /// Opened for this session.
    Own(Box<Store>),
    /// Kept by the process, and up to date for this session.
    Lent(&'a mut Store),
}

impl std::ops::Deref for Held<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        match self {
            Self::Own(store) => store,
            Self::Lent(store) => store,
        }
    }
}

impl std::ops::DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Store {
        match self {
            Self::Own(store) => store,
            Self::Lent(store) => store,
        }
    }
}

/// One change of a home, under its lock.
pub struct Session<'a> {
    /// The operator's desk.
    pub desk: &'a Desk,
    /// The ledger and its index.
    pub store: Held<'a>,
    /// The time that holds for this change.
    pub now: Time,
    /// The judgement of the machine's clock.
    pub clock: Clock,
    /// The reason for which this home may be a copy of one that is in use; nothing is published outside of it
    /// then.
    pub copied: Option<Copied>,
    /// When the backup was made that the home was restored from, where it is not reconciled yet.
    pub unreconciled: Option<Time>,
    /// The event that the operator confirmed the clock, kept until it is recorded with the first change that
    /// goes by it.
    confirmed: Option<Fact>,
    _lock: Lock,
}

impl Desk {
    /// Takes the lock, opens the store and judges the clock.
    ///
    /// # Errors
    /// A busy home, a damaged ledger, a clock that policy refuses; and, unless the session is for a
    /// revocation, a home that may be a copy, or was restored and is not reconciled.
    pub fn session(&self, policy: ClockPolicy) -> Result<Session<'_>, CaError> {
        let lock = self.home.lock(self.patience, &self.holder)?;
        let says = (self.clock)();
        let store = self.home.store(&lock, self.patience, says)?;
        self.begin(lock, says, Held::Own(Box::new(store)), policy)
    }

    /// As [`Self::session`], with a resident store that this process keeps: it takes in what others have
    /// committed since.
    ///
    /// # Errors
    /// As [`Self::session`].
    pub fn turn<'a>(&'a self, store: &'a mut Store, policy: ClockPolicy) -> Result<Session<'a>, CaError> {
        let lock = self.home.lock(self.patience, &self.holder)?;
        let says = (self.clock)();
        store.take_turn(says)?;
        self.begin(lock, says, Held::Lent(store), policy)
    }

    fn begin<'a>(
        &'a self,
        lock: Lock,
        says: Time,
        store: Held<'a>,
        policy: ClockPolicy,
    ) -> Result<Session<'a>, CaError> {
        let copied = residence::judge(&self.home, self.goes_on_here);
        match (&copied, policy) {
            (Some(copied), ClockPolicy::Strict | ClockPolicy::Confirmed) => {
                return Err(SessionError::Copied(copied.clone()).into());
            }
            // Taking a certificate back is never refused.
            (Some(_), ClockPolicy::Lenient) | (None, _) => {}
        }
        let unreconciled = store.unreconciled()?;
        match (unreconciled, policy) {
            (Some(made), ClockPolicy::Strict | ClockPolicy::Confirmed) if !self.reconciles => {
                return Err(SessionError::Unreconciled(made).into());
            }
            (Some(_) | None, _) => {}
        }
        let mut clock = store.judge(says)?;
        if let Clock::FarAhead { last, .. } = clock {
            // A home from an older backup knows nothing of what it has published since; the places do.
            clock = published::judge(&self.home, says, last)?;
        }
        let mut confirmed = None;
        let now = match (clock, policy) {
            (Clock::Good(now), _) => now,
            (Clock::Behind { last, .. } | Clock::FarAhead { last, .. }, ClockPolicy::Lenient) => last,
            (Clock::Behind { clock, last }, ClockPolicy::Strict) => {
                return Err(SessionError::ClockBehind { clock, last }.into());
            }
            (Clock::FarAhead { clock, last }, ClockPolicy::Strict) => {
                return Err(SessionError::ClockAhead { clock, last }.into());
            }
            (Clock::Behind { last, .. } | Clock::FarAhead { last, .. }, ClockPolicy::Confirmed) => {
                confirmed = Some(Fact::ClockConfirmed { clock: says, last });
                clock = Clock::Good(says);
                says
            }
        };
        Ok(Session {
            desk: self,
            store,
            now,
            clock,
            copied,
            unreconciled,
            confirmed,
            _lock: lock,
        })
    }
}

impl Session<'_> {
    /// Records what happened, as one batch.
    ///
    /// # Errors
    /// Where nothing was recorded, or the outcome is unknown.
    pub fn commit(&mut self, facts: Vec<Fact>) -> Result<(), CaError> {
        if facts.is_empty() {
            return Ok(());
        }
        let facts = self.confirmed.iter().cloned().chain(facts).collect();
        self.store.commit(facts, self.now, &self.desk.by)?;
        self.confirmed = None;
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
    ) -> Result<Vec<Committed>, CaError> {
        let before = self.confirmed.iter().cloned().chain(before).collect();
        let committed = self
            .store
            .commit_signed(before, signed, self.now, &self.desk.by)?;
        self.confirmed = None;
        Ok(committed)
    }

    /// Records a server's signed certificate. Only now may anybody see it.
    ///
    /// # Errors
    /// Where nothing was recorded, or the outcome is unknown.
    pub fn commit_server(&mut self, signed: SignedServer) -> Result<Certified, CaError> {
        let certified = self.commit_servers(vec![signed])?.pop();
        Ok(certified.expect("there is one for each that was signed"))
    }

    /// The same for several, as one batch.
    ///
    /// # Errors
    /// Where nothing was recorded, or the outcome is unknown.
    pub fn commit_servers(&mut self, signed: Vec<SignedServer>) -> Result<Vec<Certified>, CaError> {
        let before = self.confirmed.iter().cloned().collect();
        let certified = self
            .store
            .commit_servers(before, signed, self.now, &self.desk.by)?;
        self.confirmed = None;
        Ok(certified)
    }
}
