//! The serial number of a certificate.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::quoted;

/// A serial number as this CA makes them: 16 random octets, the first 01 to 7F, so that the DER INTEGER is
/// positive and exactly 16 octets long (RFC 5280 §4.1.2.2). Its text form is 32 upper-case hexadecimal
/// digits, the form that nginx and Node.js give for a client certificate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial([u8; 16]);

impl Serial {
    /// Its length in octets.
    pub const LENGTH: usize = 16;

    /// The serial made of these random octets; the first octet is mapped into 01 to 7F.
    pub fn from_random(mut random: [u8; 16]) -> Self {
        random[0] = match random[0] & 0x7F {
            0 => 0x01,
            octet => octet,
        };
        Self(random)
    }

    /// The content octets of the DER INTEGER, where they have this CA's form.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        let octets: [u8; 16] = octets.try_into().ok()?;
        (1..=0x7F).contains(&octets[0]).then_some(Self(octets))
    }

    /// The content octets of the DER INTEGER.
    pub fn octets(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether `text` looks like a serial number, correct or not. Colons, white space, `0x`, `serial=` and
    /// `Serial Number:` are ignored. Eight or more characters must be left, all of them hexadecimal digits;
    /// among 24 or more, up to two may be others. A text without any decimal digit may be a name: it counts
    /// only if it has exactly 32 characters.
    pub fn resembles(text: &str) -> bool {
        let digits = digits(text);
        let count = digits.chars().count();
        let others = digits.chars().filter(|c| !c.is_ascii_hexdigit()).count();
        let slips = if count >= 24 { 2 } else { 0 };
        let is_word = !digits.contains(|c: char| c.is_ascii_digit());
        count >= 8 && others <= slips && (!is_word || count == 32)
    }

    /// The first eight digits: enough to tell the files of one device apart.
    pub fn short(&self) -> String {
        self.to_string()
            .chars()
            .take(8)
            .collect::<String>()
            .to_ascii_lowercase()
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXUPPER.encode(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = InvalidSerial;

    fn from_str(text: &str) -> Result<Self, InvalidSerial> {
        of_digits(text).ok_or_else(|| InvalidSerial {
            text: quoted(text),
            fault: fault(text),
            meant: meant(text),
        })
    }
}

/// The serial number of so many hexadecimal digits and nothing else.
fn of_digits(text: &str) -> Option<Serial> {
    let octets = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
    Serial::from_octets(&octets)
}

/// The serial number that other programs write so: some leave out a 0 at its beginning.
fn meant(text: &str) -> Option<Serial> {
    let digits = digits(text);
    match digits.len() {
        31 => of_digits(&format!("0{digits}")),
        _ => of_digits(&digits),
    }
}

/// A text without what other programs write between and before the digits: `serial=` is OpenSSL's, `Serial
/// Number:` everybody's.
fn digits(text: &str) -> String {
    let mut bare = text.trim();
    for word in ["serial", "number"] {
        if let Some(rest) = bare
            .get(word.len()..)
            .filter(|_| bare[..word.len()].eq_ignore_ascii_case(word))
        {
            bare = rest.trim_start_matches([' ', ':', '=']);
        }
    }
    let digits = bare.trim_start_matches("0x").trim_start_matches("0X").chars();
    digits.filter(|c| *c != ':' && !c.is_whitespace()).collect()
}

fn fault(text: &str) -> String {
    let digits = digits(text);
    if let Some(other) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
        return format!("{} is no hexadecimal digit", quoted(&other.to_string()));
    }
    match (digits.len(), meant(text)) {
        (32, Some(serial)) => format!("write it as {serial}"),
        (31, Some(_)) => {
            "it has 31 hexadecimal digits, and must have 32: some programs leave out a 0 at its beginning"
                .into()
        }
        (32, None) => "this program makes none that begins with 00, or with 8 to F".into(),
        (1, _) => "it has 1 hexadecimal digit, and must have 32".into(),
        (count, _) => format!("it has {count} hexadecimal digits, and must have 32"),
    }
}

impl TryFrom<String> for Serial {
    type Error = InvalidSerial;

    fn try_from(text: String) -> Result<Self, InvalidSerial> {
        text.parse()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

/// A text that is no serial number of this CA.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not a serial number: {fault}")]
pub struct InvalidSerial {
    text: String,
    fault: String,
    meant: Option<Serial>,
}

impl InvalidSerial {
    /// The serial number that it is, written as another program does.
    pub fn meant(&self) -> Option<Serial> {
        self.meant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_random_serial_is_a_positive_integer_of_sixteen_octets() {
        for first in 0..=255 {
            let serial = Serial::from_random([first; 16]);
            assert_eq!(Serial::from_octets(serial.octets()), Some(serial));
        }
    }

    #[test]
    fn text_is_read_in_any_case_and_written_in_upper_case() {
        let serial: Serial = "0a1b2c3d4e5f60718293a4b5c6d7e8f9".parse().unwrap();
        assert_eq!(serial.to_string(), "0A1B2C3D4E5F60718293A4B5C6D7E8F9");
        assert_eq!(serial.short(), "0a1b2c3d");
        for bad in [
            "",
            "0A",
            "80000000000000000000000000000000",
            "00000000000000000000000000000001",
            "zz",
        ] {
            assert!(bad.parse::<Serial>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_badly_written_serial_is_known_for_one_and_a_name_is_not() {
        for (text, fault) in [
            ("0A1B2C3D", "it has 8 hexadecimal digits, and must have 32"),
            (
                "0A1B2C3D4E5F60718293A4B5C6D7E8F",
                "it has 31 hexadecimal digits, and must have 32",
            ),
            (
                "A1B2C3D4E5F60718293A4B5C6D7E8F9",
                "it has 31 hexadecimal digits, and must have 32: some programs leave out a 0 at its beginning",
            ),
            (
                "0A1B2C3D4E5F60718293A4B5C6D7E8G9",
                "\"G\" is no hexadecimal digit",
            ),
            (
                "0a:1b:2c:3d:4e:5f:60:71:82:93:a4:b5:c6:d7:e8:f9",
                "write it as 0A1B2C3D4E5F60718293A4B5C6D7E8F9",
            ),
            (
                "0a 1b 2c 3d 4e 5f 60 71 82 93 a4 b5 c6 d7 e8 f9",
                "write it as 0A1B2C3D4E5F60718293A4B5C6D7E8F9",
            ),
            (
                "serial=0A1B2C3D4E5F60718293A4B5C6D7E8F9",
                "write it as 0A1B2C3D4E5F60718293A4B5C6D7E8F9",
            ),
            (
                "0X0a1b 2c3d 4e5f 6071 8293 a4b5 c6d7 e8f9",
                "write it as 0A1B2C3D4E5F60718293A4B5C6D7E8F9",
            ),
            (
                "Serial Number: 0x0a1b2c3d4e5f60718293a4b5c6d7e8f9",
                "write it as 0A1B2C3D4E5F60718293A4B5C6D7E8F9",
            ),
            (
                "ABCDEFABCDEFABCDEFABCDEFABCDEFAB",
                "this program makes none that begins with 00, or with 8 to F",
            ),
            (
                "8A1B2C3D4E5F60718293A4B5C6D7E8F9",
                "this program makes none that begins with 00, or with 8 to F",
            ),
        ] {
            assert!(Serial::resembles(text), "{text}");
            let error = text.parse::<Serial>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("\"{text}\" is not a serial number: {fault}")
            );
        }
        for name in [
            "alice",
            "cafebabe",
            "b0b",
            "serial",
            "serial-2026",
            "ALICE2026",
            "a.very.long.name-of-somebody-from.2026",
            "",
        ] {
            assert!(!Serial::resembles(name), "{name}");
        }
    }
}
