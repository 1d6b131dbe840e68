//! The lock of a home: one process at a time changes it. Whoever waits says so, because a service that could
//! take it again and again would otherwise keep everybody else out.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::HomeError;
use crate::disk;

/// The file that is locked, in which its holder writes who it is.
pub(super) const LOCK: &str = "lock";
/// The file whose lock those share who wait for the other.
pub(super) const WAITING: &str = "waiting";
/// How often it is looked whether the lock is free.
const LOOK: Duration = Duration::from_millis(10);
/// How long way is given at most: whoever waits and does not look, because it was stopped, is not waited for.
const WAY: Duration = Duration::from_millis(30);

/// The exclusive right to change a home: for one commit or one publication. Given back when dropped, or when
/// its holder dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock of `home`, waiting for it until `patience` is over.
pub(super) fn take(home: &Path, patience: Duration, holder: &str) -> Result<Lock, HomeError> {
    let path = home.join(LOCK);
    let mut file = open(&path)
        .and_then(regular)
        .map_err(disk::failed("opened", &path))?;
    let begun = Instant::now();
    let mut announced = None;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) if begun.elapsed() < patience => {
                announced = announced.or_else(|| announce(home));
                std::thread::sleep(LOOK);
            }
            Err(Errno::WOULDBLOCK) => {
                // Whoever holds it may just be writing its name: the name is a courtesy.
                let named = named(&mut file).unwrap_or_default();
                let holder = match String::from_utf8_lossy(&named).lines().next() {
                    None | Some("") => "another process".to_owned(),
                    Some(name) => name.to_owned(),
                };
                return Err(HomeError::Busy {
                    holder,
                    waited: patience,
                });
            }
            Err(errno) => return Err(disk::failed("locked", &path)(errno.into()).into()),
        }
    }
    name(&mut file, holder).map_err(disk::failed("written", &path))?;
    Ok(Lock { _file: file })
}

/// Writes who holds the lock, unless it stands there. The file is never cut to nothing first: what was, some
/// file systems bring to the disk as soon as it is closed (ext4's auto_da_alloc), and a service would have
/// that done once for each batch.
fn name(file: &mut File, holder: &str) -> std::io::Result<()> {
    let name = format!("process {} ({holder})\n", std::process::id());
    if named(file)? == name.as_bytes() {
        return Ok(());
    }
    file.rewind()?;
    file.write_all(name.as_bytes())?;
    file.set_len(name.len() as u64)
}

/// What stands in the file, as far as it can be a name.
fn named(file: &mut File) -> std::io::Result<Vec<u8>> {
    const LONGEST: u64 = 1024;
    let mut name = Vec::new();
    file.take(LONGEST).read_to_end(&mut name)?;
    Ok(name)
}

/// Leaves the lock of `home` to whoever waits for it, until one of them has it.
pub(super) fn give_way(home: &Path) {
    let begun = Instant::now();
    while is_awaited(home) && begun.elapsed() < WAY {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether somebody waits for the lock of `home`.
fn is_awaited(home: &Path) -> bool {
    // Made here as well: a disk that is full later keeps nobody from saying that he waits.
    let waiting = open(&home.join(WAITING));
    waiting.is_ok_and(|waiting| {
        flock(&waiting, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
    })
}

/// Says that somebody waits, until it is dropped. Where that cannot be said just now, it is tried again at
/// the next look: whoever looks whether somebody waits is in the way for a moment.
fn announce(home: &Path) -> Option<File> {
    let waiting = open(&home.join(WAITING)).ok()?;
    flock(&waiting, FlockOperation::NonBlockingLockShared)
        .is_ok()
        .then_some(waiting)
}

/// Refuses what is no file: whoever reads a pipe waits for whoever writes to it.
fn regular(file: File) -> std::io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(std::io::Error::other("it is no file")),
    }
}

/// Opens it for reading and writing: a file system of the network has no exclusive locks otherwise, and a
/// pipe of that name would keep whoever opens it waiting.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(disk::PRIVATE_FILE)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn whoever_waits_is_known_until_he_has_the_lock() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let held = take(home, PATIENCE, "pki serve").unwrap();
        assert!(!is_awaited(home));
        // Two wait; who asks in between is in nobody's way.
        let waiting = [(); 2].map(|()| {
            let home = home.to_owned();
            std::thread::spawn(move || drop(take(&home, PATIENCE, "pki revoke").unwrap()))
        });
        while !is_awaited(home) {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(held);
        for one in waiting {
            one.join().unwrap();
        }
        assert!(!is_awaited(home));
    }

    #[test]
    fn who_takes_it_again_and_again_keeps_nobody_out() {
        let home = tempfile::tempdir().unwrap();
        let held = take(home.path(), PATIENCE, "pki serve").unwrap();
        let waiting = {
            let home = home.path().to_owned();
            std::thread::spawn(move || take(&home, PATIENCE, "pki revoke").map(drop))
        };
        while !is_awaited(home.path()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(held);
        let mut turns = 0;
        while !waiting.is_finished() {
            give_way(home.path());
            let _held = take(home.path(), PATIENCE, "pki serve").unwrap();
            std::thread::sleep(LOOK * 2);
            turns += 1;
            assert!(turns < 100, "nobody else gets it");
        }
        waiting.join().unwrap().unwrap();
    }

    #[test]
    fn it_names_its_holder_and_is_written_only_where_that_is_another() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(LOCK);
        let held_by = |holder| drop(take(home.path(), PATIENCE, holder).unwrap());
        let pid = std::process::id();
        for holder in ["pki publish, from a timer", "pki serve"] {
            held_by(holder);
            let named = std::fs::read_to_string(&path).unwrap();
            assert_eq!(named, format!("process {pid} ({holder})\n"));
        }
        // Whatever is written is new, and so is the time of it.
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(long_ago).unwrap();
        held_by("pki serve");
        assert_eq!(file.metadata().unwrap().modified().unwrap(), long_ago);
        held_by("pki publish");
        assert_ne!(file.metadata().unwrap().modified().unwrap(), long_ago);
    }

    #[test]
    fn a_pipe_in_its_place_keeps_nobody_waiting() {
        let home = tempfile::tempdir().unwrap();
        for name in [LOCK, WAITING] {
            let made = std::process::Command::new("mkfifo")
                .arg(home.path().join(name))
                .status();
            assert!(made.unwrap().success());
        }
        let path = home.path().to_owned();
        let asking = std::thread::spawn(move || {
            give_way(&path);
            take(&path, PATIENCE, "pki serve").map(drop)
        });
        let begun = Instant::now();
        while !asking.is_finished() {
            assert!(
                begun.elapsed() < PATIENCE,
                "it waits for somebody at the other end"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        let refused = asking.join().unwrap().unwrap_err();
        assert!(refused.to_string().contains("it is no file"), "{refused}");
    }

    #[test]
    fn what_is_left_of_a_longer_name_is_told_to_nobody() {
        let home = tempfile::tempdir().unwrap();
        let _held = take(home.path(), PATIENCE, "pki serve").unwrap();
        // As between the two steps in which a shorter name is written.
        std::fs::write(
            home.path().join(LOCK),
            "process 7 (pki issue)\nish, from a timer)\n",
        )
        .unwrap();
        let busy = take(home.path(), LOOK, "pki revoke").unwrap_err();
        assert!(matches!(busy, HomeError::Busy { holder, .. } if holder == "process 7 (pki issue)"));
    }

    #[test]
    fn whoever_gives_up_does_not_wait_any_more() {
        let home = tempfile::tempdir().unwrap();
        let _held = take(home.path(), PATIENCE, "pki serve").unwrap();
        let busy = take(home.path(), LOOK * 3, "pki revoke").unwrap_err();
        assert!(matches!(busy, HomeError::Busy { holder, .. } if holder.contains("(pki serve)")));
        assert!(!is_awaited(home.path()));
    }
}
