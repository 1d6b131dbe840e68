//! What comes of damaged words for servers and their dates: a refusal, or what they say.

use super::{Resolve, seconds};
use crate::fuzz;

#[test]
fn where_hosts_are_looked_up() {
    let told = ["api.acme.example:443:192.0.2.7", "H:1:[2001:db8::1]"];
    fuzz::damaged_texts(&told, |text| {
        text.parse::<Resolve>().is_ok_and(|told| {
            assert_eq!(told.to_string().parse(), Ok(told));
            true
        })
    });
}

/// Two of them are subtracted from each other.
#[test]
fn dates_of_answers() {
    let dates = ["Sun, 06 Nov 1994 08:49:37 GMT", "Thu, 30 Dec 9999 00:00:00 -1200"];
    fuzz::damaged_texts(&dates, |date| {
        seconds(date).is_some_and(|seconds| {
            assert!(seconds.checked_sub(i64::MAX / 2).is_some());
            true
        })
    });
}
