//! The secrets that shared keys are derived from.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::error::KeyError;
use super::passphrase::Passphrase;
use super::secret::Secret;
use crate::model::{Address, CheckValue, Host, Serial};

/// The secret of one epoch of a host, from which the key of each device follows. Wiped when dropped.
#[derive(Debug)]
pub struct HmacSecret(Secret);

impl HmacSecret {
    /// Makes a new one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Secret::generate(rng))
    }

    /// Its octets, for the server that verifies by it.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// It as encrypted PKCS#8 in PEM.
    ///
    /// # Errors
    /// Should the library refuse the parameters.
    pub fn encrypt(&self, passphrase: &Passphrase, rng: &mut impl CryptoRng) -> Result<String, KeyError> {
        self.0.encrypt(passphrase, rng)
    }

    /// The secret in an encrypted PKCS#8 PEM file.
    ///
    /// # Errors
    /// Where the file is something else, or the passphrase is not its own.
    pub fn decrypt(pem: &str, passphrase: &Passphrase) -> Result<Self, KeyError> {
        Secret::decrypt(pem, passphrase).map(Self)
    }

    /// The key of a device in this epoch: HKDF-SHA256 (RFC 5869) with the epoch's number for its salt.
    /// `first` is the device's first certificate after its last revocation, so that a lost phone's key does
    /// not come back with its address.
    pub fn device_key(&self, epoch: u32, address: &Address, first: &Serial) -> Zeroizing<[u8; 32]> {
        let salt = epoch.to_string();
        self.0
            .derive(salt.as_bytes(), &format!("pki/v1/http-hmac/{address}{first}"))
    }

    /// By what it is known for the secret of this epoch of this host.
    pub fn check(&self, host: &Host, epoch: u32) -> CheckValue {
        let salt = epoch.to_string();
        self.0
            .check(salt.as_bytes(), &format!("pki/v1/http-hmac-check/{host}"))
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
            let secret = HmacSecret(Secret::of([octet; 32]));
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
        let secret = HmacSecret(Secret::of([7; 32]));
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
