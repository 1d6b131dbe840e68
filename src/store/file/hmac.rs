//! The shared keys of API hosts in the index: their epochs, and what the key of a device follows from.

use super::codec::corrupt;
use super::index::{Index, key};
use super::pending::Pending;
use crate::model::{Address, Event, Fact, HmacEpoch, HmacHost, Host, Serial};
use crate::store::StoreError;

const HMAC: u8 = b't';

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

    /// The first certificate of a device that was issued after every one of its own that is revoked.
    pub(in crate::store) fn first_since_revocation(
        &self,
        address: &Address,
    ) -> Result<Option<Serial>, StoreError> {
        let records = self.device(address)?;
        let revoked = records.iter().rposition(|record| record.revocation().is_some());
        let next = revoked.map_or(0, |last| last + 1);
        Ok(records.get(next).map(|record| record.serial))
    }
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
            None => HmacHost {
                host: host.clone(),
                epochs: Vec::new(),
            },
        };
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

    /// Notes that what the keys of a device follow from changes with the revocation of one of its
    /// certificates: the others are listed otherwise.
    pub(in crate::store) fn note_device_change(&mut self, address: &Address) -> Result<(), StoreError> {
        if self.index.hmac_hosts()?.is_empty() {
            return Ok(());
        }
        for record in self.index.device(address)? {
            self.note_change(&record.serial)?;
        }
        Ok(())
    }
}
