//! A chain: the certificate of the root and that of a CA below it, checked to belong together.

use super::{IssuerError, name};
use crate::model::{Authority, Issuer, NameConstraints};
use crate::x509::{Certificate, pem};

/// The certificates of the root and of a CA that it made, which belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    root: Certificate,
    ca: Certificate,
    issuer: Issuer,
    permitted: NameConstraints,
}

impl Chain {
    /// The chain of the root and the devices' CA. What they may vouch for is what they say, and what the home
    /// has recorded of it where they do not say all.
    ///
    /// # Errors
    /// Where they are not CAs of this program's making, the root did not issue the other, or nobody says what
    /// they may vouch for.
    pub fn of_issuing(
        root: Certificate,
        issuing: Certificate,
        recorded: Option<NameConstraints>,
    ) -> Result<Self, IssuerError> {
        // The root gives the devices' CA what it says itself.
        if root.name_constraints() != issuing.name_constraints() {
            return Err(IssuerError::NotOurs(name(Authority::Issuing)));
        }
        let permitted = recorded
            .or_else(|| root.name_constraints().cloned())
            .ok_or(IssuerError::NotOurs(name(Authority::Root)))?;
        Self::new(root, issuing, Authority::Issuing, permitted)
    }

    /// The chain of the root and the servers' CA.
    ///
    /// # Errors
    /// Where they are not CAs of this program's making, the root did not issue the other, or it is not known
    /// what they may vouch for.
    pub fn of_servers(root: Certificate, servers: Certificate) -> Result<Self, IssuerError> {
        let permitted = servers
            .name_constraints()
            .cloned()
            .ok_or(IssuerError::NotOurs(name(Authority::Servers)))?;
        Self::new(root, servers, Authority::Servers, permitted)
    }

    fn new(
        root: Certificate,
        ca: Certificate,
        authority: Authority,
        permitted: NameConstraints,
    ) -> Result<Self, IssuerError> {
        let who = name(authority);
        for (authority, certificate) in [(Authority::Root, &root), (authority, &ca)] {
            if !certificate.is_ca_like(authority) {
                return Err(IssuerError::NotOurs(name(authority)));
            }
        }
        if !root.is_issued_by(&root) || !ca.is_issued_by(&root) {
            return Err(IssuerError::ChainBroken(who));
        }
        let issuer = Issuer {
            organization: ca.organization().ok_or(IssuerError::NotOurs(who))?.to_owned(),
            validity: ca.validity(),
            constraints: [root.name_constraints(), Some(&permitted)]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
        };
        Ok(Self {
            root,
            ca,
            issuer,
            permitted,
        })
    }

    /// The root's certificate.
    pub fn root(&self) -> &Certificate {
        &self.root
    }

    /// The certificate of the CA that the root made.
    pub fn ca(&self) -> &Certificate {
        &self.ca
    }

    /// Whether the root issued this certificate. That of the chain's own CA was verified when the chain was
    /// made.
    pub fn has_issued(&self, ca: &Certificate) -> bool {
        *ca == self.ca || ca.is_issued_by(&self.root)
    }

    /// The PEM text that a TLS server reads: `certificate` (DER), which this CA issued, and the CA's own
    /// certificate after it.
    pub fn fullchain(&self, certificate: &[u8]) -> String {
        pem::encode(pem::CERTIFICATE, certificate) + &self.ca.pem()
    }

    /// The names that the CA may vouch for, whether or not its certificate says so.
    pub fn permitted(&self) -> &NameConstraints {
        &self.permitted
    }

    /// The facts about the CA that a draft needs.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }
}
