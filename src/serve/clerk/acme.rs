//! What the clerk does for servers that order their certificates.

use std::time::Instant;

use tokio::sync::oneshot;

use super::{AcmeAnswer, AskedAcme, GATHERING, Refusal, Work};
use crate::ca::{self, AcmeRequest, CaError, ClockPolicy};
use crate::model::fault::{Fault, Kind};
use crate::serve::health::Part;
use crate::serve::metrics::Counted;
use crate::serve::outcome::Outcome;
use crate::serve::own::Own;

impl Work {
    /// Decides about what servers ask for, and answers: what changes an account or takes a certificate back
    /// first, each by itself, and then the orders, all of them at once.
    pub(super) fn serve_acme(&mut self, waiting: Vec<(AskedAcme, oneshot::Sender<AcmeAnswer>)>) {
        let (mut changes, mut orders) = (Vec::new(), Vec::new());
        for (asked, way) in waiting {
            if matches!(asked.request, AcmeRequest::Certify(_)) {
                orders.push((asked, way));
            } else {
                changes.push((asked, way));
            }
        }
        for (asked, way) in changes {
            let answer = self.change(&asked);
            let _ = way.send(answer);
        }
        let (asked, ways): (Vec<AskedAcme>, Vec<_>) = orders.into_iter().unzip();
        for (way, answer) in ways.into_iter().zip(self.certify_ordered(&asked)) {
            let _ = way.send(answer);
        }
    }

    fn change(&mut self, asked: &AskedAcme) -> AcmeAnswer {
        if !self.is_steady() {
            return Err(Refusal::Unavailable);
        }
        // What is taken back is never refused for a clock that is behind.
        let policy = match matches!(asked.request, AcmeRequest::Revoke(..)) {
            true => ClockPolicy::Lenient,
            false => ClockPolicy::Strict,
        };
        let turn = self.desk.turn(&mut self.store, policy);
        match turn.and_then(|mut session| ca::change_account(&mut session, &asked.request)) {
            Ok(answer) => self.tell_acme(asked, answer),
            Err(why) => self.unable_to_serve(why),
        }
    }

    fn certify_ordered(&mut self, asked: &[AskedAcme]) -> Vec<AcmeAnswer> {
        if asked.is_empty() {
            return Vec::new();
        }
        if !self.is_steady() {
            return asked.iter().map(|_| Err(Refusal::Unavailable)).collect();
        }
        match self.decide_orders(asked) {
            Ok(answers) => {
                let told = asked.iter().zip(answers);
                told.map(|(asked, answer)| self.tell_acme(asked, answer))
                    .collect()
            }
            // As for devices: what one of them asks for may be what cannot be done.
            Err(why) if asked.len() > 1 && why.kind() != Kind::Busy => {
                let each = asked.iter().map(std::slice::from_ref);
                each.flat_map(|one| {
                    self.desk.home.give_way();
                    self.certify_ordered(one)
                })
                .collect()
            }
            Err(why) => {
                let refused = self.unable_to_serve(why);
                let others = asked[1..].iter().map(|_| Err(Refusal::Unavailable));
                std::iter::once(refused).chain(others).collect()
            }
        }
    }

    fn decide_orders(&mut self, asked: &[AskedAcme]) -> Result<Vec<ca::AcmeAnswer>, CaError> {
        let Some(servers) = self.own.as_ref().and_then(Own::servers) else {
            return Err(ca::AcmeError::NoAuthority.into());
        };
        let mut orders = Vec::new();
        for one in asked {
            if let AcmeRequest::Certify(ordering) = &one.request {
                orders.push(&**ordering);
            }
        }
        let mut session = self.desk.turn(&mut self.store, ClockPolicy::Strict)?;
        ca::certify_ordered(&mut session, servers, &orders)
    }

    fn unable_to_serve(&mut self, why: CaError) -> AcmeAnswer {
        let message = why.to_string();
        self.monitor.health.troubled(Part::Enrolling, true, message);
        self.aftermath
            .failed("a server did not get what it asked for", why);
        Err(Refusal::Unavailable)
    }

    /// Tells of what was decided, and sees to what follows.
    fn tell_acme(&mut self, asked: &AskedAcme, answer: ca::AcmeAnswer) -> AcmeAnswer {
        self.monitor.health.well(Part::Enrolling);
        let outcome = Outcome::of_acme(&asked.request, &asked.from, &answer);
        self.monitor.metrics.count(Counted::Attempt(outcome.event));
        if self.refusals.admits(&outcome) {
            self.aftermath.happened(outcome);
        }
        if answer.is_ok() && matches!(asked.request, AcmeRequest::Revoke(..)) {
            match self.devices {
                // Many are published at once, as what is issued is.
                Some(_) => {
                    self.due.get_or_insert_with(|| Instant::now() + GATHERING);
                }
                None => self.aftermath.warned(
                    "a server has revoked its certificate: run `pki publish`, for the issuing key is not open here",
                ),
            }
        }
        answer.map_err(Refusal::Denied)
    }
}
