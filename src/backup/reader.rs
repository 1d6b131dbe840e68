//! Reads a backup, and believes it when all of it was read.

use std::collections::BTreeMap;
use std::io::{self, Read};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{BackupError, Header, Name};
use crate::store::Chain;

/// The first file.
pub(super) const HEADER: &str = "backup.json";
/// The last file.
pub(super) const SUMS: &str = "SHA256SUMS";
/// The ledger's name below the home.
const LEDGER: &str = "ledger.jsonl";
/// The longest file beside the ledger that a backup holds, in octets.
pub const LONGEST: u64 = 64 << 20;
/// The most files and directories that are read.
const MOST: usize = 1 << 20;

/// Takes what is read out of a backup. None of it is to be believed before [`read`] has ended well.
pub trait Receiver {
    /// What the backup is of, before anything else.
    ///
    /// # Errors
    /// Where it is not wanted: nothing more is read.
    fn begin(&mut self, _header: &Header) -> Result<(), BackupError> {
        Ok(())
    }

    /// A directory; what is in it comes after it.
    ///
    /// # Errors
    /// Where it cannot be made.
    fn directory(&mut self, _name: &Name) -> Result<(), BackupError> {
        Ok(())
    }

    /// A file. What is not read of its content is passed over.
    ///
    /// # Errors
    /// Where it cannot be written, or the content cannot be read.
    fn file(&mut self, _name: &Name, _content: &mut dyn Read) -> Result<(), BackupError> {
        Ok(())
    }
}

/// Takes nothing: for whoever wants to know whether a backup is whole.
#[derive(Debug)]
pub struct Unread;

impl Receiver for Unread {}

/// Reads a backup out of its decrypted content, to the end.
///
/// # Errors
/// Where it is none, or not whole, or `receiver` fails.
pub fn read(content: impl Read, receiver: &mut dyn Receiver) -> Result<Header, BackupError> {
    let mut archive = tar::Archive::new(Remembering {
        content,
        failure: None,
    });
    let read = walk(&mut archive, receiver);
    let mut below = archive.into_inner();
    // What the archive says of an error of the file below it is less than what that said.
    if let Some(failure) = below.failure.take() {
        return Err(failure.into());
    }
    let header = read?;
    demand_end(&mut below)?;
    Ok(header)
}

/// Behind the archive are zeros, and then the encrypted file's end, which alone proves that nothing is
/// missing.
fn demand_end(rest: &mut impl Read) -> Result<(), BackupError> {
    let mut octets = [0; 8192];
    loop {
        match rest.read(&mut octets)? {
            0 => return Ok(()),
            count if octets[..count].iter().all(|octet| *octet == 0) => {}
            _ => return Err(malformed("something follows its end")),
        }
    }
}

fn walk<R: Read>(archive: &mut tar::Archive<R>, receiver: &mut dyn Receiver) -> Result<Header, BackupError> {
    let mut entries = archive.entries()?;
    let mut seen = Seen::default();
    let first = entries.next().ok_or(BackupError::NotABackup)?;
    let header = Header::read(&seen.first(first?)?)?;
    receiver.begin(&header)?;
    let mut ledger = None;
    for (count, entry) in entries.enumerate() {
        let mut entry = entry?;
        let path = path_of(&entry)?;
        if count > MOST {
            return Err(malformed("it holds too many files"));
        }
        if seen.list.is_some() {
            return Err(malformed("SHA256SUMS is not the last that it holds"));
        }
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            if let Some(name) = Name::of(&path)? {
                receiver.directory(&name)?;
            }
        } else if !kind.is_file() {
            return Err(malformed(&format!("{path} is neither a file nor a directory")));
        } else if path == SUMS {
            seen.list = Some(Checked::of(&mut entry).whole(SUMS)?.0);
        } else {
            let name = Name::of(&path)?.ok_or_else(|| malformed("the home in it is a file"))?;
            let mut checked = Checked::of(&mut entry);
            if name.as_str() == LEDGER {
                checked.chain = Some(Chain::default());
            } else {
                checked.demand_short(&path)?;
            }
            receiver.file(&name, &mut checked)?;
            let (sum, chain) = checked.finish()?;
            ledger = chain.or(ledger);
            seen.note(path, sum)?;
        }
    }
    seen.demand_list()?;
    let ledger = ledger.ok_or_else(|| malformed("it holds no ledger"))?;
    match ledger.extent() {
        Ok(extent) if extent == header.ledger => Ok(header),
        Ok(extent) => Err(BackupError::Ledger(extent.events.min(header.ledger.events))),
        Err(events) => Err(BackupError::Ledger(events)),
    }
}

fn path_of(entry: &tar::Entry<'_, impl Read>) -> Result<String, BackupError> {
    let path = entry.path_bytes().into_owned();
    String::from_utf8(path).map_err(|_| malformed("it holds a name that is no text"))
}

fn malformed(why: &str) -> BackupError {
    BackupError::Malformed(why.to_owned())
}

/// The files that were read, each with its SHA-256, and the list that says what they must have.
#[derive(Default)]
struct Seen {
    sums: BTreeMap<String, [u8; 32]>,
    list: Option<Vec<u8>>,
}

impl Seen {
    /// The content of the first file, which says what the backup is of.
    fn first(&mut self, mut entry: tar::Entry<'_, impl Read>) -> Result<Vec<u8>, BackupError> {
        if path_of(&entry)? != HEADER || !entry.header().entry_type().is_file() {
            return Err(BackupError::NotABackup);
        }
        let (octets, sum) = Checked::of(&mut entry).whole(HEADER)?;
        self.note(HEADER.into(), sum)?;
        Ok(octets)
    }

    fn note(&mut self, path: String, sum: [u8; 32]) -> Result<(), BackupError> {
        let twice = malformed(&format!("it holds {path} twice"));
        match self.sums.insert(path, sum) {
            None => Ok(()),
            Some(_) => Err(twice),
        }
    }

    /// Demands that the list is of these files and no others, each as it was read.
    fn demand_list(&self) -> Result<(), BackupError> {
        let list = self
            .list
            .as_ref()
            .ok_or_else(|| malformed("it has no SHA256SUMS"))?;
        let list = std::str::from_utf8(list).map_err(|_| malformed("its SHA256SUMS is no text"))?;
        let mut unlisted: BTreeMap<&str, &[u8; 32]> =
            self.sums.iter().map(|(path, sum)| (path.as_str(), sum)).collect();
        for line in list.lines() {
            let (sum, path) = line
                .split_once("  ")
                .ok_or_else(|| malformed("a line of its SHA256SUMS is none"))?;
            let read = unlisted.remove(path).ok_or_else(|| {
                malformed(&format!("its SHA256SUMS names {path:?}, which it does not hold"))
            })?;
            if HEXLOWER.encode(read) != sum {
                return Err(BackupError::Changed(path.to_owned()));
            }
        }
        match unlisted.into_keys().next() {
            None => Ok(()),
            Some(path) => Err(malformed(&format!("its SHA256SUMS does not name {path}"))),
        }
    }
}

/// Hashes what is read of a file, and follows the chain of a ledger.
struct Checked<'e, R: Read> {
    length: u64,
    input: &'e mut R,
    sum: Sha256,
    chain: Option<Chain>,
}

impl<'e, 'a, R: Read> Checked<'e, tar::Entry<'a, R>> {
    fn of(entry: &'e mut tar::Entry<'a, R>) -> Self {
        Self {
            length: entry.size(),
            input: entry,
            sum: Sha256::new(),
            chain: None,
        }
    }

    fn demand_short(&self, path: &str) -> Result<(), BackupError> {
        if self.length > LONGEST {
            return Err(malformed(&format!("{path} is longer than {} MiB", LONGEST >> 20)));
        }
        Ok(())
    }

    /// All of a small file, and its SHA-256.
    fn whole(mut self, path: &str) -> Result<(Vec<u8>, [u8; 32]), BackupError> {
        self.demand_short(path)?;
        let mut octets = Vec::new();
        self.read_to_end(&mut octets)?;
        Ok((octets, self.finish()?.0))
    }

    /// Reads what is left of the file. Its SHA-256, and the chain that was followed.
    fn finish(mut self) -> Result<([u8; 32], Option<Chain>), BackupError> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((self.sum.finalize().into(), self.chain))
    }
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(out)?;
        self.sum.update(&out[..count]);
        if let Some(chain) = &mut self.chain {
            chain.push(&out[..count]);
        }
        Ok(count)
    }
}

/// Remembers the error of the file below the archive, whose reader would tell another.
struct Remembering<R> {
    content: R,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Remembering<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.content.read(out) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.failure.get_or_insert(error);
                Err(io::Error::other("the file below cannot be read"))
            }
            read => read,
        }
    }
}
