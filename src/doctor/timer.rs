//! Checks whether a timer runs `pki publish`. Without one, servers let nobody in once the CRL has expired.

use super::ledger::unreadable;
use super::{Finding, Severity, by_age};
use crate::ca::{self, Session};
use crate::model::{Span, Time};

pub(super) fn examine(session: &Session<'_>, now: Time, findings: &mut Vec<Finding>) {
    let home = &session.desk.home;
    // A timer that is set up as it should be runs several times a day, and a CRL is made anew when half of
    // its life is over.
    let long = Span::seconds(home.config().issuing_crl_life.as_seconds() / 4);
    match ca::last_timer(home) {
        Some(last) if now - last > long => findings.push(Finding::new(
            "timer-stopped",
            Severity::Warning,
            format!("no timer has run `pki publish` since {last}, {} ago", now - last),
            "see why it does not run, or run what it runs by hand: pki publish --no-input --unlock",
        )),
        Some(_) => {}
        None => findings.push(match by_age(session, now, long) {
            Ok(severity) => Finding::new(
                "timer-never",
                severity,
                "no timer has ever run `pki publish`: once the CRL has ended, servers let nobody in",
                "have a timer run it several times a day: `pki config systemd` or `pki config cron` prints one",
            ),
            Err(error) => unreadable(&error),
        }),
    }
}
