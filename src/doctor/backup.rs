//! Checks whether the configuration says that the home is backed up. The program cannot find that out by
//! itself, so the operator has to state it.

use super::ledger::unreadable;
use super::{Finding, by_age};
use crate::ca::Session;
use crate::model::{Span, Time};

/// The age of a home from which on it is a warning that nobody has said so.
const LONG: Span = Span::days(30);

pub(super) fn examine(session: &Session<'_>, now: Time, findings: &mut Vec<Finding>) {
    if session.desk.home.config().backup.is_some() {
        return;
    }
    findings.push(match by_age(session, now, LONG) {
        Ok(severity) => Finding::new(
            "backup-unknown",
            severity,
            "nothing is known of a backup of this home: whoever loses it begins anew with every device",
            "copy the directory to another machine after each day of changes, and say backup = \"elsewhere\" in pki.toml",
        ),
        Err(error) => unreadable(&error),
    });
}
