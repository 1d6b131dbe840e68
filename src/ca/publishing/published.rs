//! Reads the CRLs that are published in the places. What they revoke is never forgotten, and their numbers
//! are never used again.

use std::collections::HashSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::targets::{Place, destinations};
use crate::ca::CaError;
use crate::disk;
use crate::home::Home;
use crate::model::{Authority, Clock, Revocation, Serial, Span, Time};
use crate::publish::{Area, Hashes, LONGEST_CRL};
use crate::x509::Certificate;
use crate::x509::crl::{Crl, Terms};

/// An authority's CRL in the public area.
pub(in crate::ca) fn crl_path(authority: Authority) -> &'static str {
    match authority {
        Authority::Root => "crl/root.crl",
        Authority::Issuing => "crl/issuing.crl",
        Authority::Servers => "crl/servers.crl",
    }
}

/// A CRL that is published in one of the places, signed by our CA.
pub(in crate::ca) struct Standing {
    pub authority: Authority,
    pub terms: Terms,
    pub der: Vec<u8>,
}

impl Standing {
    /// A CRL, where this CA has signed it.
    pub fn of(authority: Authority, issuer: &Certificate, der: Vec<u8>) -> Option<Self> {
        let crl = Crl::parse(&der).ok().filter(|crl| crl.is_issued_by(issuer))?;
        let terms = crl.terms();
        Some(Self {
            authority,
            terms,
            der,
        })
    }

    /// Whether it revokes any of these certificates.
    pub fn revokes_any(&self, serials: &HashSet<Serial>) -> bool {
        Crl::parse(&self.der).is_ok_and(|crl| {
            let mut entries = crl.entries().flatten();
            entries.any(|entry| serials.contains(&entry.serial))
        })
    }
}

/// The CAs of a home, each with its certificate.
pub(in crate::ca) fn authorities(home: &Home) -> impl Iterator<Item = (Authority, &Certificate)> {
    let chain = home.chain();
    let own = [(Authority::Issuing, chain.ca()), (Authority::Root, chain.root())];
    let servers = home.servers().map(|chain| (Authority::Servers, chain.ca()));
    own.into_iter().chain(servers)
}

/// Judges a clock that is far after the last event by what was published since: only our CAs sign the CRLs
/// that are published, so that the time at which such a CRL begins has passed.
pub(in crate::ca) fn judge(home: &Home, clock: Time, last: Time) -> Result<Clock, CaError> {
    let (places, _) = destinations(home, &Hashes::default())?;
    let standing = published_crls(home, &places);
    // One that begins after the clock proves nothing for it.
    let begun = || standing.iter().filter(|crl| crl.terms.this_update <= clock);
    let last = begun().map(|crl| crl.terms.this_update).fold(last, Time::max);
    let end = begun()
        .filter(|crl| crl.authority == Authority::Issuing)
        .map(|crl| crl.terms.next_update)
        .max();
    Ok(Clock::judge(clock, last, end))
}

/// Every different CRL of our CAs that is installed in any place. A file that cannot be read as one is
/// replaced.
pub(in crate::ca) fn published_crls(home: &Home, places: &[Place]) -> Vec<Standing> {
    let mut found: Vec<Standing> = Vec::new();
    for place in places.iter().filter(|place| place.to.area == Area::Public) {
        for (authority, issuer) in authorities(home) {
            let known: Vec<[u8; 32]> = found
                .iter()
                .map(|known| Sha256::digest(&known.der).into())
                .collect();
            // A place that cannot be read is told when it cannot be written.
            let there = place.to.crl(crl_path(authority), &known).unwrap_or_default();
            let Some(der) = there.filter(|der| !found.iter().any(|known| known.der == *der)) else {
                continue;
            };
            found.extend(Standing::of(authority, issuer, der));
        }
    }
    found
}

/// The terms of the CRL of an authority in the home's own copy of the publication. After a restore the root's
/// may be a later one there than the ledger knows of, since it is taken over from where it was published.
pub fn own_copy(home: &Home, authority: Authority) -> Option<Terms> {
    let (_, issuer) = authorities(home).find(|(whose, _)| *whose == authority)?;
    let path = home.path().join(Area::Public.word()).join(crl_path(authority));
    let der = disk::read(&path, LONGEST_CRL).ok()?;
    Standing::of(authority, issuer, der).map(|standing| standing.terms)
}

/// The newest CRL of the root: the home's own, unless a newer one is published (a home from an older backup)
/// or the home's is damaged. So a CRL that the root has signed already is no reason to take its key out of
/// the safe. One of the home's own that is not valid yet does not displace a published one.
pub(in crate::ca) fn root_crl(
    home: &Home,
    now: Time,
    published: &[Standing],
) -> Result<Arc<Vec<u8>>, CaError> {
    let own = disk::read(&home.root_crl_path(), LONGEST_CRL);
    let parsed = own.as_deref().ok().and_then(|der| Crl::parse(der).ok());
    let number = parsed
        .filter(|crl| crl.is_issued_by(home.chain().root()))
        .map(|crl| crl.terms())
        .filter(|terms| terms.this_update <= now)
        .map(|terms| terms.number);
    let newest = published
        .iter()
        .filter(|standing| standing.authority == Authority::Root)
        .max_by_key(|standing| standing.terms.number);
    match newest.filter(|newest| Some(newest.terms.number) > number) {
        Some(newest) => Ok(newest.der.clone().into()),
        None => Ok(own?.into()),
    }
}

/// The entries of a CRL, where it is the last one, revokes all that it should, and has more than half of its
/// life before it. An entry that may leave does so when the next CRL is signed, and is no reason to sign one.
pub(in crate::ca) fn entries_if_current(
    now: Time,
    issuer: &Certificate,
    der: &[u8],
    wanted: &[Revocation],
    last: Option<u64>,
) -> Option<Vec<Revocation>> {
    let crl = Crl::parse(der).ok()?;
    let terms = crl.terms();
    let half = Span::seconds((terms.next_update - terms.this_update).as_seconds() / 2);
    let fresh = terms.this_update <= now && now < terms.this_update + half;
    if !fresh || Some(terms.number) != last || !crl.is_issued_by(issuer) {
        return None;
    }
    let mut wanted = wanted.iter().peekable();
    let mut entries = Vec::new();
    for entry in crl.entries() {
        let entry = entry.ok()?;
        wanted.next_if(|wanted| {
            (wanted.serial, wanted.at, wanted.reason.crl_reason())
                == (entry.serial, entry.at, entry.reason.crl_reason())
        });
        entries.push(entry);
    }
    wanted.next().is_none().then_some(entries)
}
