//! The shared keys of API hosts in the index: their epochs, and what the key of a device follows from.

use serde::{Deserialize, Serialize};

use super::codec::{corrupt, read_revocation};
use super::index::{DEVICES_REVOKED, Index, PUBLISHED_AT, key};
use super::pending::Pending;
use crate::model::{Address, Event, Fact, HmacEpoch, HmacHost, Host, KnownBy, Reason, Record, Serial, State};
use crate::store::StoreError;

const HMAC: u8 = b't';
const FIRST: u8 = b'g';

fn read(value: &[u8]) -> Result<HmacHost, StoreError> {
    serde_json::from_slice(value).map_err(|_| corrupt("shared keys"))
}

impl Index {
    /// The shared keys of a host.
    pub(in crate::store) fn hmac_host(&self, host: &Host) -> Result<Option<HmacHost>, StoreError> {
        let value = self.map.value(&key(HMAC, host.to_string().as_bytes()))?;
        value.map(|value| read(&value)).transpose()
    }

    /// Every host that has shared keys, by name.
    pub(in crate::store) fn hmac_hosts(&self) -> Result<Vec<HmacHost>, StoreError> {
        let mut hosts = Vec::new();
        self.map.scan(&[HMAC], &mut |_, value| {
            hosts.push(read(value)?);
            Ok(true)
        })?;
        Ok(hosts)
    }

    /// What the shared keys of a device follow from: its first certificate after its last revocation.
    pub(in crate::store) fn first_since_revocation(
        &self,
        address: &Address,
    ) -> Result<Option<Serial>, StoreError> {
        let value = self.map.value(&first_key(address))?;
        let life = value.map(|value| read_life(&value)).transpose()?;
        Ok(life.and_then(|life| life.first).map(|first| first.serial))
    }

    /// Whether nothing was issued to a device, and nothing of it lost, since the last publication: whoever
    /// has published more since then knows more of it.
    pub(in crate::store) fn is_first_published(&self, address: &Address) -> Result<bool, StoreError> {
        let life = self.map.value(&first_key(address))?;
        let life = life.map(|value| read_life(&value)).transpose()?;
        let published = self.map.value(PUBLISHED_AT)?.unwrap_or_default();
        let published = <[u8; 8]>::try_from(published).map_or(0, u64::from_be_bytes);
        Ok(life.is_none_or(|life| life.changed <= published))
    }
}

/// What is remembered of a device for its shared keys.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Life {
    /// The certificate that the keys follow from.
    first: Option<First>,
    /// The number of the event that issued its newest certificate here.
    newest: u64,
    /// The number of the last event that issued a certificate to it, or by which it lost one.
    changed: u64,
    /// The certificate that a list named last as the first one.
    told: Option<Serial>,
}

/// The certificate that keys follow from.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct First {
    serial: Serial,
    /// The number of the event that issued it here; none of one that was issued to a home that was lost.
    seq: Option<u64>,
}

fn first_key(address: &Address) -> Vec<u8> {
    key(FIRST, address.to_string().as_bytes())
}

fn read_life(value: &[u8]) -> Result<Life, StoreError> {
    serde_json::from_slice(value).map_err(|_| corrupt("what shared keys follow from"))
}

impl Pending<'_> {
    /// Applies an event of shared keys.
    pub(in crate::store) fn take_hmac(&mut self, event: &Event) -> Result<(), StoreError> {
        let Fact::HmacRotated {
            host,
            epoch,
            check,
            previous_until,
        } = &event.fact
        else {
            return Ok(());
        };
        let place = key(HMAC, host.to_string().as_bytes());
        let mut known = match self.value(&place)? {
            Some(value) => read(&value)?,
            None => {
                // The lists that stand may not say what keys follow from.
                self.forget_lists()?;
                HmacHost {
                    host: host.clone(),
                    epochs: Vec::new(),
                }
            }
        };
        // Nobody but a forger leaves a number out, or comes back to one.
        if *epoch != known.epochs.last().map_or(0, |last| last.number) + 1 {
            return Ok(());
        }
        // Whoever ends the old keys means all of them; no earlier end is put off.
        for before in &mut known.epochs {
            before.until = Some(
                before
                    .until
                    .map_or(*previous_until, |until| until.min(*previous_until)),
            );
        }
        known.epochs.push(HmacEpoch {
            number: *epoch,
            from: event.time,
            until: None,
            check: *check,
        });
        let value = serde_json::to_vec(&known).map_err(|_| corrupt("shared keys"))?;
        self.put(place, value);
        Ok(())
    }

    fn life(&self, address: &Address) -> Result<Life, StoreError> {
        let value = self.value(&first_key(address))?;
        value.map_or(Ok(Life::default()), |value| read_life(&value))
    }

    fn put_life(&mut self, address: &Address, life: &Life) -> Result<(), StoreError> {
        let value = serde_json::to_vec(life).map_err(|_| corrupt("what shared keys follow from"))?;
        self.put(first_key(address), value);
        Ok(())
    }

    /// Takes in that a certificate was issued to a device. One that only a list knows is not: nobody can tell
    /// whether its keys were lost before.
    pub(in crate::store) fn note_issued(
        &mut self,
        address: &Address,
        serial: Serial,
        seq: u64,
    ) -> Result<(), StoreError> {
        let mut life = self.life(address)?;
        life.first.get_or_insert(First {
            serial,
            seq: Some(seq),
        });
        life.newest = life.newest.max(seq);
        life.changed = seq;
        self.put_life(address, &life)
    }

    /// Takes in that a certificate of a device was revoked: its keys follow from what was issued after that.
    /// One that nobody was given has told nobody a key, where nobody says that the device is lost, and one
    /// that a newer one replaced has lost none. The keys are kept besides only where the certificate is known
    /// to be older than the one that they follow from: where the order is not known, because a list brought
    /// one of the two back, they are given up.
    pub(in crate::store) fn note_revoked(
        &mut self,
        record: &Record,
        was: State,
        reason: Reason,
        event: &Event,
    ) -> Result<(), StoreError> {
        let mut life = self.life(&record.address)?;
        let is_dropped =
            was == State::Undelivered && matches!(reason, Reason::Unspecified | Reason::Replaced);
        let is_replaced = reason == Reason::Replaced && life.newest > record.seq;
        if is_dropped || is_replaced {
            return Ok(());
        }
        life.changed = event.seq;
        let is_older = |first: First| {
            record.known_by == KnownBy::Issuance && first.seq.is_some_and(|seq| seq > record.seq)
        };
        if life.first.is_none_or(is_older) {
            return self.put_life(&record.address, &life);
        }
        let later = self.device(&record.address)?.into_iter().find(|other| {
            other.seq > record.seq
                && other.known_by == KnownBy::Issuance
                && other.revocation().is_none()
                && !other.validity.ended(event.time)
        });
        life.first = later.map(|other| First {
            serial: other.serial,
            seq: Some(other.seq),
        });
        self.put_life(&record.address, &life)?;
        self.note_device_change(&record.address)
    }

    /// Takes in what a published list says that the keys of a device follow from. What was lost does not
    /// come back by it, and nothing comes back twice.
    pub(in crate::store) fn note_told_first(
        &mut self,
        address: &Address,
        told: Serial,
    ) -> Result<(), StoreError> {
        let mut life = self.life(address)?;
        let revocation = self.value(&key(DEVICES_REVOKED, told.octets()))?;
        let revocation = revocation
            .map(|value| read_revocation(told, &value))
            .transpose()?;
        let is_lost = revocation.is_some_and(|(revocation, _)| revocation.reason != Reason::Replaced);
        if is_lost || life.told == Some(told) {
            return Ok(());
        }
        let record = self
            .record(&told)?
            .filter(|record| record.known_by == KnownBy::Issuance);
        life.first = Some(First {
            serial: told,
            seq: record.map(|record| record.seq),
        });
        life.told = Some(told);
        self.put_life(address, &life)?;
        self.note_device_change(address)
    }

    /// Notes that what the keys of a device follow from is another: its certificates are listed otherwise.
    fn note_device_change(&mut self, address: &Address) -> Result<(), StoreError> {
        let is_waiting = |(place, _): (&Vec<u8>, _)| place.starts_with(&[HMAC]);
        let waiting = self.writes.range(vec![HMAC]..).next();
        if self.index.hmac_hosts()?.is_empty() && !waiting.is_some_and(is_waiting) {
            return Ok(());
        }
        for record in self.device(address)? {
            self.note_change(&record.serial)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
