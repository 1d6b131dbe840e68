//! Redeems invites. Whoever lacks the right secret gets one and the same answer, whatever has become of the
//! invite; whoever has it is told what is wrong.
//!
//! An invite belongs to the first key that comes with its secret. The same key gets the same certificate as
//! often as it asks, so that a lost answer costs nothing; another key is refused and recorded.

use zeroize::Zeroizing;

use super::batch::{Decision, again, planned};
use super::denial::Denial;
use super::statement;
use crate::ca::CaError;
use crate::ca::issuance::plan::{Intent, KeyRequest, Plan, Replaces, Request, plan};
use crate::ca::session::Session;
use crate::home::config::SecondTry;
use crate::key::PublicKey;
use crate::model::draft::Holder;
use crate::model::invite::{Approval, EnrolledBy, Fate, Invite, Invited, RefusedKey, words_of};
use crate::model::{Fact, InviteId, InviteSecret, InviteState, Profile, Reason, Serial};

/// How many other keys are recorded before an invite is suspended.
pub(super) const OTHER_KEYS: u32 = 3;
/// How many wrong codes an invite takes.
const WRONG_CODES: u32 = 5;

/// Somebody's try to redeem an invite.
pub struct Redeeming {
    /// The name of the invite, as it came.
    pub id: String,
    /// The secret, as it came.
    pub secret: Zeroizing<String>,
    /// The code, where one came.
    pub code: Option<Zeroizing<String>>,
    /// The key that is to be certified, whose holder proved to have it.
    pub key: PublicKey,
    /// The network that the try came from, as the ledger records it.
    pub from: String,
}

/// Somebody's question for the certificate that an invite has brought.
pub struct Showing {
    /// The name of the invite, as it came.
    pub id: String,
    /// The secret, as it came.
    pub secret: Zeroizing<String>,
}

/// Answers with the certificate of whoever has the secret. Nothing changes.
pub(super) fn show(session: &Session<'_>, showing: &Showing) -> Result<Decision, CaError> {
    let answer = match known(session, &showing.id, &showing.secret)? {
        None => Err(Denial::NoRight),
        Some((invited, _)) => match invited.fate {
            Fate::Redeemed { serial, .. } => again(session, &serial, Denial::Revoked)?,
            Fate::Open | Fate::Asked { .. } | Fate::Approved { .. } | Fate::Cancelled { .. } => {
                Err(Denial::Ended(invited.state(session.now)))
            }
        },
    };
    Ok(Decision::Now(answer))
}

pub(super) fn decide(session: &Session<'_>, attempt: &Redeeming) -> Result<Decision, CaError> {
    let refused = |denial| Ok(Decision::Now(Err(denial)));
    let Some((invited, secret)) = known(session, &attempt.id, &attempt.secret)? else {
        return refused(Denial::NoRight);
    };
    if invited.invite.server_key.is_some() {
        return refused(Denial::HandsOutFile);
    }
    let key = attempt.key.spki_sha256();
    let state = invited.state(session.now);
    match (&invited.fate, state) {
        (Fate::Redeemed { serial, spki, .. }, _) if *spki == key => {
            return again(session, serial, Denial::Revoked).map(Decision::Now);
        }
        (Fate::Redeemed { serial, .. }, _) => {
            let mut decision = refuse(&invited, key, &attempt.from, RefusedKey::AnotherKey);
            if let Decision::Record(facts, _) = &mut decision {
                facts.extend(second_try(session, &invited, serial)?);
            }
            return Ok(decision);
        }
        (_, InviteState::Open | InviteState::Asked | InviteState::Approved) => {}
        (_, ended) => return refused(Denial::Ended(ended)),
    }
    let invite = &invited.invite;
    match shown_code(&invited, &secret, attempt.code.as_deref().map(String::as_str)) {
        ShownCode::Right => {}
        ShownCode::Missing => return refused(Denial::WrongCode),
        ShownCode::Wrong => return Ok(refuse(&invited, key, &attempt.from, RefusedKey::WrongCode)),
    }
    if invite.approve
        && let Some(decision) = unapproved(session, &invited, attempt)?
    {
        return Ok(decision);
    }
    // That it is not there, or cannot be read, is for whoever keeps the home.
    let profile = session.desk.home.profile(&invite.profile)?;
    let key = KeyRequest::Own(attempt.key.clone());
    planned(plan_of(session, invite, profile, key))
}

/// What is decided of a key that no operator has approved; none of one that is approved.
fn unapproved(
    session: &Session<'_>,
    invited: &Invited,
    attempt: &Redeeming,
) -> Result<Option<Decision>, CaError> {
    let (id, key) = (invited.invite.id, attempt.key.spki_sha256());
    let waits = || Denial::Waits(words_of(&key));
    Ok(match &invited.fate {
        Fate::Open => Some(Decision::Record(
            vec![Fact::InviteAsked { id, spki: key }],
            waits(),
        )),
        Fate::Asked { spki } if *spki == key => Some(Decision::Now(Err(waits()))),
        Fate::Approved { spki } if *spki == key => {
            let approval = Approval {
                approves: id,
                spki: key,
            };
            let is_approved = statement::is_approved(session, &approval)?;
            (!is_approved).then(|| Decision::Now(Err(Denial::NoRight)))
        }
        Fate::Asked { .. } | Fate::Approved { .. } | Fate::Redeemed { .. } | Fate::Cancelled { .. } => {
            Some(refuse(invited, key, &attempt.from, RefusedKey::AnotherKey))
        }
    })
}

/// What the operator wants to follow from a second key: that the certificate of the first is revoked, or
/// nothing but that it is told.
pub(super) fn second_try(
    session: &Session<'_>,
    invited: &Invited,
    serial: &Serial,
) -> Result<Option<Fact>, CaError> {
    match session.desk.home.config().serve.on_second_try {
        SecondTry::Tell => Ok(None),
        SecondTry::Revoke => {
            let record = session.store.record(serial)?;
            let is_good = record.is_some_and(|record| record.revocation().is_none());
            Ok(is_good.then(|| Fact::Revoked {
                serial: *serial,
                address: Some(invited.invite.address.clone()),
                reason: Reason::Compromised,
                since: None,
            }))
        }
    }
}

/// The invite, where whoever tries has its secret, and the issuing CA has signed it.
pub(super) fn known(
    session: &Session<'_>,
    id: &str,
    secret: &str,
) -> Result<Option<(Invited, InviteSecret)>, CaError> {
    let id: Option<InviteId> = id.parse().ok();
    let invited = match &id {
        Some(id) => session.store.invite(id)?,
        None => None,
    };
    let secret = right_secret(invited.as_ref(), secret);
    let Some((invited, secret)) = invited.zip(secret) else {
        return Ok(None);
    };
    Ok(statement::is_signed(session, &invited.invite)?.then_some((invited, secret)))
}

/// The secret that came, where it is the invite's. One is hashed and compared once, whatever there is.
fn right_secret(invited: Option<&Invited>, given: &str) -> Option<InviteSecret> {
    let nobodys = InviteSecret::from_random([0; InviteSecret::LENGTH]);
    let given = InviteSecret::read(given);
    let is_well_formed = given.is_some();
    let secret = given.unwrap_or(nobodys);
    let shown = secret.token();
    let wanted = invited.map_or(shown, |invited| invited.invite.token);
    let is_right = shown == wanted && is_well_formed && invited.is_some();
    is_right.then_some(secret)
}

/// The code that came with a secret, held against the one that travelled apart.
pub(super) enum ShownCode {
    /// It is right, or none is asked for.
    Right,
    /// Whoever has not been asked for it yet has not tried.
    Missing,
    Wrong,
}

pub(super) fn shown_code(invited: &Invited, secret: &InviteSecret, code: Option<&str>) -> ShownCode {
    let given = code.unwrap_or_default().trim();
    match &invited.invite.code {
        None => ShownCode::Right,
        Some(_) if given.is_empty() => ShownCode::Missing,
        Some(code) if *code == secret.token_with(given) => ShownCode::Right,
        Some(_) => ShownCode::Wrong,
    }
}

/// Refuses a key, by the hash of its SubjectPublicKeyInfo, and records it unless nothing more of this invite
/// is recorded. The last that is recorded suspends it.
pub(super) fn refuse(invited: &Invited, spki: [u8; 32], from: &str, why: RefusedKey) -> Decision {
    let (denial, before, most) = match why {
        RefusedKey::AnotherKey => (Denial::AnotherKey, invited.refused, OTHER_KEYS),
        RefusedKey::WrongCode => (Denial::WrongCode, invited.wrong_codes, WRONG_CODES),
    };
    if invited.suspended.is_some() {
        return Decision::Now(Err(denial));
    }
    let id = invited.invite.id;
    let mut facts = vec![Fact::InviteRefused {
        id,
        spki,
        why,
        from: from.to_owned(),
    }];
    if before + 1 >= most {
        facts.push(Fact::InviteSuspended { id });
    }
    Decision::Record(facts, denial)
}

/// The plan for the certificate, or why there can be none any more.
pub(super) fn plan_of(
    session: &Session<'_>,
    invite: &Invite,
    profile: Profile,
    key: KeyRequest,
) -> Result<Plan, CaError> {
    let home = &session.desk.home;
    let request = Request {
        holder: Holder {
            address: invite.address.clone(),
            name: invite.name.clone(),
            email: invite.email.clone(),
            platform: invite.platform,
        },
        days: invite.days,
        profile,
        key,
    };
    let replaces = match invite.replace {
        true => Replaces::Any,
        false => Replaces::Nothing,
    };
    let mut plan = plan(
        &session.store,
        home,
        &request,
        Intent::Invited(replaces),
        session.now,
    )?;
    plan.enrolled_by = Some(EnrolledBy::Invite(invite.id));
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::invite_link::compared;
    use crate::model::{Platform, Time};

    fn invited(secret: &InviteSecret, fate: Fate, suspended: Option<Time>) -> Invited {
        Invited {
            invite: Invite {
                id: InviteId::from_random([7; 5]),
                address: "alice/phone".parse().unwrap(),
                name: None,
                email: None,
                platform: Platform::Any,
                profile: "device".into(),
                days: None,
                until: Time::from_unix(1_800_000_000),
                token: secret.token(),
                code: Some(secret.token_with("123456")),
                approve: false,
                replace: false,
                server_key: None,
            },
            created: Time::from_unix(1_800_000_000),
            fate,
            fetched_from: Vec::new(),
            refused: 0,
            wrong_codes: 0,
            suspended,
        }
    }

    #[test]
    fn a_secret_is_compared_once_whatever_has_become_of_the_invite() {
        let secret = InviteSecret::from_random([7; 16]);
        let at = Time::from_unix(1_800_000_000);
        let redeemed = Fate::Redeemed {
            serial: Serial::from_random([1; 16]),
            spki: [1; 32],
            at,
        };
        let there = [
            None,
            Some(invited(&secret, Fate::Open, None)),
            Some(invited(&secret, Fate::Open, Some(at))),
            Some(invited(&secret, Fate::Asked { spki: [1; 32] }, None)),
            Some(invited(&secret, redeemed, None)),
            Some(invited(&secret, Fate::Cancelled { at }, None)),
        ];
        for invited in &there {
            let right = secret.expose();
            for given in [
                &right,
                &right.to_lowercase(),
                "0123456789ABCDEFGHJKMNPQRR",
                "",
                "short",
                &"0".repeat(26),
            ] {
                let before = compared();
                let told = right_secret(invited.as_ref(), given);
                assert_eq!(compared() - before, 1, "{invited:?} {given}");
                let is_right = invited.is_some() && given.eq_ignore_ascii_case(&right);
                assert_eq!(told.is_some(), is_right, "{invited:?} {given}");
            }
        }
    }
}
