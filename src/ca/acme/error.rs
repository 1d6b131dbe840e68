//! The reasons for which a server is granted no account.

use crate::disk::Shown;
use crate::model::fault::{Fault, Kind};
use crate::model::{AccountId, Host};

/// The reasons for which there is no account by which a server orders its certificates.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// Nothing would certify what is ordered.
    #[error("there is no servers' CA yet, which would certify what is ordered")]
    NoAuthority,
    /// An address, which ACME clients do not order by.
    #[error("{0} is an address: servers order certificates for names alone")]
    Address(Host),
    /// More names than a certificate has.
    #[error("an account is for {0} names at most")]
    TooManyNames(usize),
    /// The file that is named for the secret has another, or the ledger says what was not granted.
    #[error("{0} is the secret of another account, or of one that was granted otherwise")]
    OtherSecret(Shown),
    /// A server has several accounts, and none was named.
    #[error("{host} has several accounts: {}", in_words(accounts))]
    Several {
        /// The server.
        host: Host,
        /// Its accounts, and whether each has ended before.
        accounts: Vec<(AccountId, bool)>,
    },
    /// A server has no account of its own, and another one's may order for it.
    #[error("{0} has no account of its own: {1}, of {2}, may order certificates for it")]
    NameOfAnother(Host, AccountId, Host),
}

fn in_words(accounts: &[(AccountId, bool)]) -> String {
    let all: Vec<String> = accounts
        .iter()
        .map(|(account, has_ended)| match has_ended {
            true => format!("{account} (which has ended)"),
            false => account.to_string(),
        })
        .collect();
    all.join(", ")
}

impl Fault for AcmeError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::NoAuthority => (Kind::BadRequest, "not-configured"),
            Self::Address(_) => (Kind::BadRequest, "address"),
            Self::TooManyNames(_) => (Kind::BadRequest, "names"),
            Self::OtherSecret(_) => (Kind::Damaged, "key"),
            Self::Several { .. } => (Kind::Conflict, "several"),
            Self::NameOfAnother(..) => (Kind::Conflict, "name"),
        }
    }
}
