//! The identity of a file: what the file system says of it. As long as that is the same, the content of the
//! file is the same.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use crate::model::{Span, Time};

/// A file by its device, its inode, its length and the times of its last change: nobody writes into a file,
/// or puts another in its place, without one of them telling. The second of the times (ctime) no program can
/// set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity([u8; Self::LENGTH]);

impl Identity {
    /// The length of an identity in octets.
    pub const LENGTH: usize = 56;

    /// A file system's clock stands still for some hundredths of a second, that of FAT for two seconds: what
    /// was changed a moment ago may be changed again, and nothing would tell.
    const TICK: Span = Span::seconds(3);

    /// The identity of an open file, from its metadata.
    pub fn of(file: &Metadata) -> Self {
        let fields = [
            file.dev().to_be_bytes(),
            file.ino().to_be_bytes(),
            file.size().to_be_bytes(),
            file.mtime().to_be_bytes(),
            file.mtime_nsec().to_be_bytes(),
            file.ctime().to_be_bytes(),
            file.ctime_nsec().to_be_bytes(),
        ];
        let mut octets = [0; Self::LENGTH];
        for (to, field) in octets.chunks_mut(8).zip(fields) {
            to.copy_from_slice(&field);
        }
        Self(octets)
    }

    /// The identity from octets that were stored.
    pub fn from_octets(octets: [u8; Self::LENGTH]) -> Self {
        Self(octets)
    }

    /// The octets of the identity, to be stored.
    pub fn octets(&self) -> [u8; Self::LENGTH] {
        self.0
    }

    /// Whether the file was last changed so long before `now` that any later change tells.
    pub fn is_settled(&self, now: Time) -> bool {
        self.changed() + Self::TICK < now
    }

    /// The ctime, in whole seconds.
    fn changed(&self) -> Time {
        let mut seconds = [0; 8];
        seconds.copy_from_slice(&self.0[40..48]);
        Time::from_unix(i64::from_be_bytes(seconds))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn whatever_changes_a_file_changes_its_identity() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "one").unwrap();
        let identity = || Identity::of(&fs::metadata(&path).unwrap());
        let first = identity();
        assert_eq!(first, Identity::from_octets(first.octets()));
        assert_eq!(first, identity());
        // The clock of the file system ticks some hundred times a second.
        let tick = || std::thread::sleep(std::time::Duration::from_millis(30));
        tick();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "two").unwrap();
        let second = identity();
        assert_ne!(first, second);
        // Its time of modification is set back: the other time tells.
        tick();
        fs::File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .set_modified(modified)
            .unwrap();
        assert!(![first, second].contains(&identity()));
        // Another file takes its place.
        let other = directory.path().join("other");
        fs::write(&other, "two").unwrap();
        let third = identity();
        fs::rename(&other, &path).unwrap();
        assert_ne!(third, identity());
    }

    #[test]
    fn what_was_changed_a_moment_ago_is_not_settled() {
        let file = tempfile::tempfile().unwrap();
        let metadata = file.metadata().unwrap();
        let (identity, changed) = (Identity::of(&metadata), Time::from_unix(metadata.ctime()));
        assert!(!identity.is_settled(changed));
        assert!(!identity.is_settled(changed + Span::seconds(3)));
        assert!(identity.is_settled(changed + Span::seconds(4)));
    }
}
