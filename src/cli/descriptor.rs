//! Opens a file descriptor that the caller of the program handed over by its number.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// Opens a descriptor of its own on what the descriptor of this number reads.
///
/// # Errors
/// Where there is none of this number.
pub fn handed_over(number: u32) -> io::Result<File> {
    if number == 0 {
        return io::stdin().as_fd().try_clone_to_owned().map(File::from);
    }
    match duplicate(number) {
        // An old kernel, or a container that forbids the call.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM | rustix::io::Errno::NOTSUP) => {
            reopened(number)
        }
        duplicate => Ok(duplicate?),
    }
}

/// The descriptor itself: opening its path anew fails for a pipe of another account, and for every socket.
/// The safe calls know only descriptors that this program opened, unless it asks for its own as it would for
/// another process's.
#[cfg(target_os = "linux")]
fn duplicate(number: u32) -> rustix::io::Result<File> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let number = i32::try_from(number).map_err(|_| rustix::io::Errno::BADF)?;
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    pidfd_getfd(this, number, PidfdGetfdFlags::empty()).map(File::from)
}

#[cfg(not(target_os = "linux"))]
fn duplicate(_number: u32) -> rustix::io::Result<File> {
    Err(rustix::io::Errno::NOSYS)
}

fn reopened(number: u32) -> io::Result<File> {
    File::open(PathBuf::from(format!("/dev/fd/{number}")))
}
