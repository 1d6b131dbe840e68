//! The history of a home's ledger, `history.jsonl`: a checkpoint for each time that the servers' half was
//! signed. Whoever keeps one can tell later that the ledger has gone on from there, and was not set back.
//!
//! A line is a checkpoint: a JWS, signed as the manifest is. The oldest comes first.

use serde::{Deserialize, Serialize};

use super::file::{Body, File, Section};
use super::statement::{Unproven, said};
use crate::key::PublicKey;
use crate::model::Time;
use crate::model::encoding::hex32;

/// The file of the history.
pub const HISTORY: &str = "history.jsonl";

/// The payload of a checkpoint: how far a ledger had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The version of the format: 1.
    pub version: u32,
    /// Whose ledger it is: the hash of its first event (`sha` in the ledger), hexadecimal.
    #[serde(with = "hex32")]
    pub home: [u8; 32],
    /// The end of the ledger when the publication was made.
    #[serde(flatten)]
    pub end: End,
    /// The time at which it was made.
    pub made: Time,
    /// The end of a ledger that this one takes the place of: an older one was put back, has taken in what was
    /// published of the other, and goes on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cites: Option<End>,
}

/// The last event of a ledger, which stands for all of them: each has the hash of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The number of the last event, which is how many there are.
    pub events: u64,
    /// Its hash (`sha` in the ledger), SHA-256, hexadecimal.
    #[serde(with = "hex32")]
    pub head: [u8; 32],
}

/// A line of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The JWS in compact form.
    pub jws: String,
}

/// A history: checkpoints whose numbers rise, but for one that cites the one before it. Their signatures are
/// not verified by that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    lines: Vec<Line>,
}

/// The reasons for which octets are no history. Lines count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHistory {
    /// The line is not a checkpoint of version 1.
    #[error("line {0} is no checkpoint that this program reads")]
    Line(usize),
    /// The line has no more events than the one before, and does not cite it.
    #[error("line {0} has not more events than the line before, and does not cite it")]
    Order(usize),
    /// The line is of another ledger than the first one.
    #[error("line {0} is of another PKI's ledger than the first line")]
    Home(usize),
    /// There is no line.
    #[error("it has no checkpoint")]
    Empty,
}

impl Checkpoint {
    /// `typ` of a checkpoint.
    pub const TYPE: &'static str = "pki-checkpoint+jws";

    /// Its text, which is signed.
    pub fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers, strings and times have a JSON form")
    }

    /// Whether it may stand behind that one.
    fn follows(&self, before: &Self) -> bool {
        self.end.events > before.end.events || self.cites == Some(before.end)
    }
}

impl History {
    /// The newest checkpoints, all of which stay. Of those before them the last one of each month stays, and
    /// whatever cites another.
    pub const KEPT: usize = 500;
    /// The longest file that is read, in octets: centuries of it.
    pub const LONGEST: u64 = 8 << 20;

    /// Reads a history, whoever has signed it.
    ///
    /// # Errors
    /// The first line that is not as it should be.
    pub fn read(octets: &[u8]) -> Result<Self, InvalidHistory> {
        let mut lines: Vec<Line> = Vec::new();
        let text = octets.strip_suffix(b"\n").unwrap_or(octets);
        if text.is_empty() {
            return Err(InvalidHistory::Empty);
        }
        for (i, line) in text.split(|octet| *octet == b'\n').enumerate() {
            let number = i + 1;
            let line = Line::read(line).ok_or(InvalidHistory::Line(number))?;
            if let Some(before) = lines.last() {
                if line.checkpoint.home != before.checkpoint.home {
                    return Err(InvalidHistory::Home(number));
                }
                if !line.checkpoint.follows(&before.checkpoint) {
                    return Err(InvalidHistory::Order(number));
                }
            }
            lines.push(line);
        }
        Ok(Self { lines })
    }

    /// Those of these lines, in any order, that a history can have: one for each number, rising.
    pub fn of(mut lines: Vec<Line>) -> Self {
        lines.sort_by_key(|line| line.checkpoint.end.events);
        lines.dedup_by_key(|line| line.checkpoint.end.events);
        Self { lines }
    }

    /// Its lines, the oldest first.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Its last checkpoint.
    pub fn last(&self) -> Option<&Checkpoint> {
        self.lines.last().map(|line| &line.checkpoint)
    }

    /// The history with one more checkpoint, and without what is too old to stay. A ledger that has not
    /// grown since the last one gets none.
    pub fn and(mut self, line: Line) -> Self {
        if self.last().is_none_or(|last| line.checkpoint.follows(last)) {
            self.lines.push(line);
        }
        self.thinned()
    }

    /// The history without what is too old to stay: never without its last line.
    pub fn thinned(self) -> Self {
        let old = self.lines.len().saturating_sub(Self::KEPT);
        // Day by day the same lines stay: each is held against the next one alone.
        let stays: Vec<bool> = self
            .lines
            .windows(2)
            .take(old)
            .map(|pair| {
                let [line, next] = [&pair[0], &pair[1]].map(|line| &line.checkpoint);
                line.cites.is_some() || month(line.made) != month(next.made)
            })
            .collect();
        let lines = self.lines.into_iter().enumerate();
        let lines = lines.filter(|(i, _)| stays.get(*i).copied().unwrap_or(true));
        Self {
            lines: lines.map(|(_, line)| line).collect(),
        }
    }

    /// The lines behind the last one that the other history has, too.
    pub fn since(&self, other: &Self) -> &[Line] {
        let is_common = |line: &Line| {
            other
                .lines
                .iter()
                .any(|known| known.checkpoint.end == line.checkpoint.end)
        };
        let begin = self.lines.iter().rposition(is_common).map_or(0, |last| last + 1);
        self.lines.get(begin..).unwrap_or_default()
    }

    /// Whether the ledger has gone on from this end: a checkpoint has it, or cites it. Where at least
    /// [`Self::KEPT`] checkpoints are later, it may have been one that does not stay, and nothing
    /// contradicts it.
    pub fn continues(&self, end: End) -> bool {
        let later = |line: &&Line| line.checkpoint.end.events > end.events;
        let has = |line: &Line| line.checkpoint.end == end || line.checkpoint.cites == Some(end);
        let contradicts = |line: &Line| line.checkpoint.end.events == end.events;
        self.lines.iter().any(has)
            || (!self.lines.iter().any(contradicts) && self.lines.iter().filter(later).count() >= Self::KEPT)
    }

    /// Its octets.
    pub fn text(&self) -> Vec<u8> {
        let lines = self.lines.iter().flat_map(|line| [line.jws.as_str(), "\n"]);
        lines.collect::<String>().into_bytes()
    }
}

impl Line {
    /// Reads a line, whoever has signed it.
    fn read(line: &[u8]) -> Option<Self> {
        let unproven = Unproven::read(line).filter(|unproven| unproven.typ == Checkpoint::TYPE)?;
        let checkpoint: Checkpoint = serde_json::from_slice(&unproven.payload).ok()?;
        (checkpoint.version == 1).then_some(Self {
            checkpoint,
            jws: std::str::from_utf8(line).ok()?.to_owned(),
        })
    }

    /// Whether this CA has signed it.
    pub fn is_signed_by(&self, signer: &PublicKey) -> bool {
        said(signer, self.jws.as_bytes()).is_some()
    }
}

/// The file of a history.
pub(super) fn file(history: Vec<u8>) -> File {
    File::new(HISTORY, Body::of(history)).listed_in(Section::Optional)
}

/// Year and month, UTC.
fn month(time: Time) -> String {
    time.to_string().chars().take(7).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;
    use proptest::prelude::*;

    /// A line that nobody has signed.
    fn line(events: u64, made: Time) -> Line {
        let checkpoint = Checkpoint {
            version: 1,
            home: [1; 32],
            end: End {
                events,
                head: [u8::try_from(events % 251).unwrap(); 32],
            },
            made,
            cites: None,
        };
        let encoded = |octets: &[u8]| data_encoding::BASE64URL_NOPAD.encode(octets);
        let header = format!("{{\"alg\":\"ES256\",\"typ\":\"{}\"}}", Checkpoint::TYPE);
        let parts = [header.as_bytes(), &checkpoint.text(), &[7; 64]].map(encoded);
        Line {
            checkpoint,
            jws: parts.join("."),
        }
    }

    fn grown(gaps: &[(u64, i64)]) -> History {
        let (mut events, mut made) = (0, Time::from_unix(1_800_000_000));
        gaps.iter().fold(History::default(), |history, (more, hours)| {
            events += more;
            made = made + Span::seconds(hours * 3600);
            history.and(line(events, made))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_history_stays_short_reads_back_and_continues_whatever_was_seen(
            gaps in proptest::collection::vec((0..3_u64, 0..40_i64), 1..1600),
            seen in any::<proptest::sample::Index>(),
        ) {
            let history = grown(&gaps);
            let Some(last) = history.last() else { return Ok(()) };
            prop_assert_eq!(History::read(&history.text()), Ok(history.clone()));
            prop_assert_eq!(last.end.events, gaps.iter().map(|(more, _)| more).sum::<u64>());
            // 1,600 times up to 40 hours are eight years.
            prop_assert!(history.lines().len() <= History::KEPT + 8 * 12, "{}", history.lines().len());
            prop_assert_eq!(history.clone().thinned(), history.clone());
            // Whoever saw it at any time before finds what was seen, or so much after it that it may be gone.
            let before = grown(&gaps[..=seen.index(gaps.len())]);
            if let Some(seen) = before.last() {
                prop_assert!(history.continues(seen.end));
                let other = End { head: [255; 32], ..seen.end };
                let is_there = history.lines().iter().any(|line| line.checkpoint.end.events == other.events);
                prop_assert!(!is_there || !history.continues(other));
            }
            let beyond = End { events: last.end.events + 1, head: [9; 32] };
            prop_assert!(!history.continues(beyond));
        }
    }

    #[test]
    fn what_is_no_history_is_refused() {
        let made = Time::from_unix(1_800_000_000);
        let [one, two] = [1, 2].map(|events| line(events, made));
        let text = |lines: &[&Line]| {
            let lines = lines.iter().map(|line| format!("{}\n", line.jws));
            lines.collect::<String>()
        };
        let read = |text: &str| History::read(text.as_bytes());
        assert_eq!(read(&text(&[&one, &two])).unwrap().lines().len(), 2);
        assert_eq!(read(&text(&[&two, &one])), Err(InvalidHistory::Order(2)));
        assert_eq!(read(&text(&[&one, &one])), Err(InvalidHistory::Order(2)));
        assert_eq!(read(""), Err(InvalidHistory::Empty));
        assert_eq!(read("\n"), Err(InvalidHistory::Empty));
        assert_eq!(
            read(&format!("\n{}", text(&[&one]))),
            Err(InvalidHistory::Line(1))
        );
        assert_eq!(read(&(text(&[&one]) + "{}\n")), Err(InvalidHistory::Line(2)));
    }

    #[test]
    fn a_history_continues_what_a_checkpoint_cites() {
        let lost = End {
            events: 9,
            head: [3; 32],
        };
        let mut citing = line(5, Time::from_unix(1_800_000_000));
        citing.checkpoint.cites = Some(lost);
        let history = History::default().and(citing);
        assert!(history.continues(lost));
        assert!(!history.continues(End {
            head: [4; 32],
            ..lost
        }));
    }
}
