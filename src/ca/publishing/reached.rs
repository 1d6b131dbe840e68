//! Records how long each server's pins have been published in each place, and so what an app that reads there
//! can know. The apps of a place that could not be written for a month know nothing of a key whose pin was
//! signed a month ago.
//!
//! The file is no part of the ledger, which says when a pin was signed. Where the file is lost, that time
//! counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::pin_sets::StandingPins;
use crate::ca::note;
use crate::disk::{DiskError, Shown};
use crate::home::Home;
use crate::model::{Pin, Time};
use crate::publish::Location;

/// The file in the home. Where there are no servers there is none.
const FILE: &str = "pins-reached.json";

/// The pins of one place, each with the time since which it is there; none for one that is there since it was
/// signed.
type Since = BTreeMap<Pin, Option<Time>>;

/// For each place, its pins and the time since which each is published there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ca) struct Reached {
    version: u32,
    places: BTreeMap<PathBuf, Since>,
}

/// A place that lacks a pin.
#[derive(Debug)]
pub(in crate::ca) struct Lacks(pub Shown);

impl Reached {
    /// Reads what is known of this home's places.
    pub fn by(home: &Home) -> Self {
        note::read(home, FILE).ok().flatten().unwrap_or_default()
    }

    /// Notes what came of bringing `pins` to the public places: whether each `has_them`, now or already.
    /// `before` is what stood there.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn note(
        home: &Home,
        pins: &[Pin],
        has_them: impl Fn(&Path) -> bool,
        before: &StandingPins,
        now: Time,
    ) -> Result<(), DiskError> {
        let known = Self::by(home);
        let mut reached = Self {
            version: 1,
            places: BTreeMap::new(),
        };
        let places: Vec<PathBuf> = public_places(home).collect();
        let left = known.places.iter().filter(|(place, _)| !places.contains(place));
        let former: Vec<&Since> = left.map(|(_, since)| since).collect();
        for place in places {
            let stood = before.at(&place);
            let of_place = match (known.places.get(&place), has_them(&place)) {
                (Some(since), true) => taken(pins, |pin| since.get(&pin).copied().unwrap_or(Some(now))),
                // Where nothing stood nobody can have read anything older, but where it took another's place.
                (None, true) => {
                    let is_new = |pin| !stood.is_empty() && !stood.contains(&pin);
                    let since = |pin| is_new(pin).then_some(now);
                    taken(pins, |pin| since(pin).max(Self::inherited(&former, pin, now)))
                }
                (Some(since), false) => since.clone(),
                (None, false) => taken(&stood, |_| None),
            };
            reached.places.insert(place, of_place);
        }
        if reached.places == known.places {
            return Ok(());
        }
        note::write(
            home,
            FILE,
            Some(&reached).filter(|reached| !reached.places.is_empty()),
        )
    }

    /// The time since which every place has this pin, as far as that is later than its signature. A place
    /// that has none of the host's pins holds nobody to any. One that has left pki.toml counts until the next
    /// publication: its apps go on with the place that replaced it.
    ///
    /// # Errors
    /// A place that has others of the host's pins, and not this one.
    pub fn since(&self, pin: Pin, of_host: &[Pin]) -> Result<Option<Time>, Lacks> {
        let mut latest = None;
        for (place, of_place) in &self.places {
            match of_place.get(&pin) {
                Some(since) => latest = latest.max(*since),
                None if of_host.iter().any(|other| of_place.contains_key(other)) => {
                    return Err(Lacks(Shown(place.clone())));
                }
                None => {}
            }
        }
        Ok(latest)
    }

    /// The time since which an app may know a pin that read in one of the places that are no longer in
    /// pki.toml.
    fn inherited(former: &[&Since], pin: Pin, now: Time) -> Option<Time> {
        let each = former
            .iter()
            .map(|since| since.get(&pin).copied().unwrap_or(Some(now)));
        each.max().flatten()
    }
}

fn public_places(home: &Home) -> impl Iterator<Item = PathBuf> {
    let tables = home.config().publish.iter();
    tables
        .filter_map(|table| table.public.as_ref())
        .map(Location::name)
}

fn taken(pins: &[Pin], since: impl Fn(Pin) -> Option<Time>) -> Since {
    pins.iter().map(|pin| (*pin, since(*pin))).collect()
}
