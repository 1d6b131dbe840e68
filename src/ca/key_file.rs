//! Encrypts new keys, so that no key is written to a disk in the clear.

use super::CaError;
use crate::disk::Shown;
use crate::key::{Passphrase, SoftwareKey, os_rng};

/// Encrypts a new key, and opens it once more: a key that does not open is no key.
pub(super) fn seal(key: &SoftwareKey, passphrase: &Passphrase) -> Result<String, CaError> {
    let failed = |why| CaError::Key {
        path: Shown("the new key".into()),
        why,
    };
    let sealed = key.encrypt(passphrase, &mut os_rng()).map_err(failed)?;
    let opened = SoftwareKey::decrypt(&sealed, passphrase).map_err(failed)?;
    if opened.public_key() == key.public_key() {
        Ok(sealed)
    } else {
        Err(CaError::ReadBack(Shown("the new key".into())))
    }
}
