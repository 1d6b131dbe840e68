//! The reasons for which an age file cannot be written or read.

use std::io;

use crate::model::fault::{Fault, Kind};

/// The errors by which an age file cannot be written or read. A text begins so that the name of the file can
/// stand in front of it.
#[derive(Debug, thiserror::Error)]
pub enum AgeError {
    /// It does not begin as an age file does, neither in binary nor in ASCII armor.
    #[error("is no age file")]
    NotAge,
    /// An age file of another version, as its first line says.
    #[error("is an age file of the version {0:?}: only v1 is known")]
    Version(String),
    /// Its ASCII armor is damaged.
    #[error("has a damaged ASCII armor in line {line}: {fault}")]
    Armor {
        /// The line, counted from 1 with the line of `BEGIN AGE ENCRYPTED FILE`.
        line: u64,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Its header is damaged, or of a form that is not known.
    #[error("has a header that is damaged or of an unknown form: {0}")]
    Header(HeaderFault),
    /// Its header is not what was written with this file key.
    #[error("has a header that was changed: its MAC is wrong")]
    Mac,
    /// It is encrypted to recipients, none of whom has one of these identities.
    #[error("is encrypted to recipients of whom none has this identity")]
    NoIdentityMatches,
    /// It is encrypted with a passphrase, and identities were given.
    #[error("is encrypted with a passphrase and not to recipients")]
    NotToRecipients,
    /// It is encrypted to recipients, and a passphrase was given.
    #[error("is encrypted to recipients and not with a passphrase")]
    NotByPassphrase,
    /// It does not open with this passphrase.
    #[error("does not open with this passphrase")]
    WrongPassphrase,
    /// The content is damaged.
    #[error("is damaged behind the first {0} octets of its content")]
    Damaged(
        /// How many octets of the content before it are authentic.
        u64,
    ),
    /// The content has no end. Whether its last octets are missing or were changed cannot be said.
    #[error("is cut off or damaged behind the first {0} octets of its content")]
    CutOff(
        /// How many octets of the content before it are authentic.
        u64,
    ),
    /// The content has an end, and the file goes on.
    #[error("goes on behind the end of its content, which has {0} octets")]
    GoesOn(
        /// How many octets the content has.
        u64,
    ),
    /// No recipient was named.
    #[error("cannot be encrypted to nobody")]
    NoRecipient,
    /// More recipients were named than a header has room for.
    #[error("cannot be encrypted to {count} recipients: there is room for {most}")]
    TooManyRecipients {
        /// How many were named.
        count: usize,
        /// How many there is room for.
        most: usize,
    },
    /// scrypt needs a thread, and the system starts none.
    #[error("needs threads, and the system starts no more threads for this account: {0}")]
    NoThreads(String),
    /// scrypt needs memory, and the system gives none.
    #[error("needs {0} MiB of memory for its passphrase, which the system does not give")]
    NoMemory(u64),
    /// It cannot be read or written.
    #[error("cannot be read or written: {0}")]
    Io(#[source] io::Error),
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// It ends before its MAC and the nonce behind it.
    #[error("it breaks off")]
    CutOff,
    /// It is longer than 1 MiB.
    #[error("it is longer than 1 MiB")]
    TooLong,
    /// A line is neither the begin of a stanza nor the MAC.
    #[error("a line is neither a stanza nor the MAC")]
    Line,
    /// The version has other characters than printable ASCII.
    #[error("the line of the version has other characters than printable ASCII")]
    Version,
    /// A stanza has no arguments, an empty one, or other characters than printable ASCII.
    #[error("the arguments of a stanza are malformed")]
    Arguments,
    /// A line of a stanza's body is too long or is no canonical base64.
    #[error("the body of a stanza is no base64 in lines of 64 characters")]
    Body,
    /// There is no stanza at all.
    #[error("it has no stanza")]
    NoStanza,
    /// The MAC is not 32 octets in base64.
    #[error("the MAC is malformed")]
    Mac,
    /// A stanza for an X25519 recipient does not have what it must.
    #[error("a stanza of the type X25519 is malformed")]
    X25519,
    /// A stanza for an X25519 recipient has a point of low order, with which everybody shares the secret 0.
    #[error("a stanza of the type X25519 has a point of low order")]
    LowOrder,
    /// A stanza for a passphrase does not have what it must.
    #[error("a stanza of the type scrypt is malformed")]
    Scrypt,
    /// A stanza for a passphrase stands beside another one: whoever knows the passphrase could not be sure
    /// that the file comes from somebody who knows it.
    #[error("a stanza of the type scrypt does not stand alone")]
    ScryptBesideOthers,
    /// scrypt would take more memory and time than is granted to a file.
    #[error("it asks for scrypt with N = 2^{asked}, and 2^{most} is the most that is granted")]
    WorkFactor {
        /// The binary logarithm of N that it asks for.
        asked: u32,
        /// The greatest that is granted.
        most: u8,
    },
}

impl Fault for AgeError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::NotAge => (Kind::BadRequest, "not-age"),
            Self::Version(_) => (Kind::BadRequest, "age-version"),
            Self::Armor { .. }
            | Self::Header(_)
            | Self::Mac
            | Self::Damaged(_)
            | Self::CutOff(_)
            | Self::GoesOn(_) => (Kind::BadRequest, "age-damaged"),
            Self::NoIdentityMatches => (Kind::SecretWrong, "wrong-identity"),
            Self::NotToRecipients | Self::NotByPassphrase => (Kind::BadRequest, "age-lock"),
            Self::WrongPassphrase => (Kind::SecretWrong, "wrong-passphrase"),
            Self::NoRecipient | Self::TooManyRecipients { .. } => (Kind::BadRequest, "recipients"),
            Self::NoThreads(_) => (Kind::Busy, "threads"),
            Self::NoMemory(_) => (Kind::Busy, "memory"),
            Self::Io(_) => (Kind::Storage, "disk"),
        }
    }
}

/// What a stream tells: the error that it was given, or one of the system.
impl From<io::Error> for AgeError {
    fn from(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(Self::Io)
    }
}

/// As a stream tells it: `AgeError::from` has it back.
impl From<AgeError> for io::Error {
    fn from(error: AgeError) -> Self {
        if let AgeError::Io(error) = error {
            return error;
        }
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl From<HeaderFault> for AgeError {
    fn from(fault: HeaderFault) -> Self {
        Self::Header(fault)
    }
}
