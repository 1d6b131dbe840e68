//! A cache of the hashes of long files that are published in the targets: a file that has not changed since
//! it was hashed is not read again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::disk::Identity;
use crate::model::Time;

/// A cache of hashes of files. All places of one command share it.
#[derive(Debug, Clone)]
pub struct Hashes(Rc<Known>);

#[derive(Debug)]
struct Known {
    by_identity: RefCell<BTreeMap<Identity, Seen>>,
    now: Time,
}

#[derive(Debug)]
struct Seen {
    sha256: [u8; 32],
    /// Whether it was asked for by this command: what was not is gone, and forgotten.
    is_asked: bool,
}

/// What is shorter is read in less time than it takes to remember it.
const LONG: u64 = 1 << 20;

/// An empty cache, which stays empty.
impl Default for Hashes {
    fn default() -> Self {
        Self::unknown(Time::from_unix(0))
    }
}

impl Hashes {
    /// An empty cache: every file is read.
    pub fn unknown(now: Time) -> Self {
        Self::remembered(now, [])
    }

    /// A cache with the hashes that an earlier command stored, which are trusted for files that have not
    /// changed since.
    pub fn remembered(now: Time, hashes: impl IntoIterator<Item = (Identity, [u8; 32])>) -> Self {
        let seen = |sha256| Seen {
            sha256,
            is_asked: false,
        };
        let hashes = hashes.into_iter();
        Self(Rc::new(Known {
            by_identity: RefCell::new(
                hashes
                    .map(|(identity, sha256)| (identity, seen(sha256)))
                    .collect(),
            ),
            now,
        }))
    }

    /// The hashes to store for a later command, in the order of the identities.
    pub fn asked(&self) -> Vec<(Identity, [u8; 32])> {
        let known = self.0.by_identity.borrow();
        let asked = known.iter().filter(|(_, seen)| seen.is_asked);
        asked.map(|(identity, seen)| (*identity, seen.sha256)).collect()
    }

    /// SHA-256 of a file, of which at most `size` octets are read.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(super) fn sha256(&self, file: fs::File, size: u64) -> io::Result<[u8; 32]> {
        let identity = Identity::of(&file.metadata()?);
        if let Some(seen) = self.0.by_identity.borrow_mut().get_mut(&identity) {
            seen.is_asked = true;
            return Ok(seen.sha256);
        }
        let sha256 = sha256((&file).take(size))?;
        let after = file.metadata()?;
        if after.len() >= LONG && Identity::of(&after) == identity && identity.is_settled(self.0.now) {
            let seen = Seen {
                sha256,
                is_asked: true,
            };
            self.0.by_identity.borrow_mut().insert(identity, seen);
        }
        Ok(sha256)
    }
}

/// SHA-256 of what a reader gives. It is read piece by piece: a long file is not held as a whole.
fn sha256(mut reader: impl Read) -> io::Result<[u8; 32]> {
    const PIECE: u64 = 1 << 16;
    let mut hash = Sha256::new();
    let mut piece = Vec::new();
    while reader.by_ref().take(PIECE).read_to_end(&mut piece)? > 0 {
        hash.update(&piece);
        piece.clear();
    }
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    fn settled(file: &fs::File) -> Time {
        use std::os::unix::fs::MetadataExt;
        Time::from_unix(file.metadata().unwrap().ctime()) + Span::seconds(60)
    }

    #[test]
    fn a_long_file_that_has_not_changed_is_read_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let octets = vec![7; usize::try_from(LONG).unwrap()];
        fs::write(&path, &octets).unwrap();
        let open = || fs::File::open(&path).unwrap();
        let now = settled(&open());
        let hashes = Hashes::unknown(now);
        let right: [u8; 32] = Sha256::digest(&octets).into();
        assert_eq!(hashes.sha256(open(), LONG).unwrap(), right);
        let [(identity, sha256)] = hashes.asked().try_into().unwrap();
        assert_eq!(sha256, right);
        // What was remembered is believed, true or not: so it was not read.
        let believing = Hashes::remembered(now, [(identity, [1; 32])]);
        assert_eq!(believing.asked(), []);
        assert_eq!(believing.sha256(open(), LONG).unwrap(), [1; 32]);
        assert_eq!(believing.asked(), [(identity, [1; 32])]);
        // Whoever changes it has it read again.
        std::thread::sleep(std::time::Duration::from_millis(30));
        fs::write(&path, &octets).unwrap();
        assert_eq!(believing.sha256(open(), LONG).unwrap(), right);
    }

    #[test]
    fn what_is_short_or_was_changed_a_moment_ago_is_not_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for (length, at, count) in [(LONG, 60, 1), (LONG, 0, 0), (LONG - 1, 60, 0)] {
            fs::write(&path, vec![7; usize::try_from(length).unwrap()]).unwrap();
            let file = fs::File::open(&path).unwrap();
            let hashes = Hashes::unknown(settled(&file) - Span::seconds(60) + Span::seconds(at));
            hashes.sha256(file, length).unwrap();
            assert_eq!(hashes.asked().len(), count, "{length} {at}");
        }
    }
}
