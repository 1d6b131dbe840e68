//! The pace of the clock: whether the time that the machine says has passed is the time that has passed. A
//! service has nobody who would notice a clock that jumps, and what follows from the time alone cannot be
//! taken back: a CRL that begins tomorrow lets nobody in today.

use std::time::{Duration, Instant};

use crate::model::{Span, Time};

/// How far a clock may be moved at once: one that is set right moves by less.
const STEP: Span = Span::minutes(10);
/// How long a clock that was moved further must have gone on before it is believed. A machine that slept is
/// right at once, and loses nothing by that.
const PROVED: Duration = Duration::from_hours(1);

/// A clock, as it has gone until now.
pub struct Pace {
    wall: Time,
    seen: Instant,
    moved: Option<Instant>,
}

impl Pace {
    /// Begins at this time of the clock.
    pub fn begin(wall: Time) -> Self {
        Self {
            wall,
            seen: Instant::now(),
            moved: None,
        }
    }

    /// Whether what follows from the time alone may be done, at this time of the clock.
    pub fn is_steady(&mut self, wall: Time) -> bool {
        self.is_steady_at(wall, Instant::now())
    }

    fn is_steady_at(&mut self, wall: Time, now: Instant) -> bool {
        let passed = i64::try_from(now.duration_since(self.seen).as_secs()).unwrap_or(i64::MAX);
        let moved = (wall - self.wall).as_seconds().saturating_sub(passed);
        (self.wall, self.seen) = (wall, now);
        if moved.saturating_abs() > STEP.as_seconds() {
            self.moved = Some(now);
        }
        if self
            .moved
            .is_some_and(|since| now.duration_since(since) >= PROVED)
        {
            self.moved = None;
        }
        self.moved.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_moved_is_believed_once_it_has_gone_on_for_an_hour() {
        let begun = Instant::now();
        let at = |minutes: u64| begun + Duration::from_mins(minutes);
        let wall = |minutes: i64| Time::from_unix(1_800_000_000 + minutes * 60);
        let mut pace = Pace {
            wall: wall(0),
            seen: begun,
            moved: None,
        };
        assert!(pace.is_steady_at(wall(1), at(1)));
        // It is set right by some minutes.
        assert!(pace.is_steady_at(wall(9), at(2)));
        // Two days ahead for a minute, and back: both are jumps.
        assert!(!pace.is_steady_at(wall(9 + 2_880), at(3)));
        assert!(!pace.is_steady_at(wall(11), at(4)));
        assert!(!pace.is_steady_at(wall(70), at(63)));
        assert!(pace.is_steady_at(wall(71), at(64)));
        // A machine that slept, or whose clock stays so.
        assert!(!pace.is_steady_at(wall(500), at(65)));
        assert!(pace.is_steady_at(wall(561), at(126)));
    }
}
