//! Which devices will soon be without a certificate that servers accept, and which are already.

use crate::model::{Record, Span, State, Status, Time};
use crate::store::{Store, StoreError};

/// The certificates in use whose last second is less than this far away, in the order of their devices. Those
/// of `pki check` are nobody's, and not among them.
///
/// # Errors
/// A damaged index.
pub fn ending(store: &Store, now: Time, within: Span) -> Result<Vec<Record>, StoreError> {
    let mut ending = Vec::new();
    store.records(&mut |record| {
        let is_in_use = record.status(now) == Status::Valid && !record.address.is_reserved();
        if is_in_use && record.validity.not_after < now + within {
            ending.push(record);
        }
        Ok(())
    })?;
    ending.sort_by(|a, b| (&a.address, a.seq).cmp(&(&b.address, b.seq)));
    Ok(ending)
}

/// The last certificate of every device that has let all of its own end: nothing else has taken their place,
/// nobody has taken the last one back, and nobody has said that its holder left. In the order of the devices.
///
/// # Errors
/// A damaged index.
pub fn lapsed(store: &Store, now: Time) -> Result<Vec<Record>, StoreError> {
    let mut ended = Vec::new();
    store.records(&mut |record| {
        // One that was superseded has ended as it should.
        let is_last = !matches!(record.state, State::Superseded | State::Revoked { .. });
        if is_last && record.status(now) == Status::Expired && !record.address.is_reserved() {
            ended.push(record);
        }
        Ok(())
    })?;
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
