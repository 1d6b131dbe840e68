//! Makes the first contact with a server: finds out what it offers, and whether it is the server that phones
//! expect.

pub mod chain;
pub mod offered;
pub mod pins;

use std::io;
use std::time::{Duration, Instant};

use rand_core::CryptoRng;

use crate::check::client::certificate;
use crate::check::client::parallel;
use crate::check::client::version::Version;
use crate::check::client::ways::{Inside, Name, Way};
use crate::check::client::wire::Server;
use crate::check::client::witness::{Shown, Signatures};
use crate::check::client::{Client, Identity, Outcome};
use crate::check::offers::renegotiation;
use crate::check::offers::{self, Offers};
use crate::check::question::Asked;
use crate::check::question::insist::Insisted;
use crate::check::question::likeness::DeviceGets;
use crate::check::{CheckError, Question, Report, Verdict, findings};
use crate::model::Time;
use crate::model::pin::Role;
use chain::{Judged, Trust};
use pins::{Published, Verdict as Pins};

/// The expectations of a server.
#[derive(Debug, Default)]
pub struct Expected {
    /// The certificates that are trusted to vouch for it.
    pub trust: Trust,
    /// The published pins; none where there is no home that publishes any.
    pub pins: Option<Published>,
}

/// A server that was met.
#[derive(Debug)]
pub struct Met {
    /// The report of what was found so far.
    pub report: Report,
    /// Whether it is the server that phones expect: only then is anything asked of it.
    pub is_expected: bool,
    pub(super) server: Server,
    pub(super) versions: Vec<Version>,
    pub(super) leaves: Vec<Vec<u8>>,
    /// One chain for each different certificate that the server sent, that certificate first.
    pub(super) chains: Vec<Vec<Vec<u8>>>,
    /// The ways in that it can configure separately.
    pub(super) ways: Vec<Way>,
    /// The clients that came, by which way, and with which outcome.
    pub(super) asked: Vec<Asked>,
    /// Whether it renegotiates when a client wants that; nothing where it was not asked, or could not be.
    pub(super) renegotiates: Option<bool>,
    /// The requests that were repeated in other manners.
    pub(super) insisted: Vec<Insisted>,
    /// The answers that a device gets that is permitted to come.
    pub(super) device_gets: Option<DeviceGets>,
}

impl Met {
    /// Whether anything could be asked of it: what offers older versions alone is met, and no more.
    pub fn speaks_tls_of_today(&self) -> bool {
        !self.versions.is_empty()
    }

    /// Tests once whether it renegotiates. A server that demands a certificate may refuse already the first
    /// handshake of a client that has none.
    pub(super) fn ask_to_renegotiate(&mut self, identity: Option<&Identity>) {
        if self.renegotiates.is_none() && self.versions.contains(&Version::Tls12) {
            self.renegotiates = renegotiation::ask(&self.server, &self.leaves, identity).ok();
        }
    }

    /// One chain for each different certificate that the server sent, that certificate first.
    pub fn chains(&self) -> &[Vec<Vec<u8>>] {
        &self.chains
    }

    /// Says that something was not asked, because there was no time left.
    pub fn tell_no_time(&mut self, what: &str) {
        self.report.add([findings::no_time(what)]);
    }

    /// Whether nothing more is asked of it, because it took too long.
    pub fn is_over(&self) -> bool {
        self.server.is_over()
    }

    /// The time that is left for requests to it.
    pub fn left(&self) -> Duration {
        self.server.until.saturating_duration_since(Instant::now())
    }

    /// Gives it as much more time as something else has taken, such as a person who typed.
    pub fn wait_for<T>(&mut self, something: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let outcome = something();
        self.server.until += begun.elapsed();
        outcome
    }
}

/// Meets a server: learns what it offers and judges what it shows. The host is the only part of the URL that
/// is sent to it.
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
    let offers = offers::learn(&server, random)?;
    let is_new = |version: &Version| !version.is_old();
    let mut met = Met {
        report: Report::default(),
        is_expected: false,
        versions: offers.versions.iter().copied().filter(is_new).collect(),
        leaves: Vec::new(),
        chains: Vec::new(),
        ways: ways(&offers),
        asked: Vec::new(),
        insisted: Vec::new(),
        renegotiates: None,
        device_gets: None,
        server,
    };
    offered::tell(&offers, &mut met.report);
    if met.versions.is_empty() {
        return Ok(met);
    }
    let shown = parallel::each(&met.versions, |version| (*version, show(&met.server, *version)));
    let mut certificates: Vec<Shown> = Vec::new();
    for (version, outcome) in shown {
        match outcome {
            Ok(shown) if certificates.iter().all(|known| known.leaf != shown.leaf) => {
                certificates.push(shown)
            }
            Ok(_) => {}
            Err(why) => {
                cannot_speak(version, &offers, &why, &mut met.report);
                met.versions.retain(|spoken| *spoken != version);
                met.ways
                    .retain(|way| way.name != Name::Right || way.version != version);
            }
        }
    }
    if certificates.is_empty() {
        return Ok(met);
    }
    // A server may have a certificate of each kind of key. It is expected where all of them are.
    met.is_expected = true;
    for shown in certificates {
        met.is_expected &= judge(&met.server, &shown, expected, now, &mut met.report);
        met.leaves.push(shown.leaf.clone());
        met.chains
            .push(std::iter::once(shown.leaf).chain(shown.others).collect());
    }
    Ok(met)
}

/// The ways in: of older versions nothing here can speak.
fn ways(offers: &Offers) -> Vec<Way> {
    let right = offers.versions.iter().map(|version| (Name::Right, *version));
    right
        .chain(offers.elsewhere.iter().copied())
        .filter(|(_, version)| !version.is_old())
        .flat_map(|(name, version)| {
            Inside::ALL.map(|inside| Way {
                version,
                name,
                inside,
            })
        })
        .collect()
}

/// What it shows, once it has proved to hold the key of that, or cannot prove it to anybody here.
fn show(server: &Server, version: Version) -> io::Result<Shown> {
    let mut outcome = Err(io::ErrorKind::InvalidData.into());
    for signatures in [Signatures::Verifiable, Signatures::Any] {
        let client = Client::onlooker(version, signatures);
        let connected = client.connect(server);
        outcome = match (connected, client.shown()) {
            (_, Some(shown)) if shown.unproved.is_some() => return Ok(shown),
            (Ok(_), Some(shown)) => return Ok(shown),
            // A server that demands a client certificate may end the handshake without one. It has signed by
            // then.
            (Err(error), Some(shown)) if matches!(Outcome::failed(&error), Outcome::Refused(_)) => {
                return Ok(shown);
            }
            (Err(error), _) => Err(error),
            (Ok(_), None) => Err(io::ErrorKind::InvalidData.into()),
        };
        let is_refused = |error: &io::Error| matches!(Outcome::failed(error), Outcome::Refused(_));
        if !outcome.as_ref().is_err_and(is_refused) {
            break;
        }
    }
    outcome
}

/// It takes what was offered by hand, and nothing that can be spoken here: a key or a group that is not known
/// here.
fn cannot_speak(version: Version, offers: &Offers, why: &io::Error, report: &mut Report) {
    use x509_parser::prelude::FromDer;
    let outcome = Outcome::failed(why);
    let leaf = offers.unproved_leaf.as_deref();
    let parsed = leaf.and_then(|leaf| x509_parser::certificate::X509Certificate::from_der(leaf).ok());
    let kind = parsed.map(|(_, leaf)| certificate::kind_of_key(leaf.tbs_certificate.subject_pki.raw));
    let key = kind.map_or(String::new(), |kind| format!("; its key is {kind}"));
    let told = format!("over {version} no handshake can be carried out from here ({why}){key}");
    report.answer(
        Question::Chain,
        format!("cannot be judged: {told}"),
        Verdict::Open,
    );
    report.add([match outcome {
        Outcome::Refused(_) => findings::cannot_judge(&told),
        Outcome::LetIn(_) | Outcome::Unknown(_) => findings::not_learnt("the certificate", &told),
    }]);
}

/// Whether phones would go on with a server that shows this.
fn judge(server: &Server, shown: &Shown, expected: &Expected, now: Time, report: &mut Report) -> bool {
    let host = server.url.host();
    let judged = match chain::judge(shown, &server.url, &expected.trust, now) {
        Ok(judged) => judged,
        Err(why) => {
            report.answer(Question::Chain, &why, Verdict::Bad);
            report.add([findings::faulty(&[why])]);
            return false;
        }
    };
    let trusted = judged.untrusted.is_none();
    let is_faultless = judged.examined.faults.is_empty();
    let told = match (&judged.untrusted, judged.examined.faults.as_slice()) {
        (None, []) => format!("trusted, issued by {:?}", judged.issuer),
        (_, faults @ [_, ..]) => {
            report.add([findings::faulty(faults)]);
            format!("refused by clients: {}", faults.join(", "))
        }
        (Some(why), []) => {
            report.add([if judged.is_self_issued {
                findings::self_signed(&judged.subject)
            } else {
                findings::untrusted(why, &judged.issuer)
            }]);
            format!("not trusted: {why}")
        }
    };
    report.answer(Question::Chain, told, good(trusted && is_faultless));
    if is_faultless {
        let refused = judged.examined.refused_by_apple.iter();
        report.add(
            refused
                .map(|why| findings::refused_by_apple(why))
                .collect::<Vec<_>>(),
        );
    }
    let (told, verdict) = match judged.names_host {
        Some(true) => ("is named", Verdict::Good),
        Some(false) => ("is not named", Verdict::Bad),
        None => ("cannot be looked for in it", Verdict::Open),
    };
    report.answer(Question::HostName, format!("{host} {told}"), verdict);
    if judged.names_host == Some(false) {
        report.add([findings::other_host(&host, &judged.subject)]);
    }
    if let Some(why) = &shown.unproved {
        report.add([findings::cannot_judge(why)]);
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
    let is_known = match pins {
        // The key alone says who it is, whoever vouches for it.
        Some(Pins::Pinned { .. }) => true,
        Some(Pins::Foreign) => false,
        Some(Pins::NoPins) | None => trusted && is_faultless && judged.names_host == Some(true),
    };
    is_known && shown.unproved.is_none()
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
    if let Some(end) = judged.surplus_ended {
        found(findings::surplus_ended(end));
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
