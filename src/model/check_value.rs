//! Values by which secrets are known that the home keeps encrypted, and which tell nothing of them.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// A value by which an opened secret is known for the right one, and which tells nothing of it: 16
/// octets. Its text form is hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CheckValue(pub [u8; 16]);

impl From<CheckValue> for String {
    fn from(value: CheckValue) -> Self {
        HEXLOWER.encode(&value.0)
    }
}

impl TryFrom<String> for CheckValue {
    type Error = InvalidCheckValue;

    fn try_from(text: String) -> Result<Self, InvalidCheckValue> {
        let octets = HEXLOWER.decode(text.as_bytes()).map_err(|_| InvalidCheckValue)?;
        octets.try_into().map(Self).map_err(|_| InvalidCheckValue)
    }
}

/// A text that is no check value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a check value is 16 octets in hexadecimal")]
pub struct InvalidCheckValue;
