//! Finds what was published and is missing in the ledger. A home from an older backup takes it into the
//! ledger before it publishes anything itself.
//!
//! A certificate that a published list or CRL of ours revokes stays revoked, and one that servers were told
//! to accept can be revoked. Only what our CA has signed is trusted: a CRL, or a list under a signed
//! manifest.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::crl;
use super::firsts::Newest;
use super::published::{Standing, authorities};
use super::targets::{Failed, Place, Role, destinations};
use crate::ca::session::Session;
use crate::ca::{CaError, PublishingError};
use crate::disk::{self, Shown};
use crate::home::Home;
use crate::issuer::IssuerError;
use crate::model::event::Recovered;
use crate::model::{
    Address, Authority, Contents, Employee, Fact, Host, Kind, KnownBy, Reason, Record, Revocation, Serial,
    Status,
};
use crate::publish::{
    Access, Area, Destination, Hashes, LONGEST_CRL, Location, PublishedCrl, TargetError, Told,
};
use crate::store::{Store, StoreError};
use crate::x509::Certificate;
use crate::x509::crl::{Crl, Terms};

/// The revocations and certificates that were published and are not in the ledger.
#[derive(Debug, Default)]
pub(in crate::ca) struct Unknown {
    /// The revocations, as events.
    pub revocations: Vec<Fact>,
    /// The certificates that servers were told to accept.
    pub certificates: Vec<Told>,
    /// The certificates that a list calls superseded.
    superseded: HashSet<Serial>,
    /// What the newest list says that the shared keys of devices follow from, where the ledger says
    /// otherwise.
    firsts: BTreeMap<Address, Serial>,
}

impl Unknown {
    /// Compares the published CRLs, and the lists in all places, with the ledger. Read-only.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn find(session: &Session<'_>, published: &[Standing], places: &[Place]) -> Result<Self, CaError> {
        let mut revocations = revoked_by_crls(session, published)?;
        let mut seen: HashSet<Serial> = revocations.iter().filter_map(revoked).collect();
        let mut told_of = Vec::new();
        let last = session.store.last_publication()?;
        let mut newest = Newest::after(last.server);
        let known = last.server_manifest;
        for place in places.iter().filter(|place| place.to.area == Area::Server) {
            // A place that cannot be read is told when it cannot be written.
            let Some(lists) = place.to.lists_but(known).unwrap_or_default() else {
                continue;
            };
            newest.see(&lists);
            for serial in lists.revoked {
                if session.store.revocation(&serial)?.is_none() && seen.insert(serial) {
                    revocations.push(Fact::Revoked {
                        serial,
                        address: address(session, &serial)?,
                        reason: Reason::Unspecified,
                        since: None,
                    });
                }
            }
            told_of.extend(lists.accepted);
        }
        let mut certificates = Vec::new();
        let (mut superseded, mut named) = (HashSet::new(), HashSet::new());
        for told in told_of {
            if told.status == Status::Superseded {
                superseded.insert(told.serial);
            }
            // Whatever its end: this clock may be wrong. The canaries of `pki check` end within the hour.
            let is_over = told.address.is_reserved() && told.not_after < session.now;
            if !is_over && session.store.record(&told.serial)?.is_none() && named.insert(told.serial) {
                certificates.push(told);
            }
        }
        let firsts = newest.firsts(session, &revocations)?;
        Ok(Self {
            revocations,
            certificates,
            superseded,
            firsts,
        })
    }

    /// The certificates that come back as ones that servers accept: not those that are revoked as well.
    pub fn accepted(&self) -> Vec<Told> {
        let revoked: HashSet<Serial> = self.revocations.iter().filter_map(revoked).collect();
        let accepted = self
            .certificates
            .iter()
            .filter(|told| !revoked.contains(&told.serial));
        accepted.cloned().collect()
    }

    /// The servers' certificates whose keys are given up with these revocations, each with its server where
    /// the ledger knows it.
    pub fn given_up(&self) -> Vec<(Serial, Option<Host>)> {
        let mut given_up = Vec::new();
        for fact in &self.revocations {
            if let Fact::ServerRevoked {
                serial, host, reason, ..
            } = fact
                && reason.gives_up_key()
            {
                given_up.push((*serial, host.clone()));
            }
        }
        given_up
    }

    /// The employees whose certificates are revoked because they left, and who are not offboarded in this
    /// ledger.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn leavers(&self, session: &Session<'_>) -> Result<BTreeSet<Employee>, CaError> {
        let mut leavers = BTreeSet::new();
        for fact in &self.revocations {
            if let Fact::Revoked {
                reason: Reason::Left,
                address: Some(address),
                ..
            } = fact
                && session.store.offboarded(&address.employee)?.is_none()
            {
                leavers.insert(address.employee.clone());
            }
        }
        Ok(leavers)
    }

    /// The events that record what was found. They restore nobody's access: certificates of a person who is
    /// offboarded are revoked.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn facts(self, session: &Session<'_>) -> Result<Vec<Fact>, CaError> {
        let mut facts = Vec::new();
        let revoked: HashSet<Serial> = self.revocations.iter().filter_map(revoked).collect();
        for told in self.certificates {
            // What the device has here is older where that list says so, and was issued since the restore
            // where it does not.
            let (older, newer): (Vec<Record>, Vec<Record>) = session
                .store
                .device(&told.address)?
                .into_iter()
                .filter(|record| record.status(session.now) == Status::Valid)
                .partition(|record| self.superseded.contains(&record.serial));
            let is_valid = told.status == Status::Valid && newer.is_empty();
            let is_revoked =
                revoked.contains(&told.serial) || session.store.revocation(&told.serial)?.is_some();
            let is_offboarded = session.store.offboarded(&told.address.employee)?.is_some();
            let left = (is_offboarded && !is_revoked).then(|| Fact::Revoked {
                serial: told.serial,
                address: Some(told.address.clone()),
                reason: Reason::Left,
                since: None,
            });
            facts.push(Fact::Recovered(Recovered {
                serial: told.serial,
                superseded: !is_valid,
                supersedes: older
                    .iter()
                    .filter(|_| is_valid)
                    .map(|record| record.serial)
                    .collect(),
                not_after: told.not_after,
                spki_sha256: told.spki_sha256,
                certificate_sha256: told.certificate_sha256,
                address: told.address,
            }));
            facts.extend(left);
        }
        // What is known by name now is revoked by its name.
        facts.extend(self.revocations);
        let firsts = self.firsts.into_iter();
        facts.extend(firsts.map(|(address, first)| Fact::HmacFirst { address, first }));
        Ok(facts)
    }
}

/// The details of the installed CRLs that must be remembered, without their octets.
pub(in crate::ca) struct Remembered {
    /// The CA, number and hash of each CRL.
    pub published: Vec<PublishedCrl>,
    terms: Vec<(Authority, Terms)>,
}

impl Remembered {
    pub fn of(standing: Vec<Standing>) -> Self {
        let published = standing.iter().map(|s| PublishedCrl {
            authority: s.authority,
            number: s.terms.number,
            sha256: Sha256::digest(&s.der).into(),
        });
        Self {
            published: published.collect(),
            terms: standing.iter().map(|s| (s.authority, s.terms)).collect(),
        }
    }

    /// The CRLs of the devices' CA.
    pub fn of_issuing<'a>(&self, issuer: &'a Certificate) -> crl::Published<'a> {
        self.of_authority(Authority::Issuing, issuer)
    }

    /// The CRLs of the servers' CA.
    pub fn of_servers<'a>(&self, issuer: &'a Certificate) -> crl::Published<'a> {
        self.of_authority(Authority::Servers, issuer)
    }

    fn of_authority<'a>(&self, authority: Authority, issuer: &'a Certificate) -> crl::Published<'a> {
        crl::Published {
            authority,
            issuer,
            standing: self.newest(authority),
        }
    }

    /// The terms of an authority's newest one.
    fn newest(&self, authority: Authority) -> Option<Terms> {
        let of = self.terms.iter().filter(|(whose, _)| *whose == authority);
        of.map(|(_, terms)| *terms).max_by_key(|terms| terms.number)
    }
}

/// That `pki.toml` names no place where there were some: a file that was cut off or emptied is read without a
/// fault, and servers would hear of nobody who is locked out.
///
/// # Errors
/// A damaged index.
pub(in crate::ca) fn forgotten(home: &Home, store: &Store) -> Result<Option<Failed>, StoreError> {
    let config = home.config();
    if config.says_places || home.unread().is_some() {
        return Ok(None);
    }
    let before = store.last_publication()?.targets;
    let why = || TargetError::Forgotten(before.join(", "));
    Ok((!before.is_empty()).then(|| (Shown(home.config_path()), why())))
}

/// Takes in the certificates that the lists at hand name and the ledger does not, so that they can be revoked
/// by name. Buckets are not asked: they may be far away, and nobody waits for them who locks a device out.
///
/// # Errors
/// Where the ledger cannot be read or written.
pub fn recover(session: &mut Session<'_>) -> Result<Vec<Told>, CaError> {
    let (mut places, _) = destinations(&session.desk.home, &Hashes::default())?;
    places.retain(|place| place.to.spot().is_some());
    let mut unknown = Unknown::find(session, &[], &places)?;
    // Of the others a CRL says why, which a list does not: they come with the publication, which reads it.
    let named: HashSet<Serial> = unknown.certificates.iter().map(|told| told.serial).collect();
    let is_named = |fact: &Fact| revoked(fact).is_some_and(|serial| named.contains(&serial));
    unknown.revocations.retain(is_named);
    let accepted = unknown.accepted();
    let facts = unknown.facts(session)?;
    session.commit(facts)?;
    Ok(accepted)
}

/// Records the decision to keep recovered certificates: all of a device's, or one. Returns those that are
/// meant, also where they were kept before.
///
/// # Errors
/// Where there is none of that name, or it cannot be recorded.
pub fn keep(session: &mut Session<'_>, whom: &crate::ca::Whom) -> Result<Vec<Record>, CaError> {
    let mut records = match whom {
        crate::ca::Whom::Device(address) => session.store.device(address)?,
        crate::ca::Whom::Certificate(serial) => session.store.record(serial)?.into_iter().collect(),
    };
    let now = session.now;
    records.retain(|record| record.known_by != KnownBy::Issuance && record.status(now).accepted());
    if records.is_empty() {
        return Err(PublishingError::NothingRecovered(whom.clone()).into());
    }
    // Said twice it holds as well.
    let undecided = records.iter().filter(|record| is_undecided(record));
    let kept = undecided.map(|record| Fact::Kept {
        serial: record.serial,
    });
    session.commit(kept.collect())?;
    Ok(records)
}

/// Whether nobody has said yet what is to become of a recovered certificate.
pub fn is_undecided(record: &Record) -> bool {
    match record.known_by {
        KnownBy::List { kept } => !kept,
        KnownBy::Issuance => false,
    }
}

/// The sources that an operator hands in to be taken in: areas of a publication, as a server has fetched
/// them, and CRLs.
#[derive(Default)]
pub struct Sources {
    pub(in crate::ca) places: Vec<Place>,
    pub(in crate::ca) crls: Vec<Standing>,
}

impl Sources {
    /// Whether nothing was handed in.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty() && self.crls.is_empty()
    }

    /// Whether none of it is a server area, which alone names the certificates that servers accept.
    pub fn name_no_devices(&self) -> bool {
        !self.is_empty() && self.places.iter().all(|place| place.to.area != Area::Server)
    }

    /// Reads the source at each path: a CRL, one area of a publication, or a directory with both.
    ///
    /// # Errors
    /// Where there is no publication of this PKI.
    pub fn read<'p>(home: &Home, paths: impl IntoIterator<Item = &'p Path>) -> Result<Self, CaError> {
        let mut sources = Self::default();
        for path in paths {
            let found = if path.is_dir() {
                sources.take_directory(home, path)?
            } else {
                sources.take_crls(home, path)?
            };
            if !found {
                return Err(PublishingError::NothingToReconcile(Shown(path.to_owned())).into());
            }
        }
        Ok(sources)
    }

    fn take_directory(&mut self, home: &Home, path: &Path) -> Result<bool, CaError> {
        // What a fetch has put in place is a link.
        let path = path.canonicalize().map_err(disk::failed("located", path))?;
        let mut found = false;
        for area in [Area::Server, Area::Public] {
            for directory in [path.clone(), path.join(area.word())] {
                if !directory.is_dir() {
                    continue;
                }
                let location = Location::Directory(directory);
                let to = Destination::open(
                    area,
                    &location,
                    &Access::default(),
                    None,
                    home.chain(),
                    &Hashes::default(),
                )?;
                if to.manifest()?.is_some_and(|manifest| manifest.area == area) {
                    if let Some(file) = to.torn()? {
                        return Err(PublishingError::TornSource(Shown(path.join(file))).into());
                    }
                    found = true;
                    self.places.push(Place {
                        to,
                        role: Role::Source,
                    });
                }
            }
        }
        Ok(found)
    }

    /// Those of a file, however it is written.
    fn take_crls(&mut self, home: &Home, path: &Path) -> Result<bool, CaError> {
        let octets = disk::read_given(path, LONGEST_CRL)?;
        let contents = Contents::of(&octets);
        // What is none is told below.
        let crls = contents.all(Kind::Crl).unwrap_or_default();
        let before = self.crls.len();
        for der in crls {
            let of = authorities(home)
                .find_map(|(authority, issuer)| Standing::of(authority, issuer, der.to_vec()));
            self.crls.extend(of);
        }
        Ok(self.crls.len() > before)
    }
}

/// The revocations of published CRLs that the ledger does not have, or for a reason that says less: after a
/// restore from an old backup a lost phone stays locked out, and a key that was given up is given up still.
fn revoked_by_crls(session: &Session<'_>, published: &[Standing]) -> Result<Vec<Fact>, CaError> {
    let mut told: Vec<(Authority, Revocation)> = Vec::new();
    let mut places: HashMap<Serial, usize> = HashMap::new();
    for standing in published {
        let Ok(crl) = Crl::parse(&standing.der) else {
            continue;
        };
        let authority = standing.authority;
        let signed = session.store.last_crl(authority)?.map(|last| last.number);
        let is_later = signed < Some(standing.terms.number);
        let known = session.store.revoked(authority, None)?;
        let mut known = known.iter().peekable();
        for entry in crl.entries() {
            let mut entry = entry.map_err(IssuerError::X509)?;
            while known.next_if(|known| known.serial < entry.serial).is_some() {}
            if let Some(known) = known.peek().filter(|known| known.serial == entry.serial) {
                // `lost` was once written as keyCompromise, by this ledger itself where the CRL is no later.
                let is_own = known.reason == Reason::Lost && !is_later;
                if is_own || !entry.reason.raises(known.reason, authority) {
                    continue;
                }
                entry.at = known.at;
            }
            match places.entry(entry.serial) {
                Entry::Vacant(place) => {
                    place.insert(told.len());
                    told.push((authority, entry));
                }
                Entry::Occupied(place) => {
                    let (_, before) = &mut told[*place.get()];
                    if entry.reason.raises(before.reason, authority) {
                        before.reason = entry.reason;
                    }
                }
            }
        }
    }
    let mut facts = Vec::new();
    for (authority, entry) in told {
        facts.extend(adopted(session, authority, entry)?);
    }
    Ok(facts)
}

fn adopted(session: &Session<'_>, authority: Authority, entry: Revocation) -> Result<Option<Fact>, CaError> {
    let (serial, reason, since) = (entry.serial, entry.reason, Some(entry.at));
    Ok(match authority {
        // Its CAs are not taken back one by one.
        Authority::Root => None,
        Authority::Issuing => Some(Fact::Revoked {
            serial,
            address: address(session, &serial)?,
            reason,
            since,
        }),
        Authority::Servers => Some(Fact::ServerRevoked {
            serial,
            host: session.store.certified(&serial)?.map(|(host, _)| host),
            reason,
            since,
        }),
    })
}

fn address(session: &Session<'_>, serial: &Serial) -> Result<Option<Address>, CaError> {
    Ok(session.store.record(serial)?.map(|record| record.address))
}

fn revoked(fact: &Fact) -> Option<Serial> {
    if let Fact::Revoked { serial, .. } = fact {
        Some(*serial)
    } else {
        None
    }
}
