//! The stanza for a recipient: the file key, encrypted with what a key pair of this stanza alone shares with
//! the recipient.
//!
//! ```text
//! -> X25519 SHARE       the public half of that pair, base64
//! BODY                  the wrapped file key
//! ```

use rand_core::CryptoRng;
use x25519_dalek::{EphemeralSecret, PublicKey, SharedSecret};
use zeroize::Zeroizing;

use super::error::{AgeError, HeaderFault};
use super::file_key::{self, FileKey, WRAPPED};
use super::header::{self, Stanza};
use super::identity::Identity;
use super::recipient::Recipient;

/// The first argument.
pub(super) const TYPE: &str = "X25519";
const INFO: &str = "age-encryption.org/v1/X25519";

/// The file key for a recipient. Who that is it does not tell.
pub(super) struct ForRecipient {
    share: [u8; 32],
    body: [u8; WRAPPED],
}

impl ForRecipient {
    /// Encrypts a file key to a recipient.
    pub(super) fn wrap(key: &FileKey, to: &Recipient, rng: &mut impl CryptoRng) -> Stanza {
        let secret = EphemeralSecret::random_from_rng(rng);
        let share = PublicKey::from(&secret).to_bytes();
        let shared = secret.diffie_hellman(&PublicKey::from(*to.point()));
        let body = key.wrap(&wrap_key(&shared, &share, to));
        Stanza {
            arguments: vec![TYPE.into(), header::encode(&share)],
            body: body.into(),
        }
    }

    /// Reads a stanza of this type.
    pub(super) fn read(stanza: &Stanza) -> Result<Self, HeaderFault> {
        let share = match stanza.arguments.as_slice() {
            [_, share] => header::decode(share).and_then(|share| share.try_into().ok()),
            _ => None,
        };
        // The length says that it is one file key, and that no other could be found in it by another secret.
        let body = stanza.body.as_slice().try_into().ok();
        match (share, body) {
            (Some(share), Some(body)) => Ok(Self { share, body }),
            _ => Err(HeaderFault::X25519),
        }
    }

    /// The file key, if this is for one of these identities.
    pub(super) fn unwrap(&self, identities: &[Identity]) -> Result<Option<FileKey>, AgeError> {
        for identity in identities {
            let shared = identity.shares(&self.share).ok_or(HeaderFault::LowOrder)?;
            let wrap_key = wrap_key(&shared, &self.share, &identity.recipient());
            if let Some(key) = FileKey::unwrap(&self.body, &wrap_key) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }
}

fn wrap_key(shared: &SharedSecret, share: &[u8; 32], to: &Recipient) -> Zeroizing<[u8; 32]> {
    file_key::derive(shared.as_bytes(), &[*share, *to.point()].concat(), INFO)
}
