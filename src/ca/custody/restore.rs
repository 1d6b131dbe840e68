//! Restores a home from a backup: unpacked beside its place, verified whole, and only then put there.
//!
//! A restored home is *unreconciled*: the event [`Fact::Restored`] is in its ledger before the home has its
//! name, and it signs nothing until it is reconciled with what was published since the backup
//! (`ca/publishing/restored.rs`). Nobody needs to say so, and nobody can forget it.

use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::CustodyError;
use super::last::note_backup;
use crate::backup::{self, BackupError, Header, Name, ROOT_KEY, Receiver};
use crate::ca::delivery::path_policy::real;
use crate::ca::publishing::crl;
use crate::ca::residence;
use crate::ca::session::{ClockPolicy, Desk};
use crate::ca::setup::staging::{Making, Staging};
use crate::ca::{CaError, setup};
use crate::disk::{self, DiskError, Shown};
use crate::home::{self, Home, LEDGER, Lock};
use crate::issuer::Devices;
use crate::model::{Authority, Fact, Time};
use crate::store::Extent;

/// A backup that was read whole, unpacked beside the place where it will be. Dropped, it leaves nothing.
pub struct Unpacked {
    /// What it is of.
    pub header: Header,
    /// The home, as it will be.
    pub home: Home,
    staging: Staging,
    place: PathBuf,
    by: String,
    clock: fn() -> Time,
}

/// A home that was restored.
#[derive(Debug)]
pub struct Restored {
    /// Where the home is that was there before.
    pub aside: Option<PathBuf>,
    /// Whether the root's key is where `pki.toml` says.
    pub has_root_key: bool,
}

/// What a backup is unpacked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The home is to get its place.
    Restore,
    /// To see whether it would work: nothing stays.
    Rehearse,
}

/// Reads a backup out of its decrypted content, and unpacks it beside `home`. `named` is what it is called in
/// errors.
///
/// # Errors
/// Where it is no whole backup of one home, or something other than a home is in that place, or the disk does
/// not let it.
pub fn unpack(
    content: impl Read,
    named: &Path,
    home: &Path,
    purpose: Purpose,
    by: String,
    clock: fn() -> Time,
) -> Result<Unpacked, CaError> {
    let place = match purpose {
        // Whatever is in that place does not matter.
        Purpose::Rehearse => real(home),
        Purpose::Restore if home::is_home(home) => real(home),
        Purpose::Restore => setup::free_place(home)?,
    };
    disk::demand_modes(&place)?;
    let staging = Staging::beside(&place, Making::Restoring)?;
    let failed = |why| CustodyError::Backup {
        path: Shown(named.to_owned()),
        why,
    };
    let mut into = Into {
        home: &staging.path,
        failure: None,
    };
    let read = backup::read(content, &mut into);
    if let Some(failure) = into.failure {
        return Err(failure.into());
    }
    let header = read.map_err(failed)?;
    let unfit = |why: String| CustodyError::Unfit {
        path: Shown(named.to_owned()),
        why,
    };
    let home = Home::open_despite_config(&staging.path).map_err(|error| unfit(error.to_string()))?;
    // It is opened once as whoever works with it will.
    let store = home.read().map_err(|error| unfit(error.to_string()))?;
    if header.root != home.chain().root().sha256() {
        return Err(unfit("it names another root than it holds".into()).into());
    }
    drop(store);
    residence::resettle(&home, &place)?;
    Ok(Unpacked {
        header,
        home,
        staging,
        place,
        by,
        clock,
    })
}

impl Unpacked {
    /// Records that it is restored, and puts the home in its place.
    ///
    /// # Errors
    /// Where a home is there that this backup does not have all of; or the disk does not let it.
    pub fn put_in_place(self, patience: Duration) -> Result<Restored, CaError> {
        let there = self.there(patience)?;
        if let Some(there) = &there {
            self.take_over_root_key(&there.home)?;
        }
        note_backup(&self.home, &self.header)?;
        self.record(patience)?;
        let has_root_key = self.home.key_path(Authority::Root).exists();
        let Self { staging, place, .. } = self;
        let aside = match there {
            None => {
                staging.become_home(&place, None)?;
                None
            }
            Some(_) => {
                let aside = aside(&place);
                staging.replace_home(&place, &aside)?;
                Some(aside)
            }
        };
        Ok(Restored { aside, has_root_key })
    }

    /// Signs a CRL as the restored home would, which nobody gets to see: it goes with the home when this is
    /// dropped. Returns how many certificates it revokes.
    ///
    /// # Errors
    /// Where the ledger cannot be read, or the key does not sign.
    pub fn rehearse(&self, issuing: &Devices, patience: Duration) -> Result<u64, CaError> {
        let desk = self.desk(patience)?;
        let mut session = desk.session(ClockPolicy::Lenient)?;
        let of = crl::Published {
            authority: Authority::Issuing,
            issuer: self.home.chain().ca(),
            standing: None,
        };
        let signed = crl::sign_anew(&mut session, of, |terms, list| issuing.sign_crl(terms, list))?;
        Ok(signed.revoked.len() as u64)
    }

    fn desk(&self, patience: Duration) -> Result<Desk, CaError> {
        Ok(Desk {
            home: Home::open_despite_config(self.home.path())?,
            by: self.by.clone(),
            holder: "restore".into(),
            patience,
            clock: self.clock,
            goes_on_here: false,
            reconciles: false,
        })
    }

    /// Records that it was restored, before it has its name: it never lives without that.
    fn record(&self, patience: Duration) -> Result<(), CaError> {
        let desk = self.desk(patience)?;
        let restored = Fact::Restored {
            made: self.header.made,
            events: self.header.ledger.events,
        };
        residence::unchanged(&desk.home, || {
            desk.session(ClockPolicy::Lenient)?.commit(vec![restored])
        })
    }

    /// The home that is in the place, locked, where this backup has all that it has.
    fn there(&self, patience: Duration) -> Result<Option<There>, CaError> {
        if !home::is_home(&self.place) {
            return Ok(None);
        }
        let shown = || Shown(self.place.clone());
        let unreadable = |why: String| CustodyError::Unreadable { home: shown(), why };
        let home = Home::open_despite_config(&self.place).map_err(|error| unreadable(error.to_string()))?;
        if home.chain().root().sha256() != self.header.root {
            return Err(CustodyError::AnotherPki(shown()).into());
        }
        let lock = home.lock(patience, "restore")?;
        let store = home.read().map_err(|error| unreadable(error.to_string()))?;
        let (has, backup) = (store.extent(), self.header.ledger);
        if has.events > backup.events {
            let more = has.events - backup.events;
            return Err(CustodyError::Ahead { home: shown(), more }.into());
        }
        if !self.begins_with(&home, has)? {
            return Err(CustodyError::Diverged(shown()).into());
        }
        Ok(Some(There { home, _lock: lock }))
    }

    /// Whether the ledger of the backup begins with all of the other one.
    fn begins_with(&self, other: &Home, extent: Extent) -> Result<bool, DiskError> {
        let open = |home: &Home| {
            let ledger = home.path().join(LEDGER);
            disk::open_regular(&ledger).map_err(disk::failed("read", &ledger))
        };
        let [ours, theirs] = [open(&self.home)?, open(other)?];
        let [mut ours, mut theirs] = [ours, theirs].map(|file| io::BufReader::new(file.take(extent.octets)));
        same(&mut ours, &mut theirs).map_err(disk::failed("read", other.path()))
    }

    /// Takes the root's key over from the home that is replaced, where it lies there and the backup has none.
    fn take_over_root_key(&self, there: &Home) -> Result<(), CaError> {
        let (from, to) = (there.path().join(ROOT_KEY), self.home.path().join(ROOT_KEY));
        if from.is_file() && !to.exists() {
            disk::create_private(&to, home::private(&from)?.as_bytes())?;
        }
        Ok(())
    }
}

/// A home that is to be replaced. Nobody changes it meanwhile.
struct There {
    home: Home,
    _lock: Lock,
}

/// Where the home goes that is replaced.
fn aside(place: &Path) -> PathBuf {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let mut aside = place.with_file_name(format!("{name}.before-restore"));
    let mut count = 1;
    while disk::is_taken(&aside) {
        count += 1;
        aside = place.with_file_name(format!("{name}.before-restore-{count}"));
    }
    aside
}

/// Whether two streams are the same, to their ends.
fn same(one: &mut impl io::BufRead, other: &mut impl io::BufRead) -> io::Result<bool> {
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let count = left.len().min(right.len());
        if count == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        if left[..count] != right[..count] {
            return Ok(false);
        }
        one.consume(count);
        other.consume(count);
    }
}

/// Writes the files of a backup into a new directory of this process alone.
struct Into<'a> {
    home: &'a Path,
    /// The error of the disk, which says more than one of the backup.
    failure: Option<DiskError>,
}

impl Into<'_> {
    fn tried<T>(&mut self, done: Result<T, DiskError>) -> Result<T, BackupError> {
        done.map_err(|error| {
            let why = BackupError::Malformed(error.to_string());
            self.failure.get_or_insert(error);
            why
        })
    }

    fn write(&self, name: &Name, content: &mut dyn Read) -> Result<io::Result<()>, DiskError> {
        let place = self.home.join(name.path());
        if let Some(directory) = place.parent() {
            disk::ensure_directory(directory, disk::PRIVATE_DIRECTORY)?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(disk::PRIVATE_FILE);
        let mut file = options.open(&place).map_err(disk::failed("created", &place))?;
        let mut piece = vec![0; 1 << 16];
        loop {
            let count = match content.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                // It is the backup that cannot be read.
                Err(error) => return Ok(Err(error)),
            };
            io::Write::write_all(&mut file, &piece[..count]).map_err(disk::failed("written", &place))?;
        }
        file.sync_all().map_err(disk::failed("synced", &place))?;
        Ok(Ok(()))
    }
}

impl Receiver for Into<'_> {
    fn directory(&mut self, name: &Name) -> Result<(), BackupError> {
        let made = disk::ensure_directory(&self.home.join(name.path()), disk::PRIVATE_DIRECTORY);
        self.tried(made)
    }

    fn file(&mut self, name: &Name, content: &mut dyn Read) -> Result<(), BackupError> {
        let written = self.write(name, content);
        Ok(self.tried(written)??)
    }
}
