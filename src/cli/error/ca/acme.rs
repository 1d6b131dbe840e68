//! Advice on accounts that are not granted.

use crate::ca::AcmeError;
use crate::cli::error::Advice;

impl Advice for AcmeError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NoAuthority => "the first certificate of a server makes it, with the root's key: `pki server add HOST`, then `pki server issue HOST`, for the name by which servers reach the service".into(),
            Self::Address(_) => "`pki server issue` certifies an address".into(),
            Self::TooManyNames(_) => "grant a second account for the others".into(),
            Self::OtherSecret(_) => "put the right file back from a backup, or end the account with `pki server acme HOST --cancel KID` and make another one".into(),
            Self::Several { .. } => {
                "name one, `--cancel KID`; `--cancel all` ends all of them".into()
            }
            Self::NameOfAnother(_, account, host) => {
                format!("`pki server acme {host} --cancel {account}` ends that one")
            }
        })
    }
}
