//! The validity period of a certificate.

use serde::{Deserialize, Serialize};

use super::time::{Span, Time};

/// From when to when a certificate is good, both ends included (RFC 5280 §4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// Its first second.
    pub not_before: Time,
    /// Its last second.
    pub not_after: Time,
}

impl Validity {
    /// How far back a validity begins, for devices whose clock is slow.
    pub const BACKDATED: Span = Span::minutes(5);

    /// `life` from five minutes before `now`, never before `floor`.
    pub fn starting(now: Time, floor: Time, life: Span) -> Self {
        let not_before = (now - Self::BACKDATED).max(floor);
        Self {
            not_before,
            not_after: not_before + life - Span::seconds(1),
        }
    }

    /// How many days it is, begun ones counted: its last second belongs to it.
    pub fn days(&self) -> i64 {
        let seconds = (self.not_after - self.not_before).as_seconds() + 1;
        seconds.div_euclid(86_400) + i64::from(seconds.rem_euclid(86_400) > 0)
    }

    /// Whether the last second has passed.
    pub fn ended(&self, now: Time) -> bool {
        self.not_after < now
    }
}
