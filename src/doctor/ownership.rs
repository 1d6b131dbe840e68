//! Files of the home that are another account's: what is done next by the home's own account stumbles on them.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Finding, Severity};
use crate::disk;
use crate::home::HomeError;

/// What this account may not read is no file to restore.
pub(super) const GIVE_BACK: &str =
    "give it to the account that the home belongs to, or run pki as that account";

/// Whether a file could not be had for want of the right to it.
pub(super) fn is_denied(error: &HomeError) -> bool {
    matches!(error, HomeError::Disk(error) if error.source.kind() == ErrorKind::PermissionDenied)
}

/// Which files below the home at `path` are not its owner's. One that an operator writes and this program only reads may be anybody's.
pub(super) fn examine(path: &Path, findings: &mut Vec<Finding>) {
    let Ok(home) = std::fs::metadata(path) else {
        return;
    };
    let mut foreign = Vec::new();
    find(path, home.uid(), &mut foreign);
    let is_only_read = |file: &PathBuf| {
        let written_by_hand = ["pki.toml", "templates"].map(|name| path.join(name));
        written_by_hand.iter().any(|name| file.starts_with(name)) && std::fs::File::open(file).is_ok()
    };
    foreign.retain(|file| !is_only_read(file));
    let Some(first) = foreign.first() else {
        return;
    };
    let more = match foreign.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let owner = disk::account_name(home.uid());
    findings.push(Finding::new(
        "other-owner",
        Severity::Error,
        format!(
            "{}{more} in the home: not {owner}'s, as the home is",
            first.display()
        ),
        format!(
            "sudo chown -R {} {}",
            owner.trim_start_matches("uid "),
            path.display()
        ),
    ));
}

/// Of a directory that is another account's, what is in it is not looked at.
fn find(directory: &Path, owner: u32, foreign: &mut Vec<PathBuf>) {
    // What cannot be read is told by whatever has to read it.
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_symlink() {
            // Whoever made it, it is what it leads to that counts.
        } else if metadata.uid() != owner {
            foreign.push(entry.path());
        } else if metadata.is_dir() {
            find(&entry.path(), owner, foreign);
        }
    }
}
