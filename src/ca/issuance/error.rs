//! The reasons for which the issuance or renewal of a certificate is refused.

use crate::model::fault::{Fault, Kind};
use crate::model::{Address, Employee, PersonName, Serial, Time};

/// Why a certificate is not issued, or not renewed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum IssuanceError {
    /// The name is kept for canaries.
    #[error("{0} is no device's name: `pki check` issues certificates to itself under it")]
    Reserved(Address),
    /// The device has a certificate.
    #[error("{address} has a valid certificate, until {}", .until.date())]
    AlreadyValid {
        /// Which device.
        address: Address,
        /// Its certificate.
        serial: Serial,
        /// Its end.
        until: Time,
    },
    /// The employee left.
    #[error("{employee} was offboarded on {}", .since.date())]
    Offboarded {
        /// Who.
        employee: Employee,
        /// Since when.
        since: Time,
    },
    /// A CRL that was taken in says that she left.
    #[error(
        "{0} was locked out for having left, and is not offboarded in this ledger, which is from an older backup"
    )]
    Leaver(Employee),
    /// The name would make one employee's certificate look like another's.
    #[error("{address} cannot be called \"{name}\": that is how the employee {other} goes")]
    NameOfAnother {
        /// Whose certificate it would be.
        address: Address,
        /// The name.
        name: PersonName,
        /// Whose it is.
        other: Employee,
    },
    /// A listed device was locked out, and stays so.
    #[error("{address} was revoked on {}", .since.date())]
    LockedOut {
        /// Which device.
        address: Address,
        /// Since when.
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
