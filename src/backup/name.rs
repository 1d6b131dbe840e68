//! The names of the files in a backup.

use std::path::{Path, PathBuf};

use super::BackupError;

/// Where the home's files are in a backup.
const HOME: &str = "home";

/// What a backup keeps of a home, beside its notes (`*.json`): neither what is derived (the index, the
/// publication) nor locks.
pub const KEPT: [&str; 9] = [
    "pki.toml",
    "ledger.jsonl",
    "root",
    "issuing",
    "servers",
    "hmac",
    "acme",
    "handout",
    "templates",
];

/// The root's key, wherever it lay when the backup was made.
pub const ROOT_KEY: &str = "root/root.key";

/// A path below the home that a backup can hold: relative, of text that is the same on every file system, and
/// of what a backup keeps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The name of a path below the home.
    ///
    /// # Errors
    /// Where no backup can hold it.
    pub fn new(path: &str) -> Result<Self, BackupError> {
        let refused = || BackupError::Name(path.to_owned());
        let is_plain = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && !part.contains(|c: char| c.is_control() || c == '\\')
        };
        let (first, rest) = path
            .split_once('/')
            .map_or((path, None), |(first, rest)| (first, Some(rest)));
        let is_note = rest.is_none() && first.ends_with(".json");
        if !path.split('/').all(is_plain) || !is_note && !KEPT.contains(&first) {
            return Err(refused());
        }
        Ok(Self(path.to_owned()))
    }

    /// The path below the home.
    pub fn path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// The same as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where it is in the archive.
    pub(super) fn archived(&self) -> String {
        format!("{HOME}/{}", self.0)
    }

    /// The name of what is at this path of the archive; none for the home itself.
    pub(super) fn of(archived: &str) -> Result<Option<Self>, BackupError> {
        let path = archived.strip_suffix('/').unwrap_or(archived);
        if path == HOME {
            return Ok(None);
        }
        let refused = || BackupError::Malformed(format!("it holds {archived:?}, which no backup does"));
        let below = path.strip_prefix(HOME).and_then(|rest| rest.strip_prefix('/'));
        below
            .and_then(|below| Self::new(below).ok())
            .map(Some)
            .ok_or_else(refused)
    }
}

/// Where the home is in the archive.
pub(super) fn home() -> PathBuf {
    PathBuf::from(HOME)
}
