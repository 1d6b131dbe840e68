//! The state that `fetch` keeps between two runs, `state.json`: the highest manifest, CRL and pin set numbers
//! that it has accepted, which guard against rollback, the fingerprint of the root, and the files that are
//! installed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::answer::Validator;
use super::error::{FetchError, Unfit};
use crate::disk::{Directory, DiskError, PRIVATE_FILE, Shown};
use crate::model::encoding::hex32;
use crate::model::{Serial, Time};
use crate::publish::{Area, Checkpoint, End};
use crate::x509::crl::Terms;

/// The contents of `state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub version: u32,
    pub area: Area,
    /// SHA-256 of the root's certificate, hexadecimal.
    pub root: String,
    pub manifest: Seen,
    /// The CRLs, by the names of their files in `crl/`, without the extension.
    pub crls: BTreeMap<String, SeenCrl>,
    /// The CRLs that were in an earlier publication and are not in this one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gone: BTreeMap<String, Seen>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pins: Option<Seen>,
    pub valid_until: Time,
    /// The time at which the first manifest with that expiry was made.
    pub valid_since: Time,
    /// The version that was installed last, and the one before.
    pub directory: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// The files of that version as they were when they had been verified.
    pub files: BTreeMap<String, Stamp>,
    /// The source of the manifest, and the validators for the question whether it is still the same.
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validator: Option<Validator>,
    /// Whether files have changed since a command that follows a change was last run to a good end.
    pub exec_pending: bool,
    /// Certificates that an earlier publication accepts and that the home has lost, each with its notAfter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lost: BTreeMap<Serial, Time>,
    /// The last checkpoint of the home's ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<SeenEnd>,
}

/// The end of a ledger that a checkpoint has told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenEnd {
    /// Whose ledger it is: the hash of its first event, hexadecimal.
    #[serde(with = "hex32")]
    pub home: [u8; 32],
    #[serde(flatten)]
    pub end: End,
}

impl SeenEnd {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        Self {
            home: checkpoint.home,
            end: checkpoint.end,
        }
    }
}

/// A number, and what had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    pub number: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// A CRL that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeenCrl {
    pub number: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    pub this_update: Time,
    pub next_update: Time,
}

/// The stamp by which a file is known not to have been written to since: a hash of everything each time would
/// take longer than all the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stamp {
    size: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Seen {
    /// Holds a number against the highest that was seen.
    pub(super) fn demand(seen: Option<&Self>, number: u64, sha256: &str) -> Result<(), Unfit> {
        match seen {
            Some(seen) if number < seen.number => Err(Unfit::Older {
                number,
                seen: seen.number,
            }),
            Some(seen) if number == seen.number && sha256 != seen.sha256 => Err(Unfit::SameNumber(number)),
            Some(_) | None => Ok(()),
        }
    }
}

impl SeenCrl {
    pub(super) fn new(terms: Terms, sha256: String) -> Self {
        Self {
            number: terms.number,
            sha256,
            this_update: terms.this_update,
            next_update: terms.next_update,
        }
    }

    pub(super) fn seen(&self) -> Seen {
        Seen {
            number: self.number,
            sha256: self.sha256.clone(),
        }
    }
}

impl Stamp {
    pub(super) fn of(file: &File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            size: metadata.len(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

impl State {
    /// The highest number seen of the CRL of this name.
    pub(super) fn crl(&self, name: &str) -> Option<Seen> {
        let current = self.crls.get(name).map(SeenCrl::seen);
        current.or_else(|| self.gone.get(name).cloned())
    }

    pub(super) const FILE: &'static str = "state.json";
    const LONGEST: u64 = 1 << 20;

    /// Reads the state from a directory, whose name for messages is `path`: none where there never was any.
    ///
    /// # Errors
    /// Where it is there and cannot be read. Without it an older publication could pass for a new one.
    pub(super) fn load(directory: &Directory, path: &std::path::Path) -> Result<Option<Self>, FetchError> {
        let forgotten = |why: String| FetchError::Forgotten {
            state: Shown(PathBuf::from(path).join(Self::FILE)),
            why,
        };
        let Some(file) = directory.file(Self::FILE)? else {
            return Ok(None);
        };
        let mut text = Vec::new();
        let read = file.take(Self::LONGEST).read_to_end(&mut text);
        read.map_err(|error| forgotten(format!("could not be read: {error}")))?;
        let state: Self =
            serde_json::from_slice(&text).map_err(|error| forgotten(format!("cannot be read: {error}")))?;
        if state.version != 1 {
            return Err(forgotten(format!("is of version {}", state.version)));
        }
        Ok(Some(state))
    }

    pub(super) fn save(&self, directory: &Directory) -> Result<(), DiskError> {
        let mut text = serde_json::to_vec_pretty(self).expect("strings, numbers and times have a JSON form");
        text.push(b'\n');
        let staged = directory.stage(Self::FILE, PRIVATE_FILE, [text])?;
        staged.sync()?;
        staged.replace()?;
        directory.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_never_falls_and_names_one_thing() {
        let seen = Seen {
            number: 7,
            sha256: "a".into(),
        };
        let demand = |number, sha256| Seen::demand(Some(&seen), number, sha256);
        assert!(demand(7, "a").is_ok() && demand(8, "b").is_ok() && Seen::demand(None, 1, "b").is_ok());
        assert_eq!(demand(7, "b"), Err(Unfit::SameNumber(7)));
        assert_eq!(demand(6, "a"), Err(Unfit::Older { number: 6, seen: 7 }));
    }
}
