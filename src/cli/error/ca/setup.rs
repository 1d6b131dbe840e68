//! Advice where no home is created.

use crate::ca::SetupError;
use crate::cli::error::Advice;

impl Advice for SetupError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NoRoomBeside { .. } => {
                "name a home below a directory of this account, as --home /var/lib/pki/home where /var/lib/pki is its own".into()
            }
            Self::MountPoint(place) => {
                format!("name a directory below it: --home {}", place.0.join("pki").display())
            }
            Self::MediumInHome(_) => {
                "name a directory on a medium of its own with --offline-root DIR".into()
            }
        })
    }
}
