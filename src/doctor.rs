//! What is wrong with a home or soon will be, and the command that mends it.

mod servers;

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::home::{self, Home, HomeError};
use crate::key::SoftwareKey;
use crate::model::{Authority, Clock, Span, Status, Time};
use crate::operate::{self, ClockPolicy, Desk, OperateError};
use crate::publish::{Stray, StrayKind};
use crate::store::{Notice, Store, StoreError, Tail};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Will go wrong, or could.
    Warning,
    /// Is wrong.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable word for it.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it is.
    pub message: String,
    /// What mends it.
    pub remedy: String,
}

impl Finding {
    pub(crate) fn new(
        code: &'static str,
        severity: Severity,
        message: impl ToString,
        remedy: impl ToString,
    ) -> Self {
        Self {
            code,
            severity,
            message: message.to_string(),
            remedy: remedy.to_string(),
        }
    }
}

/// What to do about a CA that ends.
const ROTATE: &str = "found a new PKI with `pki init --home DIR` in good time, and issue to the devices from there \
                      (`pki ca rotate`, which spares that, is not in this version yet)";
/// From when on the end of the root's CRL is a warning.
const ROOT_CRL: Span = Span::days(120);
/// From when on the end of an issuing CA is a warning: its devices' certificates would be cut.
const ISSUING_CA: Span = Span::days(180);
/// From when on the end of a device's certificate is a warning.
const DEVICE: Span = Span::days(14);

/// Examines the home at `path` as it is. What can be mended without a decision (an index that is behind or damaged, a torn end of the
/// ledger) is mended on the way, and told.
pub fn examine(path: &Path, desk: impl FnOnce(Home) -> Desk, now: Time) -> Vec<Finding> {
    let mut findings = Vec::new();
    match home::exposed(path) {
        Ok(exposed) => findings.extend(exposed.into_iter().map(|exposed| {
            let remedy = format!("chmod go= {}", exposed.path);
            Finding::new("exposed", Severity::Error, exposed, remedy)
        })),
        Err(error) => findings.push(Finding::new(
            "unreadable",
            Severity::Error,
            error,
            "look at the directory's owner and mode",
        )),
    }
    let home = match Home::open(path) {
        Ok(home) => home,
        Err(HomeError::Exposed(_)) => return findings,
        Err(error) => {
            let remedy = if matches!(error, HomeError::NotAHome(..)) {
                "name the right directory with --home DIR or PKI_HOME"
            } else if matches!(error, HomeError::Config { .. }) {
                "correct the file; its comments explain every key"
            } else {
                "restore the files that belong together from a backup"
            };
            findings.push(Finding::new("home", Severity::Error, error, remedy));
            return findings;
        }
    };
    keys(&home, &mut findings);
    authorities(&home, now, &mut findings);
    let desk = desk(home);
    ledger(&desk, now, &mut findings);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

fn keys(home: &Home, findings: &mut Vec<Finding>) {
    let root = home.key_path(Authority::Root);
    if root.exists() && root.starts_with(home.path()) {
        findings.push(Finding::new(
            "root-key-here",
            Severity::Note,
            format!("the root's key is on this machine: {}", root.display()),
            "move it to a medium in a safe, and name its place as root_key in pki.toml",
        ));
    }
    if !root.exists() {
        findings.push(Finding::new(
            "root-key-away",
            Severity::Note,
            format!("the root's key is not at {} now", root.display()),
            "good, if it is in a safe; once a year `pki root crl` needs it there (root_key in pki.toml names its place)",
        ));
    }
    for authority in [Authority::Root, Authority::Issuing, Authority::Servers] {
        let path = home.key_path(authority);
        let may_be_away = match authority {
            Authority::Root => true,
            Authority::Issuing => false,
            Authority::Servers => home.servers().is_none(),
        };
        if may_be_away && !path.exists() {
            continue;
        }
        let examined = match home.key(authority) {
            Ok(pem) => SoftwareKey::examine(&pem).map_err(|why| format!("{} {why}", path.display())),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = examined {
            let code = match authority {
                Authority::Root => "root-key",
                Authority::Issuing => "issuing-key",
                Authority::Servers => "servers-key",
            };
            let remedy = format!("restore {} from a backup", path.display());
            findings.push(Finding::new(code, Severity::Error, why, remedy));
        }
    }
}

fn authorities(home: &Home, now: Time, findings: &mut Vec<Finding>) {
    let servers = home.servers().map(|chain| ("servers' CA", chain.issuing()));
    let standing = [
        ("root", home.chain().root()),
        ("issuing CA", home.chain().issuing()),
    ];
    for (who, certificate) in standing.into_iter().chain(servers) {
        let end = certificate.validity().not_after;
        if end < now {
            let message = format!("the certificate of the {who} ended on {}", end.date());
            findings.push(Finding::new("ca-ended", Severity::Error, message, ROTATE));
        } else if end - now < ISSUING_CA {
            let message = format!("the certificate of the {who} ends on {}", end.date());
            findings.push(Finding::new("ca-ending", Severity::Warning, message, ROTATE));
        }
    }
}

fn ledger(desk: &Desk, now: Time, findings: &mut Vec<Finding>) {
    let session = match desk.session(ClockPolicy::Lenient) {
        Ok(session) => session,
        Err(OperateError::Home(HomeError::Store(error)) | OperateError::Store(error)) => {
            findings.push(store_finding(&error));
            return;
        }
        Err(OperateError::Home(error @ (HomeError::Busy { .. } | HomeError::ServersMade))) => {
            findings.push(Finding::new(
                "busy",
                Severity::Note,
                error,
                "run doctor again once that is done",
            ));
            return;
        }
        Err(OperateError::Home(error @ HomeError::Mixed { .. })) => {
            findings.push(Finding::new(
                "mixed",
                Severity::Error,
                error,
                "restore the files that belong together",
            ));
            return;
        }
        Err(OperateError::Home(error @ HomeError::OtherAccount { .. })) => {
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
    notices(store, findings);
    chain(store, findings);
    clock(session.clock, findings);
    crls(&desk.home, store, now, findings);
    certificates(store, now, findings);
    servers::examine(&session, now, findings);
    findings.extend(operate::strays(&session).iter().map(stray));
    findings.extend(operate::unwritable(&session).into_iter().map(|(place, error)| {
        Finding::new(
            "target-unwritable",
            Severity::Warning,
            format!("{place} cannot be published to: {error}"),
            "give it, and what is in it, to the account that runs pki (chown -R)",
        )
    }));
    match operate::behind(&session) {
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

fn store_finding(error: &StoreError) -> Finding {
    let (code, remedy) = match error {
        StoreError::Damaged { .. } | StoreError::Empty => {
            ("ledger-damaged", "restore ledger.jsonl from a backup")
        }
        StoreError::Ahead { .. } => (
            "index-ahead",
            "restore the newest ledger.jsonl: acknowledged events are gone",
        ),
        StoreError::IndexBusy => ("busy", "run doctor again"),
        StoreError::Index(_) => (
            "index",
            "remove the directory index/ in the home: it is made anew",
        ),
        StoreError::Disk(_)
        | StoreError::NotAppended(_)
        | StoreError::OutcomeUnknown { .. }
        | StoreError::Encoding(_)
        | StoreError::Moved { .. } => ("unwritable", "look at the home's owner, mode and disk"),
    };
    Finding::new(code, Severity::Error, error, remedy)
}

fn notices(store: &Store, findings: &mut Vec<Finding>) {
    findings.extend(store.notices().iter().map(|notice| match notice {
        Notice::TornTail(path) => Finding::new(
            "ledger-torn",
            Severity::Warning,
            format!(
                "the ledger's end was never acknowledged; it was moved to {}",
                path.display()
            ),
            "nothing is lost; see why a pki was killed while it wrote",
        ),
        Notice::Rebuilt(why) => Finding::new(
            "index-rebuilt",
            Severity::Warning,
            format!("the index was of no use ({why}) and was made anew from the ledger"),
            "nothing is left to do",
        ),
        Notice::CaughtUp(count) => Finding::new(
            "index-behind",
            Severity::Note,
            format!("the index was {count} events behind the ledger and has caught up"),
            "nothing is left to do",
        ),
        Notice::IndexNotUsed(why) => Finding::new(
            "index-not-used",
            Severity::Note,
            format!("the ledger was read without its index ({why})"),
            "nothing is left to do",
        ),
    }));
}

/// Every link of the ledger, not only those beyond the index.
fn chain(store: &Store, findings: &mut Vec<Finding>) {
    match store.events(0, &mut |_| Ok(())) {
        Ok((_, Tail::Clean)) => {}
        Ok((_, Tail::Torn)) => findings.push(Finding::new(
            "ledger-torn",
            Severity::Warning,
            "the ledger's end was never acknowledged",
            "the next command that changes something moves it aside",
        )),
        Err(error) => findings.push(store_finding(&error)),
    }
}

fn clock(clock: Clock, findings: &mut Vec<Finding>) {
    match clock {
        Clock::Good(_) => {}
        Clock::Behind { clock, last } => findings.push(Finding::new(
            "clock-behind",
            Severity::Error,
            format!("the clock says {clock}, and the last event was recorded at {last}"),
            "set the clock; if it is right, repeat the next command with --confirm CLOCK",
        )),
        Clock::FarAhead { clock, last } => findings.push(Finding::new(
            "clock-ahead",
            Severity::Warning,
            format!("the clock says {clock}, and nothing has been recorded since {last}"),
            "set the clock; if it is right, run `pki publish --confirm CLOCK`, and see why its timer does not",
        )),
    }
}

/// What is wrong with the CRLs, by the ledger, or soon will be.
pub fn crls(home: &Home, store: &Store, now: Time, findings: &mut Vec<Finding>) {
    let locked = "servers let nobody in";
    let servers = home.servers().map(|_| {
        (
            Authority::Servers,
            "pki publish",
            "who checks it trusts no server of this CA",
        )
    });
    let standing = [
        (Authority::Root, "pki root crl", locked),
        (Authority::Issuing, "pki publish", locked),
    ];
    for (authority, remedy, then) in standing.into_iter().chain(servers) {
        let crl = match store.last_crl(authority) {
            Ok(Some(crl)) => crl,
            Ok(None) => {
                let message = format!("the {authority} CA has no CRL");
                findings.push(Finding::new("crl-missing", Severity::Error, message, remedy));
                continue;
            }
            Err(error) => {
                findings.push(store_finding(&error));
                continue;
            }
        };
        let left = crl.next_update - now;
        let life = crl.next_update - crl.this_update;
        let near = match authority {
            Authority::Root => left < ROOT_CRL,
            Authority::Issuing | Authority::Servers => left.as_seconds() * 3 < life.as_seconds(),
        };
        let (ended, ending) = match authority {
            Authority::Root => ("root-crl-ended", "root-crl-ending"),
            Authority::Issuing => ("issuing-crl-ended", "issuing-crl-ending"),
            Authority::Servers => ("servers-crl-ended", "servers-crl-ending"),
        };
        if left < Span::seconds(0) {
            let message = format!(
                "the CRL of the {authority} CA ended on {}: {then}",
                crl.next_update
            );
            findings.push(Finding::new(ended, Severity::Error, message, remedy));
        } else if near {
            let message = format!("the CRL of the {authority} CA ends in {left}; then {then}");
            findings.push(Finding::new(ending, Severity::Warning, message, remedy));
        }
    }
}

fn certificates(store: &Store, now: Time, findings: &mut Vec<Finding>) {
    let mut ending = Vec::new();
    let looked = store.records(&mut |record| {
        match record.status(now) {
            Status::Valid if record.address.is_reserved() => findings.push(Finding::new(
                "canary",
                Severity::Note,
                format!(
                    "canary {} is not revoked: `pki check` is at work or was killed, and its key with it",
                    record.serial
                ),
                format!(
                    "pki revoke {} (it ends by itself at {})",
                    record.serial, record.validity.not_after
                ),
            )),
            Status::Undelivered => findings.push(Finding::new(
                "undelivered",
                Severity::Warning,
                format!(
                    "the bundle of {} ({}) was never delivered",
                    record.address, record.serial
                ),
                format!("pki issue {}", record.address),
            )),
            Status::Valid if record.validity.not_after - now < DEVICE => {
                ending.push(record.address.to_string())
            }
            Status::Valid | Status::Superseded | Status::Revoked | Status::Expired => {}
        }
        Ok(())
    });
    if let Err(error) = looked {
        findings.push(store_finding(&error));
    }
    if !ending.is_empty() {
        ending.sort_unstable();
        let count = ending.len();
        ending.truncate(5);
        let more = if count > 5 { ", …" } else { "" };
        findings.push(Finding::new(
            "certificates-ending",
            Severity::Warning,
            format!(
                "{count} certificates end within {DEVICE}: {}{more}",
                ending.join(", ")
            ),
            "pki renew --expiring 14d --out DIR",
        ));
    }
}
