//! Resolves an output path, however it is spelled, and refuses one that lies in the home or in a directory
//! that is published to.

use std::path::{Component, Path, PathBuf};

use crate::ca::DeliveryError;
use crate::disk::Shown;
use crate::home::Home;
use crate::home::config::PublishTo;
use crate::publish::Location;

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
pub fn demand_elsewhere(path: &Path, home: &Home) -> Result<(), DeliveryError> {
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
