//! Which devices will soon be without a certificate that servers accept, and which are already.

use crate::model::{Record, Span, State, Status, Time};
use crate::store::{Store, StoreError};

/// First the certificates in use whose last second is less than this far away. Then the last certificate of every
/// device that has let all of its own end: nothing else has taken their place, nobody has taken the last one
/// back, and nobody has said that its holder left. Both in the order of the devices; those of `pki check` are
/// nobody's, and not among them.
///
/// # Errors
/// A damaged index.
pub fn ends(store: &Store, now: Time, within: Span) -> Result<(Vec<Record>, Vec<Record>), StoreError> {
    let (mut soon, mut ended) = (Vec::new(), Vec::new());
    store.records(&mut |record| {
        if is_ending(&record, now, within) {
            soon.push(record);
        } else if has_ended(&record, now) {
            ended.push(record);
        }
        Ok(())
    })?;
    soon.sort_by(|a, b| (&a.address, a.seq).cmp(&(&b.address, b.seq)));
    Ok((soon, last_of(store, ended, now)?))
}

fn is_ending(record: &Record, now: Time, within: Span) -> bool {
    let is_in_use = record.validity.not_after < now + within && record.status(now) == Status::Valid;
    is_in_use && !record.address.is_reserved()
}

/// One that was superseded has ended as it should.
fn has_ended(record: &Record, now: Time) -> bool {
    let may_be_last = !matches!(record.state, State::Superseded | State::Revoked { .. });
    may_be_last && record.status(now) == Status::Expired && !record.address.is_reserved()
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
