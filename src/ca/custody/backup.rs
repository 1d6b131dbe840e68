//! Backs up a home: all of it that cannot be derived, at one moment, into one encrypted file that was read
//! back.
//!
//! ```text
//! to whom ──▶ age::Writer        encryption begins; what a passphrase costs comes before the lock
//! home    ──▶ Contents::gather   under the lock: the files, and how far the ledger goes
//! both    ──▶ write, read back   without it: of the ledger, which only grows, just as much
//! file    ──▶ its place          then the note says when the last backup was made
//! ```

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::CustodyError;
use super::last::{self, note_backup};
use super::listing::{Kept, Unlisted, kept};
use crate::age::{self, FileKey, Recipient, Sealed, WorkFactor};
use crate::backup::{self, BackupError, Header, LONGEST, Name, ROOT_KEY, Unread};
use crate::ca::CaError;
use crate::ca::delivery::path_policy::demand_new_file;
use crate::ca::session::Desk;
use crate::disk::{self, Shown, Staged};
use crate::home::{self, Home, HomeError, LEDGER};
use crate::key::{Passphrase, os_rng};
use crate::model::{Authority, Fact};

/// Who can open a backup.
pub enum OpenedBy<'a> {
    /// Each of these, with their identity: nobody needs a secret here.
    Recipients(&'a [Recipient]),
    /// Whoever knows this passphrase.
    Passphrase(&'a Passphrase),
}

/// Where a backup goes.
pub enum Goes<'a> {
    /// Into a new file.
    File(&'a Path),
    /// Into a stream, once it is whole.
    Stream(&'a mut dyn Write),
}

/// A backup that was made.
#[derive(Debug)]
pub struct BackedUp {
    /// What it is of.
    pub header: Header,
    /// How many files it has.
    pub files: usize,
    /// Its length in octets.
    pub octets: u64,
    /// The SHA-256 of the file: by it whoever kept it elsewhere knows it again.
    pub sha256: [u8; 32],
    /// Why the home could not note it.
    pub unnoted: Option<CaError>,
}

/// Backs up a home.
///
/// # Errors
/// Where a file of the home cannot be read, its ledger does not hold, the backup cannot be written, or does
/// not read back: then there is none.
pub fn back_up(desk: &Desk, by: OpenedBy<'_>, with_root: bool, goes: Goes<'_>) -> Result<BackedUp, CaError> {
    let home = &desk.home;
    let place = match &goes {
        Goes::File(file) => demand_outside(home, file)?,
        // It lies in the home until it is whole.
        Goes::Stream(_) => home.path().join("backup.age"),
    };
    let failed = |why: BackupError| CustodyError::Backup {
        path: Shown(place.clone()),
        why,
    };
    let _at_work = disk::at_work_on(&place);
    let nothing: [&[u8]; 0] = [];
    let mut staged = Staged::write(&place, disk::PRIVATE_FILE, nothing)?;
    let rng = &mut os_rng();
    let out = match by {
        OpenedBy::Recipients(recipients) => age::Writer::to_recipients(&mut staged, recipients, rng),
        OpenedBy::Passphrase(passphrase) => {
            age::Writer::to_passphrase(&mut staged, passphrase, WorkFactor::USUAL, rng)
        }
    };
    let out = out.map_err(BackupError::from).map_err(failed)?;
    let contents = Contents::gather(desk, with_root)?;
    let (header, files) = (contents.header.clone(), contents.files());
    let (_, key) = contents.write(out).map_err(failed)?;
    staged.sync()?;
    let read = staged.open_again()?;
    let (octets, sha256) = read_back(read, &key, &header).map_err(failed)?;
    match goes {
        Goes::File(_) => {
            staged.place_new()?;
            disk::sync_directory(place.parent().unwrap_or(Path::new(".")))?;
        }
        Goes::Stream(out) => {
            let copied = io::copy(&mut staged.open_again()?, out).and_then(|_| out.flush());
            copied.map_err(|error| failed(error.into()))?;
        }
    }
    let unnoted = note(desk, &header).err();
    Ok(BackedUp {
        header,
        files,
        octets,
        sha256,
        unnoted,
    })
}

/// The path of a backup that there is not yet, outside of the home.
///
/// # Errors
/// Where something is there, or it would lie in the home.
fn demand_outside(home: &Home, file: &Path) -> Result<PathBuf, CaError> {
    if disk::is_taken(file) {
        return Err(CaError::Exists(Shown(file.to_owned())));
    }
    demand_new_file(file, None, home)?;
    Ok(file.to_owned())
}

fn note(desk: &Desk, header: &Header) -> Result<(), CaError> {
    let _lock = desk.home.lock(desk.patience, &desk.holder)?;
    // Of two that were made at the same time the later one counts.
    if last::last_backup(&desk.home).is_none_or(|last| last.events <= header.ledger.events) {
        note_backup(&desk.home, header)?;
    }
    Ok(())
}

/// What a home holds at one moment.
struct Contents {
    header: Header,
    /// Directories, which have no content, and files.
    small: Vec<(Name, Option<Vec<u8>>)>,
    ledger: File,
}

impl Contents {
    /// Reads everything but the ledger, under the lock.
    fn gather(desk: &Desk, with_root: bool) -> Result<Self, CaError> {
        let home = &desk.home;
        let _lock = home.lock(desk.patience, &desk.holder)?;
        home::finish_rekeying(home.path())?;
        let store = home.read()?;
        let Fact::Initialized { organization, .. } = store.initialized().map_err(HomeError::from)?.fact
        else {
            return Err(HomeError::NotAHome(Shown(home.path().to_owned()), LEDGER).into());
        };
        let mut small = Vec::new();
        for Kept {
            name,
            path,
            is_directory,
        } in kept(home.path()).map_err(|error| unlisted(home, error))?
        {
            if [LEDGER, last::FILE, ROOT_KEY].contains(&name.as_str()) {
                continue;
            }
            let content = if is_directory {
                None
            } else {
                Some(disk::read(&path, LONGEST)?)
            };
            small.push((name, content));
        }
        if with_root {
            let place = home.key_path(Authority::Root);
            if !place.exists() {
                return Err(CustodyError::RootAway(Shown(place)).into());
            }
            let name = Name::new(ROOT_KEY).map_err(|why| unlisted(home, Unlisted::Name(why)))?;
            small.push((name, Some(home.key(Authority::Root)?.into_bytes())));
        }
        let ledger = home.path().join(LEDGER);
        let ledger = disk::open_regular(&ledger).map_err(disk::failed("read", &ledger))?;
        let root = home.chain().root().sha256();
        let header = Header::new(organization, root, (desk.clock)(), store.extent(), with_root);
        Ok(Self {
            header,
            small,
            ledger,
        })
    }

    /// How many files it has, the ledger among them.
    fn files(&self) -> usize {
        let files = self.small.iter().filter(|(_, content)| content.is_some());
        files.count() + 1
    }

    fn write<W: Write>(self, out: age::Writer<W>) -> Result<(W, FileKey), BackupError> {
        let mut writer = backup::Writer::begin(out, &self.header)?;
        for (name, content) in &self.small {
            match content {
                None => writer.directory(name)?,
                Some(content) => writer.file(name, content)?,
            }
        }
        let length = self.header.ledger.octets;
        writer.stream(
            &Name::new(LEDGER)?,
            length,
            io::BufReader::with_capacity(1 << 16, self.ledger),
        )?;
        writer.finish()
    }
}

fn unlisted(home: &Home, error: Unlisted) -> CaError {
    match error {
        Unlisted::Disk(error) => error.into(),
        Unlisted::Name(why) => CustodyError::Backup {
            path: Shown(home.path().to_owned()),
            why,
        }
        .into(),
    }
}

/// Reads what was written from the disk, all of it. Its length, and its SHA-256.
fn read_back(mut file: File, key: &FileKey, expected: &Header) -> Result<(u64, [u8; 32]), BackupError> {
    file.seek(SeekFrom::Start(0))?;
    let mut summed = Summed {
        input: file,
        sum: Sha256::new(),
        octets: 0,
    };
    let sealed = Sealed::read(&mut summed)?;
    let read = backup::read(sealed.open(key)?, &mut Unread)?;
    if read != *expected {
        return Err(BackupError::Malformed("it is not what was written".into()));
    }
    Ok((summed.octets, summed.sum.finalize().into()))
}

/// Hashes and counts what is read.
struct Summed<R> {
    input: R,
    sum: Sha256,
    octets: u64,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(out)?;
        self.sum.update(&out[..count]);
        self.octets += count as u64;
        Ok(count)
    }
}
