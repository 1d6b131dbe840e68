//! Checks that a key that is handed in is free to use: it belongs to one device or to servers alone, and was
//! never given up because somebody else may have it.

use super::CaError;
use crate::home::Home;
use crate::model::fault::{Fault, Kind};
use crate::model::{AccountId, Address, Host, Pin, Reason, Role, Server, State, Time};
use crate::store::{Store, StoreError};

/// The reason for which a key that was handed in is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum UnfitKey {
    /// The key of a request is certified for another device.
    #[error("this key is the one of {0}")]
    OfAnother(Address),
    /// The key of a request is a server's.
    #[error("this key is the one of the server {0}")]
    OfServer(Host),
    /// The key of a request is that of an ACME account.
    #[error("this key is the one of the account {0}")]
    OfAccount(AccountId),
    /// The key of a request is a CA's.
    #[error("this key is the one of a CA here")]
    OfCa,
    /// The key of a request was revoked because somebody else has it, or may have.
    #[error("this key was revoked as {reason} on {}, with {address}", .since.date())]
    Revoked {
        /// The device whose key it was.
        address: Address,
        /// The time of the revocation.
        since: Time,
        /// The reason of the revocation.
        reason: Reason,
    },
    /// The key was given up because somebody else may have it.
    #[error("this key was given up as compromised, with {0}")]
    Dropped(Host),
    /// The certificate's key is the one in reserve.
    #[error("the certificate is for the backup key of {0}, which is not in use")]
    InReserve(Host),
    /// The certificate's key is one that the server used before.
    #[error("the certificate is for a key that {0} has used before, and that is retiring")]
    Retiring(Host),
    /// The certificate's key is none of the server's.
    #[error("the key of the certificate is neither the active nor the backup key of {0}")]
    Strange(Host),
}

impl Fault for UnfitKey {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        let code = match self {
            Self::OfAnother(_) | Self::OfServer(_) | Self::OfAccount(_) | Self::OfCa => "key-in-use",
            Self::Revoked { .. } | Self::Dropped(_) => "key-revoked",
            Self::InReserve(_) => "key-in-reserve",
            Self::Retiring(_) => "key-retiring",
            Self::Strange(_) => "other-key",
        };
        (Kind::KeyRefused, code)
    }
}

/// The owner that a key is to have.
#[derive(Debug, Clone, Copy)]
pub(super) enum KeyOf<'a> {
    /// A device.
    Device(&'a Address),
    /// A server's. Hosts may share one: a certificate can name several.
    Server(&'a Host),
    /// An ACME account's, which signs requests and is certified for nobody.
    Account,
}

/// Demands that nobody else has the key, and that nobody ever gave it up because somebody may have had it;
/// the pin given is that of the key in its usual encoding. If two devices had the same key, locking one out
/// would leave the key in; and a CA's key in a pin set would stand for all that it certifies.
///
/// # Errors
/// Where somebody else has the key, or gave it up.
pub(super) fn demand_free_key(
    store: &Store,
    home: &Home,
    pin: Pin,
    holder: KeyOf<'_>,
) -> Result<(), CaError> {
    let servers_ca = home.servers().map(|chain| chain.ca());
    let mut authorities = [home.chain().root(), home.chain().ca()]
        .into_iter()
        .chain(servers_ca);
    if authorities.any(|ca| Pin(ca.public_key().spki_sha256()) == pin) {
        return Err(UnfitKey::OfCa.into());
    }
    let servers = store.known_servers()?;
    if let Some(host) = given_up_with(store, &servers, pin)? {
        return Err(UnfitKey::Dropped(host).into());
    }
    for server in servers {
        let host = server.host.clone();
        match holder {
            KeyOf::Device(_) if server.had(pin) => return Err(UnfitKey::OfServer(host).into()),
            KeyOf::Account if server.had(pin) => return Err(UnfitKey::OfServer(host).into()),
            KeyOf::Server(other) if server.backup.pin == pin && host != *other => {
                return Err(UnfitKey::InReserve(host).into());
            }
            KeyOf::Device(_) | KeyOf::Server(_) | KeyOf::Account => {}
        }
    }
    match (store.certified_key(pin)?, holder) {
        (Some((host, _)), KeyOf::Device(_) | KeyOf::Account) => {
            return Err(UnfitKey::OfServer(host).into());
        }
        (Some(_), KeyOf::Server(_)) | (None, _) => {}
    }
    match (store.account_of_key(pin)?, holder) {
        (Some(account), KeyOf::Device(_) | KeyOf::Server(_)) => {
            return Err(UnfitKey::OfAccount(account).into());
        }
        (Some(_), KeyOf::Account) | (None, _) => {}
    }
    let mut refused = None;
    for record in store.holders_of_key(&pin.0)? {
        match (record.state, holder) {
            (State::Revoked { at, reason }, _) if reason.gives_up_device_key() => {
                refused = Some(
                    UnfitKey::Revoked {
                        address: record.address,
                        since: at,
                        reason,
                    }
                    .into(),
                );
            }
            (_, KeyOf::Device(address)) if record.address == *address => {}
            (
                State::Undelivered | State::Active | State::Superseded | State::Revoked { .. },
                KeyOf::Device(_) | KeyOf::Server(_) | KeyOf::Account,
            ) => {
                refused.get_or_insert(UnfitKey::OfAnother(record.address).into());
            }
        }
    }
    refused.map_or(Ok(()), Err)
}

/// The keys of registered servers, in use or in reserve, that were given up because somebody else may have
/// them: they are certified for nobody, and apps go by their pins until they are rotated.
///
/// # Errors
/// A damaged index.
pub fn keys_given_up(store: &Store) -> Result<Vec<(Host, Role)>, StoreError> {
    let servers = store.known_servers()?;
    let mut found = Vec::new();
    for server in servers.iter().filter(|server| server.removed.is_none()) {
        for (role, key) in [(Role::Active, &server.active), (Role::Backup, &server.backup)] {
            if given_up_with(store, &servers, server.value_of(key.pin))?.is_some() {
                found.push((server.host.clone(), role));
            }
        }
    }
    Ok(found)
}

/// The server that a key was given up with, where it was.
pub(super) fn given_up_with(store: &Store, servers: &[Server], pin: Pin) -> Result<Option<Host>, StoreError> {
    let dropped = |server: &&Server| {
        let mut dropped = server.dropped.iter();
        dropped.any(|dropped| server.value_of(*dropped) == pin)
    };
    if let Some(server) = servers.iter().find(dropped) {
        return Ok(Some(server.host.clone()));
    }
    let certified = store.certified_key(pin)?;
    Ok(certified.and_then(|(host, is_given_up)| is_given_up.then_some(host)))
}
