//! Checks that the files of the home belong to the home's own account: its next command would fail on a file
//! that belongs to another one.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::{Finding, Severity};
use crate::disk;
use crate::home::{FILES, HomeError};
use crate::model::text::in_shell;

/// The remedy for a file that this account is not permitted to read, which need not be restored.
pub(super) const GIVE_BACK: &str =
    "give it to the account that the home belongs to, or run pki as that account";

/// Whether a file could not be had for want of the right to it.
pub(super) fn is_denied(error: &HomeError) -> bool {
    matches!(error, HomeError::Disk(error) if error.source.kind() == ErrorKind::PermissionDenied)
}

/// Finds the files below the home at `path` that are not its owner's. One that an operator writes and this
/// program only reads may belong to anybody.
pub(super) fn examine(path: &Path, findings: &mut Vec<Finding>) {
    let Ok(home) = std::fs::metadata(path) else {
        return;
    };
    let mut foreign = Vec::new();
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if FILES.iter().any(|own| name == *own) || name.as_encoded_bytes().ends_with(b".json") {
            find(entry.path(), home.uid(), &mut foreign);
        }
    }
    let by_hand = ["pki.toml", "templates"].map(|name| path.join(name));
    let is_only_read = |file: &PathBuf| {
        by_hand.iter().any(|name| file.starts_with(name)) && access(file, Access::READ_OK).is_ok()
    };
    foreign.retain(|file| !is_only_read(file));
    let Some(first) = foreign.first() else {
        return;
    };
    let more = match foreign.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let owner = disk::account(home.uid()).unwrap_or_else(|| home.uid().to_string());
    findings.push(Finding::new(
        "other-owner",
        Severity::Error,
        format!(
            "{}{more} in the home: not {owner}'s, as the home is",
            first.display()
        ),
        format!("sudo chown -R {owner} {}", in_shell(&path.display().to_string())),
    ));
}

/// Looks at a file, or at all that is in a directory. Whoever made a link, it is what it leads to that
/// counts.
fn find(path: PathBuf, owner: u32, foreign: &mut Vec<PathBuf>) {
    let Ok(metadata) = path.symlink_metadata() else {
        return;
    };
    if metadata.is_symlink() {
        return;
    }
    // What cannot be read is told by whatever has to read it.
    let entries = metadata.is_dir().then(|| std::fs::read_dir(&path).ok()).flatten();
    if metadata.uid() != owner {
        foreign.push(path);
    }
    for entry in entries.into_iter().flatten().flatten() {
        find(entry.path(), owner, foreign);
    }
}
