//! Events of Alice's phone as a ledger brings them, for the tests of the index.

use super::ledger::{Entry, Position};
use crate::fuzz::seeds;
use crate::model::event::{Issued, KeySource};
use crate::model::{Address, Event, Fact, Form, Platform, Reason, Serial, Span, Validity};

/// A bundle, which is delivered later than it is issued.
pub const BUNDLE: KeySource = KeySource::Bundle { p12: Form::Legacy };

pub fn phone() -> Address {
    "alice/phone".parse().unwrap()
}

pub fn serial(number: u8) -> Serial {
    Serial::from_random([number; 16])
}

/// A certificate of the phone, which is to replace others.
pub fn issued(number: u8, key: KeySource, supersedes: &[u8]) -> Fact {
    let now = seeds::now();
    Fact::Issued(Box::new(Issued {
        serial: serial(number),
        address: phone(),
        name: None,
        email: None,
        platform: Platform::Any,
        profile: "device".into(),
        days: None,
        key,
        supersedes: supersedes.iter().map(|number| serial(*number)).collect(),
        enrolled_by: None,
        validity: Validity {
            not_before: now,
            not_after: now + Span::days(90),
        },
        spki_sha256: [number; 32],
        certificate: vec![number; 700],
    }))
}

pub fn revoked(number: u8, reason: Reason) -> Fact {
    Fact::Revoked {
        serial: serial(number),
        address: None,
        reason,
        since: None,
    }
}

/// These events, from the first place of a ledger on.
pub fn entries(facts: impl IntoIterator<Item = Fact>) -> Vec<Entry> {
    let entry = |(fact, seq)| Entry {
        event: Event {
            seq,
            time: seeds::now(),
            by: "root".into(),
            fact,
        },
        offset: seq * 1000,
        after: Position {
            seq,
            offset: (seq + 1) * 1000,
            sha: [7; 32],
        },
    };
    facts.into_iter().zip(1..).map(entry).collect()
}
