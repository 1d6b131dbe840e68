//! Brings what was signed before to every place that has something older, without any key: whoever is locked
//! out by a signature that exists does not wait for one that is still to be made.
//!
//! Nothing is built here. Each half of the publication is taken from the home's own place as it stands under
//! its signed manifest, and goes to each place by itself.
//!
//! # Why no place lets in anybody whom it kept out
//!
//! Numbers only rise, and a home that signs a half has read what stands in the places. So the half with the
//! higher number locks out everybody whom one with a lower number locks out, and whoever it lets in besides
//! was let in by the CA. That holds but for two cases. A home from an older backup may have signed while the
//! place was away that would have told it of a revocation. And a device that the half lets in may have been
//! revoked since, which nothing signed says yet. So a place is also compared by what it says: where it keeps
//! out or knows anybody whom the half does not, it waits for the key. So does a place without a manifest of
//! ours, because nobody can tell what it knew.

use std::collections::HashSet;
use std::path::Path;
use std::slice;

use data_encoding::HEXLOWER;

use super::doubt::Doubts;
use super::error::PUBLISHED;
use super::lists::Extent;
use super::owed::Owed;
use super::pin_sets::{StandingPins, pins_in};
use super::published::{Standing, authorities, crl_path, published_crls};
use super::reached::Reached;
use super::reconcile::{Unknown, forgotten};
use super::targets::Place;
use super::{Published, demand_target, own_places};
use crate::ca::session::Session;
use crate::ca::{CaError, recording};
use crate::disk::Shown;
use crate::model::{Authority, Fact, Serial, Time};
use crate::publish::{
    ALLOWED, Area, BothForms, Claim, Half, Pins, RECENT_ALLOWED, REVOKED, TargetError, allowed,
    revoked_serial,
};
use crate::x509::crl::Crl;

/// Brings both halves, as they were signed last, to every place that has an older one, or to the one place
/// `only`; and returns the commands that are still to be run. A half of the home's own that is not whole is
/// brought nowhere. A place that has to wait for a signature, or cannot be written, is named in the outcome,
/// and does not hold up the other half or other places.
///
/// # Errors
/// Where the ledger or the home cannot be read, what was done cannot be written down, or
/// pki.toml does not name the place.
pub fn bring_signed_before(session: &mut Session<'_>, only: Option<&Path>) -> Result<Published, CaError> {
    let home = &session.desk.home;
    if let Some(only) = only {
        demand_target(home.config(), only)?;
    }
    let mut done = Published {
        doubts: Doubts::by(home),
        owed: Owed::by(home),
        withheld: session.copied.clone(),
        unreconciled: session.unreconciled,
        ..Published::default()
    };
    if done.withheld.is_some() || done.unreconciled.is_some() {
        return Ok(done);
    }
    let is_meant = |place: &Path| only.is_none_or(|only| only == place);
    let (places, failed) = own_places(home, &Extent::Whole.hashes(session)?)?;
    done.failed = failed;
    done.failed.extend(forgotten(home, &session.store)?);
    done.failed.retain(|(Shown(place), _)| is_meant(place));
    let mut having = Vec::new();
    for area in [Area::Server, Area::Public] {
        let (own, others): (Vec<&Place>, Vec<&Place>) = places
            .iter()
            .filter(|place| place.to.area == area)
            .partition(|place| place.is_staging());
        for own in own {
            match own.to.half() {
                Ok(Some(half)) => {
                    let pins = (area == Area::Public).then(|| StandingPins::read(&places, &done.failed));
                    let bringing = Bringing {
                        session,
                        standing_pins: pins,
                        half,
                    };
                    let meant = others.iter().copied().filter(|place| is_meant(&place.to.path));
                    having.extend(bringing.bring(meant, &mut done)?);
                }
                Ok(None) => {}
                Err(why) => done.failed.push((Shown(own.to.path.clone()), why)),
            }
        }
    }
    let is_behind = |place: &Path| done.failed.iter().any(|(Shown(failed), _)| failed == place);
    done.commands = done
        .owed
        .commands(home.config(), |place| is_meant(place) && !is_behind(place));
    record(session, &having)?;
    Ok(done)
}

/// Records the places that have a publication by now, where the ledger does not know that they ever had one.
fn record(session: &mut Session<'_>, having: &[&Place]) -> Result<(), CaError> {
    let last = session.store.last_publication()?;
    let names = having.iter().map(|place| place.to.path.display().to_string());
    let targets: Vec<String> = names.filter(|name| !last.targets.contains(name)).collect();
    if targets.is_empty() {
        return Ok(());
    }
    // No number is new: the halves are those that were published last.
    let published = Fact::Published {
        public: last.public,
        server: last.server,
        targets,
        server_manifest: last.server_manifest.map(|sha256| HEXLOWER.encode(&sha256)),
    };
    session.commit(vec![published]).map_err(recording(PUBLISHED))
}

/// One half of the home's own on its way to the places.
struct Bringing<'a> {
    session: &'a Session<'a>,
    /// The pin sets of all places, where it is the public half, which alone has some.
    standing_pins: Option<StandingPins>,
    half: Half,
}

impl Bringing<'_> {
    /// Brings the half to each of these places that has an older one. Returns the places that have it then.
    fn bring<'p>(
        &self,
        places: impl Iterator<Item = &'p Place>,
        done: &mut Published,
    ) -> Result<Vec<&'p Place>, CaError> {
        let (mut having, mut lacking) = (Vec::new(), Vec::new());
        for place in places {
            match self.is_in(place) {
                Ok(true) => having.push(place),
                Ok(false) => lacking.push(place),
                Err(CaError::Target(why)) => done.failed.push((Shown(place.to.path.clone()), why)),
                Err(other) => return Err(other),
            }
        }
        let home = &self.session.desk.home;
        // Before anything is written that would show no more what was there.
        let noted = done.doubts.clone();
        done.doubts.claims(self.session, lacking.iter().copied())?;
        if done.doubts != noted {
            done.doubts.save(home)?;
        }
        let readers = lacking.iter().map(|place| place.to.path.as_path());
        done.owed.begin(home, readers)?;
        for place in lacking {
            let path = place.to.path.clone();
            match place.to.write_half(&self.half) {
                Ok(()) => {
                    done.changed.push(path);
                    having.push(place);
                }
                Err(why) => done.failed.push((Shown(path), why)),
            }
        }
        if let Some((standing_pins, pins)) = self.standing_pins.as_ref().zip(self.half.pins()) {
            let has_them = |path: &Path| having.iter().any(|place| place.to.path == path);
            let (pins, now) = (pins_in(&pins), self.session.now);
            done.unnoted = Reached::note(home, &pins, has_them, standing_pins, now).err();
        }
        Ok(having)
    }

    /// Whether the place has the half already; if not, it has an older one in whose stead the half may come.
    ///
    /// # Errors
    /// [`TargetError::AwaitsKey`] and [`TargetError::UnknownPins`] where it must not, and another one where
    /// the place cannot be read.
    fn is_in(&self, place: &Place) -> Result<bool, CaError> {
        if place.to.has_half(&self.half)? {
            return Ok(true);
        }
        let there = place.to.manifest()?;
        let ours = &self.half.manifest;
        let is_before = there.is_some_and(|there| there.number < ours.number || there == *ours);
        let crls = published_crls(&self.session.desk.home, slice::from_ref(place));
        if !is_before || self.knows_more(place, &crls)? {
            return Err(TargetError::AwaitsKey.into());
        }
        let keeps_more_out = match place.to.area {
            Area::Server => self.lists_keep_more_out(place)?,
            Area::Public => self.crls_keep_more_out(&crls)? || self.has_later_pins(place)?,
        };
        if keeps_more_out {
            return Err(TargetError::AwaitsKey.into());
        }
        if let Some(standing_pins) = &self.standing_pins {
            let losers = standing_pins.losers(self.session, self.half.pins().as_ref())?;
            if losers.contains(&place.to.path) {
                return Err(TargetError::UnknownPins.into());
            }
        }
        Ok(false)
    }

    /// Whether the place, which has these CRLs, knows a certificate or a revocation that the ledger does not:
    /// that is to be taken in before anything is written there.
    fn knows_more(&self, place: &Place, crls: &[Standing]) -> Result<bool, CaError> {
        let unknown = Unknown::find(self.session, crls, slice::from_ref(place))?;
        Ok(!unknown.revocations.is_empty() || !unknown.certificates.is_empty())
    }

    /// Whether the lists in the place, signed or not, keep out a certificate that the lists of the half let
    /// in.
    fn lists_keep_more_out(&self, place: &Place) -> Result<bool, CaError> {
        // Readers of the place look for short lists, and would go by old ones.
        if self.half.manifest.recent.is_none() && place.to.has_short_lists()? {
            return Ok(true);
        }
        let (mut let_in, mut kept_out) = (HashSet::new(), HashSet::new());
        for claim in place.to.claims(true)? {
            match claim {
                Claim::Accepted(serial, _) => let_in.insert(serial),
                Claim::Revoked(serial) => kept_out.insert(serial),
            };
        }
        let ours: HashSet<Serial> = self.lines(REVOKED, revoked_serial).collect();
        if self.is_any_missing(&kept_out, &ours)? {
            return Ok(true);
        }
        // Whoever was revoked since the half was signed is let in by it. A place that lets her in as well
        // loses nothing by it, and one that has never heard of her does.
        let mut revoked_since: HashSet<Serial> = HashSet::new();
        for revocation in self.session.store.revoked(Authority::Issuing, None)? {
            if !ours.contains(&revocation.serial) && !let_in.contains(&revocation.serial) {
                revoked_since.insert(revocation.serial);
            }
        }
        let serial = |line: &str| allowed(line).map(|(serial, _)| serial);
        let mut lets_in = [ALLOWED, RECENT_ALLOWED]
            .into_iter()
            .flat_map(|path| self.lines(path, serial));
        Ok(!revoked_since.is_empty() && lets_in.any(|serial| revoked_since.contains(&serial)))
    }

    /// Whether one of these CRLs of a place is later than the one of the half, or revokes what that one does
    /// not.
    fn crls_keep_more_out(&self, crls: &[Standing]) -> Result<bool, CaError> {
        let home = &self.session.desk.home;
        for there in crls {
            let issuer = authorities(home).find(|(authority, _)| *authority == there.authority);
            let ours = self.half.octets(crl_path(there.authority));
            let ours = issuer
                .zip(ours)
                .and_then(|((authority, issuer), der)| Standing::of(authority, issuer, der.into_owned()));
            let Some(ours) = ours else {
                return Ok(true);
            };
            let later = there.terms.number > ours.terms.number;
            if later || self.is_any_missing(&entries(there), &entries(&ours))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the pin sets in the place are later than those of the half.
    fn has_later_pins(&self, place: &Place) -> Result<bool, CaError> {
        let number = |(text, _): &BothForms| Pins::read(text).map(|pins| pins.number);
        let there = place.to.pins()?.as_ref().and_then(number);
        Ok(there > self.half.pins().as_ref().and_then(number))
    }

    /// Whether one of these revoked certificates is not among `ours`, and had not ended when the half was
    /// made: one that has ended leaves the lists, and no server accepts it.
    fn is_any_missing(&self, revoked: &HashSet<Serial>, ours: &HashSet<Serial>) -> Result<bool, CaError> {
        let mut missing: HashSet<Serial> = revoked.difference(ours).copied().collect();
        if !missing.is_empty() {
            let store = &self.session.store;
            for (serial, _) in store.revoked_and_ended(Time::from_unix(0), self.half.manifest.made)? {
                missing.remove(&serial);
            }
        }
        Ok(!missing.is_empty())
    }

    /// What is read in each line of a list of the half.
    fn lines<T>(&self, path: &str, read: impl Fn(&str) -> Option<T>) -> impl Iterator<Item = T> {
        let octets = self.half.octets(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&octets);
        let read: Vec<T> = text.lines().filter_map(read).collect();
        read.into_iter()
    }
}

/// The certificates that a CRL revokes.
fn entries(standing: &Standing) -> HashSet<Serial> {
    let crl = Crl::parse(&standing.der);
    let entries = crl.iter().flat_map(|crl| crl.entries().flatten());
    entries.map(|entry| entry.serial).collect()
}
