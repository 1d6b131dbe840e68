//! Encrypted secrets that lie in the home, each in a file of its own.

use std::path::Path;

use super::CaError;
use crate::disk::{self, Shown};
use crate::home::{self, Home};
use crate::key::KeyError;

/// Puts an encrypted secret into a new file. What says that it is there must not outlive it: the directories
/// above it, up to the home, are synced.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn keep(home: &Home, place: &Path, sealed: &str) -> Result<(), CaError> {
    if let Some(directory) = place.parent() {
        disk::ensure_directory(directory, disk::PRIVATE_DIRECTORY)?;
        let inside = |above: &&Path| above.starts_with(home.path());
        for above in directory.ancestors().take_while(inside) {
            disk::sync_directory(above)?;
        }
    }
    disk::create_private(place, sealed.as_bytes())?;
    Ok(())
}

/// Reads an encrypted secret, and opens it.
///
/// # Errors
/// Where it is not there, others can read it, or it does not open.
pub(super) fn open<T>(path: &Path, open: impl FnOnce(&str) -> Result<T, KeyError>) -> Result<T, CaError> {
    let sealed = home::private(path)?;
    open(&sealed).map_err(|why| CaError::Key {
        path: Shown(path.to_owned()),
        why,
    })
}
