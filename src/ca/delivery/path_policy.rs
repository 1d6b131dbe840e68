//! Resolves an output path, however it is spelled, and refuses one that lies in the home or in a directory
//! that is published to.

use std::path::{Component, Path, PathBuf};

use crate::ca::{CaError, DeliveryError};
use crate::disk::{self, DiskError, Shown};
use crate::home::Home;
use crate::home::config::PublishTo;
use crate::publish::Location;

/// The length of a secret in a file of its own, in octets, at most.
const LONGEST: usize = 256;

/// The path without links, dots and relative beginnings, as far as it is there; what is not there yet will be
/// plain directories.
pub fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = absolute.ancestors().find_map(|above| {
        let real = above.canonicalize().ok()?;
        Some((real, absolute.strip_prefix(above).ok()?))
    });
    let Some((mut real, rest)) = there else {
        return absolute;
    };
    for component in rest.components() {
        match component {
            Component::ParentDir => drop(real.pop()),
            Component::Normal(name) => real.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    real
}

/// Bundles and their passphrases lie neither among the files of the home, where a name could take the place
/// of one of them and publications begin, nor where others read or a web server serves.
///
/// # Errors
/// Where the path lies in the home or in a directory that `pki.toml` publishes to, or is one of them.
pub(in crate::ca) fn demand_elsewhere(path: &Path, home: &Home) -> Result<(), DeliveryError> {
    let lies = real(path);
    let within = |place: &Path| lies.starts_with(real(place));
    let shown = || Shown(path.to_owned());
    if within(home.path()) {
        return Err(DeliveryError::InHome(shown()));
    }
    let places = home.config().publish.iter().flat_map(PublishTo::places);
    let mut published = places.filter_map(Location::directory);
    match published.find(|directory| within(directory)) {
        Some(_) => Err(DeliveryError::InPublication(shown())),
        None => Ok(()),
    }
}

/// Makes sure that a new file with a secret can be put at `file`, where nobody else reads. `out` is the
/// directory that other files go to, which may still have to be made.
///
/// # Errors
/// Where it lies in the home or is published, is a directory by its name, or cannot be made.
pub fn demand_new_file(file: &Path, out: Option<&Path>, home: &Home) -> Result<(), CaError> {
    demand_elsewhere(file, home)?;
    demand_no_directory(file)?;
    let (place, out) = (real(file), out.map(real));
    if out.as_ref() == Some(&place) {
        return Err(is_directory(file).into());
    }
    // Whether files can be put there is found out for all of them.
    if out.is_some_and(|out| place.parent() == Some(&out)) {
        return Ok(());
    }
    Ok(disk::try_out_place(file, LONGEST)?)
}

/// Makes sure that a path names no directory.
pub(in crate::ca) fn demand_no_directory(file: &Path) -> Result<(), DiskError> {
    match file.as_os_str().as_encoded_bytes().ends_with(b"/") {
        true => Err(is_directory(file)),
        false => Ok(()),
    }
}

fn is_directory(file: &Path) -> DiskError {
    disk::failed("created", file)(std::io::ErrorKind::IsADirectory.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_leads_to_the_same_place() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("a")).unwrap();
        std::os::unix::fs::symlink("a", base.join("link")).unwrap();
        for spelled in [
            "a/new/file",
            "a/./new//file",
            "link/new/file",
            "a/../a/new/file",
            "a/no/../new/file",
        ] {
            assert_eq!(real(&base.join(spelled)), base.join("a/new/file"), "{spelled}");
        }
    }
}
