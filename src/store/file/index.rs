//! The index: the inventory of certificates and servers in the form that queries need, derived from the
//! ledger event by event.
//!
//! It remembers the last event that it has applied. Its values are small: names and certificates stay in the
//! ledger.
//!
//! | key | value |
//! |---|---|
//! | `p` | the position after the last applied event |
//! | `h` | the hash of the first event: whose index this is |
//! | `i` | the `initialized` event, JSON |
//! | `c` authority | the last CRL's number and times |
//! | `n` | numbers of the last publication, the hash of its servers' manifest, where publications went |
//! | `x` | 1 where something was revoked after the issuing CA's last CRL |
//! | `o` employee | when she was offboarded |
//! | `r` serial | the record, where it is not revoked |
//! | `z` serial | the record, where it is revoked: what servers accept is found without these |
//! | `d` address 00 seq | its serial |
//! | `q` the first half of the SPKI pin | the serials of its certificates; nothing where these are many |
//! | `f` | the version of this format, and the event up to which it was kept |
//! | `v` serial | the revocation |
//! | `a` | the certificate of the servers' CA |
//! | `s` host | the server, JSON |
//! | `k` serial | a server's certificate: its end and its host |
//! | `w` serial | the revocation of a server's certificate |
//! | `y` | the number and the end of the last pin sets |
//! | `j` invite | the invite, JSON |
//! | `e` address 00 invite | nothing: the invites of a device are found by it |
//! | `l` | the long lists that were published: their lengths and hashes; nothing where there are none now |
//! | `u` serial | changed since those lists: 1 where they name it |
//! | `m` | files that were hashed, by what the file system says of them |

use super::codec::{
    Fields, corrupt, read_offset, read_publication, read_record, read_revocation, reason_octet, seconds,
    write_publication, write_record,
};
use super::kv::{Map, POSITION, Writes};
use super::last::{LastCrl, LastPublication};
use super::ledger::{Entry, Position};
use crate::model::event::{Issued, KeySource, Recovered};
use crate::model::{
    Address, Authority, Employee, Event, Fact, KnownBy, Reason, Record, Revocation, Serial, State, Time,
    Validity,
};
use crate::store::StoreError;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// The index over some map.
pub(in crate::store) struct Index {
    pub(in crate::store) map: Box<dyn Map>,
}

const HOME: &[u8] = b"h";
/// The version of the format, and the number of the last event that was applied by it. A program of another
/// version applies events without saying so here, and may leave out what only this one keeps.
const FORMAT: &[u8] = b"f";
/// 4: invites.
pub(in crate::store) const VERSION: u8 = 4;
const UNREVOKED: u8 = b'r';
const REVOKED: u8 = b'z';
const RECORDS: [u8; 2] = [UNREVOKED, REVOKED];
const INITIALIZED: &[u8] = b"i";
const PUBLICATION: &[u8] = b"n";
const REVOCATION: &[u8] = b"x";
const DEVICES_REVOKED: u8 = b'v';
pub(in crate::store) const SERVERS_REVOKED: u8 = b'w';

fn format_of(seq: u64) -> Vec<u8> {
    [&[VERSION][..], &seq.to_be_bytes()].concat()
}

pub(in crate::store) fn key(kind: u8, rest: &[u8]) -> Vec<u8> {
    [&[kind], rest].concat()
}

impl Index {
    pub(in crate::store) fn new(map: Box<dyn Map>) -> Self {
        Self { map }
    }

    /// The position after the last event that it has applied.
    pub(in crate::store) fn position(&self) -> Result<Position, StoreError> {
        let Some(value) = self.map.value(POSITION)? else {
            return Ok(Position::START);
        };
        let mut fields = Fields(&value);
        let mut read = || {
            Some(Position {
                seq: fields.number()?,
                offset: fields.number()?,
                sha: fields.array()?,
            })
        };
        read().ok_or_else(|| corrupt("the position"))
    }

    /// Whether all that it holds was applied by this version of the format.
    pub(in crate::store) fn is_of_this_version(&self) -> Result<bool, StoreError> {
        let position = self.position()?;
        let format = self.map.value(FORMAT)?;
        Ok(position == Position::START || format == Some(format_of(position.seq)))
    }

    /// The hash of the first event that it has applied.
    pub(in crate::store) fn home(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.map.value(HOME)
    }

    /// The `initialized` event.
    pub(in crate::store) fn initialized(&self) -> Result<Event, StoreError> {
        let value = self
            .map
            .value(INITIALIZED)?
            .ok_or_else(|| corrupt("the first event"))?;
        serde_json::from_slice(&value).map_err(|_| corrupt("the first event"))
    }

    pub(in crate::store) fn last_crl(&self, authority: Authority) -> Result<Option<LastCrl>, StoreError> {
        let Some(value) = self.map.value(&key(b'c', authority.word().as_bytes()))? else {
            return Ok(None);
        };
        let mut fields = Fields(&value);
        let mut read = || {
            Some(LastCrl {
                number: fields.number()?,
                this_update: fields.time()?,
                next_update: fields.time()?,
            })
        };
        read().map(Some).ok_or_else(|| corrupt("the last CRL"))
    }

    pub(in crate::store) fn last_publication(&self) -> Result<LastPublication, StoreError> {
        match self.map.value(PUBLICATION)? {
            None => Ok(LastPublication::default()),
            Some(value) => read_publication(&value).ok_or_else(|| corrupt("the last publication")),
        }
    }

    /// Whether something was revoked after the issuing CA's last CRL.
    pub(in crate::store) fn revoked_since_crl(&self) -> Result<bool, StoreError> {
        self.map
            .value(REVOCATION)
            .map(|value| value.is_some_and(|value| value == [1]))
    }

    pub(in crate::store) fn offboarded(&self, employee: &Employee) -> Result<Option<Time>, StoreError> {
        let Some(value) = self.map.value(&key(b'o', employee.as_str().as_bytes()))? else {
            return Ok(None);
        };
        Fields(&value)
            .time()
            .map(Some)
            .ok_or_else(|| corrupt("an offboarded employee"))
    }

    pub(in crate::store) fn record(&self, serial: &Serial) -> Result<Option<Record>, StoreError> {
        let value = self.record_value(serial)?;
        value.map(|value| read_record(*serial, &value)).transpose()
    }

    /// The offset in the ledger of the event that brought a certificate.
    pub(in crate::store) fn offset(&self, serial: &Serial) -> Result<u64, StoreError> {
        let value = self.record_value(serial)?;
        read_offset(&value.ok_or_else(|| corrupt("a record"))?)
    }

    fn record_value(&self, serial: &Serial) -> Result<Option<Vec<u8>>, StoreError> {
        for kind in RECORDS {
            if let Some(value) = self.map.value(&key(kind, serial.octets()))? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The records of one device, oldest first.
    pub(in crate::store) fn device(&self, address: &Address) -> Result<Vec<Record>, StoreError> {
        self.at(format!("{address}\0").as_bytes())
    }

    /// The records of one person, by device, oldest first.
    pub(in crate::store) fn employee(&self, employee: &Employee) -> Result<Vec<Record>, StoreError> {
        self.at(format!("{employee}/").as_bytes())
    }

    /// The records of all devices whose addresses begin so. Where these are many, reading all records in
    /// their order takes less time than looking for each.
    pub(in crate::store) fn beginning(&self, address: &str) -> Result<Vec<Record>, StoreError> {
        const FEW: usize = 500;
        let serials = self.serials(address.as_bytes())?;
        if serials.len() <= FEW {
            return self.found(&serials);
        }
        let mut records = Vec::new();
        self.records(&mut |record| {
            if record.address.to_string().starts_with(address) {
                records.push(record);
            }
            Ok(())
        })?;
        Ok(records)
    }

    fn at(&self, prefix: &[u8]) -> Result<Vec<Record>, StoreError> {
        self.found(&self.serials(prefix)?)
    }

    /// The serial numbers of the devices whose keys begin so.
    fn serials(&self, prefix: &[u8]) -> Result<Vec<Serial>, StoreError> {
        let mut serials = Vec::new();
        self.map.scan(&key(b'd', prefix), &mut |_, value| {
            serials.push(Serial::from_octets(value).ok_or_else(|| corrupt("a device"))?);
            Ok(true)
        })?;
        Ok(serials)
    }

    pub(in crate::store) fn found(&self, serials: &[Serial]) -> Result<Vec<Record>, StoreError> {
        serials
            .iter()
            .map(|serial| self.record(serial)?.ok_or_else(|| corrupt("a device")))
            .collect()
    }

    /// Every record: first those that are not revoked, by serial, then the others.
    pub(in crate::store) fn records(
        &self,
        visit: &mut dyn FnMut(Record) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        RECORDS
            .into_iter()
            .try_for_each(|kind| self.records_of(kind, visit))
    }

    /// Every record that is not revoked, by serial.
    pub(in crate::store) fn unrevoked(
        &self,
        visit: &mut dyn FnMut(Record) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.records_of(UNREVOKED, visit)
    }

    fn records_of(
        &self,
        kind: u8,
        visit: &mut dyn FnMut(Record) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.map.scan(&[kind], &mut |key, value| {
            let serial = Serial::from_octets(&key[1..]).ok_or_else(|| corrupt("a record"))?;
            visit(read_record(serial, value)?)?;
            Ok(true)
        })
    }

    /// Every revocation of the certificates that an authority has signed, by serial, with the end of its
    /// certificate where the certificate is known.
    pub(in crate::store) fn revocations(
        &self,
        authority: Authority,
        visit: &mut dyn FnMut(Revocation, Option<Time>),
    ) -> Result<(), StoreError> {
        let kind = match authority {
            // Its CAs are not taken back one by one: with one of them the whole PKI would be.
            Authority::Root => return Ok(()),
            Authority::Issuing => DEVICES_REVOKED,
            Authority::Servers => SERVERS_REVOKED,
        };
        self.map.scan(&[kind], &mut |key, value| {
            let serial = Serial::from_octets(&key[1..]).ok_or_else(|| corrupt("a revocation"))?;
            let (revocation, not_after) = read_revocation(serial, value)?;
            visit(revocation, not_after);
            Ok(true)
        })
    }

    pub(in crate::store) fn revocation(&self, serial: &Serial) -> Result<Option<Revocation>, StoreError> {
        self.revocation_of(DEVICES_REVOKED, serial)
    }

    pub(in crate::store) fn revocation_of(
        &self,
        kind: u8,
        serial: &Serial,
    ) -> Result<Option<Revocation>, StoreError> {
        let value = self.map.value(&key(kind, serial.octets()))?;
        value
            .map(|value| Ok(read_revocation(*serial, &value)?.0))
            .transpose()
    }

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
                        record.state = State::Revoked { at, reason };
                        self.put_record(&record, offset)?;
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
            Fact::InviteCreated(_)
            | Fact::InviteAsked { .. }
            | Fact::InviteApproved { .. }
            | Fact::InviteRedeemed { .. }
            | Fact::InviteRefused { .. }
            | Fact::InviteSuspended { .. }
            | Fact::InviteCancelled { .. } => self.take_invite(event, *offset)?,
            Fact::ClockConfirmed { .. } => {}
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
            certificate_sha256: Sha256::digest(&issued.certificate).into(),
            seq,
        };
        self.put_record(&record, offset)?;
        self.put_device(&issued.address, seq, &issued.serial);
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
        self.put(key(b'd', &device), serial.octets().to_vec());
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
