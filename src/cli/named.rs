//! What a command is given by name: an employee, a device, or one certificate by its serial number.

use crate::model::serial::InvalidSerial;
use crate::model::subject::InvalidSubject;
use crate::model::{Address, Employee, Serial};

/// An employee, or one of her devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressee {
    /// `alice`.
    Employee(Employee),
    /// `alice/phone`.
    Device(Address),
}

impl Addressee {
    /// The message where the ledger has nothing of it.
    pub fn unknown(&self) -> String {
        match self {
            Self::Employee(employee) => format!("the ledger knows no employee {employee}"),
            Self::Device(address) => format!("the ledger knows no device {address}"),
        }
    }
}

impl std::fmt::Display for Addressee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Employee(employee) => employee.fmt(f),
            Self::Device(address) => address.fmt(f),
        }
    }
}

impl std::str::FromStr for Addressee {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('/') {
            text.parse().map(Self::Device)
        } else {
            text.parse().map(Self::Employee)
        }
    }
}

/// The name of a certificate or a device on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// Exactly one certificate.
    Serial(Serial),
    /// A person or a device.
    Addressee(Addressee),
}

/// The errors for a text that names neither.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum InvalidNamed {
    /// The text was meant as a serial number.
    Serial(InvalidSerial),
    /// The text was meant as a name.
    Addressee(InvalidSubject),
}

impl std::str::FromStr for Named {
    type Err = InvalidNamed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_serial = match text.parse() {
            Ok(serial) => return Ok(Self::Serial(serial)),
            Err(why) => why,
        };
        text.parse().map(Self::Addressee).map_err(|why| {
            if Serial::resembles(text) {
                InvalidNamed::Serial(not_serial)
            } else {
                InvalidNamed::Addressee(why)
            }
        })
    }
}
