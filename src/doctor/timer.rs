//! Whether a timer runs `pki publish`. Without one, servers let nobody in once the CRL has ended.

use super::ledger::unreadable;
use super::{Finding, Severity};
use crate::model::{Span, Time};
use crate::operate::{self, Session};

pub(super) fn examine(session: &Session<'_>, now: Time, findings: &mut Vec<Finding>) {
    let home = &session.desk.home;
    // A timer that is set up as it should be runs several times a day, and a CRL is made anew when half of
    // its life is over.
    let long = Span::seconds(home.config().issuing_crl_life.as_seconds() / 4);
    let set_up =
        "have a timer run it several times a day: `pki config systemd` or `pki config cron` prints one";
    match operate::last_timer(home) {
        Some(last) if now - last > long => findings.push(Finding::new(
            "timer-stopped",
            Severity::Warning,
            format!("no timer has run `pki publish` since {last}, {} ago", now - last),
            "see why it does not run, or run what it runs by hand: pki publish --no-input --unlock",
        )),
        Some(_) => {}
        None => {
            let founded = match session.store.initialized() {
                Ok(event) => event.time,
                Err(error) => {
                    findings.push(unreadable(&error));
                    return;
                }
            };
            let severity = if now - founded > long {
                Severity::Warning
            } else {
                Severity::Note
            };
            let message =
                "no timer has ever run `pki publish`: once the CRL has ended, servers let nobody in";
            findings.push(Finding::new("timer-never", severity, message, set_up));
        }
    }
}
