//! Advice where a home is not backed up or restored.

use crate::age::AgeError;
use crate::backup::BackupError;
use crate::ca::CustodyError;
use crate::cli::error::{Advice, THREADS};

impl Advice for CustodyError {
    fn advice(&self) -> Option<String> {
        match self {
            Self::Backup { why, .. } => why.advice(),
            Self::Ahead { home, .. } => Some(format!(
                "go on with that home: what a backup lacks would be lost; if it is broken in another way, move it aside: `mv {home} {home}.old`, and \
                 hand in what it had published"
            )),
            Self::Diverged(home) | Self::AnotherPki(home) => Some(format!(
                "restore it somewhere else with --home DIR, or move that home aside first: `mv {home} {home}.old`"
            )),
            Self::Unreadable { home, .. } => Some(format!(
                "`pki doctor` says what is wrong with it; if it is lost, move it aside: `mv {home} {home}.old`, then restore"
            )),
            Self::Unfit { .. } => Some("take another backup".into()),
            Self::KeysChange => Some("run the same command again".into()),
            Self::RootAway(_) => {
                Some("attach the medium that it is on, or correct root_key in pki.toml".into())
            }
        }
    }
}

impl Advice for BackupError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Age(error) => return error.advice(),
            Self::NotABackup => "name a file that `pki backup` has made".into(),
            Self::Later(_) => "restore it with that version of pki, or a later one".into(),
            Self::Malformed(_) | Self::Changed(_) => {
                "take another backup: this one was damaged, or made by something else".into()
            }
            Self::Ledger(_) => {
                "`pki doctor` says more of the ledger of a home; of backups, take an earlier one".into()
            }
            Self::Name(_) => "rename the file in templates/".into(),
            Self::Moved(_) => "run the same command again".into(),
        })
    }
}

impl Advice for AgeError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NotAge => "name a file that `pki backup` has made".into(),
            Self::Version(_) => "decrypt it with the program age, and see what it is".into(),
            Self::Armor { .. }
            | Self::Header(_)
            | Self::Mac
            | Self::Damaged(_)
            | Self::CutOff(_)
            | Self::GoesOn(_) => {
                "it was damaged on its way or on its disk: take another copy or another backup".into()
            }
            Self::NoIdentityMatches => {
                "name the identity of one of its recipients with --identity FILE".into()
            }
            Self::NotToRecipients => "give its passphrase instead: leave --identity away".into(),
            Self::NotByPassphrase => "name the identity of one of its recipients with --identity FILE".into(),
            Self::WrongPassphrase => {
                "it has a passphrase of its own, which was chosen when it was made".into()
            }
            Self::NoRecipient | Self::TooManyRecipients { .. } => {
                "name at least one recipient, and a thousand at most".into()
            }
            Self::NoThreads(_) => THREADS.into(),
            Self::NoMemory(_) => "end other processes, or open it on a machine with more memory".into(),
            Self::Io(_) => return None,
        })
    }
}
