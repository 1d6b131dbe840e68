//! Reads `--confirm CLOCK`, which lets a change go on where the clock is in doubt.

use super::error::Failure;
use crate::ca::ClockPolicy;

/// `--confirm CLOCK`, for a command that has nothing else to confirm.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ClockArgs {
    /// Go on although the clock stands before the last event or far after it: --confirm CLOCK
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
}

impl ClockArgs {
    /// What they say of the clock.
    ///
    /// # Errors
    /// As [`clock_policy`].
    pub fn policy(&self) -> Result<ClockPolicy, Failure> {
        clock_policy(self.confirm.as_deref())
    }
}

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
