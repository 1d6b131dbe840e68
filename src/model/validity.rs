//! The validity period of a certificate.

use serde::{Deserialize, Serialize};

use super::time::{Span, Time};

/// The validity period of a certificate, both ends included (RFC 5280 §4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// The start of the validity period (notBefore), inclusive.
    pub not_before: Time,
    /// The end of the validity period (notAfter), inclusive.
    pub not_after: Time,
}

impl Validity {
    /// The time by which a validity period is backdated, for devices whose clock is slow.
    pub const BACKDATED: Span = Span::minutes(5);

    /// How long before its end a certificate is renewed at the latest, where something does it by itself.
    const RENEWED_AHEAD: Span = Span::days(21);

    /// `life` from five minutes before `now`, never before `floor`.
    pub fn starting(now: Time, floor: Time, life: Span) -> Self {
        let not_before = (now - Self::BACKDATED).max(floor);
        Self {
            not_before,
            not_after: not_before + life - Span::seconds(1),
        }
    }

    /// The length in days, a day that has begun counting as one: the last second belongs to the period.
    pub fn days(&self) -> i64 {
        let seconds = (self.not_after - self.not_before).as_seconds() + 1;
        seconds.div_euclid(86_400) + i64::from(seconds.rem_euclid(86_400) > 0)
    }

    /// The start of its last third: from then on a device may renew its certificate by itself.
    pub fn last_third(&self) -> Time {
        let life = self.not_after - self.not_before;
        self.not_after - Span::seconds(life.as_seconds() / 3)
    }

    /// The time from which on it should have been renewed: three weeks before its end, or a quarter of its
    /// life where that is short.
    pub fn overdue(&self) -> Time {
        let life = self.not_after - self.not_before;
        self.not_after - Self::RENEWED_AHEAD.min(Span::seconds(life.as_seconds() / 4))
    }

    /// Whether the last second has passed.
    pub fn ended(&self, now: Time) -> bool {
        self.not_after < now
    }
}
