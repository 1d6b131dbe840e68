//! Advice on bundles and passphrases that were not delivered.

use crate::ca::DeliveryError;
use crate::cli::error::Advice;
use crate::disk::{self, UMASK};

impl Advice for DeliveryError {
    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::TakenByBundle(_) | Self::NoList(_) => "name another file with --bundle-passphrase-out FILE",
            Self::InHome(_) | Self::InPublication(_) => "name a place elsewhere, that only you can read",
            Self::ListBusy(_) => "try again, or wait longer with --wait 5m",
            Self::NotOwn(_) => "name a file of your own",
            Self::OutputDir { why, .. } if disk::is_modeless(why) => UMASK,
            Self::OutputDir { .. } => "name a directory of yours with --out DIR",
            Self::Undelivered(_) => {
                "run the same command again: it revokes that certificate and issues a new one"
            }
        };
        Some(advice.into())
    }
}
