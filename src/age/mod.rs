//! Encrypted files: the age format, version 1 (<https://age-encryption.org/v1>), written and read as streams.
//!
//! A file has a header and a payload. The payload is encrypted with a key of this file alone, the file key.
//! The header has a *stanza* for each who may open it: the file key, encrypted either to a [`Recipient`]
//! (X25519), of whom the [`Identity`] is the secret half, or with a passphrase (scrypt). A MAC by the file
//! key covers the header, so that nobody changes it who could not have written the file.
//!
//! ```text
//! Recipient, Passphrase ──▶ Writer ──▶ finish()     the last chunk is written; gives the FileKey
//!                  file ──▶ Sealed::read            the header, within bounds, of a form that is known
//!   Identity, Passphrase ──▶ Sealed::unlock_with…   the FileKey, from one of the stanzas
//!                FileKey ──▶ Sealed::open           the header's MAC is right: a Reader of the content
//! ```
//!
//! Whoever has written a file reads it back with the [`FileKey`] that he has of the [`Writer`], and needs no
//! identity for it. A [`Reader`] gives out nothing that is not authentic, but a file can still break off or
//! be damaged further down: only one that was read to its end was whole.
//!
//! Files in ASCII armor are read, too, and not written. Recipients that the program `age` knows beyond these
//! (SSH keys, plugins, post-quantum keys) are recognized and told apart ([`UnfitRecipient`]).

mod armor;
mod bech32;
mod error;
mod file_key;
#[cfg(test)]
mod fuzz_tests;
mod header;
mod identity;
mod passphrase;
mod payload;
mod recipient;
mod sealed;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
mod writer;
mod x25519;

pub use error::{AgeError, HeaderFault};
pub use file_key::FileKey;
pub use identity::{Identity, UnfitIdentities, UnfitIdentity};
pub use passphrase::WorkFactor;
pub use recipient::{Recipient, UnfitRecipient};
pub use sealed::{Lock, Reader, Sealed};
pub use writer::Writer;
