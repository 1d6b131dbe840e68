//! Examines a home: finds what is wrong with it or soon will be, and the command that mends it.

mod authorities;
mod backup;
mod certificates;
mod crls;
mod drill;
mod enrollment;
mod keys;
mod ledger;
mod publication;
mod ownership;
mod private_files;
mod free_space;
mod acme;
mod hmac;
mod servers;
mod timer;

pub use crate::model::finding::{Finding, Severity};
pub use authorities::ROTATE;
pub use crls::crls;
pub use enrollment::whose_is_it;
pub use keys::unopened;
pub use publication::JOIN_GROUP;
pub use servers::rotation_of;

use std::path::Path;

use crate::ca::{self, CaError, ClockPolicy, Copied, Desk, Session};
use crate::home::{self, Home, HomeError};
use crate::model::{Clock, Span, Time};
use crate::store::StoreError;
use ownership::GIVE_BACK;

/// Examines the home at `path` as it is. What can be mended without a decision (an index that is behind or
/// damaged, a torn end of the ledger) is mended on the way, and reported.
pub fn examine(path: &Path, desk: impl FnOnce(Home) -> Desk, now: Time) -> Vec<Finding> {
    let mut findings = Vec::new();
    match home::exposed(path) {
        Ok(exposed) => findings.extend(exposed.into_iter().map(|exposed| {
            let remedy = exposed.remedy();
            Finding::new("exposed", Severity::Error, exposed, remedy)
        })),
        Err(error) => findings.push(Finding::new(
            "unreadable",
            Severity::Error,
            error,
            "look at the directory's owner and mode",
        )),
    }
    ownership::examine(path, &mut findings);
    let home = match Home::open(path) {
        Ok(home) => home,
        Err(HomeError::Exposed(_)) => return findings,
        Err(error) => {
            let remedy = if matches!(error, HomeError::NotAHome(..)) {
                "name the right directory with --home DIR or PKI_HOME"
            } else if matches!(error, HomeError::Config { .. }) {
                "correct the file, whose comments explain every key, then run `pki publish`: what was revoked meanwhile may be on no list"
            } else if ownership::is_denied(&error) {
                GIVE_BACK
            } else {
                "restore the files that belong together from a backup"
            };
            findings.push(Finding::new("home", Severity::Error, error, remedy));
            return findings;
        }
    };
    authorities::keys(&home, &mut findings);
    authorities::certificates(&home, now, &mut findings);
    free_space::examine(&home, &mut findings);
    let desk = desk(home);
    contents(&desk, now, &mut findings);
    let is_first = |finding: &Finding| UNDECIDED.iter().any(|(code, _)| *code == finding.code);
    findings.sort_by_key(|finding| (!is_first(finding), std::cmp::Reverse(finding.severity)));
    wait_for_decisions(&mut findings);
    counted(findings)
}

/// What a person must decide before commands are taken: the finding, and what says it.
const UNDECIDED: [(&str, &str); 3] = [
    ("copied-home", "HOME"),
    ("clock-behind", "CLOCK"),
    ("clock-ahead", "CLOCK"),
];

/// Says of each remedy that is a command what must be decided before: without that, the command is refused.
fn wait_for_decisions(findings: &mut [Finding]) {
    let is_found = |code: &str| findings.iter().any(|finding| finding.code == code);
    let undecided: Vec<_> = UNDECIDED.into_iter().filter(|(code, _)| is_found(code)).collect();
    if undecided.is_empty() {
        return;
    }
    let codes: Vec<&str> = undecided.iter().map(|(code, _)| *code).collect();
    let codes = codes.join(" and ");
    let words: Vec<String> = undecided
        .iter()
        .map(|(_, word)| format!(" --confirm {word}"))
        .collect();
    let decided = format!("pki publish{}", words.concat());
    for finding in findings {
        if finding.remedy == "pki publish" {
            finding.remedy = format!("decide what {codes} asks; if all is right: {decided}");
        } else if UNDECIDED.iter().any(|(code, _)| *code == finding.code) {
            // Two questions are answered by one command: each alone would be refused.
            let (open, all) = (
                format!("pki publish --confirm {}", word_of(finding.code)),
                &decided,
            );
            finding.remedy = finding.remedy.replace(&open, all);
        } else if finding.remedy.contains("pki ") {
            finding.remedy = format!("first decide what {codes} asks; then {}", finding.remedy);
        }
    }
}

/// The word to confirm where this is found.
fn word_of(code: &str) -> &'static str {
    let known = UNDECIDED.into_iter().find(|(undecided, _)| *undecided == code);
    known.map_or("", |(_, word)| word)
}

/// The number of findings of one kind that are reported one by one.
const SHOWN: usize = 5;

/// The first findings of each kind, and how many more there are: hundreds of one kind would hide what else
/// there is.
fn counted(findings: Vec<Finding>) -> Vec<Finding> {
    let mut told: Vec<Finding> = Vec::new();
    let mut more: Vec<(Finding, usize)> = Vec::new();
    for finding in findings {
        let is_like = |other: &Finding| (other.code, other.severity) == (finding.code, finding.severity);
        if told.iter().filter(|other| is_like(other)).count() < SHOWN {
            told.push(finding);
        } else if let Some((_, count)) = more.iter_mut().find(|(first, _)| is_like(first)) {
            *count += 1;
        } else {
            more.push((finding, 1));
        }
    }
    for (first, count) in more {
        // Behind the last one of its kind.
        let is_like = |other: &Finding| (other.code, other.severity) == (first.code, first.severity);
        let place = told.iter().rposition(is_like).map_or(told.len(), |last| last + 1);
        let message = format!("and {count} more of this kind");
        let remedy = "mend what is named, then look again: pki doctor";
        told.insert(place, Finding::new(first.code, first.severity, message, remedy));
    }
    told
}

/// Examines everything that needs the ledger.
fn contents(desk: &Desk, now: Time, findings: &mut Vec<Finding>) {
    let session = match desk.session(ClockPolicy::Lenient) {
        Ok(session) => session,
        Err(CaError::Home(HomeError::Store(error)) | CaError::Store(error)) => {
            findings.push(ledger::unreadable(&error));
            return;
        }
        Err(CaError::Home(error @ (HomeError::Busy { .. } | HomeError::ServersMade))) => {
            findings.push(Finding::new(
                "busy",
                Severity::Note,
                error,
                "run doctor again once that is done",
            ));
            return;
        }
        Err(CaError::Home(error @ HomeError::Mixed { .. })) => {
            findings.push(Finding::new(
                "mixed",
                Severity::Error,
                error,
                "restore the files that belong together",
            ));
            return;
        }
        Err(CaError::Home(error @ HomeError::OtherAccount { .. })) => {
            let remedy = "run doctor and everything else as that account: `sudo -u OWNER pki …`";
            findings.push(Finding::new("other-account", Severity::Error, error, remedy));
            return;
        }
        Err(error) => {
            findings.push(Finding::new(
                "unwritable",
                Severity::Error,
                error,
                "look at the home's owner, mode and disk",
            ));
            return;
        }
    };
    let store = &session.store;
    ledger::examine(store, findings);
    clock(session.clock, findings);
    copied(session.copied.as_ref(), findings);
    backup::examine_restore(session.unreconciled, findings);
    crls(&desk.home, store, now, findings);
    certificates::examine(store, now, findings);
    handouts(&session, now, findings);
    servers::examine(&session, now, findings);
    hmac::examine(&session, now, findings);
    hmac::examine_profiles(&session, findings);
    acme::examine(&session, findings);
    enrollment::examine(&desk.home, store, now, findings);
    timer::examine(&session, now, findings);
    backup::examine(&session, now, findings);
    drill::examine(&session, now, findings);
    publication::examine(&session, findings);
}

/// How much it matters that nobody has seen to something yet: little in a home that is not older than `long`.
fn by_age(session: &Session<'_>, now: Time, long: Span) -> Result<Severity, StoreError> {
    let age = now - session.store.initialized()?.time;
    Ok(match age > long {
        true => Severity::Warning,
        false => Severity::Note,
    })
}

/// A bundle that nobody is to get any more has no business in the home.
fn handouts(session: &Session<'_>, now: Time, findings: &mut Vec<Finding>) {
    match ca::outdated_handouts(&session.desk.home, &session.store, now) {
        Ok(outdated) if outdated.is_empty() => {}
        Ok(outdated) => findings.push(Finding::new(
            "handout-ended",
            Severity::Warning,
            format!(
                "{} kept in the home although their invites have ended, and their certificates may be good",
                match outdated.len() {
                    1 => "1 bundle is".to_owned(),
                    more => format!("{more} bundles are"),
                }
            ),
            "pki publish",
        )),
        Err(error) => findings.push(Finding::new(
            "unreadable",
            Severity::Error,
            error,
            "look at the directory's owner and mode",
        )),
    }
}

fn copied(copied: Option<&Copied>, findings: &mut Vec<Finding>) {
    findings.extend(copied.map(|copied| {
        Finding::new(
            "copied-home",
            Severity::Warning,
            format!("{copied}: nothing is issued or published from it"),
            "if the PKI goes on in this home and the other is not used any more: pki publish --confirm HOME",
        )
    }));
}

fn clock(clock: Clock, findings: &mut Vec<Finding>) {
    match clock {
        Clock::Good(_) => {}
        Clock::Behind { clock, last } => findings.push(Finding::new(
            "clock-behind",
            Severity::Error,
            format!("the clock says {clock}, and the last event was recorded at {last}"),
            "set the clock; if it is right, run `pki publish --confirm CLOCK`",
        )),
        Clock::FarAhead { clock, last } => findings.push(Finding::new(
            "clock-ahead",
            Severity::Warning,
            format!("the clock says {clock}, and nothing has been recorded since {last}"),
            "set the clock; if it is right, run `pki publish --confirm CLOCK`, and see why its timer does not",
        )),
    }
}
