//! Advice on certificates that are not issued or not renewed.

use crate::ca::IssuanceError;
use crate::cli::error::Advice;

impl Advice for IssuanceError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::AlreadyValid { address, .. } => format!(
                "`pki renew {address}` issues a newer one; `pki revoke {address}` takes this one back"
            ),
            Self::Offboarded { employee, .. } => {
                format!("if {employee} is back, repeat with --reissue")
            }
            Self::Leaver(employee) => format!(
                "if she is gone, run `pki offboard {employee}`; if {employee} is back, repeat with --reissue"
            ),
            Self::Reserved(_) => "choose another name".into(),
            Self::NameOfAnother { .. } => {
                "give the full name: applications and people would take the one for the other".into()
            }
            Self::LockedOut { .. } => "to let the device in again, repeat with --reissue".into(),
            Self::NothingToRenew(address) => {
                format!("`pki issue {address}` issues a new certificate")
            }
            Self::NotIssuedHere(address) => format!(
                "`pki issue {address}` issues a new one in its place; `pki revoke {address}` takes it back; \
                 `pki publish --keep {address}` lets it stay until it ends"
            ),
            Self::NeedsRequest(address) => {
                format!(
                    "a request of the device: `pki renew {address} --csr FILE`; or invite it anew: `pki invite create {address} --replace`"
                )
            }
        })
    }
}
