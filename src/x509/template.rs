//! The template of a certificate: the contents from which it is written, and against which it is checked
//! before it is signed.

use crate::key::PublicKey;
use crate::model::server::ServerDraft;
use crate::model::{Authority, Draft, NameConstraints, Serial, Validity};

/// What a certificate will hold, whoever signs it.
#[derive(Debug, Clone)]
pub struct Template<'a> {
    /// Its serial number.
    pub serial: Serial,
    /// Its subject's key.
    pub public_key: &'a PublicKey,
    /// Where its issuer's CRL and certificate are served.
    pub pointers: Option<Pointers>,
    /// Whose certificate it is.
    pub kind: Kind<'a>,
}

/// The kinds of certificate.
#[derive(Debug, Clone)]
pub enum Kind<'a> {
    /// A CA's own.
    Authority(AuthorityKind<'a>),
    /// A device's.
    Device(&'a Draft),
    /// A server's.
    Server(&'a ServerDraft),
}

/// What a CA's certificate says.
#[derive(Debug, Clone)]
pub struct AuthorityKind<'a> {
    /// Which CA.
    pub authority: Authority,
    /// O.
    pub organization: &'a str,
    /// When it is good.
    pub validity: Validity,
    /// Whom it can vouch for, where it says so.
    pub constraints: Option<&'a NameConstraints>,
}

/// Where a CA's CRL and its certificate are served (RFC 5280 §4.2.1.13 and §4.2.2.1). Plain http, as both are
/// signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointers {
    /// The CRL's URL.
    pub crl: String,
    /// The CA certificate's URL.
    pub ca: String,
}

impl Pointers {
    /// Where `base_url` serves what `authority` publishes.
    pub fn new(base_url: &str, authority: Authority) -> Self {
        let base = base_url.trim_end_matches('/');
        Self {
            crl: format!("{base}/crl/{authority}.crl"),
            ca: format!("{base}/ca/{authority}.der"),
        }
    }
}

/// The CN of a CA of this organization.
pub fn authority_name(authority: Authority, organization: &str) -> String {
    match authority {
        Authority::Root => format!("{organization} Root CA"),
        Authority::Issuing => format!("{organization} Issuing CA"),
        Authority::Servers => format!("{organization} Servers CA"),
    }
}
