//! The error for an employee, device, certificate or server that was named and is not in the ledger.

use crate::model::fault::{Fault, Kind};
use crate::model::{AccountId, Address, Employee, Host, InviteId, Serial};

/// The employee, device, certificate or server that was named is not in the ledger.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// There is no such employee.
    #[error("there is no employee {0}")]
    Employee(Employee),
    /// There is no such device.
    #[error("there is no device {0}")]
    Device(Address),
    /// There is no such certificate.
    #[error("there is no certificate {0}")]
    Certificate(Serial),
    /// There is no such server.
    #[error("there is no server {0}")]
    Server(Host),
    /// The server has no certificate of the servers' CA.
    #[error("the server {0} has no certificate that was issued here")]
    ServerCertificate(Host),
    /// The host has no shared keys.
    #[error("{0} has no shared keys")]
    HmacHost(Host),
    /// The server has no such account.
    #[error("{1} has no account {0}")]
    Account(AccountId, Host),
    /// The server has no account that could be ended.
    #[error("{0} has no account by which it orders certificates")]
    Accounts(Host),
    /// There is no such invite.
    #[error("there is no invite {0}")]
    Invite(InviteId),
}

impl Fault for NotFound {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        (Kind::NotFound, "unknown")
    }
}
