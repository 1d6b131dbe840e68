//! An event, as far as every form of an export tells it.

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::{Map, Value};

use super::about::{About, Subject};
use super::words::in_words;
use crate::model::Time;
use crate::store::Linked;

/// An event, as far as every form tells it.
#[derive(Debug, Serialize)]
pub struct Exported {
    pub number: u64,
    pub time: Time,
    /// `event` in the ledger.
    pub kind: String,
    /// The account that ran the command.
    pub actor: String,
    #[serde(rename = "subject", serialize_with = "subject")]
    pub about: About,
    /// SHA-256 of its line in the ledger, hexadecimal.
    pub hash: String,
    /// The same of the event before.
    pub previous: String,
    /// What `pki audit` says of it.
    pub message: String,
    /// The other members of the event, as in the ledger.
    pub details: Map<String, Value>,
}

fn subject<S: serde::Serializer>(about: &About, serializer: S) -> Result<S::Ok, S::Error> {
    Subject::serialize(&about.subject, serializer)
}

impl Exported {
    /// The event, which comes after the one with the hash `previous`. None where it has no form in JSON,
    /// which every event has.
    pub fn of(linked: Linked, previous: [u8; 32]) -> Option<Self> {
        let Linked { event, sha256 } = linked;
        let Ok(Value::Object(mut details)) = serde_json::to_value(&event.fact) else {
            return None;
        };
        let Some(Value::String(kind)) = details.remove("event") else {
            return None;
        };
        // The columns of a line for people are none here.
        let message: Vec<String> = in_words(&event.fact)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        Some(Self {
            about: About::of(&event.fact),
            message: message.join(" "),
            number: event.seq,
            time: event.time,
            actor: event.by,
            kind,
            hash: HEXLOWER.encode(&sha256),
            previous: HEXLOWER.encode(&previous),
            details,
        })
    }

    /// Its kind for people.
    pub fn title(&self) -> String {
        self.kind.replace('_', " ")
    }
}
