//! Invites: an operator's permission for one device to enroll itself. An invite is redeemed by a key, and not
//! by a visit to its address.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::encoding::hex32;
use super::invite_link::{InviteId, Token};
use super::platform::Platform;
use super::serial::Serial;
use super::subject::{Address, Email, PersonName};
use super::time::Time;

/// Four words of a key, which an operator compares with what a phone shows: the first 64 bits of the SHA-256
/// of its SubjectPublicKeyInfo as proquints (Wilkerson, "A Proposal for Proquints", 2009), which can be read
/// aloud.
pub fn words_of(spki: &[u8; 32]) -> String {
    const CONSONANTS: &[u8; 16] = b"bdfghjklmnprstvz";
    const VOWELS: &[u8; 4] = b"aiou";
    let word = |pair: &[u8]| {
        let bits = usize::from(pair[0]) << 8 | usize::from(pair[1]);
        let letters = [
            CONSONANTS[bits >> 12],
            VOWELS[bits >> 10 & 3],
            CONSONANTS[bits >> 6 & 15],
            VOWELS[bits >> 4 & 3],
            CONSONANTS[bits & 15],
        ];
        String::from_utf8_lossy(&letters).into_owned()
    };
    let words: Vec<String> = spki[..8].chunks_exact(2).map(word).collect();
    words.join(" ")
}

/// An operator's approval of the key that was shown for an invite, as the issuing CA signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The invite.
    pub approves: InviteId,
    /// SHA-256 of the key's SubjectPublicKeyInfo.
    #[serde(with = "hex32")]
    pub spki: [u8; 32],
}

/// An invite as the operator made it, and as the issuing CA signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// Its name.
    pub id: InviteId,
    /// The device that it is for.
    pub address: Address,
    /// The full name of the person.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<PersonName>,
    /// Her e-mail address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<Email>,
    /// The platform of the device.
    #[serde(rename = "for")]
    pub platform: Platform,
    /// The name of the profile of the certificate.
    pub profile: String,
    /// The validity of the certificate in days, if one was asked for explicitly.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub days: Option<i64>,
    /// The time until which it can be redeemed, inclusive.
    pub until: Time,
    /// The hash of its secret.
    pub token: Token,
    /// The hash of secret and code, where a code travels apart.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<Token>,
    /// Whether an operator looks at the key before it is certified.
    #[serde(skip_serializing_if = "is_false", default)]
    pub approve: bool,
    /// Whether the certificate that the device has is revoked when the invite is redeemed.
    #[serde(skip_serializing_if = "is_false", default)]
    pub replace: bool,
    /// The certificate whose key was made with the invite, for a device that cannot make one: the service
    /// hands out the bundle of both.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server_key: Option<Serial>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// What has become of an invite, apart from time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Fate {
    /// Nobody has redeemed it.
    Open,
    /// A key was shown, and waits for an operator's approval.
    Asked {
        /// SHA-256 of its SubjectPublicKeyInfo.
        #[serde(with = "hex32")]
        spki: [u8; 32],
    },
    /// The operator has approved that key, and no other.
    Approved {
        /// SHA-256 of its SubjectPublicKeyInfo.
        #[serde(with = "hex32")]
        spki: [u8; 32],
    },
    /// A key has its certificate.
    Redeemed {
        /// The serial number of that certificate.
        serial: Serial,
        /// SHA-256 of the key's SubjectPublicKeyInfo.
        #[serde(with = "hex32")]
        spki: [u8; 32],
        /// The time of it.
        at: Time,
    },
    /// The operator has taken it back.
    Cancelled {
        /// The time of it.
        at: Time,
    },
}

/// An invite with what has become of it, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invited {
    /// The invite.
    pub invite: Invite,
    /// The time when it was made.
    pub created: Time,
    /// What has become of it.
    pub fate: Fate,
    /// How often another key was refused although the secret was right.
    pub refused: u32,
    /// How often the code was missing or wrong although the secret was right.
    pub wrong_codes: u32,
    /// The time when it was suspended for that: nobody redeems it after.
    pub suspended: Option<Time>,
    /// The networks that the bundle of its certificate was handed out to, the first one first.
    #[serde(default)]
    pub fetched_from: Vec<String>,
}

/// The state of an invite at some point in time, as a person is told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InviteState {
    /// It can be redeemed.
    Open,
    /// A key waits for an operator's approval.
    Asked,
    /// The key that was approved can redeem it.
    Approved,
    /// The device has its certificate.
    Redeemed,
    /// Too many keys or codes were refused.
    Suspended,
    /// The operator has taken it back.
    Cancelled,
    /// Its time is over.
    Expired,
}

impl InviteState {
    /// The word for the state.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Asked => "asked",
            Self::Approved => "approved",
            Self::Redeemed => "redeemed",
            Self::Suspended => "suspended",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Whether a device may still get a certificate by it.
    pub fn is_open(self) -> bool {
        match self {
            Self::Open | Self::Asked | Self::Approved => true,
            Self::Redeemed | Self::Suspended | Self::Cancelled | Self::Expired => false,
        }
    }
}

impl Invited {
    /// Its state at `now`.
    pub fn state(&self, now: Time) -> InviteState {
        match &self.fate {
            Fate::Redeemed { .. } => InviteState::Redeemed,
            Fate::Cancelled { .. } => InviteState::Cancelled,
            Fate::Open | Fate::Asked { .. } | Fate::Approved { .. } if self.suspended.is_some() => {
                InviteState::Suspended
            }
            Fate::Open | Fate::Asked { .. } | Fate::Approved { .. } if self.invite.until < now => {
                InviteState::Expired
            }
            Fate::Open => InviteState::Open,
            Fate::Asked { .. } => InviteState::Asked,
            Fate::Approved { .. } => InviteState::Approved,
        }
    }

    /// How often the bundle was handed out once more, to another network than before.
    pub fn fetched_again(&self) -> usize {
        self.fetched_from.len().saturating_sub(1)
    }

    /// The words of the key that waits for approval.
    pub fn words(&self) -> Option<String> {
        match &self.fate {
            Fate::Asked { spki } => Some(words_of(spki)),
            Fate::Open | Fate::Approved { .. } | Fate::Redeemed { .. } | Fate::Cancelled { .. } => None,
        }
    }

    /// The serial number of the certificate that it brought.
    pub fn serial(&self) -> Option<Serial> {
        match self.fate {
            Fate::Redeemed { serial, .. } => Some(serial),
            Fate::Open | Fate::Asked { .. } | Fate::Approved { .. } | Fate::Cancelled { .. } => None,
        }
    }
}

/// The reason for which a key was refused although it came with the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedKey {
    /// The invite belongs to another key.
    AnotherKey,
    /// The code that travels apart is missing or wrong.
    WrongCode,
}

impl fmt::Display for RefusedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AnotherKey => "another key",
            Self::WrongCode => "a wrong code",
        })
    }
}

/// How a device came to its certificate without an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolledBy {
    /// By an invite.
    Invite(InviteId),
    /// By the certificate that it had.
    Renewal(Serial),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_key_are_the_proquints_of_its_hash() {
        // The examples of the proposal: 127.0.0.1 and 63.84.220.193.
        let hash = |first: [u8; 8]| std::array::from_fn(|n| *first.get(n).unwrap_or(&0));
        assert_eq!(
            words_of(&hash([127, 0, 0, 1, 63, 84, 220, 193])),
            "lusab babad gutih tugad"
        );
    }
}
