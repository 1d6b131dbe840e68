//! Reads and signs the pin sets of the servers. They are signed anew only where a key was added or removed,
//! or half of their life is over.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::crl::next_number;
use super::targets::{Failed, Place, destinations};
use crate::ca::session::Session;
use crate::ca::{CaError, PublishingError, recording};
use crate::disk::Shown;
use crate::home::Home;
use crate::issuer::Devices;
use crate::model::{Fact, Host, Pin, PinSet, Server, Span, Time};
use crate::publish::{Area, BothForms, Hashes, Pins};

/// The pin sets that are published in the places, signed by our CA.
pub(in crate::ca) struct StandingPins {
    newest: Option<(Pins, BothForms)>,
    /// The pin sets of every place.
    all: Vec<(PathBuf, Pins)>,
    /// A place whose pin sets could not be read: they may be later than all others.
    unread: Option<Shown>,
}

impl StandingPins {
    /// Reads them in every place. What cannot be read as pin sets of ours is replaced.
    pub fn read(places: &[Place], failed: &[Failed]) -> Self {
        let mut newest: Option<(Pins, BothForms)> = None;
        let mut all = Vec::new();
        let mut unread = failed.first().map(|(place, _)| Shown(place.0.clone()));
        for place in places.iter().filter(|place| place.to.area == Area::Public) {
            let there = match place.to.pins() {
                Ok(there) => there,
                // A place that cannot be read is told when it cannot be written.
                Err(_) => {
                    unread.get_or_insert_with(|| Shown(place.to.path.clone()));
                    None
                }
            };
            let there = there.and_then(|statement| Some((Pins::read(&statement.0)?, statement)));
            all.extend(
                there
                    .as_ref()
                    .map(|(pins, _)| (place.to.path.clone(), pins.clone())),
            );
            if let Some((pins, statement)) = there
                && newest
                    .as_ref()
                    .is_none_or(|(newest, _)| newest.number < pins.number)
            {
                newest = Some((pins, statement));
            }
        }
        Self { newest, all, unread }
    }

    /// The pins that are published in this place.
    pub fn at(&self, place: &Path) -> Vec<Pin> {
        let of_place = self.all.iter().filter(|(other, _)| other == place);
        of_place
            .flat_map(|(_, pins)| pins.sets.iter().flat_map(pins_of))
            .collect()
    }

    /// The highest number of them.
    pub fn number(&self) -> Option<u64> {
        self.newest.as_ref().map(|(pins, _)| pins.number)
    }

    /// Whether they are later than what the ledger knows: a home from an older backup has lost a key that
    /// apps hold a server to.
    pub fn are_ahead(&self, session: &Session<'_>) -> Result<bool, CaError> {
        let known = session.store.last_pins()?.map(|last| last.number);
        if self.number() > known {
            return Ok(true);
        }
        // Numbers follow the time: a home that went on from an older backup may have passed them.
        let servers = session.store.known_servers()?;
        let mut all = self.all.iter();
        Ok(all.any(|(_, pins)| !unknown(pins, &servers, session.now).is_empty()))
    }

    /// The places that would lose pins which the ledger does not know, if `chosen` took the place of what
    /// they have: a home from an older backup signed it while they were out of pki.toml.
    pub fn losers(&self, session: &Session<'_>, chosen: Option<&BothForms>) -> Result<Vec<PathBuf>, CaError> {
        let servers = session.store.known_servers()?;
        let in_force = |pins: &Pins| unknown(pins, &servers, session.now);
        let kept = chosen
            .and_then(|(text, _)| Pins::read(text))
            .map_or(Vec::new(), |pins| in_force(&pins));
        let loses = |pins: &Pins| in_force(pins).iter().any(|pin| !kept.contains(pin));
        let losers = self.all.iter().filter(|(_, pins)| loses(pins));
        Ok(losers.map(|(place, _)| place.clone()).collect())
    }

    /// Makes sure that the pin sets of every place could be read. A place that could not be read may have
    /// pins that this home does not know, and new pin sets without them would withdraw them.
    ///
    /// # Errors
    /// Where a place could not be read.
    pub fn demand_read(self) -> Result<(), PublishingError> {
        match self.unread {
            None => Ok(()),
            Some(place) => Err(PublishingError::PinsUnread(place)),
        }
    }

    /// The pin sets to be published as they are; nothing where new ones must be signed, or there is nothing
    /// to publish.
    pub fn current(&self, session: &Session<'_>) -> Result<Standing, CaError> {
        if self.are_ahead(session)? {
            // Whatever the ledger says, it would take a pin from the apps whose key the server may be using.
            let newest = self.newest.clone();
            return Ok(newest.map_or(Standing::Due, |(_, statement)| Standing::Stands(statement)));
        }
        let wanted = sets(session)?;
        // Where there were some once, apps are to be told that there are none any more.
        if wanted.is_empty() && self.newest.is_none() {
            return Ok(Standing::None);
        }
        let known = session.store.last_pins()?.map(|last| last.number);
        let fresh = |pins: &Pins| {
            let half = Span::seconds((pins.exp - pins.iat) / 2);
            pins.made() <= session.now && session.now < pins.made() + half
        };
        let current = self
            .newest
            .as_ref()
            .filter(|(pins, _)| Some(pins.number) == known && pins.say_the_same_as(&wanted) && fresh(pins));
        let in_force = |(pins, _): &&(Pins, BothForms)| session.now < pins.expires();
        // What a place that cannot be read holds may be later: no pin is withdrawn before that is known.
        let waits = self.newest.as_ref().filter(|_| self.unread.is_some());
        let stands = current.or(waits.filter(in_force));
        Ok(stands.map_or(Standing::Due, |(_, statement)| {
            Standing::Stands(statement.clone())
        }))
    }

    /// Signs what the ledger says, and records that: only then may anybody see it.
    pub fn sign(&self, session: &mut Session<'_>, issuing: &Devices) -> Result<(u64, BothForms), CaError> {
        let known = session.store.last_pins()?.map(|last| last.number);
        let expires = session.now + session.desk.home.config().pin_life;
        let pins = Pins {
            version: 1,
            number: next_number(known.max(self.number()), session.now),
            iat: session.now.unix(),
            exp: expires.unix(),
            sets: sets(session)?,
        };
        let text = pins.text();
        let jws = issuing.sign_statement(Pins::TYPE, &text)?.into_bytes();
        let signed = Fact::PinsSigned {
            number: pins.number,
            expires,
            pins: pins.sets.iter().flat_map(pins_of).collect(),
            sha256: HEXLOWER.encode(&Sha256::digest(&text)),
        };
        session.commit(vec![signed]).map_err(recording("the pin sets"))?;
        Ok((pins.number, (text, jws)))
    }
}

/// The pin sets in the home's own publication.
///
/// # Errors
/// Where the home's own places cannot be read.
pub fn published_pins(home: &Home) -> Result<Option<Pins>, CaError> {
    let (places, failed) = destinations(home, &Hashes::default())?;
    let mut own = places.iter().filter(|place| place.is_staging());
    let Some(own) = own.find(|place| place.to.area == Area::Public) else {
        // The home's own come first.
        let mut failed = failed.into_iter();
        return failed.next().map_or(Ok(None), |(_, why)| Err(why.into()));
    };
    Ok(own.to.pins()?.and_then(|(text, _)| Pins::read(&text)))
}

/// Whether pin sets can be published as they are.
pub(in crate::ca) enum Standing {
    /// There is no server, and so there are no pin sets.
    None,
    /// They can be published as they are.
    Stands(BothForms),
    /// New ones must be signed.
    Due,
}

/// The pins in force that the ledger does not know, each with its host.
fn unknown(pins: &Pins, servers: &[Server], now: Time) -> Vec<(Host, Pin)> {
    let in_force = pins.sets.iter().filter(|set| now <= set.expires);
    let all = in_force.flat_map(|set| pins_of(set).map(|pin| (set.host.clone(), pin)));
    let is_known = |host: &Host, pin| {
        servers
            .iter()
            .any(|server| server.host == *host && server.knows(pin))
    };
    all.filter(|(host, pin)| !is_known(host, *pin)).collect()
}

/// The pins of every server that a statement has.
pub(in crate::ca) fn pins_in((text, _): &BothForms) -> Vec<Pin> {
    Pins::read(text).map_or(Vec::new(), |pins| pins.sets.iter().flat_map(pins_of).collect())
}

fn pins_of(set: &PinSet) -> impl Iterator<Item = Pin> {
    set.pins.iter().map(|pinned| pinned.pin)
}

/// The pin sets that apps are to hold each server to from now on, by the ledger.
fn sets(session: &Session<'_>) -> Result<Vec<PinSet>, CaError> {
    let config = session.desk.home.config();
    let expires = session.now + config.pin_life;
    let servers = session.store.known_servers()?;
    let set = |server: &Server| server.pin_set(session.now, config.pin_overlap, expires);
    Ok(servers.iter().filter_map(set).collect())
}
