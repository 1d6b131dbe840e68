//! Advice on changes that cannot begin.

use crate::ca::SessionError;
use crate::cli::error::{Advice, GOES_ON_HERE, RECONCILE};

impl Advice for SessionError {
    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::ClockBeforeProgram(_) => {
                "set the clock; if it is right all the same, repeat with --confirm CLOCK"
            }
            Self::ClockBehind { .. } => {
                "set the clock; if it is right and the last event's time was wrong, repeat with --confirm CLOCK"
            }
            Self::Unreconciled(_) => RECONCILE,
            Self::Copied(_) => GOES_ON_HERE,
            Self::ClockAhead { .. } => "set the clock; if it is right, repeat with --confirm CLOCK",
        };
        Some(advice.into())
    }
}
