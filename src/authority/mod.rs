//! Who may sign what. The root, the devices' CA and the servers' CA are different types, because they have different powers.

mod issuing;
mod root;
mod servers;
mod subordinate;

pub use issuing::{Issuing, Order};
pub use root::Root;
pub use servers::Servers;

use crate::key::KeyError;
use crate::model::{Authority, Issuer, Time};
use crate::x509::{Certificate, X509Error};

/// Why an authority will not sign.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A certificate or CRL is not what it should be.
    #[error(transparent)]
    X509(#[from] X509Error),
    /// A key is not what it should be.
    #[error("the key {0}")]
    Key(#[from] KeyError),
    /// Key and certificate are of different CAs.
    #[error("the key of the {0} does not belong to its certificate")]
    KeyMismatch(&'static str),
    /// The issuing CA is not the root's.
    #[error("the certificate of the {0} is not issued by the root beside it")]
    ChainBroken(&'static str),
    /// Two CAs would have one key, and its powers together.
    #[error("the key of the {0} cannot be the {1}'s as well")]
    SharedKey(&'static str, &'static str),
    /// The certificate is not a CA's of ours.
    #[error("the certificate of the {0} is not one that this program made")]
    NotOurs(&'static str),
    /// The CA's own certificate is not good at that time.
    #[error("the certificate of the {who} is good from {from} to {to}, not at {at}")]
    OutOfDate {
        /// Whose.
        who: &'static str,
        /// Its first second.
        from: Time,
        /// Its last second.
        to: Time,
        /// When it was to sign.
        at: Time,
    },
}

/// The certificates of the root and of a CA that it made, which belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    root: Certificate,
    issuing: Certificate,
    issuer: Issuer,
}

/// Whom a CA is, in errors.
fn name(authority: Authority) -> &'static str {
    match authority {
        Authority::Root => "root",
        Authority::Issuing => "issuing CA",
        Authority::Servers => "servers' CA",
    }
}

impl Chain {
    /// The chain of the root and the devices' CA.
    ///
    /// # Errors
    /// Where they are not CAs of this program's making, or the root did not issue the other.
    pub fn of_issuing(root: Certificate, issuing: Certificate) -> Result<Self, AuthorityError> {
        Self::new(root, issuing, Authority::Issuing)
    }

    /// The chain of the root and the servers' CA.
    ///
    /// # Errors
    /// As [`Self::of_issuing`].
    pub fn of_servers(root: Certificate, servers: Certificate) -> Result<Self, AuthorityError> {
        Self::new(root, servers, Authority::Servers)
    }

    fn new(root: Certificate, issuing: Certificate, authority: Authority) -> Result<Self, AuthorityError> {
        let who = name(authority);
        for (authority, certificate) in [(Authority::Root, &root), (authority, &issuing)] {
            if !certificate.is_ca_like(authority) || certificate.name_constraints().is_none() {
                return Err(AuthorityError::NotOurs(name(authority)));
            }
        }
        if !root.is_issued_by(&root) || !issuing.is_issued_by(&root) {
            return Err(AuthorityError::ChainBroken(who));
        }
        let issuer = Issuer {
            organization: issuing
                .organization()
                .ok_or(AuthorityError::NotOurs(who))?
                .to_owned(),
            validity: issuing.validity(),
            constraints: [&root, &issuing]
                .into_iter()
                .filter_map(|c| c.name_constraints().cloned())
                .collect(),
        };
        Ok(Self {
            root,
            issuing,
            issuer,
        })
    }

    /// The root's certificate.
    pub fn root(&self) -> &Certificate {
        &self.root
    }

    /// The certificate of the CA that the root made.
    pub fn issuing(&self) -> &Certificate {
        &self.issuing
    }

    /// What a draft must know of that CA.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }
}
