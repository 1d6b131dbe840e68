//! The template of a certificate: the contents from which it is written, and against which it is checked
//! before it is signed.

use crate::key::PublicKey;
use crate::model::server::ServerDraft;
use crate::model::{Authority, Draft, NameConstraints, Serial, Validity};

/// The contents of a certificate that is to be signed, whoever signs it.
#[derive(Debug, Clone)]
pub struct Template<'a> {
    /// Its serial number.
    pub serial: Serial,
    /// Its subject's key.
    pub public_key: &'a PublicKey,
    /// The URLs of its issuer's CRL and certificate.
    pub pointers: Option<Pointers>,
    /// The kind of certificate, and what is particular to it.
    pub kind: Kind<'a>,
}

/// The kinds of certificate.
#[derive(Debug, Clone)]
pub enum Kind<'a> {
    /// The certificate of a CA.
    Authority(AuthorityKind<'a>),
    /// The certificate of a device.
    Device(&'a Draft),
    /// The certificate of a server.
    Server(&'a ServerDraft),
}

/// The contents of a CA's certificate.
#[derive(Debug, Clone)]
pub struct AuthorityKind<'a> {
    /// The CA that it is for.
    pub authority: Authority,
    /// The organization: O of the subject.
    pub organization: &'a str,
    /// The validity period.
    pub validity: Validity,
    /// The name constraints, where it has any.
    pub constraints: Option<&'a NameConstraints>,
}

/// The URLs at which a CA's CRL and its certificate are served (RFC 5280 §4.2.1.13 and §4.2.2.1). Plain http,
/// as both are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointers {
    /// The CRL's URL.
    pub crl: String,
    /// The CA certificate's URL.
    pub ca: String,
    /// The URL of its OCSP responder (RFC 6960 §3.1).
    pub ocsp: Option<String>,
}

impl Pointers {
    /// The URLs below `base_url` of the CRL and the certificate of `authority`.
    pub fn new(base_url: &str, authority: Authority) -> Self {
        let base = base_url.trim_end_matches('/');
        Self {
            crl: format!("{base}/crl/{authority}.crl"),
            ca: format!("{base}/ca/{authority}.der"),
            ocsp: None,
        }
    }

    /// The same with the URL of an OCSP responder.
    #[must_use]
    pub fn asked_at(mut self, ocsp: Option<&str>) -> Self {
        self.ocsp = ocsp.map(str::to_owned);
        self
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
