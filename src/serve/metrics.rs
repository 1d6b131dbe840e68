//! Metrics: what the service counts, in the text format of Prometheus (version 0.0.4). No name, no invite and
//! no address is in them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::health::Health;
use crate::model::Time;

/// The media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Something that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// A request was answered: by which face, with which status.
    Request(&'static str, u16),
    /// A device asked for a certificate: what has become of that, by its word.
    Attempt(&'static str),
    /// The status of a certificate was asked for: what was answered.
    Ocsp(&'static str),
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Counts one in, until what is given back is dropped.
    pub fn enter(&self) -> Inside<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Inside(self)
    }

    /// Whether nobody is counted in.
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// One that is counted in a [`Gauge`].
pub struct Inside<'a>(&'a Gauge);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The counts since the start of the service.
#[derive(Debug)]
pub struct Metrics {
    started: Time,
    counts: Mutex<BTreeMap<Counted, u64>>,
    /// The connections that are open.
    pub connections: Gauge,
    /// The devices that wait for the clerk.
    pub waiting: Gauge,
}

impl Metrics {
    /// Nothing is counted yet.
    pub fn new(started: Time) -> Self {
        Self {
            started,
            counts: Mutex::default(),
            connections: Gauge::default(),
            waiting: Gauge::default(),
        }
    }

    /// Counts one.
    pub fn count(&self, counted: Counted) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(counted).or_default() += 1;
    }

    /// All of it, as Prometheus reads it.
    pub fn text(&self, health: &Health, now: Time) -> String {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut text = Text::default();
        let of = |wanted: fn(&Counted) -> Option<String>| {
            let counts = counts.iter();
            counts.filter_map(move |(counted, count)| Some((wanted(counted)?, i128::from(*count))))
        };
        text.family("pki_requests_total", "counter", "Requests answered.");
        text.all(
            "pki_requests_total",
            of(|counted| match counted {
                Counted::Request(face, status) => Some(format!("face=\"{face}\",status=\"{status}\"")),
                Counted::Attempt(_) | Counted::Ocsp(_) => None,
            }),
        );
        text.family(
            "pki_attempts_total",
            "counter",
            "Devices that asked for a certificate, by what has become of it; another-key is a second key for a used invite or a renewed certificate, another-network a second network that a file went to.",
        );
        text.all(
            "pki_attempts_total",
            of(|counted| match counted {
                Counted::Attempt(outcome) => Some(format!("outcome=\"{outcome}\"")),
                Counted::Request(..) | Counted::Ocsp(_) => None,
            }),
        );
        text.family("pki_ocsp_answers_total", "counter", "Answers by OCSP, by status.");
        text.all(
            "pki_ocsp_answers_total",
            of(|counted| match counted {
                Counted::Ocsp(answer) => Some(format!("status=\"{answer}\"")),
                Counted::Request(..) | Counted::Attempt(_) => None,
            }),
        );
        let value = |gauge: &Gauge| i128::from(gauge.0.load(Ordering::Relaxed));
        text.one(
            "pki_connections",
            "Connections that are open.",
            value(&self.connections),
        );
        text.one(
            "pki_waiting",
            "Devices that wait for a decision.",
            value(&self.waiting),
        );
        text.family(
            "pki_certificate_end_timestamp_seconds",
            "gauge",
            "When the certificate that a face shows ends.",
        );
        let ends = health.ends().into_iter();
        text.all(
            "pki_certificate_end_timestamp_seconds",
            ends.map(|(face, end)| (format!("face=\"{face}\""), i128::from(end.unix()))),
        );
        let is_ready = health.troubles(now).iter().all(|trouble| !trouble.stops);
        text.one(
            "pki_ready",
            "Whether phones can enroll and renew, or the service was started to issue nothing.",
            is_ready.into(),
        );
        text.family("pki_build_info", "gauge", "The version of pki.");
        let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        text.all("pki_build_info", [(version, 1)].into_iter());
        text.one(
            "process_start_time_seconds",
            "When the service was started.",
            self.started.unix().into(),
        );
        text.0
    }
}

/// Text in the exposition format: families, each with its help and type, and samples.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn all(&mut self, name: &str, samples: impl Iterator<Item = (String, i128)>) {
        for (labels, value) in samples {
            let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
        }
    }

    /// A gauge without labels.
    fn one(&mut self, name: &str, help: &str, value: i128) {
        self.family(name, "gauge", help);
        let _ = writeln!(self.0, "{name} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::health::Part;

    #[test]
    fn what_is_counted_stands_in_the_text_by_its_labels() {
        let metrics = Metrics::new(Time::from_unix(1_800_000_000));
        metrics.count(Counted::Attempt("enrolled"));
        metrics.count(Counted::Attempt("another-key"));
        metrics.count(Counted::Attempt("another-key"));
        metrics.count(Counted::Request("page", 409));
        let health = Health::default();
        let inside = metrics.connections.enter();
        let text = metrics.text(&health, Time::from_unix(1_800_000_001));
        for line in [
            "pki_attempts_total{outcome=\"enrolled\"} 1",
            "pki_attempts_total{outcome=\"another-key\"} 2",
            "pki_requests_total{face=\"page\",status=\"409\"} 1",
            "pki_connections 1",
            "pki_ready 1",
            "process_start_time_seconds 1800000000",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
        drop(inside);
        health.troubled(Part::Enrolling, true, "the disk is full");
        let text = metrics.text(&health, Time::from_unix(1_800_000_001));
        assert!(
            text.contains("pki_connections 0\n") && text.contains("pki_ready 0\n"),
            "{text}"
        );
    }

    #[test]
    fn every_sample_follows_its_family() {
        let metrics = Metrics::new(Time::from_unix(0));
        metrics.count(Counted::Ocsp("good"));
        let text = metrics.text(&Health::default(), Time::from_unix(1));
        let mut family = "";
        for line in text.lines() {
            if let Some(named) = line.strip_prefix("# TYPE ") {
                family = named.split(' ').next().unwrap();
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                assert_eq!(name, family, "{line}");
            }
        }
        assert_eq!(family, "process_start_time_seconds");
    }
}
