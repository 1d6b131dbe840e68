//! Brings the publication up to date with the ledger.

pub mod areas;
pub mod crl;
pub mod doubt;
pub mod lists;
pub mod error;
pub mod owed;
pub mod pending;
pub mod pin_sets;
pub mod published;
pub mod reached;
pub mod reconcile;
pub mod root_crl;
pub mod signed_before;
pub mod targets;

use std::cell::OnceCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::ends::Near;
use super::residence::Copied;
use super::session::Session;
use super::{CaError, PublishingError, recording};
use crate::disk::{DiskError, Shown};
use crate::home::Home;
use crate::home::config::{Config, PublishTo};
use crate::issuer::{self, Devices};
use crate::model::{Authority, Fact, Serial, Time};
use crate::publish::{Area, Hashes, Publication, Rejected, ServersPart, TargetError, Told};
use areas::{Key, Rounds};
use crl::{SignedCrl, sign_anew, wanted};
use doubt::Doubts;
use error::PUBLISHED;
use lists::{Extent, Purpose, accepted, remember, staging_has_short_lists};
use owed::{Following, Owed};
use pending::{Servers, look, material};
use pin_sets::{Standing, pins_in};
use published::{crl_path, published_crls};
use reached::Reached;
use reconcile::{Sources, Unknown, forgotten};
use targets::{Failed, Place, Role, destinations};

/// The outcome of a refresh.
#[derive(Debug)]
pub enum Refresh {
    /// Something must be signed, and no key was given. Nothing was published.
    NeedsKey,
    /// Every place has the publication, or is named with what went wrong there.
    Done(Box<Published>),
}

/// The result of a publication.
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
    /// The information that places had and the ledger may not have. It is reported until the operator says
    /// what it means.
    pub doubts: Doubts,
    /// Whether the operator has said by now that it means nothing.
    pub is_confirmed: bool,
    /// The reason for which nothing was published outside of the home, where it may be a copy of one that is
    /// in use.
    pub withheld: Option<Copied>,
    /// The certificates that expire soon or have expired, as far as `pki.toml` wants them reported. They are
    /// known where all records were read.
    pub(super) near: Option<Near>,
    /// The work that is still owed, from before as well.
    pub(super) owed: Owed,
    /// The places beside the home that were written.
    pub changed: Vec<PathBuf>,
    /// The commands of pki.toml to run now that these places were written, or that failed after an earlier
    /// write.
    pub commands: Vec<Following>,
    /// The places that could not be written.
    pub failed: Vec<(Shown, TargetError)>,
    /// Whether the lists of devices have become long: from now on there are short ones beside them.
    pub has_long_lists_now: bool,
    /// Whether the long lists of devices stay as they are until the next `pki publish`.
    pub leaves_long_lists: bool,
    /// The reason for which servers do not accept the root's CRL, where they do not.
    pub root_crl_unfit: Option<Rejected>,
    /// The end of the root's CRL.
    pub root_crl_end: Option<Time>,
    /// The validity of the issuing CA's CRL: its start and its end.
    pub issuing_crl: Option<(Time, Time)>,
    /// The number of the pin sets that were signed.
    pub pins: Option<u64>,
    /// The error for which it could not be noted which places have the pins.
    pub unnoted: Option<DiskError>,
    /// Whether the published pin sets are later than what the ledger knows. They are left as they are.
    pub pins_ahead: bool,
}

impl Published {
    /// This and what a first try had done before it, which is told as well.
    fn after(self, first: Self) -> Self {
        Self {
            written: [first.written, self.written].concat(),
            crl: first.crl.or(self.crl),
            adopted: first.adopted + self.adopted,
            recovered: [first.recovered, self.recovered].concat(),
            changed: [first.changed, self.changed].concat(),
            pins: first.pins.or(self.pins),
            ..self
        }
    }
}

/// The keys that are at hand to sign a publication with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keys<'a> {
    /// The issuing CA: its CRL, the manifests, the pin sets.
    pub issuing: Option<&'a Devices>,
    /// The servers' CA: its CRL.
    pub servers: Option<&'a issuer::Servers>,
}

impl<'a> From<&'a Devices> for Keys<'a> {
    fn from(issuing: &'a Devices) -> Self {
        Self {
            issuing: Some(issuing),
            servers: None,
        }
    }
}

/// Brings every place of the publication up to date. Signs a new CRL where an entry was added or removed or
/// half of the last one's life is over, and only then; what has not changed is not written. A CRL of the
/// servers' CA that is due waits for its key: it revokes nothing new.
///
/// # Errors
/// Where the publication cannot be made or does not pass its checks. A place that cannot be written is
/// reported in the outcome.
pub fn refresh(session: &mut Session<'_>, keys: Keys<'_>) -> Result<Refresh, CaError> {
    refresh_within(session, keys, Scope::default())
}

/// The scope of a refresh, beside the ledger and the places.
#[derive(Default)]
pub struct Scope<'a> {
    /// The one place to write, beside the home's own; none: all of them.
    pub only: Option<&'a Path>,
    /// The publications and CRLs that the operator hands in to be taken in.
    pub sources: Sources,
    /// Whether the operator says that places which have lost their publication do not mean that the home is
    /// from an older backup.
    pub is_current: bool,
    /// The extent to which the lists of devices are written.
    pub extent: Extent,
}

/// As [`refresh`], within a scope. The places that are not written are read all the same: a number that is
/// published anywhere is not used again.
///
/// # Errors
/// Where the publication cannot be made or does not pass its checks, and where pki.toml does not name the
/// place.
pub fn refresh_within(
    session: &mut Session<'_>,
    keys: Keys<'_>,
    scope: Scope<'_>,
) -> Result<Refresh, CaError> {
    let (only, is_current) = (scope.only, scope.is_current);
    let first = match refresh_once(session, keys, scope) {
        Ok(Refresh::Done(first)) if first.failed.iter().any(|(_, why)| why.is_gone()) => first,
        Err(CaError::Target(why)) if why.is_gone() => Box::default(),
        other => return other,
    };
    // A long list that was there a moment ago is written again, with all others: nobody who is locked out
    // waits for the next `pki publish`.
    let whole = Scope {
        only,
        is_current,
        extent: Extent::Whole,
        sources: Sources::default(),
    };
    Ok(match refresh_once(session, keys, whole)? {
        Refresh::Done(second) => Refresh::Done(Box::new(second.after(*first))),
        // What the first try has written is owed by now: whoever comes with the key, or without, runs it.
        Refresh::NeedsKey => Refresh::NeedsKey,
    })
}

fn refresh_once(session: &mut Session<'_>, keys: Keys<'_>, scope: Scope<'_>) -> Result<Refresh, CaError> {
    let Keys { issuing, servers } = keys;
    let Scope {
        only,
        sources,
        is_current,
        extent,
    } = scope;
    if let Some(only) = only {
        demand_target(session.desk.home.config(), only)?;
    }
    if issuing.is_none() && session.store.revoked_since_crl()? {
        return Ok(Refresh::NeedsKey);
    }
    let home = &session.desk.home;
    let hashes = extent.hashes(session)?;
    let (mut places, mut failed) = own_places(home, &hashes)?;
    failed.extend(forgotten(home, &session.store)?);
    let withheld = session.copied.clone();
    // A copy of a home looks at what the other has published, and writes nothing there.
    let is_meant = |directory: &Path| withheld.is_none() && only.is_none_or(|only| only == directory);
    let numbers = session.store.last_publication()?;
    places.extend(sources.places);
    let mut published = published_crls(home, &places)?;
    published.extend(sources.crls);
    let unknown = Unknown::find(session, &published, &places)?;
    let (adopted, recovered) = (unknown.revocations.len(), unknown.accepted());
    let leavers = unknown.leavers(session)?;
    let facts = unknown.facts(session)?;
    // What is taken in changes the lists, and so needs a signature.
    if issuing.is_none() && !facts.is_empty() {
        return Ok(Refresh::NeedsKey);
    }
    let before = Doubts::by(home);
    let mut doubts = before.clone();
    doubts.note(&places, |place| is_meant(&place.to.path), &numbers);
    doubts.left(leavers);
    // Before anything is recorded or written that would show no more what was there.
    if doubts != before && !is_current {
        doubts.save(home)?;
    }
    session
        .commit(facts)
        .map_err(recording("what was published elsewhere"))?;
    let noted = doubts.clone();
    let targets = places.iter().filter(|place| place.role == Role::Target);
    doubts.claims(session, targets.filter(|place| is_meant(&place.to.path)))?;
    if is_current {
        Doubts::default().save(home)?;
    } else if doubts != noted {
        doubts.save(home)?;
    }
    let seen = look(session, &places, &failed, published)?;
    failed.retain(|(Shown(directory), _)| is_meant(directory));
    let mut done = Published {
        adopted,
        recovered,
        doubts,
        is_confirmed: is_current,
        failed,
        pins_ahead: seen.standing_pins.are_ahead(session)?,
        withheld: withheld.clone(),
        ..Published::default()
    };

    let of_devices = seen.remembered.of_issuing(home.chain().ca());
    let previous = of_devices.standing.map(|terms| terms.this_update);
    let mut devices = match (seen.devices, issuing) {
        (Some(current), _) => current,
        (None, None) => return Ok(Refresh::NeedsKey),
        (None, Some(issuing)) => {
            let of = seen.remembered.of_issuing(home.chain().ca());
            sign_anew(session, of, |terms, list| issuing.sign_crl(terms, list))?
        }
    };
    let mut unrevoking = Vec::new();
    let servers = match (seen.servers, servers, issuing) {
        (Servers::Absent, ..) => None,
        (Servers::Current(part), ..) => Some(part),
        (Servers::Due(_), None, None) => return Ok(Refresh::NeedsKey),
        (Servers::Due(part), None, Some(_)) => {
            let of = home.servers().map(|chain| seen.remembered.of_servers(chain.ca()));
            unrevoking = unrevoked_by(session, &places, of, part.as_ref())?;
            part
        }
        (Servers::Due(_), Some(servers), _) => {
            let of = seen.remembered.of_servers(servers.chain().ca());
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
    let is_loser = |place: &Place| {
        let path = &place.to.path;
        place.role == Role::Target && (losers.contains(path) || unrevoking.contains(path))
    };
    let refused = places
        .iter()
        .filter(|place| is_loser(place) && is_meant(&place.to.path));
    let refused = refused.map(|place| {
        let path = place.to.path.clone();
        let why = match losers.contains(&path) {
            true => TargetError::UnknownPins,
            false => TargetError::ServersRevoked,
        };
        (Shown(path), why)
    });
    done.failed.extend(refused);
    let published_pins = seen.standing_pins.number();
    let pins_in_it = pins.as_ref().map(pins_in);
    let meant = |place: &&Place| place.role != Role::Target || is_meant(&place.to.path);
    let (accepted, near) = accepted(session, places.iter().filter(meant), extent, Purpose::Write)?;
    done.near = near;
    let is_long = accepted.is_long();
    done.leaves_long_lists = is_long.is_none();
    done.has_long_lists_now = is_long == Some(true) && !staging_has_short_lists(&places)?;
    let material = material(
        session,
        seen.root_crl,
        devices,
        servers,
        pins,
        published_pins,
        accepted,
    );
    let publication = Publication::build(material, &seen.remembered.published)?;
    done.root_crl_unfit = publication.root_crl_unfit();
    done.issuing_crl = Some(publication.issuing_crl());
    done.root_crl_end = Some(publication.root_crl_end());
    done.owed = Owed::by(&session.desk.home);
    let mut rounds = Rounds {
        session,
        publication: &publication,
        issuing,
        numbers,
        previous,
        ended: OnceCell::new(),
    };
    for area in [Area::Server, Area::Public] {
        let places: Vec<&Place> = places
            .iter()
            .filter(|place| place.to.area == area)
            .filter(|place| place.role != Role::Target || is_meant(&place.to.path))
            .filter(|place| !is_loser(place))
            .collect();
        match rounds.bring(area, &places, &mut done)? {
            Key::Missing => return Ok(Refresh::NeedsKey),
            Key::Enough => {}
        }
    }
    let numbers = rounds.numbers;
    if !done.written.is_empty() {
        let noted = done.doubts.clone();
        done.doubts.wrote(numbers.server);
        if done.doubts != noted && !is_current {
            done.doubts.save(&session.desk.home)?;
        }
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
        let fact = Fact::Published {
            public: numbers.public,
            server: numbers.server,
            targets,
            server_manifest: numbers.server_manifest.map(|sha256| HEXLOWER.encode(&sha256)),
        };
        session.commit(vec![fact]).map_err(recording(PUBLISHED))?;
    }
    remember(session, &publication, is_long, &hashes);
    let is_behind = |place: &Path| done.failed.iter().any(|(Shown(failed), _)| failed == place);
    if let (Some(pins), None) = (&pins_in_it, &withheld) {
        let has_them = |place: &Path| is_meant(place) && !is_behind(place);
        done.unnoted = Reached::note(
            &session.desk.home,
            pins,
            has_them,
            &seen.standing_pins,
            session.now,
        )
        .err();
    }
    done.commands = done.owed.commands(session.desk.home.config(), |place| {
        is_meant(place) && !is_behind(place)
    });
    Ok(Refresh::Done(Box::new(done)))
}

/// The places where a server's certificate is taken back that this older CRL of the servers' CA lets in: one
/// that does not waits for that CA's key, and until then what stands there stays.
fn unrevoked_by(
    session: &Session<'_>,
    places: &[Place],
    of: Option<crl::Published<'_>>,
    part: Option<&ServersPart<'_>>,
) -> Result<Vec<PathBuf>, CaError> {
    let (Some(of), Some(part)) = (of, part) else {
        return Ok(Vec::new());
    };
    let mut missing: HashSet<Serial> = wanted(session, of)?.iter().map(|one| one.serial).collect();
    for revocation in &part.revoked {
        missing.remove(&revocation.serial);
    }
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let takes_back = |place: &&Place| {
        // A place that cannot be read is told when it cannot be written.
        let there = place.to.crl(crl_path(Authority::Servers), &[]).ok().flatten();
        let there = there.and_then(|der| published::Standing::of(Authority::Servers, of.issuer, der));
        there.is_some_and(|standing| standing.revokes_any(&missing))
    };
    let public = |place: &&Place| place.role == Role::Target && place.to.area == Area::Public;
    let places = places.iter().filter(public).filter(takes_back);
    Ok(places.map(|place| place.to.path.clone()).collect())
}

/// The places of the publication. A place where another CA of the root has published is not one of this
/// home's.
pub(super) fn own_places(home: &Home, hashes: &Hashes) -> Result<(Vec<Place>, Vec<Failed>), CaError> {
    let (places, mut failed) = destinations(home, hashes)?;
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

fn demand_target(config: &Config, directory: &Path) -> Result<(), CaError> {
    let mut named = config.publish.iter().flat_map(PublishTo::places);
    if named.any(|named| named.name() == directory) {
        Ok(())
    } else {
        Err(PublishingError::NoTarget(Shown(directory.to_owned())).into())
    }
}
