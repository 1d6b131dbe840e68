//! One round of a refresh: what the places know is taken in, what is due is signed, the publication is built,
//! checked and written, and the ledger notes where it is.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::areas::{Key, Rounds};
use super::crl::{self, Current, sign_anew, wanted};
use super::doubt::Doubts;
use super::error::PUBLISHED;
use super::lists::{Purpose, accepted, remember, staging_has_short_lists};
use super::owed::Owed;
use super::pending::{Servers, SignedParts, look, material};
use super::pin_sets::{Standing, StandingPins, pins_in};
use super::published::{self, crl_path, published_crls};
use super::reached::Reached;
use super::reconcile::{Remembered, Unknown, forgotten};
use super::restored::{GivenUp, reconciled};
use super::targets::{Place, Role};
use super::{Keys, Published, Refresh, Scope, demand_target, own_places};
use crate::ca::enrollment::all_open_invites;
use crate::ca::enrollment::handout::{discard, end_handouts, ended};
use crate::ca::session::Session;
use crate::ca::{CaError, recording};
use crate::disk::Shown;
use crate::home::Home;
use crate::model::{Authority, Fact, Host, InviteId, Serial};
use crate::publish::{Area, BothForms, Publication, ServersPart, TargetError, Told};
use crate::store::LastPublication;

/// As [`super::refresh_within`], but for the second try: a long list that is to stay as it was and is gone
/// meanwhile is an error, of the whole or of its place.
pub(super) fn refresh_once(
    session: &mut Session<'_>,
    keys: Keys<'_>,
    scope: Scope<'_>,
) -> Result<Refresh, CaError> {
    let Scope {
        only,
        sources,
        is_current,
        given_up,
        extent,
    } = scope;
    if session.unreconciled.is_some() && !session.desk.reconciles {
        // What is recorded goes out once it is known what happened since the backup.
        return Ok(Refresh::Done(Box::new(Published {
            unreconciled: session.unreconciled,
            ..Published::default()
        })));
    }
    if let Some(only) = only {
        demand_target(session.desk.home.config(), only)?;
    }
    // What nobody has fetched in time goes onto the CRL that follows.
    end_handouts(session)?;
    if keys.issuing.is_none() && session.store.revoked_since_crl()? {
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
    let mut published = published_crls(home, &places);
    published.extend(sources.crls);
    let unknown = Unknown::find(session, &published, &places)?;
    let given_up = GivenUp {
        places: given_up,
        is_current,
    };
    let reconciled = reconciled(session, &places, &failed, given_up)?;
    let around = Around {
        places: &places,
        is_meant: &is_meant,
        numbers: &numbers,
        given_up,
        reconciled: reconciled.as_ref(),
    };
    let Some(taken) = around.take_in(session, keys, unknown)? else {
        return Ok(Refresh::NeedsKey);
    };
    let seen = look(session, &places, &failed, published)?;
    failed.retain(|(Shown(directory), _)| is_meant(directory));
    let mut done = Published {
        adopted: taken.adopted,
        given_up: taken.given_up,
        recovered: taken.recovered,
        invites: taken.invites,
        doubts: taken.doubts,
        is_confirmed: is_current,
        failed,
        pins_ahead: seen.standing_pins.are_ahead(session)?,
        withheld: withheld.clone(),
        reconciled: reconciled.clone(),
        ..Published::default()
    };
    let of_devices = seen.remembered.of_issuing(home.chain().ca());
    let previous = of_devices.standing.map(|terms| terms.this_update);
    let Some(mut parts) = sign(
        session,
        keys,
        &places,
        seen.signed,
        &seen.remembered,
        &seen.standing_pins,
    )?
    else {
        return Ok(Refresh::NeedsKey);
    };
    done.pins = parts.pins_number;
    done.crl = parts.devices.signed.take();
    let losers = seen.standing_pins.losers(session, parts.pins.as_ref())?;
    // What stands there says more than what would be written.
    let stays = |place: &Place| {
        let path = &place.to.path;
        match place.role {
            Role::Target if losers.contains(path) => Some(TargetError::UnknownPins),
            Role::Target if parts.unrevoking.contains(path) => Some(TargetError::ServersRevoked),
            Role::Staging | Role::Target | Role::Source => None,
        }
    };
    let meant: Vec<&Place> = around.meant().collect();
    let refused = meant
        .iter()
        .filter_map(|place| Some((Shown(place.to.path.clone()), stays(place)?)));
    done.failed.extend(refused);
    let to_write: Vec<&Place> = meant
        .iter()
        .copied()
        .filter(|place| stays(place).is_none())
        .collect();
    let (accepted, near) = accepted(session, meant.iter().copied(), extent, Purpose::Write)?;
    done.near = near;
    let is_long = accepted.is_long();
    done.leaves_long_lists = is_long.is_none();
    let had = staging_has_short_lists(&places);
    done.has_long_lists_now = is_long == Some(true) && had.is_ok_and(|had| !had);
    let pins_in_it = parts.pins.as_ref().map(pins_in);
    let material = material(
        session,
        seen.root_crl,
        parts.devices,
        parts.servers,
        (parts.pins, seen.standing_pins.number()),
        accepted,
        &places,
    );
    let publication = Publication::build(material, &seen.remembered.published)?;
    done.root_crl_unfit = publication.root_crl_unfit();
    done.issuing_crl = Some(publication.issuing_crl());
    done.root_crl_end = Some(publication.root_crl_end());
    done.owed = Owed::by(&session.desk.home);
    let mut rounds = Rounds {
        session,
        publication,
        places: &places,
        issuing: keys.issuing,
        numbers: numbers.clone(),
        previous,
        ended: OnceCell::new(),
    };
    for area in [Area::Server, Area::Public] {
        let of_area = to_write.iter().copied().filter(|place| place.to.area == area);
        match rounds.bring(area, &of_area.collect::<Vec<_>>(), &mut done)? {
            Key::Missing => return Ok(Refresh::NeedsKey),
            Key::Enough => {}
        }
    }
    let Rounds {
        publication,
        numbers: written,
        ..
    } = rounds;
    around.record(session, &mut done, &written)?;
    remember(session, &publication, is_long, &hashes);
    let is_behind = |place: &Path| done.failed.iter().any(|(Shown(failed), _)| failed == place);
    let is_done = |place: &Path| is_meant(place) && !is_behind(place);
    if let (Some(pins), None) = (&pins_in_it, &withheld) {
        let noted = Reached::note(
            &session.desk.home,
            pins,
            is_done,
            &seen.standing_pins,
            session.now,
        );
        done.unnoted = noted.err();
    }
    done.commands = done.owed.commands(session.desk.home.config(), is_done);
    Ok(Refresh::Done(Box::new(done)))
}

/// The places of a round, and what holds for all of it.
struct Around<'a> {
    places: &'a [Place],
    /// Whether the place in this directory is written.
    is_meant: &'a dyn Fn(&Path) -> bool,
    /// The numbers that were published last.
    numbers: &'a LastPublication,
    /// What the operator says of the home and of places that cannot be read.
    given_up: GivenUp<'a>,
    /// That a restored home is reconciled with what is taken in.
    reconciled: Option<&'a Fact>,
}

/// What was taken in from the places.
struct Taken {
    /// Certificates that only a published CRL knew as revoked.
    adopted: usize,
    /// Servers' certificates whose keys are given up, which only a published CRL knew.
    given_up: Vec<(Serial, Option<Host>)>,
    /// Certificates that only a published list knew.
    recovered: Vec<Told>,
    /// The invites that were open, and may have been used or taken back in what was lost: they are cancelled.
    invites: Vec<InviteId>,
    doubts: Doubts,
}

impl Around<'_> {
    /// The places that are written, or read only.
    fn meant(&self) -> impl Iterator<Item = &Place> {
        let is_meant = |place: &&Place| place.role != Role::Target || (self.is_meant)(&place.to.path);
        self.places.iter().filter(is_meant)
    }

    /// The places beside the home that are written.
    fn targets(&self) -> impl Iterator<Item = &Place> {
        self.meant().filter(|place| place.role == Role::Target)
    }

    /// Records what the places know and the ledger does not, and notes what is in doubt. None where there is
    /// no key: what is taken in changes the lists, and so needs a signature.
    fn take_in(
        &self,
        session: &mut Session<'_>,
        keys: Keys<'_>,
        unknown: Unknown,
    ) -> Result<Option<Taken>, CaError> {
        let home = &session.desk.home;
        let (adopted, recovered) = (unknown.revocations.len(), unknown.accepted());
        let given_up = unknown.given_up();
        let leavers = unknown.leavers(session)?;
        let mut facts = unknown.facts(session)?;
        facts.extend(self.reconciled.cloned());
        let mut invites = Vec::new();
        if !facts.is_empty() {
            // A ledger that lacks certificates lacks what has become of invites as well; and of invites
            // nothing is published, so that a restored home always does.
            let open = all_open_invites(&session.store, session.clock.earliest())?;
            invites = open.into_iter().map(|invite| invite.id).collect();
            facts.extend(ended(&session.store, &invites)?);
        }
        if keys.issuing.is_none() && !facts.is_empty() {
            return Ok(None);
        }
        let before = Doubts::by(home);
        let mut doubts = before.clone();
        doubts.note(self.places, |place| (self.is_meant)(&place.to.path), self.numbers);
        doubts.give_up(self.given_up.places);
        doubts.left(leavers);
        // Before anything is recorded or written that would show no more what was there.
        if doubts != before && !self.given_up.is_current {
            doubts.save(home)?;
        }
        session
            .commit(facts)
            .map_err(recording("what was published elsewhere"))?;
        if self.reconciled.is_some() {
            session.unreconciled = None;
        }
        discard(home, &invites);
        let noted = doubts.clone();
        doubts.claims(session, self.targets())?;
        if self.given_up.is_current {
            Doubts::default().save(home)?;
        } else if doubts != noted {
            doubts.save(home)?;
        }
        Ok(Some(Taken {
            adopted,
            given_up,
            recovered,
            invites,
            doubts,
        }))
    }

    /// Records what was written, and where.
    fn record(
        &self,
        session: &mut Session<'_>,
        done: &mut Published,
        numbers: &LastPublication,
    ) -> Result<(), CaError> {
        if done.written.is_empty() {
            return Ok(());
        }
        let noted = done.doubts.clone();
        done.doubts.wrote(numbers.server);
        if done.doubts != noted && !self.given_up.is_current {
            done.doubts.save(&session.desk.home)?;
        }
        let failed: HashSet<String> = done.failed.iter().map(|(place, _)| place.to_string()).collect();
        let targets = self.targets().map(|place| place.to.path.display().to_string());
        let fact = Fact::Published {
            public: numbers.public,
            server: numbers.server,
            targets: targets.filter(|target| !failed.contains(target)).collect(),
            server_manifest: numbers.server_manifest.map(|sha256| HEXLOWER.encode(&sha256)),
        };
        session.commit(vec![fact]).map_err(recording(PUBLISHED))
    }
}

/// The signed parts of a publication, all of them there.
struct Parts<'a> {
    devices: Current,
    servers: Option<ServersPart<'a>>,
    /// The places that keep a CRL of the servers' CA which revokes more.
    unrevoking: Vec<PathBuf>,
    pins: Option<BothForms>,
    /// The number of the pin sets, where they were signed just now.
    pins_number: Option<u64>,
}

/// Signs what is due. None where the key for it is missing.
fn sign<'a>(
    session: &mut Session<'a>,
    keys: Keys<'_>,
    places: &[Place],
    signed: SignedParts<'a>,
    remembered: &Remembered,
    standing_pins: &StandingPins,
) -> Result<Option<Parts<'a>>, CaError> {
    let home: &'a Home = &session.desk.home;
    let devices = match (signed.devices, keys.issuing) {
        (Some(current), _) => current,
        (None, None) => return Ok(None),
        (None, Some(issuing)) => {
            let of = remembered.of_issuing(home.chain().ca());
            sign_anew(session, of, |terms, list| issuing.sign_crl(terms, list))?
        }
    };
    let mut unrevoking = Vec::new();
    let servers = match (signed.servers, keys.servers, keys.issuing) {
        (Servers::Absent, ..) => None,
        (Servers::Current(part), ..) => Some(part),
        (Servers::Due(_), None, None) => return Ok(None),
        (Servers::Due(part), None, Some(_)) => {
            let of = home.servers().map(|chain| remembered.of_servers(chain.ca()));
            unrevoking = unrevoked_by(session, places, of, part.as_ref())?;
            part
        }
        (Servers::Due(_), Some(servers), _) => {
            let of = remembered.of_servers(servers.chain().ca());
            let signed = sign_anew(session, of, |terms, list| servers.sign_crl(terms, list))?;
            home.servers().map(|chain| ServersPart {
                chain,
                crl: signed.der,
                revoked: signed.revoked,
            })
        }
    };
    let (pins, pins_number) = match (signed.pins, keys.issuing) {
        (Standing::None, _) => (None, None),
        (Standing::Stands(statement), _) => (Some(statement), None),
        (Standing::Due, None) => return Ok(None),
        (Standing::Due, Some(issuing)) => {
            let (number, statement) = standing_pins.sign(session, issuing)?;
            (Some(statement), Some(number))
        }
    };
    Ok(Some(Parts {
        devices,
        servers,
        unrevoking,
        pins,
        pins_number,
    }))
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
