//! Advice on files that could not be read or written.

use std::io::ErrorKind;

use super::Advice;
use crate::disk::{self, DiskError, UMASK};

/// The advice on a disk that is full, or fails.
pub(super) const ROOM: &str = "free some room or mend the disk, then run the command again";

impl Advice for DiskError {
    fn advice(&self) -> Option<String> {
        let kind = self.source.kind();
        let advice = if disk::is_modeless(&self.source) {
            UMASK
        } else if kind == ErrorKind::PermissionDenied {
            "look at its owner and mode, and at who runs this"
        } else if self.is_full() || kind == ErrorKind::ReadOnlyFilesystem {
            ROOM
        } else if kind == ErrorKind::NotFound {
            "look at how it is written, and in which directory this runs"
        } else if kind == ErrorKind::TimedOut {
            "name a file, or start first what writes to it"
        } else {
            return None;
        };
        Some(advice.into())
    }
}
