//! Carries out what devices ask for by themselves: what waits is decided about and recorded together, in as
//! few batches as there can be.

use rayon::prelude::*;

use super::denial::Denial;
use super::fetch::{self, Fetching};
use super::redeem::{self, Redeeming, Showing};
use super::renew::{self, Renewing};
use crate::ca::CaError;
use crate::ca::delivery::in_memory::InMemory;
use crate::ca::issuance::issue;
use crate::ca::issuance::plan::Plan;
use crate::ca::session::Session;
use crate::issuer::Devices;
use crate::key::demand_threads;
use crate::model::event::Issued;
use crate::model::fault::{Fault, Kind};
use crate::model::{Employee, Fact, InviteId, Serial};

/// What a device asks for by itself.
pub enum Attempt {
    /// A certificate for an invite.
    Redeem(Redeeming),
    /// A newer certificate in the place of the one that it showed.
    Renew(Renewing),
    /// The certificate that an invite has brought.
    Show(Showing),
    /// The bundle that was made with an invite.
    Fetch(Fetching),
}

impl Attempt {
    /// The invite that it names.
    pub fn invite(&self) -> Option<InviteId> {
        match self {
            Self::Redeem(redeeming) => redeeming.id.parse().ok(),
            Self::Show(showing) => showing.id.parse().ok(),
            Self::Fetch(fetching) => fetching.id.parse().ok(),
            Self::Renew(_) => None,
        }
    }

    /// The network that it came from, where that is known.
    pub fn from(&self) -> Option<&str> {
        match self {
            Self::Redeem(redeeming) => Some(&redeeming.from),
            Self::Renew(renewing) => Some(&renewing.from),
            Self::Fetch(fetching) => Some(&fetching.from),
            Self::Show(_) => None,
        }
    }
}

/// The certificate that a device gets for an attempt.
#[derive(Debug)]
pub struct Granted {
    /// The certificate.
    pub issued: Issued,
    /// How it came to it.
    pub how: How,
}

/// How a device came to its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Nobody had got it before.
    New,
    /// It was handed out once more to whoever had it: nothing has changed.
    Again,
    /// Its bundle was handed out once more, to another network than before.
    Elsewhere,
}

/// What to do about an attempt.
pub(super) enum Decision {
    /// Nothing changes.
    Now(Result<Issued, Denial>),
    /// This is recorded, and then refused.
    Record(Vec<Fact>, Denial),
    /// This is recorded, and then the certificate, which is in the ledger already, is the answer.
    Deliver(Vec<Fact>, Box<Granted>),
    Issue(Box<Plan>),
}

/// Decides about attempts, and carries out what can be, as few batches as there can be: an invite, and a
/// person, changes once in each. Answers in the order of the attempts.
///
/// # Errors
/// Where nothing more could be recorded. What was recorded before is answered when the same is asked again.
pub fn enroll(
    session: &mut Session<'_>,
    devices: &Devices,
    attempts: &[Attempt],
) -> Result<Vec<Result<Granted, Denial>>, CaError> {
    demand_threads().map_err(CaError::NoThreads)?;
    let mut answers: Vec<Option<Result<Granted, Denial>>> = attempts.iter().map(|_| None).collect();
    while answers.iter().any(Option::is_none) {
        let mut round = Round::default();
        for (place, decision) in decisions(session, attempts, &answers)? {
            answers[place] = round.take(place, &attempts[place], decision);
        }
        session.commit(round.facts)?;
        let mut delivery = InMemory::default();
        issue(session, devices, round.plans, &mut delivery)?;
        for (place, (issued, _)) in round.places.into_iter().zip(delivery.taken) {
            answers[place] = Some(Ok(Granted {
                issued,
                how: How::New,
            }));
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

/// What to do about those that have no answer yet, with their places. They are decided about side by side:
/// most of it is to verify what the CA has signed.
fn decisions(
    session: &Session<'_>,
    attempts: &[Attempt],
    answers: &[Option<Result<Granted, Denial>>],
) -> Result<Vec<(usize, Decision)>, CaError> {
    let waiting = (0..attempts.len()).filter(|place| answers[*place].is_none());
    let waiting: Vec<usize> = waiting.collect();
    waiting
        .into_par_iter()
        .map(|place| Ok((place, decide(session, &attempts[place])?)))
        .collect()
}

fn decide(session: &Session<'_>, attempt: &Attempt) -> Result<Decision, CaError> {
    match attempt {
        Attempt::Redeem(redeeming) => redeem::decide(session, redeeming),
        Attempt::Renew(renewing) => renew::decide(session, renewing),
        Attempt::Show(showing) => redeem::show(session, showing),
        Attempt::Fetch(fetching) => fetch::decide(session, fetching),
    }
}

/// What is recorded at once.
#[derive(Default)]
struct Round {
    facts: Vec<Fact>,
    plans: Vec<Plan>,
    /// The places of the attempts that have the plans.
    places: Vec<usize>,
    /// The invites that change.
    invites: Vec<InviteId>,
    /// Whose certificates change: a bundle is delivered, or one is revoked because somebody tried to use an
    /// invite again.
    changed: Vec<Employee>,
}

impl Round {
    /// The answer to an attempt, where there is one already; none where it waits for this round, or for the
    /// next.
    fn take(
        &mut self,
        place: usize,
        attempt: &Attempt,
        decision: Decision,
    ) -> Option<Result<Granted, Denial>> {
        let id = attempt.invite();
        if id.is_some_and(|id| self.invites.contains(&id)) {
            return None;
        }
        match decision {
            Decision::Now(answer) => Some(answer.map(|issued| Granted {
                issued,
                how: How::Again,
            })),
            Decision::Record(facts, denial) => {
                let revoked = facts.iter().find_map(|fact| {
                    let Fact::Revoked { address, .. } = fact else {
                        return None;
                    };
                    Some(&address.as_ref()?.employee)
                });
                if revoked.is_some_and(|employee| self.concerns(employee)) {
                    return None;
                }
                self.changed.extend(revoked.cloned());
                self.facts.extend(facts);
                self.invites.extend(id);
                Some(Err(denial))
            }
            Decision::Deliver(facts, granted) => {
                let employee = &granted.issued.address.employee;
                if self.concerns(employee) {
                    return None;
                }
                self.changed.push(employee.clone());
                self.facts.extend(facts);
                self.invites.extend(id);
                Some(Ok(*granted))
            }
            Decision::Issue(plan) => {
                // What one batch issues is not in the ledger yet when the next plan is made.
                let is_changed = self.changed.contains(&plan.address().employee);
                if is_changed || self.plans.iter().any(|other| concerns(other, &plan)) {
                    return None;
                }
                self.invites.extend(id);
                self.places.push(place);
                self.plans.push(*plan);
                None
            }
        }
    }

    /// Whether something of this person changes.
    fn concerns(&self, employee: &Employee) -> bool {
        let mut plans = self.plans.iter();
        self.changed.contains(employee) || plans.any(|plan| plan.address().employee == *employee)
    }
}

/// Whether one plan would be made otherwise if the other had been carried out: they are for the same person
/// or the same key, or one of them is called as the other.
fn concerns(one: &Plan, other: &Plan) -> bool {
    let names = |plan: &Plan, of: &Plan| {
        let name = plan.draft().holder().name.as_ref();
        name.is_some_and(|name| {
            let name = name.as_str().to_lowercase();
            name.split('/').next() == Some(of.address().employee.as_str())
        })
    };
    one.address().employee == other.address().employee
        || one.key == other.key
        || names(one, other)
        || names(other, one)
}

/// Hands out once more what a device got, unless it is revoked.
pub(super) fn again(
    session: &Session<'_>,
    serial: &Serial,
    revoked: Denial,
) -> Result<Result<Issued, Denial>, CaError> {
    let record = session.store.record(serial)?;
    let Some(record) = record.filter(|record| record.revocation().is_none()) else {
        return Ok(Err(revoked));
    };
    Ok(match session.store.issued(&record)? {
        Some(issued) => Ok(issued),
        None => Err(revoked),
    })
}

/// A plan, or the refusal that whoever asks is told. A fault of this machine is nobody's refusal.
///
/// # Errors
/// A fault of this machine.
pub(super) fn planned(plan: Result<Plan, CaError>) -> Result<Decision, CaError> {
    match plan {
        Ok(plan) => Ok(Decision::Issue(Box::new(plan))),
        Err(why) if is_of_this_machine(&why) => Err(why),
        Err(why) => Ok(Decision::Now(Err(Denial::Refused(why)))),
    }
}

/// Whether the fault is this machine's, and not of whoever asks.
fn is_of_this_machine(why: &CaError) -> bool {
    match why.kind() {
        Kind::Storage | Kind::Damaged | Kind::Busy | Kind::ClockDoubt | Kind::Incomplete | Kind::Bug => true,
        Kind::NotFound
        | Kind::Conflict
        | Kind::PolicyRefused
        | Kind::KeyRefused
        | Kind::BadRequest
        | Kind::SecretWrong
        | Kind::ConfirmationNeeded
        | Kind::Elsewhere => false,
    }
}
