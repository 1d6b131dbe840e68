//! Identities: the secret halves of recipients, as `age-keygen` writes them (`AGE-SECRET-KEY-1…`).

use std::fmt;
use std::str::FromStr;

use rand_core::CryptoRng;
use secrecy::SecretString;
use x25519_dalek::{PublicKey, SharedSecret, StaticSecret};
use zeroize::Zeroizing;

use super::bech32;
use super::recipient::{Recipient, is_plugin_name};

/// What Bech32 has in front of the `1`, in the small letters that the checksum is of.
const NAME: &str = "age-secret-key-";

/// Who opens what is encrypted to its [`Recipient`]: an X25519 secret key. Wiped when dropped.
pub struct Identity {
    secret: StaticSecret,
    recipient: Recipient,
}

/// The errors by which a text is no identity that files are opened with here. They repeat nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitIdentity {
    /// An SSH private key, with which the program `age` opens files.
    #[error("is an SSH key, with which only the program age opens files")]
    Ssh,
    /// An identity of a plugin of the program `age` (`AGE-PLUGIN-NAME-1…`).
    #[error("is an identity of age-plugin-{0}, with which only the program age opens files")]
    Plugin(String),
    /// A post-quantum identity (`AGE-SECRET-KEY-PQ-1…`) of newer versions of the program `age`.
    #[error("is a post-quantum identity, with which only the program age opens files")]
    PostQuantum,
    /// A file of identities that is itself encrypted, as `age -p` makes it.
    #[error("is itself encrypted: the program age opens it")]
    Encrypted,
    /// A recipient, which anybody may have, where a secret belongs.
    #[error("is a recipient, which opens nothing: an identity begins with AGE-SECRET-KEY-1")]
    Recipient,
    /// It begins as an identity does, and its checksum or its length is wrong.
    #[error("is mistyped or incomplete: its checksum is wrong")]
    Mistyped,
    /// Something else.
    #[error("is no identity: one begins with AGE-SECRET-KEY-1")]
    Other,
}

/// The errors by which a text is no list of identities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitIdentities {
    /// There is none: it is empty, or all of it is comments.
    #[error("has no identity")]
    None,
    /// A line is none.
    #[error("line {line} {unfit}")]
    Line {
        /// The line, counted from 1.
        line: usize,
        /// What it is instead.
        unfit: UnfitIdentity,
    },
}

impl UnfitIdentity {
    /// Whether the program `age` may know how to open files with it.
    pub fn is_for_age(&self) -> bool {
        match self {
            Self::Ssh | Self::Plugin(_) | Self::PostQuantum | Self::Encrypted => true,
            Self::Recipient | Self::Mistyped | Self::Other => false,
        }
    }

    /// What a line is that is no identity of ours.
    fn of(line: &str) -> Self {
        let upper = Zeroizing::new(line.to_ascii_uppercase());
        if upper.starts_with("AGE-SECRET-KEY-PQ-1") {
            return Self::PostQuantum;
        }
        if upper.starts_with("AGE-SECRET-KEY-1") {
            return Self::Mistyped;
        }
        if let Some(rest) = upper.strip_prefix("AGE-PLUGIN-") {
            let name = rest.rsplit_once("-1").map(|(name, _)| name.to_ascii_lowercase());
            return name
                .filter(|name| is_plugin_name(name))
                .map_or(Self::Other, Self::Plugin);
        }
        if line.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") || line.starts_with("age-encryption.org/") {
            return Self::Encrypted;
        }
        if line.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----") {
            return Self::Ssh;
        }
        if upper.starts_with("AGE1") || upper.starts_with("SSH-") {
            return Self::Recipient;
        }
        Self::Other
    }
}

impl Identity {
    /// Makes a new one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::with(StaticSecret::random_from_rng(rng))
    }

    fn with(secret: StaticSecret) -> Self {
        let recipient = Recipient::of(&secret);
        Self { secret, recipient }
    }

    /// All identities of a text as `age-keygen` writes it: one a line. Lines that are empty or begin with `#`
    /// are passed over.
    ///
    /// # Errors
    /// Where there is none, or a line is something else.
    pub fn all_in(text: &str) -> Result<Vec<Self>, UnfitIdentities> {
        let mut identities = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let identity = text
                .parse()
                .map_err(|unfit| UnfitIdentities::Line { line, unfit })?;
            identities.push(identity);
        }
        if identities.is_empty() {
            return Err(UnfitIdentities::None);
        }
        Ok(identities)
    }

    /// To whom that is encrypted which this opens.
    pub fn recipient(&self) -> Recipient {
        self.recipient
    }

    /// The text that is kept: `AGE-SECRET-KEY-1…`.
    pub fn to_secret_text(&self) -> SecretString {
        let mut text = bech32::encode(NAME, self.secret.as_bytes());
        text.make_ascii_uppercase();
        SecretString::from(text.as_str())
    }

    /// What it shares with whoever has the secret of this point (RFC 7748 §6.1). None for a point of low
    /// order: that is shared with everybody.
    pub(super) fn shares(&self, point: &[u8; 32]) -> Option<SharedSecret> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(*point));
        shared.was_contributory().then_some(shared)
    }
}

impl FromStr for Identity {
    type Err = UnfitIdentity;

    /// Reads `AGE-SECRET-KEY-1…`, in capital or in small letters.
    fn from_str(text: &str) -> Result<Self, UnfitIdentity> {
        match bech32::decode(text) {
            Some((name, octets)) if name == NAME => Ok(Self::with(StaticSecret::from(*octets))),
            Some(_) | None => Err(UnfitIdentity::of(text)),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(… of {})", self.recipient)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::key::os_rng;

    /// Of the specification, with its recipient.
    const KNOWN: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    fn unfit(text: &str) -> UnfitIdentity {
        text.parse::<Identity>().unwrap_err()
    }

    #[test]
    fn an_identity_has_its_recipient_and_is_written_as_it_was_read() {
        for spelled in [KNOWN.to_owned(), KNOWN.to_lowercase()] {
            let identity: Identity = spelled.parse().unwrap();
            assert_eq!(identity.recipient().to_string(), RECIPIENT);
            assert_eq!(identity.to_secret_text().expose_secret(), KNOWN);
        }
        assert_eq!(unfit(&KNOWN.replacen("AGE", "age", 1)), UnfitIdentity::Mistyped);
    }

    #[test]
    fn a_new_identity_is_another_each_time() {
        let [one, other] = [(); 2].map(|()| Identity::generate(&mut os_rng()));
        assert_ne!(one.recipient(), other.recipient());
        let again: Identity = one.to_secret_text().expose_secret().parse().unwrap();
        assert_eq!(again.recipient(), one.recipient());
    }

    #[test]
    fn debug_shows_the_recipient_alone() {
        let identity: Identity = KNOWN.parse().unwrap();
        assert_eq!(format!("{identity:?}"), format!("Identity(… of {RECIPIENT})"));
    }

    #[test]
    fn a_file_of_identities_has_comments_and_empty_lines() {
        let text =
            format!("# created: 2026-01-01T00:00:00Z\n# public key: {RECIPIENT}\n{KNOWN}\n\n{KNOWN}\r\n");
        let read = Identity::all_in(&text).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[1].recipient().to_string(), RECIPIENT);
        for empty in ["", "\n", "# public key\n"] {
            assert_eq!(Identity::all_in(empty).unwrap_err(), UnfitIdentities::None);
        }
        let second = Identity::all_in(&format!("{KNOWN}\n{RECIPIENT}\n")).unwrap_err();
        assert_eq!(
            second,
            UnfitIdentities::Line {
                line: 2,
                unfit: UnfitIdentity::Recipient
            }
        );
    }

    #[test]
    fn what_only_the_program_age_opens_files_with_is_told_apart() {
        for (text, told) in [
            ("AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0", UnfitIdentity::PostQuantum),
            (
                "AGE-PLUGIN-YUBIKEY-1Q9HXXQYZ5A5LDVQ",
                UnfitIdentity::Plugin("yubikey".into()),
            ),
            (
                "AGE-PLUGIN-A-B-1Q9HXXQYZ5A5LDVQ",
                UnfitIdentity::Plugin("a-b".into()),
            ),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", UnfitIdentity::Ssh),
            ("-----BEGIN AGE ENCRYPTED FILE-----", UnfitIdentity::Encrypted),
            ("age-encryption.org/v1", UnfitIdentity::Encrypted),
        ] {
            assert_eq!(unfit(text), told);
            assert!(told.is_for_age());
        }
        for (text, told) in [
            (&KNOWN[..70], UnfitIdentity::Mistyped),
            (RECIPIENT, UnfitIdentity::Recipient),
            ("ssh-ed25519 AAAA", UnfitIdentity::Recipient),
            ("AGE-PLUGIN-../-1Q", UnfitIdentity::Other),
            (
                "zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich, ä",
                UnfitIdentity::Other,
            ),
        ] {
            assert_eq!(unfit(text), told);
            assert!(!told.is_for_age());
        }
    }
}
