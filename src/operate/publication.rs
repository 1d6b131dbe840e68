//! Bringing the publication up to date with the ledger.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::OperateError;
use super::crl::{next_number, next_terms, record};
use super::places::{Place, destinations};
use super::session::Session;
use super::standing::{
    ISSUING_CRL, entries_if_current, forgotten, published_crls, remember, root_crl, unknown_revocations,
};
use crate::authority::Issuing;
use crate::config::Config;
use crate::disk::Shown;
use crate::model::{Authority, Fact, Revocation, Time};
use crate::publish::{Accepted, Area, Manifest, Material, Publication, Rejected, Stray, TargetError, Told};
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
    /// The CRL that was signed.
    pub crl: Option<SignedCrl>,
    /// Certificates that only a published CRL knew as revoked, and that are recorded as such now.
    pub adopted: usize,
    /// Certificates that servers were told to accept, and that the ledger does not know.
    pub forgotten: Vec<Told>,
    /// The places that could not be written.
    pub failed: Vec<(Shown, TargetError)>,
    /// Why servers do not take the root's CRL, where they do not.
    pub root_crl_unfit: Option<Rejected>,
    /// The end of the root's CRL.
    pub root_crl_end: Option<Time>,
    /// From when to when the issuing CA's CRL is good.
    pub issuing_crl: Option<(Time, Time)>,
}

/// A CRL that was signed.
#[derive(Debug)]
pub struct SignedCrl {
    /// Its cRLNumber.
    pub number: u64,
    /// How many it revokes.
    pub entries: u64,
    /// How long it took to encode, sign, read back and record it.
    pub took: Duration,
}

/// Brings every place of the publication up to date. Signs a new CRL where an entry came or went or half of the last one's life is
/// over, and only then; what has not changed is not written.
///
/// # Errors
/// Where the publication cannot be made or does not pass its checks. A place that cannot be written is told in the outcome.
pub fn refresh(session: &mut Session<'_>, issuing: Option<&Issuing>) -> Result<Refresh, OperateError> {
    refresh_at(session, issuing, None)
}

/// As [`refresh`]; beside the home's own places it writes `only` this one, where one is named. What stands in the others is looked at all the
/// same: a number that is published anywhere is not taken again.
///
/// # Errors
/// As [`refresh`], and where pki.toml does not name that directory.
pub fn refresh_at(
    session: &mut Session<'_>,
    issuing: Option<&Issuing>,
    only: Option<&Path>,
) -> Result<Refresh, OperateError> {
    if let Some(only) = only {
        demand_target(session.desk.home.config(), only)?;
    }
    if issuing.is_none() && session.store.revoked_since_crl()? {
        return Ok(Refresh::NeedsKey);
    }
    let (places, mut failed) = destinations(&session.desk.home)?;
    let is_meant = |directory: &Path| only.is_none_or(|only| only == directory);
    failed.retain(|(Shown(directory), _)| is_meant(directory));
    let published = published_crls(&session.desk.home, &places)?;
    let root_crl = root_crl(session, &published)?;
    let unknown = unknown_revocations(session, &published)?;
    if issuing.is_none() && !unknown.is_empty() {
        return Ok(Refresh::NeedsKey);
    }
    let adopted = unknown.len();
    session.commit(unknown)?;
    let (previous, published) = remember(published);
    let own_crl = own_crl(&places)?;
    let mut revoked = session.store.revoked(gone_before(session, previous))?;
    let mut done = Published {
        adopted,
        forgotten: forgotten(session, &places)?,
        failed,
        ..Published::default()
    };

    let number = previous.map(|terms| terms.number);
    let current = own_crl.and_then(|der| Some((entries_if_current(session, &der, &revoked, number)?, der)));
    let issuing_crl: Arc<Vec<u8>> = match (current, issuing) {
        (Some((entries, der)), _) => {
            revoked = entries;
            der.into()
        }
        (None, None) => return Ok(Refresh::NeedsKey),
        (None, Some(issuing)) => {
            let begun = Instant::now();
            let der = sign_crl(session, issuing, previous, &mut revoked)?;
            let crl = Crl::parse(&der).map_err(crate::authority::AuthorityError::X509)?;
            done.crl = Some(SignedCrl {
                number: crl.terms().number,
                entries: revoked.len() as u64,
                took: begun.elapsed(),
            });
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
    done.root_crl_unfit = publication.root_crl_unfit();
    done.issuing_crl = Some(publication.issuing_crl());
    done.root_crl_end = Some(publication.root_crl_end());
    let mut numbers = session.store.last_publication()?;
    for area in [Area::Server, Area::Public] {
        let places: Vec<&Place> = places
            .iter()
            .filter(|place| place.to.area == area && (place.staging || is_meant(&place.to.path)))
            .collect();
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
            .filter(|place| !place.staging && is_meant(&place.to.path))
            .map(|place| place.to.path.display().to_string())
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

fn demand_target(config: &Config, directory: &Path) -> Result<(), OperateError> {
    let mut named = config
        .publish
        .iter()
        .flat_map(|target| [&target.public, &target.server])
        .flatten();
    if named.any(|named| named == directory) {
        Ok(())
    } else {
        Err(OperateError::NoTarget(Shown(directory.to_owned())))
    }
}

/// Why the publication is not what the ledger says, without changing anything: nothing where it is.
///
/// # Errors
/// Where the ledger or the home's own places cannot be read.
pub fn behind(session: &Session<'_>) -> Result<Vec<String>, OperateError> {
    let (places, failed) = destinations(&session.desk.home)?;
    let published = published_crls(&session.desk.home, &places)?;
    let root_crl = root_crl(session, &published)?;
    let (previous, _) = remember(published);
    let number = previous.map(|p| p.number);
    let revoked = session.store.revoked(gone_before(session, previous))?;
    let current =
        own_crl(&places)?.and_then(|der| Some((entries_if_current(session, &der, &revoked, number)?, der)));
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
    let mut reasons: Vec<String> = forgotten(session, &places)?
        .iter()
        .map(|told| {
            format!(
                "it tells servers to accept {} of {}, which the ledger does not know: the ledger is the older one",
                told.serial, told.address
            )
        })
        .collect();
    reasons.extend(failed.iter().map(|(place, error)| format!("{place}: {error}")));
    for place in &places {
        let path = place.to.path.display();
        let ends = place
            .to
            .manifest()
            .map(|manifest| manifest.map(|manifest| manifest.valid_until));
        let holds = place.to.holds(publication.files(place.to.area));
        match holds.and_then(|holds| Ok(holds && ends? == Some(publication.valid_until()))) {
            Ok(true) => {}
            Ok(false) => reasons.push(format!("{path} differs")),
            Err(error) => reasons.push(format!("{path}: {error}")),
        }
    }
    Ok(reasons)
}

/// The places that cannot be written as they are, and why: found before something must be published there.
pub fn unwritable(session: &Session<'_>) -> Vec<(Shown, TargetError)> {
    let (places, _) = destinations(&session.desk.home).unwrap_or_default();
    let refused = places
        .iter()
        .filter_map(|place| Some((Shown(place.to.path.clone()), place.to.demand_writable().err()?)));
    refused.collect()
}

/// What lies in a directory of the publication, home or elsewhere, and does not belong there. A place that cannot be read is told when it
/// cannot be written.
pub fn strays(session: &Session<'_>) -> Vec<Stray> {
    let (places, _) = destinations(&session.desk.home).unwrap_or_default();
    let strays = places.iter().flat_map(|place| place.to.strays());
    strays.flatten().collect()
}

/// The issuing CA's CRL in the home's own public half.
fn own_crl(places: &[Place]) -> Result<Option<Vec<u8>>, OperateError> {
    let own = places
        .iter()
        .find(|place| place.staging && place.to.area == Area::Public);
    match own {
        Some(place) => Ok(place.to.crl(ISSUING_CRL)?),
        None => Ok(None),
    }
}

/// Whose certificate ended before this may leave the CRL: it was on one that was made after that end (RFC 5280 §3.3), and the clock does
/// not say meanwhile that the certificate is still good.
fn gone_before(session: &Session<'_>, previous: Option<Terms>) -> Option<Time> {
    previous.map(|terms| terms.this_update.min(session.clock.earliest()))
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
        let number = manifest.as_ref().map_or(0, |manifest| manifest.number);
        highest = highest.max(number);
        // The servers' half has no CRL in it: where only that was renewed, its files stay and the end that its manifest tells moves.
        let ends = manifest.map(|manifest| manifest.valid_until);
        let stands = holds && ends == Some(publication.valid_until());
        looked.push((*place, number, statement.filter(|_| stands)));
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
            Err(error) => done.failed.push((Shown(place.to.path.clone()), error)),
        }
    }
    done.written.push((area, *last));
    Ok(Key::Enough)
}
