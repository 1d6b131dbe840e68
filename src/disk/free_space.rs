//! The space that is left on a file system: octets and files.

use std::io;
use std::path::Path;

/// The space of a file system that this account can still use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The number of octets.
    pub octets: u64,
    /// The number of files. None where the file system sets no limit, as Btrfs does not.
    pub files: Option<u64>,
}

/// The free space of the file system that `path` is on.
///
/// # Errors
/// Where there is no such path, or the file system does not say.
pub fn room(path: &Path) -> io::Result<Room> {
    let system = rustix::fs::statvfs(path)?;
    Ok(Room {
        octets: system.f_bavail.saturating_mul(system.f_frsize),
        files: (system.f_files > 0).then_some(system.f_favail),
    })
}
