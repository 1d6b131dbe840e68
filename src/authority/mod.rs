//! Who may sign what. The root and the issuing CA are different types, because they have different powers.

mod issuing;
mod root;

pub use issuing::{Issuing, Order};
pub use root::Root;

use crate::key::KeyError;
use crate::model::{Issuer, Time};
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
    #[error("the issuing CA's certificate is not issued by the root beside it")]
    ChainBroken,
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

/// The certificates of root and issuing CA, which belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    root: Certificate,
    issuing: Certificate,
    issuer: Issuer,
}

impl Chain {
    /// The chain of these two.
    ///
    /// # Errors
    /// Where they are not CAs of this program's making, or the root did not issue the other.
    pub fn new(root: Certificate, issuing: Certificate) -> Result<Self, AuthorityError> {
        for (who, certificate) in [("root", &root), ("issuing CA", &issuing)] {
            if !certificate.is_ca() || certificate.name_constraints().is_none() {
                return Err(AuthorityError::NotOurs(who));
            }
        }
        if !root.is_issued_by(&root) || !issuing.is_issued_by(&root) {
            return Err(AuthorityError::ChainBroken);
        }
        let issuer = Issuer {
            organization: issuing
                .organization()
                .ok_or(AuthorityError::NotOurs("issuing CA"))?
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

    /// The issuing CA's certificate.
    pub fn issuing(&self) -> &Certificate {
        &self.issuing
    }

    /// What a draft must know of the issuing CA.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }
}
