//! Limits: what an address may do that has shown wrong secrets, and whoever shows a certificate in vain.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use super::answer::Told;

/// How often somebody may fail in a [`WINDOW`].
pub const MOST: u32 = 60;
/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(600);
/// How many are counted at once. A secret has 128 bits: not counting one more costs nothing.
const KEPT: usize = 65_536;

/// Counts failures by who failed, and never successes.
pub struct Failures<Who>(Mutex<HashMap<Who, (u32, Instant)>>);

impl<Who> Default for Failures<Who> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Who: Eq + Hash> Failures<Who> {
    /// Refuses whoever has failed too often.
    ///
    /// # Errors
    /// What they are told.
    pub fn demand_few(&self, who: &Who, message: &str) -> Result<(), Told> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get(who) {
            Some((count, since)) if *count >= MOST && since.elapsed() < WINDOW => {
                Err(Told::new(StatusCode::TOO_MANY_REQUESTS, "too-many", message))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Counts a failure, and says how many it is; 0 where no more are counted.
    pub fn count(&self, who: Who) -> u32 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn of(address: &str) -> IpAddr {
        network(address.parse().unwrap())
    }

    #[test]
    fn an_address_that_fails_too_often_waits_and_no_other_does() {
        let failures = Failures::default();
        let is_let = |address: &str| failures.demand_few(&of(address), "").is_ok();
        for _ in 0..MOST {
            assert!(is_let("192.0.2.1"));
            failures.count(of("192.0.2.1"));
        }
        assert!(!is_let("192.0.2.1") && is_let("192.0.2.2"));
        assert!(!is_let("::ffff:192.0.2.1"));
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_whatever_address_she_takes() {
        let failures = Failures::default();
        let is_let = |address: &str| failures.demand_few(&of(address), "").is_ok();
        for n in 0..MOST {
            failures.count(of(&format!("2001:db8:1:2::{n:x}")));
        }
        assert!(!is_let("2001:db8:1:2:ffff::1"));
        assert!(is_let("2001:db8:1:3::1"));
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
