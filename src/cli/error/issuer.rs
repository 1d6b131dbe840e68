//! Advice where a CA does not sign, or policy does not permit it.

use super::Advice;
use crate::doctor::ROTATE;
use crate::issuer::IssuerError;
use crate::model::profile::Refusal;

impl Advice for IssuerError {
    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::KeyMismatch(_) => {
                "restore key and certificate from one backup: files of two homes are mixed"
            }
            Self::SharedKey(..) => "sign the request that `pki server issue` writes, with a key of its own",
            Self::OutOfDate { to, at, .. } if at > to => ROTATE,
            Self::OutOfDate { .. } => "set the clock",
            Self::X509(_)
            | Self::Key(_)
            | Self::Signing(_)
            | Self::ChainBroken(_)
            | Self::NothingSaid
            | Self::OtherNames
            | Self::NotOurs(_) => {
                "`pki doctor` says what is wrong with this home; restore what is damaged from a backup"
            }
        };
        Some(advice.into())
    }
}

impl Advice for Refusal {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Host(host) => format!(
                "a public CA can certify it: `pki server csr {host}`; what this PKI may vouch for was fixed by --domain and --ip-range of `pki init`",
            ),
            Self::Days { max, .. } | Self::ServerDays { max, .. } => format!("ask for 1 to {max} days"),
            Self::IssuerEnds(_) => ROTATE.into(),
            Self::IssuerNotYet(_) => "set the clock".into(),
        })
    }
}
