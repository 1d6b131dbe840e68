//! Takes an age file out of its ASCII armor: PEM (RFC 7468) of the strict kind, with the label
//! `AGE ENCRYPTED FILE`. Lines end with LF or CRLF, and whitespace may stand around it.

use std::io::{self, BufRead, BufReader, Read};

use data_encoding::BASE64;

use super::error::AgeError;

const BEGIN: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const END: &[u8] = b"-----END AGE ENCRYPTED FILE-----";
/// How many characters each line has but the last, which may have fewer.
const COLUMNS: usize = 64;
/// How much whitespace may stand before and behind, in octets each.
const WHITESPACE: usize = 1024;

/// A file in binary, whichever of the two forms it has.
pub(super) enum Binary<R> {
    Plain(BufReader<R>),
    Armored(BufReader<Armored<BufReader<R>>>),
}

impl<R: Read> Binary<R> {
    /// Looks which form a file has. What begins with whitespace or with a dash is none in binary.
    pub(super) fn of(input: R) -> Result<Self, AgeError> {
        let mut input = BufReader::new(input);
        let mut skipped = 0;
        let mut last = b'\n';
        while let Some(octet) = peek(&mut input)?.filter(u8::is_ascii_whitespace) {
            input.consume(1);
            skipped += 1;
            last = octet;
            if skipped > WHITESPACE {
                return Err(AgeError::NotAge);
            }
        }
        let is_armored = peek(&mut input)? == Some(b'-');
        match (is_armored, skipped) {
            (true, _) if last == b'\n' => {
                let armored = Armored::begin(input)?;
                Ok(Self::Armored(BufReader::new(armored)))
            }
            (false, 0) => Ok(Self::Plain(input)),
            _ => Err(AgeError::NotAge),
        }
    }
}

impl<R: Read> Read for Binary<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(out),
            Self::Armored(input) => input.read(out),
        }
    }
}

impl<R: Read> BufRead for Binary<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Plain(input) => input.fill_buf(),
            Self::Armored(input) => input.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Self::Plain(input) => input.consume(count),
            Self::Armored(input) => input.consume(count),
        }
    }
}

/// The next octet, which stays there; none at the end.
fn peek(input: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        match input.fill_buf() {
            Ok(octets) => return Ok(octets.first().copied()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What is in an armor, line by line.
pub(super) struct Armored<R> {
    input: R,
    /// The number of the line that was read last, from the first one of the armor on.
    line: u64,
    /// What a line held, and how much of it was given out.
    octets: Vec<u8>,
    given: usize,
    state: State,
}

/// How far an armor was read.
#[derive(Clone, Copy)]
enum State {
    /// Another line follows.
    Open,
    /// All of it was read.
    Ended,
    /// It is damaged.
    Refused(&'static str),
}

impl<R: BufRead> Armored<R> {
    /// Reads the first line.
    fn begin(input: R) -> Result<Self, AgeError> {
        let mut armored = Self {
            input,
            line: 0,
            octets: Vec::new(),
            given: 0,
            state: State::Open,
        };
        match armored.next_line()? {
            Some(line) if line == BEGIN => Ok(armored),
            Some(_) | None => Err(AgeError::NotAge),
        }
    }

    /// The next line without its end; none where the file ends, or the line is longer than any may be.
    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let most = COLUMNS + b"\r\n".len();
        self.line += 1;
        (&mut self.input).take(most as u64).read_until(b'\n', &mut line)?;
        let is_whole = line.ends_with(b"\n") || (!line.is_empty() && peek(&mut self.input)?.is_none());
        for end in [b'\n', b'\r'] {
            if line.last() == Some(&end) {
                line.pop();
            }
        }
        Ok(is_whole.then_some(line))
    }

    fn advance(&mut self) -> io::Result<State> {
        let Some(line) = self.next_line()? else {
            return Ok(State::Refused("it is too long, or missing"));
        };
        if line == END {
            return self.behind();
        }
        if line.is_empty() || line.len() > COLUMNS {
            return Ok(State::Refused("it has not 1 to 64 characters"));
        }
        let Ok(octets) = BASE64.decode(&line) else {
            return Ok(State::Refused("it is no canonical base64"));
        };
        let is_last = octets.len() < COLUMNS / 4 * 3;
        self.octets = octets;
        self.given = 0;
        if !is_last {
            return Ok(State::Open);
        }
        match self.next_line()? {
            Some(line) if line == END => self.behind(),
            Some(_) | None => Ok(State::Refused("the armor does not end behind a shorter line")),
        }
    }

    /// Behind the last line there is whitespace alone, and not much.
    fn behind(&mut self) -> io::Result<State> {
        let mut rest = Vec::new();
        (&mut self.input)
            .take(WHITESPACE as u64 + 1)
            .read_to_end(&mut rest)?;
        if rest.len() > WHITESPACE || !rest.trim_ascii().is_empty() {
            return Ok(State::Refused("something follows it"));
        }
        Ok(State::Ended)
    }
}

impl<R: BufRead> Read for Armored<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.octets.len() {
            match self.state {
                State::Open => self.state = self.advance()?,
                State::Ended => return Ok(0),
                State::Refused(fault) => {
                    return Err(AgeError::Armor {
                        line: self.line,
                        fault,
                    }
                    .into());
                }
            }
        }
        let rest = &self.octets[self.given..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n";

    /// What is in a file, and the line of the error.
    fn inside(file: &str) -> Result<String, u64> {
        let mut binary = Binary::of(file.as_bytes()).map_err(|_| 0_u64)?;
        let mut inside = String::new();
        match binary.read_to_string(&mut inside).map_err(AgeError::from) {
            Ok(_) => Ok(inside),
            Err(AgeError::Armor { line, .. }) => Err(line),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn both_forms_are_told_apart() {
        assert_eq!(inside("age"), Ok("age".into()));
        assert_eq!(inside(BODY), Ok("age".into()));
        assert_eq!(inside(""), Ok(String::new()));
        assert_eq!(inside(" age"), Err(0));
        assert_eq!(inside("-----BEGIN CERTIFICATE-----\n"), Err(0));
    }

    #[test]
    fn whitespace_stands_around_an_armor_in_lines_of_its_own_and_is_bounded() {
        let much = "\n".repeat(WHITESPACE);
        assert_eq!(inside(&format!("{much}{BODY}{much}")), Ok("age".into()));
        assert_eq!(inside(&format!("{much}\n{BODY}")), Err(0));
        assert_eq!(inside(&format!("{BODY}{much}\n")), Err(3));
        assert_eq!(inside(&format!(" {BODY}")), Err(0));
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        assert_eq!(inside(&BODY.replace("YWdl", "YWdl\nYWdl")), Err(3));
        assert_eq!(inside(&BODY.replace("YWdl", &"A".repeat(65))), Err(2));
        assert_eq!(inside(&BODY.replace("YWdl", &"A".repeat(640))), Err(2));
        assert_eq!(inside(&BODY.replace("YWdl", "")), Err(2));
        assert_eq!(inside(&BODY.replace("YWdl", "YWd")), Err(2));
        assert_eq!(inside(&format!("{BODY}more")), Err(3));
        assert_eq!(inside("-----BEGIN AGE ENCRYPTED FILE-----\n"), Err(2));
    }
}
