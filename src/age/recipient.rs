//! Recipients: whom a file is encrypted to, as `age-keygen` names them (`age1…`).

use std::fmt;
use std::str::FromStr;

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::bech32;

/// What Bech32 has in front of the `1`.
const NAME: &str = "age";

/// Whom a file is encrypted to: an X25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Recipient([u8; 32]);

/// The errors by which a text is no recipient that a file can be encrypted to here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitRecipient {
    /// A public key of SSH, which the program `age` encrypts to.
    #[error("is an SSH key, which only the program age encrypts to")]
    Ssh,
    /// A recipient of a plugin of the program `age` (`age1NAME1…`).
    #[error("is a recipient of age-plugin-{0}, which only the program age encrypts to")]
    Plugin(String),
    /// A post-quantum recipient (`age1pq1…`), which newer versions of the program `age` encrypt to.
    #[error("is a post-quantum recipient, which only the program age encrypts to")]
    PostQuantum,
    /// A secret where a recipient belongs. It is not repeated.
    #[error("is an identity, which is secret: a recipient begins with age1")]
    Identity,
    /// It begins as a recipient does, and its checksum or its length is wrong.
    #[error("is mistyped or incomplete: its checksum is wrong")]
    Mistyped,
    /// A point of low order: what is encrypted to it everybody can read.
    #[error("is a public key of low order, which nobody has")]
    LowOrder,
    /// Something else.
    #[error("is no recipient: one begins with age1")]
    Other,
}

impl UnfitRecipient {
    /// Whether the program `age` may know how to encrypt to it.
    pub fn is_for_age(&self) -> bool {
        match self {
            Self::Ssh | Self::Plugin(_) | Self::PostQuantum => true,
            Self::Identity | Self::Mistyped | Self::LowOrder | Self::Other => false,
        }
    }

    /// What a text is that is no recipient of ours.
    fn of(text: &str) -> Self {
        // It may be a secret by mistake.
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        if lower.starts_with("age-secret-key-") || lower.starts_with("age-plugin-") {
            return Self::Identity;
        }
        if text.starts_with("ssh-") {
            return Self::Ssh;
        }
        // The last 1 ends the name: the letters behind it are base32, which has none.
        let Some((name, _)) = lower.rsplit_once('1') else {
            return Self::Other;
        };
        match name.strip_prefix("age1") {
            Some("pq") => Self::PostQuantum,
            Some(plugin) if is_plugin_name(plugin) => Self::Plugin(plugin.to_owned()),
            Some(_) => Self::Other,
            None if name == NAME => Self::Mistyped,
            None => Self::Other,
        }
    }
}

/// Whether a plugin can have this name: it becomes a part of the name of a program.
pub(super) fn is_plugin_name(name: &str) -> bool {
    let is_good = |octet: u8| octet.is_ascii_alphanumeric() || b"+-._".contains(&octet);
    !name.is_empty() && name.bytes().all(is_good)
}

impl Recipient {
    /// The recipient that has this secret.
    pub(super) fn of(secret: &StaticSecret) -> Self {
        Self(PublicKey::from(secret).to_bytes())
    }

    /// The point, as X25519 has it (RFC 7748 §5).
    pub(super) fn point(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Recipient {
    type Err = UnfitRecipient;

    /// Reads `age1…`, in small or in capital letters.
    fn from_str(text: &str) -> Result<Self, UnfitRecipient> {
        let octets = match bech32::decode(text) {
            Some((name, octets)) if name == NAME => octets,
            Some(_) | None => return Err(UnfitRecipient::of(text)),
        };
        // Whoever shares the secret 0 with this point does so with every secret.
        let shared = StaticSecret::from([1; 32]).diffie_hellman(&PublicKey::from(*octets));
        if shared.was_contributory() {
            Ok(Self(*octets))
        } else {
            Err(UnfitRecipient::LowOrder)
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bech32::encode(NAME, &self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the specification.
    const KNOWN: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    fn unfit(text: &str) -> UnfitRecipient {
        text.parse::<Recipient>().unwrap_err()
    }

    #[test]
    fn a_recipient_is_written_as_it_was_read_in_small_letters() {
        let read: Recipient = KNOWN.parse().unwrap();
        assert_eq!(read.to_string(), KNOWN);
        assert_eq!(KNOWN.to_uppercase().parse::<Recipient>().unwrap(), read);
    }

    #[test]
    fn a_slip_is_told_from_what_is_no_recipient() {
        for slip in [
            KNOWN.replace("zvkyg", "zvkyq"),
            KNOWN[..KNOWN.len() - 1].to_owned(),
            KNOWN.replacen("age", "Age", 1),
            format!("{KNOWN} "),
        ] {
            assert_eq!(unfit(&slip), UnfitRecipient::Mistyped, "{slip}");
        }
        for other in ["", "alice", "age", "alice@example.com", "bc1zvkyg2", "age1../x1q"] {
            assert_eq!(unfit(other), UnfitRecipient::Other, "{other}");
        }
    }

    #[test]
    fn what_only_the_program_age_knows_is_told_apart() {
        assert_eq!(
            unfit("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA alice"),
            UnfitRecipient::Ssh
        );
        assert_eq!(unfit("ssh-rsa AAAAB3NzaC1yc2E"), UnfitRecipient::Ssh);
        assert_eq!(
            unfit("age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t"),
            UnfitRecipient::Plugin("yubikey".into())
        );
        assert_eq!(
            unfit("age1tag1qt8lw0ual6avlwmwatk888yqnmdamm7xfd0wak53ut6elz5c4swx2yqdj4e"),
            UnfitRecipient::Plugin("tag".into())
        );
        assert_eq!(
            unfit("age1pq1x34nzsvr0rxjsgdn8zgyhfe8j7ceq"),
            UnfitRecipient::PostQuantum
        );
        for foreign in ["ssh-rsa A", "age1yubikey1q", "age1pq1q"] {
            assert!(unfit(foreign).is_for_age(), "{foreign}");
        }
        assert!(!unfit("age1q").is_for_age());
    }

    #[test]
    fn a_secret_is_named_and_not_repeated() {
        for secret in [
            "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX",
            "age-secret-key-1gfpyy",
            "AGE-SECRET-KEY-PQ-1XX76",
            "AGE-PLUGIN-YUBIKEY-1Q",
        ] {
            assert_eq!(unfit(secret), UnfitRecipient::Identity);
            assert!(!unfit(secret).to_string().contains("GFPYY"));
        }
    }

    #[test]
    fn a_point_of_low_order_is_refused() {
        for low in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            let text = bech32::encode(NAME, &low);
            assert_eq!(unfit(&text), UnfitRecipient::LowOrder);
        }
    }
}
