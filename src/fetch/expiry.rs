//! The expiry of the installed CRLs and publication, and whether it is near.

use std::fmt;

use serde::Serialize;

use super::state::State;
use crate::model::{Span, Time};

/// The thing that expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The CRL of the CA of this name.
    Crl(String),
    /// All of an area that has no CRL in it.
    Publication,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crl(name) => write!(f, "the CRL of the {name} CA"),
            Self::Publication => f.write_str("the publication"),
        }
    }
}

/// A CRL or publication whose expiry is near, or past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The CRL or publication that expires.
    pub what: End,
    /// The end of its validity, inclusive.
    pub ends: Time,
}

/// The root must be taken out of its safe for a new CRL of its own, so that it is told earlier.
const ROOT: Span = Span::days(120);

/// Finds what expires soon: a CRL that has under a third of its life left, the root's from 120 days before
/// its expiry.
pub(super) fn near(state: &State, now: Time) -> Vec<Ending> {
    let mut found = Vec::new();
    for (name, crl) in &state.crls {
        let is_near = if name == "root" {
            crl.next_update - now < ROOT
        } else {
            under_a_third(crl.this_update, crl.next_update, now)
        };
        if is_near {
            found.push(Ending {
                what: End::Crl(name.clone()),
                ends: crl.next_update,
            });
        }
    }
    if state.crls.is_empty() && under_a_third(state.valid_since, state.valid_until, now) {
        found.push(Ending {
            what: End::Publication,
            ends: state.valid_until,
        });
    }
    found
}

/// The earliest expiry of any of it.
pub(super) fn first(state: &State) -> Time {
    let ends = state.crls.values().map(|crl| crl.next_update);
    ends.fold(state.valid_until, Time::min)
}

fn under_a_third(begins: Time, ends: Time, now: Time) -> bool {
    (ends - now).as_seconds() * 3 < (ends - begins).as_seconds()
}
