//! Checks a server's key against the published pins, as apps do.

use std::net::IpAddr;

use crate::model::pin::Role;
use crate::model::{Host, Pin, PinSet, Span, Time};

/// The verdict of the pins on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No pins are published for that host.
    NoPins,
    /// The key is pinned.
    Pinned {
        /// The role of the key for the server.
        role: Role,
        /// The time when it leaves the set, or when apps stop using the set.
        until: Time,
    },
    /// The host has pins, and the key is none of them.
    Foreign,
}

/// The pins that a home publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The sets of all hosts.
    pub sets: Vec<PinSet>,
    /// The time for which a retiring key's pin stays published.
    pub overlap: Span,
}

/// Holds a key against the pins of a host. A set of the host's own comes before one of a host above that
/// includes it, the nearer first; apps match the same way.
pub fn judge(published: &Published, host: &str, pin: Pin) -> Verdict {
    let Some(set) = nearest(&published.sets, host) else {
        return Verdict::NoPins;
    };
    match set.pins.iter().find(|pinned| pinned.pin == pin) {
        Some(pinned) => Verdict::Pinned {
            role: pinned.role,
            until: match pinned.role {
                Role::Active | Role::Backup => set.expires,
                Role::Retiring => set.expires.min(pinned.since + published.overlap),
            },
        },
        None => Verdict::Foreign,
    }
}

/// The set that holds for a host. Letter case and a dot at the end make no other host, and an address has
/// none below it.
fn nearest<'a>(sets: &'a [PinSet], host: &str) -> Option<&'a PinSet> {
    let address: Option<IpAddr> = host.parse().ok();
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let covers = |set: &&PinSet| match &set.host {
        Host::Name(_) => {
            let name = set.host.to_string();
            let below = host.strip_suffix(&name).is_some_and(|rest| rest.ends_with('.'));
            host == name || (set.include_subdomains && below)
        }
        Host::Address(of_set) => address == Some(*of_set),
    };
    let covering = sets.iter().filter(covers);
    covering.max_by_key(|set| set.host.to_string().len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Pinned;

    fn set(host: &str, include_subdomains: bool, pin: u8) -> PinSet {
        PinSet {
            host: host.parse().unwrap(),
            include_subdomains,
            expires: Time::from_unix(1_900_000_000),
            pins: vec![Pinned {
                pin: Pin([pin; 32]),
                role: Role::Active,
                since: Time::from_unix(1_800_000_000),
            }],
        }
    }

    #[test]
    fn a_key_is_held_against_the_pins_of_its_host_and_no_other() {
        let sets = [
            set("acme.example", true, 1),
            set("api.acme.example", false, 2),
            set("shop.example", false, 3),
            set("2001:db8::1", false, 4),
        ];
        let published = Published {
            sets: sets.to_vec(),
            overlap: Span::days(30),
        };
        let pinned = |host, pin| judge(&published, host, Pin([pin; 32]));
        let yes = Verdict::Pinned {
            role: Role::Active,
            until: Time::from_unix(1_900_000_000),
        };
        for (host, pin, verdict) in [
            ("acme.example", 1, yes),
            ("www.acme.example", 1, yes),
            ("www.acme.example", 2, Verdict::Foreign),
            ("api.acme.example", 2, yes),
            ("api.acme.example", 1, Verdict::Foreign),
            ("v1.api.acme.example", 1, yes),
            ("notacme.example", 1, Verdict::NoPins),
            ("shop.example", 9, Verdict::Foreign),
            ("www.shop.example", 9, Verdict::NoPins),
            ("2001:db8::1", 4, yes),
            ("2001:db8:0::1", 5, Verdict::Foreign),
            ("localhost", 1, Verdict::NoPins),
        ] {
            assert_eq!(pinned(host, pin), verdict, "{host} {pin}");
        }
    }

    /// The table that every reader of pin sets is held to.
    #[test]
    fn the_nearest_set_holds_for_a_host_and_no_other() {
        let table: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/data/nearest-pins.json")).unwrap();
        let sets: Vec<PinSet> = table["sets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                set(
                    one["host"].as_str().unwrap(),
                    one["include_subdomains"] == true,
                    1,
                )
            })
            .collect();
        for case in table["cases"].as_array().unwrap() {
            let host = case[0].as_str().unwrap();
            let found = nearest(&sets, host).map(|set| set.host.to_string());
            assert_eq!(found.as_deref(), case[1].as_str(), "{host}");
        }
    }

    #[test]
    fn a_retiring_key_is_pinned_until_its_pin_leaves_the_set() {
        let mut retiring = set("api.acme.example", false, 1);
        retiring.pins[0].role = Role::Retiring;
        for (overlap, until) in [(30, 1_800_000_000 + 30 * 86_400), (9_999, 1_900_000_000)] {
            let published = Published {
                sets: vec![retiring.clone()],
                overlap: Span::days(overlap),
            };
            let expected = Verdict::Pinned {
                role: Role::Retiring,
                until: Time::from_unix(until),
            };
            assert_eq!(judge(&published, "api.acme.example", Pin([1; 32])), expected);
        }
    }
}
