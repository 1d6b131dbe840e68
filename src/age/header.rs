//! The header of an age file: a line that says the version, stanzas, and a MAC over all of it. It is text, of
//! which there is one spelling: whatever is said differently is refused.
//!
//! ```text
//! age-encryption.org/v1
//! -> X25519 XEl0dJ6y3C7KZkgmgWUicg63EyXJiwBJW8PdYJ/cYBE
//! qRS0AMjdjPvZ/WT08U2KL4G+PIooA3hy38SvLpvaC1E
//! --- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s
//! ```

use std::io::{self, BufRead, Read};

use data_encoding::BASE64_NOPAD;

use super::error::{AgeError, HeaderFault};
use super::file_key::FileKey;

/// What the first line of every version begins with.
const BEGIN: &[u8] = b"age-encryption.org/";
/// The first line.
const FIRST: &[u8] = b"age-encryption.org/v1\n";
/// The longest version that is told as one, in octets.
const LONGEST_VERSION: usize = 32;
/// The longest header that is read, in octets.
pub(super) const LONGEST: u64 = 1 << 20;
/// How many characters each line of a body has but the last, which has fewer.
const COLUMNS: usize = 64;

/// A header as it was read.
pub(super) struct Header {
    /// Its octets up to and with the `---`: what the MAC is of.
    covered: Vec<u8>,
    /// Its stanzas: at least one.
    pub(super) stanzas: Vec<Stanza>,
    mac: [u8; 32],
}

/// The file key for somebody, in a way that its first argument names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stanza {
    /// At least one; printable ASCII without spaces.
    pub(super) arguments: Vec<String>,
    pub(super) body: Vec<u8>,
}

impl Header {
    /// Reads a header and not an octet more.
    pub(super) fn read(input: &mut impl BufRead) -> Result<Self, AgeError> {
        let mut lines = Lines {
            input: input.take(LONGEST),
            read: Vec::new(),
        };
        lines.version()?;
        let mut stanzas = Vec::new();
        loop {
            let start = lines.read.len();
            let line = lines.next()?;
            if let Some(arguments) = line.strip_prefix(b"-> ") {
                let arguments = arguments_in(arguments)?;
                let body = lines.body()?;
                stanzas.push(Stanza { arguments, body });
            } else if let Some(mac) = line.strip_prefix(b"--- ") {
                let mac = decode(mac).ok_or(HeaderFault::Mac)?;
                let mac = mac.try_into().map_err(|_| HeaderFault::Mac)?;
                if stanzas.is_empty() {
                    return Err(HeaderFault::NoStanza.into());
                }
                let mut covered = lines.read;
                covered.truncate(start + 3);
                return Ok(Self {
                    covered,
                    stanzas,
                    mac,
                });
            } else {
                return Err(HeaderFault::Line.into());
            }
        }
    }

    /// Whether it was written with this file key, and is as it was written.
    pub(super) fn verify(&self, key: &FileKey) -> Result<(), AgeError> {
        if key.verifies(&self.covered, &self.mac) {
            Ok(())
        } else {
            Err(AgeError::Mac)
        }
    }
}

/// A header with these stanzas.
pub(super) fn write(stanzas: &[Stanza], key: &FileKey) -> Vec<u8> {
    let mut header = FIRST.to_vec();
    for stanza in stanzas {
        header.extend_from_slice(b"-> ");
        header.extend_from_slice(stanza.arguments.join(" ").as_bytes());
        header.push(b'\n');
        let body = BASE64_NOPAD.encode(&stanza.body).into_bytes();
        let mut lines = body.chunks_exact(COLUMNS);
        for line in &mut lines {
            header.extend_from_slice(line);
            header.push(b'\n');
        }
        // A shorter line ends a body, be it an empty one.
        header.extend_from_slice(lines.remainder());
        header.push(b'\n');
    }
    header.extend_from_slice(b"---");
    let mac = BASE64_NOPAD.encode(&key.mac(&header));
    header.push(b' ');
    header.extend_from_slice(mac.as_bytes());
    header.push(b'\n');
    header
}

/// Canonical base64 without padding.
pub(super) fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    BASE64_NOPAD.decode(text.as_ref()).ok()
}

/// Octets as base64 without padding.
pub(super) fn encode(octets: &[u8]) -> String {
    BASE64_NOPAD.encode(octets)
}

/// What is behind the arrow of a stanza.
fn arguments_in(line: &[u8]) -> Result<Vec<String>, HeaderFault> {
    let argument = |octets: &[u8]| {
        let is_good = !octets.is_empty() && octets.iter().all(u8::is_ascii_graphic);
        let text = is_good.then(|| String::from_utf8_lossy(octets).into_owned());
        text.ok_or(HeaderFault::Arguments)
    };
    line.split(|octet| *octet == b' ').map(argument).collect()
}

/// The lines of a header while it is read.
struct Lines<R> {
    input: io::Take<R>,
    read: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The first line. Whatever does not begin like one is no age file.
    fn version(&mut self) -> Result<(), AgeError> {
        (&mut self.input)
            .take(BEGIN.len() as u64)
            .read_to_end(&mut self.read)?;
        if self.read != BEGIN {
            return Err(AgeError::NotAge);
        }
        let version = self.next()?;
        if version == b"v1" {
            return Ok(());
        }
        if version.is_empty() || !version.iter().all(u8::is_ascii_graphic) {
            return Err(HeaderFault::Version.into());
        }
        let shown = &version[..version.len().min(LONGEST_VERSION)];
        Err(AgeError::Version(String::from_utf8_lossy(shown).into_owned()))
    }

    /// The next line, without its end.
    fn next(&mut self) -> Result<&[u8], AgeError> {
        let start = self.read.len();
        self.input.read_until(b'\n', &mut self.read)?;
        match self.read[start..].strip_suffix(b"\n") {
            Some(line) => Ok(line),
            None if self.input.limit() == 0 => Err(HeaderFault::TooLong.into()),
            None => Err(HeaderFault::CutOff.into()),
        }
    }

    /// The body of a stanza.
    fn body(&mut self) -> Result<Vec<u8>, AgeError> {
        let mut body = Vec::new();
        loop {
            let line = self.next()?;
            if line.len() > COLUMNS {
                return Err(HeaderFault::Body.into());
            }
            body.extend(decode(line).ok_or(HeaderFault::Body)?);
            if line.len() < COLUMNS {
                return Ok(body);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(arguments: &[&str], length: usize) -> Stanza {
        Stanza {
            arguments: arguments.iter().map(ToString::to_string).collect(),
            body: vec![0xA5; length],
        }
    }

    fn fault(text: &str) -> HeaderFault {
        match Header::read(&mut text.as_bytes()) {
            Err(AgeError::Header(fault)) => fault,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("taken: {text}"),
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_behind_it() {
        let key = FileKey::of([1; 16]);
        // A body whose last line is empty, full but for a character, or the only one.
        let stanzas: Vec<Stanza> = [0, 1, 32, 47, 48, 49, 96]
            .map(|length| stanza(&["kind", "argument", "~!"], length))
            .into();
        let mut text = write(&stanzas, &key);
        text.extend_from_slice(b"payload");
        let mut input = text.as_slice();
        let read = Header::read(&mut input).unwrap();
        assert_eq!(read.stanzas, stanzas);
        assert_eq!(input, b"payload");
        assert!(read.verify(&key).is_ok());
        assert!(matches!(read.verify(&FileKey::of([2; 16])), Err(AgeError::Mac)));
    }

    #[test]
    fn a_header_is_bounded() {
        let long = format!("age-encryption.org/v1\n-> {}", "a".repeat(2 << 20));
        assert_eq!(fault(&long), HeaderFault::TooLong);
        let many = format!("age-encryption.org/v1\n{}", "-> a\n\n".repeat(1 << 20));
        assert_eq!(fault(&many), HeaderFault::TooLong);
    }

    #[test]
    fn each_rule_that_is_broken_is_named() {
        let mac = encode(&[0; 32]);
        let stanza = "-> kind argument\n\n";
        let end = format!("--- {mac}\n");
        let long = "A".repeat(64);
        for (behind_version, expected) in [
            (end.clone(), HeaderFault::NoStanza),
            (stanza.to_owned(), HeaderFault::CutOff),
            (format!("{stanza}--- {mac}"), HeaderFault::CutOff),
            (format!("{stanza}->kind\n\n{end}"), HeaderFault::Line),
            (format!("{stanza}---{mac}\n"), HeaderFault::Line),
            (format!("{stanza}--- {mac} \n"), HeaderFault::Mac),
            (format!("{stanza}--- {}\n", &mac[..40]), HeaderFault::Mac),
            (format!("-> \n\n{end}"), HeaderFault::Arguments),
            (format!("-> kind  argument\n\n{end}"), HeaderFault::Arguments),
            (format!("-> kind\r\n\n{end}"), HeaderFault::Arguments),
            (format!("-> kïnd\n\n{end}"), HeaderFault::Arguments),
            (format!("-> kind\n{long}\n{end}"), HeaderFault::Body),
            (format!("-> kind\n{long}A\n\n{end}"), HeaderFault::Body),
            (format!("-> kind\nAA==\n{end}"), HeaderFault::Body),
            (format!("-> kind\nAB\n{end}"), HeaderFault::Body),
        ] {
            let text = format!("age-encryption.org/v1\n{behind_version}");
            assert_eq!(fault(&text), expected, "{text}");
        }
        for version in [
            "age-encryption.org/v1\r\n",
            "age-encryption.org/\n",
            "age-encryption.org/v 2\n",
        ] {
            assert_eq!(fault(version), HeaderFault::Version, "{version}");
        }
    }

    #[test]
    fn another_version_is_named_and_another_file_is_none() {
        let read = |text: &str| Header::read(&mut text.as_bytes()).err().unwrap();
        assert!(matches!(read("age-encryption.org/v2\nnew"), AgeError::Version(v) if v == "v2"));
        assert!(matches!(
            read("age-encryption.org/v1"),
            AgeError::Header(HeaderFault::CutOff)
        ));
        for other in [
            "",
            "age",
            "-----BEGIN CERTIFICATE-----\n",
            "AGE-encryption.org/v1\n",
        ] {
            assert!(matches!(read(other), AgeError::NotAge), "{other}");
        }
    }
}
