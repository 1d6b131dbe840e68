//! Reads files and pipes up to a length, and never waits for one without an end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::OFlags;

use super::{DiskError, failed};

/// Reads a regular file of at most `max` octets: one of a home, of a publication, of the system. What a
/// person named is read by [`read_given`].
///
/// # Errors
/// Where it cannot be read, is larger, or is no regular file.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, DiskError> {
    open_regular(path)
        .and_then(|file| whole(file, max))
        .map_err(failed("read", path))
}

/// Reads what a person named, of at most `max` octets: a file, or a pipe such as a shell's `<(…)`.
///
/// # Errors
/// Where it cannot be read, is larger, or is a pipe that nobody writes to.
pub fn read_given(path: &Path, max: u64) -> Result<Vec<u8>, DiskError> {
    open_given(path)
        .and_then(|file| whole(file, max))
        .map_err(failed("read", path))
}

fn whole(file: File, max: u64) -> io::Result<Vec<u8>> {
    // One more than there is shows the end in the same call.
    let length = file.metadata()?.len().min(max).saturating_add(1);
    let mut octets = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(max.saturating_add(1)).read_to_end(&mut octets)?;
    if octets.len() as u64 > max {
        let why = format!("it is larger than {max} octets");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(octets)
}

/// Opens what a person named. Opening a pipe waits until somebody opens its other end, for ever if nobody
/// does. A shell has done that before it starts us; whoever has it open is waited for, be it that a
/// passphrase is typed there.
///
/// # Errors
/// Where it cannot be opened, or is a pipe that nobody writes to.
pub fn open_given(path: &Path) -> io::Result<File> {
    /// How long somebody may take to open the other end.
    const PATIENCE: Duration = Duration::from_secs(2);
    if !fs::metadata(path)?.file_type().is_fifo() {
        return File::open(path);
    }
    let (opened, wait) = mpsc::channel();
    let named = path.to_owned();
    // Where nobody comes it stays behind, and ends with the process: there is no call that opens with a
    // timeout.
    std::thread::spawn(move || opened.send(File::open(named)));
    let nobody = |_| io::Error::new(io::ErrorKind::TimedOut, "it is a pipe that nobody writes to");
    wait.recv_timeout(PATIENCE).map_err(nobody)?
}

/// Opens a regular file. A pipe in its place would keep whoever opens it waiting for ever.
///
/// # Errors
/// Where it cannot be opened, or is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is no regular file"))
    }
}

/// Reads a file, or nothing where there is none.
///
/// # Errors
/// Where it is there and cannot be read.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    let mut octets = Vec::new();
    match open_regular(path).and_then(|mut file| file.read_to_end(&mut octets)) {
        Ok(_) => Ok(Some(octets)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::fs::{CWD, Mode};

    use super::super::create_private;
    use super::*;

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("f");
        create_private(&place, b"12345").unwrap();
        assert_eq!(read(&place, 5).unwrap(), b"12345");
        assert!(read(&place, 4).is_err());
    }

    #[test]
    fn a_pipe_is_read_where_a_person_named_it_and_somebody_writes_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("pipe");
        rustix::fs::mknodat(
            CWD,
            &place,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let refused = read(&place, 9).unwrap_err().to_string();
        assert!(refused.ends_with("it is no regular file"), "{refused}");
        let refused = read_given(&place, 9).unwrap_err().to_string();
        assert!(
            refused.ends_with("it is a pipe that nobody writes to"),
            "{refused}"
        );
        let other = place.clone();
        let writer = std::thread::spawn(move || {
            let mut pipe = OpenOptions::new().write(true).open(other).unwrap();
            // Longer than an opened pipe would be waited for.
            std::thread::sleep(Duration::from_millis(2500));
            pipe.write_all(b"12345").unwrap();
        });
        assert_eq!(read_given(&place, 9).unwrap(), b"12345");
        writer.join().unwrap();
    }
}
