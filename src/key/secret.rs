//! Secrets of 32 octets from which others are derived, encrypted at rest as keys are.

use der::Encode;
use der::asn1::{ObjectIdentifier, OctetStringRef};
use pkcs8::SecretDocument;
use rand_core::CryptoRng;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use super::encryption;
use super::error::KeyError;
use super::passphrase::Passphrase;
use crate::model::CheckValue;

/// id-hmacWithSHA256 (RFC 4231 §3.1): what a secret is for, as PKCS#8 says it.
const HMAC_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");

/// A secret from which keys are derived. Wiped when dropped.
pub struct Secret(Zeroizing<[u8; 32]>);

/// How many octets HKDF is to give.
struct Octets(usize);

impl KeyType for Octets {
    fn len(&self) -> usize {
        self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Makes a new one.
    pub(super) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut octets = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *octets);
        Self(octets)
    }

    #[cfg(test)]
    pub(super) fn of(octets: [u8; 32]) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// Its octets.
    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// It as encrypted PKCS#8 in PEM.
    ///
    /// # Errors
    /// Should the library refuse the parameters.
    pub(super) fn encrypt(
        &self,
        passphrase: &Passphrase,
        rng: &mut impl CryptoRng,
    ) -> Result<String, KeyError> {
        let failed = |e: der::Error| KeyError::Encryption(e.to_string());
        let inner = OctetStringRef::new(&self.0[..]).map_err(failed)?;
        let inner = Zeroizing::new(inner.to_der().map_err(failed)?);
        let algorithm = pkcs8::AlgorithmIdentifierRef {
            oid: HMAC_WITH_SHA256,
            parameters: None,
        };
        let info = pkcs8::PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(&inner).map_err(failed)?);
        let plain = SecretDocument::encode_msg(&info).map_err(failed)?;
        encryption::seal(plain.as_bytes(), passphrase, rng)
    }

    /// The secret in an encrypted PKCS#8 PEM file.
    ///
    /// # Errors
    /// Where the file is something else, or the passphrase is not its own.
    pub(super) fn decrypt(pem: &str, passphrase: &Passphrase) -> Result<Self, KeyError> {
        let opened = encryption::open(pem, passphrase)?;
        let info = pkcs8::PrivateKeyInfoRef::try_from(opened.as_bytes()).ok();
        let inner = info
            .as_ref()
            .filter(|info| info.algorithm.oid == HMAC_WITH_SHA256)
            .and_then(|info| info.private_key.as_bytes().strip_prefix(&[0x04, 32]));
        let octets = inner.and_then(|inner| <[u8; 32]>::try_from(inner).ok());
        octets
            .map(|octets| Self(Zeroizing::new(octets)))
            .ok_or(KeyError::NotHmac)
    }

    /// Whether a file holds what can be opened, as far as can be said without its passphrase.
    ///
    /// # Errors
    /// Where the file is something else.
    pub fn examine(pem: &str) -> Result<(), KeyError> {
        encryption::examine(pem)
    }

    /// What follows from it for this purpose: HKDF-SHA256 (RFC 5869).
    pub(super) fn derive(&self, salt: &[u8], info: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        Salt::new(HKDF_SHA256, salt)
            .extract(&self.0[..])
            .expand(&[info.as_bytes()], Octets(32))
            .and_then(|okm| okm.fill(&mut *key))
            .expect("HKDF gives 32 octets");
        key
    }

    /// A value that shows that somebody had it and meant this, and tells nothing of it.
    pub(super) fn check(&self, salt: &[u8], info: &str) -> CheckValue {
        let derived = self.derive(salt, info);
        let mut value = [0; 16];
        value.copy_from_slice(&derived[..16]);
        CheckValue(value)
    }
}
