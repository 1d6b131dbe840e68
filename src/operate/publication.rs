//! Bringing the publication up to date with the ledger.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Gid;
use sha2::{Digest, Sha256};

use super::OperateError;
use super::crl::{next_number, next_terms, record};
use super::session::Session;
use crate::authority::Issuing;
use crate::disk::{self, DiskError, Shown};
use crate::model::{Authority, Fact, Revocation, Span, Time};
use crate::publish::{
    Accepted, Area, Destination, Manifest, Material, Publication, PublishedCrl, TargetError,
};
use crate::x509::crl::{Crl, Terms};

/// What a refresh came to.
#[derive(Debug)]
pub enum Refresh {
    /// Something must be signed, and no key was given. Nothing was published.
    NeedsKey,
    /// Every place has the publication, or is named with what went wrong.
    Done(Published),
}

/// What was published.
#[derive(Debug, Default)]
pub struct Published {
    /// The areas that were written, each with its manifest's number.
    pub written: Vec<(Area, u64)>,
    /// The CRL that was signed: its number and how many it revokes.
    pub crl: Option<(u64, u64)>,
    /// Certificates that only a published CRL knew as revoked, and that are recorded as such now.
    pub adopted: usize,
    /// The places that could not be written.
    pub failed: Vec<(Shown, TargetError)>,
    /// The end of the root's CRL, where that has passed.
    pub root_crl_ended: Option<Time>,
    /// The end of the root's CRL.
    pub root_crl_end: Option<Time>,
}

/// Brings every place of the publication up to date. Signs a new CRL where an entry came or went or half of the last one's life is
/// over, and only then; what has not changed is not written.
///
/// # Errors
/// Where the publication cannot be made or does not pass its checks. A place that cannot be written is told in the outcome.
pub fn refresh(session: &mut Session<'_>, issuing: Option<&Issuing>) -> Result<Refresh, OperateError> {
    if issuing.is_none() && session.store.revoked_since_crl()? {
        return Ok(Refresh::NeedsKey);
    }
    let (places, failed) = destinations(session);
    let published = published_crls(session, &places)?;
    let root_crl = root_crl(session, &published)?;
    let unknown = unknown_revocations(session, &published)?;
    if issuing.is_none() && !unknown.is_empty() {
        return Ok(Refresh::NeedsKey);
    }
    let adopted = unknown.len();
    session.commit(unknown)?;
    let (previous, published) = remember(published);
    let staged = places
        .iter()
        .find(|place| place.staging && place.to.area == Area::Public);
    let staged_crl = staged
        .map(|place| disk::read_if_there(&place.to.directory.join(ISSUING_CRL)))
        .transpose()?;
    let mut revoked = session.store.revoked(gone_before(session, previous))?;
    let mut done = Published {
        adopted,
        failed,
        ..Published::default()
    };

    let number = previous.map(|terms| terms.number);
    let current = staged_crl
        .flatten()
        .and_then(|der| Some((entries_if_current(session, &der, &revoked, number)?, der)));
    let issuing_crl: Arc<Vec<u8>> = match (current, issuing) {
        (Some((entries, der)), _) => {
            revoked = entries;
            der.into()
        }
        (None, None) => return Ok(Refresh::NeedsKey),
        (None, Some(issuing)) => {
            let der = sign_crl(session, issuing, previous, &mut revoked)?;
            let crl = Crl::parse(&der).map_err(crate::authority::AuthorityError::X509)?;
            done.crl = Some((crl.terms().number, revoked.len() as u64));
            der.into()
        }
    };
    let material = Material {
        chain: session.desk.home.chain(),
        root_crl,
        issuing_crl,
        revoked: revoked.into(),
        accepted: accepted(session)?,
        now: session.now,
    };
    let publication = Publication::build(material, &published)?;
    done.root_crl_ended = publication.root_crl_ended();
    done.root_crl_end = Some(publication.root_crl_end());
    let mut numbers = session.store.last_publication()?;
    for area in [Area::Server, Area::Public] {
        let places: Vec<&Place> = places.iter().filter(|place| place.to.area == area).collect();
        let last = match area {
            Area::Public => &mut numbers.public,
            Area::Server => &mut numbers.server,
        };
        match publish_area(&publication, area, &places, last, session.now, issuing, &mut done)? {
            Key::Missing => return Ok(Refresh::NeedsKey),
            Key::Enough => {}
        }
    }
    if !done.written.is_empty() {
        let targets = places
            .iter()
            .filter(|place| !place.staging)
            .map(|place| place.to.directory.display().to_string())
            .filter(|target| {
                !done
                    .failed
                    .iter()
                    .any(|(failed, _)| failed.to_string() == *target)
            })
            .collect();
        session.commit(vec![Fact::Published {
            public: numbers.public,
            server: numbers.server,
            targets,
        }])?;
    }
    Ok(Refresh::Done(done))
}

/// Why the publication is not what the ledger says, without changing anything: nothing where it is.
///
/// # Errors
/// Where the ledger or the home's own places cannot be read.
pub fn behind(session: &Session<'_>) -> Result<Vec<String>, OperateError> {
    let (places, failed) = destinations(session);
    let published = published_crls(session, &places)?;
    let root_crl = root_crl(session, &published)?;
    let (previous, _) = remember(published);
    let number = previous.map(|p| p.number);
    let revoked = session.store.revoked(gone_before(session, previous))?;
    let own = session
        .desk
        .home
        .path()
        .join(Area::Public.word())
        .join(ISSUING_CRL);
    let current = disk::read_if_there(&own)?
        .and_then(|der| Some((entries_if_current(session, &der, &revoked, number)?, der)));
    let Some((revoked, issuing_crl)) = current else {
        return Ok(vec!["a new CRL is due".into()]);
    };
    let material = Material {
        chain: session.desk.home.chain(),
        root_crl,
        issuing_crl: issuing_crl.into(),
        revoked: revoked.into(),
        accepted: accepted(session)?,
        now: session.now,
    };
    let publication = Publication::build(material, &[])?;
    let mut reasons: Vec<String> = failed.iter().map(|(_, error)| error.to_string()).collect();
    for place in &places {
        if !place.to.holds(publication.files(place.to.area)).unwrap_or(false) {
            reasons.push(format!("{} differs", place.to.directory.display()));
        }
    }
    Ok(reasons)
}

/// What lies in a directory of the publication, home or elsewhere, and does not belong there. A place that cannot be read is told when it
/// cannot be written.
pub fn strays(session: &Session<'_>) -> Vec<PathBuf> {
    let (places, _) = destinations(session);
    let strays = places.iter().flat_map(|place| place.to.strays());
    strays.flatten().collect()
}

const ISSUING_CRL: &str = "crl/issuing.crl";

/// Whose certificate ended before this may leave the CRL: it was on one that was made after that end (RFC 5280 §3.3), and the clock does
/// not say meanwhile that the certificate is still good.
fn gone_before(session: &Session<'_>, previous: Option<Terms>) -> Option<Time> {
    previous.map(|terms| terms.this_update.min(session.clock.earliest()))
}

/// A place of the publication.
struct Place {
    to: Destination,
    /// Whether it is the home's own.
    staging: bool,
}

/// Where the publication goes, the home's own directories first; and where it cannot go, which keeps it from nobody else.
fn destinations(session: &Session<'_>) -> (Vec<Place>, Vec<(Shown, TargetError)>) {
    let home = &session.desk.home;
    let place = |area, directory, group, staging| Place {
        to: Destination {
            area,
            directory,
            group,
            signer: home.chain().issuing().public_key().clone(),
        },
        staging,
    };
    let own = |area: Area| place(area, home.path().join(area.word()), None, true);
    let mut places = vec![own(Area::Server), own(Area::Public)];
    let mut failed = Vec::new();
    for target in &home.config().publish {
        if let Some(directory) = target.server.clone() {
            match target.group.as_deref().map(group_number).transpose() {
                Ok(group) => places.push(place(Area::Server, directory, group, false)),
                Err(error) => failed.push((Shown(directory), error.into())),
            }
        }
        places.extend(
            target
                .public
                .clone()
                .map(|directory| place(Area::Public, directory, None, false)),
        );
    }
    (places, failed)
}

/// The newest CRL of the root: the home's own, unless a newer one is published (a home from an older backup) or the home's is damaged.
/// The root need not be taken out of its safe for what it has signed already.
fn root_crl(session: &Session<'_>, published: &[Standing]) -> Result<Arc<Vec<u8>>, OperateError> {
    let home = &session.desk.home;
    let own = disk::read(&home.root_crl_path(), 64 << 20);
    let parsed = own.as_deref().ok().and_then(|der| Crl::parse(der).ok());
    let number = parsed
        .filter(|crl| crl.is_issued_by(home.chain().root()))
        .map(|crl| crl.terms().number);
    let newest = published
        .iter()
        .filter(|standing| standing.authority == Authority::Root)
        .max_by_key(|standing| standing.terms.number);
    match newest.filter(|newest| Some(newest.terms.number) > number) {
        Some(newest) => Ok(newest.der.clone().into()),
        None => Ok(own?.into()),
    }
}

/// The number of a group, from the system's list.
fn group_number(name: &str) -> Result<u32, DiskError> {
    let list = Path::new("/etc/group");
    let unknown = || {
        disk::failed("searched for a group of a [[publish]] table", list)(std::io::Error::other(format!(
            "there is no group {name}"
        )))
    };
    let text = String::from_utf8_lossy(&disk::read(list, 16 << 20)?).into_owned();
    let number = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name))
            .then(|| fields.nth(1)?.parse::<u32>().ok())
            .flatten()
    });
    number
        .map(|number| Gid::from_raw(number).as_raw())
        .ok_or_else(unknown)
}

/// A CRL that stands in one of the places, signed by our CA.
struct Standing {
    authority: Authority,
    terms: Terms,
    der: Vec<u8>,
}

/// What must be remembered of the CRLs that stand, without their octets: the newest of the issuing CA, and each one's number.
fn remember(standing: Vec<Standing>) -> (Option<Terms>, Vec<PublishedCrl>) {
    let issuing = standing
        .iter()
        .filter(|s| s.authority == Authority::Issuing)
        .map(|s| s.terms);
    let newest = issuing.max_by_key(|terms| terms.number);
    let published = standing.iter().map(|s| PublishedCrl {
        authority: s.authority,
        number: s.terms.number,
        sha256: Sha256::digest(&s.der).into(),
    });
    (newest, published.collect())
}

/// Every different CRL of our CAs that stands in any place. What cannot be read as one is replaced.
fn published_crls(session: &Session<'_>, places: &[Place]) -> Result<Vec<Standing>, OperateError> {
    let chain = session.desk.home.chain();
    let mut found: Vec<Standing> = Vec::new();
    for place in places.iter().filter(|place| place.to.area == Area::Public) {
        for (authority, file, issuer) in [
            (Authority::Issuing, ISSUING_CRL, chain.issuing()),
            (Authority::Root, "crl/root.crl", chain.root()),
        ] {
            let there = match disk::read_if_there(&place.to.directory.join(file)) {
                Ok(there) => there,
                // A target that cannot be read is told when it cannot be written.
                Err(_) if !place.staging => None,
                Err(error) => return Err(error.into()),
            };
            let Some(der) = there.filter(|der| !found.iter().any(|known| known.der == *der)) else {
                continue;
            };
            let Some(terms) = Crl::parse(&der)
                .ok()
                .filter(|crl| crl.is_issued_by(issuer))
                .map(|crl| crl.terms())
            else {
                continue;
            };
            found.push(Standing {
                authority,
                terms,
                der,
            });
        }
    }
    Ok(found)
}

/// What a published CRL revokes and the ledger does not, to be taken in: after a restore from an old backup a lost phone stays locked out.
fn unknown_revocations(session: &Session<'_>, published: &[Standing]) -> Result<Vec<Fact>, OperateError> {
    let mut facts = Vec::new();
    let mut seen = HashSet::new();
    for standing in published.iter().filter(|p| p.authority == Authority::Issuing) {
        let Ok(crl) = Crl::parse(&standing.der) else {
            continue;
        };
        let known = session.store.revoked(None)?;
        let mut known = known.iter().map(|revocation| revocation.serial).peekable();
        for entry in crl.entries() {
            let entry = entry.map_err(crate::authority::AuthorityError::X509)?;
            while known.next_if(|serial| *serial < entry.serial).is_some() {}
            if known.peek() == Some(&entry.serial) || session.store.revocation(&entry.serial)?.is_some() {
                continue;
            }
            if seen.insert(entry.serial) {
                facts.push(Fact::Revoked {
                    serial: entry.serial,
                    address: session.store.record(&entry.serial)?.map(|record| record.address),
                    reason: entry.reason,
                    since: Some(entry.at),
                });
            }
        }
    }
    Ok(facts)
}

/// The entries of a CRL, where it is the last one, revokes all that it should, and has more than half of its life before it. An entry that
/// may leave does so when the next CRL is signed, and is no reason to sign one.
fn entries_if_current(
    session: &Session<'_>,
    der: &[u8],
    wanted: &[Revocation],
    last: Option<u64>,
) -> Option<Vec<Revocation>> {
    let crl = Crl::parse(der).ok()?;
    let terms = crl.terms();
    let half = Span::seconds((terms.next_update - terms.this_update).as_seconds() / 2);
    let fresh = terms.this_update <= session.now && session.now < terms.this_update + half;
    if !fresh || Some(terms.number) != last || !crl.is_issued_by(session.desk.home.chain().issuing()) {
        return None;
    }
    let mut wanted = wanted.iter().peekable();
    let mut entries = Vec::new();
    for entry in crl.entries() {
        let entry = entry.ok()?;
        wanted.next_if(|wanted| (wanted.serial, wanted.at) == (entry.serial, entry.at));
        entries.push(entry);
    }
    wanted.next().is_none().then_some(entries)
}

fn sign_crl(
    session: &mut Session<'_>,
    issuing: &Issuing,
    previous: Option<Terms>,
    revoked: &mut [Revocation],
) -> Result<Vec<u8>, OperateError> {
    let life = session.desk.home.config().issuing_crl_life;
    let terms = next_terms(
        session,
        Authority::Issuing,
        issuing.chain().issuing(),
        previous,
        life,
    )?;
    let der = issuing.sign_crl(terms, revoked)?;
    record(session, Authority::Issuing, terms, revoked.len(), &der)?;
    Ok(der)
}

/// What servers are told to accept.
fn accepted(session: &Session<'_>) -> Result<Accepted, OperateError> {
    let mut accepted = Accepted::new(session.now);
    session.store.unrevoked(&mut |record| {
        accepted.take(&record);
        Ok(())
    })?;
    Ok(accepted)
}

/// Whether an area could be published with the key at hand, or without one.
enum Key {
    /// It could.
    Enough,
    /// A manifest must be signed, and there is no key.
    Missing,
}

/// Writes one area to each of its places that does not have it.
fn publish_area(
    publication: &Publication,
    area: Area,
    places: &[&Place],
    last: &mut u64,
    now: Time,
    issuing: Option<&Issuing>,
    done: &mut Published,
) -> Result<Key, OperateError> {
    let files = publication.files(area);
    let mut looked = Vec::new();
    let mut highest = *last;
    for place in places {
        let state = place
            .to
            .holds(files)
            .and_then(|holds| Ok((holds, place.to.manifest()?, place.to.statement()?)));
        let (holds, manifest, statement) = match state {
            Ok(state) => state,
            Err(error) if place.staging => return Err(error.into()),
            Err(_) => (false, None, None),
        };
        let number = manifest.map_or(0, |manifest| manifest.number);
        highest = highest.max(number);
        looked.push((*place, number, statement.filter(|_| holds)));
    }
    // The home's own manifest stands unless a place has seen a later one: numbers only rise, also for a home from an older backup.
    let standing = looked
        .iter()
        .find(|(place, number, _)| place.staging && *number == highest)
        .and_then(|(_, _, statement)| statement.clone());
    let behind: Vec<&Place> = looked
        .iter()
        .filter(|(_, _, statement)| statement.is_none() || *statement != standing)
        .map(|(place, _, _)| *place)
        .collect();
    if behind.is_empty() {
        return Ok(Key::Enough);
    }
    let (manifest, jws) = match (standing, issuing) {
        (Some(statement), _) => statement,
        (None, None) => return Ok(Key::Missing),
        (None, Some(issuing)) => {
            *last = next_number(Some(highest), now);
            let manifest = Manifest {
                version: 1,
                area,
                number: *last,
                made: now,
                valid_until: publication.valid_until(),
                files: Manifest::list(files),
            };
            let text = manifest.text();
            let jws = issuing.sign_statement(Manifest::TYPE, &text).into_bytes();
            (text, jws)
        }
    };
    for place in behind {
        match place.to.write(files, &manifest, &jws) {
            Ok(()) => {}
            Err(error) if place.staging => return Err(error.into()),
            Err(error) => done.failed.push((Shown(place.to.directory.clone()), error)),
        }
    }
    done.written.push((area, *last));
    Ok(Key::Enough)
}
