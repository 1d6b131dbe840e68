//! Follows the chain of a ledger that comes in pieces, wherever it is read from: a backup has one, too.

use serde::{Deserialize, Serialize};

use super::ledger::{LONGEST, Position, check};
use crate::model::encoding::hex32;

/// How far a ledger goes: by it two ledgers of one founding are compared, and one is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// How many events it has.
    pub events: u64,
    /// Its length in octets.
    pub octets: u64,
    /// The SHA-256 of its last event, which covers all before it.
    #[serde(with = "hex32")]
    pub head: [u8; 32],
}

impl Extent {
    pub(in crate::store) fn of(position: Position) -> Self {
        Self {
            events: position.seq,
            octets: position.offset,
            head: position.sha,
        }
    }
}

/// The chain of a ledger as far as it came in. The events themselves are not read: what only a later version
/// knows does not matter.
#[derive(Debug)]
pub struct Chain {
    /// The line that has begun.
    line: Vec<u8>,
    position: Position,
    /// How much of a batch has come in, and how many events it has; the same where it is whole.
    batch: [usize; 2],
    is_broken: bool,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            line: Vec::new(),
            position: Position::START,
            batch: [0, 0],
            is_broken: false,
        }
    }
}

impl Chain {
    /// Takes the next piece.
    pub fn push(&mut self, mut octets: &[u8]) {
        while !self.is_broken && !octets.is_empty() {
            let end = octets.iter().position(|octet| *octet == b'\n');
            let (piece, rest) = octets.split_at(end.map_or(octets.len(), |end| end + 1));
            self.line.extend_from_slice(piece);
            octets = rest;
            if end.is_some() {
                self.follow();
                self.line.clear();
            } else if self.line.len() as u64 > LONGEST {
                self.is_broken = true;
            }
        }
    }

    fn follow(&mut self) {
        let [before, of] = self.batch;
        let goes_on = |[i, n]: [usize; 2]| {
            let expected = if before == of { (1, n) } else { (before + 1, of) };
            (i, n) == expected && i <= n
        };
        match check(&self.line, self.position).filter(|(_, batch)| goes_on(*batch)) {
            Some((after, batch)) => (self.position, self.batch) = (after, batch),
            None => self.is_broken = true,
        }
    }

    /// How far it goes.
    ///
    /// # Errors
    /// Where an event does not hold or the last batch is not whole: the number of the last event that holds.
    pub fn extent(&self) -> Result<Extent, u64> {
        let [before, of] = self.batch;
        if self.is_broken || !self.line.is_empty() || before != of || self.position == Position::START {
            return Err(self.position.seq);
        }
        Ok(Extent::of(self.position))
    }
}
