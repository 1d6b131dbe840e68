//! Limits: what an address may do that has shown wrong secrets.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use super::answer::Told;

/// How many wrong secrets an address may show in a [`WINDOW`].
const MOST: u32 = 60;
/// How long a wrong secret counts.
const WINDOW: Duration = Duration::from_secs(600);
/// How many addresses are counted at once. A secret has 128 bits: not counting one more costs nothing.
const ADDRESSES: usize = 65_536;

/// Counts failures by address, and never successes. What counts is that a secret was wrong: nobody can shut
/// an invite to others by trying.
#[derive(Default)]
pub struct Failures(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Failures {
    /// Whether this address has failed too often.
    fn are_too_many(&self, address: IpAddr) -> bool {
        let counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = counts.get(&network(address));
        count.is_some_and(|(count, since)| *count >= MOST && since.elapsed() < WINDOW)
    }

    /// Refuses an address that has failed too often.
    ///
    /// # Errors
    /// What it is told.
    pub fn demand_few(&self, address: IpAddr) -> Result<(), Told> {
        match self.are_too_many(address) {
            true => Err(Told::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many",
                "too many wrong codes came from this address: wait ten minutes",
            )),
            false => Ok(()),
        }
    }

    /// Counts a failure.
    pub fn count(&self, address: IpAddr) {
        let mut counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if counts.len() >= ADDRESSES {
            counts.retain(|_, (_, since)| since.elapsed() < WINDOW);
        }
        if counts.len() >= ADDRESSES {
            return;
        }
        let (count, since) = counts.entry(network(address)).or_insert((0, Instant::now()));
        if since.elapsed() >= WINDOW {
            (*count, *since) = (0, Instant::now());
        }
        *count += 1;
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
            assert!(!failures.are_too_many(one));
            failures.count(one);
        }
        assert!(failures.are_too_many(one) && !failures.are_too_many(other));
        assert!(failures.are_too_many("::ffff:192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_whatever_address_she_takes() {
        let failures = Failures::default();
        for n in 0..MOST {
            failures.count(format!("2001:db8:1:2::{n:x}").parse().unwrap());
        }
        assert!(failures.are_too_many("2001:db8:1:2:ffff::1".parse().unwrap()));
        assert!(!failures.are_too_many("2001:db8:1:3::1".parse().unwrap()));
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
