//! The life cycle of a certificate: signed by a CA, recorded by the store, and then in use, superseded,
//! revoked, expired or never delivered.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::device_key::DeviceKey;
use super::revocation::{Reason, Revocation};
use super::serial::Serial;
use super::subject::Address;
use super::time::Time;
use super::validity::Validity;

/// The state of an acknowledged certificate, apart from time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The bundle was never seen on disk, and the key is lost with the process that made it; or it waits in
    /// the home for the device to fetch it.
    Undelivered,
    /// The certificate is in use.
    Active,
    /// Replaced by a newer one, and still accepted.
    Superseded,
    /// The certificate is revoked.
    Revoked {
        /// The time of the revocation.
        at: Time,
        /// The reason of the revocation.
        reason: Reason,
    },
}

/// The status of a certificate at some point in time, as a person is told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The certificate is in use.
    Valid,
    /// Replaced, still accepted.
    Superseded,
    /// Signed, but its bundle was lost, or nobody has fetched it yet.
    Undelivered,
    /// The certificate is revoked.
    Revoked,
    /// The end of its validity period (notAfter) has passed.
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

    /// The word for the status.
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

/// The source from which the ledger knows a certificate.
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
    /// The device that it is for.
    pub address: Address,
    /// The validity period; for a certificate that is known from a list, it begins when that was taken in,
    /// because the true start is not known here.
    pub validity: Validity,
    /// The state of the certificate.
    pub state: State,
    /// The source from which the ledger knows it.
    pub known_by: KnownBy,
    /// SHA-256 of its SubjectPublicKeyInfo, DER: the SPKI pin.
    pub spki_sha256: [u8; 32],
    /// Its public key; not of a revoked one, nor where a published list named the certificate without it.
    pub key: Option<DeviceKey>,
    /// SHA-256 of the certificate, DER: `x5t#S256` of RFC 8705.
    pub certificate_sha256: [u8; 32],
    /// The number of the event that issued it.
    pub seq: u64,
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
