//! The [`Signer`] interface: a private key behind one fallible method, wherever it lies; and the signatures
//! that it makes.

use std::fmt;

use super::public::PublicKey;

/// A P-256 private key that signs: in this process, or in a token or another machine, where it can fail.
pub trait Signer: Send + Sync + fmt::Debug {
    /// The public key that belongs to it.
    fn public_key(&self) -> &PublicKey;

    /// ECDSA with SHA-256 over `message`. Call [`sign`] instead: only a verified signature can be used.
    ///
    /// # Errors
    /// Where the key cannot be used.
    fn sign(&self, message: &[u8]) -> Result<Unverified, SigningError>;
}

/// The errors by which a key does not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The key cannot be used; the text is the message of what holds it.
    #[error("the key does not sign: {0}")]
    Unable(String),
    /// A broken computer or token: a signature that does not verify can give the key away.
    #[error("the key made a signature that does not verify, and it was thrown away")]
    Wrong,
}

/// A signature as a key gave it, which nobody has verified: it cannot be read.
#[derive(Debug)]
pub struct Unverified([u8; 64]);

impl Unverified {
    /// A signature from r and s, 32 octets each.
    pub fn new(r_and_s: [u8; 64]) -> Self {
        Self(r_and_s)
    }
}

/// A signature that was verified by the public key of whatever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature([u8; 64]);

/// ECDSA with SHA-256 over `message` by `signer`, verified before anybody gets it.
///
/// # Errors
/// Where the key cannot be used, or what it made does not verify.
pub fn sign(signer: &dyn Signer, message: &[u8]) -> Result<Signature, SigningError> {
    let Unverified(r_and_s) = signer.sign(message)?;
    if signer.public_key().verifies_es256(message, &r_and_s) {
        Ok(Signature(r_and_s))
    } else {
        Err(SigningError::Wrong)
    }
}

impl Signature {
    /// The signature in the form of X.509: ecdsa-with-SHA256, an ECDSA-Sig-Value in DER (RFC 5758 §3.2).
    pub fn to_der(&self) -> Vec<u8> {
        let signature = p256::ecdsa::Signature::from_slice(&self.0);
        let signature = signature.expect("r and s of a signature that verifies are in range");
        signature.to_der().as_bytes().to_vec()
    }

    /// The signature in the form of JOSE: r and s, 32 octets each (ES256, RFC 7518 §3.4).
    pub fn to_fixed(&self) -> [u8; 64] {
        self.0
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::key::{SoftwareKey, os_rng};

    /// A key in a computer that makes mistakes.
    #[derive(Debug)]
    pub(crate) struct Broken(pub SoftwareKey);

    impl Signer for Broken {
        fn public_key(&self) -> &PublicKey {
            self.0.public_key()
        }

        fn sign(&self, message: &[u8]) -> Result<Unverified, SigningError> {
            let Unverified(mut octets) = self.0.sign(message)?;
            octets[40] ^= 1;
            Ok(Unverified(octets))
        }
    }

    /// A token that was pulled out.
    #[derive(Debug)]
    pub(crate) struct Gone(pub SoftwareKey);

    impl Signer for Gone {
        fn public_key(&self) -> &PublicKey {
            self.0.public_key()
        }

        fn sign(&self, _: &[u8]) -> Result<Unverified, SigningError> {
            Err(SigningError::Unable("it was removed".into()))
        }
    }

    #[test]
    fn no_signature_leaves_that_does_not_verify() {
        let key = || SoftwareKey::generate(&mut os_rng());
        assert!(sign(&key(), b"message").is_ok());
        assert!(matches!(
            sign(&Broken(key()), b"message"),
            Err(SigningError::Wrong)
        ));
        assert!(matches!(
            sign(&Gone(key()), b"message"),
            Err(SigningError::Unable(_))
        ));
    }
}
