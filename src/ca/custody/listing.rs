//! Finds the files of a home that a backup keeps.

use std::path::{Path, PathBuf};

use crate::backup::{BackupError, KEPT, Name};
use crate::disk::{self, DiskError};

/// A file or directory of a home.
pub(super) struct Kept {
    pub name: Name,
    pub path: PathBuf,
    pub is_directory: bool,
}

/// Why the files of a home cannot be listed.
pub(super) enum Unlisted {
    Disk(DiskError),
    Name(BackupError),
}

/// The files of a home that a backup keeps, directories before what is in them, but for those that are about
/// to be replaced. Links are followed: whatever they lead to is the home's.
pub(super) fn kept(home: &Path) -> Result<Vec<Kept>, Unlisted> {
    let mut all = Vec::new();
    for name in names(home)? {
        let is_note = name.ends_with(".json") && home.join(&name).is_file();
        if is_note || KEPT.contains(&name.as_str()) {
            walk(home, &name, &mut all)?;
        }
    }
    Ok(all)
}

/// A directory that leads into itself by a link ends here.
const DEEPEST: usize = 16;

fn walk(home: &Path, name: &str, all: &mut Vec<Kept>) -> Result<(), Unlisted> {
    let path = home.join(name);
    let is_directory = path.is_dir();
    if !is_directory && !path.is_file() {
        return Ok(());
    }
    all.push(Kept {
        name: Name::new(name).map_err(Unlisted::Name)?,
        path: path.clone(),
        is_directory,
    });
    if is_directory && name.split('/').count() < DEEPEST {
        for below in names(&path)? {
            walk(home, &format!("{name}/{below}"), all)?;
        }
    }
    Ok(())
}

/// The names in a directory, in their order.
fn names(directory: &Path) -> Result<Vec<String>, Unlisted> {
    let failed = |error| Unlisted::Disk(disk::failed("read", directory)(error));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if disk::staged_for(&name).is_some() {
            continue;
        }
        let text = name.into_string();
        names.push(
            text.map_err(|name| Unlisted::Name(BackupError::Name(name.to_string_lossy().into_owned())))?,
        );
    }
    names.sort();
    Ok(names)
}
