//! The pace of the clock: whether the time that the machine says has passed is the time that has passed. A
//! service has nobody who would notice a clock that jumps, and what follows from the time alone cannot be
//! taken back: a CRL that begins tomorrow lets nobody in today.

use std::time::Duration;

use crate::model::{Span, Time};

/// How far a clock may be moved at once: one that is set right moves by less.
const STEP: Span = Span::minutes(10);
/// How long a clock that was moved further must have gone on before it is believed.
const PROVED: Duration = Duration::from_hours(1);

/// A time of the clock, and when it was that.
#[derive(Debug, Clone, Copy)]
struct Mark {
    wall: Time,
    seen: Duration,
}

impl Mark {
    /// Whether a clock that goes on from here is at `wall` by now.
    fn leads_to(&self, wall: Time, now: Duration) -> bool {
        let passed = i64::try_from(now.saturating_sub(self.seen).as_secs()).unwrap_or(i64::MAX);
        let moved = (wall - self.wall).as_seconds().saturating_sub(passed);
        moved.saturating_abs() <= STEP.as_seconds()
    }
}

/// A clock, as it has gone until now.
pub struct Pace {
    /// When it was believed last.
    believed: Mark,
    /// Where it was moved to since.
    moved: Option<Mark>,
}

impl Pace {
    /// Begins at this time of the clock.
    pub fn begin(wall: Time) -> Self {
        let seen = passed();
        Self {
            believed: Mark { wall, seen },
            moved: None,
        }
    }

    /// Whether the clock can be believed, which says this time: it has gone on, is right again, or has gone
    /// on for an hour since it was moved.
    pub fn is_steady(&mut self, wall: Time) -> bool {
        self.is_steady_at(wall, passed())
    }

    fn is_steady_at(&mut self, wall: Time, now: Duration) -> bool {
        let here = Mark { wall, seen: now };
        let is_steady = match self.moved {
            _ if self.believed.leads_to(wall, now) => true,
            Some(moved) if moved.leads_to(wall, now) => now.saturating_sub(moved.seen) >= PROVED,
            Some(_) | None => {
                self.moved = Some(here);
                false
            }
        };
        if is_steady {
            (self.believed, self.moved) = (here, None);
        }
        is_steady
    }
}

/// How much time has passed, from a beginning that stays the same. The sleep of a machine is in it, so that
/// one that wakes up is not taken for one whose clock was moved.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn passed() -> Duration {
    let passed = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
    passed.expect("Linux has this clock since 2.6.39").into()
}

/// How much time has passed, from a beginning that stays the same.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn passed() -> Duration {
    static BEGUN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    BEGUN.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_moved_is_believed_once_it_has_gone_on_for_an_hour() {
        let at = Duration::from_mins;
        let wall = |minutes: i64| Time::from_unix(1_800_000_000 + minutes * 60);
        let mut pace = Pace {
            believed: Mark {
                wall: wall(0),
                seen: at(0),
            },
            moved: None,
        };
        assert!(pace.is_steady_at(wall(1), at(1)));
        // It is set right by some minutes.
        assert!(pace.is_steady_at(wall(9), at(2)));
        // Two days ahead for a minute, and right again.
        assert!(!pace.is_steady_at(wall(9 + 2_880), at(3)));
        assert!(!pace.is_steady_at(wall(10 + 2_880), at(4)));
        assert!(pace.is_steady_at(wall(12), at(5)));
        // It was wrong before, and stays so.
        assert!(!pace.is_steady_at(wall(500), at(6)));
        assert!(!pace.is_steady_at(wall(559), at(65)));
        assert!(pace.is_steady_at(wall(560), at(66)));
        // Moved from place to place it is not believed, however long that takes.
        for hours in 0..5 {
            assert!(!pace.is_steady_at(wall(10_000 * (hours + 1)), at(70 + 60 * hours.unsigned_abs())));
        }
    }
}
