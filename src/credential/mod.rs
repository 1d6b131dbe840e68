//! A device's own certificate and key, as they lie in two files on the device: reads them. It needs no home.

mod error;

use std::path::Path;

use zeroize::Zeroizing;

use crate::disk::{self, Exposed, Shown};
use crate::key::{KeyError, Passphrase, SoftwareKey};
use crate::model::{Contents, Kind};
use crate::x509::{Certificate, X509Error};

pub use error::CredentialError;

/// The longest certificate chain or key that is read, in octets.
pub const LONGEST: u64 = 1 << 20;

/// What a file of certificates holds.
#[derive(Debug)]
pub struct Chain {
    /// The device's own.
    pub own: Certificate,
    /// What stands behind it, each in DER.
    pub above: Vec<Vec<u8>>,
    /// Whether it is PEM, and not DER.
    pub is_pem: bool,
}

impl Chain {
    /// Whether this is the key of the device's certificate.
    pub fn is_of(&self, key: &SoftwareKey) -> bool {
        self.own.public_key() == key.public_key()
    }
}

/// Reads a device's certificate, with those that stand behind it in its file.
///
/// # Errors
/// Where the file cannot be read, has no certificate, or a key as well.
pub fn read_chain(path: &Path) -> Result<Chain, CredentialError> {
    let unfit = |why| CredentialError::Certificate {
        path: Shown(path.to_owned()),
        why,
    };
    let octets = disk::read(path, LONGEST)?;
    let contents = Contents::of(&octets);
    if contents.holds_key() && contents.all(Kind::Certificate).is_ok() {
        return Err(CredentialError::Together(Shown(path.to_owned())));
    }
    let all = contents.all(Kind::Certificate);
    let all = all.map_err(|why| unfit(X509Error::from(why)))?;
    let mut all = all.into_iter().map(<[u8]>::to_vec);
    let own = all.next().unwrap_or_default();
    Ok(Chain {
        own: Certificate::from_der(&own).map_err(unfit)?,
        above: all.collect(),
        is_pem: octets.windows(10).any(|part| part == b"-----BEGIN"),
    })
}

/// Reads a file with a secret, which nobody else may be able to read.
///
/// # Errors
/// Where it cannot be read, or others can read it as well.
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let octets = Zeroizing::new(disk::read(path, LONGEST)?);
    let mode = disk::mode(path)?;
    if mode & 0o077 != 0 {
        return Err(Exposed::new(path, mode).into());
    }
    Ok(octets)
}

/// Whether a key is encrypted.
///
/// # Errors
/// Where it cannot be read, or others can read it as well.
pub fn is_encrypted(path: &Path) -> Result<bool, CredentialError> {
    Ok(has_encrypted(&read_private(path)?))
}

fn has_encrypted(pem: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    pem.windows(BEGIN.len()).any(|part| part == BEGIN)
}

/// Reads a device's key.
///
/// # Errors
/// Where it cannot be read, others can read it as well, it is no P-256 key, or does not open.
pub fn read_key(path: &Path, passphrase: Option<&Passphrase>) -> Result<SoftwareKey, CredentialError> {
    let octets = read_private(path)?;
    if Contents::of(&octets).instead() == Some(Kind::Pkcs12) {
        return Err(CredentialError::Bundle(Shown(path.to_owned())));
    }
    let key = if has_encrypted(&octets) {
        let text = std::str::from_utf8(&octets).map_err(|_| KeyError::NotEncryptedPkcs8);
        text.and_then(|text| {
            let passphrase = passphrase.ok_or(KeyError::WrongPassphrase)?;
            SoftwareKey::decrypt(text, passphrase)
        })
    } else {
        let block = key_block(&octets);
        SoftwareKey::from_pem(block)
            .or_else(|| SoftwareKey::from_sec1_pem(&octets))
            .ok_or(KeyError::NotP256)
    };
    key.map_err(|why| CredentialError::Key {
        path: Shown(path.to_owned()),
        why,
    })
}

/// The block with the key, where certificates or what openssl says of a bundle stand before it.
fn key_block(octets: &[u8]) -> &[u8] {
    const BEGIN: &[u8] = b"-----BEGIN PRIVATE KEY-----";
    let at = octets.windows(BEGIN.len()).position(|part| part == BEGIN);
    &octets[at.unwrap_or(0)..]
}
