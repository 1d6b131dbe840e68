//! Health: whether the service can do what it is there for, and what will keep it from that before long.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::model::{Time, Validity};

/// For how long something is trouble that nobody takes back.
const PASSES: Duration = Duration::from_mins(10);
/// How often the log tells the same.
const TOLD_AGAIN: Duration = Duration::from_hours(24);

/// A part of the service that may be in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(serde::Deserialize))]
pub enum Part {
    /// Deciding, signing and recording.
    Enrolling,
    /// Bringing what was issued to the servers.
    Publishing,
    /// The certificate of the page.
    PageCertificate,
    /// The name in that certificate.
    PageName,
    /// The files of that certificate.
    PageFiles,
    /// The clock, for what follows from the time alone.
    Clock,
    /// The connections that proxies pass on.
    Proxies,
    /// The addresses that have shown too many wrong secrets.
    Guesses,
    /// The certificate of the face of devices.
    DeviceCertificate,
    /// What the accounts of servers rest on.
    Accounts,
}

impl Part {
    /// The name by which figures know a face that has a certificate.
    fn face(self) -> Option<&'static str> {
        match self {
            Self::PageCertificate => Some("page"),
            Self::DeviceCertificate => Some("device"),
            Self::Enrolling
            | Self::Publishing
            | Self::PageName
            | Self::PageFiles
            | Self::Clock
            | Self::Proxies
            | Self::Guesses
            | Self::Accounts => None,
        }
    }

    /// Whether it is over unless somebody finds it again: nobody takes it back.
    fn passes(self) -> bool {
        matches!(self, Self::Proxies | Self::Guesses | Self::Accounts)
    }

    /// Whether nobody but [`Health`] tells the log of it.
    fn is_told_here(self) -> bool {
        !matches!(self, Self::Enrolling | Self::Publishing | Self::Accounts)
    }
}

/// A trouble of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// The part.
    pub part: Part,
    /// Whether phones are not served because of it now; else they are not before long.
    pub stops: bool,
    /// What is wrong, for people.
    pub message: String,
}

/// A trouble, when it was found, and when the log was told of it.
struct Found {
    trouble: Trouble,
    since: Instant,
    told: Option<Instant>,
}

/// What is known of all parts. Whoever finds a trouble says so here, and takes it back.
#[derive(Default)]
pub struct Health(Mutex<Known>);

#[derive(Default)]
struct Known {
    troubles: BTreeMap<Part, Found>,
    certificates: BTreeMap<Part, Validity>,
}

impl Health {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part is in trouble.
    pub fn troubled(&self, part: Part, stops: bool, message: impl Into<String>) {
        let message = message.into();
        let mut known = self.known();
        known.find(Trouble { part, stops, message });
    }

    /// A part does what it is there for.
    pub fn well(&self, part: Part) {
        self.known().troubles.remove(&part);
    }

    /// The certificate that a face shows from now on.
    pub fn shows(&self, part: Part, validity: Validity) {
        self.known().certificates.insert(part, validity);
    }

    /// When the certificates of the faces end.
    pub fn ends(&self) -> Vec<(&'static str, Time)> {
        let known = self.known();
        let faces = known.certificates.iter();
        faces
            .filter_map(|(part, validity)| Some((part.face()?, validity.not_after)))
            .collect()
    }

    /// All troubles at `now`.
    pub fn troubles(&self, now: Time) -> Vec<Trouble> {
        let mut known = self.known();
        known.judge_certificates(now);
        known
            .troubles
            .values()
            .map(|found| found.trouble.clone())
            .collect()
    }

    /// What the log tells by itself at `now`, each once a day: not what whoever finds it tells at once.
    pub fn to_tell(&self, now: Time) -> Vec<String> {
        let mut known = self.known();
        known.judge_certificates(now);
        let untold = known.troubles.values_mut().filter(|found| {
            found.trouble.part.is_told_here() && found.told.is_none_or(|told| told.elapsed() >= TOLD_AGAIN)
        });
        untold
            .map(|found| {
                found.told = Some(Instant::now());
                found.trouble.message.clone()
            })
            .collect()
    }
}

impl Known {
    fn find(&mut self, trouble: Trouble) {
        let told = self.troubles.get(&trouble.part).and_then(|found| found.told);
        let found = Found {
            trouble,
            since: Instant::now(),
            told,
        };
        self.troubles.insert(found.trouble.part, found);
    }

    fn judge_certificates(&mut self, now: Time) {
        self.troubles
            .retain(|part, found| !part.passes() || found.since.elapsed() < PASSES);
        for (part, validity) in &self.certificates.clone() {
            let Some(face) = part.face() else { continue };
            if now < validity.overdue() {
                self.troubles.remove(part);
                continue;
            }
            let (ends, stops) = (validity.not_after, validity.ended(now));
            let message = match stops {
                true => format!("the certificate of the face `{face}` ended on {ends}: phones refuse it"),
                false => {
                    format!("the certificate of the face `{face}` ends on {ends}, and nothing has renewed it")
                }
            };
            self.find(Trouble {
                part: *part,
                stops,
                message,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn at(days: i64) -> Time {
        Time::from_unix(1_800_000_000 + days * DAY)
    }

    fn shown(days: i64) -> Health {
        let health = Health::default();
        let validity = Validity {
            not_before: at(0),
            not_after: at(days),
        };
        health.shows(Part::DeviceCertificate, validity);
        health
    }

    #[test]
    fn a_certificate_that_nothing_renews_is_told_three_weeks_ahead_or_a_quarter_of_its_life() {
        for (life, quiet, told) in [(90, 68, 70), (6, 4, 5)] {
            let health = shown(life);
            assert_eq!(health.troubles(at(quiet)), []);
            let [trouble] = health.troubles(at(told)).try_into().unwrap();
            assert!(
                !trouble.stops && trouble.message.contains("ends on"),
                "{trouble:?}"
            );
            let [trouble] = health.troubles(at(life + 1)).try_into().unwrap();
            assert!(
                trouble.stops && trouble.message.contains("ended on"),
                "{trouble:?}"
            );
        }
    }

    #[test]
    fn the_log_tells_it_once_a_day_and_a_renewal_ends_it() {
        let health = shown(90);
        assert_eq!(health.to_tell(at(80)).len(), 1);
        assert_eq!(health.to_tell(at(80)).len(), 0);
        let validity = Validity {
            not_before: at(80),
            not_after: at(170),
        };
        health.shows(Part::DeviceCertificate, validity);
        assert_eq!(health.troubles(at(80)), []);
        assert_eq!(health.ends(), [("device", at(170))]);
    }

    #[test]
    fn what_was_in_trouble_is_well_again() {
        let health = Health::default();
        health.troubled(Part::Enrolling, true, "the disk is full");
        health.troubled(Part::Publishing, false, "a place cannot be written");
        health.well(Part::Enrolling);
        let [trouble] = health.troubles(at(0)).try_into().unwrap();
        assert_eq!((trouble.part, trouble.stops), (Part::Publishing, false));
        assert_eq!(health.to_tell(at(0)), Vec::<String>::new());
    }

    #[test]
    fn the_document_of_the_service_lists_every_part_that_may_be_in_trouble() {
        let unknown = serde_json::from_str::<Part>("\"\"").unwrap_err().to_string();
        let parts: Vec<_> = unknown.split('`').skip(3).step_by(2).collect();
        assert!(parts.contains(&"enrolling"), "{unknown}");
        let document = include_str!("../../docs/openapi.yaml");
        let listed = document.split_once("part:\n                enum:\n").unwrap().1;
        let listed: Vec<_> = listed
            .lines()
            .map_while(|line| line.trim().strip_prefix("- "))
            .collect();
        assert_eq!(listed, parts);
    }
}
