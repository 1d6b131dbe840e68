//! A certificate profile: bounds on the certificates that a CA can be asked to sign.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::Address;
use super::draft::{Draft, EmailLeftOut, Holder, Issuer, Remark, Subject};
use super::fault::{Fault, Kind};
use super::host::Host;
use super::text::quoted;
use super::time::{Span, Time};
use super::validity::Validity;

/// The bounds of one kind of certificate, read once from a template and fixed from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    name: String,
    days: i64,
    max_days: i64,
    spread: Span,
    renewals: u32,
    grace: Span,
    hmac: Vec<Host>,
}

/// Whether people's names go into certificates (`names_in_certificates` in `pki.toml`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "bool")]
pub enum Names {
    /// CN has the name and the device.
    Shown,
    /// O and UID only.
    Hidden,
}

impl From<bool> for Names {
    fn from(shown: bool) -> Self {
        if shown { Self::Shown } else { Self::Hidden }
    }
}

/// The reason for which a profile is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProfile {
    /// The file is not TOML of the right keys.
    #[error("{0}")]
    Syntax(String),
    /// A life that makes no sense.
    #[error(
        "days = {days} and max_days = {max_days}: days must be 1 or more, and at most max_days, which is at most 398"
    )]
    Lifetimes {
        /// The default life, in days.
        days: i64,
        /// The longest life that it permits, in days.
        max_days: i64,
    },
    /// More renewals or more grace than make sense.
    #[error(
        "renewals = {renewals} and grace_days = {grace_days}: at most 1000 renewals, and 30 days of grace"
    )]
    Renewals {
        /// How often a device renews by itself.
        renewals: u32,
        /// For how many days after its end a certificate is renewed.
        grace_days: u32,
    },
    /// The name is not a file name of ours.
    #[error("{0} is not a profile's name: use a-z, 0-9 and hyphen")]
    Name(String),
}

/// The reasons for which a certificate is not drafted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The life asked for is longer than the profile's bound, or none at all.
    #[error("{asked} days is outside what profile {profile} allows (1 to {max})")]
    Days {
        /// The life that was asked for, in days.
        asked: i64,
        /// The longest life that is permitted, in days.
        max: i64,
        /// The name of the profile.
        profile: String,
    },
    /// The life asked for is longer than a server's certificate may have, or none at all.
    #[error("{asked} days is outside what a server's certificate may live (1 to {max})")]
    ServerDays {
        /// The life that was asked for, in days.
        asked: i64,
        /// The longest life that is permitted, in days.
        max: i64,
    },
    /// The CAs cannot vouch for this host.
    #[error("{0} lies outside of what the name constraints of this PKI's CAs permit")]
    Host(Host),
    /// The issuing CA expires too soon.
    #[error("the issuing CA is good until {}: a certificate would be good for less than 7 days, or not at all", .0.date())]
    IssuerEnds(Time),
    /// The issuing CA's certificate is not good yet, by this clock.
    #[error("the issuing CA's certificate is good from {0} on, and the clock stands before that")]
    IssuerNotYet(Time),
}

impl Fault for Refusal {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        let kind = match self {
            Self::Days { .. } | Self::ServerDays { .. } | Self::Host(_) | Self::IssuerEnds(_) => {
                Kind::PolicyRefused
            }
            Self::IssuerNotYet(_) => Kind::ClockDoubt,
        };
        (kind, "policy")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    days: i64,
    max_days: i64,
    #[serde(default = "renewals")]
    renewals: u32,
    #[serde(default)]
    grace_days: u32,
    #[serde(default)]
    hmac: Vec<Host>,
}

/// How often a device renews by itself where its profile does not say it.
fn renewals() -> u32 {
    8
}

impl Issuer {
    /// The shortest life that is worth handing out where the CA's end cuts it.
    const WORTHWHILE: Span = Span::days(7);

    /// The validity of a certificate that is issued at `now` for `life`, but not beyond the end of the CA's
    /// own.
    ///
    /// # Errors
    /// Where the CA has too little left, or has not begun.
    pub fn validity_of(&self, life: Span, now: Time) -> Result<Validity, Refusal> {
        if now < self.validity.not_before {
            return Err(Refusal::IssuerNotYet(self.validity.not_before));
        }
        if self.validity.not_after - now < Self::WORTHWHILE {
            return Err(Refusal::IssuerEnds(self.validity.not_after));
        }
        let mut validity = Validity::starting(now, self.validity.not_before, life);
        validity.not_after = validity.not_after.min(self.validity.not_after);
        Ok(validity)
    }
}

impl Profile {
    /// The longest life that any profile may allow, in days.
    pub const LIMIT: i64 = 398;
    /// The most characters of a CN (RFC 5280 appendix A.1: ub-common-name).
    const COMMON_NAME: usize = 64;

    /// The profile called `name`, from the text of its template.
    ///
    /// # Errors
    /// Where the text is not a profile's, or its bounds make no sense.
    pub fn parse(name: &str, text: &str) -> Result<Self, InvalidProfile> {
        Self::check_name(name)?;
        let file: File =
            toml::from_str(text).map_err(|e| InvalidProfile::Syntax(e.to_string().trim_end().to_owned()))?;
        let File {
            days,
            max_days,
            renewals,
            grace_days,
            hmac,
        } = file;
        if days < 1 || days > max_days || max_days > Self::LIMIT {
            return Err(InvalidProfile::Lifetimes { days, max_days });
        }
        if renewals > 1000 || grace_days > 30 {
            return Err(InvalidProfile::Renewals { renewals, grace_days });
        }
        Ok(Self {
            name: name.to_owned(),
            days,
            max_days,
            spread: Span::days(0),
            renewals,
            grace: Span::days(i64::from(grace_days)),
            hmac,
        })
    }

    /// The same profile with another default life, within its bound.
    #[must_use]
    pub fn of_days(mut self, days: i64) -> Self {
        self.days = days.clamp(1, self.max_days);
        self
    }

    /// The same profile with expiry dates that are spread over this time, where nobody asks for a life.
    #[must_use]
    pub fn spread_over(mut self, spread: Span) -> Self {
        self.spread = spread;
        self
    }

    /// The life of a device's certificate where nobody asks for one. What is issued on one day, and renewed
    /// on one day, would end on one day: each device's ends some days earlier, always as many, and never more
    /// than half of its life.
    fn life(&self, address: &Address) -> Span {
        let most = (self.spread.as_seconds() / 86_400).min(self.days / 2).max(0);
        let digest = Sha256::digest(address.to_string());
        let number = digest
            .iter()
            .take(8)
            .fold(0, |number: u64, octet| number << 8 | u64::from(*octet));
        let earlier = number % (most.unsigned_abs() + 1);
        Span::days(self.days - i64::try_from(earlier).unwrap_or(0))
    }

    /// The name of the profile.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The default life in days.
    pub fn days(&self) -> i64 {
        self.days
    }

    /// The longest life that may be asked for, in days.
    pub fn max_days(&self) -> i64 {
        self.max_days
    }

    /// How often a device may renew by itself until an operator has a hand in it again.
    pub fn renewals(&self) -> u32 {
        self.renewals
    }

    /// For how long after its end a certificate may be renewed by its device.
    pub fn grace(&self) -> Span {
        self.grace
    }

    /// The hosts for which a device gets a shared key with its certificate.
    pub fn hmac(&self) -> &[Host] {
        &self.hmac
    }

    /// Whether `name` is fit to name a profile, and so a file among the templates.
    ///
    /// # Errors
    /// Where it is not.
    pub fn check_name(name: &str) -> Result<(), InvalidProfile> {
        let good = !name.is_empty()
            && name.len() <= 32
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if good {
            Ok(())
        } else {
            Err(InvalidProfile::Name(quoted(name)))
        }
    }

    /// Drafts the certificate of `holder`, to be made at `now` and signed by `issuer`.
    ///
    /// # Errors
    /// Where the life asked for is out of bounds, or the issuer has too little left of its own.
    pub fn draft(
        &self,
        holder: Holder,
        days: Option<i64>,
        names: Names,
        issuer: &Issuer,
        now: Time,
    ) -> Result<Draft, Refusal> {
        let asked = days;
        let days = asked.unwrap_or(self.days);
        if !(1..=self.max_days).contains(&days) {
            return Err(Refusal::Days {
                asked: days,
                max: self.max_days,
                profile: self.name.clone(),
            });
        }
        let life = asked.map_or_else(|| self.life(&holder.address), Span::days);
        let validity = issuer.validity_of(life, now)?;
        let mut remarks = Vec::new();
        if validity.not_after - validity.not_before < Span::seconds(life.as_seconds() - 1) {
            remarks.push(Remark::CutToIssuer {
                not_after: validity.not_after,
            });
        }
        let rfc822_name = match &holder.email {
            Some(email) if !email.as_str().is_ascii() => {
                remarks.push(Remark::EmailLeftOut {
                    email: email.clone(),
                    why: EmailLeftOut::NotAscii,
                });
                None
            }
            Some(email) if !issuer.constraints.iter().all(|c| c.permit_email(email)) => {
                remarks.push(Remark::EmailLeftOut {
                    email: email.clone(),
                    why: EmailLeftOut::NotPermitted,
                });
                None
            }
            // A name in the SAN would defeat `names_in_certificates = false`.
            email => email.clone().filter(|_| names == Names::Shown),
        };
        let subject = Subject {
            organization: issuer.organization.clone(),
            uid: holder.address.clone(),
            common_name: match names {
                Names::Shown => Some(common_name(&holder)),
                Names::Hidden => None,
            },
        };
        remarks.extend(
            subject
                .common_name
                .as_ref()
                .filter(|cut| !cut.starts_with(shown_name(&holder)))
                .map(|cut| Remark::NameCut {
                    common_name: cut.clone(),
                }),
        );
        Ok(Draft {
            subject,
            rfc822_name,
            validity,
            holder,
            profile: self.name.clone(),
            days: asked,
            remarks,
        })
    }
}

/// `Alice Doe (phone)`: the name cut so that the whole has at most 64 characters. The parentheses keep
/// verifiers from reading `alice.smith` as a host name and applying DNS name constraints to it.
fn common_name(holder: &Holder) -> String {
    let device = &holder.address.device;
    let suffix = format!(" ({device})");
    let name = shown_name(holder);
    let room = Profile::COMMON_NAME - suffix.chars().count();
    let cut: String = name.chars().take(room).collect();
    format!("{}{suffix}", cut.trim_end())
}

/// What a person is called, else her short name.
fn shown_name(holder: &Holder) -> &str {
    let employee = holder.address.employee.as_str();
    holder.name.as_ref().map_or(employee, |name| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::constraints::NameConstraints;

    fn now() -> Time {
        Time::from_unix(1_800_000_000)
    }

    fn issuer(days_left: i64) -> Issuer {
        Issuer {
            organization: "Acme Ltd".into(),
            validity: Validity {
                not_before: now() - Span::days(1),
                not_after: now() + Span::days(days_left),
            },
            constraints: vec![NameConstraints {
                domains: vec!["acme.example".parse().unwrap()],
                ..NameConstraints::default()
            }],
        }
    }

    fn holder(address: &str) -> Holder {
        Holder {
            address: address.parse().unwrap(),
            name: None,
            email: None,
            platform: Default::default(),
        }
    }

    fn profile() -> Profile {
        Profile::parse("device", "days = 90\nmax_days = 398").unwrap()
    }

    fn draft(holder: Holder, days: Option<i64>, issuer: &Issuer) -> Result<Draft, Refusal> {
        profile().draft(holder, days, Names::Shown, issuer, now())
    }

    #[test]
    fn a_life_is_counted_from_five_minutes_ago_to_its_last_second() {
        let validity = draft(holder("alice/phone"), None, &issuer(900))
            .unwrap()
            .validity();
        assert_eq!(validity.not_before, now() - Span::minutes(5));
        assert_eq!(
            validity.not_after,
            now() - Span::minutes(5) + Span::days(90) - Span::seconds(1)
        );
    }

    #[test]
    fn no_certificate_begins_before_its_issuer() {
        let mut issuer = issuer(900);
        issuer.validity.not_before = now() - Span::minutes(1);
        let validity = draft(holder("alice/phone"), None, &issuer).unwrap().validity();
        assert_eq!(validity.not_before, issuer.validity.not_before);
        issuer.validity.not_before = now() + Span::seconds(1);
        assert!(matches!(
            draft(holder("alice/phone"), None, &issuer),
            Err(Refusal::IssuerNotYet(_))
        ));
    }

    #[test]
    fn no_certificate_outlives_its_issuer_or_lives_a_few_days_only() {
        let cut = draft(holder("alice/phone"), None, &issuer(30)).unwrap();
        assert_eq!(cut.validity().not_after, issuer(30).validity.not_after);
        assert_eq!(
            cut.remarks(),
            [Remark::CutToIssuer {
                not_after: cut.validity().not_after
            }]
        );
        assert!(matches!(
            draft(holder("alice/phone"), None, &issuer(6)),
            Err(Refusal::IssuerEnds(_))
        ));
    }

    #[test]
    fn ends_are_spread_over_days_and_stay_where_they_are() {
        let spread = profile().spread_over(Span::days(14));
        let lives = |profile: &Profile, asked| -> Vec<i64> {
            let life = |number| {
                let holder = holder(&format!("employee{number}/phone"));
                let draft = profile
                    .draft(holder, asked, Names::Shown, &issuer(900), now())
                    .unwrap();
                draft.validity().days()
            };
            (0..200).map(life).collect()
        };
        let mut ends = lives(&spread, None);
        assert_eq!(ends, lives(&spread, None));
        assert_eq!(lives(&spread, Some(365)), [365; 200]);
        assert_eq!(lives(&profile(), None), [90; 200]);
        ends.sort_unstable();
        ends.dedup();
        assert_eq!(ends, (76..=90).collect::<Vec<_>>());
        let short = lives(&spread.of_days(3), None);
        assert!(short.iter().all(|days| (2..=3).contains(days)), "{short:?}");
    }

    #[test]
    fn a_life_beyond_the_bound_is_refused() {
        assert!(draft(holder("alice/phone"), Some(398), &issuer(900)).is_ok());
        for days in [399, 0, -1, i64::MAX] {
            assert!(matches!(
                draft(holder("alice/phone"), Some(days), &issuer(900)),
                Err(Refusal::Days { .. })
            ));
        }
    }

    #[test]
    fn an_email_outside_the_constraints_stays_out_and_is_told() {
        for (email, inside) in [
            ("a@acme.example", true),
            ("a@hr.acme.example", true),
            ("a@evil.example", false),
            ("ä@acme.example", false),
        ] {
            let asked = Holder {
                email: Some(email.parse().unwrap()),
                ..holder("alice/phone")
            };
            let draft = draft(asked, None, &issuer(900)).unwrap();
            assert_eq!(draft.rfc822_name().is_some(), inside, "{email}");
            assert_eq!(draft.remarks().is_empty(), inside, "{email}");
            assert!(draft.holder().email.is_some());
        }
    }

    #[test]
    fn a_common_name_fits_and_never_looks_like_a_host() {
        let cn = |h| {
            draft(h, None, &issuer(900))
                .unwrap()
                .subject()
                .common_name
                .clone()
                .unwrap()
        };
        assert_eq!(cn(holder("alice.smith/phone")), "alice.smith (phone)");
        let long = Holder {
            name: Some("ü".repeat(128).parse().unwrap()),
            ..holder("alice/phone")
        };
        assert_eq!(cn(long).chars().count(), 64);
    }

    #[test]
    fn names_can_be_kept_out_of_certificates() {
        let asked = Holder {
            email: Some("a@acme.example".parse().unwrap()),
            ..holder("alice/phone")
        };
        let draft = profile()
            .draft(asked, None, Names::Hidden, &issuer(900), now())
            .unwrap();
        assert_eq!(
            (draft.subject().common_name.as_ref(), draft.rfc822_name()),
            (None, None)
        );
    }

    #[test]
    fn a_profile_with_impossible_bounds_is_none() {
        for text in [
            "days = 0\nmax_days = 9",
            "days = 10\nmax_days = 9",
            "days = 1\nmax_days = 399",
        ] {
            assert!(
                matches!(
                    Profile::parse("device", text),
                    Err(InvalidProfile::Lifetimes { .. })
                ),
                "{text}"
            );
        }
        assert!(matches!(
            Profile::parse("device", "days = 1"),
            Err(InvalidProfile::Syntax(_))
        ));
        assert!(matches!(
            Profile::parse("../x", "days = 1\nmax_days = 2"),
            Err(InvalidProfile::Name(_))
        ));
    }
}
