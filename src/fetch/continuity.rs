//! Whether a publication takes back what the one in place revokes.
//!
//! A number cannot tell: a home that was restored from an older backup counts on, and what it publishes is newer and knows less. So the
//! lists are compared. A certificate may leave them for having ended, which the signed manifest says, and for nothing else.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;

use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::content::Fault;
use super::error::{Unfit, local};
use super::place::Version;
use super::terms::SLACK;
use crate::disk::DiskError;
use crate::model::{Serial, Time};
use crate::publish::{Area, LONGEST_CRL, LONGEST_MANIFEST, Manifest, Statement, revoked_serial};
use crate::x509::Certificate;
use crate::x509::crl::Crl;

/// What the operator of this machine has said may be let in again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmation {
    /// A certificate.
    Certificate(Serial),
    /// Whatever the publication of this number lets in.
    Publication(u64),
}

/// A publication that is to take the place of another one.
pub(super) struct Succession<'a> {
    pub old: &'a Predecessors,
    pub new: &'a Version,
    pub manifest: &'a Manifest,
    pub statement: &'a Statement,
    pub root: &'a Certificate,
    pub confirmed: &'a [Confirmation],
    pub now: Time,
}

/// The versions that were put in place before, the last one first, each with what its signed manifest lists: only a file that is what it was
/// then says what was revoked.
#[derive(Default)]
pub(super) struct Predecessors(Vec<(Version, Manifest)>);

/// A file of theirs.
enum Before {
    /// There was none of that name.
    Absent,
    /// As it was.
    Octets(Vec<u8>),
    /// It is missing or damaged in each.
    Unread,
}

impl Predecessors {
    /// Takes in a version, where its manifest is one by `root`.
    pub(super) fn push(&mut self, version: Version, root: &Certificate, now: Time) -> Result<(), DiskError> {
        let Some(file) = version.file(Manifest::JWS)? else {
            return Ok(());
        };
        let mut jws = Vec::new();
        let read = file.take(LONGEST_MANIFEST).read_to_end(&mut jws);
        read.map_err(local(&version.path(Manifest::JWS)))?;
        let statement = Statement::verify(Manifest::TYPE, &jws, root, now).ok();
        let manifest = statement.and_then(|statement| serde_json::from_slice(statement.payload()).ok());
        self.0.extend(manifest.map(|manifest| (version, manifest)));
        Ok(())
    }

    fn file(&self, path: &str) -> Result<Before, Fault> {
        for (version, manifest) in &self.0 {
            let Some(listed) = manifest.files.get(path) else {
                return Ok(Before::Absent);
            };
            let is_it = |octets: &Vec<u8>| HEXLOWER.encode(&Sha256::digest(octets)) == listed.sha256;
            if let Some(octets) = read(version, path)?.filter(is_it) {
                return Ok(Before::Octets(octets));
            }
        }
        Ok(Before::Unread)
    }
}

/// What a comparison could not tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unproven {
    /// Certificates that are not revoked any more, by a manifest that does not say which have ended: of version 0.1 of this program.
    pub left: BTreeSet<Serial>,
    /// Files in place that could not be read, and may have revoked more.
    pub unread: Vec<String>,
    /// Certificates that what is in place accepts, and that are neither accepted nor revoked any more before they have ended: the home has
    /// lost them, and nobody can revoke them by name.
    pub lost: BTreeSet<Serial>,
}

impl Succession<'_> {
    /// Compares what both revoke. What only a later version of the manifest could tell is told.
    ///
    /// # Errors
    /// Where a certificate was revoked, is so no more, and neither has ended nor was confirmed.
    pub(super) fn examine(&self) -> Result<Unproven, Fault> {
        let mut unproven = Unproven::default();
        if let Some(Confirmation::Publication(_)) = self
            .confirmed
            .iter()
            .find(|confirmed| **confirmed == Confirmation::Publication(self.manifest.number))
        {
            return Ok(unproven);
        }
        match self.manifest.area {
            Area::Public => self.crls(&mut unproven)?,
            Area::Server => self.lists(&mut unproven)?,
        }
        Ok(unproven)
    }

    fn crls(&self, unproven: &mut Unproven) -> Result<(), Fault> {
        let servers = read(self.new, "ca/servers.der")?;
        let servers = servers.and_then(|der| Certificate::from_der(&der).ok());
        for (path, issuer) in [
            ("crl/root.crl", Some(self.root)),
            ("crl/issuing.crl", Some(self.statement.signer())),
            ("crl/servers.crl", servers.as_ref()),
        ] {
            let old = match self.old.file(path)? {
                Before::Octets(old) => old,
                Before::Absent => continue,
                Before::Unread => {
                    unproven.unread.push(path.to_owned());
                    continue;
                }
            };
            let new = read(self.new, path)?;
            if new.as_ref() == Some(&old) {
                continue;
            }
            let Some(revoked) = entries(&old, issuer) else {
                unproven.unread.push(path.to_owned());
                continue;
            };
            let still = new.and_then(|new| entries(&new, None)).unwrap_or_default();
            self.demand_ended(path, &revoked, &still, unproven)?;
        }
        Ok(())
    }

    fn lists(&self, unproven: &mut Unproven) -> Result<(), Fault> {
        const REVOKED: &str = "revoked.map";
        const DEVICES: &str = "devices.json";
        let Before::Octets(old) = self.old.file(REVOKED)? else {
            unproven.unread.push(REVOKED.to_owned());
            return Ok(());
        };
        let new = read(self.new, REVOKED)?.unwrap_or_default();
        let is_same = old == new;
        let [revoked, still] = [old, new].map(|map| serials(&map, revoked_serial));
        let before = match self.old.file(DEVICES)? {
            Before::Octets(list) => accepted_until(&list),
            Before::Absent | Before::Unread => {
                unproven.unread.push(DEVICES.to_owned());
                HashMap::new()
            }
        };
        let now = accepted_until(&read(self.new, DEVICES)?.unwrap_or_default());
        let has_ended = |end: Time| end < self.now + SLACK;
        let lost = before.iter().filter(|(serial, end)| {
            !has_ended(**end) && !now.contains_key(serial) && !still.contains(serial)
        });
        unproven.lost = lost.map(|(serial, _)| *serial).collect();
        if !is_same {
            self.demand_ended(REVOKED, &revoked, &still, unproven)?;
            let allowed = read(self.new, "allowed.map")?.unwrap_or_default();
            let allowed = serials(&allowed, |line| line.split_once(' ')?.0.parse().ok());
            // Whatever a manifest says of its end.
            let back: BTreeSet<Serial> = revoked.intersection(&allowed).copied().collect();
            self.demand_none("allowed.map", back)?;
        }
        Ok(())
    }

    /// Makes sure that what is revoked no more has ended.
    fn demand_ended(
        &self,
        path: &'static str,
        revoked: &HashSet<Serial>,
        still: &HashSet<Serial>,
        unproven: &mut Unproven,
    ) -> Result<(), Fault> {
        let left = revoked.difference(still).copied();
        let Some(ended) = &self.manifest.ended else {
            unproven.left.extend(left);
            return Ok(());
        };
        let ended: HashMap<Serial, Time> = ended.iter().map(|one| (one.serial, one.not_after)).collect();
        let has_ended = |serial: &Serial| ended.get(serial).is_some_and(|end| *end < self.now);
        self.demand_none(path, left.filter(|serial| !has_ended(serial)).collect())
    }

    /// Makes sure that all of these were confirmed.
    fn demand_none(&self, path: &'static str, mut back: BTreeSet<Serial>) -> Result<(), Fault> {
        for confirmed in self.confirmed {
            if let Confirmation::Certificate(serial) = confirmed {
                back.remove(serial);
            }
        }
        match back.first() {
            None => Ok(()),
            Some(first) => Err(Fault::File(
                path,
                Unfit::Unrevoked {
                    serial: *first,
                    more: back.len() - 1,
                    number: self.manifest.number,
                },
            )),
        }
    }
}

fn read(version: &Version, path: &str) -> Result<Option<Vec<u8>>, Fault> {
    let Some(file) = version.file(path)? else {
        return Ok(None);
    };
    let mut octets = Vec::new();
    let read = file.take(LONGEST_CRL * 4).read_to_end(&mut octets);
    read.map_err(local(&version.path(path)))?;
    Ok(Some(octets))
}

/// The serial numbers on a CRL; none at all where it is another CA's, which nobody is certified by any more. Nothing where it cannot be read.
fn entries(der: &[u8], issuer: Option<&Certificate>) -> Option<HashSet<Serial>> {
    let crl = Crl::parse(der).ok()?;
    if issuer.is_some_and(|issuer| !crl.is_issued_by(issuer)) {
        return Some(HashSet::new());
    }
    crl.entries()
        .map(|entry| entry.ok().map(|entry| entry.serial))
        .collect()
}

/// The certificates in a `devices.json`, each with its last second.
fn accepted_until(list: &[u8]) -> HashMap<Serial, Time> {
    #[derive(Deserialize)]
    struct Devices {
        devices: Vec<Device>,
    }
    #[derive(Deserialize)]
    struct Device {
        serial: Serial,
        not_after: Time,
    }
    let devices = serde_json::from_slice::<Devices>(list).map_or(Vec::new(), |list| list.devices);
    let until = devices
        .into_iter()
        .map(|device| (device.serial, device.not_after));
    until.collect()
}

/// The serial numbers in a list, one in a line.
fn serials(list: &[u8], read: impl Fn(&str) -> Option<Serial>) -> HashSet<Serial> {
    let lines = list.split(|octet| *octet == b'\n');
    lines
        .filter_map(|line| read(std::str::from_utf8(line).ok()?))
        .collect()
}
