//! Writes a backup.

use std::io::{self, Read, Write};
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::name::home;
use super::{BackupError, Header, Name};
use crate::age::{self, FileKey};
use crate::disk::{PRIVATE_DIRECTORY, PRIVATE_FILE};

/// Writes the files of a home into an encrypted archive. Without [`Writer::finish`] it is none.
#[must_use = "without `finish` it is no backup"]
pub struct Writer<W: Write> {
    tar: tar::Builder<age::Writer<W>>,
    /// SHA256SUMS as far as it goes.
    sums: String,
    /// When it was made, in seconds since 1970: the time of every file in it.
    made: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a backup in a file whose encryption was begun.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn begin(out: age::Writer<W>, header: &Header) -> Result<Self, BackupError> {
        let mut writer = Self {
            tar: tar::Builder::new(out),
            sums: String::new(),
            made: u64::try_from(header.made.unix()).unwrap_or(0),
        };
        writer.put(super::reader::HEADER, &header.write())?;
        writer.make(&home())?;
        Ok(writer)
    }

    /// Adds a directory; what is in it comes after it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn directory(&mut self, name: &Name) -> Result<(), BackupError> {
        self.make(Path::new(&name.archived()))
    }

    /// Adds a file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn file(&mut self, name: &Name, octets: &[u8]) -> Result<(), BackupError> {
        self.put(&name.archived(), octets)
    }

    /// Adds a file of this length, as it is read.
    ///
    /// # Errors
    /// Where the input is shorter, or cannot be read, or the backup cannot be written.
    pub fn stream(&mut self, name: &Name, length: u64, input: impl Read) -> Result<(), BackupError> {
        let mut input = Summed {
            input: input.take(length),
            sum: Sha256::new(),
        };
        let archived = name.archived();
        let mut header = self.header(EntryType::Regular, PRIVATE_FILE, length);
        self.tar.append_data(&mut header, &archived, &mut input)?;
        if input.input.limit() > 0 {
            return Err(BackupError::Moved(name.as_str().to_owned()));
        }
        self.sum(&archived, &input.sum.finalize());
        Ok(())
    }

    /// Ends the backup. Returns what was written to, and the key by which it is read back.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> Result<(W, FileKey), BackupError> {
        let sums = std::mem::take(&mut self.sums);
        self.put(super::reader::SUMS, sums.as_bytes())?;
        Ok(self.tar.into_inner()?.finish()?)
    }

    fn put(&mut self, archived: &str, octets: &[u8]) -> Result<(), BackupError> {
        let mut header = self.header(EntryType::Regular, PRIVATE_FILE, octets.len() as u64);
        self.tar.append_data(&mut header, archived, octets)?;
        self.sum(archived, &Sha256::digest(octets));
        Ok(())
    }

    fn make(&mut self, archived: &Path) -> Result<(), BackupError> {
        let mut header = self.header(EntryType::Directory, PRIVATE_DIRECTORY, 0);
        Ok(self.tar.append_data(&mut header, archived, io::empty())?)
    }

    fn header(&self, kind: EntryType, mode: u32, length: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(length);
        header.set_mtime(self.made);
        header
    }

    fn sum(&mut self, archived: &str, sum: &[u8]) {
        self.sums += &format!("{}  {archived}\n", HEXLOWER.encode(sum));
    }
}

/// Hashes what is read.
struct Summed<R> {
    input: io::Take<R>,
    sum: Sha256,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(out)?;
        self.sum.update(&out[..count]);
        Ok(count)
    }
}
