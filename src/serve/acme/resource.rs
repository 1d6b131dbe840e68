//! What the paths of ACME name, and the method by which each is asked for.

use crate::home::config::ACME_DIRECTORY;
use crate::model::{AccountId, Serial};

use super::orders::OrderId;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    Directory,
    NewNonce,
    NewAccount,
    NewOrder,
    RevokeCertificate,
    KeyChange,
    Account(AccountId),
    OrdersOf(AccountId),
    Order(OrderId),
    Finalize(OrderId),
    Authorization(OrderId, usize),
    Certificate(Serial),
    RenewalInfo(String),
}

impl Resource {
    /// None: there is nothing there.
    pub fn of(path: &str) -> Option<Self> {
        if path == ACME_DIRECTORY {
            return Some(Self::Directory);
        }
        let parts: Vec<&str> = path.strip_prefix("/acme/")?.split('/').collect();
        Some(match parts[..] {
            ["new-nonce"] => Self::NewNonce,
            ["new-account"] => Self::NewAccount,
            ["new-order"] => Self::NewOrder,
            ["revoke-cert"] => Self::RevokeCertificate,
            ["key-change"] => Self::KeyChange,
            ["account", id] => Self::Account(id.parse().ok()?),
            ["account", id, "orders"] => Self::OrdersOf(id.parse().ok()?),
            ["order", id] => Self::Order(id.parse().ok()?),
            ["order", id, "finalize"] => Self::Finalize(id.parse().ok()?),
            ["authorization", id, number] => Self::Authorization(id.parse().ok()?, number.parse().ok()?),
            ["certificate", serial] => Self::Certificate(serial.parse().ok()?),
            ["renewal-info", id] => Self::RenewalInfo(id.to_owned()),
            _ => return None,
        })
    }

    /// The method by which it is asked for.
    pub fn is_read(&self) -> bool {
        matches!(self, Self::Directory | Self::NewNonce | Self::RenewalInfo(_))
    }
}
