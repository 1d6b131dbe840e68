//! The pin sets of the company's servers, in the form that apps read.

use serde::{Deserialize, Serialize};

use crate::model::{Pin, PinSet, Role, Time};

/// `pins.json`. `iat` and `exp` are what they are in a JWT (RFC 7519 §4.1.4 and §4.1.6), so that any library
/// reads them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// The version of the format: 1.
    pub version: u32,
    /// The number of the pin sets, which rises with every change. An app never goes back to a lower one: that
    /// would be somebody else's replay.
    pub number: u64,
    /// The time at which they were made, Unix time.
    pub iat: i64,
    /// The last second at which they are valid, Unix time.
    pub exp: i64,
    /// The pin sets, one for each server, by name.
    pub sets: Vec<PinSet>,
}

/// The reasons for which pin sets are not published: one variant for each rule that they can break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitPins {
    /// A set has fewer than two different pins: with one key, losing it would lock the apps out for good.
    #[error("the pin set of {0} has no two different pins")]
    Few(String),
    /// A set has not exactly one active and one backup pin: one key is in use and one in reserve.
    #[error("the pin set of {0} has not one active pin and one backup pin")]
    Roles(String),
    /// There are two sets for one host, which would contradict each other.
    #[error("there are two pin sets of {0}")]
    Twice(String),
    /// The pin sets expire before they begin, or before now.
    #[error("the pin sets end on {0}, before they begin or before now")]
    Ended(Time),
    /// The signed form says something else, or is not signed by the issuing CA.
    #[error("the signed form of the pin sets is not theirs")]
    Signature,
    /// Later pin sets are published already: an app that has those would refuse these.
    #[error("the pin sets have number {number}, and {published} is published already")]
    Older {
        /// The number of the new pin sets.
        number: u64,
        /// The number of the published ones.
        published: u64,
    },
}

impl Pins {
    /// `typ` of `pins.jws`.
    pub const TYPE: &'static str = "pki-pins+jws";
    /// The path of the unsigned form.
    pub const JSON: &'static str = "pins/pins.json";
    /// The path of the signed form.
    pub const JWS: &'static str = "pins/pins.jws";

    /// Parses the pin sets, where these octets are some.
    pub fn read(octets: &[u8]) -> Option<Self> {
        serde_json::from_slice(octets).ok()
    }

    /// Their text, with a newline at the end.
    pub fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("strings and numbers have a JSON form");
        text.push(b'\n');
        text
    }

    /// The time at which they were made.
    pub fn made(&self) -> Time {
        Time::from_unix(self.iat)
    }

    /// The time at which they expire.
    pub fn expires(&self) -> Time {
        Time::from_unix(self.exp)
    }

    /// Whether they hold every host to the same keys in the same roles, whenever either ends.
    pub fn say_the_same_as(&self, sets: &[PinSet]) -> bool {
        self.sets.len() == sets.len()
            && self.sets.iter().zip(sets).all(|(one, other)| {
                let apart_from_its_end = PinSet {
                    expires: other.expires,
                    ..one.clone()
                };
                apart_from_its_end == *other
            })
    }

    /// Makes sure that they lock nobody out.
    ///
    /// # Errors
    /// The first rule that they break.
    pub fn demand_fit(&self, now: Time) -> Result<(), UnfitPins> {
        if self.exp <= self.iat || self.expires() < now {
            return Err(UnfitPins::Ended(self.expires()));
        }
        for (i, set) in self.sets.iter().enumerate() {
            let host = || set.host.to_string();
            let has_one = |role| set.pins.iter().filter(|pinned| pinned.role == role).count() == 1;
            let mut pins: Vec<Pin> = set.pins.iter().map(|pinned| pinned.pin).collect();
            pins.sort_unstable();
            pins.dedup();
            if pins.len() < 2 || pins.len() != set.pins.len() {
                return Err(UnfitPins::Few(host()));
            }
            if !has_one(Role::Active) || !has_one(Role::Backup) {
                return Err(UnfitPins::Roles(host()));
            }
            if self.sets[..i].iter().any(|other| other.host == set.host) {
                return Err(UnfitPins::Twice(host()));
            }
            if set.expires <= self.made() || set.expires < now {
                return Err(UnfitPins::Ended(set.expires));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Pinned, Span};

    fn now() -> Time {
        Time::from_unix(1_800_000_000)
    }

    fn pins() -> Pins {
        let pinned = |octet, role| Pinned {
            pin: Pin([octet; 32]),
            role,
            since: now(),
        };
        let set = |host: &str, octet| PinSet {
            host: host.parse().unwrap(),
            include_subdomains: false,
            expires: now() + Span::days(365),
            pins: vec![pinned(octet, Role::Active), pinned(octet + 1, Role::Backup)],
        };
        Pins {
            version: 1,
            number: 7,
            iat: now().unix(),
            exp: (now() + Span::days(365)).unix(),
            sets: vec![set("api.acme.example", 1), set("www.acme.example", 3)],
        }
    }

    #[test]
    fn pin_sets_read_as_they_are_written() {
        let pins = pins();
        assert_eq!(Pins::read(&pins.text()), Some(pins.clone()));
        let mut later = pins.sets.clone();
        later[0].expires = now() + Span::days(400);
        assert!(pins.say_the_same_as(&later));
        later[0].include_subdomains = true;
        assert!(!pins.say_the_same_as(&later));
        assert!(!pins.say_the_same_as(&pins.sets[1..]));
    }

    #[test]
    fn what_would_lock_apps_out_is_unfit() {
        assert_eq!(pins().demand_fit(now()), Ok(()));
        let host = || "api.acme.example".to_owned();
        type Change = fn(&mut Pins);
        let changes: [(Change, UnfitPins); 7] = [
            (|p| p.sets[0].pins.truncate(1), UnfitPins::Few(host())),
            (|p| p.sets[0].pins[1].pin = Pin([1; 32]), UnfitPins::Few(host())),
            (
                |p| p.sets[0].pins[1].role = Role::Retiring,
                UnfitPins::Roles(host()),
            ),
            (
                |p| p.sets[0].pins[1].role = Role::Active,
                UnfitPins::Roles(host()),
            ),
            (
                |p| p.sets[1].host = p.sets[0].host.clone(),
                UnfitPins::Twice(host()),
            ),
            (|p| p.exp = p.iat, UnfitPins::Ended(now())),
            (|p| p.sets[1].expires = now(), UnfitPins::Ended(now())),
        ];
        for (change, unfit) in changes {
            let mut pins = pins();
            change(&mut pins);
            assert_eq!(pins.demand_fit(now()), Err(unfit));
        }
        assert!(pins().demand_fit(now() + Span::days(366)).is_err());
    }
}
