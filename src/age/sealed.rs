//! Reads an age file: its header, then the file key out of one of the stanzas, then the content.

use std::io::{self, Read};

use super::armor::Binary;
use super::error::{AgeError, HeaderFault};
use super::file_key::FileKey;
use super::header::Header;
use super::identity::Identity;
use super::passphrase::{self, ForPassphrase};
use super::payload::Decryption;
use super::x25519::{self, ForRecipient};
use crate::key::Passphrase;

/// A file whose header was read, and which nobody has opened yet.
///
/// The header is of a form that is known, and its stanzas are, as far as they are of types that are known.
/// That it is authentic only [`Sealed::open`] can say.
pub struct Sealed<R> {
    input: Binary<R>,
    header: Header,
    stanzas: Stanzas,
}

/// What opens a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// A passphrase, and nothing else.
    Passphrase,
    /// An identity of one of its recipients.
    Recipients,
}

/// The stanzas of the types that are known.
enum Stanzas {
    Passphrase(ForPassphrase),
    Recipients(Vec<ForRecipient>),
}

impl Stanzas {
    fn read(header: &Header) -> Result<Self, HeaderFault> {
        let of_type = |wanted: &str| {
            let stanzas = header.stanzas.iter();
            let wanted = wanted.to_owned();
            stanzas.filter(move |stanza| stanza.arguments.first() == Some(&wanted))
        };
        if let Some(stanza) = of_type(passphrase::TYPE).next() {
            if header.stanzas.len() > 1 {
                return Err(HeaderFault::ScryptBesideOthers);
            }
            return ForPassphrase::read(stanza).map(Self::Passphrase);
        }
        let recipients: Result<Vec<_>, _> = of_type(x25519::TYPE).map(ForRecipient::read).collect();
        recipients.map(Self::Recipients)
    }
}

impl<R: Read> Sealed<R> {
    /// Reads the header of a file, in binary or in ASCII armor. It is buffered here.
    ///
    /// # Errors
    /// Where it is no age file, or one of another version, or its header is damaged, of an unknown form or
    /// longer than 1 MiB, or it cannot be read.
    pub fn read(input: R) -> Result<Self, AgeError> {
        let mut input = Binary::of(input)?;
        let header = Header::read(&mut input)?;
        let stanzas = Stanzas::read(&header)?;
        Ok(Self {
            input,
            header,
            stanzas,
        })
    }

    /// What opens it.
    pub fn lock(&self) -> Lock {
        match self.stanzas {
            Stanzas::Passphrase(_) => Lock::Passphrase,
            Stanzas::Recipients(_) => Lock::Recipients,
        }
    }

    /// The file key, by the first of these identities that a stanza is for.
    ///
    /// # Errors
    /// Where there is none, or the file has a passphrase instead, or a stanza has a point of low order.
    pub fn unlock_with_identities(&self, identities: &[Identity]) -> Result<FileKey, AgeError> {
        let stanzas = match &self.stanzas {
            Stanzas::Recipients(stanzas) => stanzas,
            Stanzas::Passphrase(_) => return Err(AgeError::NotToRecipients),
        };
        for stanza in stanzas {
            if let Some(key) = stanza.unwrap(identities)? {
                return Ok(key);
            }
        }
        Err(AgeError::NoIdentityMatches)
    }

    /// The file key, by a passphrase. It takes as long as whoever wrote the file chose: about 0.2 s for our
    /// own, about 3 s at most.
    ///
    /// # Errors
    /// Where the passphrase is wrong, or the file has none, or the system has no thread or memory for scrypt.
    pub fn unlock_with_passphrase(&self, passphrase: &Passphrase) -> Result<FileKey, AgeError> {
        match &self.stanzas {
            Stanzas::Passphrase(stanza) => stanza.unwrap(passphrase),
            Stanzas::Recipients(_) => Err(AgeError::NotByPassphrase),
        }
    }

    /// Opens the file, whose key was unlocked or kept by whoever wrote it.
    ///
    /// # Errors
    /// Where the header is not as it was written with this key, or nothing is behind it, or it cannot be
    /// read.
    pub fn open(mut self, key: &FileKey) -> Result<Reader<R>, AgeError> {
        self.header.verify(key)?;
        let mut nonce = [0; 16];
        let read = self.input.read_exact(&mut nonce);
        read.map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                HeaderFault::CutOff.into()
            } else {
                AgeError::from(error)
            }
        })?;
        Ok(Reader(Decryption::new(self.input, key.payload_key(&nonce))))
    }
}

/// Reads the content of a file. All that it gives is authentic, and all of it was there only where it ends
/// without an error: [`AgeError::from`] makes of the stream's error what it was. It takes 128 KiB of memory,
/// whatever the length of the content.
pub struct Reader<R>(Decryption<Binary<R>>);

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}
