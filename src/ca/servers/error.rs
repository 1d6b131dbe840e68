//! The reasons for which a server cannot be added, certified, rotated or removed.

use crate::ca::CaError;
use crate::disk::Shown;
use crate::model::fault::{Fault, Kind};
use crate::model::{Host, Serial, Time};

/// The reason for which a server cannot be added, certified, rotated or removed, or is not fit for apps.
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    /// A server of this name is registered already.
    #[error("{0} is a server here already")]
    Exists(Host),
    /// A server was removed before, and its pins leave later.
    #[error("{host} is removed already, and its pins stay published until {}", until.date())]
    RemovedAlready {
        /// The name of the server.
        host: Host,
        /// The time until which its pins stay published.
        until: Time,
    },
    /// The server made its own key.
    #[error("the key of {0} was not made here: this home has its pin alone")]
    KeyElsewhere(Host),
    /// A key file of a server has another key in it.
    #[error("{0} does not hold the key that its name says")]
    OtherKey(Shown),
    /// The certificate is a CA's.
    #[error("it is the certificate of a CA, whose key cannot stand for a server")]
    CertificateOfCa,
    /// The certificate is for other purposes.
    #[error(
        "the certificate is not for servers (its extendedKeyUsage lacks serverAuth): clients refuse {0} with it"
    )]
    NotForServers(Host),
    /// The certificate is another server's.
    #[error("the certificate does not name {host}, but {}", if .found.is_empty() { "no host at all: it has no subject alternative name" } else { .found.as_str() })]
    OtherHost {
        /// The name of the server.
        host: Host,
        /// The names in the certificate.
        found: String,
    },
    /// The server vouches for itself as a CA.
    #[error(
        "the certificate is self-signed and says that it is a CA's (basicConstraints CA:TRUE, as openssl makes it unless told otherwise): clients differ in whether they take that for a server's"
    )]
    SelfSignedCa(Host),
    /// The certificate is not good now.
    #[error("the certificate is good from {from} to {to}, not now")]
    NotGood {
        /// The start of the validity period (notBefore), inclusive.
        from: Time,
        /// The end of the validity period (notAfter), inclusive.
        to: Time,
    },
    /// A server's certificate is on the CRL.
    #[error("certificate {serial} of {host} is revoked: apps that read the CRL refuse it")]
    CertificateRevoked {
        /// The host of the server.
        host: Host,
        /// The serial number of the certificate.
        serial: Serial,
    },
    /// The pin of the key in reserve was published too short a time ago.
    #[error("the pin of the backup key of {host} has not been published for long enough: before {} apps in the field may not know it", .from.date())]
    TooSoon {
        /// The name of the server.
        host: Host,
        /// The time from which on the key can be used.
        from: Time,
    },
    /// A place could not be written since the pin was signed.
    #[error(
        "apps that read {place} do not know the pin of {host} that they would be held to: that place could not be written since it was signed"
    )]
    PinNotEverywhere {
        /// The name of the server.
        host: Host,
        /// The place that could not be written.
        place: Shown,
    },
    /// The pin of the key in reserve was never published.
    #[error("the pin of the backup key of {0} was never published: no app knows it")]
    PinUnpublished(Host),
    /// The pin of the key in use is in no pin set that is published and in force.
    #[error(
        "the pin of the key of {0} is in no pin set that is published and has not ended: apps do not know it"
    )]
    ActiveUnpublished(Host),
    /// Somebody else has rotated the server's key between two looks.
    #[error("the keys of {0} were rotated by another process")]
    RotatedMeanwhile(Host),
    /// The change is recorded, but the server's files were not written.
    #[error("it is recorded, but the files of {0} were not written: {1}")]
    KeyUndelivered(Host, Box<CaError>),
}

impl Fault for ServersError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::Exists(_) => (Kind::Conflict, "exists"),
            Self::RemovedAlready { .. } => (Kind::Conflict, "removed"),
            Self::KeyElsewhere(_) => (Kind::Conflict, "key-elsewhere"),
            Self::OtherKey(_) => (Kind::Damaged, "mixed"),
            Self::CertificateOfCa | Self::SelfSignedCa(_) => (Kind::BadRequest, "ca"),
            Self::NotForServers(_) => (Kind::BadRequest, "purpose"),
            Self::OtherHost { .. } => (Kind::BadRequest, "other-host"),
            Self::NotGood { .. } => (Kind::BadRequest, "not-good"),
            Self::CertificateRevoked { .. } => (Kind::Conflict, "revoked"),
            Self::TooSoon { .. } => (Kind::PolicyRefused, "too-soon"),
            Self::PinNotEverywhere { .. } | Self::PinUnpublished(_) | Self::ActiveUnpublished(_) => {
                (Kind::Conflict, "unpublished")
            }
            Self::RotatedMeanwhile(_) => (Kind::Conflict, "busy"),
            Self::KeyUndelivered(..) => (Kind::Incomplete, "undelivered"),
        }
    }
}
