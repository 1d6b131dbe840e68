//! The reasons for which a key cannot be read or written.

use crate::model::fault::{Fault, Kind};

/// The errors by which a key cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not an encrypted PKCS#8 key in PEM.
    #[error("is no encrypted private key (PEM, \"ENCRYPTED PRIVATE KEY\")")]
    NotEncryptedPkcs8,
    /// The key asks for a key derivation that would need too much memory or time, or that is not known.
    #[error("is encrypted in a way that this program does not open: {0}")]
    Unsupported(String),
    /// It does not open: the passphrase is wrong, or the file is damaged.
    #[error("does not open with this passphrase")]
    WrongPassphrase,
    /// It opens, and is not a P-256 key.
    #[error("holds no P-256 key")]
    NotP256,
    /// It opens, and is no secret for HMAC.
    #[error("holds no secret for HMAC")]
    NotHmac,
    /// A SubjectPublicKeyInfo of another algorithm or curve, or an invalid point.
    #[error("the public key is not a valid P-256 key")]
    PublicKey,
    /// The library refused to encrypt.
    #[error("the key could not be encrypted: {0}")]
    Encryption(String),
    /// scrypt is spread over threads, and the system starts none.
    #[error("needs threads, and the system starts no more threads for this account: {0}")]
    NoThreads(String),
}

impl Fault for KeyError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::WrongPassphrase => (Kind::SecretWrong, "wrong-passphrase"),
            Self::NoThreads(_) => (Kind::Busy, "threads"),
            Self::NotEncryptedPkcs8
            | Self::Unsupported(_)
            | Self::NotP256
            | Self::NotHmac
            | Self::PublicKey
            | Self::Encryption(_) => (Kind::Damaged, "key"),
        }
    }
}
