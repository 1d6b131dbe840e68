//! Access to files: atomic writes, reads with limits, locks, permissions. A file that is written here is
//! there whole or not at all.
//!
//! A file is written beside its place, synced, renamed into it, and the directory is synced: whoever reads
//! it, also after a power cut, finds the old content or the new one. Private files have mode 0600 from their
//! first octet.

mod account;
mod directory;
mod identity;
mod reading;
mod free_space;
mod staged;
mod sweep;
mod sorted;
mod versions;

pub use account::{account, account_name, group_number};
pub use directory::{Directory, Ground, Kind, Spot};
pub use free_space::{Room, room};
pub use identity::Identity;
pub use reading::{open_given, open_regular, read, read_given, read_if_there};
pub use sorted::{Sorted, Sorter};
pub use staged::{Staged, is_random_name, random_name, stage_many, staged_for, sync_many};
pub use sweep::{at_work, at_work_on, demand_room, sweep, try_out, try_out_place};

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use sweep::TRIAL;

use crate::model::fault::{self, Fault};

/// The error of an operation on a file: the operation, the file, and the system's reason.
#[derive(Debug, thiserror::Error)]
#[error("{path} could not be {deed}: {source}")]
pub struct DiskError {
    /// The operation that failed, as a participle: `read`, `written`, …
    pub deed: &'static str,
    /// The path of the file.
    pub path: Shown,
    /// The error of the system.
    pub source: io::Error,
}

/// The file system keeps no modes, as NTFS and FAT do not: what is private would be open to others.
#[derive(Debug, thiserror::Error)]
#[error(
    "its file system keeps no modes (NTFS, FAT?), so that others can read what lies there unless it is mounted with umask=077"
)]
pub struct Modeless;

/// The advice on a file system that keeps no modes.
pub const UMASK: &str = "mount it with the option umask=077, which gives all that is on it to one account alone; or name a place on a file \
                         system that keeps modes";

/// Whether something failed because the file system keeps no modes.
pub fn is_modeless(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Modeless>())
}

/// Makes sure that what is private can be kept so in the lowest directory that is there on the way to `path`.
/// What else may be wrong with it is told when it is written to.
///
/// # Errors
/// Where its file system keeps no modes.
pub fn demand_modes(path: &Path) -> Result<(), DiskError> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let Some(there) = absolute.ancestors().find(|above| above.is_dir()) else {
        return Ok(());
    };
    match Staged::write(&there.join(TRIAL), PRIVATE_FILE, [b""]) {
        Err(error) if is_modeless(&error.source) => Err(failed("kept private", there)(error.source)),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The error for a private file or directory that others can read or change.
#[derive(Debug, thiserror::Error)]
#[error("{path} can be read or changed by others (mode {mode:04o}{})", if *is_modeless { ", and its file system keeps no other unless it is mounted with umask=077" } else { "" })]
pub struct Exposed {
    path: Shown,
    mode: u32,
    /// Whether no `chmod` has an effect there.
    is_modeless: bool,
}

impl Exposed {
    /// The error for what is at `path` and has this mode.
    pub fn new(path: &Path, mode: u32) -> Self {
        Self {
            path: Shown(path.to_owned()),
            mode,
            is_modeless: demand_modes(path.parent().unwrap_or(path)).is_err(),
        }
    }

    /// The advice how to make it private.
    pub fn remedy(&self) -> String {
        if self.is_modeless {
            UMASK.to_owned()
        } else {
            format!("run `chmod go= {}`", self.path)
        }
    }
}

impl DiskError {
    /// Whether the error is that the file system is full.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        [StorageFull, QuotaExceeded].contains(&self.source.kind())
    }
}

impl Fault for DiskError {
    fn kind_and_code(&self) -> (fault::Kind, &'static str) {
        (fault::Kind::Storage, "disk")
    }
}

/// A path that is shown with [`Path::display`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(pub PathBuf);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}

/// Names the file in an error of the system.
pub fn failed<'a>(deed: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DiskError + 'a {
    move |source| DiskError {
        deed,
        path: Shown(path.to_owned()),
        source,
    }
}

/// The mode of a private file.
pub const PRIVATE_FILE: u32 = 0o600;
/// The mode of a private directory.
pub const PRIVATE_DIRECTORY: u32 = 0o700;

/// Makes a private directory, mode 0700, which must not exist.
///
/// # Errors
/// Where it exists or cannot be made, or its file system keeps no modes.
pub fn create_private_directory(path: &Path) -> Result<(), DiskError> {
    create_directory(path, PRIVATE_DIRECTORY).map_err(failed("created", path))
}

fn create_directory(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)?;
    let kept = fs::metadata(path).and_then(|made| demand_kept(&made, mode));
    if kept.is_err() {
        // What is refused leaves nothing behind.
        let _ = fs::remove_dir(path);
    }
    kept
}

/// Makes sure that what was to be closed to others is so: some file systems take every mode, and keep none.
fn demand_kept(made: &fs::Metadata, mode: u32) -> io::Result<()> {
    const READ_AND_WRITE: u32 = 0o066;
    // What anybody may read is published, and signed.
    let closed = if mode & 0o004 == 0 {
        READ_AND_WRITE & !mode
    } else {
        0
    };
    if made.mode() & closed == 0 {
        Ok(())
    } else {
        Err(io::Error::other(Modeless))
    }
}

/// Makes a directory with this mode within the umask, and every missing one above it, or leaves it as it is.
///
/// # Errors
/// Where it cannot be made.
pub fn ensure_directory(path: &Path, mode: u32) -> Result<(), DiskError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        ensure_directory(above, mode)?;
    }
    match create_directory(path, mode) {
        Ok(()) => Ok(()),
        // Another process was faster. A file of that name is no directory.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(failed("created", path)(error)),
    }
}

/// The permission bits of a file.
///
/// # Errors
/// Where it is not there or cannot be looked at.
pub fn mode(path: &Path) -> Result<u32, DiskError> {
    Ok(fs::metadata(path).map_err(failed("examined", path))?.mode() & 0o7777)
}

/// Takes the lock of a directory (flock), if nobody has it. It is given back when dropped, or when its holder
/// dies. Anything may have the name of one: a pipe would keep whoever opens it waiting, a link leads
/// elsewhere.
///
/// # Errors
/// Where it is no directory, or cannot be opened or locked.
pub fn lock(path: &Path) -> Result<Option<File>, DiskError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty());
    let directory = File::from(directory.map_err(|errno| failed("opened", path)(errno.into()))?);
    match rustix::fs::flock(&directory, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(directory)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(failed("locked", path)(errno.into())),
    }
}

/// Whether a path begins with a `~` that a shell would have put a home directory in place of: `~/pki`,
/// `~bob/pki`. It does so only at the beginning of a word without quotes, and no other program does.
pub fn has_tilde(path: &Path) -> bool {
    let first = path
        .components()
        .next()
        .map(|first| first.as_os_str().to_string_lossy());
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    first.is_some_and(|first| {
        first
            .strip_prefix('~')
            .is_some_and(|rest| rest.chars().all(plain))
    })
}

/// Whether something has this name, even a link that leads nowhere: nothing new can be put there.
pub fn is_taken(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Exchanges what is at two paths of one file system, in one step where the system has one. Where it has
/// none, the second is moved beside the first for a moment.
///
/// # Errors
/// Where the system refuses.
pub fn exchange(one: &Path, other: &Path) -> Result<(), DiskError> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let exchanged = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
        exchanged.map_err(|errno| failed("exchanged", other)(errno.into()))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let random = random_name().map_err(failed("named", one))?;
        let between = one.with_extension(random);
        let renamed = fs::rename(other, &between)
            .and_then(|()| fs::rename(one, other))
            .and_then(|()| fs::rename(&between, one));
        renamed.map_err(failed("exchanged", other))
    }
}

/// Makes the entries of a directory durable.
///
/// # Errors
/// Where the system cannot.
pub fn sync_directory(path: &Path) -> Result<(), DiskError> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(failed("synced", path))
}

/// Writes a new private file: synced, in place, its directory synced.
///
/// # Errors
/// Where something is there already, or any step fails; then nothing is there.
pub fn create_private(place: &Path, octets: &[u8]) -> Result<(), DiskError> {
    let staged = Staged::write(place, PRIVATE_FILE, &[octets])?;
    staged.sync()?;
    staged.place_new()?;
    sync_directory(place.parent().unwrap_or(Path::new(".")))
}

/// Removes a file, if there is one. The directory is not synced.
///
/// # Errors
/// Where it cannot be removed.
pub fn remove_if_there(place: &Path) -> Result<(), DiskError> {
    match fs::remove_file(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("removed", place)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Replaces a file as a whole, with exactly this mode.
///
/// # Errors
/// Where any step fails; then the old content is there.
pub fn replace(place: &Path, mode: u32, octets: &[u8]) -> Result<(), DiskError> {
    let staged = Staged::write(place, mode, &[octets])?;
    staged.sync()?;
    staged.replace()?;
    sync_directory(place.parent().unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_private_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("key");
        create_private(&place, b"one").unwrap();
        assert_eq!(mode(&place).unwrap(), 0o600);
        assert!(create_private(&place, b"two").is_err());
        assert_eq!(fs::read(&place).unwrap(), b"one");
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }
}
