//! What the ledger says of accounts and of servers' certificates, as the doors need it before they verify
//! anything: held against the ledger's length each time that it is asked. An account counts once its secret
//! was opened, and stands for what the ledger says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::problem::Problem;
use crate::ca::{self, CaError, Desk};
use crate::key::{AcmeSecret, Jwk, Passphrase};
use crate::model::acme::{BoundKey, account_of};
use crate::model::{AccountId, AcmeAccount, Fact, Host, Serial, Time, Validity};
use crate::serve::clerk::{Counter, Found};
use crate::serve::health::Part;
use crate::store::{Cursor, StoreError};

/// How long a secret that does not open is not tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// How many certificates more there are before those that have ended are looked for again.
const SWEPT: usize = 1024;

/// The accounts and certificates of a home.
pub struct Register {
    desk: Arc<Desk>,
    passphrase: Arc<Passphrase>,
    /// Where faults of this machine are told.
    counter: Counter,
    known: Mutex<Known>,
    /// The secrets that were opened, one at a time: each takes as long as a key does.
    opened: tokio::sync::Mutex<HashMap<AccountId, Opened>>,
}

#[derive(Default)]
struct Known {
    accounts: HashMap<AccountId, AcmeAccount>,
    certificates: HashMap<Serial, KnownCertificate>,
    /// How many of them there are when those that have ended are looked for.
    sweep_at: usize,
    /// The place in the ledger behind what was read, once something was.
    after: Option<Cursor>,
    /// The ledger's length when it was read.
    length: u64,
}

enum Opened {
    Secret(Arc<AcmeSecret>),
    /// It did not open then.
    Not(Instant),
}

/// A certificate of the servers' CA.
#[derive(Debug, Clone)]
pub struct KnownCertificate {
    /// The account that ordered it, where one did.
    pub account: Option<AccountId>,
    /// Every host that it names.
    pub hosts: Vec<Host>,
    /// When it is good.
    pub validity: Validity,
    /// The time since which it is revoked.
    pub revoked: Option<Time>,
    /// The certificate, DER.
    pub der: Vec<u8>,
}

/// An account whose secret is open, and stands for what the ledger says of it.
#[derive(Clone)]
pub struct Account {
    /// What the ledger says.
    pub known: AcmeAccount,
    /// Its secret.
    pub secret: Arc<AcmeSecret>,
}

impl Account {
    /// What binds this key to it next.
    pub fn binding(&self, key: &Jwk) -> BoundKey {
        let number = self.known.next_number();
        BoundKey {
            jwk: key.text().to_owned(),
            number,
            proof: self.secret.proof(self.known.grant.account, number, key.text()),
        }
    }
}

impl Register {
    /// Reads the whole ledger.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn of(desk: Arc<Desk>, passphrase: Arc<Passphrase>, counter: Counter) -> Result<Self, CaError> {
        let register = Self {
            desk,
            passphrase,
            counter,
            known: Mutex::default(),
            opened: tokio::sync::Mutex::default(),
        };
        register.read(|_| ())?;
        Ok(register)
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> Result<T, CaError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.catch_up(&self.desk)?;
        Ok(look(&known))
    }

    /// The same for a client, who is told to come again where the ledger cannot be read.
    fn look<T>(&self, look: impl FnOnce(&Known) -> T) -> Result<T, Problem> {
        self.read(look).map_err(|why| {
            self.counter.found(Found {
                part: Part::Enrolling,
                stops: true,
                what: "servers do not get what they ask for".to_owned(),
                why,
            });
            Problem::of_this_machine()
        })
    }

    /// A certificate of the servers' CA that is in the ledger.
    ///
    /// # Errors
    /// Where the ledger has grown and cannot be read.
    pub fn certificate(&self, serial: Serial) -> Result<Option<KnownCertificate>, Problem> {
        self.look(|known| known.certificates.get(&serial).cloned())
    }

    /// What the ledger says of an account that has ended. Nothing vouches for it: its secret was removed.
    ///
    /// # Errors
    /// Where the ledger has grown and cannot be read.
    pub fn ended(&self, id: AccountId) -> Result<Option<AcmeAccount>, Problem> {
        let account = self.look(|known| known.accounts.get(&id).cloned())?;
        Ok(account.filter(|account| account.ended.is_some()))
    }

    /// The account that a key is bound to and that has not ended.
    ///
    /// # Errors
    /// Where the ledger has grown and cannot be read.
    pub async fn account_by_key(&self, jwk: &str) -> Result<Option<Account>, Problem> {
        let id = self.look(|known| {
            let holds = |account: &&AcmeAccount| {
                account.ended.is_none() && account.key.as_ref().is_some_and(|key| key.jwk == jwk)
            };
            known
                .accounts
                .values()
                .find(holds)
                .map(|account| account.grant.account)
        })?;
        match id {
            Some(id) => Ok(self
                .account(id)
                .await?
                .filter(|account| account.known.ended.is_none())),
            None => Ok(None),
        }
    }

    /// An account, also one that has ended since its secret was opened; none where it was never granted, or
    /// what the ledger says is not what its secret stands for.
    ///
    /// # Errors
    /// Where the ledger has grown and cannot be read, or the secret does not open.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, Problem> {
        let Some(known) = self.look(|known| known.accounts.get(&id).cloned())? else {
            return Ok(None);
        };
        let Some(secret) = self.secret(&known).await? else {
            return Ok(None);
        };
        let grant = &known.grant;
        let is_granted = secret.check(id, &grant.names, grant.days) == grant.check;
        let is_bound = |key: &BoundKey| secret.proof(id, key.number, &key.jwk) == key.proof;
        if !is_granted || !known.key.as_ref().is_none_or(is_bound) {
            return Ok(None);
        }
        Ok(Some(Account { known, secret }))
    }

    /// The secret of an account; none where that has ended.
    ///
    /// # Errors
    /// Where it does not open, or did not a moment ago.
    async fn secret(&self, known: &AcmeAccount) -> Result<Option<Arc<AcmeSecret>>, Problem> {
        let id = known.grant.account;
        let mut opened = self.opened.lock().await;
        match opened.get(&id) {
            Some(Opened::Secret(secret)) => return Ok(Some(secret.clone())),
            // Why it did not was told then.
            Some(Opened::Not(since)) if since.elapsed() < AGAIN => return Err(Problem::of_this_machine()),
            // Its secret was removed when it ended.
            Some(Opened::Not(_)) | None if known.ended.is_some() => return Ok(None),
            Some(Opened::Not(_)) | None => {}
        }
        let host = known.host().clone();
        let (desk, passphrase, known) = (self.desk.clone(), self.passphrase.clone(), known.clone());
        let opening = tokio::task::spawn_blocking(move || ca::open_account(&desk.home, &known, &passphrase));
        match opening.await {
            Ok(Ok(secret)) => {
                let secret = Arc::new(secret);
                opened.insert(id, Opened::Secret(secret.clone()));
                Ok(Some(secret))
            }
            Ok(Err(why)) => {
                opened.insert(id, Opened::Not(Instant::now()));
                self.counter.found(Found {
                    part: Part::Accounts,
                    stops: false,
                    what: format!("the account {id} of {host} gets nothing, as its secret does not open"),
                    why,
                });
                Err(Problem::of_this_machine())
            }
            Err(_) => Ok(None),
        }
    }
}

impl Known {
    /// Takes in what the ledger has more. It only grows, so that its length says whether it has.
    fn catch_up(&mut self, desk: &Desk) -> Result<(), CaError> {
        let length = desk.home.ledger_length()?;
        if self.after.is_some() && length == self.length {
            return Ok(());
        }
        let (accounts, certificates) = (&mut self.accounts, &mut self.certificates);
        let sweep_at = &mut self.sweep_at;
        let after = self.after.unwrap_or(Cursor::START);
        let reached = desk.home.follow(after, &mut |event| {
            if let Some(id) = account_of(&event.fact)
                && let Some(account) = AcmeAccount::after(accounts.remove(&id), &event)
            {
                accounts.insert(id, account);
            }
            if let Fact::ServerRevoked { serial, since, .. } = &event.fact
                && let Some(known) = certificates.get_mut(serial)
            {
                known.revoked = Some(since.unwrap_or(event.time));
            }
            if let Fact::ServerCertified(certified) = event.fact {
                // Looked for from time to time: each look is at all of them.
                if certificates.len() >= *sweep_at {
                    certificates.retain(|_, known| !known.validity.ended(event.time));
                    *sweep_at = SWEPT + 2 * certificates.len();
                }
                let known = KnownCertificate {
                    account: certified.account,
                    hosts: certified.hosts().cloned().collect(),
                    validity: certified.validity,
                    revoked: None,
                    der: certified.certificate,
                };
                certificates.insert(certified.serial, known);
            }
            Ok::<(), StoreError>(())
        })?;
        self.after = Some(reached.cursor);
        self.length = length;
        Ok(())
    }
}
