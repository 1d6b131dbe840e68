//! The certificates for a key: looks them up in the index by the pin of their key.

use super::codec::corrupt;
use super::index::{Index, key};
use super::pending::Pending;
use crate::model::{Record, Serial};
use crate::store::StoreError;

const HOLDER: u8 = b'q';
/// How many certificates for one key are found by it. A key that has more of them was renewed for decades, or
/// is nobody's: then all records are read.
const HOLDERS: usize = 64;

impl Index {
    /// Every certificate for the key with this pin, by serial.
    pub(in crate::store) fn holders_of_key(&self, spki_sha256: &[u8; 32]) -> Result<Vec<Record>, StoreError> {
        let Some(value) = self.map.value(&holder_key(spki_sha256))? else {
            return Ok(Vec::new());
        };
        let mut records = Vec::new();
        if value.is_empty() {
            self.records(&mut |record| {
                if record.spki_sha256 == *spki_sha256 {
                    records.push(record);
                }
                Ok(())
            })?;
        } else {
            let serials = value.chunks(Serial::LENGTH).map(Serial::from_octets);
            let serials: Option<Vec<_>> = serials.collect();
            records = self.found(&serials.ok_or_else(|| corrupt("a key"))?)?;
            records.retain(|record| record.spki_sha256 == *spki_sha256);
        }
        records.sort_by_key(|record| record.serial);
        Ok(records)
    }
}

impl Pending<'_> {
    pub(in crate::store) fn put_holder(
        &mut self,
        spki_sha256: &[u8; 32],
        serial: &Serial,
    ) -> Result<(), StoreError> {
        let holder = holder_key(spki_sha256);
        let serials = match self.value(&holder)? {
            None => serial.octets().to_vec(),
            Some(many) if many.is_empty() || many.len() >= HOLDERS * Serial::LENGTH => Vec::new(),
            Some(few) => [&few, &serial.octets()[..]].concat(),
        };
        self.put(holder, serials);
        Ok(())
    }
}

fn holder_key(spki_sha256: &[u8; 32]) -> Vec<u8> {
    key(HOLDER, &spki_sha256[..16])
}
