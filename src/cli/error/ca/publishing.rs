//! Advice where nothing is published, or nothing recovered.

use crate::ca::{CaError, PublishingError};
use crate::cli::error::Advice;
use crate::model::text::in_shell;
use crate::publish::TargetError;

impl Advice for PublishingError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NothingRecovered(_) => {
                "`pki doctor` lists what was recovered and waits for a decision".into()
            }
            Self::TornSource(_) => "copy all of it anew, and repeat".into(),
            Self::NothingToReconcile(_) => {
                "give what a server has fetched (the --out of `pki fetch`), a directory of a [[publish]], or a CRL of this PKI".into()
            }
            Self::NoTarget(_) => "give it as it stands there, or leave it out to publish everywhere".into(),
            Self::Unreconciled { open, .. } => {
                let up: Vec<String> = open
                    .iter()
                    .map(|(place, _)| format!("--confirm {}", in_shell(&place.to_string())))
                    .collect();
                let up = if open.is_empty() { "--confirm LEDGER".into() } else { up.join(" ") };
                format!(
                    "mend what can be mended, or hand in what a server has fetched: `pki publish --published DIR`; what is lost is given up by \
                     `pki publish {up}`, and then whoever was locked out in that time may be let in again"
                )
            }
            Self::PinsAhead => {
                "restore the newest ledger.jsonl and servers/; only if this older state is meant, remove pins/ from every place of the publication".into()
            }
            Self::PinsUnread(_) => "mend that place, or take it out of pki.toml, then repeat".into(),
            Self::Unpublished(why) => to_finish(why),
        })
    }
}

/// How what was recorded gets published, whatever stood in its way.
fn to_finish(why: &CaError) -> String {
    let remedy = if let CaError::Rejected(rejected) = why {
        rejected.remedy()
    } else {
        "pki publish"
    };
    let is_full = if let CaError::NotRecorded { why, .. }
    | CaError::Disk(why)
    | CaError::Target(TargetError::Disk(why)) = why
    {
        why.is_full()
    } else {
        false
    };
    let first = if is_full { "free some room, then " } else { "" };
    format!("{first}run `{remedy}` to finish the work")
}
