//! Files that are there whole or not at all.
//!
//! A file is written beside its place, synced, renamed into it, and the directory is synced: whoever reads
//! it, also after a power cut, finds the old content or the new one. Private files have mode 0600 from their
//! first octet.

mod directory;
mod identity;
mod room;
mod versions;

pub use directory::{Directory, Ground, Kind, Spot};
pub use identity::Identity;
pub use room::{Room, room};

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};

/// What could not be done to which file, and why.
#[derive(Debug, thiserror::Error)]
#[error("{path} could not be {deed}: {source}")]
pub struct DiskError {
    /// `read`, `written`, …
    pub deed: &'static str,
    /// Which file.
    pub path: Shown,
    /// The system's words.
    pub source: io::Error,
}

/// The file system keeps no modes, as NTFS and FAT do not: what is private would be open to others.
#[derive(Debug, thiserror::Error)]
#[error(
    "its file system keeps no modes (NTFS, FAT?), so that others can read what lies there unless it is mounted with umask=077"
)]
pub struct Modeless;

/// What to do about a file system that keeps no modes.
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

/// Others can read or change what is private.
#[derive(Debug, thiserror::Error)]
#[error("{path} can be read or changed by others (mode {mode:04o}{})", if *is_modeless { ", and its file system keeps no other unless it is mounted with umask=077" } else { "" })]
pub struct Exposed {
    path: Shown,
    mode: u32,
    /// Whether no `chmod` has an effect there.
    is_modeless: bool,
}

impl Exposed {
    /// What is there has this mode.
    pub fn new(path: &Path, mode: u32) -> Self {
        Self {
            path: Shown(path.to_owned()),
            mode,
            is_modeless: demand_modes(path.parent().unwrap_or(path)).is_err(),
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        if self.is_modeless {
            UMASK.to_owned()
        } else {
            format!("run `chmod go= {}`", self.path)
        }
    }
}

/// The name that trials are staged for.
const TRIAL: &str = "pki";

impl DiskError {
    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        [StorageFull, QuotaExceeded].contains(&self.source.kind())
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

/// Mode of a private file.
pub const PRIVATE_FILE: u32 = 0o600;
/// Mode of a private directory.
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

/// The name of an account, as the system knows it: of `/etc/passwd`, LDAP, SSSD, or whatever else it asks
/// (NSS).
pub fn account(uid: u32) -> Option<String> {
    let found = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
    found.ok().flatten().map(|user| user.name)
}

/// The name of an account, or its number, for people.
pub fn account_name(uid: u32) -> String {
    account(uid).unwrap_or_else(|| format!("uid {uid}"))
}

/// What could not be done where this account is no member of a group.
const TO_GROUP: &str = "given to its group";

impl DiskError {
    /// Whether a group was refused: this account is no member of it.
    pub fn is_of_group(&self) -> bool {
        self.deed == TO_GROUP && self.source.kind() == io::ErrorKind::PermissionDenied
    }
}

/// Whether this account may give its files to a group.
fn is_member(group: u32) -> io::Result<bool> {
    let groups = rustix::process::getgroups()?;
    Ok(rustix::process::geteuid().is_root()
        || rustix::process::getegid().as_raw() == group
        || groups.iter().any(|own| own.as_raw() == group))
}

/// The number of a group, by its name, as the system knows it, or by itself.
///
/// # Errors
/// Where there is none of that name, or the system cannot tell.
pub fn group_number(name: &str) -> Result<u32, DiskError> {
    use nix::errno::Errno;
    let refused = |why: io::Error| failed("looked up", Path::new(name))(why);
    let found = match nix::unistd::Group::from_name(name) {
        // Some name services say so where they know no such name (getgrnam_r(3)).
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => None,
        found => found.map_err(|errno| refused(errno.into()))?,
    };
    let number = found
        .map(|group| group.gid.as_raw())
        .or_else(|| name.parse().ok());
    number.ok_or_else(|| refused(io::Error::other(format!("there is no group {name}"))))
}

/// The permission bits of a file.
///
/// # Errors
/// Where it is not there or cannot be looked at.
pub fn mode(path: &Path) -> Result<u32, DiskError> {
    Ok(fs::metadata(path).map_err(failed("examined", path))?.mode() & 0o7777)
}

/// Reads a regular file of at most `max` octets: one of a home, of a publication, of the system. What a
/// person named is read by [`read_given`].
///
/// # Errors
/// Where it cannot be read, is larger, or is no regular file.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, DiskError> {
    open_regular(path)
        .and_then(|file| whole(file, max))
        .map_err(failed("read", path))
}

/// Reads what a person named, of at most `max` octets: a file, or a pipe such as a shell's `<(…)`.
///
/// # Errors
/// Where it cannot be read, is larger, or is a pipe that nobody writes to.
pub fn read_given(path: &Path, max: u64) -> Result<Vec<u8>, DiskError> {
    open_given(path)
        .and_then(|file| whole(file, max))
        .map_err(failed("read", path))
}

fn whole(file: File, max: u64) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut octets)?;
    if octets.len() as u64 > max {
        let why = format!("it is larger than {max} octets");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(octets)
}

/// Opens what a person named. Opening a pipe waits until somebody opens its other end, for ever if nobody
/// does. A shell has done that before it starts us; whoever has it open is waited for, be it that a
/// passphrase is typed there.
///
/// # Errors
/// Where it cannot be opened, or is a pipe that nobody writes to.
pub fn open_given(path: &Path) -> io::Result<File> {
    /// How long somebody may take to open the other end.
    const PATIENCE: Duration = Duration::from_secs(2);
    if !fs::metadata(path)?.file_type().is_fifo() {
        return File::open(path);
    }
    let (opened, wait) = mpsc::channel();
    let named = path.to_owned();
    // Where nobody comes it stays behind, and ends with the process: there is no call that opens with a
    // timeout.
    std::thread::spawn(move || opened.send(File::open(named)));
    let nobody = |_| io::Error::new(io::ErrorKind::TimedOut, "it is a pipe that nobody writes to");
    wait.recv_timeout(PATIENCE).map_err(nobody)?
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

/// Whether something has this name, and be it a link that leads nowhere: nothing new can be put there.
pub fn is_taken(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Opens a regular file. A pipe in its place would keep whoever opens it waiting for ever.
///
/// # Errors
/// Where it cannot be opened, or is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is no regular file"))
    }
}

/// Reads a file, or nothing where there is none.
///
/// # Errors
/// Where it is there and cannot be read.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    let mut octets = Vec::new();
    match open_regular(path).and_then(|mut file| file.read_to_end(&mut octets)) {
        Ok(_) => Ok(Some(octets)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
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

    fn write_within(
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

    /// Makes its content durable.
    ///
    /// # Errors
    /// Where the system cannot.
    pub fn sync(&self) -> Result<(), DiskError> {
        self.by_handle(File::sync_all)
            .map_err(failed("synced", &self.place))
    }

    /// Does something with the file itself, which is opened again where it was closed.
    fn by_handle(&self, deed: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        if let Some(file) = &self.file {
            return deed(file);
        }
        let (directory, beside, _) = self.names();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        deed(&rustix::fs::openat(directory, beside, flags, Mode::empty())?.into())
    }

    /// Where it will be.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Moves it to its place, over what is there. The directory is not synced yet.
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

    /// Moves it to its place, where nothing may be. The directory is not synced yet.
    ///
    /// # Errors
    /// Where something is there, or the system refuses.
    pub fn place_new(mut self) -> Result<(), DiskError> {
        use rustix::io::Errno;
        let (directory, beside, place) = self.names();
        match rename_new(directory, beside, place) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(failed("put in place", &self.place)(errno.into())),
            Ok(()) => {
                self.moved = true;
                return Ok(());
            }
        }
        // link(2) fails where the name exists, too; dropping removes the other name.
        match rustix::fs::linkat(directory, beside, directory, place, AtFlags::empty()) {
            // FAT and exFAT have no links.
            Err(Errno::PERM | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::MLINK) => {}
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

/// Removes what writes of `place` that were cut off left beside it, as [`sweep_all`]. For the holder of the
/// lock only.
pub fn sweep(place: &Path) {
    let directory = place.parent().filter(|p| !p.as_os_str().is_empty());
    sweep_all(directory.unwrap_or(Path::new(".")), [place]);
}

/// Removes what writes of these files of one directory that were cut off left there, reading it once. What
/// cannot be read or removed (another account's file, a directory of that name) stays, and is in nobody's
/// way: no write takes the same name again.
pub fn sweep_all<'a>(directory: &Path, places: impl IntoIterator<Item = &'a Path>) {
    let names = places.into_iter().filter_map(Path::file_name);
    let begun: HashSet<_> = names.map(OsStr::to_string_lossy).collect();
    sweep_meant(directory, |name| begun.contains(name));
}

/// Works in a directory that other processes may write to as well. What writes of files that are `meant` by
/// their names were cut off there is removed first, unless another process is at work in it by the same rule.
/// Others are kept from that until this is dropped; none, where the file system has no locks: then nothing
/// was removed.
pub fn at_work(directory: &Path, is_meant: impl Fn(&str) -> bool) -> Option<File> {
    use rustix::fs::{FlockOperation, flock};
    const TRIES: u32 = 100;
    let directory = directory.canonicalize().ok()?;
    let handle = match lock(&directory).ok()? {
        Some(handle) => {
            sweep_meant(&directory, |name| is_meant(name) || is_trial(name));
            handle
        }
        None => File::open(&directory).ok()?,
    };
    // Whoever sweeps has it for a moment.
    for _ in 0..TRIES {
        match flock(&handle, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Some(handle),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(10)),
            Err(_) => return None,
        }
    }
    None
}

/// Removes this account's files that were staged for a name that is meant.
fn sweep_meant(directory: &Path, is_meant: impl Fn(&str) -> bool) {
    let me = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_ours = || {
            entry
                .metadata()
                .is_ok_and(|there| there.is_file() && there.uid() == me)
        };
        if staged_for(&entry.file_name()).is_some_and(&is_meant) && is_ours() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a file was staged for a trial, or is the trial that [`try_out`] has put in its place.
fn is_trial(name: &str) -> bool {
    name == TRIAL || staged_for(OsStr::new(name)) == Some(TRIAL)
}

/// Makes sure that new files can be put into a directory, of this many octets together, by doing so.
///
/// # Errors
/// Where they cannot.
pub fn try_out(directory: &Path, octets: usize) -> Result<(), DiskError> {
    let trial = directory.join(TRIAL);
    // What a kill leaves of it is removed by the next one.
    let _at_work = at_work(directory, |_| false);
    let random = random_name().map_err(failed("named", &trial))?;
    let place = directory.join(format!(".{TRIAL}.{random}.tmp"));
    let staged = Staged::write(&place, PRIVATE_FILE, &[&vec![0; octets]])?;
    staged.sync()?;
    staged.place_new()?;
    remove_if_there(&place)
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

    #[test]
    fn what_a_cut_off_write_left_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("a.p12");
        let staged = Staged::write(&place, 0o600, &[b"x", b"y"]).unwrap();
        std::mem::forget(staged);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        sweep(&place);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_swept_stands_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        let [place, other] = ["a.p12", "b.p12"].map(|name| directory.path().join(name));
        // Whatever the order in which a directory is read: one of many files comes after the first that
        // cannot be swept.
        const MANY: usize = 50;
        for number in 0..MANY {
            std::mem::forget(Staged::write(&other, 0o600, &[b"x"]).unwrap());
            fs::create_dir(directory.path().join(format!(".a.p12.{number:012}.tmp"))).unwrap();
        }
        sweep_all(directory.path(), [place.as_path(), other.as_path()]);
        replace(&place, 0o600, b"y").unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"y");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), MANY + 1);
    }

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

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("f");
        create_private(&place, b"12345").unwrap();
        assert_eq!(read(&place, 5).unwrap(), b"12345");
        assert!(read(&place, 4).is_err());
    }

    #[test]
    fn a_pipe_is_read_where_a_person_named_it_and_somebody_writes_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("pipe");
        rustix::fs::mknodat(
            CWD,
            &place,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let refused = read(&place, 9).unwrap_err().to_string();
        assert!(refused.ends_with("it is no regular file"), "{refused}");
        let refused = read_given(&place, 9).unwrap_err().to_string();
        assert!(
            refused.ends_with("it is a pipe that nobody writes to"),
            "{refused}"
        );
        let other = place.clone();
        let writer = std::thread::spawn(move || {
            let mut pipe = OpenOptions::new().write(true).open(other).unwrap();
            // Longer than an opened pipe would be waited for.
            std::thread::sleep(Duration::from_millis(2500));
            pipe.write_all(b"12345").unwrap();
        });
        assert_eq!(read_given(&place, 9).unwrap(), b"12345");
        writer.join().unwrap();
    }
}
