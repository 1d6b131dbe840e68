//! The life of a certificate: drafted by policy, signed by an authority, recorded by the store.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::constraints::NameConstraints;
use super::event::Issued;
use super::platform::Platform;
use super::revocation::{Reason, Revocation};
use super::serial::Serial;
use super::subject::{Address, Email, PersonName};
use super::time::{Span, Time};

/// The CAs of a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authority {
    /// The root: signs issuing CAs, and its own CRL.
    Root,
    /// The devices' CA.
    Issuing,
    /// The servers' CA.
    Servers,
}

impl Authority {
    /// The word for it, in file names and in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Issuing => "issuing",
            Self::Servers => "servers",
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// From when to when a certificate is good, both ends included (RFC 5280 §4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// Its first second.
    pub not_before: Time,
    /// Its last second.
    pub not_after: Time,
}

impl Validity {
    /// How far back a validity begins, for devices whose clock is slow.
    pub const BACKDATED: Span = Span::minutes(5);

    /// `life` from five minutes before `now`, never before `floor`.
    pub fn starting(now: Time, floor: Time, life: Span) -> Self {
        let not_before = (now - Self::BACKDATED).max(floor);
        Self {
            not_before,
            not_after: not_before + life - Span::seconds(1),
        }
    }

    /// How many days it is, begun ones counted: its last second belongs to it.
    pub fn days(&self) -> i64 {
        let seconds = (self.not_after - self.not_before).as_seconds() + 1;
        seconds.div_euclid(86_400) + i64::from(seconds.rem_euclid(86_400) > 0)
    }

    /// Whether the last second has passed.
    pub fn ended(&self, now: Time) -> bool {
        self.not_after < now
    }
}

/// What a draft must know of the CA that will sign it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The organization in every subject.
    pub organization: String,
    /// When the CA's own certificate is good.
    pub validity: Validity,
    /// The constraints of each CA of the chain.
    pub constraints: Vec<NameConstraints>,
}

/// The subject of a device's certificate: O, UID and, unless names are kept out, CN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// O, at most 48 characters.
    pub organization: String,
    /// UID: the whole address, the identity that servers go by.
    pub uid: Address,
    /// CN, for people, at most 64 characters.
    pub common_name: Option<String>,
}

/// What a certificate will say, within policy. Only [`Profile::draft`](super::Profile::draft) makes one.
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

/// Who asks for a certificate, and for which device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Whose device.
    pub address: Address,
    /// What she is called.
    pub name: Option<PersonName>,
    /// Her e-mail address.
    pub email: Option<Email>,
    /// What the device runs.
    pub platform: Platform,
}

/// What policy changed of what was asked for; told to the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "remark", rename_all = "snake_case")]
pub enum Remark {
    /// The life was cut to the issuer's end.
    CutToIssuer {
        /// The last second of both.
        not_after: Time,
    },
    /// The name is too long for the certificate.
    NameCut {
        /// The CN that it has.
        common_name: String,
    },
    /// The e-mail address stays in the ledger and out of the certificate.
    EmailLeftOut {
        /// The address.
        email: Email,
        /// Why.
        why: EmailLeftOut,
    },
}

/// Why an e-mail address does not go into a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailLeftOut {
    /// The CA's name constraints do not permit its domain.
    NotPermitted,
    /// It is not ASCII.
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
    /// The subject.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The subject alternative name, where there is one.
    pub fn rfc822_name(&self) -> Option<&Email> {
        self.rfc822_name.as_ref()
    }

    /// When it will be good.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Who asked for it.
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

    /// What policy changed of what was asked for.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }
}

/// A certificate that an authority has signed and nobody has seen. Only `authority` makes one; only the store takes it.
#[derive(Debug)]
pub struct Signed {
    issued: Issued,
}

impl Signed {
    /// Called by `authority` alone, after it has signed and verified (`tests/architecture.rs` holds it to that).
    pub fn attest(issued: Issued) -> Self {
        Self { issued }
    }

    /// What the ledger will say of it.
    pub fn into_issued(self) -> Issued {
        self.issued
    }

    /// What the ledger will say of it.
    pub fn issued(&self) -> &Issued {
        &self.issued
    }

    /// Its serial number.
    pub fn serial(&self) -> Serial {
        self.issued.serial
    }
}

/// How far an acknowledged certificate has come, apart from time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its bundle was never seen on disk: its key is lost with the process that made it.
    Undelivered,
    /// In use.
    Active,
    /// Replaced by a newer one, and still accepted.
    Superseded,
    /// No longer good.
    Revoked {
        /// Since when.
        at: Time,
        /// Why.
        reason: Reason,
    },
}

/// What a person is told of a certificate's state at some point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In use.
    Valid,
    /// Replaced, still accepted.
    Superseded,
    /// Signed, but its bundle was lost.
    Undelivered,
    /// No longer good.
    Revoked,
    /// Past its last second.
    Expired,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] = [
        Self::Valid,
        Self::Superseded,
        Self::Undelivered,
        Self::Revoked,
        Self::Expired,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Superseded => "superseded",
            Self::Undelivered => "undelivered",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    /// Whether a server that checks this home's CRL would let it in.
    pub fn accepted(self) -> bool {
        match self {
            Self::Valid | Self::Superseded | Self::Undelivered => true,
            Self::Revoked | Self::Expired => false,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl std::str::FromStr for Status {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        Self::ALL
            .into_iter()
            .find(|s| s.word() == text)
            .ok_or_else(|| InvalidStatus(super::text::quoted(text)))
    }
}

/// A word that names no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not one of valid, superseded, undelivered, revoked, expired")]
pub struct InvalidStatus(String);

/// How the ledger came to know a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBy {
    /// It was issued here: the ledger has all of it.
    Issuance,
    /// A published list named it: what was asked for with it, and when it began, is not known.
    List {
        /// Whether the operator said that it is to stay.
        kept: bool,
    },
}

/// One certificate of the inventory, as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its serial number.
    pub serial: Serial,
    /// Whose it is.
    pub address: Address,
    /// When it is good; one that a list named begins, as far as is known here, when it was taken in.
    pub validity: Validity,
    /// How far it has come.
    pub state: State,
    /// How the ledger came to know it.
    pub known_by: KnownBy,
    /// SHA-256 of its SubjectPublicKeyInfo, DER: the SPKI pin.
    pub spki_sha256: [u8; 32],
    /// SHA-256 of the certificate, DER: `x5t#S256` of RFC 8705.
    pub certificate_sha256: [u8; 32],
    /// The number of the event that issued it.
    pub seq: u64,
    /// Where that event's line begins in the ledger, in octets.
    pub offset: u64,
}

impl Record {
    /// Its status at `now`.
    pub fn status(&self, now: Time) -> Status {
        match self.state {
            State::Revoked { .. } => Status::Revoked,
            _ if self.validity.ended(now) => Status::Expired,
            State::Undelivered => Status::Undelivered,
            State::Active => Status::Valid,
            State::Superseded => Status::Superseded,
        }
    }

    /// Its revocation, where it has one.
    pub fn revocation(&self) -> Option<Revocation> {
        match self.state {
            State::Revoked { at, reason } => Some(Revocation {
                serial: self.serial,
                at,
                reason,
            }),
            State::Undelivered | State::Active | State::Superseded => None,
        }
    }
}
