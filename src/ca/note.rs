//! Reads and writes the notes of the home: small files beside the ledger that say what is owed, what is in
//! doubt and what a timer has reported. They say what is to be done or was said, and never what is true:
//! whatever becomes of a note, something is done or reported once more.

use std::io::ErrorKind;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::disk::{self, DiskError};
use crate::home::Home;

/// The longest that is read.
const LONGEST: u64 = 16 << 20;

/// A note exists, and cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable;

/// Reads the note of this name, where there is one.
///
/// # Errors
/// Where it cannot be read, or is something else.
pub(super) fn read<T: DeserializeOwned>(home: &Home, name: &str) -> Result<Option<T>, Unreadable> {
    match disk::read(&home.path().join(name), LONGEST) {
        Ok(octets) => serde_json::from_slice(&octets).map(Some).map_err(|_| Unreadable),
        Err(error) if error.source.kind() == ErrorKind::NotFound => Ok(None),
        Err(_) => Err(Unreadable),
    }
}

/// Replaces the file of this name, or removes it where there is nothing to say. For the holder of the lock.
///
/// # Errors
/// Where the disk does not let it.
pub(super) fn write<T: Serialize>(home: &Home, name: &str, note: Option<&T>) -> Result<(), DiskError> {
    let path = home.path().join(name);
    disk::sweep(&path);
    let Some(note) = note else {
        return disk::remove_if_there(&path);
    };
    let text = serde_json::to_vec(note).expect("its paths are those of pki.toml, which are text");
    disk::replace(&path, disk::PRIVATE_FILE, &text)
}
