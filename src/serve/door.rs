//! The door for whoever shows a secret, by whatever face: past the count of those who showed wrong ones, to
//! the clerk.

use std::net::IpAddr;
use std::sync::Arc;

use super::answer::Told;
use super::clerk::{Answer, Counter, Refusal};
use super::health::Part;
use super::limits::{Failures, MOST, network, recorded};
use super::metrics::Counted;
use super::monitor::Monitor;
use crate::ca::{Attempt, Denial};

/// The way to the clerk for whoever shows a secret. What counts is that a secret was wrong, and it counts
/// against the address alone: nobody can shut an invite to others by trying.
pub struct Door {
    counter: Counter,
    wrong: Failures<IpAddr>,
    monitor: Arc<Monitor>,
}

impl Door {
    /// A door that nobody has come to yet.
    pub fn new(counter: Counter, monitor: Arc<Monitor>) -> Self {
        Self {
            counter,
            wrong: Failures::default(),
            monitor,
        }
    }

    /// Refuses an address that has shown too many wrong secrets: before anything of its request is read.
    ///
    /// # Errors
    /// What it is told.
    pub fn demand_few(&self, address: IpAddr) -> Result<(), Told> {
        let message = "too many wrong codes came from this address: wait ten minutes";
        let demanded = self.wrong.demand_few(&network(address), message);
        if demanded.is_err() {
            self.monitor.metrics.count(Counted::Attempt("too-many"));
        }
        demanded
    }

    /// Hands in what somebody at this address asks for, and counts a wrong secret.
    pub async fn ask(&self, address: IpAddr, attempt: Attempt) -> Answer {
        let answer = self.counter.enroll(attempt).await;
        if let Err(Refusal::Denied(Denial::NoRight)) = answer
            && self.wrong.count(network(address)) == MOST
        {
            let from = recorded(address);
            let message = format!(
                "an address in {from} has shown {MOST} wrong secrets: nobody enrolls from that address for ten minutes"
            );
            self.monitor.health.troubled(Part::Guesses, false, message);
        }
        answer
    }
}
