//! Repeats a refused request in other manners. A server that lets the handshake complete decides by the
//! request, and a rule for one method or one spelling of the host leaves the others open.

use std::io;

use super::manner::Manner;
use super::who::Who;
use crate::check::Met;
use crate::check::client::http::{Extent, Kept, Sample};
use crate::check::client::parallel;
use crate::check::client::request::Request;
use crate::check::client::ways::{Inside, Way};
use crate::check::client::wire::Server;
use crate::check::client::{Client, Connection, Identity, Outcome, Refusal};

/// A request that was repeated in another manner, and its outcome.
#[derive(Debug)]
pub struct Insisted {
    /// The client that sent it.
    pub who: Who,
    /// The way by which it came.
    pub way: Way,
    /// The manner of the request.
    pub manner: Manner,
    /// The outcome by the status alone.
    pub outcome: Outcome,
    /// The answer, where there was one.
    pub sample: Option<Sample>,
    /// Whether the server that answered has shown a certificate of the right name.
    pub is_known: bool,
}

/// Repeats the request, by every way by which one of these clients was refused by HTTP: the first of them is
/// enough, because a rule that holds off one of them holds off all. A revoked client may be held off by a
/// rule of its own, a list.
pub fn insist(met: &mut Met, whom: &[(Who, Option<&Identity>)]) {
    let mut questions = Vec::new();
    for way in met.ways.iter().filter(|way| is_tried(way)) {
        let is_done = met.insisted.iter().any(|insisted| insisted.way == *way);
        let refused = |who| {
            let mut met = met
                .asked
                .iter()
                .filter(|asked| asked.who == who && asked.way == *way);
            met.find(|asked| matches!(asked.met.outcome, Outcome::Refused(Refusal::Status(_))))
        };
        let mut first = whom
            .iter()
            .filter(|(who, _)| !is_done || *who == Who::Revoked)
            .filter_map(|(who, identity)| Some((*who, *identity, *way, refused(*who)?.met.is_known)));
        questions.extend(first.next());
    }
    let answers = parallel::each(&questions, |(_, identity, way, _)| {
        let open = || Client::by(*way, *identity, &met.leaves).connect(&met.server);
        ask_all(&met.server, open)
    });
    for ((who, _, way, is_known), answers) in questions.into_iter().zip(answers) {
        met.insisted
            .extend(answers.into_iter().map(|(manner, answer)| Insisted {
                who,
                way,
                manner,
                outcome: Outcome::of(answer.as_ref().map(|sample| sample.status)),
                sample: answer.ok(),
                is_known,
            }));
    }
}

/// Whether other manners are tried by a way: what is spoken inside is the same whether it is said or not.
pub fn is_tried(way: &Way) -> bool {
    way.inside != Inside::Unsaid
}

/// Asks in every manner, on one connection as long as the server keeps it.
fn ask_all(server: &Server, open: impl Fn() -> io::Result<Connection>) -> Vec<(Manner, io::Result<Sample>)> {
    let mut kept = None;
    let mut ask = |request: &Request| ask_on(&mut kept, &open, request);
    let mut answers = Vec::new();
    for manner in Manner::ALL {
        let Some(request) = manner.request(&server.url) else {
            continue;
        };
        if let Some(usual) = manner.counterpart(&server.url) {
            let answer = ask(&usual);
            let outcome = Outcome::of(answer.as_ref().map(|sample| sample.status));
            if !matches!(outcome, Outcome::Refused(_)) {
                continue;
            }
        }
        answers.push((manner, ask(&request)));
    }
    answers
}

/// Learns what a device gets in those manners that have an answer of their own. Where nobody has asked in
/// them there is nothing to compare.
pub fn learn(met: &mut Met, device: &Client) {
    let Some(gets) = met.device_gets.as_mut() else {
        return;
    };
    if met.insisted.is_empty() || !gets.others.is_empty() {
        return;
    }
    let (server, mut kept) = (&met.server, None);
    for manner in Manner::ALL {
        let request = manner.request(&server.url);
        let Some(request) = request.filter(|_| manner.has_its_own_answer()) else {
            continue;
        };
        let answer = ask_on(&mut kept, || device.connect(server), &request);
        gets.others.extend(answer.ok().map(|sample| (manner, sample)));
    }
}

/// Asks on a connection that was kept, or on a new one: also where the server had closed the other. A new one
/// that is closed without a word may have met a server that is just reading its configuration anew, and is
/// opened once more.
fn ask_on(
    kept: &mut Option<Connection>,
    open: impl Fn() -> io::Result<Connection>,
    request: &Request,
) -> io::Result<Sample> {
    let ask = |mut connection: Connection| {
        let (sample, is_kept) = connection.exchange(request, Extent::Beginning)?;
        Ok((sample, (is_kept == Kept::Open).then_some(connection)))
    };
    let was_closed = |error: &io::Error| matches!(Outcome::failed(error), Outcome::Refused(_));
    let without_a_word = |error: &io::Error| Outcome::failed(error) == Outcome::Refused(Refusal::Closed);
    let afresh = || open().and_then(ask);
    let answer = match kept.take().map(ask) {
        Some(answer) if !answer.as_ref().is_err_and(was_closed) => answer,
        Some(_) | None => match afresh() {
            Err(error) if without_a_word(&error) => afresh(),
            answer => answer,
        },
    };
    let (sample, connection) = answer?;
    *kept = connection;
    Ok(sample)
}
