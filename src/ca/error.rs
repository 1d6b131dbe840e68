//! The error type of all operations on a home: [`CaError`] joins the error enums of the single subjects.

use super::acme::error::AcmeError;
use super::custody::error::CustodyError;
use super::delivery::error::DeliveryError;
use super::enrollment::error::EnrollmentError;
use super::hmac::error::HmacError;
use super::issuance::error::IssuanceError;
use super::key_owner::UnfitKey;
use super::not_found::NotFound;
use super::publishing::error::PublishingError;
use super::servers::error::ServersError;
use super::session::SessionError;
use super::setup::error::SetupError;
use crate::bundle::BundleError;
use crate::disk::{DiskError, Shown};
use crate::home::HomeError;
use crate::issuer::IssuerError;
use crate::key::KeyError;
use crate::model::fault::{Fault, Kind};
use crate::model::profile::Refusal;
use crate::publish::{Rejected, TargetError};
use crate::store::StoreError;

/// The reason for which an operation was refused or failed. Unless it says so, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The session cannot begin.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The employee, device, certificate or server that was named is not in the ledger.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// A certificate is not issued, or not renewed.
    #[error(transparent)]
    Issuance(#[from] IssuanceError),
    /// A device is not invited, or an invite cannot be changed so.
    #[error(transparent)]
    Enrollment(#[from] EnrollmentError),
    /// A key that was handed in is not taken.
    #[error(transparent)]
    UnfitKey(#[from] UnfitKey),
    /// A bundle or certificate could not be delivered.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// Nothing is published, or nothing is recovered from a publication.
    #[error(transparent)]
    Publishing(#[from] PublishingError),
    /// The register of servers does not let it.
    #[error(transparent)]
    Servers(#[from] ServersError),
    /// There is no account by which a server orders certificates.
    #[error(transparent)]
    Acme(#[from] AcmeError),
    /// There is no shared key.
    #[error(transparent)]
    Hmac(#[from] HmacError),
    /// No home can be founded in that place.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A home cannot be backed up or restored.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The home cannot be opened or read.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The ledger or its index.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A CA cannot sign, or its certificate or key is unfit.
    #[error(transparent)]
    Authority(#[from] IssuerError),
    /// A key file cannot be used.
    #[error("{path} {why}")]
    Key {
        /// The path of the key file.
        path: Shown,
        /// The fault of the key.
        why: KeyError,
    },
    /// A bundle could not be made.
    #[error("the bundle could not be made: {0}")]
    Bundle(#[from] BundleError),
    /// A target of a publication.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The publication is not fit to go out.
    #[error("nothing was published: {0}")]
    Rejected(#[from] Rejected),
    /// Policy refuses to draft the certificate.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A file of that name exists already.
    #[error("{0} exists already")]
    Exists(Shown),
    /// Something that follows from what is recorded could not be recorded itself.
    #[error("{}: {why}", if why.is_full() { format!("no room to record {what}") } else { format!("{what} could not be recorded") })]
    NotRecorded {
        /// The name of what could not be recorded.
        what: &'static str,
        /// The error of the disk.
        why: DiskError,
    },
    /// The system starts no threads.
    #[error("the system starts no more threads for this account: {0}")]
    NoThreads(String),
    /// The file that was written is not what is on disk.
    #[error("{0} does not read back as it was written")]
    ReadBack(Shown),
}

impl Fault for CaError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::Session(error) => error.kind_and_code(),
            Self::NotFound(error) => error.kind_and_code(),
            Self::Issuance(error) => error.kind_and_code(),
            Self::Enrollment(error) => error.kind_and_code(),
            Self::UnfitKey(error) => error.kind_and_code(),
            Self::Delivery(error) => error.kind_and_code(),
            Self::Publishing(error) => error.kind_and_code(),
            Self::Servers(error) => error.kind_and_code(),
            Self::Acme(error) => error.kind_and_code(),
            Self::Hmac(error) => error.kind_and_code(),
            Self::Setup(error) => error.kind_and_code(),
            Self::Custody(error) => error.kind_and_code(),
            Self::Home(error) => error.kind_and_code(),
            Self::Store(error) => error.kind_and_code(),
            Self::Disk(error) => error.kind_and_code(),
            Self::Authority(error) => error.kind_and_code(),
            Self::Key { why, .. } => why.kind_and_code(),
            Self::Bundle(error) => error.kind_and_code(),
            Self::Target(error) => error.kind_and_code(),
            Self::Rejected(error) => error.kind_and_code(),
            Self::Refused(error) => error.kind_and_code(),
            Self::Exists(_) => (Kind::Conflict, "exists"),
            Self::NoThreads(_) => (Kind::Busy, "threads"),
            Self::NotRecorded { .. } | Self::ReadBack(_) => (Kind::Storage, "disk"),
        }
    }
}

/// Names what could not be recorded where something else is recorded already: that "nothing was recorded"
/// would be false.
pub(super) fn recording(what: &'static str) -> impl Fn(CaError) -> CaError {
    move |error| {
        if let CaError::Store(StoreError::NotAppended(why)) = error {
            CaError::NotRecorded { what, why }
        } else {
            error
        }
    }
}
