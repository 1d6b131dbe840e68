//! Finishes a change of the everyday passphrase, of which all keys of the home are part: they lie in a
//! directory of their own, encrypted anew, and its name is the moment from which on the new passphrase holds.
//!
//! Whoever opens the home moves them to their places first, if somebody was killed on the way. Each move is
//! one step that whoever comes second finds done, so that no lock is needed: whatever is in that directory is
//! meant to be moved.

use std::io::ErrorKind;
use std::path::Path;

use crate::disk::{self, DiskError};

/// The directory in the home.
pub const REKEYED: &str = "rekeyed";

/// Moves what is encrypted anew to its places, where a change of the passphrase was not finished.
///
/// # Errors
/// Where the disk does not let it.
pub fn finish_rekeying(home: &Path) -> Result<(), DiskError> {
    let from = home.join(REKEYED);
    if !from.is_dir() {
        return Ok(());
    }
    move_all(&from, home)?;
    match std::fs::remove_dir_all(&from) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(disk::failed("removed", &from)(error));
        }
        Ok(()) | Err(_) => {}
    }
    disk::sync_directory(home)
}

fn move_all(from: &Path, to: &Path) -> Result<(), DiskError> {
    // Whoever comes second finds it done.
    let Ok(entries) = std::fs::read_dir(from) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            disk::ensure_directory(&place, disk::PRIVATE_DIRECTORY)?;
            move_all(&path, &place)?;
            continue;
        }
        match std::fs::rename(&path, &place) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(disk::failed("put in place", &place)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    disk::sync_directory(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_was_cut_off_anywhere_is_finished_and_a_second_one_finds_it_done() {
        let home = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = home.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let files = [
            "issuing/issuing.key",
            "servers/api.acme.example/1.key",
            "servers/servers.key",
        ];
        for moved in 0..=files.len() {
            for (number, file) in files.iter().enumerate() {
                put(file, if number < moved { "new" } else { "old" });
                if number >= moved {
                    put(&format!("{REKEYED}/{file}"), "new");
                }
            }
            put("issuing/issuing.crt", "certificate");
            for _ in 0..2 {
                finish_rekeying(home.path()).unwrap();
                for file in files {
                    assert_eq!(std::fs::read_to_string(home.path().join(file)).unwrap(), "new");
                }
                assert!(!home.path().join(REKEYED).exists());
            }
        }
    }
}
