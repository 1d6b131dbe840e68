//! Writes the files of a batch together: under temporary names first, then synced, renamed to their final
//! names and read back.

use std::path::Path;

use super::bundle_files::Ready;
use super::passphrases::Stored;
use crate::ca::CaError;
use crate::disk::{self, Shown};

/// Writes every file beside its place, syncs them together, moves them in, syncs their directory and that of
/// the passphrase once each, and reads every file back.
pub(in crate::ca) fn put_in_place(
    directory: &Path,
    ready: &[Ready],
    stored: Option<Stored>,
) -> Result<(), CaError> {
    let files = || ready.iter().flat_map(|ready| &ready.files);
    let staged = disk::stage_many(files().map(|(place, octets)| (place.as_path(), octets.as_slice())))?;
    disk::sync_many(directory, &staged)?;
    // The passphrase first: a bundle that lies there without one is nobody's.
    let beside = stored.map(Stored::place).transpose()?;
    for file in staged {
        file.place_new()?;
    }
    disk::sync_directory(directory)?;
    if let Some(other) = beside.filter(|beside| beside != directory) {
        disk::sync_directory(&other)?;
    }
    for (place, octets) in files() {
        if disk::read_if_there(place)?.as_deref() != Some(octets) {
            return Err(CaError::ReadBack(Shown(place.clone())));
        }
    }
    Ok(())
}
