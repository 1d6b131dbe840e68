//! The draft of a certificate: its contents, decided by policy before anything is signed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::constraints::NameConstraints;
use super::platform::Platform;
use super::subject::{Address, Email, PersonName};
use super::time::Time;
use super::validity::Validity;

/// The properties of the signing CA that a draft depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The organization in every subject.
    pub organization: String,
    /// The validity period of the CA's own certificate.
    pub validity: Validity,
    /// The constraints of each CA of the chain.
    pub constraints: Vec<NameConstraints>,
}

/// The subject of a device's certificate: O, UID and, unless names are kept out, CN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// O, at most 48 characters.
    pub organization: String,
    /// UID: the whole address, by which servers identify the device.
    pub uid: Address,
    /// CN, for people, at most 64 characters.
    pub common_name: Option<String>,
}

/// The contents of a certificate that will be signed, within policy. Only
/// [`Profile::draft`](super::Profile::draft) makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub(super) subject: Subject,
    pub(super) rfc822_name: Option<Email>,
    pub(super) validity: Validity,
    pub(super) holder: Holder,
    pub(super) profile: String,
    pub(super) days: Option<i64>,
    pub(super) remarks: Vec<Remark>,
}

/// The holder of a certificate that is asked for, and the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The address of the device.
    pub address: Address,
    /// The full name of the person.
    pub name: Option<PersonName>,
    /// Her e-mail address.
    pub email: Option<Email>,
    /// The platform of the device.
    pub platform: Platform,
}

/// A change that policy made to what was asked for; the operator is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "remark", rename_all = "snake_case")]
pub enum Remark {
    /// The life was cut to the issuer's end.
    CutToIssuer {
        /// The end of the validity period (notAfter) of both.
        not_after: Time,
    },
    /// The name is too long for the certificate.
    NameCut {
        /// The CN of the certificate.
        common_name: String,
    },
    /// The e-mail address stays in the ledger and out of the certificate.
    EmailLeftOut {
        /// The address that is left out.
        email: Email,
        /// The reason for leaving it out.
        why: EmailLeftOut,
    },
}

/// The reason for which an e-mail address does not go into a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailLeftOut {
    /// The CA's name constraints do not permit its domain.
    NotPermitted,
    /// The address is not ASCII.
    NotAscii,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutToIssuer { not_after } => {
                write!(
                    f,
                    "the certificate ends with its issuing CA, on {}",
                    not_after.date()
                )
            }
            Self::NameCut { common_name } => write!(
                f,
                "the name is too long for a certificate, which says \"{common_name}\"; the ledger has all of it"
            ),
            Self::EmailLeftOut { email, why } => {
                let why = match why {
                    EmailLeftOut::NotPermitted => "outside the domains that this CA may vouch for",
                    EmailLeftOut::NotAscii => "not ASCII",
                };
                write!(
                    f,
                    "{email} is {why}: it is kept in the ledger and left out of the certificate"
                )
            }
        }
    }
}

impl Draft {
    /// The subject of the certificate.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The subject alternative name, where there is one.
    pub fn rfc822_name(&self) -> Option<&Email> {
        self.rfc822_name.as_ref()
    }

    /// The validity period of the certificate.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The holder who asked for it.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// The name of the profile that drafted it.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// The life that was asked for, in days; none where it is the profile's.
    pub fn days(&self) -> Option<i64> {
        self.days
    }

    /// The changes that policy made to what was asked for.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }
}
