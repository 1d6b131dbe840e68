//! The secrets that shared keys are derived from, encrypted at rest as keys are.

use der::Encode;
use der::asn1::{ObjectIdentifier, OctetStringRef};
use pkcs8::SecretDocument;
use rand_core::CryptoRng;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use super::encryption;
use super::error::KeyError;
use super::passphrase::Passphrase;
use crate::model::hmac::CheckValue;
use crate::model::{Address, Host, Serial};

/// id-hmacWithSHA256 (RFC 4231 §3.1): what the secret is for, as PKCS#8 says it.
const HMAC_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");

/// The secret of one epoch of a host, from which the key of each device follows. Wiped when dropped.
pub struct HmacSecret(Zeroizing<[u8; 32]>);

/// How many octets HKDF is to give.
struct Octets(usize);

impl KeyType for Octets {
    fn len(&self) -> usize {
        self.0
    }
}

impl std::fmt::Debug for HmacSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HmacSecret(…)")
    }
}

impl HmacSecret {
    /// Makes a new one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut octets = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *octets);
        Self(octets)
    }

    /// Its octets, for the server that verifies by it.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// It as encrypted PKCS#8 in PEM.
    ///
    /// # Errors
    /// Should the library refuse the parameters.
    pub fn encrypt(&self, passphrase: &Passphrase, rng: &mut impl CryptoRng) -> Result<String, KeyError> {
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
    pub fn decrypt(pem: &str, passphrase: &Passphrase) -> Result<Self, KeyError> {
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

    /// Whether a file holds what [`Self::decrypt`] can open, as far as can be said without its passphrase.
    ///
    /// # Errors
    /// Where the file is something else.
    pub fn examine(pem: &str) -> Result<(), KeyError> {
        encryption::examine(pem)
    }

    /// The key of a device in this epoch: HKDF-SHA256 (RFC 5869) with the epoch's number for its salt.
    /// `first` is the device's first certificate after its last revocation, so that a lost phone's key does
    /// not come back with its address.
    pub fn device_key(&self, epoch: u32, address: &Address, first: &Serial) -> Zeroizing<[u8; 32]> {
        self.derive(
            epoch.to_string().as_bytes(),
            &format!("pki/v1/http-hmac/{address}{first}"),
        )
    }

    /// By what it is known for the secret of this epoch of this host.
    pub fn check(&self, host: &Host, epoch: u32) -> CheckValue {
        let derived = self.derive(
            epoch.to_string().as_bytes(),
            &format!("pki/v1/http-hmac-check/{host}"),
        );
        let mut value = [0; 16];
        value.copy_from_slice(&derived[..16]);
        CheckValue(value)
    }

    fn derive(&self, salt: &[u8], info: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        Salt::new(HKDF_SHA256, salt)
            .extract(&self.0[..])
            .expand(&[info.as_bytes()], Octets(32))
            .and_then(|okm| okm.fill(&mut *key))
            .expect("HKDF gives 32 octets");
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{SoftwareKey, os_rng};

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::from_octets(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn a_secret_opens_with_its_passphrase_and_is_no_key_of_another_kind() {
        let secret = HmacSecret::generate(&mut os_rng());
        let word = passphrase("correct horse battery");
        let pem = secret.encrypt(&word, &mut os_rng()).unwrap();
        let opened = HmacSecret::decrypt(&pem, &word).unwrap();
        assert_eq!(opened.expose(), secret.expose());
        let wrong = HmacSecret::decrypt(&pem, &passphrase("wrong"));
        assert!(matches!(wrong, Err(KeyError::WrongPassphrase)));
        assert!(matches!(
            SoftwareKey::decrypt(&pem, &word),
            Err(KeyError::NotP256)
        ));
        let key = SoftwareKey::generate(&mut os_rng())
            .encrypt(&word, &mut os_rng())
            .unwrap();
        assert!(matches!(HmacSecret::decrypt(&key, &word), Err(KeyError::NotHmac)));
    }

    #[test]
    fn a_secret_is_known_for_that_of_one_host_and_epoch() {
        let check = |octet, host: &str, epoch| {
            let secret = HmacSecret(Zeroizing::new([octet; 32]));
            secret.check(&host.parse().unwrap(), epoch)
        };
        let own = check(7, "api.acme.example", 1);
        assert_eq!(own, check(7, "api.acme.example", 1));
        for other in [
            check(7, "api.acme.example", 2),
            check(7, "other.acme.example", 1),
            check(8, "api.acme.example", 1),
        ] {
            assert_ne!(own, other);
        }
    }

    #[test]
    fn each_epoch_device_and_life_of_a_device_has_a_key_of_its_own() {
        let secret = HmacSecret(Zeroizing::new([7; 32]));
        let key = |epoch, address: &str, first| {
            let first = Serial::from_random([first; 16]);
            *secret.device_key(epoch, &address.parse().unwrap(), &first)
        };
        let own = key(1, "alice/phone", 1);
        assert_eq!(own, key(1, "alice/phone", 1));
        for other in [
            key(2, "alice/phone", 1),
            key(1, "bob/phone", 1),
            key(1, "alice/phone", 2),
        ] {
            assert_ne!(own, other);
        }
    }
}
