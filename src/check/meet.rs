//! Who answers there: what it offers, and whether it is the server that phones expect.

use std::io;
use std::thread;

use rand_core::CryptoRng;

use super::chain::{self, Judged, Trust};
use super::client::{Client, Outcome, Refusal, Sessions, Shown};
use super::client_hello::{ClientHello, Version};
use super::pins::{self, Published, Verdict as Pins};
use super::server_hello::{self, Answer};
use super::suites::{self, Weakness};
use super::wire::Server;
use super::{CheckError, Question, Report, Verdict, findings};
use crate::model::Time;
use crate::model::pin::Role;

/// What is expected of a server.
#[derive(Debug, Default)]
pub struct Expected {
    /// Who is believed about it.
    pub trust: Trust,
    /// The published pins; none where there is no home that publishes any.
    pub pins: Option<Published>,
}

/// A server that was met.
#[derive(Debug)]
pub struct Met {
    /// What was seen so far.
    pub report: Report,
    /// Whether it is the server that phones expect: only then is anything asked of it.
    pub is_expected: bool,
    pub(super) server: Server,
    pub(super) versions: Vec<Version>,
    pub(super) leaves: Vec<Vec<u8>>,
}

impl Met {
    /// Whether anything could be asked of it: what offers older versions alone is met, and no more.
    pub fn speaks_tls_of_today(&self) -> bool {
        !self.versions.is_empty()
    }
}

/// Meets a server: learns what it offers and judges what it shows. Nothing of the URL but the host is told to it.
///
/// # Errors
/// Where there is no server that speaks TLS.
pub fn meet(
    server: Server,
    expected: &Expected,
    now: Time,
    rng: &mut impl CryptoRng,
) -> Result<Met, CheckError> {
    let mut random = [0; 32];
    rng.fill_bytes(&mut random);
    let offered = versions(&server, random)?;
    let mut met = Met {
        report: Report::default(),
        is_expected: false,
        versions: offered
            .iter()
            .copied()
            .filter(|version| !version.is_old())
            .collect(),
        leaves: Vec::new(),
        server,
    };
    tell_versions(&offered, &mut met.report);
    let oldest_of_today = offered
        .iter()
        .copied()
        .filter(|version| *version != Version::Tls13)
        .max();
    let (taken, shown) = thread::scope(|scope| {
        let server = &met.server;
        let classes = Weakness::ALL.map(|weakness| {
            scope.spawn(move || oldest_of_today.map(|version| weak_suites(server, version, weakness, random)))
        });
        let shown: Vec<_> = met
            .versions
            .iter()
            .map(|version| scope.spawn(move || show(server, *version)))
            .collect();
        let taken: Vec<_> = classes
            .into_iter()
            .filter_map(|class| class.join().ok())
            .collect();
        let shown: Vec<_> = shown.into_iter().filter_map(|shown| shown.join().ok()).collect();
        (taken, shown)
    });
    if oldest_of_today.is_some() {
        tell_suites(&taken.into_iter().flatten().collect::<Vec<_>>(), &mut met.report);
    }
    if met.versions.is_empty() {
        return Ok(met);
    }
    let mut certificates: Vec<Shown> = Vec::new();
    let mut failed = None;
    for outcome in shown {
        match outcome {
            Ok(shown) if certificates.iter().all(|known| known.leaf != shown.leaf) => {
                certificates.push(shown)
            }
            Ok(_) => {}
            Err(error) => failed = Some(error),
        }
    }
    if certificates.is_empty() {
        let address = met.server.address;
        let why = failed.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
        return Err(match Outcome::failed(&why) {
            Outcome::Refused(how) => CheckError::RefusesAll { address, how },
            Outcome::LetIn(_) | Outcome::Unknown(_) => CheckError::Silent { address, why },
        });
    }
    // A server may have a certificate of each kind of key. It is expected where all of them are.
    met.is_expected = true;
    for shown in certificates {
        met.is_expected &= judge(&met.server, &shown, expected, now, &mut met.report);
        met.leaves.push(shown.leaf);
    }
    Ok(met)
}

/// What it shows, once it has proved to hold the key of that.
fn show(server: &Server, version: Version) -> io::Result<Shown> {
    let client = Client::new(&[version], None, None, Sessions::Fresh);
    let connected = client.connect(server);
    match (connected, client.shown()) {
        // A server that demands a client certificate may end the handshake without one. It has signed by then.
        (Ok(_), Some(shown)) => Ok(shown),
        (Err(error), Some(shown)) if matches!(Outcome::failed(&error), Outcome::Refused(_)) => Ok(shown),
        (Err(error), _) => Err(error),
        (Ok(_), None) => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn offer(server: &Server, version: Version, suites: &[u16], random: [u8; 32]) -> io::Result<Answer> {
    let name = server.url.dns_name();
    let hello = ClientHello {
        version,
        suites,
        server_name: name.as_deref(),
        random,
    };
    let mut wire = server.connect()?;
    io::Write::write_all(&mut wire, &hello.record())?;
    server_hello::read(&mut wire)
}

/// The versions that it offers, the oldest first.
fn versions(server: &Server, random: [u8; 32]) -> Result<Vec<Version>, CheckError> {
    let suites = suites::all();
    let answers = thread::scope(|scope| {
        let suites = &suites;
        let asked = Version::ALL.map(|version| {
            (
                version,
                scope.spawn(move || offer(server, version, suites, random)),
            )
        });
        asked.map(|(version, asked)| {
            (
                version,
                asked.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())),
            )
        })
    });
    let offered: Vec<Version> = answers
        .iter()
        .filter_map(|(version, answer)| match answer {
            Ok(Answer::Accepted { version: chosen, .. }) if *chosen == version.number() => Some(*version),
            Ok(_) | Err(_) => None,
        })
        .collect();
    if !offered.is_empty() {
        return Ok(offered);
    }
    let address = server.address;
    let answers = answers.map(|(_, answer)| answer);
    if answers.iter().any(|answer| matches!(answer, Ok(Answer::NotTls))) {
        return Err(CheckError::NotTls(address));
    }
    let alert = answers.iter().find_map(|answer| match answer {
        Ok(Answer::Refused(Some(alert))) => Some(*alert),
        Ok(_) | Err(_) => None,
    });
    let how = alert.map_or(Refusal::Closed, |alert| {
        Refusal::Alert(server_hello::alert(alert).into())
    });
    match answers.into_iter().find_map(Result::err) {
        Some(why) if alert.is_none() => Err(CheckError::Silent { address, why }),
        Some(_) | None => Err(CheckError::RefusesAll { address, how }),
    }
}

/// The suites with this weakness that it takes: it is offered all, then all but the one that it took, until it takes none.
fn weak_suites(
    server: &Server,
    version: Version,
    weakness: Weakness,
    random: [u8; 32],
) -> (Weakness, Vec<u16>) {
    let mut left: Vec<u16> = weakness.suites().iter().map(|(suite, _)| *suite).collect();
    let mut taken = Vec::new();
    while let Ok(Answer::Accepted { suite, .. }) = offer(server, version, &left, random) {
        let Some(place) = left.iter().position(|offered| *offered == suite) else {
            break;
        };
        taken.push(left.remove(place));
        if left.is_empty() {
            break;
        }
    }
    (weakness, taken)
}

fn tell_versions(offered: &[Version], report: &mut Report) {
    let old: Vec<Version> = offered
        .iter()
        .copied()
        .filter(|version| version.is_old())
        .collect();
    let names: Vec<String> = offered.iter().map(ToString::to_string).collect();
    let verdict = if old.is_empty() {
        Verdict::Good
    } else {
        Verdict::Bad
    };
    report.answer(Question::Versions, names.join(", "), verdict);
    if !old.is_empty() {
        report.add([findings::old_versions(&old)]);
    }
    if old.len() == offered.len() {
        report.add([findings::no_modern_tls()]);
    } else if !offered.contains(&Version::Tls13) {
        report.add([findings::no_tls13()]);
    }
}

fn tell_suites(taken: &[(Weakness, Vec<u16>)], report: &mut Report) {
    let mut counts = Vec::new();
    let mut verdict = Verdict::Good;
    for (weakness, taken) in taken.iter().filter(|(_, taken)| !taken.is_empty()) {
        counts.push(format!("{} with {}", taken.len(), weakness.words()));
        if *weakness < Weakness::Cbc {
            verdict = Verdict::Bad;
        }
        report.add([findings::weak_suites(*weakness, taken)]);
    }
    let answer = if counts.is_empty() {
        "none".into()
    } else {
        counts.join(", ")
    };
    report.answer(Question::WeakSuites, answer, verdict);
}

/// Whether phones would go on with a server that shows this.
fn judge(server: &Server, shown: &Shown, expected: &Expected, now: Time, report: &mut Report) -> bool {
    let host = server.url.host();
    let judged = match chain::judge(shown, &server.url, &expected.trust, now) {
        Ok(judged) => judged,
        Err(why) => {
            report.answer(Question::Chain, &why, Verdict::Bad);
            report.add([findings::untrusted(&why, "?")]);
            return false;
        }
    };
    let trusted = judged.untrusted.is_none();
    let told = match &judged.untrusted {
        None => format!("trusted, issued by {:?}", judged.issuer),
        Some(why) => {
            report.add([if judged.is_self_issued {
                findings::self_signed(&judged.subject)
            } else {
                findings::untrusted(why, &judged.issuer)
            }]);
            format!("not trusted: {why}")
        }
    };
    report.answer(Question::Chain, told, good(trusted));
    if judged.names_host {
        report.answer(Question::HostName, format!("{host} is named"), Verdict::Good);
    } else {
        report.answer(Question::HostName, format!("{host} is not named"), Verdict::Bad);
        report.add([findings::other_host(&host, &judged.subject)]);
    }
    tell_dates(&judged, now, report);
    let pins = expected
        .pins
        .as_ref()
        .map(|published| pins::judge(published, &host, judged.pin));
    match pins {
        None => report.answer(
            Question::Pins,
            "not compared: there is no home that publishes any",
            Verdict::Open,
        ),
        Some(Pins::NoPins) => {
            report.answer(Question::Pins, "none are published", Verdict::Open);
            report.add([findings::no_pins(&host)]);
        }
        Some(Pins::Pinned { role, until }) => {
            let (role, verdict) = match role {
                Role::Active => ("the active key", Verdict::Good),
                Role::Backup => ("a backup key", Verdict::Good),
                Role::Retiring => {
                    report.add([findings::key_retiring(&host, until)]);
                    ("a retiring key", Verdict::Bad)
                }
            };
            let told = format!("{role} {}, pinned until {}", judged.pin, until.date());
            report.answer(Question::Pins, told, verdict);
        }
        Some(Pins::Foreign) => {
            report.answer(
                Question::Pins,
                format!("{} is not pinned", judged.pin),
                Verdict::Bad,
            );
            report.add([findings::man_in_the_middle(server.address)]);
        }
    }
    match pins {
        // The key alone says who it is, whoever vouches for it.
        Some(Pins::Pinned { .. }) => true,
        Some(Pins::Foreign) => false,
        Some(Pins::NoPins) | None => trusted && judged.names_host,
    }
}

fn tell_dates(judged: &Judged, now: Time, report: &mut Report) {
    let validity = judged.validity;
    let mut verdict = Verdict::Good;
    let mut found = |finding| {
        verdict = Verdict::Bad;
        report.add([finding]);
    };
    let soon = |end: Time| end - now < findings::ENDING;
    if validity.ended(now) {
        found(findings::ended("the server's certificate", validity.not_after));
    } else if validity.not_before > now {
        found(findings::not_yet(validity.not_before));
    } else if soon(validity.not_after) {
        found(findings::ending(
            "the server's certificate",
            validity.not_after,
            now,
        ));
    }
    match judged.others_end {
        Some(end) if end < now => found(findings::ended("a CA's certificate that the server sends", end)),
        Some(end) if soon(end) => found(findings::ending(
            "a CA's certificate that the server sends",
            end,
            now,
        )),
        Some(_) | None => {}
    }
    report.answer(Question::GoodUntil, validity.not_after.date(), verdict);
}

fn good(is: bool) -> Verdict {
    if is { Verdict::Good } else { Verdict::Bad }
}
