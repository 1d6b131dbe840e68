//! The reasons for which the issuance or renewal of a certificate is refused.

use crate::model::fault::{Fault, Kind};
use crate::model::{Address, Employee, PersonName, Serial, Time};

/// The reason for which a certificate is not issued, or not renewed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum IssuanceError {
    /// The name is kept for canaries.
    #[error("{0} is no device's name: `pki check` issues certificates to itself under it")]
    Reserved(Address),
    /// The device has a certificate.
    #[error("{address} has a valid certificate, until {}", .until.date())]
    AlreadyValid {
        /// The address of the device.
        address: Address,
        /// The serial number of its certificate.
        serial: Serial,
        /// The expiry (notAfter) of its certificate.
        until: Time,
    },
    /// The employee left.
    #[error("{employee} was offboarded on {}", .since.date())]
    Offboarded {
        /// The employee who left.
        employee: Employee,
        /// The time of the offboarding.
        since: Time,
    },
    /// A CRL that was taken in says that the employee left.
    #[error(
        "{0} was locked out for having left, and is not offboarded in this ledger, which is from an older backup"
    )]
    Leaver(Employee),
    /// The name would make one employee's certificate look like another's.
    #[error("{address} cannot be called \"{name}\": that is how the employee {other} goes")]
    NameOfAnother {
        /// The device that the certificate would be for.
        address: Address,
        /// The name that was asked for.
        name: PersonName,
        /// The employee whose short name it is.
        other: Employee,
    },
    /// A listed device was locked out, and stays so.
    #[error("{address} was revoked on {}", .since.date())]
    LockedOut {
        /// The address of the device.
        address: Address,
        /// The time since which it is locked out.
        since: Time,
    },
    /// The ledger knows the device by a published list alone.
    #[error(
        "the ledger knows {0} by a published list alone: what it was issued with is not known, and nothing can be renewed from it"
    )]
    NotIssuedHere(Address),
    /// The device has nothing that could be renewed.
    #[error("{0} has no certificate that could be renewed: the last one is revoked")]
    NothingToRenew(Address),
    /// A key of the device's own making cannot be renewed here.
    #[error("{0} made its own key and was issued by CSR")]
    NeedsRequest(Address),
}

impl Fault for IssuanceError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::Reserved(_) => (Kind::PolicyRefused, "reserved"),
            Self::AlreadyValid { .. } => (Kind::Conflict, "already-valid"),
            Self::Offboarded { .. } | Self::Leaver(_) => (Kind::Conflict, "offboarded"),
            Self::NameOfAnother { .. } => (Kind::Conflict, "name-in-use"),
            Self::LockedOut { .. } | Self::NothingToRenew(_) => (Kind::Conflict, "revoked"),
            Self::NotIssuedHere(_) => (Kind::Conflict, "recovered"),
            Self::NeedsRequest(_) => (Kind::BadRequest, "needs-csr"),
        }
    }
}
