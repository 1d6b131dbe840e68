//! Checks when somebody showed last that the passphrases are known: one that only a file knows is lost with
//! it.

use super::ledger::unreadable;
use super::{Finding, Severity};
use crate::ca::{self, Session};
use crate::model::{Span, Time};

/// The age of a home, or of the last drill, from which on a drill is asked for.
const LONG: Span = Span::days(180);

pub(super) fn examine(session: &Session<'_>, now: Time, findings: &mut Vec<Finding>) {
    let founded = match session.store.initialized() {
        Ok(founded) => founded.time,
        Err(error) => {
            findings.push(unreadable(&error));
            return;
        }
    };
    let drill = ca::last_drill(&session.desk.home);
    let due = [("issuing key", drill.issuing), ("root key", drill.root)]
        .into_iter()
        .filter(|(_, last)| now - last.unwrap_or(founded) > LONG);
    findings.extend(due.map(|(what, last)| {
        Finding::new(
            "drill-due",
            Severity::Note,
            match last {
                Some(last) => format!(
                    "the passphrase of the {what} was typed last in a drill on {}",
                    last.date()
                ),
                None => {
                    format!("nobody has shown since `pki init` that the passphrase of the {what} is known")
                }
            },
            "pki doctor --drill, at a terminal",
        )
    }));
}
