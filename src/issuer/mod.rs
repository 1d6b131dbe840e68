//! Who may sign what. The root, the devices' CA and the servers' CA are different types, because they have
//! different powers.

mod issuing;
mod root;
mod servers;
mod subordinate;

pub use issuing::{Issuing, Order};
pub use root::Root;
pub use servers::Servers;

use crate::key::{KeyError, SigningError};
use crate::model::{Authority, Issuer, NameConstraints, Time};
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
    /// The key does not sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// Key and certificate are of different CAs.
    #[error("the key of the {0} does not belong to its certificate")]
    KeyMismatch(&'static str),
    /// The issuing CA is not the root's.
    #[error("the certificate of the {0} is not issued by the root beside it")]
    ChainBroken(&'static str),
    /// Two CAs would have one key, and its powers together.
    #[error("the key of the {0} cannot be the {1}'s as well")]
    SharedKey(&'static str, &'static str),
    /// A root that does not say what its servers' CA may vouch for.
    #[error("the root does not say what the servers' CA may vouch for")]
    NothingSaid,
    /// The servers' CA says otherwise than the home what it may vouch for.
    #[error("the certificate of the servers' CA is not for the domains and addresses of this PKI")]
    OtherNames,
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
    permitted: NameConstraints,
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
    /// The chain of the root and the devices' CA. What they may vouch for is what they say, and what the home
    /// has recorded of it where they do not say all.
    ///
    /// # Errors Where they are not CAs of this program's making, the root did not issue the other, or nobody
    /// says what they may vouch for.
    pub fn of_issuing(
        root: Certificate,
        issuing: Certificate,
        recorded: Option<NameConstraints>,
    ) -> Result<Self, AuthorityError> {
        // The root gives the devices' CA what it says itself.
        if root.name_constraints() != issuing.name_constraints() {
            return Err(AuthorityError::NotOurs(name(Authority::Issuing)));
        }
        let permitted = recorded
            .or_else(|| root.name_constraints().cloned())
            .ok_or(AuthorityError::NotOurs(name(Authority::Root)))?;
        Self::new(root, issuing, Authority::Issuing, permitted)
    }

    /// The chain of the root and the servers' CA.
    ///
    /// # Errors
    /// As [`Self::of_issuing`].
    pub fn of_servers(root: Certificate, servers: Certificate) -> Result<Self, AuthorityError> {
        let permitted = servers
            .name_constraints()
            .cloned()
            .ok_or(AuthorityError::NotOurs(name(Authority::Servers)))?;
        Self::new(root, servers, Authority::Servers, permitted)
    }

    fn new(
        root: Certificate,
        issuing: Certificate,
        authority: Authority,
        permitted: NameConstraints,
    ) -> Result<Self, AuthorityError> {
        let who = name(authority);
        for (authority, certificate) in [(Authority::Root, &root), (authority, &issuing)] {
            if !certificate.is_ca_like(authority) {
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
            constraints: [root.name_constraints(), Some(&permitted)]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
        };
        Ok(Self {
            root,
            issuing,
            issuer,
            permitted,
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

    /// What that CA may vouch for, whether or not it says so.
    pub fn permitted(&self) -> &NameConstraints {
        &self.permitted
    }

    /// What a draft must know of that CA.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Broken, Gone, Signer, SoftwareKey, os_rng};
    use crate::model::event::KeySource;
    use crate::model::profile::Names;
    use crate::model::{Address, Draft, Span};
    use crate::x509::crl;

    fn now() -> Time {
        Time::from_unix(1_800_000_000)
    }

    fn key() -> SoftwareKey {
        SoftwareKey::generate(&mut os_rng())
    }

    fn constraints() -> NameConstraints {
        NameConstraints {
            domains: vec!["acme.example".parse().unwrap()],
            ..NameConstraints::default()
        }
    }

    fn root(key: impl Signer + 'static) -> Result<Root, AuthorityError> {
        let begun = now() - Span::days(1);
        Root::create(key, "Acme Ltd", Some(&constraints()), begun, &mut os_rng())
    }

    /// What of its work a devices' CA with this key refuses: certificate, CRL, statement.
    fn refusals(key: impl Signer + 'static) -> [bool; 3] {
        let root = root(self::key()).unwrap();
        let chain = root.sign_issuing(key.public_key(), &constraints(), None, now(), &mut os_rng());
        let devices = Issuing::open(chain.unwrap(), key, None).unwrap();
        let device = self::key();
        let order = Order {
            draft: Draft::canary(Address::canary(), devices.chain().issuer(), Names::Shown, now()).unwrap(),
            public_key: device.public_key(),
            source: KeySource::Request,
            supersedes: Vec::new(),
        };
        let terms = crl::Terms {
            number: 1,
            this_update: now(),
            next_update: now() + Span::days(30),
        };
        let is_refused = |error| {
            matches!(
                error,
                AuthorityError::Signing(_) | AuthorityError::X509(X509Error::Signing(_))
            )
        };
        [
            devices.sign(order, &mut os_rng()).is_err_and(is_refused),
            devices.sign_crl(terms, &[]).is_err_and(is_refused),
            devices
                .sign_statement("pki-manifest+jws", b"{}")
                .is_err_and(is_refused),
        ]
    }

    #[test]
    fn a_key_that_fails_or_errs_gives_an_error_and_nothing_else() {
        assert_eq!(refusals(key()), [false; 3]);
        assert_eq!(refusals(Broken(key())), [true; 3]);
        assert_eq!(refusals(Gone(key())), [true; 3]);
        assert!(root(Broken(key())).is_err() && root(Gone(key())).is_err());
    }
}
