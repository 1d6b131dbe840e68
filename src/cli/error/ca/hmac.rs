//! Advice on shared keys that there are not.

use crate::ca::HmacError;
use crate::cli::error::Advice;

impl Advice for HmacError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::OtherSecret(_) => {
                "put the right file back from a backup, or begin the next epoch with `pki hmac rotate`".into()
            }
            Self::Rotated(_) => "run the same command again: it takes the new epoch".into(),
            Self::Revoked(address) => {
                format!("`pki issue {address}` makes it a new certificate, and then it has a key")
            }
        })
    }
}
