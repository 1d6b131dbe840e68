//! Makes the CRLs of all authorities: numbers that only rise, times that fit the previous CRL, and an event
//! in the ledger for each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::published::entries_if_current;
use crate::ca::session::Session;
use crate::ca::{CaError, recording};
use crate::issuer::IssuerError;
use crate::model::{Authority, Clock, Fact, Revocation, Span, Time};
use crate::x509::Certificate;
use crate::x509::crl::Terms;

/// The time by which a CRL is backdated, for servers whose clock is slow.
const BACKDATED: Span = Span::minutes(5);

/// A number that is above the last one, also where that one was forgotten with a backup: the greater of last
/// + 1 and the Unix time.
pub(in crate::ca) fn next_number(last: Option<u64>, now: Time) -> u64 {
    let clock = u64::try_from(now.unix()).unwrap_or(0);
    clock.max(last.map_or(1, |last| last.saturating_add(1)))
}

/// The terms of the CRL that follows the published one and the one that the ledger knows: it begins before
/// neither, nor before its issuer.
pub(in crate::ca) fn next_terms(
    session: &Session<'_>,
    authority: Authority,
    issuer: &Certificate,
    standing: Option<Terms>,
    life: Span,
) -> Result<Terms, CaError> {
    let recorded = session.store.last_crl(authority)?;
    let last = standing.map(|s| s.number).max(recorded.map(|r| r.number));
    let floor = standing
        .map(|s| s.this_update)
        .max(recorded.map(|r| r.this_update))
        .unwrap_or(Time::from_unix(0))
        .max(issuer.validity().not_before);
    // Where the clock stands behind, either it or the last event's time is wrong: a CRL that begins no later
    // than both is good by both.
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

/// The CRL of a CA that the root made, as it is to be published.
pub(in crate::ca) struct Current {
    pub der: Arc<Vec<u8>>,
    /// The entries of the CRL.
    pub revoked: Vec<Revocation>,
    /// The details of the signature, where the CRL was signed just now.
    pub signed: Option<SignedCrl>,
}

/// A CRL that was signed.
#[derive(Debug)]
pub struct SignedCrl {
    /// The number of the CRL (cRLNumber).
    pub number: u64,
    /// The number of certificates that it revokes.
    pub entries: u64,
    /// The time that it took to encode, sign, read back and record it.
    pub took: Duration,
}

/// A CA whose CRL is published, and its published CRLs.
#[derive(Clone, Copy)]
pub(in crate::ca) struct Published<'a> {
    pub authority: Authority,
    pub issuer: &'a Certificate,
    /// The terms of the newest one in any place.
    pub standing: Option<Terms>,
}

/// The home's `own` CRL, where it can be published as it is: no entry came, and half of its life is not over.
pub(in crate::ca) fn current(
    session: &Session<'_>,
    of: Published<'_>,
    own: Option<Vec<u8>>,
) -> Result<Option<Current>, CaError> {
    let wanted = wanted(session, of)?;
    let number = of.standing.map(|terms| terms.number);
    Ok(own.and_then(|der| {
        let revoked = entries_if_current(session.now, of.issuer, &der, &wanted, number)?;
        Some(Current {
            der: der.into(),
            revoked,
            signed: None,
        })
    }))
}

/// Signs a new CRL and records it.
pub(in crate::ca) fn sign_anew(
    session: &mut Session<'_>,
    of: Published<'_>,
    sign: impl FnOnce(Terms, &[Revocation]) -> Result<Vec<u8>, IssuerError>,
) -> Result<Current, CaError> {
    let begun = Instant::now();
    let revoked = wanted(session, of)?;
    let life = life(session, of.authority)?;
    let terms = next_terms(session, of.authority, of.issuer, of.standing, life)?;
    let der = sign(terms, &revoked)?;
    record(session, of.authority, terms, revoked.len(), &der)?;
    Ok(Current {
        signed: Some(SignedCrl {
            number: terms.number,
            entries: revoked.len() as u64,
            took: begun.elapsed(),
        }),
        der: der.into(),
        revoked,
    })
}

/// The life of a CRL: as pki.toml says and, where that cannot be read, as long as the last one.
fn life(session: &Session<'_>, authority: Authority) -> Result<Span, CaError> {
    let home = &session.desk.home;
    let last = match home.unread() {
        Some(_) => session.store.last_crl(authority)?,
        None => None,
    };
    let configured = home.config().issuing_crl_life;
    Ok(last.map_or(configured, |last| last.next_update - last.this_update))
}

/// The entries that belong on its CRL now. A certificate that expired before the last CRL was made may leave:
/// it was on one that was made after that expiry (RFC 5280 §3.3), and the clock does not say meanwhile that
/// the certificate is still valid.
pub(in crate::ca) fn wanted(session: &Session<'_>, of: Published<'_>) -> Result<Vec<Revocation>, CaError> {
    let previous = of
        .standing
        .map(|terms| terms.this_update.min(session.clock.earliest()));
    let mut wanted = session.store.revoked(of.authority, previous)?;
    for revocation in &mut wanted {
        revocation.reason = revocation.reason.on_crl_of(of.authority);
    }
    Ok(wanted)
}

/// Records a signed CRL. Only then may anybody see it: its number is taken.
pub(in crate::ca) fn record(
    session: &mut Session<'_>,
    authority: Authority,
    terms: Terms,
    entries: usize,
    der: &[u8],
) -> Result<(), CaError> {
    let signed = Fact::CrlSigned {
        authority,
        number: terms.number,
        this_update: terms.this_update,
        next_update: terms.next_update,
        entries: entries as u64,
        sha256: HEXLOWER.encode(&Sha256::digest(der)),
    };
    session.commit(vec![signed]).map_err(recording("the CRL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_above_the_last_one_and_not_below_the_time() {
        let now = 1_800_000_000;
        for (last, at, next) in [
            (None, now, 1_800_000_000),
            (Some(1_799_999_999), now, 1_800_000_000),
            (Some(1_800_000_000), now, 1_800_000_001),
            (Some(1_800_000_007), now, 1_800_000_008),
            (Some(3), now, 1_800_000_000),
            (None, 0, 1),
            (Some(0), 0, 1),
            (None, -5, 1),
            (Some(7), -5, 8),
            // There is none above it: it is taken again rather than one that would be below.
            (Some(u64::MAX), now, u64::MAX),
        ] {
            assert_eq!(next_number(last, Time::from_unix(at)), next, "{last:?} {at}");
        }
    }
}
