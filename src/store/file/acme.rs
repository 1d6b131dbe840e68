//! The ACME accounts in the index.

use super::codec::corrupt;
use super::index::{Index, key};
use super::pending::Pending;
use crate::model::acme::account_of;
use crate::model::{AccountId, AcmeAccount, Event};
use crate::store::StoreError;

const ACCOUNT: u8 = b'A';

impl Index {
    /// An ACME account.
    pub(in crate::store) fn acme_account(&self, id: AccountId) -> Result<Option<AcmeAccount>, StoreError> {
        let value = self.map.value(&place_of(id))?;
        value.map(|value| read(&value)).transpose()
    }

    /// Every ACME account that there is or was, by its server's name, the oldest first.
    pub(in crate::store) fn acme_accounts(&self) -> Result<Vec<AcmeAccount>, StoreError> {
        let mut accounts = Vec::new();
        self.map.scan(&[ACCOUNT], &mut |_, value| {
            accounts.push(read(value)?);
            Ok(true)
        })?;
        accounts.sort_by(|a, b| (a.host(), a.granted).cmp(&(b.host(), b.granted)));
        Ok(accounts)
    }
}

fn place_of(id: AccountId) -> Vec<u8> {
    key(ACCOUNT, id.to_string().as_bytes())
}

fn read(value: &[u8]) -> Result<AcmeAccount, StoreError> {
    let account: AcmeAccount = serde_json::from_slice(value).map_err(|_| corrupt("an ACME account"))?;
    match account.grant.names.is_empty() {
        true => Err(corrupt("an ACME account")),
        false => Ok(account),
    }
}

impl Pending<'_> {
    /// Applies an event of an ACME account, or one that an account has to do with.
    pub(in crate::store) fn take_acme(&mut self, event: &Event) -> Result<(), StoreError> {
        let Some(id) = account_of(&event.fact) else {
            return Ok(());
        };
        let known = self.value(&place_of(id))?;
        let known = known.map(|value| read(&value)).transpose()?;
        if let Some(account) = AcmeAccount::after(known, event) {
            let value = serde_json::to_vec(&account).map_err(|_| corrupt("an ACME account"))?;
            self.put(place_of(id), value);
        }
        Ok(())
    }
}
