//! The ledger: one event a line, append-only, chained by SHA-256.
//!
//! A line is `{"seq":…,"prev":"…","batch":[i,n],…,"sha":"…"}`. `sha`, its last member, is the SHA-256 of the
//! line's octets before `,"sha"`; `prev` is the previous line's `sha`. A commit is one append of a whole
//! batch and one fdatasync.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::disk;
use crate::model::encoding::hex32;
use crate::model::{Event, Fact, Time};
use crate::store::StoreError;

/// The `prev` of the first event.
pub const GENESIS: [u8; 32] = [0; 32];
/// `,"sha":"` + 64 digits + `"}`: what follows the octets that are hashed.
const SEAL: usize = 8 + 64 + 2;
/// The longest line that is taken for one: a certificate in base64 and some names fit many times over.
pub(super) const LONGEST: u64 = 1 << 20;

/// A position in the ledger: after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The event's number; 0 before the first.
    pub seq: u64,
    /// The offset at which the next line begins, in octets.
    pub offset: u64,
    /// The event's `sha`.
    pub sha: [u8; 32],
}

impl Position {
    /// The position before the first event.
    pub const START: Self = Self {
        seq: 0,
        offset: 0,
        sha: GENESIS,
    };
}

/// An event, and the position of its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The event.
    pub event: Event,
    /// The offset at which its line begins, in octets.
    pub offset: u64,
    /// The position after it.
    pub after: Position,
}

#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    prev: &'a str,
    batch: [usize; 2],
    time: Time,
    by: &'a str,
    #[serde(flatten)]
    fact: &'a Fact,
}

/// What every line has beside its event, for checking the chain without reading the events.
#[derive(Deserialize)]
struct Chain {
    seq: u64,
    #[serde(with = "hex32")]
    prev: [u8; 32],
    batch: [usize; 2],
}

/// The open file of the ledger.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
}

/// The state of the ledger's end: what follows the last complete batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    Clean,
    /// Octets that were never acknowledged.
    Torn,
}

impl Ledger {
    /// Opens the ledger for appending.
    ///
    /// # Errors
    /// Where it is not there or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .open(path)
            .map_err(disk::failed("opened", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// The path of the ledger.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the ledger for reading.
    ///
    /// # Errors
    /// Where it is not there or cannot be opened.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(disk::failed("opened", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Makes an empty ledger, mode 0600.
    ///
    /// # Errors
    /// Where there is one already.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(disk::PRIVATE_FILE)
            .open(path)
            .map_err(disk::failed("created", path))?;
        Self::open(path)
    }

    /// The directory that it lies in.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Its length in octets.
    pub fn len(&self) -> Result<u64, StoreError> {
        Ok(self
            .file
            .metadata()
            .map_err(disk::failed("examined", &self.path))?
            .len())
    }

    /// Appends a batch after `at` and makes it durable. On success the entries are acknowledged.
    ///
    /// # Errors
    /// Where it could not be written: then it is undone, or, should that fail too,
    /// [`StoreError::OutcomeUnknown`].
    pub fn append(
        &self,
        at: Position,
        time: Time,
        by: &str,
        facts: Vec<Fact>,
    ) -> Result<Vec<Entry>, StoreError> {
        let count = facts.len();
        let mut text = Vec::new();
        let mut entries = Vec::with_capacity(count);
        let mut position = at;
        for (i, fact) in facts.into_iter().enumerate() {
            let seq = position.seq + 1;
            let begin = text.len();
            let prev = HEXLOWER.encode(&position.sha);
            let line = Line {
                seq,
                prev: &prev,
                batch: [i + 1, count],
                time,
                by,
                fact: &fact,
            };
            serde_json::to_writer(&mut text, &line).map_err(|e| StoreError::Encoding(e.to_string()))?;
            // The closing brace gives way to the seal.
            text.pop();
            let sha: [u8; 32] = Sha256::digest(&text[begin..]).into();
            text.extend_from_slice(format!(",\"sha\":\"{}\"}}\n", HEXLOWER.encode(&sha)).as_bytes());
            // Nobody would read it again.
            if (text.len() - begin) as u64 > LONGEST {
                let why = format!("it would be longer than {} KiB", LONGEST / 1024);
                return Err(StoreError::Encoding(why));
            }
            let after = Position {
                seq,
                offset: at.offset + text.len() as u64,
                sha,
            };
            let event = Event {
                seq,
                time,
                by: by.to_owned(),
                fact,
            };
            entries.push(Entry {
                event,
                offset: at.offset + begin as u64,
                after,
            });
            position = after;
        }
        self.write_durably(at.offset, &text)?;
        Ok(entries)
    }

    fn write_durably(&self, at: u64, text: &[u8]) -> Result<(), StoreError> {
        let length = self.len()?;
        if length != at {
            return Err(StoreError::Moved {
                expected: at,
                found: length,
            });
        }
        let mut file = &self.file;
        let written = file.write_all(text).and_then(|()| file.sync_data());
        let Err(failure) = written else { return Ok(()) };
        // A second fsync after a failed one proves nothing of the first one's data: the append is undone
        // instead.
        match self.file.set_len(at).and_then(|()| self.file.sync_all()) {
            Ok(()) => Err(StoreError::NotAppended(disk::failed("appended to", &self.path)(
                failure,
            ))),
            Err(undo) => Err(StoreError::OutcomeUnknown {
                append: disk::failed("appended to", &self.path)(failure),
                undo: undo.to_string(),
            }),
        }
    }

    /// Reads every acknowledged event after `from`, in order, checking each line's hash and link, and hands
    /// over one batch at a time. Returns the end of the last one, and the state of what follows it.
    ///
    /// # Errors
    /// Damage in the middle, or an error of `visit`.
    pub fn replay(
        &self,
        from: Position,
        mut visit: impl FnMut(Vec<Entry>) -> Result<(), StoreError>,
    ) -> Result<(Position, Tail), StoreError> {
        let mut reader = self.lines(from.offset)?;
        let mut last = from;
        let mut position = from;
        let mut batch: Vec<Entry> = Vec::new();
        let mut line = Vec::new();
        let mut read_again = None;
        loop {
            let begin = position.offset;
            read_line(&mut reader, &mut line).map_err(disk::failed("read", &self.path))?;
            if line.is_empty() && batch.is_empty() {
                return Ok((last, Tail::Clean));
            }
            let checked = check(&line, position).filter(|(_, [i, n])| *i == batch.len() + 1 && i <= n);
            let Some((after, [i, n])) = checked else {
                let tail = self.tail(last, begin, position.seq + 1);
                let seen = (last, self.len()?);
                match tail {
                    // Whoever was appending when this was read is done by now, or goes on: what looked torn
                    // is whole.
                    Err(StoreError::Damaged { .. }) if read_again != Some(seen) => {
                        read_again = Some(seen);
                        reader = self.lines(last.offset)?;
                        position = last;
                        batch.clear();
                        continue;
                    }
                    outcome => return outcome,
                }
            };
            let event: Event = serde_json::from_slice(&line).map_err(|e| StoreError::Damaged {
                seq: after.seq,
                offset: begin,
                why: format!("the event is unknown to this version: {e}"),
            })?;
            batch.push(Entry {
                event,
                offset: begin,
                after,
            });
            position = after;
            if i == n {
                visit(std::mem::take(&mut batch))?;
                last = position;
            }
        }
    }

    /// What follows the last complete batch is a torn tail only if no complete batch follows the damage.
    fn tail(&self, last: Position, begin: u64, seq: u64) -> Result<(Position, Tail), StoreError> {
        let mut reader = self.lines(last.offset)?;
        let mut line = Vec::new();
        let mut run: Option<(Position, usize, usize)> = None;
        loop {
            read_line(&mut reader, &mut line).map_err(disk::failed("read", &self.path))?;
            if line.is_empty() {
                return Ok((last, Tail::Torn));
            }
            run = match (sealed(&line), run) {
                (None, _) => None,
                (Some((chain, sha)), Some((before, i, n)))
                    if chain.prev == before.sha && chain.batch == [i + 1, n] =>
                {
                    Some((Position { sha, ..before }, i + 1, n))
                }
                (Some((chain, sha)), _) if chain.batch[0] == 1 => Some((
                    Position {
                        sha,
                        ..Position::START
                    },
                    1,
                    chain.batch[1],
                )),
                (Some(_), _) => None,
            };
            if let Some((_, i, n)) = run
                && i == n
            {
                return Err(StoreError::Damaged {
                    seq,
                    offset: begin,
                    why: "its hash or its link to the event before does not hold, and acknowledged events follow".into(),
                });
            }
        }
    }

    /// Moves what follows `last` into `ledger.torn-TIME` beside the ledger and cuts it off.
    ///
    /// # Errors
    /// Where the file cannot be written or cut.
    pub fn cut(&self, last: Position, now: Time) -> Result<PathBuf, StoreError> {
        let mut torn = Vec::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(last.offset))
            .map_err(disk::failed("read", &self.path))?;
        file.read_to_end(&mut torn)
            .map_err(disk::failed("read", &self.path))?;
        let stamp: String = now
            .to_string()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let digest = HEXLOWER.encode(&Sha256::digest(&torn)[..4]);
        let aside = self.path.with_file_name(format!("ledger.torn-{stamp}-{digest}"));
        disk::replace(&aside, disk::PRIVATE_FILE, &torn)?;
        let cut = self.file.set_len(last.offset).and_then(|()| self.file.sync_all());
        cut.map_err(disk::failed("cut", &self.path))?;
        Ok(aside)
    }

    /// The event whose line begins at `offset`.
    ///
    /// # Errors
    /// Where there is none, or its hash does not hold.
    pub fn event_at(&self, offset: u64) -> Result<Event, StoreError> {
        let damaged = |why: &str| StoreError::Damaged {
            seq: 0,
            offset,
            why: why.to_owned(),
        };
        let mut line = Vec::with_capacity(2048);
        let mut chunk = [0; 2048];
        while line.last() != Some(&b'\n') {
            let count = self
                .file
                .read_at(&mut chunk, offset + line.len() as u64)
                .map_err(disk::failed("read", &self.path))?;
            if count == 0 || line.len() as u64 > LONGEST {
                return Err(damaged("no event begins there"));
            }
            let end = chunk[..count]
                .iter()
                .position(|o| *o == b'\n')
                .map_or(count, |i| i + 1);
            line.extend_from_slice(&chunk[..end]);
        }
        sealed(&line).ok_or_else(|| damaged("its hash does not hold"))?;
        serde_json::from_slice(&line).map_err(|e| damaged(&e.to_string()))
    }

    /// The event whose line ends at `offset`.
    ///
    /// # Errors
    /// Where there is none, or its hash does not hold.
    pub fn event_ending_at(&self, offset: u64) -> Result<Event, StoreError> {
        let mut begin = offset.saturating_sub(1);
        let mut chunk = [0; 4096];
        loop {
            let from = begin.saturating_sub(chunk.len() as u64);
            // Both ends lie within one chunk of each other.
            let piece = &mut chunk[..usize::try_from(begin - from).unwrap_or(0)];
            self.file
                .read_exact_at(piece, from)
                .map_err(disk::failed("read", &self.path))?;
            if let Some(newline) = piece.iter().rposition(|o| *o == b'\n') {
                return self.event_at(from + newline as u64 + 1);
            }
            begin = from;
            if begin == 0 {
                return self.event_at(0);
            }
        }
    }

    /// Whether the event that ends at `position` is the one that it says.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn holds(&self, position: Position) -> Result<bool, StoreError> {
        if position == Position::START {
            return Ok(true);
        }
        if self.len()? < position.offset || position.offset < SEAL as u64 + 1 {
            return Ok(false);
        }
        let mut seal = [0; SEAL + 1];
        self.file
            .read_exact_at(&mut seal, position.offset - (SEAL as u64 + 1))
            .map_err(disk::failed("read", &self.path))?;
        let expected = format!(",\"sha\":\"{}\"}}\n", HEXLOWER.encode(&position.sha));
        Ok(seal == expected.as_bytes())
    }

    fn lines(&self, offset: u64) -> Result<BufReader<File>, StoreError> {
        // A handle of its own: two readers of one process do not share an offset.
        let mut file = File::open(&self.path).map_err(disk::failed("opened", &self.path))?;
        file.seek(SeekFrom::Start(offset))
            .map_err(disk::failed("read", &self.path))?;
        Ok(BufReader::with_capacity(1 << 16, file))
    }
}

/// Reads the next line with its newline, which is missing at the end of the file, or where the line is longer
/// than `LONGEST`.
fn read_line(reader: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    reader.by_ref().take(LONGEST).read_until(b'\n', line)?;
    Ok(())
}

/// The chain members of a line and its `sha`, where the line is whole and its hash holds.
fn sealed(line: &[u8]) -> Option<(Chain, [u8; 32])> {
    let line = line.strip_suffix(b"\n")?;
    let (content, seal) = line.split_at_checked(line.len().checked_sub(SEAL)?)?;
    let digits = seal.strip_prefix(b",\"sha\":\"")?.strip_suffix(b"\"}")?;
    let sha: [u8; 32] = HEXLOWER.decode(digits).ok()?.try_into().ok()?;
    if <[u8; 32]>::from(Sha256::digest(content)) != sha {
        return None;
    }
    Some((serde_json::from_slice(line).ok()?, sha))
}

/// The place after a line that follows `before`, and its part of a batch.
pub(super) fn check(line: &[u8], before: Position) -> Option<(Position, [usize; 2])> {
    let (chain, sha) = sealed(line)?;
    let follows = chain.prev == before.sha && chain.seq == before.seq + 1;
    let after = Position {
        seq: chain.seq,
        offset: before.offset + line.len() as u64,
        sha,
    };
    follows.then_some((after, chain.batch))
}

#[cfg(test)]
mod tests;
