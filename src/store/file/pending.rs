//! Events taken into the index: what each of them changes, held in memory until all of it is written at once.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::codec::{
    corrupt, read_offset, read_publication, read_record, read_revocation, reason_octet, seconds,
    write_publication, write_record,
};
use super::index::{
    DEVICES, DEVICES_REVOKED, FORMAT, HOME, INITIALIZED, Index, PUBLICATION, PUBLISHED_AT, RECORDS,
    REVOCATION, REVOKED, UNRECONCILED, UNREVOKED, format_of, key,
};
use super::kv::{POSITION, Writes};
use super::last::LastPublication;
use super::ledger::Entry;
use crate::model::event::{Issued, KeySource, Recovered};
use crate::model::{
    Address, Authority, DeviceKey, Event, Fact, KnownBy, Reason, Record, Revocation, Serial, State, Time,
    Validity,
};
use crate::store::StoreError;
use crate::x509;

impl Index {
    /// Applies acknowledged events, in their order, at once.
    pub(in crate::store) fn apply(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut pending = self.pending();
        pending.apply(entries)?;
        pending.write()
    }

    /// Begins a set of changes to the index. [`Pending::apply`] applies events to it in memory; the map
    /// itself changes only when [`Pending::write`] writes all of them at once.
    pub(in crate::store) fn pending(&mut self) -> Pending<'_> {
        Pending {
            index: self,
            writes: Writes::new(),
            has_lists: None,
        }
    }
}
/// Events applied and not yet written: later ones see what earlier ones say. What is held is what they come
/// to, which is a fraction of what they say: no certificates.
pub(in crate::store) struct Pending<'a> {
    pub(in crate::store) index: &'a mut Index,
    pub(in crate::store) writes: Writes,
    /// Whether the index knows lists that were published whole, once that was asked.
    pub(in crate::store) has_lists: Option<bool>,
}

impl Pending<'_> {
    /// Applies acknowledged events, in their order.
    pub(in crate::store) fn apply(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        entries.iter().try_for_each(|entry| self.take(entry))
    }

    /// The number of keys that wait to be written.
    pub(in crate::store) fn len(&self) -> usize {
        self.writes.len()
    }

    /// Writes what waits, at once.
    pub(in crate::store) fn write(&mut self) -> Result<(), StoreError> {
        self.index.map.write(std::mem::take(&mut self.writes))
    }

    pub(in crate::store) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.writes.insert(key, Some(value));
    }

    pub(in crate::store) fn record(&self, serial: &Serial) -> Result<Option<Record>, StoreError> {
        let value = self.record_value(serial)?;
        value.map(|value| read_record(*serial, &value)).transpose()
    }

    fn record_value(&self, serial: &Serial) -> Result<Option<Vec<u8>>, StoreError> {
        for kind in RECORDS {
            if let Some(Some(value)) = self.writes.get(&key(kind, serial.octets())) {
                return Ok(Some(value.clone()));
            }
        }
        self.index.record_value(serial)
    }

    /// A record, to be changed, and its place in the ledger.
    fn placed(&self, serial: &Serial) -> Result<Option<(Record, u64)>, StoreError> {
        let value = self.record_value(serial)?;
        value
            .map(|value| Ok((read_record(*serial, &value)?, read_offset(&value)?)))
            .transpose()
    }

    /// The records of one device, oldest first, as they are once all that waits is written.
    pub(in crate::store) fn device(&self, address: &Address) -> Result<Vec<Record>, StoreError> {
        let prefix = key(DEVICES, format!("{address}\0").as_bytes());
        let mut places: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        self.index.map.scan(&prefix, &mut |place, serial| {
            places.insert(place.to_vec(), serial.to_vec());
            Ok(true)
        })?;
        let waiting = self.writes.range(prefix.clone()..);
        let waiting = waiting.take_while(|(place, _)| place.starts_with(&prefix));
        places.extend(waiting.filter_map(|(place, serial)| Some((place.clone(), serial.clone()?))));
        let damaged = || corrupt("a device");
        let records = places.values().map(|serial| {
            let serial = Serial::from_octets(serial).ok_or_else(damaged)?;
            self.record(&serial)?.ok_or_else(damaged)
        });
        records.collect()
    }

    /// The value that a key has, once all that waits is written.
    pub(in crate::store) fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.writes.get(key) {
            Some(waiting) => Ok(waiting.clone()),
            None => self.index.map.value(key),
        }
    }

    fn put_record(&mut self, record: &Record, offset: u64) -> Result<(), StoreError> {
        self.note_change(&record.serial)?;
        let kind = match record.state {
            State::Undelivered | State::Active | State::Superseded => UNREVOKED,
            State::Revoked { .. } => {
                self.writes.insert(key(UNREVOKED, record.serial.octets()), None);
                REVOKED
            }
        };
        self.put(key(kind, record.serial.octets()), write_record(record, offset));
        Ok(())
    }

    fn take(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let Entry { event, offset, after } = entry;
        match &event.fact {
            Fact::Initialized { .. } => {
                self.put(HOME.to_vec(), after.sha.to_vec());
                self.put(
                    INITIALIZED.to_vec(),
                    serde_json::to_vec(event).map_err(|_| corrupt("the first event"))?,
                );
            }
            Fact::Issued(issued) => self.issued(issued, event.seq, *offset)?,
            Fact::Delivered {
                serial, supersedes, ..
            } => {
                self.change(serial, State::Active)?;
                self.supersede(supersedes)?;
            }
            Fact::Revoked {
                serial,
                reason,
                since,
                ..
            } => {
                let (at, reason) = (since.unwrap_or(event.time), *reason);
                let end = match self.placed(serial)? {
                    Some((mut record, offset)) => {
                        let was = record.state;
                        record.state = State::Revoked { at, reason };
                        self.put_record(&record, offset)?;
                        self.note_revoked(&record, was, reason, event)?;
                        record.validity.not_after
                    }
                    // Only a published CRL knew of it: it stays on the CRL for good.
                    None => Time::MAX,
                };
                self.put_revocation(*serial, at, reason, end);
                // What had ended by then need not be on a CRL: whether it must is found by comparing lists.
                if end >= event.time {
                    self.put(REVOCATION.to_vec(), vec![1]);
                }
            }
            Fact::Recovered(recovered) => self.recovered(recovered, event, *offset)?,
            Fact::Kept { serial } => {
                if let Some((mut record, offset)) = self.placed(serial)? {
                    record.known_by = match record.known_by {
                        KnownBy::Issuance => KnownBy::Issuance,
                        KnownBy::List { .. } => KnownBy::List { kept: true },
                    };
                    self.put_record(&record, offset)?;
                }
            }
            Fact::Offboarded { employee } => {
                self.put(
                    key(b'o', employee.as_str().as_bytes()),
                    seconds(event.time).to_vec(),
                );
            }
            Fact::Reinstated { employee } => {
                self.writes.insert(key(b'o', employee.as_str().as_bytes()), None);
            }
            Fact::CrlSigned {
                authority,
                number,
                this_update,
                next_update,
                ..
            } => {
                let value = [number.to_be_bytes(), seconds(*this_update), seconds(*next_update)].concat();
                self.put(key(b'c', authority.word().as_bytes()), value);
                if *authority == Authority::Issuing {
                    self.put(REVOCATION.to_vec(), vec![0]);
                }
            }
            Fact::Published {
                public,
                server,
                server_manifest,
                targets,
            } => {
                self.put(PUBLISHED_AT.to_vec(), event.seq.to_be_bytes().to_vec());
                let last = self.value(PUBLICATION)?.and_then(|last| read_publication(&last));
                let sha256 = server_manifest
                    .as_ref()
                    .and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok());
                let mut publication = LastPublication {
                    public: *public,
                    server: *server,
                    server_manifest: sha256.and_then(|sha256| sha256.try_into().ok()),
                    targets: last.map(|last| last.targets).unwrap_or_default(),
                };
                for target in targets {
                    if !publication.targets.contains(target) {
                        publication.targets.push(target.clone());
                    }
                }
                self.put(PUBLICATION.to_vec(), write_publication(&publication));
            }
            Fact::ServersCa { .. }
            | Fact::ServerAdded { .. }
            | Fact::ServerCertified(_)
            | Fact::ServerImported { .. }
            | Fact::ServerRotated { .. }
            | Fact::ServerRemoved { .. }
            | Fact::ServerRevoked { .. }
            | Fact::PinsSigned { .. } => self.take_server(event)?,
            Fact::HmacRotated { .. } | Fact::HmacHandedOut { .. } => self.take_hmac(event)?,
            Fact::HmacFirst { address, first } => self.note_told_first(address, *first)?,
            Fact::AcmeGranted(_)
            | Fact::AcmeBound { .. }
            | Fact::AcmeCancelled { .. }
            | Fact::AcmeDeactivated { .. } => self.take_acme(event)?,
            Fact::InviteCreated(_)
            | Fact::InviteAsked { .. }
            | Fact::InviteApproved { .. }
            | Fact::InviteRedeemed { .. }
            | Fact::InviteFetchedAgain { .. }
            | Fact::InviteRefused { .. }
            | Fact::InviteSuspended { .. }
            | Fact::InviteCancelled { .. } => self.take_invite(event, *offset)?,
            Fact::Restored { made, .. } => self.put(UNRECONCILED.to_vec(), seconds(*made).to_vec()),
            Fact::Reconciled { .. } => {
                self.writes.insert(UNRECONCILED.to_vec(), None);
            }
            Fact::PassphraseChanged { .. } | Fact::ClockConfirmed { .. } => {}
        }
        let position = [
            &after.seq.to_be_bytes()[..],
            &after.offset.to_be_bytes(),
            &after.sha,
        ]
        .concat();
        self.put(POSITION.to_vec(), position);
        self.put(FORMAT.to_vec(), format_of(after.seq));
        Ok(())
    }

    fn issued(&mut self, issued: &Issued, seq: u64, offset: u64) -> Result<(), StoreError> {
        let state = match issued.key {
            KeySource::Bundle { .. } => State::Undelivered,
            KeySource::Request => State::Active,
        };
        let record = Record {
            serial: issued.serial,
            address: issued.address.clone(),
            validity: issued.validity,
            state,
            known_by: KnownBy::Issuance,
            spki_sha256: issued.spki_sha256,
            key: x509::subject_public_key(&issued.certificate).and_then(DeviceKey::from_spki),
            certificate_sha256: Sha256::digest(&issued.certificate).into(),
            seq,
        };
        self.put_record(&record, offset)?;
        self.put_device(&issued.address, seq, &issued.serial);
        self.note_issued(&issued.address, issued.serial, seq)?;
        self.put_holder(&issued.spki_sha256, &issued.serial)?;
        match issued.key {
            KeySource::Bundle { .. } => Ok(()),
            KeySource::Request => self.supersede(&issued.supersedes),
        }
    }

    /// Takes in a certificate that a published list named. What the ledger knows better stays.
    fn recovered(&mut self, recovered: &Recovered, event: &Event, offset: u64) -> Result<(), StoreError> {
        let serial = recovered.serial;
        if self.record(&serial)?.is_some() {
            return Ok(());
        }
        let revocation = self.value(&key(DEVICES_REVOKED, serial.octets()))?;
        let revocation = revocation
            .map(|value| read_revocation(serial, &value))
            .transpose()?;
        let state = match revocation {
            Some((Revocation { at, reason, .. }, _)) => {
                // Its end is known now: it need not stay on the CRL for good.
                self.put_revocation(serial, at, reason, recovered.not_after);
                State::Revoked { at, reason }
            }
            None if recovered.superseded => State::Superseded,
            None => State::Active,
        };
        let record = Record {
            serial,
            address: recovered.address.clone(),
            validity: Validity {
                not_before: event.time.min(recovered.not_after),
                not_after: recovered.not_after,
            },
            state,
            known_by: KnownBy::List { kept: false },
            spki_sha256: recovered.spki_sha256,
            // Nobody has verified that the certificate that is named has this key.
            key: None,
            certificate_sha256: recovered.certificate_sha256,
            seq: event.seq,
        };
        self.put_record(&record, offset)?;
        self.put_device(&recovered.address, event.seq, &serial);
        self.put_holder(&recovered.spki_sha256, &serial)?;
        self.supersede(&recovered.supersedes)
    }

    fn put_revocation(&mut self, serial: Serial, at: Time, reason: Reason, end: Time) {
        let value = [&seconds(at)[..], &[reason_octet(reason)], &seconds(end)].concat();
        self.put(key(DEVICES_REVOKED, serial.octets()), value);
    }

    fn put_device(&mut self, address: &Address, seq: u64, serial: &Serial) {
        let device = [address.to_string().as_bytes(), &[0], &seq.to_be_bytes()].concat();
        self.put(key(DEVICES, &device), serial.octets().to_vec());
    }

    fn supersede(&mut self, serials: &[Serial]) -> Result<(), StoreError> {
        serials
            .iter()
            .try_for_each(|serial| self.change(serial, State::Superseded))
    }

    /// Changes the state of a certificate that is not revoked: from that state there is no way back.
    fn change(&mut self, serial: &Serial, state: State) -> Result<(), StoreError> {
        let Some((mut record, offset)) = self.placed(serial)? else {
            return Ok(());
        };
        match record.state {
            State::Revoked { .. } => {}
            State::Undelivered | State::Active | State::Superseded => {
                record.state = state;
                self.put_record(&record, offset)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
