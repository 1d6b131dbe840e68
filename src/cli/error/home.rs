//! Advice on homes that cannot be used.

use std::io::ErrorKind;

use super::Advice;
use crate::home::HomeError;

impl Advice for HomeError {
    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Missing(_) => {
                "is it another account's? --home DIR or PKI_HOME names another place; `pki init` makes a new PKI"
            }
            Self::NotAHome(..) => "name the right directory with --home DIR or PKI_HOME",
            Self::OtherAccount { owner, .. } => {
                return Some(format!(
                    "run it as that account: `sudo -u {owner} pki …`; its timer could not read files of this one"
                ));
            }
            Self::Exposed(exposed) => return Some(exposed.remedy()),
            Self::Disk(error) if error.source.kind() == ErrorKind::NotFound => {
                "it is a part of the home: restore it from a backup; a root's key may be on a medium that is not there"
            }
            Self::Disk(error) => return error.advice(),
            Self::Config { .. } => "correct the file; its comments explain every key",
            Self::Profile { .. } => "correct the profile",
            Self::Template { .. } => "correct the file, or move it away: a template is built in",
            Self::NoProfile(_) => "`device` is built in; others are templates/profiles/NAME.toml in the home",
            Self::Certificate { .. } | Self::Chain(_) => "restore the file from a backup",
            Self::Mixed { .. } => "restore the files that belong together",
            Self::ServersMade | Self::Restored(_) => "run the same command again",
            Self::Busy { .. } => "try again, or wait longer with --wait 5m",
            Self::Store(error) => return error.advice(),
        };
        Some(advice.into())
    }
}
