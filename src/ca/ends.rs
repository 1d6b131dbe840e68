//! Which devices will soon be without a certificate that servers accept, and which are already.

use crate::model::{Record, Span, State, Status, Time};
use crate::store::{Store, StoreError};

/// The records among those that were seen which are near their end, or past it.
#[derive(Debug, Clone, Default)]
pub struct Near {
    within: Span,
    ending: Vec<Record>,
    ended: Vec<Record>,
}

impl Near {
    /// Nothing was seen yet. What ends within this time is near.
    pub(super) fn new(within: Span) -> Self {
        Self {
            within,
            ..Self::default()
        }
    }

    /// One more record.
    pub(super) fn see(&mut self, record: &Record, now: Time) {
        if record.validity.not_after >= now + self.within || record.address.is_reserved() {
            return;
        }
        match record.status(now) {
            Status::Valid => self.ending.push(record.clone()),
            // One that was superseded has ended as it should.
            Status::Expired if record.state != State::Superseded => self.ended.push(record.clone()),
            Status::Expired | Status::Superseded | Status::Undelivered | Status::Revoked => {}
        }
    }

    /// First the certificates in use that are near their end. Then the last certificate of every device that
    /// has let all of its own end: nothing else has taken their place, nobody has taken the last one back,
    /// and nobody has said that its holder left. Both in the order of the devices; those of `pki check` are
    /// nobody's, and not among them.
    ///
    /// # Errors
    /// A damaged index.
    pub(super) fn settle(
        mut self,
        store: &Store,
        now: Time,
    ) -> Result<(Vec<Record>, Vec<Record>), StoreError> {
        self.ending
            .sort_by(|a, b| (&a.address, a.seq).cmp(&(&b.address, b.seq)));
        Ok((self.ending, last_of(store, self.ended, now)?))
    }
}

/// Of all devices, what is near its end and what is past it: see `Near::settle`.
///
/// # Errors
/// A damaged index.
pub fn ends(store: &Store, now: Time, within: Span) -> Result<(Vec<Record>, Vec<Record>), StoreError> {
    let mut near = Near::new(within);
    store.unrevoked(&mut |record| {
        near.see(&record, now);
        Ok(())
    })?;
    near.settle(store, now)
}

/// Those of certificates that have ended which are the last of their devices, in the order of these.
fn last_of(store: &Store, ended: Vec<Record>, now: Time) -> Result<Vec<Record>, StoreError> {
    let mut lapsed = Vec::new();
    for record in ended {
        let history = store.device(&record.address)?;
        let is_last = history.last().is_some_and(|last| last.serial == record.serial);
        let stands = history.iter().any(|other| other.status(now).accepted());
        if is_last && !stands && store.offboarded(&record.address.employee)?.is_none() {
            lapsed.push(record);
        }
    }
    lapsed.sort_by(|a, b| a.address.cmp(&b.address));
    Ok(lapsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{KnownBy, Reason, Serial, Validity};

    fn record(address: &str, state: State, ends: Time) -> Record {
        Record {
            serial: Serial::from_random([1; 16]),
            address: address.parse().unwrap(),
            validity: Validity {
                not_before: ends - Span::days(90),
                not_after: ends,
            },
            state,
            known_by: KnownBy::Issuance,
            spki_sha256: [1; 32],
            certificate_sha256: [1; 32],
            seq: 1,
        }
    }

    #[test]
    fn what_ends_is_seen_of_devices_in_use_alone() {
        let now = Time::from_unix(1_800_000_000);
        let (soon, past, within) = (now + Span::days(29), now - Span::days(1), Span::days(30));
        let revoked = State::Revoked {
            at: past,
            reason: Reason::Lost,
        };
        let seen = |address: &str, state: State, ends: Time| {
            let mut near = Near::new(within);
            near.see(&record(address, state, ends), now);
            (near.ending.len(), near.ended.len())
        };
        assert_eq!(seen("alice/phone", State::Active, soon), (1, 0));
        assert_eq!(seen("alice/phone", State::Active, past), (0, 1));
        assert_eq!(seen("alice/phone", State::Active, now + within), (0, 0));
        for state in [State::Superseded, revoked] {
            assert_eq!(seen("alice/phone", state, soon), (0, 0));
            assert_eq!(seen("alice/phone", state, past), (0, 0));
        }
        // What `pki check` has made for itself.
        assert_eq!(seen("pki-check/canary", State::Active, soon), (0, 0));
        assert_eq!(seen("pki-check/canary", State::Active, past), (0, 0));
    }
}
