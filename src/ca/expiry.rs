//! Finds the devices whose certificates expire soon, and those that are without a valid certificate already
//! because the last one has expired.

use crate::model::{Record, Span, State, Status, Time};
use crate::store::{Store, StoreError};

/// The reason for which a device needs a new certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewalDue {
    /// The certificate is in use and expires soon.
    Soon,
    /// The certificate has expired and was the last one of its device: no other has replaced it, it was not
    /// revoked, and its holder was not offboarded.
    Lapsed,
}

/// Says whether the certificate is due for renewal; one that expires within the given time is. The devices of
/// `pki check` belong to nobody, so that the expiry of theirs means nothing.
///
/// # Errors
/// A damaged index.
pub fn renewal_due(
    store: &Store,
    record: &Record,
    now: Time,
    within: Span,
) -> Result<Option<RenewalDue>, StoreError> {
    match nearness(record, now, within) {
        Some(RenewalDue::Lapsed) if !is_lapsed(store, record, now)? => Ok(None),
        nearness => Ok(nearness),
    }
}

/// As [`renewal_due`], by a certificate alone: it is not checked whether an expired one was the last of its
/// device.
fn nearness(record: &Record, now: Time, within: Span) -> Option<RenewalDue> {
    if record.validity.not_after >= now + within || record.address.is_reserved() {
        return None;
    }
    match record.status(now) {
        Status::Valid => Some(RenewalDue::Soon),
        // One that was superseded has ended as it should.
        Status::Expired if record.state != State::Superseded => Some(RenewalDue::Lapsed),
        Status::Expired | Status::Superseded | Status::Undelivered | Status::Revoked => None,
    }
}

/// Whether a certificate that has ended is the last of a device that is without one.
fn is_lapsed(store: &Store, ended: &Record, now: Time) -> Result<bool, StoreError> {
    let history = store.device(&ended.address)?;
    let is_last = history.last().is_some_and(|last| last.serial == ended.serial);
    let stands = history.iter().any(|other| other.status(now).accepted());
    Ok(is_last && !stands && store.offboarded(&ended.address.employee)?.is_none())
}

/// The records among those that were seen which are near their end, or past it.
#[derive(Debug, Clone, Default)]
pub struct Near {
    within: Span,
    ending: Vec<Record>,
    ended: Vec<Record>,
}

impl Near {
    /// An empty list. Certificates that expire within the given time will be taken into it.
    pub(super) fn new(within: Span) -> Self {
        Self {
            within,
            ..Self::default()
        }
    }

    /// Takes in one more record.
    pub(super) fn see(&mut self, record: &Record, now: Time) {
        match nearness(record, now, self.within) {
            Some(RenewalDue::Soon) => self.ending.push(record.clone()),
            Some(RenewalDue::Lapsed) => self.ended.push(record.clone()),
            None => {}
        }
    }

    /// First the certificates that end soon, then those of devices that have lapsed: see [`RenewalDue`]. Both
    /// in the order of the devices.
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
        let mut lapsed = Vec::new();
        for record in self.ended {
            if is_lapsed(store, &record, now)? {
                lapsed.push(record);
            }
        }
        lapsed.sort_by(|a, b| a.address.cmp(&b.address));
        Ok((self.ending, lapsed))
    }
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
            key: None,
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
