//! Keeps a list of doubts: what a place of the publication may have known, the ledger does not know, and no
//! signature proves. The doubts concern places that have lost their publication, and lists that nobody has
//! signed. None of it is trusted, and all of it is reported until the operator has said what it means.
//!
//! A home from an older backup writes such a place like any other, because servers need its CRL. Nobody could
//! find out afterwards what was there, so it is noted first, in a file of the home. The file is no part of
//! the ledger, which says what is true.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::targets::{Place, Role};
use crate::ca::CaError;
use crate::ca::note;
use crate::ca::session::Session;
use crate::disk::{DiskError, Shown};
use crate::home::Home;
use crate::home::config::PublishTo;
use crate::model::Employee;
use crate::publish::{Area, Claim};
use crate::store::LastPublication;

/// The file in the home. Where nothing is in doubt there is none.
const FILE: &str = "doubts.json";
/// The version of its format.
const VERSION: u32 = 1;
/// The most claims that are noted: whoever may write to a place may make up as many as they like.
const MOST_CLAIMS: usize = 10_000;

/// The list of what is in doubt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubts {
    version: u32,
    /// Places that may hold more than this ledger knows: the publication written to them is gone; or their
    /// manifest is later than the ledger and files of it are damaged or missing; or it is a public half later
    /// than the ledger, and no complete servers' half lists the certificates issued since.
    #[serde(default)]
    emptied: BTreeSet<PathBuf>,
    /// Claims about certificates that lists without a signature make, and the ledger does not.
    #[serde(default)]
    unsigned: BTreeSet<Unsigned>,
    /// Employees whose certificates were taken in as revoked because they left: no CRL says whether they are
    /// offboarded.
    #[serde(default)]
    leavers: BTreeSet<Employee>,
    /// The numbers of the servers' halves that this home has written since places are in doubt, and of the
    /// last one before. What has one of these numbers tells nothing new.
    #[serde(default)]
    own: BTreeSet<u64>,
}

/// A line of a list that nobody has signed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unsigned {
    /// The place where the list was found.
    pub place: PathBuf,
    /// The claim of the line.
    pub says: Claim,
}

impl fmt::Display for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = Shown(self.place.clone());
        match &self.says {
            Claim::Accepted(serial, address) => write!(f, "{place} accepted {serial} of {address}"),
            Claim::Revoked(serial) => write!(f, "{place} revoked {serial}"),
        }
    }
}

impl Doubts {
    /// The doubts of this home. Where the file cannot be read, every place is in doubt: better asked once
    /// more than never.
    pub fn by(home: &Home) -> Self {
        let mut doubts: Self = match note::read(home, FILE) {
            Ok(None) => return Self::default(),
            Ok(Some(doubts)) => doubts,
            Err(note::Unreadable) => Self::all(home),
        };
        if doubts.version != VERSION {
            doubts = Self::all(home);
        }
        // Where nobody can tell what pki.toml names, what was in doubt stays so.
        if home.unread().is_none() {
            let named = Self::all(home).emptied;
            doubts.emptied.retain(|place| named.contains(place));
        }
        doubts
    }

    /// The doubts of this home, without those that the ledger has settled since.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn standing(session: &Session<'_>) -> Result<Self, CaError> {
        let mut doubts = Self::by(&session.desk.home);
        doubts.settle(session)?;
        Ok(doubts)
    }

    fn all(home: &Home) -> Self {
        let places = home.config().publish.iter().flat_map(PublishTo::places);
        Self {
            emptied: places.map(|place| place.name()).collect(),
            ..Self::default()
        }
    }

    /// The places that had lost their publication, or had one later than the ledger.
    pub fn emptied(&self) -> Vec<Shown> {
        self.emptied.iter().cloned().map(Shown).collect()
    }

    /// The claims of lists that nobody has signed.
    pub fn unsigned(&self) -> impl ExactSizeIterator<Item = &Unsigned> {
        self.unsigned.iter()
    }

    /// The employees who were locked out because they left, and are not offboarded in this ledger.
    pub fn leavers(&self) -> impl ExactSizeIterator<Item = &Employee> {
        self.leavers.iter()
    }

    /// All doubts in words: places, the claims of unsigned lists, employees.
    pub fn names(&self) -> Vec<String> {
        let places = self.emptied().into_iter().map(|place| place.to_string());
        let claims = self.unsigned.iter().map(ToString::to_string);
        let leavers = self.leavers.iter().map(ToString::to_string);
        places.chain(claims).chain(leavers).collect()
    }

    /// Notes the places that may have published something that this ledger does not know, before they are
    /// overwritten. Where the caller handed in a servers' half that is later than all that this home has
    /// written, that half answers the question, and no place is in doubt any longer.
    pub(in crate::ca) fn note(
        &mut self,
        places: &[Place],
        is_meant: impl Fn(&Place) -> bool,
        last: &LastPublication,
    ) {
        if self.emptied.is_empty() {
            self.own.insert(last.server);
        }
        let known = self.own.first().copied().unwrap_or_default();
        let is_new = |number: u64| number > known && !self.own.contains(&number);
        let of_servers = places
            .iter()
            .filter(|place| place.role == Role::Source && place.to.area == Area::Server);
        if of_servers.filter_map(number).any(is_new) {
            self.emptied.clear();
        } else {
            self.emptied.extend(emptied(places, &is_meant, last));
            self.emptied.extend(later(places, last));
        }
        if self.emptied.is_empty() {
            self.own.clear();
        }
    }

    /// Strikes out the places whose knowledge the operator has given up by name.
    pub(in crate::ca) fn give_up(&mut self, places: &[String]) {
        self.emptied
            .retain(|place| !places.contains(&place.display().to_string()));
    }

    /// Notes whose certificates are taken in as revoked for having left.
    pub(in crate::ca) fn left(&mut self, leavers: BTreeSet<Employee>) {
        self.leavers.extend(leavers);
    }

    /// Notes what lists in these places say that nobody has signed. What the ledger knows by now is in doubt
    /// no more.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub(in crate::ca) fn claims<'p>(
        &mut self,
        session: &Session<'_>,
        targets: impl Iterator<Item = &'p Place>,
    ) -> Result<(), CaError> {
        for place in targets.filter(|place| place.to.area == Area::Server) {
            // Of one that is in doubt all is noted.
            let all = self.emptied.contains(&place.to.path);
            // A place that cannot be read is told when it cannot be written.
            for says in place.to.claims(all).unwrap_or_default() {
                if self.unsigned.len() < MOST_CLAIMS && !is_known(session, &says)? {
                    let place = place.to.path.clone();
                    self.unsigned.insert(Unsigned { place, says });
                }
            }
        }
        self.settle(session)
    }

    /// Strikes out what the ledger knows by now.
    fn settle(&mut self, session: &Session<'_>) -> Result<(), CaError> {
        for claim in std::mem::take(&mut self.unsigned) {
            if !is_known(session, &claim.says)? {
                self.unsigned.insert(claim);
            }
        }
        for leaver in std::mem::take(&mut self.leavers) {
            if session.store.offboarded(&leaver)?.is_none() {
                self.leavers.insert(leaver);
            }
        }
        Ok(())
    }

    /// Notes the number of a servers' half that this home has written.
    pub(in crate::ca) fn wrote(&mut self, number: u64) {
        if !self.emptied.is_empty() {
            self.own.insert(number);
        }
    }

    /// Whether nothing is in doubt.
    pub fn is_empty(&self) -> bool {
        self.emptied.is_empty() && self.unsigned.is_empty() && self.leavers.is_empty()
    }

    /// Puts it down.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(in crate::ca) fn save(&mut self, home: &Home) -> Result<(), DiskError> {
        self.version = VERSION;
        note::write(home, FILE, (!self.is_empty()).then_some(self))
    }
}

/// The number of the manifest of ours that is there.
fn number(place: &Place) -> Option<u64> {
    place.to.manifest().ok().flatten().map(|manifest| manifest.number)
}

/// The places among those that were published to where no manifest of ours is left. Where another servers'
/// half is the last that this ledger knows, there was none after it.
fn emptied(places: &[Place], is_meant: &impl Fn(&Place) -> bool, last: &LastPublication) -> Vec<PathBuf> {
    let was_published = |place: &&Place| last.targets.contains(&place.to.path.display().to_string());
    let targets = || places.iter().filter(|place| place.role == Role::Target);
    let empty = targets().filter(|place| is_meant(place)).filter(was_published);
    let empty: Vec<_> = empty.filter(|place| place.to.is_bare()).collect();
    let is_last = |place: &Place| {
        let sha256 = place.to.manifest_sha256().ok().flatten();
        sha256.is_some() && sha256 == last.server_manifest
    };
    if !empty.is_empty() && targets().any(|place| place.to.area == Area::Server && is_last(place)) {
        return Vec::new();
    }
    empty.into_iter().map(|place| place.to.path.clone()).collect()
}

/// The places that are later than all that this home knows and do not tell it all: files are damaged or gone;
/// or it is a public half, and no servers' half that is whole names the certificates that were issued since.
fn later(places: &[Place], last: &LastPublication) -> Vec<PathBuf> {
    let of = |role: Role, area: Area| {
        places
            .iter()
            .filter(move |place| place.role == role && place.to.area == area)
    };
    let known = |area: Area| {
        let last = match area {
            Area::Public => last.public,
            Area::Server => last.server,
        };
        // A publication that a kill has cut off is in the home's own half, too.
        of(Role::Staging, area).filter_map(number).max().max(Some(last))
    };
    let is_later = |place: &&Place| number(place) > known(place.to.area);
    // A place that cannot be read is told when it cannot be written.
    let is_torn = |place: &Place| matches!(place.to.torn(), Ok(Some(_)));
    let told = of(Role::Target, Area::Server)
        .filter(is_later)
        .any(|place| !is_torn(place));
    let targets = places.iter().filter(|place| place.role == Role::Target);
    targets
        .filter(is_later)
        .filter(|place| is_torn(place) || place.to.area == Area::Public && !told)
        .map(|place| place.to.path.clone())
        .collect()
}

/// Whether the ledger says the same, or better: a certificate that it has revoked is accepted no more.
fn is_known(session: &Session<'_>, says: &Claim) -> Result<bool, CaError> {
    let store = &session.store;
    let (Claim::Accepted(serial, _) | Claim::Revoked(serial)) = says;
    Ok(store.revocation(serial)?.is_some()
        || matches!(says, Claim::Accepted(..)) && store.record(serial)?.is_some())
}
