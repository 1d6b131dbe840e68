//! Sorts any number of entries (an external merge sort): what is too much for memory is sorted in pieces,
//! which lie in a file without a name until they are merged.

use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DiskError, failed};

/// So many octets lie in memory before they become a piece: entries of some 20,000 certificates.
const MOST: usize = 4 << 20;

/// How much of each piece is read at once, in octets.
const AT_ONCE: usize = 1 << 15;

/// A sorter, which takes entries in any order. They are compared octet by octet.
#[derive(Debug)]
pub struct Sorter {
    directory: PathBuf,
    most: usize,
    waiting: Waiting,
    file: Option<File>,
    pieces: Vec<Range<u64>>,
}

/// Entries in memory, end to end.
#[derive(Debug, Default)]
struct Waiting {
    octets: Vec<u8>,
    entries: Vec<Range<usize>>,
}

impl Sorter {
    /// An empty sorter. What memory would not hold goes to a file in this directory, that nobody else sees
    /// and that is gone with the process. Where there can be none, all stays in memory.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            most: MOST,
            waiting: Waiting::default(),
            file: None,
            pieces: Vec::new(),
        }
    }

    /// Adds an entry.
    pub fn add(&mut self, entry: &[u8]) {
        if self.waiting.octets.len() + entry.len() > self.most && !self.waiting.octets.is_empty() {
            self.write_out();
        }
        self.waiting.add(entry);
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.waiting.entries.is_empty()
    }

    /// Makes a piece of what waits, unless there is no room for it: then memory must do.
    fn write_out(&mut self) {
        let begin = self.pieces.last().map_or(0, |last| last.end);
        let file = match self.file.take() {
            Some(file) => Ok(file),
            None => nameless(&self.directory),
        };
        let Ok(file) = file else {
            self.most = usize::MAX;
            return;
        };
        match self.waiting.write(&file, begin) {
            Ok(end) => {
                self.pieces.push(begin..end);
                self.waiting.clear();
            }
            Err(_) => self.most = usize::MAX,
        }
        // The pieces before are in it, whatever became of this one.
        self.file = Some(file);
    }

    /// Sorts the entries, and returns them in their order.
    ///
    /// # Errors
    /// Where a piece cannot be read.
    pub fn sorted(mut self) -> Result<Sorted, DiskError> {
        self.waiting.sort();
        let Self {
            directory,
            waiting,
            file,
            pieces,
            ..
        } = self;
        let mut sources = vec![Source::Memory(waiting, 0)];
        if let Some(file) = file.map(Arc::new) {
            let pieces = pieces.into_iter().map(|rest| Piece {
                file: file.clone(),
                rest,
            });
            sources.extend(pieces.map(|piece| Source::File(BufReader::with_capacity(AT_ONCE, piece))));
        }
        let mut sorted = Sorted {
            directory,
            sources,
            next: BinaryHeap::new(),
        };
        for source in 0..sorted.sources.len() {
            sorted.draw(source)?;
        }
        Ok(sorted)
    }
}

impl Waiting {
    fn add(&mut self, entry: &[u8]) {
        let begin = self.octets.len();
        self.octets.extend_from_slice(entry);
        self.entries.push(begin..self.octets.len());
    }

    fn sort(&mut self) {
        let octets = &self.octets;
        self.entries
            .sort_unstable_by(|a, b| octets[a.clone()].cmp(&octets[b.clone()]));
    }

    /// Writes all in its order, each with its length before it, and says where that ends.
    fn write(&mut self, file: &File, begin: u64) -> io::Result<u64> {
        self.sort();
        let mut to = BufWriter::with_capacity(AT_ONCE, At { file, place: begin });
        for entry in &self.entries {
            let length = u32::try_from(entry.len()).map_err(io::Error::other)?;
            to.write_all(&length.to_be_bytes())?;
            to.write_all(&self.octets[entry.clone()])?;
        }
        to.flush()?;
        Ok(to.get_ref().place)
    }

    fn clear(&mut self) {
        self.octets.clear();
        self.entries.clear();
    }
}

/// Writes from a place on.
struct At<'a> {
    file: &'a File,
    place: u64,
}

impl Write for At<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let count = self.file.write_at(octets, self.place)?;
        self.place += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file for this process alone, which no directory lists.
#[cfg(target_os = "linux")]
fn nameless(directory: &Path) -> io::Result<File> {
    use rustix::fs::{CWD, Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, directory, flags, Mode::from_raw_mode(super::PRIVATE_FILE))?;
    Ok(file.into())
}

#[cfg(not(target_os = "linux"))]
fn nameless(_directory: &Path) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// An iterator over the entries in their order.
#[derive(Debug)]
pub struct Sorted {
    directory: PathBuf,
    sources: Vec<Source>,
    /// Of each source that has any left, its least.
    next: BinaryHeap<std::cmp::Reverse<(Vec<u8>, usize)>>,
}

#[derive(Debug)]
enum Source {
    /// What never left memory, and how many of it were drawn.
    Memory(Waiting, usize),
    File(BufReader<Piece>),
}

impl Source {
    fn draw(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Memory(waiting, drawn) => {
                let entry = waiting.entries.get(*drawn).cloned();
                *drawn += 1;
                Ok(entry.map(|entry| waiting.octets[entry].to_vec()))
            }
            Self::File(piece) => {
                if piece.buffer().is_empty() && piece.get_ref().rest.is_empty() {
                    return Ok(None);
                }
                let mut length = [0; 4];
                piece.read_exact(&mut length)?;
                let mut entry =
                    vec![0; usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?];
                piece.read_exact(&mut entry)?;
                Ok(Some(entry))
            }
        }
    }
}

/// What is left of a piece.
#[derive(Debug)]
struct Piece {
    file: Arc<File>,
    rest: Range<u64>,
}

impl Read for Piece {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.rest.end - self.rest.start).unwrap_or(usize::MAX);
        let most = octets.len().min(left);
        let count = self.file.read_at(&mut octets[..most], self.rest.start)?;
        self.rest.start += count as u64;
        Ok(count)
    }
}

impl Sorted {
    fn draw(&mut self, source: usize) -> Result<(), DiskError> {
        let entry = self.sources[source]
            .draw()
            .map_err(failed("read", &self.directory))?;
        self.next
            .extend(entry.map(|entry| std::cmp::Reverse((entry, source))));
        Ok(())
    }
}

impl Iterator for Sorted {
    type Item = Result<Vec<u8>, DiskError>;

    fn next(&mut self) -> Option<Self::Item> {
        let std::cmp::Reverse((entry, source)) = self.next.pop()?;
        Some(self.draw(source).map(|()| entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Vec<u8>> {
        (0..1000_u32)
            .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[..3].to_vec())
            .collect()
    }

    fn sorted(directory: &Path, most: usize) -> (Vec<Vec<u8>>, usize) {
        let mut sorter = Sorter {
            most,
            ..Sorter::new(directory)
        };
        entries().iter().for_each(|entry| sorter.add(entry));
        let pieces = sorter.pieces.len();
        (sorter.sorted().unwrap().map(Result::unwrap).collect(), pieces)
    }

    #[test]
    fn pieces_are_merged_in_the_order_of_all() {
        let mut expected = entries();
        expected.sort();
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(sorted(directory.path(), 100), (expected, 30));
        assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none());
    }

    #[test]
    fn where_there_can_be_no_file_memory_does() {
        let mut expected = entries();
        expected.sort();
        let nowhere = Path::new("/nowhere/at/all");
        assert_eq!(sorted(nowhere, 100), (expected, 0));
    }

    /// As on a disk that is full by now: what was written before is read again.
    #[test]
    fn where_a_later_piece_cannot_be_written_none_is_lost() {
        use std::os::fd::AsRawFd;
        let mut expected = entries();
        expected.sort();
        let directory = tempfile::tempdir().unwrap();
        let mut sorter = Sorter {
            most: 100,
            ..Sorter::new(directory.path())
        };
        let entries = entries();
        entries[..500].iter().for_each(|entry| sorter.add(entry));
        let pieces = sorter.pieces.len();
        let written = sorter.file.take().unwrap();
        let read_only = File::open(format!("/proc/self/fd/{}", written.as_raw_fd())).unwrap();
        sorter.file = Some(read_only);
        entries[500..].iter().for_each(|entry| sorter.add(entry));
        assert_eq!(sorter.pieces.len(), pieces);
        let sorted: Vec<Vec<u8>> = sorter.sorted().unwrap().map(Result::unwrap).collect();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn nothing_is_sorted_into_nothing() {
        let sorter = Sorter::new(Path::new("/nowhere"));
        assert!(sorter.is_empty());
        assert_eq!(sorter.sorted().unwrap().count(), 0);
    }
}
