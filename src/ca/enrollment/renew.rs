//! Renews what a device has, for the device itself: whoever shows its latest certificate, and has its key,
//! gets the next one for a new key. A certificate renews once: the same new key gets the same certificate as
//! often as it asks, and no other key gets one.

use super::batch::{Decision, again, planned};
use super::denial::Denial;
use crate::ca::CaError;
use crate::ca::issuance::plan::{Intent, KeyRequest, Old, Plan, Request, in_use, plan};
use crate::ca::session::Session;
use crate::home::Home;
use crate::key::PublicKey;
use crate::model::draft::Holder;
use crate::model::event::Issued;
use crate::model::invite::EnrolledBy;
use crate::model::{KnownBy, Profile, Record, Serial, State, Time};
use crate::store::Store;
use crate::x509::Certificate;

/// A device that shows its certificate, and asks for the next one.
pub struct Renewing {
    /// The certificate, DER, whose key it has proved to have.
    pub certificate: Vec<u8>,
    /// The key that is to be certified, whose holder proved to have it.
    pub key: PublicKey,
    /// The network that it asked from, as the ledger records it.
    pub from: String,
}

/// Whether a device gets the certificate that follows this one, its latest, without an operator: it has come
/// to it by itself, and has neither done so too often nor come too late.
///
/// # Errors
/// A damaged index, or a profile that is gone or cannot be read.
pub fn renews_itself(
    store: &Store,
    home: &Home,
    history: &[Record],
    latest: &Record,
    now: Time,
) -> Result<bool, CaError> {
    let Some(issued) = store.issued(latest)? else {
        return Ok(false);
    };
    if issued.enrolled_by.is_none() {
        return Ok(false);
    }
    let profile = home.profile(&issued.profile)?;
    let is_in_time = now <= latest.validity.not_after + profile.grace();
    Ok(is_in_time && renewals_before(store, history, &issued, profile.renewals())? < profile.renewals())
}

pub(super) fn decide(session: &Session<'_>, renewing: &Renewing) -> Result<Decision, CaError> {
    let refused = |denial| Ok(Decision::Now(Err(denial)));
    let (record, issued) = match shown(session, &renewing.certificate)? {
        Ok(known) => known,
        Err(denial) => return refused(denial),
    };
    let now = session.now;
    let history = session.store.device(&record.address)?;
    if let Some(next) = renewal_of(session, &history, record.serial)? {
        return match next.spki_sha256 == renewing.key.spki_sha256() {
            true => again(session, &next.serial, Denial::ShownRevoked).map(Decision::Now),
            false => refused(Denial::RenewedOtherwise),
        };
    }
    if in_use(&history).is_none_or(|latest| latest.serial != record.serial) {
        return refused(Denial::Superseded);
    }
    // That it is not there, or cannot be read, is for whoever keeps the home.
    let profile = session.desk.home.profile(&issued.profile)?;
    if now < record.validity.last_third() {
        return refused(Denial::TooEarly(record.validity.last_third()));
    }
    if record.validity.not_after + profile.grace() < now {
        return refused(Denial::Expired(record.validity.not_after));
    }
    if renewals_before(&session.store, &history, &issued, profile.renewals())? >= profile.renewals() {
        return refused(Denial::TooOften(profile.renewals()));
    }
    planned(plan_of(session, issued, profile, renewing.key.clone()))
}

/// The record of a certificate that was shown, octet by octet the one that was issued here; neither revoked
/// nor of the future.
///
/// # Errors
/// A damaged index or ledger.
pub(in crate::ca) fn shown(
    session: &Session<'_>,
    der: &[u8],
) -> Result<Result<(Record, Issued), Denial>, CaError> {
    let Some((record, issued)) = known(session, der)? else {
        return Ok(Err(Denial::Unknown));
    };
    match record.state {
        State::Revoked { .. } => return Ok(Err(Denial::ShownRevoked)),
        State::Undelivered | State::Active | State::Superseded => {}
    }
    let begin = record.validity.not_before;
    Ok(match session.now < begin {
        true => Err(Denial::NotYet(begin)),
        false => Ok((record, issued)),
    })
}

fn known(session: &Session<'_>, der: &[u8]) -> Result<Option<(Record, Issued)>, CaError> {
    let Ok(certificate) = Certificate::from_der(der) else {
        return Ok(None);
    };
    let Some(serial) = Serial::from_octets(certificate.serial()) else {
        return Ok(None);
    };
    let record = session.store.record(&serial)?;
    let same = |record: &Record| {
        record.certificate_sha256 == certificate.sha256() && record.known_by == KnownBy::Issuance
    };
    let Some(record) = record.filter(same) else {
        return Ok(None);
    };
    // No canary renews itself.
    if record.address.is_reserved() {
        return Ok(None);
    }
    Ok(session.store.issued(&record)?.map(|issued| (record, issued)))
}

/// The certificate that this one was renewed to, by the device itself.
fn renewal_of(session: &Session<'_>, history: &[Record], serial: Serial) -> Result<Option<Record>, CaError> {
    for record in history.iter().rev() {
        if record.serial == serial {
            break;
        }
        let issued = session.store.issued(record)?;
        if issued.is_some_and(|issued| issued.enrolled_by == Some(EnrolledBy::Renewal(serial))) {
            return Ok(Some(record.clone()));
        }
    }
    Ok(None)
}

/// How often the device has renewed by itself since an operator had a hand in it, counted up to `most`.
fn renewals_before(store: &Store, history: &[Record], latest: &Issued, most: u32) -> Result<u32, CaError> {
    let mut count = 0;
    let mut issued = latest.clone();
    while let Some(EnrolledBy::Renewal(before)) = issued.enrolled_by {
        count += 1;
        let Some(record) = history.iter().find(|record| record.serial == before) else {
            break;
        };
        match store.issued(record)? {
            Some(earlier) if count < most => issued = earlier,
            Some(_) | None => break,
        }
    }
    Ok(count)
}

/// The plan for the next certificate: all that the last one was issued with, and a new key.
fn plan_of(session: &Session<'_>, last: Issued, profile: Profile, key: PublicKey) -> Result<Plan, CaError> {
    let request = Request {
        holder: Holder {
            address: last.address,
            name: last.name,
            email: last.email,
            platform: last.platform,
        },
        days: last.days,
        profile,
        key: KeyRequest::Own(key),
    };
    let intent = Intent::RenewalOf(last.serial, Old::Kept);
    let mut plan = plan(&session.store, &session.desk.home, &request, intent, session.now)?;
    plan.enrolled_by = Some(EnrolledBy::Renewal(last.serial));
    Ok(plan)
}
