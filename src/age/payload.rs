//! The payload of an age file: the content in chunks of 64 KiB, each encrypted and authenticated by itself
//! with its number, and whether it is the last (STREAM, <https://eprint.iacr.org/2015/189>). So no chunk can
//! be changed, moved, left out or added, and a file that breaks off is known by its want of a last one.

use std::io::{self, Read, Write};

use ring::aead::{Aad, LessSafeKey, Nonce};
use zeroize::Zeroizing;

use super::error::AgeError;

/// How long a chunk is, in octets: each but the last.
pub(super) const CHUNK: usize = 64 * 1024;
/// How long the tag behind a chunk is, in octets.
const TAG: usize = 16;

/// The nonces of a payload: the number of the chunk, and whether it is the last.
#[derive(Default)]
struct Counter(u64);

impl Counter {
    fn nonce(&self, is_last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.0.to_be_bytes());
        nonce[11] = u8::from(is_last);
        Nonce::assume_unique_for_key(nonce)
    }

    /// 2^64 chunks are more than there are disks for.
    fn advance(&mut self) {
        self.0 += 1;
    }
}

/// Encrypts what is written into it. What is left of the last chunk is written by [`Encryption::finish`]:
/// without it the payload breaks off.
pub(super) struct Encryption<W> {
    out: W,
    key: LessSafeKey,
    counter: Counter,
    /// The content of the next chunk.
    chunk: Zeroizing<Vec<u8>>,
    /// A chunk was not written as a whole: nothing that is written behind it makes sense.
    is_broken: bool,
}

impl<W: Write> Encryption<W> {
    pub(super) fn new(out: W, key: LessSafeKey) -> Self {
        Self {
            out,
            key,
            counter: Counter::default(),
            chunk: Zeroizing::new(Vec::with_capacity(CHUNK + TAG)),
            is_broken: false,
        }
    }

    /// Writes the last chunk, and gives back what was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        self.demand_whole()?;
        self.is_broken = true;
        self.key
            .seal_in_place_append_tag(self.counter.nonce(is_last), Aad::empty(), &mut *self.chunk)
            .expect("a chunk is short enough");
        self.out.write_all(&self.chunk)?;
        self.is_broken = false;
        self.chunk.clear();
        self.counter.advance();
        Ok(())
    }

    fn demand_whole(&self) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("a part of it before could not be written"));
        }
        Ok(())
    }
}

impl<W: Write> Write for Encryption<W> {
    /// A full chunk is written only when something follows it: it might be the last.
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.demand_whole()?;
        if self.chunk.len() == CHUNK && !content.is_empty() {
            self.seal(false)?;
        }
        let taken = content.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&content[..taken]);
        Ok(taken)
    }

    /// Writes out the chunks that are complete.
    fn flush(&mut self) -> io::Result<()> {
        self.demand_whole()?;
        self.out.flush()
    }
}

/// Decrypts what it reads. Nothing is given out that is not authentic.
pub(super) struct Decryption<R> {
    input: R,
    key: LessSafeKey,
    counter: Counter,
    /// The next chunk as it lies in the file: room for a full one, and how much of it was read.
    sealed: Box<[u8]>,
    read: usize,
    /// A chunk that was opened, and how much of it was given out.
    opened: Zeroizing<Vec<u8>>,
    given: usize,
    state: State,
    /// How many octets of content all opened chunks have.
    offset: u64,
}

/// How far the payload was read.
#[derive(Clone, Copy)]
enum State {
    /// Another chunk follows.
    Open,
    /// The last chunk was opened. Whether something follows it is to be looked at.
    Last,
    /// The last chunk was opened, and nothing follows it.
    Ended,
    /// It is not whole.
    Refused(fn(u64) -> AgeError),
}

impl<R: Read> Decryption<R> {
    pub(super) fn new(input: R, key: LessSafeKey) -> Self {
        Self {
            input,
            key,
            counter: Counter::default(),
            sealed: vec![0; CHUNK + TAG].into(),
            read: 0,
            opened: Zeroizing::new(Vec::with_capacity(CHUNK + TAG)),
            given: 0,
            state: State::Open,
            offset: 0,
        }
    }

    /// Reads and opens the next chunk, or looks at what is behind the last one.
    fn advance(&mut self) -> Result<(), AgeError> {
        self.state = match self.state {
            State::Open => {
                self.fill()?;
                let state = self.open_next();
                self.read = 0;
                state
            }
            State::Last => {
                self.fill()?;
                if self.read == 0 {
                    State::Ended
                } else {
                    State::Refused(AgeError::GoesOn)
                }
            }
            State::Ended => State::Ended,
            State::Refused(why) => return Err(why(self.offset)),
        };
        Ok(())
    }

    /// Reads as much of a chunk as there is. What was read before an error of the system stays.
    fn fill(&mut self) -> io::Result<()> {
        while self.read < self.sealed.len() {
            match self.input.read(&mut self.sealed[self.read..]) {
                Ok(0) => break,
                Ok(count) => self.read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A full chunk may be any, a shorter one must be the last.
    fn open_next(&mut self) -> State {
        let is_full = self.read == self.sealed.len();
        if is_full && self.open(false) {
            return State::Open;
        }
        if !self.open(true) {
            return State::Refused(if is_full {
                AgeError::Damaged
            } else {
                AgeError::CutOff
            });
        }
        // Only a payload without content ends with an empty chunk.
        if self.opened.is_empty() && self.offset > 0 {
            return State::Refused(AgeError::Damaged);
        }
        State::Last
    }

    /// Opens what was read as the next chunk, and says whether it is that.
    fn open(&mut self, is_last: bool) -> bool {
        self.given = 0;
        self.opened.clear();
        self.opened.extend_from_slice(&self.sealed[..self.read]);
        let nonce = self.counter.nonce(is_last);
        let length = match self.key.open_in_place(nonce, Aad::empty(), &mut self.opened) {
            Ok(content) => content.len(),
            Err(_) => {
                self.opened.clear();
                return false;
            }
        };
        self.opened.truncate(length);
        self.offset += length as u64;
        self.counter.advance();
        true
    }
}

impl<R: Read> Read for Decryption<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while self.given == self.opened.len() {
            self.advance()?;
            if let State::Ended = self.state {
                return Ok(0);
            }
        }
        let rest = &self.opened[self.given..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}
