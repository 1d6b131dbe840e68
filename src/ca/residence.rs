//! Detects a home that may be a copy of one in use, by the path and the machine of its last use. A copy that
//! somebody rehearses with must not publish for the home that it was copied from: what it revokes would be
//! taken in there, and what it issues is on no list here.
//!
//! Nothing in a home can tell whether it is the copy or the original, so a person is asked, and only where
//! there may be two: where another home with the same first event is at the old path, or something that this
//! account is not permitted to read; or where the machine is another one, since nobody here can see what is
//! at that path there. A restore in place, a move, a new disk under the same path and a reboot never ask, so
//! that nobody learns to confirm without looking. For that reason devices and inodes are not remembered
//! either: a restore changes them.
//!
//! Until the question is answered, everything can be read, and certificates can be revoked: a revocation is
//! recorded, and the home's own copy of the publication is written, but no place of `pki.toml`. Certificates
//! are not signed, because a certificate would be valid outside by itself.
//!
//! Path and machine are kept in a note beside the ledger and not in an event: ledgers of one home would
//! differ by it, and a note that is lost asks nobody.

use std::fs::{File, Metadata};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::CaError;
use super::note;
use crate::disk::{self, DiskError, Shown};
use crate::home::{Home, LEDGER};

/// The name of the file in the home.
const FILE: &str = "residence.json";
/// The longest first line of a ledger that is compared.
const LONGEST_LINE: u64 = 1 << 16;

/// The reason for which a home may be a copy of one that is in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Copied {
    /// The home that it was copied from is at its old path.
    #[error("this home is a copy of the one in {0}, which is still there")]
    Beside(Shown),
    /// It was used at another path, where this account is not permitted to look.
    #[error(
        "this home was in {0} until now, where this account may not look: whether one is there still, it cannot tell"
    )]
    Hidden(Shown),
    /// It was used on another machine.
    #[error("this home was used on another machine until now (there in {0})")]
    Elsewhere(Shown),
}

/// The path and machine where a home was used last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Residence {
    version: u32,
    /// The path of the home, without links.
    path: String,
    /// An identifier of the machine, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
}

impl Residence {
    /// The residence of a home at this path of this machine. A path that is not text is remembered as one
    /// that does not exist: a home that comes from there is asked nothing, one that comes there is.
    fn at(path: &Path) -> Self {
        Self {
            version: 1,
            path: path.to_string_lossy().into_owned(),
            machine: machine(),
        }
    }

    /// The question to ask of a home that was here and is now at this path.
    fn asks(&self, now: &Self, path: &Path) -> Option<Copied> {
        let shown = || Shown(self.path.clone().into());
        match (&self.machine, &now.machine) {
            (Some(before), Some(now)) if before != now => return Some(Copied::Elsewhere(shown())),
            (Some(_) | None, Some(_) | None) => {}
        }
        let before = Path::new(&self.path);
        if before == path {
            return None;
        }
        are_two(before, path).map(|two| match two {
            Two::Seen => Copied::Beside(shown()),
            Two::Perhaps => Copied::Hidden(shown()),
        })
    }
}

/// Looks whether this home may be a copy of one that is in use; where it is none, or the operator says that
/// it goes on here, that is remembered. For the holder of the lock.
pub(super) fn judge(home: &Home, goes_on_here: bool) -> Option<Copied> {
    let path = home.path().canonicalize().ok()?;
    let mut now = Residence::at(&path);
    let before: Option<Residence> = note::read(home, FILE).ok().flatten();
    let asked = before.as_ref().and_then(|before| before.asks(&now, &path));
    if asked.is_some() && !goes_on_here {
        return asked;
    }
    // What a machine that does not know itself sees at the old path says nothing: the note stays as it is,
    // unless a person has said that the home goes on here.
    if let Some(before) = &before
        && now.machine.is_none()
        && before.machine.is_some()
    {
        if !goes_on_here {
            return None;
        }
        now.machine.clone_from(&before.machine);
    }
    if before.as_ref() != Some(&now) {
        // What cannot be remembered is so the next time, and keeps no revocation waiting.
        let _ = note::write(home, FILE, Some(&now));
    }
    None
}

/// Says of a home that was unpacked beside `place` that it will live there, which is what a restore means;
/// but where the home that it was backed up from still stands somewhere else on this machine, it goes on to
/// be a copy. For whoever has unpacked it, before anything else looks at it.
///
/// # Errors
/// Where the disk does not let it.
pub(super) fn resettle(home: &Home, place: &Path) -> Result<(), DiskError> {
    let before: Option<Residence> = note::read(home, FILE).ok().flatten();
    let unpacked = Residence::at(home.path());
    let is_elsewhere = |before: &Residence| Path::new(&before.path) != place;
    match before
        .filter(is_elsewhere)
        .and_then(|before| before.asks(&unpacked, home.path()))
    {
        Some(Copied::Beside(_) | Copied::Hidden(_)) => Ok(()),
        Some(Copied::Elsewhere(_)) | None => settle(home, place),
    }
}

/// Does something with a home that lies beside its place still, and leaves its residence as it is.
///
/// # Errors
/// What it says, or where the disk does not let it.
pub(super) fn unchanged<T>(home: &Home, deed: impl FnOnce() -> Result<T, CaError>) -> Result<T, CaError> {
    let before: Option<Residence> = note::read(home, FILE).ok().flatten();
    let done = deed()?;
    note::write(home, FILE, before.as_ref())?;
    Ok(done)
}

/// Says of a home in the making where it will be.
///
/// # Errors
/// Where the disk does not let it.
pub(super) fn settle(home: &Home, place: &Path) -> Result<(), DiskError> {
    note::write(home, FILE, Some(&Residence::at(place)))
}

/// The certainty that there are two homes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Two {
    Seen,
    Perhaps,
}

/// Whether there are two homes of one founding at these paths.
fn are_two(one: &Path, other: &Path) -> Option<Two> {
    let identity = |there: Metadata| (there.dev(), there.ino());
    let [first, second] = [one, other].map(|path| path.metadata().ok().map(identity));
    // One directory has two paths where it is mounted twice.
    if first == second {
        None
    } else if is_closed(one) {
        Some(Two::Perhaps)
    } else {
        first_event(one).filter(|event| first_event(other).as_ref() == Some(event))?;
        Some(Two::Seen)
    }
}

/// Whether this account is not permitted to look there: it may be the home that this one was copied from.
fn is_closed(home: &Path) -> bool {
    let looked = home.join(LEDGER).metadata();
    looked.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// The line of the first event, which no other founding has.
fn first_event(home: &Path) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let ledger = disk::open_regular(&home.join(LEDGER)).ok()?;
    BufReader::new(ledger.take(LONGEST_LINE))
        .read_until(b'\n', &mut line)
        .ok()?;
    line.ends_with(b"\n").then_some(line)
}

/// An identifier that tells this machine from others, hashed as machine-id(5) wants it. None where there is
/// no such file, as in many containers and on macOS, where it does not outlive a reboot, or where an image
/// was made without one.
fn machine() -> Option<String> {
    let files = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    let id = files.iter().find_map(|file| machine_id(Path::new(file)))?;
    Some(HEXLOWER.encode(&Sha256::digest(format!("home of pki\n{id}"))))
}

fn machine_id(file: &Path) -> Option<String> {
    let file = disk::open_regular(file).ok().filter(|file| !is_in_memory(file))?;
    let mut text = String::new();
    file.take(64).read_to_string(&mut text).ok()?;
    let id = text.trim();
    let is_one = id.len() == 32 && id.bytes().all(|octet| octet.is_ascii_hexdigit());
    is_one.then(|| id.to_owned())
}

/// Whether a file lies in memory: where `/etc` cannot be written, systemd puts another number there at each
/// start.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_in_memory(file: &File) -> bool {
    use rustix::fs::FsWord;
    const TMPFS: FsWord = 0x0102_1994;
    const RAMFS: FsWord = 0x8584_58f6_u32 as FsWord;
    rustix::fs::fstatfs(file).is_ok_and(|system| [TMPFS, RAMFS].contains(&system.f_type))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_in_memory(_file: &File) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn residence(path: &Path, machine: Option<&str>) -> Residence {
        Residence {
            version: 1,
            path: path.display().to_string(),
            machine: machine.map(str::to_owned),
        }
    }

    #[test]
    fn only_another_machine_and_a_twin_at_the_old_path_are_asked_about() {
        let directory = tempfile::tempdir().unwrap();
        let [here, twin, other, gone, torn] =
            ["here", "twin", "other", "gone", "torn"].map(|name| directory.path().join(name));
        for (home, ledger) in [
            (&here, "first\nand more"),
            (&twin, "first\n"),
            (&other, "another\n"),
            (&torn, "first"),
        ] {
            std::fs::create_dir(home).unwrap();
            std::fs::write(home.join(LEDGER), ledger).unwrap();
        }
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&here, &link).unwrap();
        let now = residence(&here, Some("A"));
        for known in [Some("A"), None] {
            for (before, copied) in [
                (&here, false),
                (&link, false),
                (&gone, false),
                (&other, false),
                (&torn, false),
                (&twin, true),
            ] {
                let asked = residence(before, known).asks(&now, &here);
                let expected = copied.then(|| Copied::Beside(Shown(before.clone())));
                assert_eq!(asked, expected, "{}", before.display());
            }
        }
        let elsewhere = Some(Copied::Elsewhere(Shown(here.clone())));
        assert_eq!(residence(&here, Some("B")).asks(&now, &here), elsewhere);
        // Where the machine is not known the path alone counts.
        let nowhere = residence(&here, None);
        assert_eq!(residence(&here, Some("B")).asks(&nowhere, &here), None);
    }

    #[test]
    fn a_machine_is_known_by_its_number_and_by_nothing_else() {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let file = directory.path().join("machine-id");
        let number = "3d1219c7c4c5404aaa1f6d2a48adfda4";
        for (text, known) in [
            (format!("{number}\n"), true),
            (String::new(), false),
            ("uninitialized\n".to_owned(), false),
            (number[1..].to_owned(), false),
        ] {
            std::fs::write(&file, &text).unwrap();
            assert_eq!(machine_id(&file), known.then(|| number.to_owned()), "{text}");
        }
        assert_eq!(machine_id(&directory.path().join("none")), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_in_memory_is_known_for_it() {
        let memory = tempfile::tempfile_in("/dev/shm");
        assert!(memory.is_ok_and(|file| is_in_memory(&file)));
        assert!(!is_in_memory(&File::open(file!()).unwrap()));
    }
}
