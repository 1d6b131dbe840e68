//! What has been issued and what is revoked, as the status of certificates needs it. It is held against the
//! ledger each time that it is asked, so that what any process has committed is known at once: without the
//! home's lock, and without an index.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ca::{CaError, Desk, Doubts};
use crate::model::{Authority, Clock, Fact, Serial, Time};
use crate::store::{Cursor, StoreError};
use crate::x509::Certificate;
use crate::x509::ocsp::CertStatus;

/// The certificates of a home.
pub struct Inventory {
    desk: Arc<Desk>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    certificates: HashMap<Serial, CertStatus>,
    /// The time of the last event.
    last: Option<Time>,
    /// The end (nextUpdate) of the last CRL.
    crl_end: Option<Time>,
    /// Whether the ledger may lack certificates, because the home is from an older backup.
    is_in_doubt: bool,
    /// The place in the ledger behind what was read, once something was.
    after: Option<Cursor>,
    /// The ledger's length when it was read.
    length: u64,
}

impl Inventory {
    /// Reads the whole ledger.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn of(desk: Arc<Desk>) -> Result<Self, CaError> {
        let inventory = Self {
            desk,
            known: Mutex::default(),
        };
        inventory.statuses(&[])?;
        Ok(inventory)
    }

    /// The CA that has issued them.
    pub fn issuer(&self) -> &Certificate {
        self.desk.home.chain().ca()
    }

    /// The status of certificates, by their serial numbers; none where this program makes no such number.
    ///
    /// # Errors
    /// Where the ledger has grown and cannot be read.
    pub fn statuses(&self, serials: &[Option<Serial>]) -> Result<Vec<CertStatus>, CaError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.catch_up(&self.desk)?;
        Ok(serials.iter().map(|serial| known.status(*serial)).collect())
    }

    /// Judges the machine's clock by what the ledger had when a status was asked last, as each change of the
    /// home does.
    pub fn judge(&self, clock: Time) -> Clock {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.last {
            Some(last) => Clock::judge(clock, last, known.crl_end),
            None => Clock::Good(clock),
        }
    }
}

impl Known {
    fn status(&self, serial: Option<Serial>) -> CertStatus {
        match serial.and_then(|serial| self.certificates.get(&serial).copied()) {
            Some(status) => status,
            None if self.is_in_doubt => CertStatus::Unknown,
            None => CertStatus::NeverIssued,
        }
    }

    /// Takes in what the ledger has more. It only grows, so that its length says whether it has.
    fn catch_up(&mut self, desk: &Desk) -> Result<(), CaError> {
        let length = desk.home.ledger_length()?;
        if self.after.is_some() && length == self.length {
            return Ok(());
        }
        let (certificates, last, crl_end) = (&mut self.certificates, &mut self.last, &mut self.crl_end);
        let after = self.after.unwrap_or(Cursor::START);
        let reached = desk.home.follow(after, &mut |event| {
            *last = Some(event.time);
            if let Fact::CrlSigned {
                authority: Authority::Issuing,
                next_update,
                ..
            } = &event.fact
            {
                *crl_end = Some(*next_update);
            }
            if let Some((serial, status)) = news_of(&event.fact, event.time) {
                let is_revoked = matches!(certificates.get(&serial), Some(CertStatus::Revoked { .. }));
                // From there is no way back.
                if !is_revoked {
                    certificates.insert(serial, status);
                }
            }
            Ok::<(), StoreError>(())
        })?;
        self.after = Some(reached.cursor);
        self.is_in_doubt = !Doubts::by(&desk.home).is_empty();
        self.length = length;
        Ok(())
    }
}

/// What an event says of a certificate.
fn news_of(fact: &Fact, time: Time) -> Option<(Serial, CertStatus)> {
    if let Fact::Issued(issued) = fact {
        return Some((issued.serial, CertStatus::Good));
    }
    if let Fact::Recovered(recovered) = fact {
        return Some((recovered.serial, CertStatus::Good));
    }
    if let Fact::Revoked {
        serial,
        reason,
        since,
        ..
    } = fact
    {
        let (at, reason) = (since.unwrap_or(time), *reason);
        return Some((*serial, CertStatus::Revoked { at, reason }));
    }
    None
}
