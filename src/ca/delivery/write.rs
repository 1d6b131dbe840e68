//! Writes the files of a batch together: under temporary names first, then synced, renamed to their final
//! names and read back.

use std::path::{Path, PathBuf};

use super::bundle_files::Ready;
use super::file_names::with_extension;
use super::passphrases::Stored;
use crate::ca::CaError;
use crate::disk::{self, DiskError, Shown, Staged};

/// Writes every file beside its place, syncs them together, moves them in, syncs their directory and that of
/// the passphrase once each, and reads every file back.
pub(in crate::ca) fn put_in_place(
    directory: &Path,
    ready: &mut [Ready],
    stored: Option<Stored>,
) -> Result<(), CaError> {
    let places: Vec<PathBuf> = ready.iter().flat_map(Ready::places).collect();
    let contents = ready.iter().flat_map(Ready::contents);
    let staged = disk::stage_many(places.iter().map(PathBuf::as_path).zip(contents))?;
    disk::sync_many(directory, &staged)?;
    // The passphrase first: a bundle that lies there without one is nobody's.
    let beside = stored.map(Stored::place).transpose()?;
    let mut staged = staged.into_iter();
    for one in &mut *ready {
        place(one, &mut staged)?;
    }
    disk::sync_directory(directory)?;
    if let Some(other) = beside.filter(|beside| beside != directory) {
        disk::sync_directory(&other)?;
    }
    for one in ready {
        for (place, octets) in one.places().zip(one.contents()) {
            if disk::read_if_there(&place)?.as_deref() != Some(octets) {
                return Err(CaError::ReadBack(Shown(place)));
            }
        }
    }
    Ok(())
}

/// Moves the files of one device in. Where the name of the first has been taken since it was chosen (another
/// home may issue to a device of the same name), all of them get the other stem: the files of one stem are of
/// one device.
fn place(one: &mut Ready, staged: &mut impl Iterator<Item = Staged>) -> Result<(), DiskError> {
    let mut files = one.files.iter().map(|(extension, _)| extension).zip(staged);
    if let Some((extension, first)) = files.next()
        && !first.place_new_or(&with_extension(&one.if_taken, extension))?
    {
        one.stem.clone_from(&one.if_taken);
    }
    for (extension, file) in files {
        file.meant_for(with_extension(&one.stem, extension)).place_new()?;
    }
    Ok(())
}
