//! The root's CRL signed anew: the one everyday reason to take the root out of its safe.

use super::OperateError;
use super::init::terms;
use super::session::Session;
use crate::authority::Root;
use crate::disk;
use crate::model::{Authority, Fact, Time};
use crate::x509::crl::{Crl, Terms};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Signs the root's CRL and puts it in its place in the home. A publication takes it from there.
///
/// # Errors
/// Where it cannot be signed, recorded or written.
pub fn sign_root_crl(session: &mut Session<'_>, root: &Root) -> Result<Terms, OperateError> {
    sign_with(session, root)
}

pub(super) fn sign_with(session: &mut Session<'_>, root: &Root) -> Result<Terms, OperateError> {
    let home = &session.desk.home;
    let place = home.root_crl_path();
    let there = disk::read_if_there(&place)?;
    let there = there.as_deref().and_then(|der| Crl::parse(der).ok());
    let there = there
        .filter(|crl| crl.is_issued_by(root.certificate()))
        .map(|crl| crl.terms());
    let recorded = session.store.last_crl(Authority::Root)?;
    let last = there.map(|t| t.number).max(recorded.map(|r| r.number));
    let floor = there.map(|t| t.this_update).max(recorded.map(|r| r.this_update));
    let floor = floor
        .unwrap_or(Time::from_unix(0))
        .max(root.certificate().validity().not_before);
    let number = next_number(last, session.now);
    let terms = terms(number, session.now, floor, home.config().root_crl_life);
    let der = root.sign_crl(terms, &[])?;
    session.commit(vec![Fact::CrlSigned {
        authority: Authority::Root,
        number,
        this_update: terms.this_update,
        next_update: terms.next_update,
        entries: 0,
        sha256: HEXLOWER.encode(&Sha256::digest(&der)),
    }])?;
    disk::replace(&place, disk::PRIVATE_FILE, &der)?;
    Ok(terms)
}

/// A number that is above the last one, also where that one was forgotten with a backup: the greater of last + 1 and the Unix time.
pub(super) fn next_number(last: Option<u64>, now: Time) -> u64 {
    let clock = u64::try_from(now.unix()).unwrap_or(0);
    clock.max(last.map_or(1, |last| last.saturating_add(1)))
}
