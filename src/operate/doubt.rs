//! What places of the publication may know and the ledger does not, where nothing signed tells: a place that has lost its publication,
//! and lists that nobody has signed. Nothing of it is believed, and all of it is told until the operator has said what it means.
//!
//! A home from an older backup writes such a place like any other, because servers need its CRL. Nobody could find out afterwards what
//! was there: so it is noted first, in a file of the home. It is no part of the ledger, which says what is true.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::OperateError;
use super::places::{Place, Role};
use super::session::Session;
use crate::config::PublishTo;
use crate::disk::{self, DiskError, Shown};
use crate::home::Home;
use crate::model::Employee;
use crate::publish::{Area, Claim};
use crate::store::LastPublication;

/// The file in the home. Where nothing is in doubt there is none.
const FILE: &str = "doubts.json";
/// The longest that is read.
const LONGEST: u64 = 16 << 20;
/// How many claims are noted: whoever may write to a place may make up as many as they like.
const MOST_CLAIMS: usize = 100;

/// What is in doubt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubts {
    version: u32,
    /// Places that were found without the publication that they had, or with a public half that is later than the ledger.
    #[serde(default)]
    emptied: BTreeSet<PathBuf>,
    /// What lists that nobody has signed say of certificates, and the ledger does not.
    #[serde(default)]
    unsigned: BTreeSet<Unsigned>,
    /// Whose certificates were taken in as revoked for having left: whether they are offboarded no CRL says.
    #[serde(default)]
    leavers: BTreeSet<Employee>,
}

/// A line of a list that nobody has signed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unsigned {
    /// Where it was found.
    pub place: PathBuf,
    /// What it says.
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
    /// What is in doubt in this home. Where the file cannot be read, every place is: better asked once more than never.
    pub fn by(home: &Home) -> Self {
        let path = home.path().join(FILE);
        match disk::read(&path, LONGEST) {
            Ok(octets) => serde_json::from_slice(&octets).unwrap_or_else(|_| Self::all(home)),
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(_) => Self::all(home),
        }
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

    /// What unsigned lists say.
    pub fn unsigned(&self) -> impl ExactSizeIterator<Item = &Unsigned> {
        self.unsigned.iter()
    }

    /// Who was locked out for having left, and is not offboarded in this ledger.
    pub fn leavers(&self) -> impl ExactSizeIterator<Item = &Employee> {
        self.leavers.iter()
    }

    /// Notes the places among these that may have known more, before they are written. What was handed in, if anything, says what they had.
    pub(super) fn places(
        &mut self,
        targets: &[&Place],
        all: &[Place],
        numbers: &LastPublication,
        is_reconciled: bool,
    ) {
        if is_reconciled {
            self.emptied.clear();
        } else {
            self.emptied.extend(emptied(targets, &numbers.targets));
            self.emptied.extend(later(all, numbers));
        }
    }

    /// Notes what lists in these places say that nobody has signed, and who has left by what was taken in. What the ledger knows by now
    /// is in doubt no more.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub(super) fn claims(
        &mut self,
        session: &Session<'_>,
        targets: &[&Place],
        leavers: BTreeSet<Employee>,
    ) -> Result<(), OperateError> {
        for claim in std::mem::take(&mut self.unsigned) {
            if !is_known(session, &claim.says)? {
                self.unsigned.insert(claim);
            }
        }
        for claim in unsigned(session, targets)? {
            if self.unsigned.len() < MOST_CLAIMS {
                self.unsigned.insert(claim);
            }
        }
        for leaver in std::mem::take(&mut self.leavers).into_iter().chain(leavers) {
            if session.store.offboarded(&leaver)?.is_none() {
                self.leavers.insert(leaver);
            }
        }
        Ok(())
    }

    /// The operator has said that the ledger is the newest: nothing is in doubt.
    ///
    /// # Errors
    /// Where the file cannot be removed.
    pub(super) fn clear(&mut self, home: &Home) -> Result<(), DiskError> {
        *self = Self::default();
        self.save(home)
    }

    /// Puts it down.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn save(&mut self, home: &Home) -> Result<(), DiskError> {
        let path = home.path().join(FILE);
        disk::sweep(&path);
        self.version = 1;
        if self.emptied.is_empty() && self.unsigned.is_empty() && self.leavers.is_empty() {
            return disk::remove_if_there(&path);
        }
        let text = serde_json::to_vec(self).expect("paths of pki.toml are text");
        disk::replace(&path, disk::PRIVATE_FILE, &text)
    }
}

/// The places among those that were published to where no manifest of ours is left.
fn emptied(targets: &[&Place], published: &[String]) -> Vec<PathBuf> {
    let was_published = |place: &&&Place| published.contains(&place.to.path.display().to_string());
    let empty = targets
        .iter()
        .filter(was_published)
        .filter(|place| place.to.is_bare());
    empty.map(|place| place.to.path.clone()).collect()
}

/// The public halves that are later than all that this home knows, where no servers' half names the certificates that were issued since:
/// nobody can tell whether there are any.
fn later(places: &[Place], numbers: &LastPublication) -> Vec<PathBuf> {
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

/// What lists say that no manifest is for, and the ledger does not: the publication of a newer home that was cut off between its lists and
/// their manifest, or somebody's who may write there.
fn unsigned(session: &Session<'_>, targets: &[&Place]) -> Result<Vec<Unsigned>, OperateError> {
    let mut unknown = Vec::new();
    for place in targets.iter().filter(|place| place.to.area == Area::Server) {
        // A place that cannot be read is told when it cannot be written.
        for says in place.to.claims().unwrap_or_default() {
            if unknown.len() < MOST_CLAIMS && !is_known(session, &says)? {
                let place = place.to.path.clone();
                unknown.push(Unsigned { place, says });
            }
        }
    }
    Ok(unknown)
}

/// Whether the ledger says the same, or better: a certificate that it has revoked is accepted no more.
fn is_known(session: &Session<'_>, says: &Claim) -> Result<bool, OperateError> {
    let store = &session.store;
    let (Claim::Accepted(serial, _) | Claim::Revoked(serial)) = says;
    Ok(store.revocation(serial)?.is_some()
        || matches!(says, Claim::Accepted(..)) && store.record(serial)?.is_some())
}
