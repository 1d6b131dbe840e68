//! What the clerk does for servers that order their certificates.

use std::time::Instant;

use tokio::sync::oneshot;

use super::{AcmeAnswer, AskedAcme, GATHERING, Refusal, Work};
use crate::ca::{self, AcmeDenial, AcmeDone, AcmeRequest, CaError, ClockPolicy};
use crate::model::fault::{Fault, Kind};
use crate::serve::health::Part;
use crate::serve::metrics::Counted;
use crate::serve::outcome::Outcome;
use crate::serve::own::Own;

impl Work {
    /// Decides about what servers ask for, and answers.
    pub(super) fn serve_acme(&mut self, orders: Vec<(AskedAcme, oneshot::Sender<AcmeAnswer>)>) {
        let (asked, ways): (Vec<AskedAcme>, Vec<_>) = orders.into_iter().unzip();
        let (requests, from): (Vec<AcmeRequest>, Vec<String>) =
            asked.into_iter().map(|asked| (asked.request, asked.from)).unzip();
        let takes_back = requests.iter().all(|one| matches!(one, AcmeRequest::Revoke(..)));
        let answers = match takes_back || self.is_steady() {
            true => self.carry_out(&requests, &from),
            false => requests.iter().map(|_| Err(Refusal::Unavailable)).collect(),
        };
        for (way, answer) in ways.into_iter().zip(answers) {
            let _ = way.send(answer);
        }
    }

    fn carry_out(&mut self, requests: &[AcmeRequest], from: &[String]) -> Vec<AcmeAnswer> {
        match self.decide_acme(requests) {
            Ok(answers) => self.tell_acme(requests, from, answers),
            // As for devices: what one of them asks for may be what cannot be done.
            Err(why) if requests.len() > 1 && why.kind() != Kind::Busy => {
                let each = requests.iter().zip(from);
                each.flat_map(|(one, from)| {
                    self.desk.home.give_way();
                    self.carry_out(std::slice::from_ref(one), std::slice::from_ref(from))
                })
                .collect()
            }
            Err(why) => {
                let message = why.to_string();
                self.monitor.health.troubled(Part::Enrolling, true, message);
                self.aftermath.failed("no server got what it asked for", why);
                requests.iter().map(|_| Err(Refusal::Unavailable)).collect()
            }
        }
    }

    /// Tells of what was decided, and sees to what follows.
    fn tell_acme(
        &mut self,
        requests: &[AcmeRequest],
        from: &[String],
        answers: Vec<Result<AcmeDone, AcmeDenial>>,
    ) -> Vec<AcmeAnswer> {
        self.monitor.health.well(Part::Enrolling);
        let told = requests.iter().zip(from).zip(&answers);
        for outcome in told.map(|((request, from), answer)| Outcome::of_acme(request, from, answer)) {
            self.monitor.metrics.count(Counted::Attempt(outcome.event));
            self.aftermath.happened(outcome);
        }
        let revokes = |(request, answer): (&AcmeRequest, &Result<AcmeDone, AcmeDenial>)| {
            answer.is_ok() && matches!(request, AcmeRequest::Revoke(..))
        };
        if requests.iter().zip(&answers).any(revokes) {
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
        answers
            .into_iter()
            .map(|answer| answer.map_err(Refusal::Denied))
            .collect()
    }

    fn decide_acme(
        &mut self,
        requests: &[AcmeRequest],
    ) -> Result<Vec<Result<AcmeDone, AcmeDenial>>, CaError> {
        let Some(servers) = self.own.as_ref().and_then(Own::servers) else {
            return Err(ca::AcmeError::NoAuthority.into());
        };
        // What takes something back alone is never refused for a clock in doubt.
        let revokes = |request: &AcmeRequest| matches!(request, AcmeRequest::Revoke(..));
        let policy = match requests.iter().all(revokes) {
            true => ClockPolicy::Lenient,
            false => ClockPolicy::Strict,
        };
        let mut session = self.desk.turn(&mut self.store, policy)?;
        ca::carry_out(&mut session, servers, requests)
    }
}
