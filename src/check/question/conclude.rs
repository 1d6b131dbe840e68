//! Draws conclusions about clients that must be refused: findings from the ways by which they were let in,
//! and from those of which nothing can be said.

use super::who::Who;
use super::{Asked, verdict};
use crate::check::client::version::Version;
use crate::check::client::ways::{Inside, Name, Way, regions};
use crate::check::client::{Outcome, Refusal};
use crate::check::{Met, Question, Verdict, findings};
use crate::doctor::Finding;

impl Met {
    /// Reports how the clients that must be refused were met. To be called once, when all of them have come.
    pub fn conclude(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        if asked.is_empty() {
            return;
        }
        let mut settled: Vec<(&Asked, Outcome)> =
            asked.iter().map(|asked| (asked, self.settle(asked))).collect();
        // Who got no further by his session than he was is told of already.
        let further: Vec<bool> = settled
            .iter()
            .map(|session| got_further(session, &settled))
            .collect();
        let mut further = further.into_iter();
        settled.retain(|_| further.next().unwrap_or(true));
        self.report
            .answer(Question::Ways, words(&self.ways), Verdict::Open);
        let mut by_name = asked.iter().filter(|asked| asked.way.name == Name::Right);
        let asks = by_name.any(|asked| asked.met.was_asked);
        for who in Who::ALL {
            self.tell(who, &settled, asks);
        }
        if !asks {
            self.report.add([findings::not_asked()]);
        }
        self.tell_insisted();
        self.tell_renegotiation();
        self.report.answers.sort_by_key(|answer| answer.question);
    }

    fn tell_renegotiation(&mut self) {
        if !self.versions.contains(&Version::Tls12) {
            return;
        }
        let (told, verdict) = match self.renegotiates {
            Some(false) => ("TLS 1.2: not at a client's wish", Verdict::Good),
            Some(true) => ("TLS 1.2: at a client's wish", Verdict::Bad),
            None => (
                "TLS 1.2: not asked, for it takes a valid certificate",
                Verdict::Open,
            ),
        };
        self.report.answer(Question::Renegotiation, told, verdict);
        match (self.renegotiates, &self.device_gets) {
            (Some(true), _) => self.report.add([findings::renegotiates()]),
            (None, Some(_)) => {
                let why = "no handshake came about, also not with a valid certificate";
                self.report
                    .add([findings::not_learnt("renegotiation over TLS 1.2", why)]);
            }
            (Some(false), _) | (None, None) => {}
        }
    }

    /// The outcome for the host of the URL that follows from an answer. Under another name, another host may
    /// have answered.
    fn settle(&self, asked: &Asked) -> Outcome {
        let meeting = &asked.met;
        let Some(sample) = meeting.sample.as_ref().filter(|_| asked.way.name != Name::Right) else {
            return meeting.outcome.clone();
        };
        match (&meeting.outcome, &self.device_gets) {
            (Outcome::LetIn(_), Some(device)) => {
                if device.gets_usually(sample) {
                    meeting.outcome.clone()
                } else if (400..500).contains(&sample.status) {
                    Outcome::Refused(Refusal::Status(sample.status))
                } else {
                    elsewhere(sample.status)
                }
            }
            // Nobody knows what a device gets: whoever has this host's certificate is taken for it.
            (Outcome::LetIn(_), None) if meeting.is_known => meeting.outcome.clone(),
            (Outcome::LetIn(_), None) => elsewhere(sample.status),
            (Outcome::Refused(_) | Outcome::Unknown(_), _) => meeting.outcome.clone(),
        }
    }

    fn tell(&mut self, who: Who, settled: &[(&Asked, Outcome)], asks: bool) {
        let of = |who| settled.iter().filter(move |(asked, _)| asked.who == who);
        let first = of(who).max_by_key(|(asked, _)| primacy(&asked.way));
        let Some((first, outcome)) = first.map(|(asked, outcome)| (asked.way, outcome)) else {
            return;
        };
        let question = who.question();
        let mut told = outcome.to_string();
        if who == Who::Nobody && !asks {
            told.push_str(", and none is asked for");
        }
        self.report.answer(question, told, verdict(outcome));
        // Where nobody needs a certificate, or cannot be judged himself, others say nothing.
        let says_nothing = |way: &Way| {
            let nobody = of(Who::Nobody).find(|(asked, _)| asked.way == *way);
            who != Who::Nobody && nobody.is_some_and(|(_, outcome)| !is_refused(outcome))
        };
        let tried: Vec<Way> = of(who).map(|(asked, _)| asked.way).collect();
        for is_open in [true, false] {
            let some: Vec<Way> = of(who)
                .filter(|(_, outcome)| match outcome {
                    Outcome::LetIn(_) => is_open,
                    Outcome::Unknown(_) => !is_open,
                    Outcome::Refused(_) => false,
                })
                .map(|(asked, _)| asked.way)
                .collect();
            for region in regions(&tried, &some) {
                let mut here =
                    of(who).filter(|(asked, _)| region.has(&asked.way) && some.contains(&asked.way));
                let Some((_, outcome)) = here.next() else {
                    continue;
                };
                let place = region.to_string();
                if !region.has(&first) {
                    self.report.answer(
                        question,
                        format!("{}: {outcome}", place.trim_start()),
                        verdict(outcome),
                    );
                }
                let ways = some.iter().filter(|way| region.has(way));
                if ways.clone().all(says_nothing) {
                    continue;
                }
                let finding = match outcome {
                    Outcome::LetIn(_) => let_in(who, outcome, &place),
                    Outcome::Refused(_) | Outcome::Unknown(_) => {
                        findings::unclear(&format!("who shows {}{place}", who.words()), outcome)
                    }
                };
                self.report.add([finding]);
            }
        }
    }
}

/// The finding for a client that is let in and must not be. `place` says where, if not everywhere.
pub(super) fn let_in(who: Who, outcome: &Outcome, place: &str) -> Finding {
    match who {
        Who::Nobody => findings::not_demanded(outcome, place),
        Who::OtherAuthority | Who::SelfSigned | Who::Copy => {
            findings::impostor_accepted(who.words(), outcome, place)
        }
        Who::BelowDevice => findings::device_as_authority(outcome, place),
        Who::Server => findings::server_accepted(outcome, place),
        Who::Ended => findings::ended_accepted(outcome, place),
        Who::Revoked => findings::revoked_accepted(outcome, place),
    }
}

/// Whether somebody got further with a session than by the way on which he had begun it. True of whoever came
/// without one.
fn got_further((asked, outcome): &(&Asked, Outcome), all: &[(&Asked, Outcome)]) -> bool {
    let badness = |outcome: &Outcome| match outcome {
        Outcome::Refused(_) => 0,
        Outcome::Unknown(_) => 1,
        Outcome::LetIn(_) => 2,
    };
    let way = asked.way;
    let begun = all.iter().find(|(other, _)| {
        let is_same =
            (other.who, other.way.version, other.way.inside) == (asked.who, way.version, way.inside);
        is_same && other.way.name.returning() == Some(way.name)
    });
    begun.is_none_or(|(_, before)| badness(outcome) > badness(before))
}

fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused(_))
}

pub(super) fn elsewhere(status: u16) -> Outcome {
    Outcome::Unknown(format!(
        "HTTP {status}, which is not what a device gets: another host may have answered"
    ))
}

/// How far a way is the one that phones take: by the host's name, HTTP/1.1, the newest version.
fn primacy(way: &Way) -> (bool, bool, Version) {
    (way.name == Name::Right, way.inside == Inside::Http11, way.version)
}

/// The ways, by what differs.
fn words(ways: &[Way]) -> String {
    let versions = Version::ALL
        .into_iter()
        .filter(|version| ways.iter().any(|way| way.version == *version));
    let versions: Vec<String> = versions.map(|version| version.to_string()).collect();
    let named = |name: Name| match name {
        Name::Right => "the host's own",
        Name::None => "none",
        Name::Foreign => "another host's",
        Name::RightAfterNone => "the host's own after none",
        Name::RightAfterForeign => "the host's own after another's",
    };
    let names = Name::ALL
        .into_iter()
        .filter(|name| ways.iter().any(|way| way.name == *name));
    let names: Vec<&str> = names.map(named).collect();
    let said = |inside: Inside| match inside {
        Inside::Http11 => "http/1.1",
        Inside::Http2 => "h2",
        Inside::Unsaid => "no ALPN",
    };
    let insides = Inside::ALL
        .into_iter()
        .filter(|inside| ways.iter().any(|way| way.inside == *inside));
    let insides: Vec<&str> = insides.map(said).collect();
    format!(
        "{} × SNI {} × {}",
        versions.join(", "),
        names.join(", "),
        insides.join(", ")
    )
}
