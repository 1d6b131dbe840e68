//! Checks when the home was backed up last. Backups that something else makes are not seen, so the operator
//! has to state that.

use super::ledger::unreadable;
use super::{Finding, Severity, by_age};
use crate::ca::{self, Session};
use crate::model::{Span, Time};

/// The age of a home from which on it is a warning that nobody has made one.
const LONG: Span = Span::days(30);
/// The age of a backup from which on it is a warning that something has happened since.
const OLD: Span = Span::days(7);

/// A home that was restored waits to be told what happened since.
pub(super) fn examine_restore(unreconciled: Option<Time>, findings: &mut Vec<Finding>) {
    findings.extend(unreconciled.map(|made| {
        Finding::new(
            "unreconciled",
            Severity::Error,
            format!(
                "this home was restored from the backup of {made}, and what happened since is not known: nothing is signed or published"
            ),
            "pki publish; with what a server has fetched: pki publish --published DIR",
        )
    }));
}

pub(super) fn examine(session: &Session<'_>, now: Time, findings: &mut Vec<Finding>) {
    let home = &session.desk.home;
    if home.config().backup.is_some() {
        return;
    }
    let Some(last) = ca::last_backup(home) else {
        findings.push(match by_age(session, now, LONG) {
            Ok(severity) => Finding::new(
                "backup-unknown",
                severity,
                "no backup of this home was made: whoever loses it begins anew with every device",
                "pki backup DIR, on another machine or medium; if something else makes backups, say backup = \"elsewhere\" in pki.toml",
            ),
            Err(error) => unreadable(&error),
        });
        return;
    };
    let since = session.store.seq().saturating_sub(last.events);
    if since > 0 && now - last.made > OLD {
        findings.push(Finding::new(
            "backup-old",
            Severity::Warning,
            format!(
                "the last backup is of {}, {} ago, and {since} events have happened since",
                last.made,
                now - last.made
            ),
            "pki backup DIR, on another machine or medium, once a day by a timer",
        ));
    }
}
