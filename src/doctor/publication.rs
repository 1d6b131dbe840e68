//! What is wrong with the publication: whether it is what the ledger says, and goes where it should.

use super::{Finding, Severity};
use crate::config::{Config, PublishTo};
use crate::operate::{self, Doubts, OperateError, Session};
use crate::publish::{Location, Stray, StrayKind};

pub(super) fn examine(session: &Session<'_>, findings: &mut Vec<Finding>) {
    unread(session.desk.home.config(), findings);
    findings.extend(operate::strays(session).iter().map(stray));
    findings.extend(operate::unwritable(session).into_iter().map(|(place, error)| {
        Finding::new(
            "target-unwritable",
            Severity::Warning,
            format!("{place} cannot be published to: {error}"),
            "give it, and what is in it, to the account that runs pki (chown -R)",
        )
    }));
    findings.extend(operate::foreign(session).into_iter().map(|(place, error)| {
        Finding::new(
            "other-ca",
            Severity::Error,
            format!("{place} is not published to: {error}"),
            "look at pki.toml, and at which home publishes there: let one of them alone do so",
        )
    }));
    let doubts = Doubts::by(&session.desk.home);
    findings.extend(doubts.emptied().into_iter().map(|place| {
        Finding::new(
            "place-emptied",
            Severity::Warning,
            format!(
                "{place} had lost its publication, or had one later than the ledger, when it was written last: if this home was restored from a \
                 backup, it knows less than was published"
            ),
            "pki publish --reconcile DIR with what a server has fetched; if the home is no older one, pki publish --confirm LEDGER",
        )
    }));
    findings.extend(doubts.unsigned().map(|claim| {
        Finding::new(
            "unsigned-list",
            Severity::Warning,
            format!("a list that nobody has signed was found, and it says what the ledger does not: {claim}"),
            "what was lost: pki revoke SERIAL; if the home is no older one, pki publish --confirm LEDGER",
        )
    }));
    findings.extend(doubts.leavers().map(|employee| {
        Finding::new(
            "offboarding-lost",
            Severity::Warning,
            format!(
                "{employee} was locked out for having left, by a CRL that is later than the ledger was, and is not offboarded here: certificates \
                 can be issued to {employee}"
            ),
            format!("pki offboard {employee}; if that is meant, pki publish --confirm LEDGER"),
        )
    }));
    findings.extend(operate::owed_commands(&session.desk.home).iter().map(|owed| {
        let (place, program) = (owed.place().display(), owed.command.first());
        let program = program.map_or("", String::as_str);
        Finding::new(
            "command-owed",
            Severity::Warning,
            format!(
                "{place} was written, and the command of its [[publish]], {program}, has not succeeded since"
            ),
            "mend what it does, then `pki publish`: it runs it again",
        )
    }));
    match operate::behind(session) {
        Ok(reasons) => findings.extend(reasons.into_iter().map(|reason| {
            Finding::new(
                "publication-behind",
                Severity::Warning,
                format!("the publication is not what the ledger says: {reason}"),
                "pki publish",
            )
        })),
        Err(error) => {
            let remedy = if let OperateError::Rejected(rejected) = &error {
                rejected.remedy()
            } else {
                "pki publish"
            };
            findings.push(Finding::new("publication", Severity::Error, error, remedy));
        }
    }
}

/// Where nothing is known to have servers read what is published. A server that never reads another CRL lets
/// nobody in once the one that it has read has ended, however well the timer works.
fn unread(config: &Config, findings: &mut Vec<Finding>) {
    if config.publish.is_empty() {
        findings.push(Finding::new(
            "nobody-reloads",
            Severity::Note,
            "pki.toml names no place that servers read ([[publish]]): nobody is known to bring new CRLs to them",
            "name it in a [[publish]], with a `command` that has servers read it: pki.toml explains both",
        ));
    }
    let unread = config.publish.iter().filter(|target| !target.is_followed());
    findings.extend(unread.map(|target: &PublishTo| {
        let places: Vec<String> = target.places().map(Location::to_string).collect();
        Finding::new(
            "nobody-reloads",
            Severity::Warning,
            format!(
                "nobody is known to have servers read what is published to {}: once the CRL that they read last has ended, they let nobody in",
                places.join(" and ")
            ),
            "give its [[publish]] in pki.toml a `command` that reloads them, or reload = \"elsewhere\" where something else does",
        )
    }));
}

/// The path is quoted: whoever may write there names files as he likes, escape sequences for the terminal included.
fn stray(Stray { path, kind }: &Stray) -> Finding {
    match kind {
        StrayKind::Key => Finding::new(
            "key-published",
            Severity::Error,
            format!("{path:?} holds a private key and is in a publication's directory, for others to read"),
            "remove it, and revoke whose it is with `pki revoke`: it may have been fetched",
        ),
        StrayKind::Link => Finding::new(
            "stray",
            Severity::Note,
            format!("{path:?} is a link in a publication's directory, and pki follows none there"),
            "remove the link, not what it leads to",
        ),
        StrayKind::Other => Finding::new(
            "stray",
            Severity::Note,
            format!("{path:?} is in a publication's directory and no part of it"),
            "move it elsewhere: that directory is the publication's alone",
        ),
    }
}
