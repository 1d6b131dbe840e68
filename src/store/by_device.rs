//! Sorts certificates by device, however many there are: the index has them by serial.

use super::file::codec::{corrupt, read_record, write_record};
use super::{Store, StoreError};
use crate::disk::Sorter;
use crate::model::{Record, Serial};

/// A sorter of records by device. It needs no open store: whoever reads its result keeps nobody waiting.
pub struct ByDevice(Sorter);

/// What no name has in it, and every character comes after.
const END: u8 = 0;

impl Store {
    /// An empty sorter. What is too much for memory lies beside the ledger meanwhile.
    pub fn by_device(&self) -> ByDevice {
        ByDevice(Sorter::new(self.ledger.directory()))
    }
}

impl ByDevice {
    /// Adds a record.
    pub fn add(&mut self, record: &Record) {
        let address = &record.address;
        let entry = [
            address.employee.as_str().as_bytes(),
            &[END],
            address.device.as_str().as_bytes(),
            &[END],
            &record.seq.to_be_bytes(),
            record.serial.octets(),
            // Where it lies in the ledger nobody asks of what is listed.
            &write_record(record, 0),
        ];
        self.0.add(&entry.concat());
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the records by device, oldest first.
    ///
    /// # Errors
    /// Where what lies beside the ledger cannot be read.
    pub fn sorted(self) -> Result<impl Iterator<Item = Result<Record, StoreError>>, StoreError> {
        Ok(self.0.sorted()?.map(|entry| read(&entry?)))
    }
}

fn read(entry: &[u8]) -> Result<Record, StoreError> {
    let value = || {
        let mut parts = entry.splitn(3, |octet| *octet == END);
        let (_seq, rest) = parts.nth(2)?.split_first_chunk::<8>()?;
        rest.split_first_chunk::<16>()
    };
    let (serial, value) = value().ok_or_else(|| corrupt("a record"))?;
    let serial = Serial::from_octets(serial).ok_or_else(|| corrupt("a record"))?;
    read_record(serial, value)
}
