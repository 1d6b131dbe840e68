//! The reasons for which no home can be founded in a place.

use crate::disk::Shown;
use crate::model::fault::{Fault, Kind};

/// The reason for which no home can be founded in a place.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A home cannot be staged in the directory above its place.
    #[error("a home is made beside its place, and {above} cannot be written: {why}")]
    NoRoomBeside {
        /// The directory above.
        above: Shown,
        /// The system's error.
        why: std::io::Error,
    },
    /// A home cannot take the place of a mounted file system.
    #[error("{0} is where a file system is mounted, which cannot be replaced by a home")]
    MountPoint(Shown),
    /// The root's key would not be kept apart from the home.
    #[error("{0} is no place for an offline root: it lies in the home")]
    MediumInHome(Shown),
}

impl Fault for SetupError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::NoRoomBeside { .. } => (Kind::Storage, "disk"),
            Self::MountPoint(_) | Self::MediumInHome(_) => (Kind::BadRequest, "place"),
        }
    }
}
