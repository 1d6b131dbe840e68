//! Brings the two areas of a publication, `public` and `server`, to all of their places.

use std::cell::OnceCell;

use sha2::{Digest, Sha256};

use super::Published;
use super::crl::next_number;
use super::history;
use super::targets::{Place, Role};
use crate::ca::CaError;
use crate::ca::session::Session;
use crate::disk::Shown;
use crate::issuer::Devices;
use crate::model::Time;
use crate::publish::{Area, BothForms, Ended, Listing, Manifest, Publication};
use crate::store::LastPublication;

/// Brings a publication to its places, one area after the other.
pub(in crate::ca) struct Rounds<'a> {
    pub session: &'a Session<'a>,
    pub publication: Publication,
    /// All places, also those that are not written.
    pub places: &'a [Place],
    /// The key for manifests, if it is at hand.
    pub issuing: Option<&'a Devices>,
    /// The numbers that were published last, and then those that are.
    pub numbers: LastPublication,
    /// The start (thisUpdate) of the previous CRL.
    pub previous: Option<Time>,
    /// Both manifests say the same of what has ended: it is read once, and only where one is signed.
    pub ended: OnceCell<Vec<Ended>>,
}

/// Whether an area could be published with the key at hand, or without one.
pub(in crate::ca) enum Key {
    /// It could be published.
    Enough,
    /// A manifest must be signed, and there is no key.
    Missing,
}

impl Rounds<'_> {
    /// Writes one area to each of its places that does not have it, and notes in `done` which they are, and
    /// which of them cannot be written.
    ///
    /// # Errors
    /// Where the manifest cannot be signed, or the ledger cannot be read.
    pub fn bring(&mut self, area: Area, places: &[&Place], done: &mut Published) -> Result<Key, CaError> {
        let mut looked = Vec::new();
        let mut highest = *self.last(area);
        for place in places {
            let state = place
                .to
                .holds(self.publication.files(area))
                .and_then(|holds| Ok((holds, place.to.manifest()?, place.to.statement()?)));
            // One that cannot be read is told when it cannot be written.
            let (holds, manifest, statement) = state.unwrap_or_default();
            let number = manifest.as_ref().map_or(0, |manifest| manifest.number);
            highest = highest.max(number);
            // The servers' half has no CRL in it: where only that was renewed, its files stay and the end
            // that its manifest tells moves.
            let ends = manifest.map(|manifest| manifest.valid_until);
            let stands = holds && ends == Some(self.publication.valid_until());
            looked.push((*place, number, statement.filter(|_| stands)));
        }
        // The home's own manifest stands unless a place has seen a later one: numbers only rise, also for a
        // home from an older backup.
        let standing = looked
            .iter()
            .find(|(place, number, _)| place.is_staging() && *number == highest)
            .and_then(|(_, _, statement)| statement.clone());
        let behind: Vec<&Place> = looked
            .iter()
            .filter(|(place, ..)| place.role != Role::Source)
            .filter(|(_, _, statement)| statement.is_none() || *statement != standing)
            .map(|(place, _, _)| *place)
            .collect();
        if behind.is_empty() {
            return Ok(Key::Enough);
        }
        let (manifest, jws) = match (standing, self.issuing) {
            (Some(statement), _) => statement,
            (None, None) => return Ok(Key::Missing),
            (None, Some(issuing)) => {
                if area == Area::Server {
                    let history = history::grown(self.session, self.places, issuing)?;
                    self.publication = self.publication.clone().with_history(history);
                }
                self.sign(area, next_number(Some(highest), self.session.now), issuing)?
            }
        };
        let files = self.publication.files(area);
        let readers = behind.iter().filter(|place| !place.is_staging());
        let readers = readers.map(|place| place.to.path.as_path());
        // A disk that is full here keeps no revocation from servers that have room for it.
        if let Err(error) = done.owed.begin(&self.session.desk.home, readers) {
            done.failed.push((error.path.clone(), error.into()));
        }
        let mut is_written = !behind.iter().any(|place| place.is_staging());
        for place in behind {
            match place.to.write(files, &manifest, &jws) {
                Ok(()) => {
                    is_written = true;
                    let target = Some(place).filter(|place| !place.is_staging());
                    done.changed.extend(target.map(|place| place.to.path.clone()));
                }
                Err(error) => done.failed.push((Shown(place.to.path.clone()), error)),
            }
        }
        if !is_written {
            return Ok(Key::Enough);
        }
        done.written.push((area, *self.last(area)));
        if area == Area::Server {
            self.numbers.server_manifest = Some(Sha256::digest(&manifest).into());
        }
        Ok(Key::Enough)
    }

    /// The number of the area's manifest that was published last.
    fn last(&mut self, area: Area) -> &mut u64 {
        match area {
            Area::Public => &mut self.numbers.public,
            Area::Server => &mut self.numbers.server,
        }
    }

    fn sign(&mut self, area: Area, number: u64, issuing: &Devices) -> Result<BothForms, CaError> {
        *self.last(area) = number;
        let Listing {
            files,
            recent,
            optional,
        } = Manifest::list(self.publication.files(area));
        let manifest = Manifest {
            version: 1,
            area,
            number,
            made: self.session.now,
            valid_until: self.publication.valid_until(),
            ended: Some(self.ended()?),
            files,
            recent,
            optional,
        };
        let text = manifest.text();
        let jws = issuing.sign_statement(Manifest::TYPE, &text)?.into_bytes();
        Ok((text, jws))
    }

    /// The certificates that may have left a CRL for having ended: those of the last 400 days, and never more
    /// than a manifest has room for.
    fn ended(&self) -> Result<Vec<Ended>, CaError> {
        if let Some(read) = self.ended.get() {
            return Ok(read.clone());
        }
        let now = self.session.now;
        // Counted from the CRL that stood: after a long rest entries leave that ended long ago.
        let since = self.previous.unwrap_or(now).min(now) - Ended::KEPT;
        let mut ended = self.session.store.revoked_and_ended(since, now)?;
        ended.sort_unstable_by_key(|(serial, not_after)| (std::cmp::Reverse(*not_after), *serial));
        ended.truncate(Ended::ROOM);
        let ended = ended.into_iter();
        let ended: Vec<Ended> = ended
            .map(|(serial, not_after)| Ended { serial, not_after })
            .collect();
        Ok(self.ended.get_or_init(|| ended).clone())
    }
}
