//! What the store knows of accounts by which servers order their certificates, and of the keys that were
//! certified for servers.

use super::{Store, StoreError};
use crate::model::{AccountId, AcmeAccount, Host, Pin, Serial, Time};

impl Store {
    /// An ACME account, whatever has become of it.
    ///
    /// # Errors
    /// A damaged index.
    pub fn acme_account(&self, id: AccountId) -> Result<Option<AcmeAccount>, StoreError> {
        self.index.acme_account(id)
    }

    /// Every ACME account that there is or was, by its server's name, the oldest first.
    ///
    /// # Errors
    /// A damaged index.
    pub fn acme_accounts(&self) -> Result<Vec<AcmeAccount>, StoreError> {
        self.index.acme_accounts()
    }

    /// The ACME account that a certificate of the servers' CA was ordered by, where one did.
    ///
    /// # Errors
    /// A damaged index.
    pub fn ordered_by(&self, serial: &Serial) -> Result<Option<AccountId>, StoreError> {
        self.index.ordered_by(serial)
    }

    /// The certificates that an ACME account has ordered and that are good at `now`.
    ///
    /// # Errors
    /// A damaged index.
    pub fn good_of_account(&self, account: AccountId, now: Time) -> Result<Vec<Serial>, StoreError> {
        let mut good = Vec::new();
        for (serial, end) in self.index.ordered_of(account)? {
            let revoked = self
                .certified(&serial)?
                .is_some_and(|(_, revoked)| revoked.is_some());
            if now <= end && !revoked {
                good.push(serial);
            }
        }
        Ok(good)
    }

    /// The host that a key was certified for by the servers' CA, and whether it was given up because somebody
    /// else may have it.
    ///
    /// # Errors
    /// A damaged index.
    pub fn certified_key(&self, pin: Pin) -> Result<Option<(Host, bool)>, StoreError> {
        self.index.certified_key(pin)
    }

    /// The ACME account that a key is bound to, or was.
    ///
    /// # Errors
    /// A damaged index.
    pub fn account_of_key(&self, pin: Pin) -> Result<Option<AccountId>, StoreError> {
        self.index.account_of_key(pin)
    }

    /// The ACME accounts that a key, as the text of its JWK, was ever bound to.
    ///
    /// # Errors
    /// A damaged index.
    pub fn accounts_that_held(&self, jwk: &str) -> Result<Vec<AccountId>, StoreError> {
        self.index.accounts_that_held(jwk)
    }

    /// The pin of the key of a certificate of the servers' CA.
    ///
    /// # Errors
    /// A damaged index.
    pub fn pin_of_certified(&self, serial: &Serial) -> Result<Option<Pin>, StoreError> {
        self.index.pin_of_certified(serial)
    }

    /// Every certificate that an ACME account has ordered, whatever has become of it, the newest
    /// last, each with its end.
    ///
    /// # Errors
    /// A damaged index.
    pub fn ordered_of(&self, account: AccountId) -> Result<Vec<(Serial, Time)>, StoreError> {
        self.index.ordered_of(account)
    }
}
