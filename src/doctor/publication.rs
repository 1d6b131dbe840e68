//! Checks the publication: whether it says what the ledger says, and whether it reaches the places where it
//! should go.

use std::io::ErrorKind;

use super::{Finding, Severity};
use crate::ca::{self, Behind, CaError, Doubts, Session};
use crate::disk::{Shown, account};
use crate::home::config::{Config, PublishTo};
use crate::model::text::in_shell;
use crate::publish::{Location, Stray, StrayKind, TargetError};

pub(super) fn examine(session: &Session<'_>, findings: &mut Vec<Finding>) {
    unread(session.desk.home.config(), findings);
    findings.extend(ca::strays(session).iter().map(stray));
    findings.extend(ca::places_forgotten(session).map(|(_, error)| {
        Finding::new(
            "places-forgotten",
            Severity::Error,
            format!("{error}: servers that read there hear of nobody who is locked out"),
            "put the tables back into pki.toml, then `pki publish`; where nothing is to be published elsewhere, write `publish = []` above its first table",
        )
    }));
    findings.extend(ca::unwritable(session).into_iter().map(|(place, error)| {
        Finding::new(
            "target-unwritable",
            Severity::Warning,
            format!("{place} cannot be published to: {error}"),
            match matches!(&error, TargetError::Disk(why) if why.is_of_group()) {
                true => JOIN_GROUP.into(),
                false => give(&place),
            },
        )
    }));
    findings.extend(ca::foreign(session).into_iter().map(|(place, error)| {
        Finding::new(
            "other-ca",
            Severity::Error,
            format!("{place} is not published to: {error}"),
            "look at pki.toml, and at which home publishes there: let one of them alone do so",
        )
    }));
    let doubts = Doubts::standing(session).unwrap_or_else(|_| Doubts::by(&session.desk.home));
    findings.extend(doubts.emptied().into_iter().map(|place| {
        Finding::new(
            "place-emptied",
            Severity::Warning,
            format!(
                "{place} had no publication left, or a later one that does not tell all, when it was written last: if this home was restored from a \
                 backup, it knows less than was published"
            ),
            "pki publish --published DIR with what a server had fetched before; if the home is no older one, pki publish --confirm LEDGER",
        )
    }));
    findings.extend(unsigned(&doubts));
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
    findings.extend(ca::owed_commands(&session.desk.home).iter().map(|owed| {
        let (place, command) = (owed.place().display(), owed.command.join(" "));
        Finding::new(
            "command-owed",
            Severity::Warning,
            format!(
                "{place} was written, or begun to be, and the command of its [[publish]] has not succeeded since: {command}"
            ),
            "mend what it does, then `pki publish`: it runs it again",
        )
    }));
    match ca::behind(session) {
        Ok(reasons) => findings.extend(reasons.into_iter().map(|reason| {
            let remedy = match &reason {
                Behind::Place(_, error) if error.is_missing() => {
                    "make that directory, for the account that runs pki, or mount it, or mend the path in pki.toml; then `pki publish`"
                }
                Behind::Place(..) => "mend that first, then `pki publish`",
                Behind::Content(_) => "pki publish",
            };
            Finding::new(
                "publication-behind",
                Severity::Warning,
                format!("the publication is not what the ledger says: {reason}"),
                remedy,
            )
        })),
        Err(error) => {
            let remedy = if let CaError::Rejected(rejected) = &error {
                rejected.remedy()
            } else {
                "pki publish"
            };
            findings.push(Finding::new("publication", Severity::Error, error, remedy));
        }
    }
}

/// The remedy where the group of a place is refused.
pub const JOIN_GROUP: &str = "make the account that runs pki a member of the group of that [[publish]], as root: usermod -aG GROUP \
                              ACCOUNT; it is one when it has logged in anew";

/// How a place gets to be the account's that runs pki.
fn give(Shown(place): &Shown) -> String {
    let me = rustix::process::geteuid().as_raw();
    let is_missing = std::fs::symlink_metadata(place).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if is_missing {
        format!(
            "make it for the account that runs pki: sudo install -d -o {} {}",
            account(me).unwrap_or_else(|| me.to_string()),
            in_shell(&place.display().to_string())
        )
    } else {
        "give it, and what is in it, to the account that runs pki (chown -R)".into()
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
            "give its [[publish]] in pki.toml a `command` that reloads or restarts them, or reload = \"elsewhere\" where something else does",
        )
    }));
}

/// One finding for all lines: whoever may write to a place may have written many.
fn unsigned(doubts: &Doubts) -> Option<Finding> {
    const SHOWN: usize = 3;
    let count = doubts.unsigned().len();
    let shown: Vec<String> = doubts.unsigned().take(SHOWN).map(ToString::to_string).collect();
    let more = count
        .checked_sub(SHOWN + 1)
        .map_or(String::new(), |more| format!("; and {} more", more + 1));
    (count > 0).then(|| {
        Finding::new(
            "unsigned-list",
            Severity::Warning,
            format!(
                "lists that nobody has signed were found, and say what the ledger does not: {}{more}",
                shown.join("; ")
            ),
            "what was lost: pki revoke SERIAL --confirm SERIAL; if the home is no older one, pki publish --confirm LEDGER",
        )
    })
}

/// The path is quoted: whoever may write there names files as he likes, escape sequences for the terminal
/// included.
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
