//! The record that the index keeps of the published lists of accepted certificates: the lists that were
//! published whole the last time, and the certificates that have changed since. With it a list can be brought
//! up to date without reading every record.
//!
//! None of it is derived from the ledger: an index that was made anew knows no list, and the next publication
//! writes them whole.

use super::codec::{Fields, corrupt};
use super::index::{Index, key};
use super::kv::Writes;
use super::pending::Pending;
use crate::disk::Identity;
use crate::model::{Record, Serial, State};
use crate::store::StoreError;

const LISTS: &[u8] = b"l";
const HASHES: &[u8] = b"m";
const CHANGED: u8 = b'u';

/// The lists of accepted certificates that were published whole the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastLists {
    /// `allowed.map`.
    pub allowed: Content,
    /// `devices.json`.
    pub devices: Content,
}

/// The content of a file, identified by its length in octets and its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Its length in octets.
    pub size: u64,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
}

/// A certificate whose acceptance may have changed since the lists were published whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The current record of the certificate.
    pub record: Record,
    /// Whether those lists name it.
    pub is_listed: bool,
}

impl Index {
    /// The lists that were published whole the last time, where this index knows it.
    pub(in crate::store) fn last_lists(&self) -> Result<Option<LastLists>, StoreError> {
        let Some(value) = self.map.value(LISTS)?.filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let mut fields = Fields(&value);
        let mut read = || {
            let mut content = || {
                Some(Content {
                    size: fields.number()?,
                    sha256: fields.array()?,
                })
            };
            Some(LastLists {
                allowed: content()?,
                devices: content()?,
            })
        };
        read().map(Some).ok_or_else(|| corrupt("the last lists"))
    }

    /// Whether there were such lists at any time: an empty entry says that there are none any more.
    pub(in crate::store) fn had_lists(&self) -> Result<bool, StoreError> {
        Ok(self.map.value(LISTS)?.is_some())
    }

    /// The certificates that have changed since, by serial; none where they are more than `most`.
    pub(in crate::store) fn changed(&self, most: usize) -> Result<Option<Vec<Changed>>, StoreError> {
        let mut serials = Vec::new();
        self.map.scan(&[CHANGED], &mut |key, value| {
            let serial = Serial::from_octets(&key[1..]).ok_or_else(|| corrupt("a change"))?;
            serials.push((serial, value == [1]));
            Ok(serials.len() <= most)
        })?;
        if serials.len() > most {
            return Ok(None);
        }
        let changed = serials.into_iter().map(|(serial, is_listed)| {
            let record = self.record(&serial)?.ok_or_else(|| corrupt("a change"))?;
            Ok(Changed { record, is_listed })
        });
        changed.collect::<Result<_, _>>().map(Some)
    }

    /// Remembers the lists that were published whole, and begins anew with what changes after them; none:
    /// from now on every publication writes them whole.
    pub(in crate::store) fn put_lists(&mut self, lists: Option<&LastLists>) -> Result<(), StoreError> {
        let mut writes = Writes::new();
        self.map.scan(&[CHANGED], &mut |key, _| {
            writes.insert(key.to_vec(), None);
            Ok(true)
        })?;
        let value = lists.map(|lists| {
            let content = |content: &Content| [&content.size.to_be_bytes()[..], &content.sha256].concat();
            [content(&lists.allowed), content(&lists.devices)].concat()
        });
        if value.is_some() || self.had_lists()? {
            writes.insert(LISTS.to_vec(), Some(value.unwrap_or_default()));
        }
        self.map.write(writes)
    }

    /// The hashes of files that were remembered.
    pub(in crate::store) fn hashes(&self) -> Result<Vec<(Identity, [u8; 32])>, StoreError> {
        let value = self.map.value(HASHES)?.unwrap_or_default();
        let mut fields = Fields(&value);
        Ok(std::iter::from_fn(|| Some((Identity::from_octets(fields.array()?), fields.array()?))).collect())
    }

    /// Remembers the hashes of files, in place of those before.
    pub(in crate::store) fn put_hashes(&mut self, hashes: &[(Identity, [u8; 32])]) -> Result<(), StoreError> {
        if hashes == self.hashes()? {
            return Ok(());
        }
        let value: Vec<u8> = hashes
            .iter()
            .flat_map(|(identity, sha256)| [&identity.octets()[..], sha256].concat())
            .collect();
        self.map.write(Writes::from([(HASHES.to_vec(), Some(value))]))
    }
}

impl Pending<'_> {
    /// Forgets the lists that were published whole: the next publication writes them so.
    pub(in crate::store) fn forget_lists(&mut self) -> Result<(), StoreError> {
        if self.value(LISTS)?.is_some() {
            self.put(LISTS.to_vec(), Vec::new());
        }
        self.has_lists = None;
        Ok(())
    }

    /// Notes that a record changes, where lists were published whole that may name its certificate. What they
    /// name is what was accepted when it changed for the first time.
    pub(in crate::store) fn note_change(&mut self, serial: &Serial) -> Result<(), StoreError> {
        let has_lists = match self.has_lists {
            Some(known) => known,
            None => self.value(LISTS)?.is_some_and(|value| !value.is_empty()),
        };
        self.has_lists = Some(has_lists);
        let changed = key(CHANGED, serial.octets());
        if !has_lists || self.value(&changed)?.is_some() {
            return Ok(());
        }
        let is_listed = self.record(serial)?.is_some_and(|record| match record.state {
            State::Active | State::Superseded => true,
            State::Undelivered | State::Revoked { .. } => false,
        });
        self.put(changed, vec![u8::from(is_listed)]);
        Ok(())
    }
}
