//! Accounts of servers that order their certificates themselves (ACME, RFC 8555): what the ledger says of
//! them.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::check_value::CheckValue;
use super::event::{Event, Fact};
use super::host::Host;
use super::time::Time;

/// The name of an account: 64 random bits, in text 16 hexadecimal digits. It is no secret. It is the key
/// identifier by which a client is bound to the account (RFC 8555 §7.3.4), and the end of the account's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId([u8; Self::LENGTH]);

impl AccountId {
    /// Its length in octets.
    pub const LENGTH: usize = 8;

    /// The name made of these random octets.
    pub fn from_random(random: [u8; Self::LENGTH]) -> Self {
        Self(random)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// A text that is not the name of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an account is named by 16 hexadecimal digits, as `pki server list` shows them")]
pub struct InvalidAccountId;

impl FromStr for AccountId {
    type Err = InvalidAccountId;

    fn from_str(text: &str) -> Result<Self, InvalidAccountId> {
        let octets = HEXLOWER.decode(text.as_bytes()).map_err(|_| InvalidAccountId)?;
        octets.try_into().map(Self).map_err(|_| InvalidAccountId)
    }
}

impl TryFrom<String> for AccountId {
    type Error = InvalidAccountId;

    fn try_from(text: String) -> Result<Self, InvalidAccountId> {
        text.parse()
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.to_string()
    }
}

/// What an operator grants a server: that it may order certificates for these names, and no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeGrant {
    /// The account.
    pub account: AccountId,
    /// The names, never none: the first one is what the operator calls the server.
    pub names: Vec<Host>,
    /// The life of its certificates in days, where that is not the default.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub days: Option<i64>,
    /// By which the secret of the account is known, and that it was made for this grant.
    pub check: CheckValue,
}

/// The key of a client that is bound to an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundKey {
    /// The public key as a JWK, in the form of which thumbprints are made (RFC 7638 §3.2).
    pub jwk: String,
    /// Its number: 1 of the first key of an account. It only rises, so that no key comes back by what stood
    /// in the ledger before.
    pub number: u32,
    /// By which it is known that the holder of the account's secret has bound it.
    pub proof: CheckValue,
}

/// The account that an event changes, where it changes one.
pub fn account_of(fact: &Fact) -> Option<AccountId> {
    if let Fact::AcmeGranted(grant) = fact {
        return Some(grant.account);
    }
    if let Fact::AcmeBound { account, .. }
    | Fact::AcmeCancelled { account, .. }
    | Fact::AcmeDeactivated { account } = fact
    {
        return Some(*account);
    }
    None
}

/// An account, as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeAccount {
    /// What the operator granted.
    #[serde(flatten)]
    pub grant: AcmeGrant,
    /// The time of the grant.
    pub granted: Time,
    /// The number of its event.
    pub granted_seq: u64,
    /// The key of the client, once one is bound.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<BoundKey>,
    /// Whether the key of its client was given up with it, because somebody else may have it.
    #[serde(default)]
    pub given_up: bool,
    /// The time since which nothing can be ordered, where an operator cancelled it or its client gave it up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<Time>,
}

impl AcmeAccount {
    /// What the operator calls the server.
    pub fn host(&self) -> &Host {
        &self.grant.names[0]
    }

    /// Whether it has not ended, and may order certificates for this host.
    pub fn orders_for(&self, host: &Host) -> bool {
        self.ended.is_none() && self.grant.names.contains(host)
    }

    /// The number of the next key that is bound to it.
    pub fn next_number(&self) -> u32 {
        self.key.as_ref().map_or(0, |key| key.number) + 1
    }

    /// The account after an event of it; none where it was never granted, as nobody but a forger has it.
    pub fn after(known: Option<Self>, event: &Event) -> Option<Self> {
        let Some(mut known) = known else {
            let Fact::AcmeGranted(grant) = &event.fact else {
                return None;
            };
            return (!grant.names.is_empty()).then(|| Self {
                grant: grant.clone(),
                granted: event.time,
                granted_seq: event.seq,
                key: None,
                given_up: false,
                ended: None,
            });
        };
        if let Fact::AcmeBound { key, .. } = &event.fact
            && key.number == known.next_number()
        {
            known.key = Some(key.clone());
        }
        if let Fact::AcmeCancelled { gives_up_key, .. } = &event.fact {
            known.given_up |= gives_up_key;
        }
        if let Fact::AcmeCancelled { .. } | Fact::AcmeDeactivated { .. } = &event.fact {
            known.ended.get_or_insert(event.time);
        }
        Some(known)
    }
}
