//! Finds out which parts of the publication are due, without changing anything.

use std::sync::Arc;

use super::crl::{Current, current};
use super::history;
use super::lists::{Extent, Purpose, accepted};
use super::own_places;
use super::pin_sets::{Standing, StandingPins};
use super::published::{self, crl_path, published_crls, root_crl};
use super::reconcile::{Remembered, Sources, Unknown, forgotten};
use super::targets::{Failed, Place, Role, destinations};
use crate::ca::session::Session;
use crate::ca::{CaError, PublishingError};
use crate::disk::Shown;
use crate::model::Authority;
use crate::publish::{
    AcceptedLists, Area, BothForms, Hashes, Material, Publication, ServersPart, Stray, TargetError,
};
use crate::x509::crl::Crl;

/// The files that are installed in the places, and which of them can be published as they are.
pub(in crate::ca) struct Look<'a> {
    /// The root's CRL.
    pub root_crl: Arc<Vec<u8>>,
    /// The CRLs that are installed.
    pub remembered: Remembered,
    /// The pin sets that are published.
    pub standing_pins: StandingPins,
    /// What is signed, as far as it is not due.
    pub signed: SignedParts<'a>,
}

/// The parts of a publication that are signed, as far as they can be published as they are.
pub(in crate::ca) struct SignedParts<'a> {
    /// The devices' CRL; none where a new one must be signed.
    pub devices: Option<Current>,
    /// The publication's part of the servers' CA.
    pub servers: Servers<'a>,
    /// The pin sets.
    pub pins: Standing,
}

/// Looks at the CRLs that were found `published`, and at the pin sets.
///
/// # Errors
/// Where the ledger or the root's CRL cannot be read.
pub(in crate::ca) fn look<'a>(
    session: &Session<'a>,
    places: &[Place],
    failed: &[Failed],
    published: Vec<published::Standing>,
) -> Result<Look<'a>, CaError> {
    let root_crl = root_crl(&session.desk.home, session.now, &published)?;
    let of_servers = published
        .iter()
        .filter(|standing| standing.authority == Authority::Servers)
        .max_by_key(|standing| standing.terms.number)
        .map(|standing| standing.der.clone());
    let remembered = Remembered::of(published);
    let devices = remembered.of_issuing(session.desk.home.chain().ca());
    let standing_pins = StandingPins::read(places, failed);
    Ok(Look {
        root_crl,
        signed: SignedParts {
            devices: current(session, devices, own_crl(places, Authority::Issuing))?,
            servers: servers_part(session, places, &remembered, of_servers)?,
            pins: standing_pins.current(session)?,
        },
        standing_pins,
        remembered,
    })
}

/// Assembles everything that a publication is made of.
pub(in crate::ca) fn material<'a>(
    session: &Session<'a>,
    root_crl: Arc<Vec<u8>>,
    devices: Current,
    servers: Option<ServersPart<'a>>,
    (pins, published_pins): (Option<BothForms>, Option<u64>),
    accepted: AcceptedLists,
    places: &[Place],
) -> Material<'a> {
    Material {
        chain: session.desk.home.chain(),
        root_crl,
        issuing_crl: devices.der,
        revoked: devices.revoked.into(),
        servers,
        pins,
        published_pins,
        accepted,
        history: history::standing(places),
        now: session.now,
    }
}

/// A reason why the publication is not what the ledger says.
#[derive(Debug, thiserror::Error)]
pub enum Behind {
    /// Something is due, or differs.
    #[error("{0}")]
    Content(String),
    /// A place is not to be had: that must be mended before anything is published there.
    #[error("{0}: {1}")]
    Place(Shown, TargetError),
}

/// The reasons for which the publication is not what the ledger says; an empty list where it is. Nothing is
/// changed.
///
/// # Errors
/// Where the ledger or the home cannot be read.
pub fn behind(session: &Session<'_>) -> Result<Vec<Behind>, CaError> {
    behind_within(session, Sources::default(), Extent::Changes)
}

/// As [`behind`], taking into account what is handed in, and lists of this extent.
///
/// # Errors
/// Where the ledger or the home cannot be read.
pub fn behind_within(
    session: &Session<'_>,
    sources: Sources,
    extent: Extent,
) -> Result<Vec<Behind>, CaError> {
    let home = &session.desk.home;
    let (mut places, failed) = own_places(home, &Extent::Whole.hashes(session)?)?;
    places.extend(sources.places);
    let mut published = published_crls(home, &places);
    published.extend(sources.crls);
    let unknown = Unknown::find(session, &published, &places)?;
    let mut reasons = lost(&unknown);
    let mut and = |reason: &str| {
        reasons.push(Behind::Content(reason.to_owned()));
        std::mem::take(&mut reasons)
    };
    let seen = look(session, &places, &failed, published)?;
    let Some(devices) = seen.signed.devices else {
        return Ok(and("a new CRL is due"));
    };
    let servers = match seen.signed.servers {
        Servers::Absent => None,
        Servers::Current(part) => Some(part),
        Servers::Due(_) => return Ok(and("a new CRL of the servers' CA is due")),
    };
    let pins = match seen.signed.pins {
        Standing::None => None,
        Standing::Stands(statement) => Some(statement),
        Standing::Due => return Ok(and("new pin sets are due")),
    };
    let losers = seen.standing_pins.losers(session, pins.as_ref())?;
    let published_pins = seen.standing_pins.number();
    let (accepted, _) = accepted(session, &places, extent, Purpose::Compare)?;
    let material = material(
        session,
        seen.root_crl,
        devices,
        servers,
        (pins, published_pins),
        accepted,
        &places,
    );
    let publication = Publication::build(material, &[])?;
    // Where another CA publishes, this home has nothing to bring up to date.
    let failed = failed
        .into_iter()
        .filter(|(_, error)| !matches!(error, TargetError::OtherCa(_) | TargetError::OtherHalf { .. }));
    reasons.extend(failed.map(|(place, error)| Behind::Place(place, error)));
    for place in places.iter().filter(|place| place.role != Role::Source) {
        let path = Shown(place.to.path.clone());
        if !place.is_staging() && losers.contains(&place.to.path) {
            reasons.push(Behind::Place(path, TargetError::UnknownPins));
            continue;
        }
        let ends = place
            .to
            .manifest()
            .map(|manifest| manifest.map(|manifest| manifest.valid_until));
        let holds = place.to.holds(publication.files(place.to.area));
        match holds.and_then(|holds| Ok(holds && ends? == Some(publication.valid_until()))) {
            Ok(true) => {}
            Ok(false) => reasons.push(Behind::Content(format!("{path} differs"))),
            Err(error) => reasons.push(Behind::Place(path, error)),
        }
    }
    Ok(reasons)
}

/// Makes sure that the ledger knows every pin in force that is published anywhere, dropped and retired ones
/// included, so that signing new pin sets withdraws no pin by accident.
///
/// # Errors
/// Where published pin sets are later than what the ledger knows, a place cannot be read, or the ledger
/// cannot be read.
pub(in crate::ca) fn demand_known_pins(session: &Session<'_>) -> Result<(), CaError> {
    let (places, failed) = destinations(&session.desk.home, &Hashes::default())?;
    let standing = StandingPins::read(&places, &failed);
    if standing.are_ahead(session)? {
        return Err(PublishingError::PinsAhead.into());
    }
    Ok(standing.demand_read()?)
}

/// Whether pin sets are installed anywhere that are later than what the ledger knows.
///
/// # Errors
/// Where the home cannot be read.
pub fn pins_are_ahead(session: &Session<'_>) -> Result<bool, CaError> {
    let (places, failed) = destinations(&session.desk.home, &Hashes::default())?;
    StandingPins::read(&places, &failed).are_ahead(session)
}

/// The published certificates and revocations that the ledger does not know, in words.
fn lost(unknown: &Unknown) -> Vec<Behind> {
    let accepted = unknown.certificates.iter().map(|told| {
        format!(
            "it tells servers to accept {} of {}, which the ledger does not know: the ledger is the older one",
            told.serial, told.address
        )
    });
    let revoked = match unknown.revocations.len() {
        0 => None,
        count => Some(format!(
            "it revokes {count} that the ledger does not know as revoked, or not for that reason: the ledger is the older one"
        )),
    };
    revoked.into_iter().chain(accepted).map(Behind::Content).collect()
}

/// The places that hold the publication of another devices' CA, or the other area of this one, each with what
/// is there.
pub fn foreign(session: &Session<'_>) -> Vec<(Shown, TargetError)> {
    let (places, _) = destinations(&session.desk.home, &Hashes::default()).unwrap_or_default();
    let foreign = places
        .iter()
        .filter_map(|place| Some((Shown(place.to.path.clone()), place.to.demand_own().err()?)));
    foreign.collect()
}

/// The places that `pki.toml` named once, where it names none and does not say so.
pub fn places_forgotten(session: &Session<'_>) -> Option<(Shown, TargetError)> {
    forgotten(&session.desk.home, &session.store).ok().flatten()
}

/// The places that cannot be written as they are, and why: found before something must be published there.
pub fn unwritable(session: &Session<'_>) -> Vec<(Shown, TargetError)> {
    let (places, _) = destinations(&session.desk.home, &Hashes::default()).unwrap_or_default();
    let refused = places
        .iter()
        .filter_map(|place| Some((Shown(place.to.path.clone()), place.to.demand_writable().err()?)));
    refused.collect()
}

/// The files in a directory of the publication, in the home or elsewhere, that do not belong there. A place
/// that cannot be read is reported when it cannot be written.
pub fn strays(session: &Session<'_>) -> Vec<Stray> {
    let (places, _) = destinations(&session.desk.home, &Hashes::default()).unwrap_or_default();
    let strays = places.iter().flat_map(|place| place.to.strays());
    strays.flatten().collect()
}

/// The part of the servers' CA in the publication.
pub(in crate::ca) enum Servers<'a> {
    /// There is no such CA.
    Absent,
    /// This part, as it is.
    Current(ServersPart<'a>),
    /// A new CRL must be signed; this, the newest that stands anywhere, can be published until then.
    Due(Option<ServersPart<'a>>),
}

fn servers_part<'a>(
    session: &Session<'a>,
    places: &[Place],
    remembered: &Remembered,
    newest: Option<Vec<u8>>,
) -> Result<Servers<'a>, CaError> {
    let Some(chain) = session.desk.home.servers() else {
        return Ok(Servers::Absent);
    };
    let own = own_crl(places, Authority::Servers);
    let of = remembered.of_servers(chain.ca());
    if let Some(Current {
        der: crl, revoked, ..
    }) = current(session, of, own)?
    {
        return Ok(Servers::Current(ServersPart { chain, crl, revoked }));
    }
    // A home from an older backup takes over what was published since: whoever is revoked meanwhile does not
    // wait for the servers' key.
    let standing = newest.and_then(|crl| {
        let entries = Crl::parse(&crl).ok()?.entries();
        let revoked = entries.collect::<Result<Vec<_>, _>>().ok()?;
        let crl = crl.into();
        Some(ServersPart { chain, crl, revoked })
    });
    Ok(Servers::Due(standing))
}

/// An authority's CRL in the home's own public half. What cannot be read is not there: it is signed anew, and
/// told where it cannot be written.
fn own_crl(places: &[Place], authority: Authority) -> Option<Vec<u8>> {
    let own = places
        .iter()
        .find(|place| place.is_staging() && place.to.area == Area::Public);
    own.and_then(|place| place.to.crl(crl_path(authority), &[]).ok().flatten())
}
