//! Accounts by which servers order their certificates themselves (ACME, RFC 8555). An operator grants one for
//! certain names; whoever has its secret binds a key to it, and that key orders.
//!
//! The ledger does not vouch for accounts: whoever can write to a home can write to it. The secret of an
//! account lies in the home, encrypted, and what was granted and bound is known by values that follow from
//! it.

pub(in crate::ca) mod error;
mod orders;

use std::collections::HashSet;
use std::path::PathBuf;

use super::secret_file;
use super::session::Session;
use super::{CaError, NotFound};
use crate::disk::{self, Shown};
use crate::home::Home;
use crate::key::{AcmeSecret, Passphrase, os_rng};
use crate::model::draft::Issuer;
use crate::model::server::ServerDraft;
use crate::model::{
    AccountId, AcmeAccount, AcmeGrant, Authority, Fact, Host, Reason, Revocation, Serial, Time,
};
use crate::store::Store;
use error::AcmeError;
use rand_core::{CryptoRng, Rng};

pub use orders::{AcmeDenial, AcmeDone, AcmeRequest, Answer, Ordering, Revoker, certify_ordered, change};

/// The six bits that base64url writes as a hyphen (RFC 4648 §5).
const HYPHEN: u8 = 62;
/// How many names an account is granted at most, as many as one order has.
pub const MOST_NAMES: usize = 100;

/// An account that is not granted yet: its secret, and its encrypted form.
#[derive(Debug)]
pub struct NewAccount {
    grant: AcmeGrant,
    secret: AcmeSecret,
    sealed: String,
}

impl NewAccount {
    /// Makes an account for these names, and opens its secret once more: one that does not open is none.
    /// Takes as long as that does: not to be done under the lock.
    ///
    /// # Errors
    /// Where the library refuses to encrypt it.
    pub fn make(names: Vec<Host>, days: Option<i64>, passphrase: &Passphrase) -> Result<Self, CaError> {
        let failed = |why| CaError::Key {
            path: Shown("the new secret".into()),
            why,
        };
        let rng = &mut os_rng();
        let mut random = [0; AccountId::LENGTH];
        rng.fill_bytes(&mut random);
        let account = AccountId::from_random(random);
        let secret = new_secret(account, rng);
        let sealed = secret.encrypt(passphrase, rng).map_err(failed)?;
        let check = secret.check(account, &names, days);
        let opened = AcmeSecret::decrypt(&sealed, passphrase).map_err(failed)?;
        match opened.check(account, &names, days) == check {
            true => Ok(Self {
                grant: AcmeGrant {
                    account,
                    names,
                    days,
                    check,
                },
                secret,
                sealed,
            }),
            false => Err(CaError::ReadBack(Shown("the new secret".into()))),
        }
    }

    /// What is granted.
    pub fn grant(&self) -> &AcmeGrant {
        &self.grant
    }

    /// The key by which the client is bound to the account: for it alone.
    pub fn mac_key(&self) -> zeroize::Zeroizing<[u8; 32]> {
        self.secret.mac_key(self.grant.account)
    }
}

/// A new secret for an account. A MAC key that began with a hyphen in base64url would be an option to the
/// command lines of certbot and others.
fn new_secret(account: AccountId, rng: &mut impl CryptoRng) -> AcmeSecret {
    loop {
        let secret = AcmeSecret::generate(rng);
        if secret.mac_key(account)[0] >> 2 != HYPHEN {
            return secret;
        }
    }
}

/// The path of an account's secret in the home.
pub fn secret_path(home: &Home, account: AccountId) -> PathBuf {
    home.path().join("acme").join(format!("{account}.key"))
}

/// Demands that an account may have these names, each named once.
///
/// # Errors
/// Where one is an address, or the servers' CA does not vouch for it, or does not for so long.
pub fn demand_grantable(
    names: &[Host],
    days: Option<i64>,
    issuer: &Issuer,
    now: Time,
) -> Result<(), CaError> {
    if names.len() > MOST_NAMES {
        return Err(AcmeError::TooManyNames(MOST_NAMES).into());
    }
    let is_address = |host: &&Host| matches!(host, Host::Address(_));
    if let Some(host) = names.iter().find(is_address) {
        return Err(AcmeError::Address(host.clone()).into());
    }
    if let [host, others @ ..] = names {
        ServerDraft::of_several(host, others, days, issuer, now)?;
    }
    Ok(())
}

/// Grants an account: keeps its secret in the home, and records the grant.
///
/// # Errors
/// Where the secret cannot be kept, or nothing can be recorded.
pub fn grant(session: &mut Session<'_>, new: &NewAccount) -> Result<(), CaError> {
    let place = secret_path(&session.desk.home, new.grant.account);
    secret_file::keep(&session.desk.home, &place, &new.sealed)?;
    session.commit(vec![Fact::AcmeGranted(new.grant.clone())])
}

/// The accounts of a server that have not ended, the oldest first.
///
/// # Errors
/// A damaged index.
pub fn open_accounts_of(store: &Store, host: &Host) -> Result<Vec<AcmeAccount>, CaError> {
    let mut accounts = store.acme_accounts()?;
    accounts.retain(|account| account.ended.is_none() && account.host() == host);
    Ok(accounts)
}

/// Which accounts of a server an operator means to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichAccount {
    /// The one that there is.
    Only,
    /// This one.
    Named(AccountId),
    /// Every one.
    All,
}

/// What an operator's wish to end accounts comes upon.
#[derive(Debug, Default)]
pub struct ToEnd {
    /// The accounts that are to be ended, none where all of them have ended and nothing is left of them.
    /// Where what they have ordered is to be revoked, also those that have ended before and have left
    /// something.
    pub accounts: Vec<AcmeAccount>,
    /// Accounts that ended before, whose keys were not given up for the reason, and that nobody has named.
    pub passed_over: Vec<AccountId>,
}

/// Which accounts of a server are to be ended.
///
/// # Errors
/// Where there never was one, or there are several and none is named.
pub fn accounts_to_end(
    store: &Store,
    host: &Host,
    which: WhichAccount,
    revoke: Option<Reason>,
    now: Time,
) -> Result<ToEnd, CaError> {
    let mut accounts = store.acme_accounts()?;
    let for_it = accounts.iter().find(|account| account.orders_for(host));
    let for_it = for_it.map(|account| (account.grant.account, account.host().clone()));
    accounts.retain(|account| account.host() == host);
    if let WhichAccount::Named(id) = which {
        accounts.retain(|account| account.grant.account == id);
        if accounts.is_empty() {
            return Err(NotFound::Account(id, host.clone()).into());
        }
    }
    if accounts.is_empty() {
        return Err(match for_it {
            Some((account, other)) => AcmeError::NameOfAnother(host.clone(), account, other).into(),
            None => NotFound::Accounts(host.clone()).into(),
        });
    }
    let ended_last = accounts
        .iter()
        .max_by_key(|account| (account.ended, account.granted_seq));
    let ended_last = ended_last.map(|account| account.grant.account);
    let (mut meant, mut left) = (Vec::new(), Vec::new());
    for account in accounts {
        let has_good = || Ok::<_, CaError>(!store.good_of_account(account.grant.account, now)?.is_empty());
        if account.ended.is_none() || (revoke.is_some() && has_good()?) {
            meant.push(account);
        } else if let Some(reason) = revoke
            && has_left(store, &account, reason)?
        {
            left.push(account);
        }
    }
    // Whoever broke in may have ended the account himself, so that nothing of it stands out: the one that
    // ended last is meant then. Keys of older ones may be in use elsewhere, and are given up only where
    // somebody says so.
    let (taken, passed_over): (Vec<_>, Vec<_>) = left.into_iter().partition(|account| match which {
        WhichAccount::All | WhichAccount::Named(_) => true,
        WhichAccount::Only => meant.is_empty() && Some(account.grant.account) == ended_last,
    });
    meant.extend(taken);
    match (&meant[..], which) {
        ([_, _, ..], WhichAccount::Only) => Err(AcmeError::Several {
            host: host.clone(),
            accounts: meant
                .iter()
                .map(|account| (account.grant.account, account.ended.is_some()))
                .collect(),
        }
        .into()),
        _ => Ok(ToEnd {
            accounts: meant,
            passed_over: passed_over
                .into_iter()
                .map(|account| account.grant.account)
                .collect(),
        }),
    }
}

/// Whether something of an account was not given up for this reason: its key, or that of a certificate.
fn has_left(store: &Store, account: &AcmeAccount, reason: Reason) -> Result<bool, CaError> {
    if account.key.is_some() && !account.given_up && reason.gives_up_key() {
        return Ok(true);
    }
    for (serial, _) in store.ordered_of(account.grant.account)? {
        if let Some((_, before)) = store.certified(&serial)?
            && is_raised(before, reason)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a certificate, revoked before or not, is given up for this reason and was not before: the key of
/// one that has ended is given up as well.
fn is_raised(before: Option<Revocation>, reason: Reason) -> bool {
    let before = before.map_or(Reason::Unspecified, |before| before.reason);
    reason.raises(before, Authority::Servers)
}

/// What was taken back with accounts.
#[derive(Debug, Default)]
pub struct TakenBack {
    /// The certificates that were good.
    pub revoked: Vec<Serial>,
    /// How many keys nobody is to use any more, of certificates and of clients.
    pub given_up: usize,
}

/// Cancels accounts: nothing is ordered by them from now on. What they have ordered stays good, unless it is
/// to be revoked for this reason.
///
/// # Errors
/// Where it cannot be recorded.
pub fn cancel(
    session: &mut Session<'_>,
    accounts: &[AcmeAccount],
    revoke: Option<Reason>,
) -> Result<TakenBack, CaError> {
    let mut facts: Vec<Fact> = Vec::new();
    let mut taken = TakenBack::default();
    let mut given_up = HashSet::new();
    for account in accounts {
        let id = account.grant.account;
        let gives_up_key = revoke.is_some_and(Reason::gives_up_key);
        if account.ended.is_none() || (gives_up_key && !account.given_up) {
            taken.given_up += usize::from(gives_up_key && account.key.is_some());
            facts.push(Fact::AcmeCancelled {
                account: id,
                gives_up_key,
            });
        }
        let Some(reason) = revoke else { continue };
        let good = session.store.good_of_account(id, session.now)?;
        for (serial, _) in session.store.ordered_of(id)? {
            let Some((host, before)) = session.store.certified(&serial)? else {
                continue;
            };
            let is_raised = is_raised(before, reason);
            if good.contains(&serial) || is_raised {
                if is_raised && reason.gives_up_key() {
                    given_up.extend(session.store.pin_of_certified(&serial)?.map(|pin| pin.0));
                }
                facts.push(Fact::ServerRevoked {
                    serial,
                    host: Some(host),
                    reason,
                    since: before.map(|before| before.at),
                });
            }
        }
        taken.revoked.extend(good);
    }
    taken.given_up += given_up.len();
    session.commit(facts)?;
    Ok(taken)
}

/// Removes the secrets of a server's accounts that have ended: without it no event brings an account back.
/// Also those that were left, because a command was cut off. Returned are those that are still there, and
/// why.
///
/// # Errors
/// A damaged index.
pub fn forget_ended(session: &Session<'_>, host: &Host) -> Result<Vec<(PathBuf, CaError)>, CaError> {
    let home = &session.desk.home;
    let accounts = session.store.acme_accounts()?;
    let ended = accounts
        .iter()
        .filter(|account| account.host() == host && account.ended.is_some());
    Ok(ended
        .filter_map(|account| {
            let id = account.grant.account;
            Some((secret_path(home, id), forget(home, id).err()?))
        })
        .collect())
}

/// Removes the secret of an account that has ended: without it no event brings the account back.
///
/// # Errors
/// Where it cannot be removed.
fn forget(home: &Home, account: AccountId) -> Result<(), CaError> {
    let path = secret_path(home, account);
    disk::remove_if_there(&path)?;
    match path.parent().filter(|directory| directory.is_dir()) {
        Some(directory) => Ok(disk::sync_directory(directory)?),
        None => Ok(()),
    }
}

/// Opens the secret of an account, and holds against it what the ledger says of the grant. Takes as long as a
/// key does.
///
/// # Errors
/// Where it is not there, does not open, or is another.
pub fn open_account(
    home: &Home,
    account: &AcmeAccount,
    passphrase: &Passphrase,
) -> Result<AcmeSecret, CaError> {
    let grant = &account.grant;
    let path = secret_path(home, grant.account);
    let secret = secret_file::open(&path, |pem| AcmeSecret::decrypt(pem, passphrase))?;
    match secret.check(grant.account, &grant.names, grant.days) == grant.check {
        true => Ok(secret),
        false => Err(AcmeError::OtherSecret(Shown(path)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mac_key_is_an_option_to_a_command_line() {
        let account = AccountId::from_random([7; AccountId::LENGTH]);
        // One in sixty-four would be.
        for _ in 0..2000 {
            let secret = new_secret(account, &mut os_rng());
            let text = data_encoding::BASE64URL_NOPAD.encode(&*secret.mac_key(account));
            assert!(!text.starts_with('-'), "{text}");
        }
        assert_eq!(data_encoding::BASE64URL_NOPAD.encode(&[HYPHEN << 2]), "-A");
    }
}
