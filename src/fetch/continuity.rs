//! Checks that a new publication still revokes every certificate that the installed one revokes.
//!
//! A number cannot tell: a home that was restored from an older backup counts on, and what it publishes is
//! newer and knows less. So the lists are compared. A certificate may leave them because it has expired,
//! which the signed manifest says, and for no other reason.
//!
//! CRLs are compared CA by CA, and not file by file. Where another CA takes the place of one, the
//! certificates that the old one issued chain to the root as before, for a client sends its CA along, and
//! many verifiers do not notice that a CRL is missing. So a CA leaves with its list once nothing below it is
//! accepted any more, and until then its successor is refused. To keep the old list beside the new ones would
//! be no remedy: no configuration names a file that the manifest does not list, and no home would renew it.
//!
//! Where an installed list is damaged, every certificate that anything of it still names as revoked is taken
//! for revoked, and so is every one that the list before names. An entry that was on it and is nowhere now
//! cannot be known, and that is reported.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use data_encoding::HEXUPPER;
use serde::Deserialize;

use super::content::Fault;
use super::error::{Serials, Unfit};
use super::pins;
use super::place::Version;
use super::predecessors::{Before, Predecessors, read};
use super::terms::SLACK;
use crate::model::text::quoted;
use crate::model::{Host, Serial, Time};
use crate::publish::{
    ALLOWED, Area, DEVICES, Ended, Manifest, Pins, RECENT_ALLOWED, RECENT_DEVICES, REVOKED, revoked_serial,
};
use crate::x509::Certificate;
use crate::x509::crl::Crl;

const ROOT_CRL: &str = "crl/root.crl";
/// The CRLs of a publication, each with the certificate of its CA.
const CRLS: [(&str, &str); 3] = [
    (ROOT_CRL, "ca/root.der"),
    ("crl/issuing.crl", "ca/issuing.der"),
    ("crl/servers.crl", "ca/servers.der"),
];

/// The operator's confirmation that a certificate may be accepted again although an installed list revokes
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmation {
    /// This certificate.
    Certificate(Serial),
    /// Every certificate that the publication of this number accepts.
    Publication(u64),
    /// No certificate: the home's ledger may be another than the one that was seen, or an older one.
    History,
}

/// A publication that is to replace the installed one.
pub(super) struct Succession<'a> {
    pub old: &'a Predecessors,
    /// The new version, which has passed every check by itself.
    pub new: &'a Version,
    pub manifest: &'a Manifest,
    /// The certificates that had been lost before.
    pub lost: &'a BTreeMap<Serial, Time>,
    pub confirmed: &'a [Confirmation],
    pub now: Time,
}

/// The findings that a comparison with the installed publication could not decide.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unproven {
    /// Certificates that are not revoked any more, by a manifest that does not say which have ended: of
    /// version 0.1 of this program.
    pub left: BTreeSet<Serial>,
    /// Files and versions in place that are damaged or gone, and may have revoked more.
    pub unread: BTreeSet<PathBuf>,
    /// Certificates that an earlier publication accepts, and that are neither accepted nor revoked any more
    /// before they have expired, each with its notAfter: the home has lost them, and nobody can revoke them
    /// by name.
    pub lost: BTreeMap<Serial, Time>,
    /// Hosts that have pins in the installed pin sets which have not expired, and none in the new ones: the
    /// home has lost the server.
    pub unpinned: Vec<Host>,
}

impl Succession<'_> {
    /// Compares what both revoke. What only a later version of the manifest could tell is told.
    ///
    /// # Errors
    /// Where a certificate was revoked, is so no more, and neither has ended nor was confirmed.
    pub(super) fn examine(&self) -> Result<Unproven, Fault> {
        let mut unproven = Unproven::default();
        if self.manifest.area == Area::Server {
            unproven.lost = self.lost()?;
        }
        let all = Confirmation::Publication(self.manifest.number);
        if self.old.is_empty() || self.confirmed.contains(&all) {
            return Ok(unproven);
        }
        unproven.unread.extend(self.old.unusable.iter().cloned());
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
        for paths in CRLS {
            let (known, there) = match self.old.file(paths.0)? {
                Before::Octets(old) => (Some(old), None),
                Before::Absent => continue,
                Before::Damaged { path, there } => {
                    unproven.unread.insert(path);
                    (self.old.earlier(paths.0)?, there)
                }
            };
            if let Some(old) = known
                && !self.crl(paths, &old, &authorities, unproven)?
            {
                unproven.unread.insert(paths.0.into());
            }
            // Nothing vouches for it but its CA, which is enough.
            if let Some(there) = there
                && self.is_by_a_ca(&there, paths.1, &authorities)?
            {
                self.crl(paths, &there, &authorities, unproven)?;
            }
        }
        Ok(())
    }

    /// Whether a CRL is signed by one of these CAs, or by the one whose certificate was in place.
    fn is_by_a_ca(
        &self,
        crl: &[u8],
        ca: &str,
        authorities: &[(&'static str, Certificate)],
    ) -> Result<bool, Fault> {
        let Ok(crl) = Crl::parse(crl) else {
            return Ok(false);
        };
        let before = self.authority(ca)?;
        let mut all = authorities.iter().map(|(_, ca)| ca).chain(&before);
        Ok(all.any(|ca| crl.is_issued_by(ca)))
    }

    /// The certificate of a CA that was in place.
    fn authority(&self, path: &str) -> Result<Option<Certificate>, Fault> {
        Ok(match self.old.file(path)? {
            Before::Octets(der) => Certificate::from_der(&der).ok(),
            Before::Absent | Before::Damaged { .. } => None,
        })
    }

    /// Compares a CRL that was in place with the one that its CA has now. Says whether it can be read.
    fn crl(
        &self,
        (path, ca): (&'static str, &str),
        old: &[u8],
        authorities: &[(&'static str, Certificate)],
        unproven: &mut Unproven,
    ) -> Result<bool, Fault> {
        if read(self.new, path)?.as_deref() == Some(old) {
            return Ok(true);
        }
        let (Ok(crl), Some(revoked)) = (Crl::parse(old), entries(old)) else {
            return Ok(false);
        };
        if let Some((path, _)) = authorities.iter().find(|(_, ca)| crl.is_issued_by(ca)) {
            let still = read(self.new, path)?.and_then(|new| entries(&new));
            self.demand_ended(path, &revoked, &still.unwrap_or_default(), unproven)?;
            return Ok(true);
        }
        let ca = self.authority(ca)?.filter(|ca| crl.is_issued_by(ca));
        self.demand_over(path, ca, &revoked)?;
        Ok(true)
    }

    /// Makes sure that nobody is let in again by a CA that has no CRL any more: all that it has issued is
    /// over with the CA itself, or each certificate that it revoked has ended.
    fn demand_over(
        &self,
        path: &'static str,
        ca: Option<Certificate>,
        revoked: &HashSet<Serial>,
    ) -> Result<(), Fault> {
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
            Before::Octets(old) => Some(old),
            Before::Absent => return Ok(()),
            Before::Damaged { path, .. } => {
                unproven.unread.insert(path);
                self.old.earlier(Pins::JSON)?
            }
        };
        let Some(old) = old.and_then(|old| Pins::read(&old)) else {
            unproven.unread.insert(Pins::JSON.into());
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
        let mut devices = None;
        for path in [DEVICES, RECENT_DEVICES] {
            match self.old.file(path)? {
                Before::Octets(list) => devices
                    .get_or_insert_with(HashMap::new)
                    .extend(accepted_until(&list)),
                Before::Absent => {}
                Before::Damaged { path, .. } => {
                    unproven.unread.insert(path);
                    devices = None;
                    break;
                }
            }
        }
        let new = read(self.new, REVOKED)?.unwrap_or_default();
        let still = serials(&new, revoked_serial);
        let allowed = self.allowed(&still)?;
        let old = match self.old.file(REVOKED)? {
            Before::Octets(old) if old == new => return Ok(()),
            Before::Octets(old) => vec![old],
            Before::Absent => return Ok(()),
            Before::Damaged { path, there } => {
                unproven.unread.insert(path);
                self.demand_as_many(&still)?;
                let mut earlier = self.old.earlier(DEVICES)?.map(|list| accepted_until(&list));
                if let (Some(all), Some(recent)) = (&mut earlier, self.old.earlier(RECENT_DEVICES)?) {
                    all.extend(accepted_until(&recent));
                }
                if let (Some(devices), Some(earlier)) = (devices, earlier) {
                    let is_back =
                        |serial: &&Serial| !devices.contains_key(serial) && earlier.contains_key(serial);
                    let back = allowed.iter().filter(is_back).copied().collect();
                    self.demand_none(ALLOWED, back, |serials| Unfit::Readmitted {
                        serials,
                        number: self.manifest.number,
                    })?;
                }
                there.into_iter().chain(self.old.earlier(REVOKED)?).collect()
            }
        };
        let revoked: HashSet<Serial> = old.iter().flat_map(|map| serials(map, revoked_serial)).collect();
        self.demand_ended(REVOKED, &revoked, &still, unproven)?;
        // Whatever a manifest says of its end.
        let back: BTreeSet<Serial> = revoked.intersection(&allowed).copied().collect();
        self.demand_none(ALLOWED, back, |serials| self.unrevoked(serials))
    }

    /// Makes sure that no fewer are revoked than were, where the list of these is damaged and a long list of
    /// devices beside it does not tell who they are: it may name them, too.
    fn demand_as_many(&self, still: &HashSet<Serial>) -> Result<(), Fault> {
        /// The octets of a line: a serial number and ` 1;`.
        const LINE: u64 = 36;
        let Some(octets) = self.old.octets_beside_short_lists(REVOKED) else {
            return Ok(());
        };
        let (were, are) = (octets / LINE, still.len() as u64);
        let ended = self.ended().map_or(0, |ended| ended.len() as u64);
        if are + ended >= were {
            return Ok(());
        }
        let number = self.manifest.number;
        Err(Fault::File(REVOKED, Unfit::FewerRevoked { were, are, number }))
    }

    /// Whom `allowed.map` names. A long one is written whole now and then, and names meanwhile whom
    /// `revoked.map` locks out: that one holds. One that has no short list beside it must name nobody who is
    /// revoked.
    fn allowed(&self, revoked: &HashSet<Serial>) -> Result<HashSet<Serial>, Fault> {
        let mut allowed = HashSet::new();
        for path in [ALLOWED, RECENT_ALLOWED] {
            let list = read(self.new, path)?.unwrap_or_default();
            allowed.extend(serials(&list, |line| line.split_once(' ')?.0.parse().ok()));
        }
        if self.manifest.recent.is_some() {
            allowed.retain(|serial| !revoked.contains(serial));
        }
        Ok(allowed)
    }

    /// The certificates that this or an earlier publication has lost.
    fn lost(&self) -> Result<BTreeMap<Serial, Time>, Fault> {
        let (mut before, mut now) = (HashMap::new(), HashMap::new());
        for path in [DEVICES, RECENT_DEVICES] {
            let list = match self.old.file(path)? {
                Before::Octets(list) => Some(list),
                Before::Absent => None,
                Before::Damaged { .. } => self.old.earlier(path)?,
            };
            before.extend(accepted_until(&list.unwrap_or_default()));
            now.extend(accepted_until(&read(self.new, path)?.unwrap_or_default()));
        }
        let revoked = serials(&read(self.new, REVOKED)?.unwrap_or_default(), revoked_serial);
        let mut lost = self.lost.clone();
        lost.extend(before);
        lost.retain(|serial, end| {
            still_lost(serial, *end, self.confirmed, self.now)
                && !now.contains_key(serial)
                && !revoked.contains(serial)
        });
        Ok(lost)
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
        let rest = self.old.made().map(|made| self.manifest.made - made);
        Unfit::Unrevoked {
            serials,
            number: self.manifest.number,
            rest: rest.filter(|rest| Ended::KEPT < *rest),
        }
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

/// Whether a certificate that a home has lost is something to be told of: it has not ended, and nobody has
/// confirmed it.
pub(super) fn still_lost(serial: &Serial, end: Time, confirmed: &[Confirmation], now: Time) -> bool {
    now + SLACK <= end && !confirmed.contains(&Confirmation::Certificate(*serial))
}

/// The serial numbers on a CRL. Nothing where it cannot be read.
fn entries(der: &[u8]) -> Option<HashSet<Serial>> {
    let crl = Crl::parse(der).ok()?;
    crl.entries()
        .map(|entry| entry.ok().map(|entry| entry.serial))
        .collect()
}

/// The certificates in a `devices.json`, each with its notAfter.
pub(super) fn accepted_until(list: &[u8]) -> HashMap<Serial, Time> {
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
pub(super) fn serials(list: &[u8], read: impl Fn(&str) -> Option<Serial>) -> HashSet<Serial> {
    let lines = list.split(|octet| *octet == b'\n');
    lines
        .filter_map(|line| read(std::str::from_utf8(line).ok()?))
        .collect()
}
