//! Bringing the publication up to date with the ledger.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::OperateError;
use super::crl::{SignedCrl, next_number, sign_anew};
use super::due::{Servers, look, material};
use super::owed::{Following, Owed};
use super::pins::Standing;
use super::places::{Failed, Place, Role, destinations};
use super::reconcile::{Sources, Unknown};
use super::session::Session;
use super::standing::published_crls;
use crate::authority::{self, Issuing};
use crate::config::{Config, PublishTo};
use crate::disk::Shown;
use crate::home::Home;
use crate::model::{Fact, Span, Time};
use crate::publish::{Area, Ended, Manifest, Publication, Rejected, ServersPart, TargetError, Told};
use crate::store::LastPublication;

/// What a refresh came to.
#[derive(Debug)]
pub enum Refresh {
    /// Something must be signed, and no key was given. Nothing was published.
    NeedsKey,
    /// Every place has the publication, or is named with what went wrong.
    Done(Box<Published>),
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
    /// Certificates that only a published list knew, and that are recorded now.
    pub recovered: Vec<Told>,
    /// Places that had a publication of this home and have none any more, or a public half that is later than the ledger: they were
    /// lost, or the home is from an older backup. Told until the operator says which.
    pub emptied: Vec<Shown>,
    /// What is still to follow, from before, too.
    pub(super) owed: Owed,
    /// The places beside the home that were written.
    pub changed: Vec<PathBuf>,
    /// What pki.toml wants to be run now that they were, or had been before and it failed.
    pub commands: Vec<Following>,
    /// The places that could not be written.
    pub failed: Vec<(Shown, TargetError)>,
    /// Why servers do not take the root's CRL, where they do not.
    pub root_crl_unfit: Option<Rejected>,
    /// The end of the root's CRL.
    pub root_crl_end: Option<Time>,
    /// From when to when the issuing CA's CRL is good.
    pub issuing_crl: Option<(Time, Time)>,
    /// The number of the pin sets that were signed.
    pub pins: Option<u64>,
    /// Whether the published pin sets are later than what the ledger knows. They stand as they are.
    pub pins_ahead: bool,
}

/// The keys that are at hand to sign a publication with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keys<'a> {
    /// The issuing CA: its CRL, the manifests, the pin sets.
    pub issuing: Option<&'a Issuing>,
    /// The servers' CA: its CRL.
    pub servers: Option<&'a authority::Servers>,
}

impl<'a> From<&'a Issuing> for Keys<'a> {
    fn from(issuing: &'a Issuing) -> Self {
        Self {
            issuing: Some(issuing),
            servers: None,
        }
    }
}

/// Brings every place of the publication up to date. Signs a new CRL where an entry came or went or half of the last one's life is
/// over, and only then; what has not changed is not written. A CRL of the servers' CA that is due waits for its key: it takes nobody back.
///
/// # Errors
/// Where the publication cannot be made or does not pass its checks. A place that cannot be written is told in the outcome.
pub fn refresh(session: &mut Session<'_>, keys: Keys<'_>) -> Result<Refresh, OperateError> {
    refresh_within(session, keys, Scope::default())
}

/// What a refresh goes by, beside the ledger and the places.
#[derive(Default)]
pub struct Scope<'a> {
    /// The one place to write, beside the home's own; none: all of them.
    pub only: Option<&'a Path>,
    /// What the operator hands in to be taken in.
    pub sources: Sources,
    /// Whether the operator says that places which have lost their publication do not mean that the home is from an older backup.
    pub is_current: bool,
}

/// As [`refresh`], within a scope. What stands in the places that are not written is looked at all the same: a number that is published
/// anywhere is not taken again.
///
/// # Errors
/// As [`refresh`], and where pki.toml does not name the place.
pub fn refresh_within(
    session: &mut Session<'_>,
    keys: Keys<'_>,
    scope: Scope<'_>,
) -> Result<Refresh, OperateError> {
    let Keys { issuing, servers } = keys;
    let Scope {
        only,
        sources,
        is_current,
    } = scope;
    if let Some(only) = only {
        demand_target(session.desk.home.config(), only)?;
    }
    if issuing.is_none() && session.store.revoked_since_crl()? {
        return Ok(Refresh::NeedsKey);
    }
    let home = &session.desk.home;
    let (mut places, mut failed) = own_places(home)?;
    let is_meant = |directory: &Path| only.is_none_or(|only| only == directory);
    let numbers = session.store.last_publication()?;
    let mut owed = Owed::by(home);
    let is_settled = is_current || !sources.is_empty();
    let mut emptied = emptied(&places, &numbers.targets);
    emptied.retain(|place| is_meant(place));
    emptied.extend(unexplained(&places, &numbers));
    owed.note_emptied(home, emptied, is_settled)?;
    places.extend(sources.places);
    let mut published = published_crls(home, &places)?;
    published.extend(sources.crls);
    let unknown = Unknown::find(session, &published, &places)?;
    let (adopted, recovered) = (unknown.revocations.len(), unknown.accepted());
    let facts = unknown.facts(session)?;
    // What is taken in changes the lists, and so needs a signature.
    if issuing.is_none() && !facts.is_empty() {
        return Ok(Refresh::NeedsKey);
    }
    session.commit(facts)?;
    let seen = look(session, &places, &failed, published)?;
    failed.retain(|(Shown(directory), _)| is_meant(directory));
    let mut done = Published {
        adopted,
        recovered,
        emptied: owed.emptied(),
        failed,
        pins_ahead: seen.standing_pins.are_ahead(session)?,
        ..Published::default()
    };

    let of_devices = seen.remembered.of_issuing(home.chain().issuing());
    let previous = of_devices.standing.map(|terms| terms.this_update);
    let mut devices = match (seen.devices, issuing) {
        (Some(current), _) => current,
        (None, None) => return Ok(Refresh::NeedsKey),
        (None, Some(issuing)) => {
            let of = seen.remembered.of_issuing(home.chain().issuing());
            sign_anew(session, of, |terms, list| issuing.sign_crl(terms, list))?
        }
    };
    let servers = match (seen.servers, servers, issuing) {
        (Servers::Absent, ..) => None,
        (Servers::Current(part), ..) => Some(part),
        (Servers::Due(_), None, None) => return Ok(Refresh::NeedsKey),
        (Servers::Due(part), None, Some(_)) => part,
        (Servers::Due(_), Some(servers), _) => {
            let of = seen.remembered.of_servers(servers.chain().issuing());
            let signed = sign_anew(session, of, |terms, list| servers.sign_crl(terms, list))?;
            home.servers().map(|chain| ServersPart {
                chain,
                crl: signed.der,
                revoked: signed.revoked,
            })
        }
    };
    let pins = match (seen.pins, issuing) {
        (Standing::None, _) => None,
        (Standing::Stands(statement), _) => Some(statement),
        (Standing::Due, None) => return Ok(Refresh::NeedsKey),
        (Standing::Due, Some(issuing)) => {
            let (number, statement) = seen.standing_pins.sign(session, issuing)?;
            done.pins = Some(number);
            Some(statement)
        }
    };
    done.crl = devices.signed.take();
    let losers = seen.standing_pins.losers(session, pins.as_ref())?;
    let is_loser = |place: &Place| place.role == Role::Target && losers.contains(&place.to.path);
    let refused = places
        .iter()
        .filter(|place| is_loser(place) && is_meant(&place.to.path));
    let refused = refused.map(|place| (Shown(place.to.path.clone()), TargetError::UnknownPins));
    done.failed.extend(refused);
    let published_pins = seen.standing_pins.number();
    let material = material(session, seen.root_crl, devices, servers, pins, published_pins)?;
    let publication = Publication::build(material, &seen.remembered.published)?;
    done.root_crl_unfit = publication.root_crl_unfit();
    done.issuing_crl = Some(publication.issuing_crl());
    done.root_crl_end = Some(publication.root_crl_end());
    done.owed = owed;
    let mut numbers = numbers;
    // The same in both manifests: all revocations are read for it once, and only where one is signed.
    let read = OnceCell::new();
    let ended = || match read.get() {
        Some(ended) => Ok(Vec::clone(ended)),
        None => ended(session, previous).map(|ended| read.get_or_init(|| ended).clone()),
    };
    for area in [Area::Server, Area::Public] {
        let places: Vec<&Place> = places
            .iter()
            .filter(|place| place.to.area == area)
            .filter(|place| place.role != Role::Target || is_meant(&place.to.path))
            .filter(|place| !is_loser(place))
            .collect();
        match publish_area(
            session,
            &publication,
            area,
            &places,
            (&mut numbers, &ended),
            issuing,
            &mut done,
        )? {
            Key::Missing => return Ok(Refresh::NeedsKey),
            Key::Enough => {}
        }
    }
    if !done.written.is_empty() {
        let targets = places
            .iter()
            .filter(|place| place.role == Role::Target && is_meant(&place.to.path))
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
            server_manifest: numbers.server_manifest.map(|sha256| HEXLOWER.encode(&sha256)),
        }])?;
    }
    let is_behind = |place: &Path| done.failed.iter().any(|(Shown(failed), _)| failed == place);
    done.commands = done.owed.commands(session.desk.home.config(), |place| {
        is_meant(place) && !is_behind(place)
    });
    Ok(Refresh::Done(Box::new(done)))
}

/// Where the publication goes. A place where another CA of the root has published is none of this home's.
pub(super) fn own_places(home: &Home) -> Result<(Vec<Place>, Vec<Failed>), OperateError> {
    let (places, mut failed) = destinations(home)?;
    let mut own = Vec::new();
    for place in places {
        match place.to.demand_own() {
            Ok(()) => own.push(place),
            Err(error) if place.is_staging() => return Err(error.into()),
            Err(error) => failed.push((Shown(place.to.path), error)),
        }
    }
    Ok((own, failed))
}

/// The places among those that were published to where no manifest of ours is left.
fn emptied(places: &[Place], published: &[String]) -> Vec<PathBuf> {
    let was_published = |place: &&Place| published.contains(&place.to.path.display().to_string());
    let targets = places.iter().filter(|place| place.role == Role::Target);
    let empty = targets.filter(was_published).filter(|place| place.to.is_bare());
    empty.map(|place| place.to.path.clone()).collect()
}

fn demand_target(config: &Config, directory: &Path) -> Result<(), OperateError> {
    let mut named = config.publish.iter().flat_map(PublishTo::places);
    if named.any(|named| named.name() == directory) {
        Ok(())
    } else {
        Err(OperateError::NoTarget(Shown(directory.to_owned())))
    }
}

/// Whether an area could be published with the key at hand, or without one.
enum Key {
    /// It could.
    Enough,
    /// A manifest must be signed, and there is no key.
    Missing,
}

/// The public halves that are later than all that this home knows, where no servers' half names the certificates that were issued since:
/// nobody can tell whether there are any.
fn unexplained(places: &[Place], numbers: &LastPublication) -> Vec<PathBuf> {
    let number = |place: &Place| place.to.manifest().ok().flatten().map(|manifest| manifest.number);
    let of = |role: Role, area: Area| {
        places
            .iter()
            .filter(move |place| place.role == role && place.to.area == area)
    };
    if of(Role::Target, Area::Server).any(|place| number(place).is_some()) {
        return Vec::new();
    }
    // A publication that a kill has cut off is in the home's own half, too.
    let own = of(Role::Staging, Area::Public).filter_map(number).max();
    let known = own.max(Some(numbers.public));
    of(Role::Target, Area::Public)
        .filter(|place| number(place) > known)
        .map(|place| place.to.path.clone())
        .collect()
}

/// The certificates that may have left a CRL for having ended: those of the last 400 days, and never more than a manifest has room for.
fn ended(session: &Session<'_>, previous: Option<Time>) -> Result<Vec<Ended>, OperateError> {
    /// Who has fetched nothing for so long has let nobody in for a year: a CRL is good for some weeks.
    const KEPT: Span = Span::days(400);
    // Counted from the CRL that stood: after a long rest entries leave that ended long ago.
    let since = previous.unwrap_or(session.now).min(session.now) - KEPT;
    let mut ended = session.store.revoked_and_ended(since, session.now)?;
    ended.sort_unstable_by_key(|(serial, not_after)| (std::cmp::Reverse(*not_after), *serial));
    ended.truncate(Ended::ROOM);
    let ended = ended.into_iter();
    Ok(ended
        .map(|(serial, not_after)| Ended { serial, not_after })
        .collect())
}

/// Writes one area to each of its places that does not have it.
fn publish_area(
    session: &Session<'_>,
    publication: &Publication,
    area: Area,
    places: &[&Place],
    (numbers, ended): (
        &mut LastPublication,
        &dyn Fn() -> Result<Vec<Ended>, OperateError>,
    ),
    issuing: Option<&Issuing>,
    done: &mut Published,
) -> Result<Key, OperateError> {
    let files = publication.files(area);
    let mut looked = Vec::new();
    let last = match area {
        Area::Public => &mut numbers.public,
        Area::Server => &mut numbers.server,
    };
    let mut highest = *last;
    for place in places {
        let state = place
            .to
            .holds(files)
            .and_then(|holds| Ok((holds, place.to.manifest()?, place.to.statement()?)));
        let (holds, manifest, statement) = match state {
            Ok(state) => state,
            Err(error) if place.is_staging() => return Err(error.into()),
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
        .find(|(place, number, _)| place.is_staging() && *number == highest)
        .and_then(|(_, _, statement)| statement.clone());
    let behind: Vec<&Place> = looked
        .iter()
        .filter(|(place, ..)| place.role != Role::Source)
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
            *last = next_number(Some(highest), session.now);
            let manifest = Manifest {
                version: 1,
                area,
                number: *last,
                made: session.now,
                valid_until: publication.valid_until(),
                ended: Some(ended()?),
                files: Manifest::list(files),
            };
            let text = manifest.text();
            let jws = issuing.sign_statement(Manifest::TYPE, &text).into_bytes();
            (text, jws)
        }
    };
    let readers = behind.iter().filter(|place| !place.is_staging());
    let readers = readers.map(|place| place.to.path.as_path());
    done.owed.begin(&session.desk.home, readers)?;
    for place in behind {
        match place.to.write(files, &manifest, &jws) {
            Ok(()) if place.is_staging() => {}
            Ok(()) => done.changed.push(place.to.path.clone()),
            Err(error) if place.is_staging() => return Err(error.into()),
            Err(error) => done.failed.push((Shown(place.to.path.clone()), error)),
        }
    }
    done.written.push((area, *last));
    if area == Area::Server {
        numbers.server_manifest = Some(Sha256::digest(&manifest).into());
    }
    Ok(Key::Enough)
}
