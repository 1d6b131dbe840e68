//! The head: the position after the last acknowledged event of the ledger, in a small file of the index.
//!
//! It is written after each commit and never synced, for it proves one thing only: a ledger that does not
//! have this event has lost acknowledged ones. Missing or torn it proves nothing, and is made anew.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::ledger::Position;
use crate::disk;

/// The contents of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Head {
    /// The hash of the first event: whose head this is.
    pub home: [u8; 32],
    /// The place after the last event.
    pub position: Position,
}

fn path(index: &Path) -> PathBuf {
    index.join("head")
}

/// The head in this directory, where there is a whole one.
pub(in crate::store) fn read(index: &Path) -> Option<Head> {
    let text = std::fs::read_to_string(path(index)).ok()?;
    let mut words = text.split_whitespace();
    let mut hash = || HEXLOWER.decode(words.next()?.as_bytes()).ok()?.try_into().ok();
    let (home, sha) = (hash()?, hash()?);
    let mut number = || words.next()?.parse().ok();
    let head = Head {
        home,
        position: Position {
            seq: number()?,
            offset: number()?,
            sha,
        },
    };
    (text == line(&head)).then_some(head)
}

/// Writes the head in one piece of constant length.
pub(in crate::store) fn write(index: &Path, head: &Head) -> Result<(), disk::DiskError> {
    let path = path(index);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(disk::PRIVATE_FILE)
        .open(&path)
        .map_err(disk::failed("opened", &path))?;
    file.write_all(line(head).as_bytes())
        .map_err(disk::failed("written", &path))
}

fn line(head: &Head) -> String {
    let Head {
        home,
        position: Position { seq, offset, sha },
    } = head;
    format!(
        "{} {} {seq:020} {offset:020}\n",
        HEXLOWER.encode(home),
        HEXLOWER.encode(sha)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_and_a_torn_one_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let head = Head {
            home: [1; 32],
            position: Position {
                seq: 7,
                offset: 4711,
                sha: [2; 32],
            },
        };
        assert_eq!(read(directory.path()), None);
        write(directory.path(), &head).unwrap();
        assert_eq!(read(directory.path()), Some(head));
        let whole = std::fs::read(directory.path().join("head")).unwrap();
        for length in 0..whole.len() {
            std::fs::write(directory.path().join("head"), &whole[..length]).unwrap();
            assert_eq!(read(directory.path()), None, "cut at {length}");
        }
    }
}
