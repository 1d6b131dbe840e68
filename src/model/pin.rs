//! SPKI pins (RFC 7469 §2.4 has their form): the keys that an app accepts for a server, whoever certified
//! them.

use std::fmt;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::host::Host;
use super::text::of_base64;
use super::time::Time;

/// SHA-256 of a SubjectPublicKeyInfo in DER. Its text form is base64, 44 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pin(pub [u8; 32]);

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl From<Pin> for String {
    fn from(pin: Pin) -> Self {
        pin.to_string()
    }
}

impl TryFrom<String> for Pin {
    type Error = InvalidPin;

    fn try_from(text: String) -> Result<Self, InvalidPin> {
        let octets = of_base64(&text).ok_or(InvalidPin)?;
        octets.try_into().map(Self).map_err(|_| InvalidPin)
    }
}

/// A text that is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pin is the base64 of 32 octets")]
pub struct InvalidPin;

/// The role of a pinned key for its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The key that the server uses.
    Active,
    /// The next key: made and published, but not in use yet.
    Backup,
    /// The previous key: apps in the field may know no other yet.
    Retiring,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Backup => "backup",
            Self::Retiring => "retiring",
        })
    }
}

/// A key in a pin set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// The pin of the key.
    pub pin: Pin,
    /// The role of the key for the server.
    pub role: Role,
    /// The time since which it has that role.
    pub since: Time,
}

/// The keys of one host. It has two or more, and an end: with one key, losing it would lock the apps out for
/// good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinSet {
    /// The host whose keys are pinned.
    pub host: Host,
    /// Whether the set holds for the hosts below as well.
    pub include_subdomains: bool,
    /// The time when apps are to stop using the set.
    pub expires: Time,
    /// The keys, the active one first.
    pub pins: Vec<Pinned>,
}
