//! P-256 public keys, and the verification of signatures with them.
//!
//! `p256` reads and writes them. `ring`, which the TLS client brings along, verifies: nothing secret goes
//! into that, and it takes a fifth of the time.

use p256::ecdsa::VerifyingKey;
use pkcs8::{DecodePublicKey, EncodePublicKey};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, EcdsaVerificationAlgorithm, UnparsedPublicKey,
};
use sha2::{Digest, Sha256};

use super::KeyError;

/// A P-256 public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    spki: Vec<u8>,
}

impl PublicKey {
    pub(super) fn new(key: VerifyingKey) -> Self {
        let spki = key.to_public_key_der().map(|der| der.into_vec());
        Self {
            key,
            spki: spki.expect("a P-256 point always has a DER form"),
        }
    }

    /// Reads a SubjectPublicKeyInfo in DER (RFC 5480). The point is checked to lie on the curve.
    ///
    /// # Errors
    /// Any other algorithm, curve or encoding.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        VerifyingKey::from_public_key_der(der)
            .map(Self::new)
            .map_err(|_| KeyError::PublicKey)
    }

    /// The key with these coordinates (SEC 1 §2.3.3).
    ///
    /// # Errors
    /// Where they are no point of the curve.
    pub fn from_coordinates(x: &[u8; 32], y: &[u8; 32]) -> Result<Self, KeyError> {
        VerifyingKey::from_sec1_bytes(&[&[0x04][..], x, y].concat())
            .map(Self::new)
            .map_err(|_| KeyError::PublicKey)
    }

    /// The SubjectPublicKeyInfo in DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The uncompressed point, 65 octets (SEC 1 §2.3.3).
    pub fn point(&self) -> &[u8] {
        // The point is the whole BIT STRING at the end of the SubjectPublicKeyInfo.
        &self.spki[self.spki.len() - 65..]
    }

    /// SHA-256 of the SubjectPublicKeyInfo: the pin.
    pub fn spki_sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.spki).into()
    }

    /// The key identifier of SKI and AKI: the first 20 octets of SHA-256 of the point (RFC 7093 §2 method 1).
    pub fn key_identifier(&self) -> Vec<u8> {
        Sha256::digest(self.point())[..20].to_vec()
    }

    /// Whether `signature` (r and s, 32 octets each) over SHA-256 of `message` is this key's, as JOSE has it.
    pub fn verifies_es256(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verified_by(&ECDSA_P256_SHA256_FIXED, message, signature)
    }

    /// Whether `signature` (ECDSA-Sig-Value, DER) over SHA-256 of `message` is this key's.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verified_by(&ECDSA_P256_SHA256_ASN1, message, signature)
    }

    fn verified_by(
        &self,
        algorithm: &'static EcdsaVerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        UnparsedPublicKey::new(algorithm, self.point())
            .verify(message, signature)
            .is_ok()
    }
}
