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
//! | `t` host | the epochs of its shared keys, JSON |
//! | `g` address | what the shared keys of the device follow from, JSON |
//! | `b` | the event that was the last publication |
//! | `j` invite | the invite, JSON |
//! | `e` address 00 invite | nothing: the invites of a device are found by it |
//! | `l` | the long lists that were published: their lengths and hashes; nothing where there are none now |
//! | `u` serial | changed since those lists: 1 where they name it |
//! | `U` | when the backup was made that this home was restored from; nothing once it is reconciled |
//! | `m` | files that were hashed, by what the file system says of them |

use super::codec::{Fields, corrupt, read_offset, read_publication, read_record, read_revocation};
use super::kv::{Map, POSITION};
use super::last::{LastCrl, LastPublication};
use super::ledger::Position;
use crate::model::{Address, Authority, Employee, Event, Record, Revocation, Serial, Time};
use crate::store::StoreError;

/// The index over some map.
pub(in crate::store) struct Index {
    pub(in crate::store) map: Box<dyn Map>,
}

pub(super) const HOME: &[u8] = b"h";
/// The version of the format, and the number of the last event that was applied by it. A program of another
/// version applies events without saying so here, and may leave out what only this one keeps.
pub(super) const FORMAT: &[u8] = b"f";
/// 6: records with the public keys, and shared keys.
pub(in crate::store) const VERSION: u8 = 10;
pub(super) const UNREVOKED: u8 = b'r';
pub(super) const REVOKED: u8 = b'z';
pub(super) const RECORDS: [u8; 2] = [UNREVOKED, REVOKED];
pub(super) const INITIALIZED: &[u8] = b"i";
pub(super) const PUBLICATION: &[u8] = b"n";
pub(super) const REVOCATION: &[u8] = b"x";
pub(super) const UNRECONCILED: &[u8] = b"U";
pub(super) const PUBLISHED_AT: &[u8] = b"b";
pub(super) const DEVICES: u8 = b'd';
pub(super) const DEVICES_REVOKED: u8 = b'v';
pub(in crate::store) const SERVERS_REVOKED: u8 = b'w';

pub(super) fn format_of(seq: u64) -> Vec<u8> {
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

    /// When the backup was made that the home was restored from, until it is reconciled.
    pub(in crate::store) fn unreconciled(&self) -> Result<Option<Time>, StoreError> {
        let value = self.map.value(UNRECONCILED)?;
        let time = |value: Vec<u8>| Fields(&value).time().ok_or_else(|| corrupt("a restore"));
        value.map(time).transpose()
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

    pub(super) fn record_value(&self, serial: &Serial) -> Result<Option<Vec<u8>>, StoreError> {
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
        self.map.scan(&key(DEVICES, prefix), &mut |_, value| {
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
}
