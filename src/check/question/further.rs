//! Evaluates requests that a refused client repeated in another form (see [`Manner`]: another method, another
//! spelling of the host). Reports in which forms, and by which ways (see [`Way`]: TLS version, SNI, ALPN),
//! the client got further than with its usual request.

use super::conclude::{elsewhere, let_in};
use super::insist::{Insisted, is_tried};
use super::manner::Manner;
use super::who::Who;
use crate::check::client::Outcome;
use crate::check::client::ways::{Way, regions};
use crate::check::{Met, Question, Verdict, findings};

/// The meaning of an answer that is no refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passes {
    /// It is the answer that a device gets.
    In,
    /// It is the answer that a device gets to OPTIONS.
    Preflight,
    /// The meaning is not known.
    Unclear,
}

/// An answer that is no refusal.
struct Passed<'a> {
    insisted: &'a Insisted,
    passes: Passes,
    outcome: Outcome,
}

/// Manners in which the same comes of it by the same ways.
struct Group {
    who: Who,
    passes: Passes,
    outcome: Outcome,
    manners: Vec<Manner>,
    ways: Vec<Way>,
}

impl Met {
    /// Tells who gets further by asking in another manner.
    pub(super) fn tell_insisted(&mut self) {
        let question = Question::OtherRequests;
        // Also those by which no handshake came about: by them nobody gets in.
        let tried: Vec<Way> = self.ways.iter().copied().filter(is_tried).collect();
        let groups = groups(&self.passed());
        if groups.is_empty() {
            let (told, verdict) = if self.insisted.is_empty() {
                ("not made: nobody is refused by an answer of HTTP", Verdict::Open)
            } else {
                (
                    "other methods, a query, a forged name, the host in other letters: refused",
                    Verdict::Good,
                )
            };
            self.report.answer(question, told, verdict);
        }
        for group in groups {
            let manners: Vec<String> = group.manners.iter().map(ToString::to_string).collect();
            let (who, outcome) = (group.who, &group.outcome);
            for region in regions(&tried, &group.ways) {
                let place = format!("{}{region}", manners.join(" and"));
                let (finding, verdict) = match group.passes {
                    Passes::In if who == Who::Revoked => {
                        (findings::revoked_by_manner(outcome, &place), Verdict::Bad)
                    }
                    Passes::In => (let_in(who, outcome, &place), Verdict::Bad),
                    Passes::Preflight => {
                        let finding = findings::options_answered(who.words(), outcome, &region.to_string());
                        (finding, Verdict::Bad)
                    }
                    Passes::Unclear => {
                        let what = format!("who shows {}{place}", who.words());
                        (findings::unclear(&what, outcome), Verdict::Open)
                    }
                };
                let told = format!("{}: {outcome}", place.trim_start());
                self.report.answer(question, told, verdict);
                self.report.add([finding]);
            }
        }
    }

    /// All who got further. Where nobody needs a certificate, others say nothing.
    fn passed(&self) -> Vec<Passed<'_>> {
        let mut all: Vec<Passed<'_>> = Vec::new();
        for who in Who::ALL {
            for insisted in self.insisted.iter().filter(|insisted| insisted.who == who) {
                let same = |passed: &Passed<'_>| {
                    let nobody = passed.insisted;
                    (nobody.who, nobody.way, nobody.manner) == (Who::Nobody, insisted.way, insisted.manner)
                };
                if all.iter().any(same) {
                    continue;
                }
                all.extend(self.judge(insisted).map(|(passes, outcome)| Passed {
                    insisted,
                    passes,
                    outcome,
                }));
            }
        }
        all
    }

    /// What an answer comes to, where it is no refusal. An error alone proves nothing: a server may say that
    /// it knows no such method before it asks who it is.
    fn judge(&self, insisted: &Insisted) -> Option<(Passes, Outcome)> {
        let outcome = insisted.outcome.clone();
        let Some(sample) = insisted.sample.as_ref() else {
            let is_unclear = matches!(outcome, Outcome::Unknown(_));
            return is_unclear.then_some((Passes::Unclear, outcome));
        };
        if matches!(outcome, Outcome::Refused(_)) {
            return None;
        }
        let (status, manner) = (sample.status, insisted.manner);
        let is_success = (200..300).contains(&status);
        // Where there is nothing, that is the answer to who got through.
        let is_nothing = manner == Manner::PostNowhere && status == 404;
        let passes = match &self.device_gets {
            Some(device) if device.gets_usually(sample) => Passes::In,
            Some(device) if (status < 400 || is_nothing) && device.gets(manner, sample) => {
                passes_as_device(manner)
            }
            // The server itself answers who has no certificate, and a device asks the application.
            Some(_) if manner == Manner::Options => return None,
            Some(_) if is_success => return Some((Passes::Unclear, elsewhere(status))),
            // Nobody knows what a device gets.
            None if (is_success || is_nothing) && insisted.is_known => passes_as_device(manner),
            Some(_) | None => return None,
        };
        Some((passes, outcome))
    }
}

/// What it comes to that somebody gets by it what a device gets.
fn passes_as_device(manner: Manner) -> Passes {
    if manner == Manner::Options {
        Passes::Preflight
    } else {
        Passes::In
    }
}

/// Puts together what one finding can tell.
fn groups(all: &[Passed<'_>]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for first in all {
        let key = |passed: &Passed<'_>| (passed.insisted.who, passed.insisted.manner, passed.passes);
        let (who, manner, passes) = key(first);
        let is_told =
            |group: &Group| (group.who, group.passes) == (who, passes) && group.manners.contains(&manner);
        if groups.iter().any(is_told) {
            continue;
        }
        let same = all.iter().filter(|passed| key(passed) == key(first));
        let ways: Vec<Way> = same.map(|passed| passed.insisted.way).collect();
        let alike = groups.iter_mut().find(|group| {
            (group.who, group.passes, &group.outcome, &group.ways) == (who, passes, &first.outcome, &ways)
        });
        match alike {
            Some(group) => group.manners.push(manner),
            None => groups.push(Group {
                who,
                passes,
                outcome: first.outcome.clone(),
                manners: vec![manner],
                ways,
            }),
        }
    }
    groups
}
