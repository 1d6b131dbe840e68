//! Writes an age file.

use std::io::{self, Write};

use rand_core::CryptoRng;

use super::error::AgeError;
use super::file_key::FileKey;
use super::header::{self, Stanza};
use super::passphrase::{ForPassphrase, WorkFactor};
use super::payload::Encryption;
use super::recipient::Recipient;
use super::x25519::ForRecipient;
use crate::key::Passphrase;

/// Encrypts what is written into it. It takes 64 KiB of memory, whatever the length of the content.
///
/// A file is whole only after [`Writer::finish`]: one that was dropped before breaks off, and a reader
/// says so. After an error the file can only be begun anew. What is written to gets each chunk in one piece:
/// there is no need to buffer it.
#[must_use = "without `finish` the file breaks off"]
pub struct Writer<W: Write> {
    payload: Encryption<W>,
    key: FileKey,
}

impl<W: Write> Writer<W> {
    /// The most recipients that a file can have.
    pub const MOST_RECIPIENTS: usize = 1000;

    /// Begins a file for these recipients: each of them opens it alone. The header is written at once.
    ///
    /// # Errors
    /// Where there is no recipient, or too many, or the header cannot be written.
    pub fn to_recipients(
        out: W,
        recipients: &[Recipient],
        rng: &mut impl CryptoRng,
    ) -> Result<Self, AgeError> {
        match recipients.len() {
            0 => return Err(AgeError::NoRecipient),
            1..=Self::MOST_RECIPIENTS => {}
            count => {
                let most = Self::MOST_RECIPIENTS;
                return Err(AgeError::TooManyRecipients { count, most });
            }
        }
        let key = FileKey::generate(rng);
        let stanzas: Vec<Stanza> = recipients
            .iter()
            .map(|recipient| ForRecipient::wrap(&key, recipient, rng))
            .collect();
        Self::begin(out, &stanzas, key, rng)
    }

    /// Begins a file that a passphrase opens. The header is written at once.
    ///
    /// # Errors
    /// Where the system has no thread or memory for scrypt, or the header cannot be written.
    pub fn to_passphrase(
        out: W,
        passphrase: &Passphrase,
        work: WorkFactor,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, AgeError> {
        let key = FileKey::generate(rng);
        let stanza = ForPassphrase::wrap(&key, passphrase, work, rng)?;
        Self::begin(out, &[stanza], key, rng)
    }

    fn begin(
        mut out: W,
        stanzas: &[Stanza],
        key: FileKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, AgeError> {
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        out.write_all(&header::write(stanzas, &key))?;
        out.write_all(&nonce)?;
        let payload = Encryption::new(out, key.payload_key(&nonce));
        Ok(Self { payload, key })
    }

    /// Writes what is left and the end. It gives back what was written to, and the file key, with which the
    /// file can be read back ([`Sealed::open`](super::Sealed::open)).
    ///
    /// # Errors
    /// Where it cannot be written, now or before.
    pub fn finish(self) -> io::Result<(W, FileKey)> {
        Ok((self.payload.finish()?, self.key))
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.payload.write(content)
    }

    /// Has written out what is complete. The end of the content stays here until it is finished.
    fn flush(&mut self) -> io::Result<()> {
        self.payload.flush()
    }
}
