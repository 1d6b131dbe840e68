//! Encrypts secrets at rest: PKCS#8 (RFC 5958) under a passphrase, within bounds.

use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rand_core::CryptoRng;

use super::error::KeyError;
use super::passphrase::Passphrase;
use super::threads::demand_threads;

/// A plain PrivateKeyInfo as encrypted PKCS#8 in PEM: PBES2 with scrypt (N = 2^14, r = 8, p = 8; OpenSSL
/// opens no larger N) and AES-256-CBC.
///
/// # Errors
/// Should the library refuse the parameters.
pub(super) fn seal(
    plain: &[u8],
    passphrase: &Passphrase,
    rng: &mut impl CryptoRng,
) -> Result<String, KeyError> {
    demand_threads().map_err(KeyError::NoThreads)?;
    let failed = |e: &dyn std::fmt::Display| KeyError::Encryption(e.to_string());
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    rng.fill_bytes(&mut salt);
    rng.fill_bytes(&mut iv);
    let cost = scrypt::Params::new(14, 8, 8).map_err(|e| failed(&e))?;
    let parameters = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv).map_err(|e| failed(&e))?;
    let info = pkcs8::PrivateKeyInfoRef::try_from(plain).map_err(|e| failed(&e))?;
    let sealed = info
        .encrypt_with_params(parameters, passphrase.expose())
        .map_err(|e| failed(&e))?;
    let pem = sealed
        .to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF)
        .map_err(|e| failed(&e))?;
    Ok(pem.to_string())
}

/// The plain PrivateKeyInfo in an encrypted PKCS#8 PEM file. Takes as long as its key derivation was set to:
/// about 0.3 s for our own.
///
/// # Errors
/// Where the file is something else, its derivation is out of bounds, or the passphrase is not its own.
pub(super) fn open(pem: &str, passphrase: &Passphrase) -> Result<SecretDocument, KeyError> {
    let document = sealed(pem)?;
    let sealed = encryption(&document)?;
    demand_threads().map_err(KeyError::NoThreads)?;
    let opened = sealed.decrypt(passphrase.expose());
    let opened = match (opened, passphrase.expose_marked()) {
        (Err(_), Some(marked)) => sealed.decrypt(marked),
        (opened, _) => opened,
    };
    opened.map_err(|_| KeyError::WrongPassphrase)
}

/// What is in an encrypted PKCS#8 PEM file, encrypted with another passphrase. It is opened once more: what
/// does not open is no key.
///
/// # Errors
/// Where it does not open with the old one; should the library refuse to encrypt it; or where what it has
/// encrypted does not open as it was.
pub fn reencrypt(
    pem: &str,
    old: &Passphrase,
    new: &Passphrase,
    rng: &mut impl CryptoRng,
) -> Result<String, KeyError> {
    let plain = open(pem, old)?;
    let sealed = seal(plain.as_bytes(), new, rng)?;
    if open(&sealed, new)?.as_bytes() == plain.as_bytes() {
        Ok(sealed)
    } else {
        Err(KeyError::Encryption("it does not open as it was".into()))
    }
}

/// Whether a file holds what [`open`] can open, as far as can be said without its passphrase.
///
/// # Errors
/// Where the file is something else, or its derivation is out of bounds.
pub(super) fn examine(pem: &str) -> Result<(), KeyError> {
    encryption(&sealed(pem)?).map(drop)
}

/// The octets of an encrypted PKCS#8 key.
fn sealed(pem: &str) -> Result<SecretDocument, KeyError> {
    match SecretDocument::from_pem(pem) {
        Ok(("ENCRYPTED PRIVATE KEY", document)) => Ok(document),
        Ok(_) | Err(_) => Err(KeyError::NotEncryptedPkcs8),
    }
}

/// How it is encrypted, within bounds.
fn encryption(document: &SecretDocument) -> Result<EncryptedPrivateKeyInfoRef<'_>, KeyError> {
    let info =
        EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| KeyError::NotEncryptedPkcs8)?;
    bounded(&info)?;
    Ok(info)
}

/// Refuses key derivations that would keep the machine busy for minutes or eat its memory: the file may come
/// from anywhere.
fn bounded(info: &EncryptedPrivateKeyInfoRef<'_>) -> Result<(), KeyError> {
    let unsupported = |what: String| Err(KeyError::Unsupported(what));
    let Some(parameters) = info.encryption_algorithm.pbes2() else {
        return unsupported("not PBES2".into());
    };
    match &parameters.kdf {
        pbes2::Kdf::Scrypt(s) => {
            let memory = s
                .cost_parameter
                .saturating_mul(u64::from(s.block_size))
                .saturating_mul(128);
            let work = memory.saturating_mul(u64::from(s.parallelization));
            // N is a power of two above 1, and neither r nor p is 0 (RFC 7914 §6): the library panics at an N
            // of 0.
            let is_cost = s.cost_parameter > 1 && s.cost_parameter.is_power_of_two() && work > 0;
            if !is_cost || memory > 256 << 20 || work > 2 << 30 {
                return unsupported(format!("scrypt with N = {}", s.cost_parameter));
            }
        }
        pbes2::Kdf::Pbkdf2(p) if p.iteration_count > 10_000_000 => {
            return unsupported(format!("PBKDF2 with {} iterations", p.iteration_count));
        }
        pbes2::Kdf::Pbkdf2(_) => {}
        other => return unsupported(format!("key derivation {}", other.oid())),
    }
    Ok(())
}
