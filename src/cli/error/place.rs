//! Advice on publications that were not written, or not to every target.

use super::Advice;
use crate::doctor::JOIN_GROUP;
use crate::publish::{BucketError, Rejected, TargetError};

impl Advice for TargetError {
    fn advice(&self) -> Option<String> {
        Some(place_remedy(self).into())
    }
}

impl Advice for Rejected {
    fn advice(&self) -> Option<String> {
        Some(format!(
            "run `{}`; `pki doctor` tells what else is wrong",
            self.remedy()
        ))
    }
}

/// The advice on a place that was not published to.
pub fn place_remedy(error: &TargetError) -> &'static str {
    if error.is_missing() {
        return "make that directory, or mount it, or mend the path in pki.toml; then run `pki publish`";
    }
    match error {
        TargetError::Disk(why) if why.is_of_group() => JOIN_GROUP,
        TargetError::Forgotten(_) => {
            "put its tables back into pki.toml, then `pki publish`; where nothing is to be published elsewhere any more, write `publish = []` above its first table"
        }
        TargetError::Unconfigured(_) => {
            "correct the file, whose comments explain every key; then run `pki publish`"
        }
        TargetError::Disk(_) | TargetError::Home | TargetError::Shared(_) => {
            "mend it, then run `pki publish`"
        }
        TargetError::Gone(_) | TargetError::Bucket(BucketError::Gone(_)) => {
            "run `pki publish`, which writes all lists whole"
        }
        TargetError::ServersRevoked => "run `pki publish`, which opens that key, too",
        TargetError::AwaitsKey => "run `pki publish` with the passphrase of the issuing key",
        TargetError::UnknownPins => {
            "restore the newest ledger.jsonl and servers/; only if this older state is meant, remove pins/ from that place; then run `pki publish`"
        }
        TargetError::Rival => {
            "find out which other home publishes there, a copy or a backup of this one; `pki publish` goes on from what is there"
        }
        TargetError::OtherHalf { .. } => {
            "exchange `public` and `server` in pki.toml if they are the wrong way round; only if this is meant, remove that place's manifest.jws; then run `pki publish`"
        }
        TargetError::OtherCa(_) => {
            "find out which home has the CA that publishes there, and let one of them alone publish there; only if this one is meant, remove that place's manifest.jws; then run `pki publish`"
        }
        TargetError::Bucket(BucketError::Credentials(_)) => {
            "mend the file (mode 0600), then run `pki publish`"
        }
        TargetError::Bucket(BucketError::Superseded { .. } | BucketError::Contended(_)) => {
            "find out which other home publishes there, a copy or a backup of this one; `pki publish` goes on from what is there"
        }
        TargetError::Bucket(BucketError::Store { .. } | BucketError::Unreachable(_)) => {
            "mend the store, or what is said of it in pki.toml, then run `pki publish`"
        }
    }
}
