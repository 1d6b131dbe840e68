//! Connects as each of the clients that must be refused, by every way that a server can configure separately,
//! and as one that must be let in.

pub mod conclude;
pub mod forgery;
pub mod further;
pub mod insist;
pub mod likeness;
pub mod manner;
pub mod who;

use std::io;

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::check::client::http::Sample;
use crate::check::client::parallel;
use crate::check::client::ways::{Inside, Name, Way};
use crate::check::client::{Client, Identity, Outcome, Refusal, Sessions};
use crate::check::{Met, Question, Verdict, findings};
use crate::model::Time;
use forgery::Forged;
use likeness::DeviceGets;
use who::Who;

/// A client that came, and how it was met.
#[derive(Debug)]
pub struct Asked {
    /// The client.
    pub who: Who,
    /// The way by which it came.
    pub way: Way,
    /// The server's reaction.
    pub met: Meeting,
}

/// The server's reaction to a client.
#[derive(Debug)]
pub struct Meeting {
    /// The outcome, whoever answered.
    pub outcome: Outcome,
    /// The answer, where there was one.
    pub sample: Option<Sample>,
    /// Whether the server has shown a certificate that it shows to who asks for it by its name, or was asked
    /// by that name itself.
    pub is_known: bool,
    /// Whether it has asked for a certificate.
    pub was_asked: bool,
}

/// Comes without a certificate and with forged ones. True: the server asks for certificates, so that it is
/// worth coming with a valid one.
pub fn question(met: &mut Met, forged: &Forged) -> bool {
    let whom = [
        (Who::Nobody, None),
        (Who::OtherAuthority, Some(&forged.by_namesake)),
        (Who::SelfSigned, Some(&forged.self_signed)),
    ];
    come(met, &whom);
    met.ask_to_renegotiate(None);
    let not_taken: Vec<Way> = met
        .ways
        .iter()
        .copied()
        .filter(|way| !met.asked.iter().any(|asked| asked.way == *way))
        .collect();
    met.ways.retain(|way| !not_taken.contains(way));
    let mut by_name = met.asked.iter().filter(|asked| asked.way.name == Name::Right);
    by_name.any(|asked| asked.met.was_asked)
}

/// Comes with somebody's certificate by every way that the server takes.
pub fn come_as(met: &mut Met, who: Who, identity: &Identity) {
    come(met, &[(who, Some(identity))]);
}

fn come(met: &mut Met, whom: &[(Who, Option<&Identity>)]) {
    let mut questions = Vec::new();
    for &(who, identity) in whom {
        questions.extend(met.ways.iter().map(|way| (who, identity, *way)));
    }
    let answers = parallel::each(&questions, |(_, identity, way)| {
        let client = Client::by(*way, *identity, &met.leaves);
        // HTTP/2 that was not agreed upon is no way in.
        let first = meeting(met, *way, &client).map(|met| (*way, met));
        [first, return_by_name(met, *way, &client)]
    });
    for ((who, ..), answers) in questions.into_iter().zip(answers) {
        let answers = answers.into_iter().flatten();
        met.asked
            .extend(answers.map(|(way, met)| Asked { who, way, met }));
    }
    insist::insist(met, whom);
}

/// Comes back by the server's own name with a session that another name has given, by one protocol: what is
/// spoken inside is agreed upon anew. Nothing where the server does not resume it.
fn return_by_name(met: &Met, way: Way, client: &Client) -> Option<(Way, Meeting)> {
    let name = way.name.returning().filter(|_| way.inside == Inside::Http11)?;
    let client = client.returning()?;
    let mut connection = client.connect(&met.server).ok()?;
    if !connection.is_resumed() {
        return None;
    }
    let answer = connection.sample(&met.server);
    let meeting = Meeting {
        outcome: Outcome::of(answer.as_ref().map(|sample| sample.status)),
        sample: answer.ok(),
        is_known: true,
        was_asked: client.was_asked(),
    };
    Some((Way { name, ..way }, meeting))
}

fn meeting(met: &Met, way: Way, client: &Client) -> Option<Meeting> {
    let wants_http2 = way.inside == Inside::Http2;
    let answer = match client.connect(&met.server) {
        Ok(connection) if wants_http2 && !connection.speaks_http2() => return None,
        Ok(mut connection) => connection.sample(&met.server),
        Err(error) => Err(error),
    };
    let outcome = Outcome::of(answer.as_ref().map(|sample| sample.status));
    let not_taken = Outcome::Refused(Refusal::Alert("no_application_protocol".into()));
    if wants_http2 && (outcome == not_taken || answer.as_ref().is_err_and(chose_another_protocol)) {
        return None;
    }
    let shown = client.shown();
    Some(Meeting {
        outcome,
        sample: answer.ok(),
        is_known: shown.is_some_and(|shown| met.leaves.contains(&shown.leaf)),
        was_asked: client.was_asked(),
    })
}

/// Whether a server that speaks no HTTP/2 said that it speaks something else, though nobody had offered that.
fn chose_another_protocol(error: &io::Error) -> bool {
    use rustls::{Error, PeerMisbehaved};
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    matches!(
        tls,
        Some(Error::PeerMisbehaved(
            PeerMisbehaved::SelectedUnofferedApplicationProtocol
        ))
    )
}

/// Comes once with an identity that should be let in, and remembers what it gets; with one that has ended it
/// comes by every way, for that should be let in by none.
pub fn ask_once(met: &mut Met, identity: &Identity, now: Time) {
    let parsed = X509Certificate::from_der(identity.certificate());
    if parsed.is_ok_and(|(_, parsed)| parsed.validity().not_after.timestamp() < now.unix()) {
        return come_as(met, Who::Ended, identity);
    }
    let outcome = learn(met, identity);
    tell_valid(met, &outcome);
}

/// Learns what a device gets that may come.
pub(super) fn learn(met: &mut Met, identity: &Identity) -> Outcome {
    let client = Client::new(&met.versions, Some(identity), Some(&met.leaves), Sessions::Fresh);
    let answer = client
        .connect(&met.server)
        .and_then(|mut connection| connection.sample(&met.server));
    let outcome = Outcome::of(answer.as_ref().map(|sample| sample.status));
    met.ask_to_renegotiate(Some(identity));
    if let (Outcome::LetIn(_), Ok(usual)) = (&outcome, answer) {
        met.device_gets = Some(DeviceGets {
            usual,
            others: Vec::new(),
            names: likeness::names(identity.certificate()),
        });
        insist::learn(met, &client);
    }
    outcome
}

/// Says how a valid certificate was met.
pub(super) fn tell_valid(met: &mut Met, outcome: &Outcome) {
    let verdict = match outcome {
        Outcome::LetIn(_) => Verdict::Good,
        Outcome::Refused(_) => Verdict::Bad,
        Outcome::Unknown(_) => Verdict::Open,
    };
    met.report.answer(Question::Valid, outcome, verdict);
    match outcome {
        Outcome::LetIn(_) => {}
        Outcome::Refused(_) => met.report.add([findings::valid_refused(outcome)]),
        Outcome::Unknown(_) => met
            .report
            .add([findings::unclear("who shows a valid certificate", outcome)]),
    }
}

/// The verdict on a client that must be refused.
pub(super) fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::LetIn(_) => Verdict::Bad,
        Outcome::Refused(_) => Verdict::Good,
        Outcome::Unknown(_) => Verdict::Open,
    }
}
