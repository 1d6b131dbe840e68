//! Advice on devices that could not renew their certificates.

use super::Advice;
use super::fetch::to_reach_device_face;
use crate::credential::CredentialError;
use crate::https::NoTrust;
use crate::key::KeyError;
use crate::reenroll::{ReenrollError, Unfit};

/// What brings back a device that the service refuses.
const ASK: &str = "ask who runs the PKI for an invite (`pki invite create`), and enroll anew with it";

impl Advice for ReenrollError {
    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Disk(error) => return error.advice(),
            Self::Credential(CredentialError::Key {
                why: KeyError::WrongPassphrase,
                ..
            }) => "give its passphrase with --passphrase-file PATH; FILE.new has the same as FILE",
            Self::Credential(CredentialError::Together(_)) => {
                "make two files of it, which --cert and --key name; what needs one file of both has it made by --exec 'cat …'"
            }
            Self::Credential(error) => return error.advice(),
            Self::Stray(_) => "move it away, then run the command again",
            Self::Root { .. }
            | Self::NoTrust(NoTrust::File { .. } | NoTrust::System(_) | NoTrust::Disk(_)) => {
                "name the root's certificate with --root FILE: ca/root.crt, as the PKI's operator handed it over"
            }
            Self::Busy { .. } => "try again, or wait longer with --wait 5m",
            Self::Network { why, .. } => to_reach_device_face(why),
            Self::Slow { .. } => "try again, or give it longer with --timeout 5m",
            Self::Unavailable { .. } => "try again later; what is in place is good until it ends",
            Self::Refused { kept: Some(key), .. } => {
                return Some(format!(
                    "{ASK}; where certificate and key were exchanged by hand since {key} was made, remove that and try again"
                ));
            }
            Self::Refused { kept: None, .. } => ASK,
            Self::Unfit { why, .. } => match why {
                Unfit::NotYet(_) => "set the clocks of both machines, then run the command again",
                Unfit::NotBase64
                | Unfit::Unreadable(_)
                | Unfit::OtherKey(_)
                | Unfit::OtherDevice { .. }
                | Unfit::NotForClients
                | Unfit::Issuer { .. }
                | Unfit::Ended(_) => "nothing was changed here; tell who runs the service",
            },
            Self::Request(_) => return None,
        };
        Some(advice.into())
    }
}
