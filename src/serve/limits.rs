//! Limits: what an address may do that has shown wrong secrets, and whoever shows a certificate in vain.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use super::answer::Told;
use super::health::Part;
use super::metrics::Counted;
use super::monitor::Monitor;

/// How often somebody may fail in a [`WINDOW`].
const MOST: u32 = 60;
/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(600);
/// How many are counted at once. A secret has 128 bits: not counting one more costs nothing.
const KEPT: usize = 65_536;

/// Counts failures by who failed, and never successes.
pub struct Failures<Who = IpAddr>(Mutex<HashMap<Who, (u32, Instant)>>);

impl<Who> Default for Failures<Who> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// By address, who has shown wrong secrets. What counts is that a secret was wrong: nobody can shut an invite
/// to others by trying.
impl Failures<IpAddr> {
    /// Refuses an address that has failed too often.
    ///
    /// # Errors
    /// What it is told.
    pub fn demand_few(&self, address: IpAddr) -> Result<(), Told> {
        self.demand_few_of(
            &network(address),
            "too many wrong codes came from this address: wait ten minutes",
        )
    }

    /// Counts a failure, and says whether it is the last that is let pass.
    pub fn count(&self, address: IpAddr) -> bool {
        self.count_of(network(address)) == MOST
    }
}

/// Wrong secrets by address, with whoever looks after the service told of those that are too many.
pub struct Guesses {
    failures: Failures,
    monitor: Arc<Monitor>,
}

impl Guesses {
    /// Nobody has guessed yet.
    pub fn new(monitor: Arc<Monitor>) -> Self {
        Self {
            failures: Failures::default(),
            monitor,
        }
    }

    /// Refuses an address that has shown too many wrong secrets.
    ///
    /// # Errors
    /// What it is told.
    pub fn demand_few(&self, address: IpAddr) -> Result<(), Told> {
        let demanded = self.failures.demand_few(address);
        if demanded.is_err() {
            self.monitor.metrics.count(Counted::Attempt("too-many"));
        }
        demanded
    }

    /// Counts a wrong secret.
    pub fn count(&self, address: IpAddr) {
        if self.failures.count(address) {
            let from = recorded(address);
            let message = format!(
                "an address in {from} has shown {MOST} wrong secrets: nobody enrolls from that address for ten minutes"
            );
            self.monitor.health.troubled(Part::Guesses, false, message);
        }
    }
}

/// By the SHA-256 of the certificate, who has shown one in vain. An address is not to pay for it: behind it
/// may be a company, and one lost laptop that asks again and again.
impl Failures<[u8; 32]> {
    /// Refuses a certificate that was refused too often.
    ///
    /// # Errors
    /// What its holder is told.
    pub fn demand_few_by(&self, certificate: &[u8; 32]) -> Result<(), Told> {
        self.demand_few_of(
            certificate,
            "this certificate was refused too often: wait ten minutes",
        )
    }

    /// Counts a failure.
    pub fn count_by(&self, certificate: [u8; 32]) {
        self.count_of(certificate);
    }
}

impl<Who: Eq + Hash> Failures<Who> {
    fn are_too_many(&self, who: &Who) -> bool {
        let counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = counts.get(who);
        count.is_some_and(|(count, since)| *count >= MOST && since.elapsed() < WINDOW)
    }

    fn demand_few_of(&self, who: &Who, message: &str) -> Result<(), Told> {
        match self.are_too_many(who) {
            true => Err(Told::new(StatusCode::TOO_MANY_REQUESTS, "too-many", message)),
            false => Ok(()),
        }
    }

    /// Counts a failure, and says how many it is.
    fn count_of(&self, who: Who) -> u32 {
        let mut counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if counts.len() >= KEPT {
            counts.retain(|_, (_, since)| since.elapsed() < WINDOW);
        }
        if counts.len() >= KEPT {
            return 0;
        }
        let (count, since) = counts.entry(who).or_insert((0, Instant::now()));
        if since.elapsed() >= WINDOW {
            (*count, *since) = (0, Instant::now());
        }
        *count += 1;
        *count
    }
}

/// What one subscriber has: an IPv4 address, or the 64 bits of an IPv6 network.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// The network that the ledger records of an address: its first 24 bits, or 48 of an IPv6 address. Whose
/// phone it is, is no matter of the ledger's.
pub fn recorded(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_fails_too_often_waits_and_no_other_does() {
        let failures = Failures::default();
        let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        for _ in 0..MOST {
            assert!(failures.demand_few(one).is_ok());
            failures.count(one);
        }
        assert!(failures.demand_few(one).is_err() && failures.demand_few(other).is_ok());
        assert!(failures.demand_few("::ffff:192.0.2.1".parse().unwrap()).is_err());
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_whatever_address_she_takes() {
        let failures = Failures::default();
        for n in 0..MOST {
            failures.count(format!("2001:db8:1:2::{n:x}").parse().unwrap());
        }
        assert!(
            failures
                .demand_few("2001:db8:1:2:ffff::1".parse().unwrap())
                .is_err()
        );
        assert!(failures.demand_few("2001:db8:1:3::1".parse().unwrap()).is_ok());
    }

    #[test]
    fn the_ledger_has_networks_and_no_addresses() {
        for (address, network) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ] {
            assert_eq!(recorded(address.parse().unwrap()), network);
        }
    }
}
