//! Removes the temporary files that interrupted writes left behind, before the next write; and tests whether
//! a directory takes new files.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::{DiskError, Staged, failed, lock, random_name, remove_if_there, room, staged_for};

/// The name that trials are staged for.
pub(super) const TRIAL: &str = "pki";

/// Removes what writes of `place` that were cut off left beside it. What cannot be read or removed (another
/// account's file, a directory of that name) stays, and is in nobody's way: no write takes the same name
/// again. For the holder of the lock only.
pub fn sweep(place: &Path) {
    let own = place.file_name();
    sweep_meant(directory_of(place), |name| own == Some(OsStr::new(name)));
}

/// Announces work in a directory that other processes may write to as well, and removes files that
/// interrupted writes left there, reading it once: those that were staged for a name that `is_own` or
/// `is_left` accepts, unless another process is at work in the directory by the same rule. What that one is
/// writing looks the same, whosever the name is, and what was left is in nobody's way. Other processes are
/// kept from such removal until the returned handle is dropped. None is returned where the file system has no
/// locks: only what `is_own` accepts was removed then.
pub fn at_work(
    directory: &Path,
    is_own: impl Fn(&str) -> bool,
    is_left: impl Fn(&str) -> bool,
) -> Option<File> {
    use rustix::fs::{FlockOperation, flock};
    const TRIES: u32 = 100;
    let directory = directory.canonicalize().ok()?;
    let alone = lock(&directory);
    match &alone {
        Ok(Some(_)) => sweep_meant(&directory, |name| is_own(name) || is_left(name) || is_trial(name)),
        Ok(None) => {}
        Err(_) => sweep_meant(&directory, is_own),
    }
    let handle = match alone.ok()? {
        Some(handle) => handle,
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

/// Announces work on one file, as [`at_work`] in its directory, and removes what writes of it that were cut
/// off left beside it.
pub fn at_work_on(place: &Path) -> Option<File> {
    let name = place.file_name()?.to_string_lossy();
    at_work(directory_of(place), |staged| staged == name, |_| false)
}

/// The directory that a file is in.
fn directory_of(place: &Path) -> &Path {
    let directory = place.parent().filter(|p| !p.as_os_str().is_empty());
    directory.unwrap_or(Path::new("."))
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

/// Whether a file was staged for a trial, or is the trial that [`demand_room`] has put in its place.
fn is_trial(name: &str) -> bool {
    name == TRIAL || staged_for(OsStr::new(name)) == Some(TRIAL)
}

/// Makes sure that new files of this many octets together can be put into a directory where nobody is at work
/// yet, as [`demand_room`].
///
/// # Errors
/// Where they cannot.
pub fn try_out(directory: &Path, octets: usize) -> Result<(), DiskError> {
    let _at_work = at_work(directory, |_| false, |_| false);
    demand_room(directory, octets, 1)
}

/// Makes sure that a new file of this many octets can be put at `place`.
///
/// # Errors
/// Where it cannot.
pub fn try_out_place(place: &Path, octets: usize) -> Result<(), DiskError> {
    let directory = place.parent().filter(|parent| !parent.as_os_str().is_empty());
    try_out(directory.unwrap_or(Path::new(".")), octets)
        .map_err(|error| failed("created", place)(error.source))
}

/// Makes sure that so many new files of this many octets together can be put into a directory, by having the
/// file system set aside as much. For whoever is [`at_work`] there.
///
/// # Errors
/// Where they cannot.
pub fn demand_room(directory: &Path, octets: usize, files: usize) -> Result<(), DiskError> {
    let trial = directory.join(TRIAL);
    // What the system does not say, the trial does.
    let left = room(directory).ok().and_then(|room| room.files);
    if let Some(left) = left.filter(|left| *left < files as u64) {
        let why = format!("its file system has room for {left} more files, and {files} are to be written");
        return Err(failed("written", &trial)(io::Error::new(
            io::ErrorKind::StorageFull,
            why,
        )));
    }
    // What a kill leaves of it is removed by the next one.
    let random = random_name().map_err(failed("named", &trial))?;
    let place = directory.join(format!(".{TRIAL}.{random}.tmp"));
    Staged::with_room(&place, octets)?.place_new()?;
    remove_if_there(&place)
}

#[cfg(test)]
mod tests {
    use super::super::replace;
    use super::*;

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
    fn what_another_process_may_be_writing_is_not_swept_whosever_its_name_is() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("a.p12");
        let staged = Staged::write(&place, 0o600, &[b"x"]).unwrap();
        let other = File::open(directory.path()).unwrap();
        other.lock_shared().unwrap();
        let begin = || at_work(directory.path(), |name| name == "a.p12", |_| true);
        drop((begin(), at_work_on(&place)));
        staged.place_new().unwrap();
        let left = Staged::write(&place, 0o600, &[b"y"]).unwrap();
        std::mem::forget(left);
        drop(other);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        drop(begin());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
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
        sweep(&place);
        sweep(&other);
        replace(&place, 0o600, b"y").unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"y");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), MANY + 1);
    }
}
