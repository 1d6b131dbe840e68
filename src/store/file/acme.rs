//! The ACME accounts in the index.

use sha2::{Digest, Sha256};

use super::codec::corrupt;
use super::index::{Index, key};
use super::pending::Pending;
use crate::key::Jwk;
use crate::model::acme::account_of;
use crate::model::{AccountId, AcmeAccount, Event, Fact, Pin};
use crate::store::StoreError;

const ACCOUNT: u8 = b'A';
/// The account that a key was bound to last.
const BOUND: u8 = b'J';
/// By a key and an account: that the one was bound to the other once.
const HELD: u8 = b'H';

impl Index {
    /// An ACME account.
    pub(in crate::store) fn acme_account(&self, id: AccountId) -> Result<Option<AcmeAccount>, StoreError> {
        let value = self.map.value(&place_of(id))?;
        value.map(|value| read(&value)).transpose()
    }

    /// The account that a key of P-256 is bound to, or was.
    pub(in crate::store) fn account_of_key(&self, pin: Pin) -> Result<Option<AccountId>, StoreError> {
        let Some(value) = self.map.value(&key(BOUND, &pin.0))? else {
            return Ok(None);
        };
        let account = std::str::from_utf8(&value)
            .ok()
            .and_then(|text| text.parse().ok());
        account.map(Some).ok_or_else(|| corrupt("an ACME account"))
    }

    /// The ACME accounts that a key was ever bound to.
    pub(in crate::store) fn accounts_that_held(&self, jwk: &str) -> Result<Vec<AccountId>, StoreError> {
        let prefix = held(jwk);
        let mut accounts = Vec::new();
        self.map.scan(&prefix, &mut |place, _| {
            let account = std::str::from_utf8(&place[prefix.len()..]).ok();
            let account = account.and_then(|text| text.parse().ok());
            accounts.push(account.ok_or_else(|| corrupt("an ACME account"))?);
            Ok(true)
        })?;
        Ok(accounts)
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

fn held(jwk: &str) -> Vec<u8> {
    key(HELD, &Sha256::digest(jwk))
}

fn read(value: &[u8]) -> Result<AcmeAccount, StoreError> {
    let account: AcmeAccount = serde_json::from_slice(value).map_err(|_| corrupt("an ACME account"))?;
    match account.grant.names.is_empty() {
        true => Err(corrupt("an ACME account")),
        false => Ok(account),
    }
}

impl Pending<'_> {
    /// Applies an event of an ACME account.
    pub(in crate::store) fn take_acme(&mut self, event: &Event) -> Result<(), StoreError> {
        let Some(id) = account_of(&event.fact) else {
            return Ok(());
        };
        let known = self.value(&place_of(id))?;
        let known = known.map(|value| read(&value)).transpose()?;
        if let Fact::AcmeBound { account, key: bound } = &event.fact {
            let account = account.to_string().into_bytes();
            self.put([held(&bound.jwk), account.clone()].concat(), Vec::new());
            if let Some(public) = Jwk::parse(&bound.jwk).ok().as_ref().and_then(Jwk::public_key) {
                self.put(key(BOUND, &public.spki_sha256()), account);
            }
        }
        if let Some(account) = AcmeAccount::after(known, event) {
            let value = serde_json::to_vec(&account).map_err(|_| corrupt("an ACME account"))?;
            self.put(place_of(id), value);
        }
        Ok(())
    }
}
