//! What the CRLs of both authorities have in common: a number that only rises, times that fit the last one, and an event.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::OperateError;
use super::session::Session;
use crate::model::{Authority, Clock, Fact, Span, Time};
use crate::x509::Certificate;
use crate::x509::crl::Terms;

/// How far back a CRL begins, for servers whose clock is slow.
const BACKDATED: Span = Span::minutes(5);

/// A number that is above the last one, also where that one was forgotten with a backup: the greater of last + 1 and the Unix time.
pub(super) fn next_number(last: Option<u64>, now: Time) -> u64 {
    let clock = u64::try_from(now.unix()).unwrap_or(0);
    clock.max(last.map_or(1, |last| last.saturating_add(1)))
}

/// The terms of the CRL that follows the one that stands and the one that the ledger knows: it begins before neither, nor before
/// its issuer.
pub(super) fn next_terms(
    session: &Session<'_>,
    authority: Authority,
    issuer: &Certificate,
    standing: Option<Terms>,
    life: Span,
) -> Result<Terms, OperateError> {
    let recorded = session.store.last_crl(authority)?;
    let last = standing.map(|s| s.number).max(recorded.map(|r| r.number));
    let floor = standing
        .map(|s| s.this_update)
        .max(recorded.map(|r| r.this_update))
        .unwrap_or(Time::from_unix(0))
        .max(issuer.validity().not_before);
    // Where the clock stands behind, either it or the last event's time is wrong: a CRL that begins no later than both is good by both.
    let begun = match session.clock {
        Clock::Behind { clock, .. } => clock.max(floor),
        Clock::Good(_) | Clock::FarAhead { .. } => session.now,
    };
    let this_update = (begun - BACKDATED).max(floor).min(begun);
    Ok(Terms {
        number: next_number(last, session.now),
        this_update,
        next_update: this_update + life,
    })
}

/// Records a signed CRL. Only then may anybody see it: its number is taken.
pub(super) fn record(
    session: &mut Session<'_>,
    authority: Authority,
    terms: Terms,
    entries: usize,
    der: &[u8],
) -> Result<(), OperateError> {
    session.commit(vec![Fact::CrlSigned {
        authority,
        number: terms.number,
        this_update: terms.this_update,
        next_update: terms.next_update,
        entries: entries as u64,
        sha256: HEXLOWER.encode(&Sha256::digest(der)),
    }])
}
