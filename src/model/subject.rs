//! The holder of a certificate: an employee, her device, her full name and her e-mail address.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::serial::Serial;
use super::text::{Unprintable, harmless, printable, quoted, readable};

/// An employee's short name, `alice`: `[a-z0-9][a-z0-9._-]*`, at most 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Employee(String);

/// A device's short name, `phone`: `[a-z0-9][a-z0-9._-]*`, at most 32 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Device(String);

/// One device of one employee, `alice/phone`: the identity that a certificate carries (its subject's UID).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// The employee whose device it is.
    pub employee: Employee,
    /// The device, one of hers.
    pub device: Device,
}

/// A person's full name, for other people: Unicode text of 1 to 128 characters that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PersonName(String);

/// An e-mail address: a local part, `@` and a domain of two labels or more, at most 254 octets. It need not
/// be ASCII; one that is not stays out of certificates (RFC 5280 §4.2.1.6: rfc822Name is an IA5String).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

/// The reason for which a text is not a valid name or address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubject {
    /// Not `[a-z0-9][a-z0-9._-]*`, or too long.
    #[error("{text} is not {what} name: it {rule}")]
    Name {
        /// The text, escaped.
        text: String,
        /// `an employee's` or `a device's`.
        what: &'static str,
        /// The rule it breaks, as a predicate.
        rule: String,
    },
    /// More than one slash.
    #[error("{0} is not an address: EMPLOYEE/DEVICE has exactly one slash")]
    Address(String),
    /// A person's name with characters that nobody can see.
    #[error("the name {text} {why}")]
    Unprintable {
        /// The text, escaped.
        text: String,
        /// The fault of the character.
        why: Unprintable,
    },
    /// A person's name that is empty or too long.
    #[error(
        "the name {text} has {count} characters: it must have 1 to {}",
        PersonName::MAX
    )]
    Length {
        /// The text, escaped and cut.
        text: String,
        /// The number of its characters.
        count: usize,
    },
    /// Not an e-mail address.
    #[error("{0} is not an e-mail address such as alice@acme.example")]
    Email(String),
}

/// Checks the one rule that both sides of an address follow.
fn short_name(text: &str, what: &'static str, max: usize) -> Result<String, InvalidSubject> {
    let fault = |rule: String| InvalidSubject::Name {
        text: quoted(text),
        what,
        rule,
    };
    if text.is_empty() {
        return Err(fault("is empty".into()));
    }
    if text.chars().count() > max {
        return Err(fault(format!(
            "has {} characters, and may have {max}",
            text.chars().count()
        )));
    }
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !text
        .bytes()
        .all(|b| allowed(b) || matches!(b, b'.' | b'_' | b'-'))
    {
        let lower = text.to_ascii_lowercase();
        let rule = if lower
            .bytes()
            .all(|b| allowed(b) || matches!(b, b'.' | b'_' | b'-'))
        {
            "may not have upper-case letters"
        } else {
            "may have a-z, 0-9, dot, underscore and hyphen only"
        };
        return Err(fault(rule.into()));
    }
    if !text.bytes().next().is_some_and(allowed) {
        return Err(fault("must begin with a letter or a digit".into()));
    }
    Ok(text.to_owned())
}

impl FromStr for Employee {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        short_name(text, "an employee's", 64).map(Self)
    }
}

impl FromStr for Device {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        short_name(text, "a device's", 32).map(Self)
    }
}

impl Address {
    /// The address of `device` of `employee`.
    pub fn new(employee: Employee, device: Device) -> Self {
        Self { employee, device }
    }

    /// The stem of the names of this device's files: `alice-phone`.
    pub fn file_stem(&self) -> String {
        format!("{}-{}", self.employee, self.device)
    }

    /// Refuses an employee's name that is a serial number as well: to revoke by that name would revoke
    /// something else, or nothing. Asked where a certificate is asked for, and not where a name is read: a
    /// ledger may have such a name from before.
    ///
    /// # Errors
    /// Where it is one.
    pub fn demand_no_serial(&self) -> Result<(), InvalidSubject> {
        let text = self.employee.as_str();
        match text.parse::<Serial>() {
            Err(_) => Ok(()),
            Ok(_) => Err(InvalidSubject::Name {
                text: quoted(text),
                what: "an employee's",
                rule: "would be taken for a serial number".into(),
            }),
        }
    }
}

impl FromStr for Address {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        let (employee, device) = text
            .split_once('/')
            .ok_or_else(|| InvalidSubject::Address(quoted(text)))?;
        if device.contains('/') {
            return Err(InvalidSubject::Address(quoted(text)));
        }
        Ok(Self::new(employee.parse()?, device.parse()?))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.employee, self.device)
    }
}

impl PersonName {
    /// The most characters that a name may have.
    pub const MAX: usize = 128;

    /// A name that keeps to a rule about its characters.
    fn checked(text: &str, rule: fn(&str) -> Result<(), Unprintable>) -> Result<Self, InvalidSubject> {
        let count = text.chars().count();
        if !(1..=Self::MAX).contains(&count) {
            return Err(InvalidSubject::Length {
                text: quoted(text),
                count,
            });
        }
        rule(text).map_err(|why| InvalidSubject::Unprintable {
            text: quoted(text),
            why,
        })?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for PersonName {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        Self::checked(text.trim(), readable)
    }
}

impl Email {
    /// The domain of the address, in lower case.
    pub fn domain(&self) -> String {
        self.0
            .rsplit_once('@')
            .map(|(_, domain)| domain.to_ascii_lowercase())
            .unwrap_or_default()
    }

    /// An address that keeps to a rule about its characters.
    fn checked(text: &str, rule: fn(&str) -> Result<(), Unprintable>) -> Result<Self, InvalidSubject> {
        let invalid = || InvalidSubject::Email(quoted(text));
        let (local, domain) = text.rsplit_once('@').ok_or_else(invalid)?;
        let odd = |c: char| {
            c.is_whitespace() || matches!(c, '@' | '<' | '>' | '(' | ')' | ',' | ';' | ':' | '"' | '\\')
        };
        let label = |l: &str| {
            !l.is_empty() && !l.starts_with('-') && l.chars().all(|c| c.is_alphanumeric() || c == '-')
        };
        let good = rule(text).is_ok()
            && text.len() <= 254
            && !local.is_empty()
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && !local.chars().any(odd)
            && domain.contains('.')
            && domain.split('.').all(label);
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(invalid())
        }
    }
}

impl FromStr for Email {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        Self::checked(text, printable)
    }
}

macro_rules! text_form {
    ($($name:ty),*) => {$(
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
text_form!(Employee, Device, PersonName, Email);

// How a ledger is read: names in it may be of a time when more was allowed.
macro_rules! from_text {
    ($($name:ty: $read:expr),*) => {$(
        impl TryFrom<String> for $name {
            type Error = InvalidSubject;
            fn try_from(text: String) -> Result<Self, InvalidSubject> {
                $read(&text)
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}
from_text!(
    Employee: str::parse,
    Device: str::parse,
    Address: str::parse,
    PersonName: |text| PersonName::checked(text, harmless),
    Email: |text| Email::checked(text, harmless)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_two_short_names() {
        let address: Address = "alice.smith/work-phone_2".parse().unwrap();
        assert_eq!(address.to_string(), "alice.smith/work-phone_2");
        assert_eq!(address.file_stem(), "alice.smith-work-phone_2");
        for bad in [
            "",
            "/",
            "alice/",
            "/phone",
            "alice",
            "a//b",
            "a/b/c",
            "../x",
            "Alice/phone",
            "alice/Phone",
            ".a/b",
            "-a/b",
            "a b/c",
            "a/b\0",
            "a/\u{200F}b",
            "alice/phöne",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
        assert!(format!("{}/phone", "a".repeat(64)).parse::<Address>().is_ok());
        assert!(format!("{}/phone", "a".repeat(65)).parse::<Address>().is_err());
        assert!(format!("a/{}", "b".repeat(33)).parse::<Address>().is_err());
    }

    #[test]
    fn a_name_is_what_people_can_read() {
        assert_eq!(
            "  Zoë O'Neil ".parse::<PersonName>().unwrap().as_str(),
            "Zoë O'Neil"
        );
        for bad in ["", "  ", "Al\u{202E}ice", "Al\nice", &"n".repeat(129)] {
            assert!(bad.parse::<PersonName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_employee_is_no_serial_number() {
        let serial = "1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let address = |employee: &str| format!("{employee}/phone").parse::<Address>().unwrap();
        assert_eq!(
            address(serial).demand_no_serial().unwrap_err().to_string(),
            format!("\"{serial}\" is not an employee's name: it would be taken for a serial number")
        );
        for name in ["alice", &serial[1..], "faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert!(address(name).demand_no_serial().is_ok(), "{name}");
        }
    }

    #[test]
    fn what_an_older_version_recorded_is_still_read() {
        for name in ["\u{3164}", "葛\u{E0100}城", "-"] {
            assert!(name.parse::<PersonName>().is_err(), "{name:?}");
            assert!(PersonName::try_from(name.to_owned()).is_ok(), "{name:?}");
        }
        let email = "a\u{3164}@acme.example";
        assert!(email.parse::<Email>().is_err() && Email::try_from(email.to_owned()).is_ok());
        assert!(Employee::try_from("1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned()).is_ok());
        // It never recorded what a terminal obeys.
        for name in ["", "Al\u{1b}[31mice", "Al\u{202E}ice"] {
            assert!(PersonName::try_from(name.to_owned()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_email_has_a_local_part_and_a_domain() {
        assert_eq!(
            "Alice@ACME.example".parse::<Email>().unwrap().domain(),
            "acme.example"
        );
        assert!("zoë@acme.example".parse::<Email>().is_ok());
        for bad in [
            "", "a", "@b.c", "a@", "a@b", "a@.b", "a@b.", "a b@c.d", "a@b@c.d", "<a@b.c>", "a@-b.c", ".a@b.c",
        ] {
            assert!(bad.parse::<Email>().is_err(), "{bad:?}");
        }
    }
}
