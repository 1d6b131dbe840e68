//! The secrets of ACME accounts: the key by which a client is bound to its account follows from it, and the
//! values that keep what the ledger says of the account from being altered.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::error::KeyError;
use super::passphrase::Passphrase;
use super::secret::Secret;
use crate::model::{AccountId, CheckValue, Host};

/// The secret of an account. It never leaves the home: what a client is given follows from it. Wiped when
/// dropped.
#[derive(Debug)]
pub struct AcmeSecret(Secret);

impl AcmeSecret {
    /// Makes a new one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Secret::generate(rng))
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

    /// The key that the client proves to have when it is bound to the account (RFC 8555 §7.3.4).
    pub fn mac_key(&self, account: AccountId) -> Zeroizing<[u8; 32]> {
        self.0.derive(b"", &format!("pki/v1/acme-mac/{account}"))
    }

    /// By what it is known for the secret of this grant: whoever can write to the home, and does not know it,
    /// grants nobody another name.
    pub fn check(&self, account: AccountId, names: &[Host], days: Option<i64>) -> CheckValue {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let days = days.map_or_else(String::new, |days| days.to_string());
        let granted = format!("pki/v1/acme-grant/{account}/{days}/{}", names.join(","));
        self.0.check(b"", &granted)
    }

    /// By what it is known that this key of a client, the one of this number, was bound to the account by
    /// whoever had the secret open.
    pub fn proof(&self, account: AccountId, number: u32, jwk: &str) -> CheckValue {
        self.0
            .check(b"", &format!("pki/v1/acme-bound/{account}/{number}/{jwk}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_for_that_of_one_grant_and_what_it_has_bound() {
        let secret = |octet| AcmeSecret(Secret::of([octet; 32]));
        let account = |octet| AccountId::from_random([octet; 8]);
        let names = |text: &str| -> Vec<Host> { text.split(' ').map(|name| name.parse().unwrap()).collect() };
        let own = secret(1).check(account(1), &names("api.acme.example"), None);
        assert_eq!(own, secret(1).check(account(1), &names("api.acme.example"), None));
        for other in [
            secret(2).check(account(1), &names("api.acme.example"), None),
            secret(1).check(account(2), &names("api.acme.example"), None),
            secret(1).check(account(1), &names("www.acme.example"), None),
            secret(1).check(account(1), &names("api.acme.example www.acme.example"), None),
            secret(1).check(account(1), &names("api.acme.example"), Some(90)),
            secret(1).proof(account(1), 1, "api.acme.example"),
        ] {
            assert_ne!(own, other);
        }
        assert_ne!(secret(1).mac_key(account(1)), secret(1).mac_key(account(2)));
        let proof = |number, jwk| secret(1).proof(account(1), number, jwk);
        assert_ne!(proof(1, "a"), proof(1, "b"));
        assert_ne!(proof(1, "a"), proof(2, "a"));
    }
}
