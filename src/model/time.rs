//! Points in time and spans of it, in whole seconds, as X.509 has them.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::text::quoted;

/// A point in time: seconds since 1970-01-01T00:00:00Z, between the years 1 and 9999. Its text form is RFC
/// 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(i64);

impl Time {
    /// The latest time that certificates can say (RFC 5280 §4.1.2.5.2: GeneralizedTime).
    pub const MAX: Self = Self(253_402_207_200);
    const MIN: Self = Self(-62_135_596_800);

    /// From Unix seconds; what lies outside the representable years becomes the nearest end of them.
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn unix(self) -> i64 {
        self.0
    }

    /// The calendar day in UTC, `2026-11-22`.
    pub fn date(self) -> String {
        self.to_string().chars().take(10).collect()
    }

    /// As it is written for people: `Tuesday, 1 December 2026, 08:48 UTC`. The seconds are left out.
    pub fn in_words(self) -> String {
        self.timestamp().strftime("%A, %-d %B %Y, %H:%M UTC").to_string()
    }

    /// Year, month, day, hour, minute and second in UTC, two digits each and four of the year: what the times
    /// of ASN.1 are made of.
    pub fn digits(self) -> [u8; 14] {
        let civil = TimeZone::UTC.to_datetime(self.timestamp());
        let pairs = [
            civil.year() / 100,
            civil.year() % 100,
            civil.month().into(),
            civil.day().into(),
            civil.hour().into(),
            civil.minute().into(),
            civil.second().into(),
        ];
        std::array::from_fn(|i| {
            let pair = pairs[i / 2];
            let digit = if i % 2 == 0 { pair / 10 } else { pair % 10 };
            b'0' + u8::try_from(digit).unwrap_or_default()
        })
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_second(self.0).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timestamp().fmt(f)
    }
}

impl FromStr for Time {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        text.parse::<Timestamp>()
            .map(|timestamp| Self::from_unix(timestamp.as_second()))
            .map_err(|_| InvalidTime(quoted(text)))
    }
}

impl TryFrom<String> for Time {
    type Error = InvalidTime;

    fn try_from(text: String) -> Result<Self, InvalidTime> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

impl Add<Span> for Time {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self::from_unix(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Time {
    type Output = Self;

    fn sub(self, span: Span) -> Self {
        Self::from_unix(self.0.saturating_sub(span.0))
    }
}

impl Sub for Time {
    type Output = Span;

    fn sub(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// A text that is no RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an RFC 3339 time such as 2026-11-22T13:00:00Z")]
pub struct InvalidTime(String);

/// A length of time in seconds. Its text form is a whole number and a unit: `30d`, `12h`, `45m`, `10s`, `2w`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(i64);

impl Span {
    /// A span of that many seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// A span of that many minutes.
    pub const fn minutes(minutes: i64) -> Self {
        Self(minutes.saturating_mul(60))
    }

    /// A span of that many days of 24 hours.
    pub const fn days(days: i64) -> Self {
        Self(days.saturating_mul(86_400))
    }

    /// The length in seconds.
    pub const fn as_seconds(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match self.0.abs() {
            s if s >= 2 * 86_400 => (s / 86_400, "day"),
            s if s >= 2 * 3_600 => (s / 3_600, "hour"),
            s if s >= 2 * 60 => (s / 60, "minute"),
            s => (s, "second"),
        };
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let invalid = || InvalidSpan(quoted(text));
        let unit = text.chars().last().ok_or_else(invalid)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(invalid()),
        };
        let digits = text.strip_suffix(unit).ok_or_else(invalid)?;
        if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        let count: i64 = digits.parse().map_err(|_| invalid())?;
        Ok(Self(count * seconds))
    }
}

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a duration such as 30d, 12h or 45m")]
pub struct InvalidSpan(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_has_one_text_form() {
        let time: Time = "2026-11-22T14:00:00+01:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-22T13:00:00Z");
        assert_eq!(time.date(), "2026-11-22");
        assert_eq!(time.in_words(), "Sunday, 22 November 2026, 13:00 UTC");
        assert!("yesterday".parse::<Time>().is_err());
    }

    #[test]
    fn time_never_leaves_what_x509_can_say() {
        assert_eq!(Time::from_unix(i64::MAX) + Span::days(i64::MAX), Time::MAX);
        assert!(Time::MAX.to_string().starts_with("9999-"));
        assert_eq!(Time::from_unix(i64::MIN).to_string(), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn spans_are_a_number_and_a_unit() {
        assert_eq!("30d".parse(), Ok(Span::days(30)));
        assert_eq!("2w".parse(), Ok(Span::days(14)));
        for bad in [
            "",
            "d",
            "30",
            "-1d",
            "+1d",
            "1.5d",
            "30 d",
            "9999999999d",
            "30D",
            "30ä",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
