//! The lock, the open store and the time of one change.

use std::time::Duration;

use super::OperateError;
use crate::home::{Home, Lock};
use crate::model::{Clock, Fact, Time};
use crate::store::Store;

/// An operator at work on a home.
pub struct Desk {
    /// The home.
    pub home: Home,
    /// The account, for the ledger.
    pub by: String,
    /// What others are told while the lock is held.
    pub holder: String,
    /// How long to wait for the lock.
    pub patience: Duration,
    /// What the machine's clock says.
    pub clock: fn() -> Time,
}

/// What to do about a clock that stands before the last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockPolicy {
    /// Refuse.
    Strict,
    /// The operator said that the clock is right: go on, and record that.
    Confirmed,
    /// Go on with the last event's time: taking a certificate back is never refused.
    Lenient,
}

/// One change of a home, under its lock.
pub struct Session<'a> {
    /// The operator.
    pub desk: &'a Desk,
    /// The ledger and its index.
    pub store: Store,
    /// The time that holds for this change.
    pub now: Time,
    /// The earliest that it may be, where the clock is in doubt; else `now`. Nothing has ended that is good at this time.
    pub earliest: Time,
    /// How far the clock stands after the last event, where that is more than thirty days.
    pub leap: Option<(Time, Time)>,
    /// What the clock says and the last event's time, where the clock stands behind and it was gone on with the latter.
    pub behind: Option<(Time, Time)>,
    _lock: Lock,
}

impl Desk {
    /// Takes the lock, opens the store and judges the clock.
    ///
    /// # Errors
    /// A busy home, a damaged ledger, or a clock that policy refuses.
    pub fn session(&self, policy: ClockPolicy) -> Result<Session<'_>, OperateError> {
        let lock = self.home.lock(self.patience, &self.holder)?;
        let clock = (self.clock)();
        let mut store = self.home.store(&lock, self.patience, clock)?;
        let mut leap = None;
        let mut behind = None;
        let judged = Clock::judge(clock, store.last_time());
        let now = match (judged, policy) {
            (Clock::Good(now), _) => now,
            (Clock::FarAhead { clock, last }, _) => {
                leap = Some((clock, last));
                clock
            }
            (Clock::Behind { clock, last }, ClockPolicy::Lenient) => {
                behind = Some((clock, last));
                last
            }
            (Clock::Behind { clock, last }, ClockPolicy::Strict) => {
                return Err(OperateError::ClockBehind { clock, last });
            }
            (Clock::Behind { clock, last }, ClockPolicy::Confirmed) => {
                store.commit(vec![Fact::ClockConfirmed { clock, last }], clock, &self.by)?;
                clock
            }
        };
        Ok(Session {
            desk: self,
            store,
            now,
            earliest: judged.earliest(),
            leap,
            behind,
            _lock: lock,
        })
    }
}

impl Session<'_> {
    /// Records what happened, as one batch.
    ///
    /// # Errors
    /// Where nothing was recorded, or the outcome is unknown.
    pub fn commit(&mut self, facts: Vec<Fact>) -> Result<(), OperateError> {
        Ok(self.store.commit(facts, self.now, &self.desk.by)?)
    }
}
