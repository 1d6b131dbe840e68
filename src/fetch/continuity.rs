//! Whether a publication takes back what the one in place revokes.
//!
//! A number cannot tell: a home that was restored from an older backup counts on, and what it publishes is newer and knows less. So the
//! lists are compared. A certificate may leave them for having ended, which the signed manifest says, and for nothing else.
//!
//! CRLs are compared CA by CA, and not file by file. Where another CA takes the place of one, what that one
//! has issued chains to the root as before, for a client sends its CA along, and many verifiers miss no CRL.
//! So a CA leaves with its list once nothing below it is accepted any more, and until then its successor is
//! refused. To keep the old list beside the new ones would be no remedy: no configuration names a file that
//! the manifest does not list, and no home would renew it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;

use data_encoding::{HEXLOWER, HEXUPPER};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::content::Fault;
use super::error::{Serials, Unfit, local};
use super::pins;
use super::place::Version;
use super::terms::SLACK;
use crate::disk::DiskError;
use crate::model::text::quoted;
use crate::model::{Host, Serial, Time};
use crate::publish::{Area, LONGEST_CRL, LONGEST_MANIFEST, Manifest, Pins, Statement, revoked_serial};
use crate::x509::Certificate;
use crate::x509::crl::Crl;

const ROOT_CRL: &str = "crl/root.crl";
/// The CRLs of a publication, each with the certificate of its CA.
const CRLS: [(&str, &str); 3] = [
    (ROOT_CRL, "ca/root.der"),
    ("crl/issuing.crl", "ca/issuing.der"),
    ("crl/servers.crl", "ca/servers.der"),
];

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
    /// One that has held against every rule by itself.
    pub new: &'a Version,
    pub manifest: &'a Manifest,
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
    /// Takes in a version, where its manifest is one by `root`, also where its signer has ended since.
    pub(super) fn push(&mut self, version: Version, root: &Certificate) -> Result<(), DiskError> {
        let Some(file) = version.file(Manifest::JWS)? else {
            return Ok(());
        };
        let mut jws = Vec::new();
        let read = file.take(LONGEST_MANIFEST).read_to_end(&mut jws);
        read.map_err(local(&version.path(Manifest::JWS)))?;
        let statement = Statement::of_root(Manifest::TYPE, &jws, root).ok();
        let manifest = statement.and_then(|statement| serde_json::from_slice(statement.payload()).ok());
        self.0.extend(manifest.map(|manifest| (version, manifest)));
        Ok(())
    }

    /// Whether one of them says which certificates have ended.
    fn tell_ends(&self) -> bool {
        self.0.iter().any(|(_, manifest)| manifest.ended.is_some())
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
    /// Hosts of which what is in place has pins that have not ended, and the publication has none: the home
    /// has lost the server.
    pub unpinned: Vec<Host>,
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
            Area::Public => {
                self.crls(&mut unproven)?;
                self.pins(&mut unproven)?;
            }
            Area::Server => self.lists(&mut unproven)?,
        }
        Ok(unproven)
    }

    fn crls(&self, unproven: &mut Unproven) -> Result<(), Fault> {
        let mut authorities = Vec::new();
        for (path, ca) in CRLS {
            let ca = read(self.new, ca)?.and_then(|der| Certificate::from_der(&der).ok());
            authorities.extend(ca.map(|ca| (path, ca)));
        }
        for (path, ca) in CRLS {
            let old = match self.old.file(path)? {
                Before::Octets(old) => old,
                Before::Absent => continue,
                Before::Unread => {
                    unproven.unread.push(path.to_owned());
                    continue;
                }
            };
            if read(self.new, path)?.as_ref() == Some(&old) {
                continue;
            }
            let (Ok(crl), Some(revoked)) = (Crl::parse(&old), entries(&old)) else {
                unproven.unread.push(path.to_owned());
                continue;
            };
            match authorities.iter().find(|(_, ca)| crl.is_issued_by(ca)) {
                Some((path, _)) => {
                    let still = read(self.new, path)?.and_then(|new| entries(&new));
                    self.demand_ended(path, &revoked, &still.unwrap_or_default(), unproven)?;
                }
                None => self.demand_over(path, ca, &crl, &revoked)?,
            }
        }
        Ok(())
    }

    /// Makes sure that nobody is let in again by a CA that has no CRL any more: all that it has issued is
    /// over with the CA itself, or each certificate that it revoked has ended.
    fn demand_over(
        &self,
        path: &'static str,
        ca: &str,
        crl: &Crl<'_>,
        revoked: &HashSet<Serial>,
    ) -> Result<(), Fault> {
        let ca = match self.old.file(ca)? {
            Before::Octets(der) => Certificate::from_der(&der).ok(),
            Before::Absent | Before::Unread => None,
        };
        let ca = ca.filter(|ca| crl.is_issued_by(ca));
        let by_root = read(self.new, ROOT_CRL)?.and_then(|der| entries(&der));
        let is_over = |ca: &Certificate| {
            let serial = Serial::from_octets(ca.serial());
            let is_revoked = serial.is_some_and(|serial| by_root.is_some_and(|all| all.contains(&serial)));
            is_revoked || ca.validity().not_after < self.now
        };
        if ca.as_ref().is_some_and(is_over) {
            return Ok(());
        }
        let ended = self.ended().unwrap_or_default();
        let back = revoked.difference(&ended).copied().collect();
        self.demand_none(path, back, |serials| Unfit::Abandoned {
            ca: ca.map(|ca| {
                format!(
                    "{} (serial {})",
                    quoted(ca.subject_text()),
                    HEXUPPER.encode(ca.serial())
                )
            }),
            serials,
            number: self.manifest.number,
        })
    }

    fn pins(&self, unproven: &mut Unproven) -> Result<(), Fault> {
        let old = match self.old.file(Pins::JSON)? {
            Before::Octets(old) => Pins::read(&old),
            Before::Absent => return Ok(()),
            Before::Unread => None,
        };
        let Some(old) = old else {
            unproven.unread.push(Pins::JSON.to_owned());
            return Ok(());
        };
        let new = read(self.new, Pins::JSON)?.and_then(|new| Pins::read(&new));
        let new = new.map_or(Vec::new(), |new| new.sets);
        if let Some((host, pinned)) = pins::contradiction(&old, &new) {
            let back = Unfit::PinBack {
                host: host.clone(),
                pinned: Box::new(pinned),
                number: self.manifest.number,
            };
            return Err(Fault::File(Pins::JWS, back));
        }
        unproven.unpinned = pins::unpinned(&old, &new, self.now);
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
            self.demand_none("allowed.map", back, |serials| self.unrevoked(serials))?;
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
        let left: BTreeSet<Serial> = revoked.difference(still).copied().collect();
        let Some(ended) = self.ended() else {
            unproven.left.extend(left);
            return Ok(());
        };
        let back = left.into_iter().filter(|serial| !ended.contains(serial));
        self.demand_none(path, back.collect(), |serials| self.unrevoked(serials))
    }

    /// The certificates of which the manifest says that they have ended, and that have by this clock. Nothing
    /// where it tells no ends and what is in place told none either: a program that does not know of them
    /// does not follow on one that does, unless a whole machine was restored.
    fn ended(&self) -> Option<HashSet<Serial>> {
        let ended = match &self.manifest.ended {
            Some(ended) => ended.as_slice(),
            None if self.old.tell_ends() => &[],
            None => return None,
        };
        let ended = ended.iter().filter(|one| one.not_after < self.now);
        Some(ended.map(|one| one.serial).collect())
    }

    fn unrevoked(&self, serials: Serials) -> Unfit {
        let number = self.manifest.number;
        Unfit::Unrevoked { serials, number }
    }

    /// Makes sure that all of these were confirmed.
    fn demand_none(
        &self,
        path: &'static str,
        mut back: BTreeSet<Serial>,
        why: impl FnOnce(Serials) -> Unfit,
    ) -> Result<(), Fault> {
        for confirmed in self.confirmed {
            if let Confirmation::Certificate(serial) = confirmed {
                back.remove(serial);
            }
        }
        if back.is_empty() {
            return Ok(());
        }
        Err(Fault::File(path, why(Serials(back))))
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

/// The serial numbers on a CRL. Nothing where it cannot be read.
fn entries(der: &[u8]) -> Option<HashSet<Serial>> {
    let crl = Crl::parse(der).ok()?;
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
