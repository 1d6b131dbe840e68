//! The canary: a certificate that is made only to be revoked, so that it can be seen whether servers act on
//! that. Beside it there is the control, which stays good for longer: a server that refuses both has not
//! acted on the revocation but lets nobody in.

use super::draft::{Draft, Holder, Issuer, Subject};
use super::platform::Platform;
use super::profile::{Names, Refusal};
use super::subject::Address;
use super::time::{Span, Time};
use super::validity::Validity;

/// The life of a canary that nobody revokes: its key is gone with the command that made it, long before.
const LIFE: Span = Span::minutes(60);
/// The life of a canary that is to be shown when it has expired.
const SHORT_LIFE: Span = Span::seconds(1);

impl Address {
    /// The address of a canary. No other certificate is issued with that name.
    pub fn canary() -> Self {
        "pki-check/canary".parse().expect("both parts are short names")
    }

    /// The address of a control.
    pub fn control() -> Self {
        "pki-check/control".parse().expect("both parts are short names")
    }

    /// The address of a canary that expires before it is shown.
    pub fn ended_canary() -> Self {
        "pki-check/ended".parse().expect("both parts are short names")
    }

    /// Whether no device may have this address: the employee is no person.
    pub fn is_reserved(&self) -> bool {
        self.employee == Self::canary().employee
    }
}

impl Draft {
    /// The longest that a canary can be waited for.
    pub const CANARY_WAIT: Span = Span::minutes(30);

    /// The draft of a canary, or of a control. It has no profile that could be changed: a server must take it
    /// for any device.
    ///
    /// # Errors
    /// Where the issuer's certificate is not good at `now`, or ends within the canary's life.
    pub fn canary(address: Address, issuer: &Issuer, names: Names, now: Time) -> Result<Self, Refusal> {
        Self::of_life(LIFE, address, issuer, names, now)
    }

    /// The draft of a canary that has expired by the time it is shown.
    ///
    /// # Errors
    /// Where the issuer's certificate is not good at `now`, or ends within the canary's life.
    pub fn ended_canary(issuer: &Issuer, names: Names, now: Time) -> Result<Self, Refusal> {
        Self::of_life(SHORT_LIFE, Address::ended_canary(), issuer, names, now)
    }

    fn of_life(
        life: Span,
        address: Address,
        issuer: &Issuer,
        names: Names,
        now: Time,
    ) -> Result<Self, Refusal> {
        if now < issuer.validity.not_before {
            return Err(Refusal::IssuerNotYet(issuer.validity.not_before));
        }
        let validity = Validity {
            not_after: now + life,
            ..Validity::starting(now, issuer.validity.not_before, life)
        };
        if validity.not_after > issuer.validity.not_after {
            return Err(Refusal::IssuerEnds(issuer.validity.not_after));
        }
        Ok(Self {
            subject: Subject {
                organization: issuer.organization.clone(),
                uid: address.clone(),
                common_name: match names {
                    Names::Shown => Some(format!("pki check ({})", address.device)),
                    Names::Hidden => None,
                },
            },
            rfc822_name: None,
            validity,
            days: None,
            holder: Holder {
                address,
                name: None,
                email: None,
                platform: Platform::default(),
            },
            profile: "canary".into(),
            remarks: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_good_for_an_hour_and_within_its_issuer() {
        let now = Time::from_unix(1_800_000_000);
        let issuer = |left| Issuer {
            organization: "Acme Ltd".into(),
            validity: Validity {
                not_before: now - Span::days(1),
                not_after: now + left,
            },
            constraints: Vec::new(),
        };
        let draft = Draft::canary(Address::canary(), &issuer(Span::days(9)), Names::Shown, now).unwrap();
        assert_eq!(draft.validity().not_before, now - Span::minutes(5));
        assert_eq!(draft.validity().not_after, now + Span::minutes(60));
        assert!(Draft::CANARY_WAIT < LIFE);
        assert_eq!(draft.subject().uid.to_string(), "pki-check/canary");
        assert_eq!(draft.subject().common_name.as_deref(), Some("pki check (canary)"));
        assert!(Address::canary().is_reserved() && Address::control().is_reserved());
        assert!(!"alice/canary".parse::<Address>().unwrap().is_reserved());
        let refused = Draft::canary(Address::control(), &issuer(Span::minutes(59)), Names::Shown, now);
        assert!(matches!(refused, Err(Refusal::IssuerEnds(_))));
        let ended = Draft::ended_canary(&issuer(Span::days(9)), Names::Shown, now).unwrap();
        assert_eq!(ended.validity().not_after, now + Span::seconds(1));
        assert!(Address::ended_canary().is_reserved());
        let hidden = Draft::canary(Address::control(), &issuer(Span::days(9)), Names::Hidden, now).unwrap();
        assert_eq!(hidden.subject().common_name, None);
    }
}
