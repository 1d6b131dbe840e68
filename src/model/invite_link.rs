//! What the link of an invite is made of: its name, its secret and a pin, in text that people can type, and
//! the hash by which the secret is known without being kept.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::encoding::hex32;
use super::pin::Pin;

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

    /// The same in groups, for a sheet from which a person types it.
    pub fn expose_in_groups(&self) -> String {
        let text = Zeroizing::new(self.expose());
        let letters: Vec<char> = text.chars().collect();
        let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
        groups.join("-")
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
        #[cfg(test)]
        COMPARED.with(|count| count.set(count.get() + 1));
        let differing = self.0.iter().zip(&other.0).fold(0, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(differing) == 0
    }
}

impl Eq for Token {}

#[cfg(test)]
thread_local! {
    static COMPARED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How often this thread has compared tokens: whoever lacks a secret is to cost the same, whatever there is.
#[cfg(test)]
pub fn compared() -> usize {
    COMPARED.get()
}

/// The pin in a link: the first 128 bits of the SHA-256 of a key's SubjectPublicKeyInfo, in text 26
/// characters of Crockford's base32.
pub fn short_pin(pin: &Pin) -> String {
    CROCKFORD.encode(&pin.0[..16])
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
