//! Judges whether the machine's clock can be trusted, by the time of the last event and the end of the last
//! CRL.

use super::time::{Span, Time};

/// The judgement of this machine's clock, by the time of the last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The clock is plausible: use this time.
    Good(Time),
    /// The clock is more than five minutes before the last event.
    Behind {
        /// The time by the clock.
        clock: Time,
        /// The last event's time.
        last: Time,
    },
    /// The clock is more than thirty days after the last event, and after the end of the last CRL: a timer
    /// would have signed a new one.
    FarAhead {
        /// The time by the clock.
        clock: Time,
        /// The last event's time.
        last: Time,
    },
}

impl Clock {
    /// Whether a clock is before this program was made, in 2026: it was never set, as on a board without a
    /// battery. The date of the build is not used, because it would make another program of it each day.
    pub fn is_before_program(clock: Time) -> bool {
        clock < Time::from_unix(1_767_225_600)
    }

    /// The time that the clock may be before the last event without being doubted.
    const SLACK: Span = Span::minutes(5);
    /// The time without an event after which the clock is doubted.
    const LEAP: Span = Span::days(30);

    /// Judges `clock` by the time of the last event and the end (nextUpdate) of the last CRL.
    pub fn judge(clock: Time, last: Time, crl_end: Option<Time>) -> Self {
        if clock < last - Self::SLACK {
            Self::Behind { clock, last }
        } else if clock > (last + Self::LEAP).max(crl_end.unwrap_or(last)) {
            Self::FarAhead { clock, last }
        } else {
            Self::Good(clock.max(last))
        }
    }

    /// The time by the machine's clock, or the last event's time where the clock is a little behind that.
    pub fn says(self) -> Time {
        match self {
            Self::Good(now) => now,
            Self::Behind { clock, .. } | Self::FarAhead { clock, .. } => clock,
        }
    }

    /// The earliest time that it may be: a revocation includes what is valid then, because a doubtful clock
    /// must not make it look expired.
    pub fn earliest(self) -> Time {
        match self {
            Self::Good(now) => now,
            Self::Behind { clock, .. } => clock,
            Self::FarAhead { last, .. } => last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_doubted_after_thirty_days_and_after_the_last_crl() {
        let last = Time::from_unix(1_800_000_000);
        let days = |days| last + Span::days(days);
        let far = |clock, crl_end| matches!(Clock::judge(clock, last, crl_end), Clock::FarAhead { .. });
        assert!(!far(days(30), None) && far(days(31), None));
        assert!(!far(days(30), Some(days(7))) && far(days(31), Some(days(7))));
        assert!(!far(days(60), Some(days(60))) && far(days(61), Some(days(60))));
    }
}
