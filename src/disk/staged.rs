//! Staged files: a file is written beside its place, and then moved there.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::account::TO_GROUP;
use super::{DiskError, PRIVATE_FILE, demand_kept, failed};

/// How many files stay open until they are synced one by one. One call for their whole file system is quicker
/// for more, and a process may not have many files open.
const FEW: usize = 16;

/// Writes private files beside their places, which are all in one directory.
///
/// # Errors
/// Where one cannot be made or written.
pub fn stage_many<'a>(
    files: impl IntoIterator<Item = (&'a Path, &'a [u8])>,
) -> Result<Vec<Staged>, DiskError> {
    let mut all = Vec::new();
    for (place, octets) in files {
        let mut staged = Staged::write(place, PRIVATE_FILE, &[octets])?;
        if all.len() >= FEW {
            staged.file = None;
        }
        all.push(staged);
    }
    Ok(all)
}

/// Makes these files durable: one by one where they are few, else with one call for the file system of
/// `directory`, which holds them all.
///
/// # Errors
/// Where the system cannot, or where writing back any of them failed.
pub fn sync_many(directory: &Path, files: &[Staged]) -> Result<(), DiskError> {
    if files.len() <= FEW {
        files.iter().try_for_each(Staged::sync)
    } else {
        sync_file_system(directory, files)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn sync_file_system(directory: &Path, _files: &[Staged]) -> Result<(), DiskError> {
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let handle = File::open(directory).map_err(failed("opened", directory))?;
    rustix::fs::syncfs(&handle).map_err(|errno| failed("synced", directory)(errno.into()))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn sync_file_system(_directory: &Path, files: &[Staged]) -> Result<(), DiskError> {
    files.iter().try_for_each(Staged::sync)
}

/// A file that has been written beside its place and is not there yet. Dropped before it is, it leaves
/// nothing behind.
#[derive(Debug)]
pub struct Staged {
    /// None where it was closed: of many not each can stay open.
    file: Option<File>,
    /// The directory in which both names are, where it is held by its handle.
    within: Option<Arc<File>>,
    beside: PathBuf,
    place: PathBuf,
    moved: bool,
}

impl Staged {
    /// Writes `pieces`, one after the other, beside `place`, with exactly this mode.
    ///
    /// # Errors
    /// Where the file cannot be made or written (a full disk, a read-only directory).
    pub fn write(
        place: &Path,
        mode: u32,
        pieces: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Self, DiskError> {
        Self::write_within(None, place, mode, pieces)
    }

    /// Makes a private file beside `place` for which the file system sets so many octets aside. Where it
    /// cannot do so, as NFS before 4.2 cannot, they are written and synced: only then is it known that there
    /// was room for them.
    ///
    /// # Errors
    /// Where the file cannot be made, or there is no room.
    pub(super) fn with_room(place: &Path, octets: usize) -> Result<Self, DiskError> {
        let nothing: [&[u8]; 0] = [];
        let staged = Self::write(place, PRIVATE_FILE, nothing)?;
        match set_aside(&staged, octets as u64) {
            Ok(true) => Ok(staged),
            Ok(false) => {
                let staged = Self::write(place, PRIVATE_FILE, [vec![0; octets]])?;
                staged.sync()?;
                Ok(staged)
            }
            Err(error) => Err(failed("written", place)(error)),
        }
    }

    pub(super) fn write_within(
        within: Option<Arc<File>>,
        place: &Path,
        mode: u32,
        pieces: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Self, DiskError> {
        let random = random_name().map_err(failed("named", place))?;
        let name = place
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let beside = place.with_file_name(format!(".{name}.{random}.tmp"));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (directory, called) = at(within.as_ref(), &beside);
        let file = rustix::fs::openat(directory, called, flags, Mode::from_raw_mode(PRIVATE_FILE))
            .map_err(|errno| failed("created", &beside)(errno.into()))?;
        let mut file = File::from(file);
        let mut staged = Self {
            file: None,
            within,
            beside,
            place: place.to_owned(),
            moved: false,
        };
        let demand_kept = |file: &File| {
            let kept = file.metadata().and_then(|made| demand_kept(&made, mode));
            kept.map_err(failed("kept private", place))
        };
        if mode == PRIVATE_FILE {
            // Before there is anything in it.
            demand_kept(&file)?;
        }
        for piece in pieces {
            file.write_all(piece.as_ref()).map_err(failed("written", place))?;
        }
        if mode != PRIVATE_FILE {
            // By its handle: whoever owns the directory could have put a link to another file in its place.
            let given = file.set_permissions(fs::Permissions::from_mode(mode));
            demand_kept(&file)?;
            given.map_err(failed("given its mode", place))?;
        }
        staged.file = Some(file);
        Ok(staged)
    }

    /// Hands the file to another group.
    ///
    /// # Errors
    /// Where the system refuses (the caller is not a member).
    pub fn set_group(&self, group: u32) -> Result<(), DiskError> {
        self.by_handle(|file| std::os::unix::fs::fchown(file, None, Some(group)))
            .map_err(failed(TO_GROUP, &self.place))
    }

    /// Hands the file to an account and a group, where it is not theirs yet.
    ///
    /// # Errors
    /// Where the system refuses (the caller is not root).
    pub fn set_owner(&self, account: u32, group: u32) -> Result<(), DiskError> {
        let given = self.by_handle(|file| {
            let is = file.metadata()?;
            match (is.uid(), is.gid()) == (account, group) {
                true => Ok(()),
                false => std::os::unix::fs::fchown(file, Some(account), Some(group)),
            }
        });
        given.map_err(failed("given to its owner", &self.place))
    }

    /// Makes its content durable.
    ///
    /// # Errors
    /// Where the system cannot.
    pub fn sync(&self) -> Result<(), DiskError> {
        self.by_handle(File::sync_all)
            .map_err(failed("synced", &self.place))
    }

    /// Opens what was written so far for reading.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn open_again(&self) -> Result<File, DiskError> {
        let (directory, beside, _) = self.names();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(directory, beside, flags, Mode::empty());
        opened
            .map(File::from)
            .map_err(|errno| failed("read", &self.place)(errno.into()))
    }

    /// Does something with the file itself, which is opened again where it was closed.
    fn by_handle<T>(&self, deed: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        if let Some(file) = &self.file {
            return deed(file);
        }
        let (directory, beside, _) = self.names();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        deed(&rustix::fs::openat(directory, beside, flags, Mode::empty())?.into())
    }

    /// The path at which the file will be installed.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Moves the file to its place, replacing what is there. The directory is not synced yet.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn replace(mut self) -> Result<(), DiskError> {
        let (directory, beside, place) = self.names();
        rustix::fs::renameat(directory, beside, directory, place)
            .map_err(|errno| failed("put in place", &self.place)(errno.into()))?;
        self.moved = true;
        Ok(())
    }

    /// Moves the file to its place, where there must be nothing yet. The directory is not synced yet.
    ///
    /// # Errors
    /// Where something is there, or the system refuses.
    pub fn place_new(mut self) -> Result<(), DiskError> {
        self.move_to_new()
    }

    /// As [`Self::place_new`]; where something is there, it goes to this other place in the same directory.
    /// Gives whether it is in its own.
    ///
    /// # Errors
    /// Where something is there, too, or the system refuses.
    pub fn place_new_or(mut self, other: &Path) -> Result<bool, DiskError> {
        match self.move_to_new() {
            Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {
                self.place = other.to_owned();
                self.move_to_new().map(|()| false)
            }
            moved => moved.map(|()| true),
        }
    }

    /// The same file, for another place in the same directory.
    #[must_use]
    pub fn meant_for(mut self, place: PathBuf) -> Self {
        self.place = place;
        self
    }

    fn move_to_new(&mut self) -> Result<(), DiskError> {
        use rustix::io::Errno;
        let (directory, beside, place) = self.names();
        match rename_new(directory, beside, place) {
            Err(errno) if has_none(errno) => {}
            Err(errno) => return Err(failed("put in place", &self.place)(errno.into())),
            Ok(()) => {
                self.moved = true;
                return Ok(());
            }
        }
        // link(2) fails where the name exists, too; dropping removes the other name.
        match rustix::fs::linkat(directory, beside, directory, place, AtFlags::empty()) {
            // FAT and exFAT have no links.
            Err(Errno::PERM | Errno::MLINK) => {}
            Err(errno) if has_none(errno) => {}
            linked => return linked.map_err(|errno| failed("put in place", &self.place)(errno.into())),
        }
        claim(directory, place).map_err(|errno| failed("put in place", &self.place)(errno.into()))?;
        let moved = rustix::fs::renameat(directory, beside, directory, place);
        if moved.is_err() {
            let _ = rustix::fs::unlinkat(directory, place, AtFlags::empty());
        }
        moved.map_err(|errno| failed("put in place", &self.place)(errno.into()))?;
        self.moved = true;
        Ok(())
    }

    /// Where its two names are, and what they are called there.
    fn names(&self) -> (BorrowedFd<'_>, &Path, &Path) {
        let (directory, beside) = at(self.within.as_ref(), &self.beside);
        (directory, beside, at(self.within.as_ref(), &self.place).1)
    }
}

/// Has the file system set room aside for a file: fallocate(2). Gives whether it can.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn set_aside(staged: &Staged, octets: u64) -> io::Result<bool> {
    use rustix::fs::FallocateFlags;
    use rustix::io::Errno;
    staged.by_handle(|file| {
        let allocate = || rustix::fs::fallocate(file, FallocateFlags::empty(), 0, octets);
        match rustix::io::retry_on_intr(allocate) {
            Ok(()) => Ok(true),
            Err(errno) if has_none(errno) || errno == Errno::NODEV => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    })
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn set_aside(_staged: &Staged, _octets: u64) -> io::Result<bool> {
    Ok(false)
}

/// Whether the system or the file system says by this that it has no such call. ENOTSUP and EOPNOTSUPP are
/// one number on Linux, and two on Apple's systems.
fn has_none(errno: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    [Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL].contains(&errno)
}

/// What a path is called from where it is looked for: in a directory that is held by its handle only the last
/// name counts.
fn at<'a>(within: Option<&'a Arc<File>>, path: &'a Path) -> (BorrowedFd<'a>, &'a Path) {
    match within {
        Some(directory) => (directory.as_fd(), path.file_name().map_or(path, Path::new)),
        None => (CWD, path),
    }
}

/// Renames, unless the new name exists: renameat2(2), which a FAT file system has as well, unlike links.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_new(directory: BorrowedFd<'_>, from: &Path, to: &Path) -> rustix::io::Result<()> {
    use rustix::fs::{RenameFlags, renameat_with};
    renameat_with(directory, from, directory, to, RenameFlags::NOREPLACE)
}

/// Takes a name that nobody has, with an empty file: on a file system that can neither link nor rename
/// without replacing, it is the only way to take nobody else's. Whoever is killed before the file itself
/// comes leaves an empty one.
fn claim(directory: BorrowedFd<'_>, place: &Path) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, place, flags, Mode::from_raw_mode(PRIVATE_FILE)).map(drop)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_new(_directory: BorrowedFd<'_>, _from: &Path, _to: &Path) -> rustix::io::Result<()> {
    Err(rustix::io::Errno::NOSYS)
}

/// Adds to the end of a file that is still beside its place.
impl Write for Staged {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(octets),
            None => Err(io::Error::other("it was closed")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.moved {
            let (directory, beside, _) = self.names();
            // Nothing can be done about a file that cannot be removed; a later `sweep` tries again.
            let _ = rustix::fs::unlinkat(directory, beside, AtFlags::empty());
        }
    }
}

/// Twelve hexadecimal digits that no other name has.
///
/// # Errors
/// Where the system gives no randomness.
pub fn random_name() -> io::Result<String> {
    let mut random = [0; 6];
    getrandom::fill(&mut random).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(HEXLOWER.encode(&random))
}

/// Whether these are the digits of a [`random_name`].
pub fn is_random_name(digits: &str) -> bool {
    digits.len() == 12
        && digits
            .bytes()
            .all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
}

/// The name of the file for which this one was staged, if it was.
pub fn staged_for(name: &OsStr) -> Option<&str> {
    let (begun, random) = name
        .to_str()?
        .strip_prefix('.')?
        .strip_suffix(".tmp")?
        .rsplit_once('.')?;
    is_random_name(random).then_some(begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_name_tells_whose_it_is() {
        for (name, whose) in [
            (".a.p12.0123456789ab.tmp", Some("a.p12")),
            (".a.p12.0123456789a.tmp", None),
            (".x.tmp", None),
            ("a.p12.0123456789ab.tmp", None),
        ] {
            assert_eq!(staged_for(OsStr::new(name)), whose, "{name}");
        }
    }
}
