//! P-256 keys in software, encrypted at rest as PKCS#8.

use der::Encode;
use der::asn1::OctetStringRef;
use p256::NistP256;
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use p256::elliptic_curve::{self, Generate, Group as _};
use pkcs8::{AssociatedOid, DecodePrivateKey, EncodePrivateKey, SecretDocument};
use rand_core::CryptoRng;
use rustls::pki_types::PrivateSec1KeyDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::encryption;
use super::error::KeyError;
use super::passphrase::Passphrase;
use super::public::PublicKey;
use super::signer::{Signer, SigningError, Unverified};

/// A P-256 private key, wiped when dropped.
pub struct SoftwareKey {
    secret: SigningKey,
    public: PublicKey,
}

impl std::fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SoftwareKey(…)")
    }
}

impl SoftwareKey {
    fn new(secret: SigningKey) -> Self {
        let public = PublicKey::new(*secret.verifying_key());
        Self { secret, public }
    }

    /// Begins what the first key of a process waits for, a table of the base point's multiples, beside
    /// whatever the program does first: it takes about as long as to open a home.
    pub fn prepare() {
        let table = || p256::ProjectivePoint::mul_by_generator(&p256::Scalar::ONE);
        // Where the system starts no threads, the first key makes it.
        let _ = std::thread::Builder::new().spawn(move || std::hint::black_box(table()));
    }

    /// Generates a new key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::new(SigningKey::generate_from_rng(rng))
    }

    /// The key in an encrypted PKCS#8 PEM file. Takes as long as its key derivation was set to: about 0.3 s
    /// for our own.
    ///
    /// # Errors
    /// Where the file is something else, its derivation is out of bounds, or the passphrase is not its own.
    pub fn decrypt(pem: &str, passphrase: &Passphrase) -> Result<Self, KeyError> {
        let opened = encryption::open(pem, passphrase)?;
        SigningKey::from_pkcs8_der(opened.as_bytes())
            .map(Self::new)
            .map_err(|_| KeyError::NotP256)
    }

    /// The key in a PEM file with plain PKCS#8; none where it is something else.
    pub fn from_pem(pem: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(pem).ok()?;
        SigningKey::from_pkcs8_pem(text).ok().map(Self::new)
    }

    /// The key in a PEM file with SEC1 (RFC 5915), as `openssl ecparam -genkey` writes it, behind its
    /// parameters or alone; none where there is no such key.
    pub fn from_sec1_pem(pem: &[u8]) -> Option<Self> {
        let der = Zeroizing::new(PrivateSec1KeyDer::from_pem_slice(pem).ok()?);
        let secret = p256::SecretKey::from_sec1_der(der.secret_sec1_der()).ok()?;
        Some(Self::new(secret.into()))
    }

    /// Whether a file holds an encrypted key that [`Self::decrypt`] can open, as far as can be said without
    /// its passphrase.
    ///
    /// # Errors
    /// Where the file is something else, or its derivation is out of bounds.
    pub fn examine(pem: &str) -> Result<(), KeyError> {
        encryption::examine(pem)
    }

    /// The key as encrypted PKCS#8 in PEM: PBES2 with scrypt (N = 2^14, r = 8, p = 8; OpenSSL opens no larger
    /// N) and AES-256-CBC.
    ///
    /// # Errors
    /// Should the library refuse the parameters.
    pub fn encrypt(&self, passphrase: &Passphrase, rng: &mut impl CryptoRng) -> Result<String, KeyError> {
        encryption::seal(&self.pkcs8()?, passphrase, rng)
    }

    /// The key as plain PKCS#8, DER: for the encrypted bundle of the device that will own it.
    ///
    /// # Errors
    /// Should the library fail to encode it.
    pub fn pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let document = self.encode().map_err(|e| KeyError::Encryption(e.to_string()))?;
        Ok(Zeroizing::new(document.as_bytes().to_vec()))
    }

    /// The octets that `p256` gives, without the public key being computed for each anew: that takes a third
    /// of the time in which a key is made.
    fn encode(&self) -> der::Result<SecretDocument> {
        let secret = Zeroizing::new(self.secret.to_bytes());
        let key = sec1::EcPrivateKey {
            private_key: &secret,
            parameters: None,
            public_key: Some(self.public.point()),
        };
        let key = Zeroizing::new(key.to_der()?);
        let algorithm = pkcs8::AlgorithmIdentifierRef {
            oid: elliptic_curve::ALGORITHM_OID,
            parameters: Some((&NistP256::OID).into()),
        };
        let info = pkcs8::PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(&key)?);
        SecretDocument::encode_msg(&info)
    }

    /// The key as plain PKCS#8 in PEM: for the server that will use it.
    ///
    /// # Errors
    /// Should the library fail to encode it.
    pub fn pkcs8_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        self.secret
            .to_pkcs8_pem(pkcs8::LineEnding::LF)
            .map_err(|e| KeyError::Encryption(e.to_string()))
    }

    /// The public key that belongs to it.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }
}

impl Signer for SoftwareKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Deterministic (RFC 6979): no randomness of a bad day gives the key away.
    fn sign(&self, message: &[u8]) -> Result<Unverified, SigningError> {
        let signature: p256::ecdsa::Signature = self.secret.sign(message);
        Ok(Unverified::new(signature.to_bytes().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{os_rng, sign};

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::from_octets(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn an_encrypted_key_opens_with_its_passphrase_and_no_other() {
        let key = SoftwareKey::generate(&mut os_rng());
        let pem = key
            .encrypt(&passphrase("correct horse battery"), &mut os_rng())
            .unwrap();
        let opened = SoftwareKey::decrypt(&pem, &passphrase("correct horse battery")).unwrap();
        assert_eq!(opened.public_key(), key.public_key());
        assert!(matches!(
            SoftwareKey::decrypt(&pem, &passphrase("wrong")),
            Err(KeyError::WrongPassphrase)
        ));
    }

    #[test]
    fn a_plain_key_has_the_octets_that_the_library_writes() {
        let key = SoftwareKey::generate(&mut os_rng());
        let document = key.secret.to_pkcs8_der().unwrap();
        assert_eq!(*key.pkcs8().unwrap(), document.as_bytes());
    }

    #[test]
    fn a_key_in_sec1_is_read_behind_its_parameters_or_alone() {
        let key = SoftwareKey::generate(&mut os_rng());
        let alone = p256::SecretKey::from(&key.secret)
            .to_sec1_pem(pkcs8::LineEnding::LF)
            .unwrap();
        // As `openssl ecparam -genkey -name prime256v1` begins.
        let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        for text in [alone.to_string(), format!("{parameters}{}", *alone)] {
            let read = SoftwareKey::from_sec1_pem(text.as_bytes()).unwrap();
            assert_eq!(read.public_key(), key.public_key());
        }
        for text in [parameters, &key.pkcs8_pem().unwrap(), ""] {
            assert!(SoftwareKey::from_sec1_pem(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_signature_is_verified_by_the_public_key_alone() {
        let key = SoftwareKey::generate(&mut os_rng());
        let public = PublicKey::from_spki(key.public_key().spki()).unwrap();
        let signature = sign(&key, b"message").unwrap();
        let (der, fixed) = (signature.to_der(), signature.to_fixed());
        assert!(public.verifies(b"message", &der) && public.verifies_es256(b"message", &fixed));
        assert!(!public.verifies(b"another", &der) && !public.verifies_es256(b"another", &fixed));
        assert!(!public.verifies(b"message", &fixed) && !public.verifies_es256(b"message", &der));
        assert_eq!(public.point().len(), 65);
        assert_eq!(public.point()[0], 4);
    }

    #[test]
    fn what_is_no_p256_key_is_refused() {
        assert!(matches!(
            PublicKey::from_spki(b"\x30\x00"),
            Err(KeyError::PublicKey)
        ));
        let other = SoftwareKey::decrypt(
            "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
            &passphrase("x"),
        );
        assert!(matches!(other, Err(KeyError::NotEncryptedPkcs8)));
    }
}
