//! Invites: an operator's permission for one device to enroll itself. An invite is redeemed by a key, and not
//! by a visit to its address.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::encoding::hex32;
use super::pin::Pin;
use super::platform::Platform;
use super::serial::Serial;
use super::subject::{Address, Email, PersonName};
use super::time::Time;

/// Crockford's base32: no I, L, O or U, and those that a person types instead are read as what they look
/// like.
static CROCKFORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    specification
        .translate
        .from
        .push_str("abcdefghjkmnpqrstvwxyzOoIiLl");
    specification
        .translate
        .to
        .push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    specification.encoding().expect("the alphabet is well formed")
});

/// The name of an invite: 40 random bits, in text eight characters of Crockford's base32. It is no secret: it
/// is in addresses and logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InviteId([u8; Self::LENGTH]);

impl InviteId {
    /// Its length in octets.
    pub const LENGTH: usize = 5;

    /// The name made of these random octets.
    pub fn from_random(random: [u8; Self::LENGTH]) -> Self {
        Self(random)
    }
}

impl fmt::Display for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&CROCKFORD.encode(&self.0))
    }
}

impl fmt::Debug for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InviteId({self})")
    }
}

/// A text that is not the name of an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an invite is named by eight letters and digits, as `pki invite list` shows them")]
pub struct InvalidInviteId;

impl FromStr for InviteId {
    type Err = InvalidInviteId;

    fn from_str(text: &str) -> Result<Self, InvalidInviteId> {
        let octets = CROCKFORD.decode(text.as_bytes()).map_err(|_| InvalidInviteId)?;
        octets.try_into().map(Self).map_err(|_| InvalidInviteId)
    }
}

impl TryFrom<String> for InviteId {
    type Error = InvalidInviteId;

    fn try_from(text: String) -> Result<Self, InvalidInviteId> {
        text.parse()
    }
}

impl From<InviteId> for String {
    fn from(id: InviteId) -> Self {
        id.to_string()
    }
}

/// The secret of an invite: 128 random bits, in text 26 characters of Crockford's base32. Whoever shows it
/// may redeem the invite. It is wiped when dropped and never printed by mistake.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct InviteSecret([u8; Self::LENGTH]);

impl InviteSecret {
    /// Its length in octets.
    pub const LENGTH: usize = 16;
    /// The length of its text.
    pub const CHARACTERS: usize = 26;

    /// The secret made of these random octets.
    pub fn from_random(random: [u8; Self::LENGTH]) -> Self {
        Self(random)
    }

    /// Reads the text of a secret, in either case.
    pub fn read(text: &str) -> Option<Self> {
        if text.len() != Self::CHARACTERS {
            return None;
        }
        let mut octets = CROCKFORD.decode(text.as_bytes()).ok()?;
        let secret = octets.as_slice().try_into().ok().map(Self);
        octets.zeroize();
        secret
    }

    /// The text of the secret: for whom it is meant, and nobody else.
    pub fn expose(&self) -> String {
        CROCKFORD.encode(&self.0)
    }

    /// The hash by which the ledger knows the secret. It has too many bits to be guessed from it.
    pub fn token(&self) -> Token {
        Token(Sha256::digest(self.0).into())
    }

    /// The hash by which the ledger knows the code that travels apart: of both, so that who reads the ledger
    /// cannot try a million codes.
    pub fn token_with(&self, code: &str) -> Token {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(b" with the code ");
        hash.update(code.as_bytes());
        Token(hash.finalize().into())
    }
}

impl fmt::Debug for InviteSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteSecret")
    }
}

/// The SHA-256 of a secret, by which it is known without being kept.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(#[serde(with = "hex32")] pub [u8; 32]);

impl PartialEq for Token {
    /// Takes as long wherever they differ.
    fn eq(&self, other: &Self) -> bool {
        let differing = self.0.iter().zip(&other.0).fold(0, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(differing) == 0
    }
}

impl Eq for Token {}

/// The pin in a link: the first 128 bits of the SHA-256 of a key's SubjectPublicKeyInfo, in text 26
/// characters of Crockford's base32.
pub fn short_pin(pin: &Pin) -> String {
    CROCKFORD.encode(&pin.0[..16])
}

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
    fn a_secret_is_read_as_it_is_written_and_as_people_type_it() {
        let secret = InviteSecret::from_random([0x0F; 16]);
        let text = secret.expose();
        assert_eq!(text.len(), InviteSecret::CHARACTERS);
        assert_eq!(InviteSecret::read(&text).unwrap().token(), secret.token());
        let typed = text.to_lowercase().replace('1', "l").replace('0', "o");
        assert_eq!(InviteSecret::read(&typed).unwrap().token(), secret.token());
        for wrong in ["", &text[1..], &format!("{text}0"), &text.replace('1', "U")] {
            assert!(InviteSecret::read(wrong).is_none(), "{wrong}");
        }
        // The last character has two bits that are nobody's.
        let odd = format!("{}{}", &text[..25], "Z");
        assert!(InviteSecret::read(&odd).is_none());
        assert_eq!(format!("{secret:?}"), "InviteSecret");
    }

    #[test]
    fn the_words_of_a_key_are_the_proquints_of_its_hash() {
        // The examples of the proposal: 127.0.0.1 and 63.84.220.193.
        let hash = |first: [u8; 8]| std::array::from_fn(|n| *first.get(n).unwrap_or(&0));
        assert_eq!(
            words_of(&hash([127, 0, 0, 1, 63, 84, 220, 193])),
            "lusab babad gutih tugad"
        );
    }

    #[test]
    fn a_code_is_known_with_its_secret_alone() {
        let [one, other] = [1, 2].map(|octet| InviteSecret::from_random([octet; 16]));
        assert_eq!(one.token_with("123456"), one.token_with("123456"));
        assert_ne!(one.token_with("123456"), one.token_with("123457"));
        assert_ne!(one.token_with("123456"), other.token_with("123456"));
        assert_ne!(one.token_with(""), other.token());
    }

    #[test]
    fn an_invites_name_is_eight_characters_that_nobody_mistakes() {
        let id = InviteId::from_random([0xFF, 0, 0xFF, 0, 1]);
        let text = id.to_string();
        assert_eq!(text.len(), 8);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_lowercase().parse(), Ok(id));
        for wrong in ["", "1234567", "123456789", "1234567U", "../../..", "12 45678"] {
            assert_eq!(wrong.parse::<InviteId>(), Err(InvalidInviteId), "{wrong}");
        }
    }
}
