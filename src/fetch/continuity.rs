//! Whether a publication takes back what the one in place revokes.
//!
//! A number cannot tell: a home that was restored from an older backup counts on, and what it publishes is newer and knows less. So the
//! lists are compared. A certificate may leave them for having ended, which the signed manifest says, and for nothing else.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;

use super::content::Fault;
use super::error::{Unfit, local};
use super::place::Version;
use crate::model::{Serial, Time};
use crate::publish::{Area, LONGEST_CRL, Manifest, Statement, revoked_serial};
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
    pub old: &'a Version,
    pub new: &'a Version,
    pub manifest: &'a Manifest,
    pub statement: &'a Statement,
    pub root: &'a Certificate,
    pub confirmed: &'a [Confirmation],
    pub now: Time,
}

/// What a comparison could not tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unproven {
    /// Certificates that are not revoked any more, by a manifest that does not say which have ended: of version 0.1 of this program.
    pub left: BTreeSet<Serial>,
    /// Files in place that could not be read, and may have revoked more.
    pub unread: Vec<String>,
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
        let servers = self.read(self.new, "ca/servers.der")?;
        let servers = servers.and_then(|der| Certificate::from_der(&der).ok());
        for (path, issuer) in [
            ("crl/root.crl", Some(self.root)),
            ("crl/issuing.crl", Some(self.statement.signer())),
            ("crl/servers.crl", servers.as_ref()),
        ] {
            let Some(old) = self.read(self.old, path)? else {
                continue;
            };
            let new = self.read(self.new, path)?;
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
        let Some(old) = self.read(self.old, REVOKED)? else {
            unproven.unread.push(REVOKED.to_owned());
            return Ok(());
        };
        let new = self.read(self.new, REVOKED)?.unwrap_or_default();
        if old != new {
            let [revoked, still] = [old, new].map(|map| serials(&map, revoked_serial));
            self.demand_ended(REVOKED, &revoked, &still, unproven)?;
            let allowed = self.read(self.new, "allowed.map")?.unwrap_or_default();
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

    fn read(&self, version: &Version, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        let Some(file) = version.file(path)? else {
            return Ok(None);
        };
        let mut octets = Vec::new();
        let read = file.take(LONGEST_CRL * 4).read_to_end(&mut octets);
        read.map_err(local(&version.path(path)))?;
        Ok(Some(octets))
    }
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

/// The serial numbers in a list, one in a line.
fn serials(list: &[u8], read: impl Fn(&str) -> Option<Serial>) -> HashSet<Serial> {
    let lines = list.split(|octet| *octet == b'\n');
    lines
        .filter_map(|line| read(std::str::from_utf8(line).ok()?))
        .collect()
}
