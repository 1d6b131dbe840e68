//! The current time, which the rooms below are told.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Time;

/// The current time by the machine's clock.
pub fn system_clock() -> Time {
    let seconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    Time::from_unix(seconds)
}
