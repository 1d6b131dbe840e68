//! Reads `--confirm CLOCK`, which lets a change go on where the clock is in doubt.

use super::error::Failure;
use crate::ca::ClockPolicy;

/// Reads `--confirm CLOCK`, which lets a change go on although the clock is before the last event or far
/// after it.
///
/// # Errors
/// A `--confirm` with another word than CLOCK.
pub fn clock_policy(confirm: Option<&str>) -> Result<ClockPolicy, Failure> {
    match confirm {
        None => Ok(ClockPolicy::Strict),
        Some("CLOCK") => Ok(ClockPolicy::Confirmed),
        Some(other) => Err(Failure::usage(format!(
            "--confirm {other}: here only --confirm CLOCK has a meaning"
        ))),
    }
}
