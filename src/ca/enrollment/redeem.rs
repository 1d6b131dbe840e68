//! Redeems invites. Whoever lacks the right secret gets one and the same answer, whatever has become of the
//! invite; whoever has it is told what is wrong.
//!
//! An invite belongs to the first key that comes with its secret. The same key gets the same certificate as
//! often as it asks, so that a lost answer costs nothing; another key is refused and recorded.

use super::{STATEMENT, payload};
use zeroize::Zeroizing;

use crate::ca::CaError;
use crate::ca::delivery::in_memory::InMemory;
use crate::ca::issuance::issue;
use crate::ca::issuance::plan::{Intent, KeyRequest, Plan, Replaces, Request, plan};
use crate::ca::session::Session;
use crate::issuer::Devices;
use crate::key::PublicKey;
use crate::model::draft::Holder;
use crate::model::fault::{Fault, Kind};
use crate::model::invite::{EnrolledBy, Fate, Invite, Invited, RefusedKey};
use crate::model::{Fact, InviteId, InviteSecret, InviteState, Serial};
use crate::publish::Statement;

/// How many other keys are recorded before an invite is suspended.
const OTHER_KEYS: u32 = 3;
/// How many wrong codes an invite takes.
const WRONG_CODES: u32 = 5;

/// Somebody's try to redeem an invite.
pub struct Attempt {
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

/// The certificate that an invite brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeemed {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Its serial number.
    pub serial: Serial,
    /// Whether it was issued just now, and not handed out again.
    pub is_new: bool,
}

/// The reason for which an invite is not redeemed.
#[derive(Debug, thiserror::Error)]
pub enum Denial {
    /// Whoever asks lacks the right secret, or there is no such invite. Nothing else may be told.
    #[error("there is no such invite, or this is not its secret")]
    NoRight,
    /// The code that travels apart is missing or wrong.
    #[error("the six digits that came apart from the code are missing or wrong")]
    WrongCode,
    /// The invite belongs to another key.
    #[error("this invite was used by another device")]
    AnotherKey,
    /// The invite has ended.
    #[error("this invite is {}", .0.word())]
    Ended(InviteState),
    /// The certificate that it brought is revoked.
    #[error("the certificate that this invite brought is revoked")]
    Revoked,
    /// Policy, or what has become of the device meanwhile, does not let it have a certificate.
    #[error(transparent)]
    Refused(CaError),
}

/// What to do about an attempt.
enum Decision {
    /// Nothing changes.
    Now(Result<Redeemed, Denial>),
    /// This is recorded, and then refused.
    Record(Vec<Fact>, Denial),
    Issue(Box<Plan>),
}

/// Decides about attempts, and carries out what can be, as few batches as there can be: an invite, and a
/// person, changes once in each. Answers in the order of the attempts.
///
/// # Errors
/// Where nothing more could be recorded. What was recorded before is answered when the same is asked again.
pub fn redeem(
    session: &mut Session<'_>,
    devices: &Devices,
    attempts: &[Attempt],
) -> Result<Vec<Result<Redeemed, Denial>>, CaError> {
    let mut answers: Vec<Option<Result<Redeemed, Denial>>> = attempts.iter().map(|_| None).collect();
    while answers.iter().any(Option::is_none) {
        let mut round = Round::default();
        let waiting = attempts.iter().zip(&mut answers).enumerate();
        for (place, (attempt, answer)) in waiting.filter(|(_, (_, answer))| answer.is_none()) {
            *answer = round.take(session, place, attempt)?;
        }
        session.commit(round.facts)?;
        let mut delivery = InMemory::default();
        issue(session, devices, round.plans, &mut delivery)?;
        for (place, (issued, _)) in round.places.into_iter().zip(delivery.taken) {
            answers[place] = Some(Ok(Redeemed {
                serial: issued.serial,
                certificate: issued.certificate,
                is_new: true,
            }));
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

/// What is recorded at once.
#[derive(Default)]
struct Round {
    facts: Vec<Fact>,
    plans: Vec<Plan>,
    /// The places of the attempts that have the plans.
    places: Vec<usize>,
    /// The invites that change.
    invites: Vec<InviteId>,
}

impl Round {
    /// The answer to an attempt, where there is one already; none where it waits for this round, or for the
    /// next.
    fn take(
        &mut self,
        session: &Session<'_>,
        place: usize,
        attempt: &Attempt,
    ) -> Result<Option<Result<Redeemed, Denial>>, CaError> {
        let id = attempt.id.parse().ok();
        if id.is_some_and(|id| self.invites.contains(&id)) {
            return Ok(None);
        }
        match decide(session, attempt)? {
            Decision::Now(answer) => Ok(Some(answer)),
            Decision::Record(facts, denial) => {
                self.facts.extend(facts);
                self.invites.extend(id);
                Ok(Some(Err(denial)))
            }
            Decision::Issue(plan) => {
                // What one batch issues is not in the ledger yet when the next plan is made.
                if self.plans.iter().any(|other| concerns(other, &plan)) {
                    return Ok(None);
                }
                self.invites.extend(id);
                self.places.push(place);
                self.plans.push(*plan);
                Ok(None)
            }
        }
    }
}

/// Whether one plan would be made otherwise if the other had been carried out: they are for the same person
/// or the same key, or one of them is called as the other.
fn concerns(one: &Plan, other: &Plan) -> bool {
    let names = |plan: &Plan, of: &Plan| {
        let name = plan.draft().holder().name.as_ref();
        name.is_some_and(|name| {
            let name = name.as_str().to_lowercase();
            name.split('/').next() == Some(of.address().employee.as_str())
        })
    };
    one.address().employee == other.address().employee
        || one.key == other.key
        || names(one, other)
        || names(other, one)
}

fn decide(session: &Session<'_>, attempt: &Attempt) -> Result<Decision, CaError> {
    let refused = |denial| Ok(Decision::Now(Err(denial)));
    let Some((invited, secret)) = known(session, attempt)? else {
        return refused(Denial::NoRight);
    };
    let key = attempt.key.spki_sha256();
    let state = invited.state(session.now);
    match (&invited.fate, state) {
        (Fate::Redeemed { serial, spki, .. }, _) if *spki == key => {
            return again(session, serial).map(Decision::Now);
        }
        (Fate::Redeemed { .. }, _) => {
            let is_recorded = invited.suspended.is_none();
            return Ok(refuse(&invited, attempt, RefusedKey::AnotherKey, is_recorded));
        }
        (_, InviteState::Open | InviteState::Asked | InviteState::Approved) => {}
        (_, ended) => return refused(Denial::Ended(ended)),
    }
    let invite = &invited.invite;
    if let Some(code) = &invite.code
        && *code != secret.token_with(attempt.code.as_ref().map_or("", |code| code.trim()))
    {
        return Ok(refuse(&invited, attempt, RefusedKey::WrongCode, true));
    }
    Ok(match planned(session, invite, attempt.key.clone()) {
        Ok(plan) => Decision::Issue(Box::new(plan)),
        Err(why) if is_of_this_machine(&why) => return Err(why),
        Err(why) => Decision::Now(Err(Denial::Refused(why))),
    })
}

/// The invite, where whoever tries has its secret, and the issuing CA has signed it. The secret is compared
/// once, whatever there is.
fn known(session: &Session<'_>, attempt: &Attempt) -> Result<Option<(Invited, InviteSecret)>, CaError> {
    let id: Option<InviteId> = attempt.id.parse().ok();
    let invited = match &id {
        Some(id) => session.store.invite(id)?,
        None => None,
    };
    let nobodys = InviteSecret::from_random([0; InviteSecret::LENGTH]);
    let given = InviteSecret::read(&attempt.secret);
    let is_well_formed = given.is_some();
    let secret = given.unwrap_or(nobodys);
    let shown = secret.token();
    let wanted = invited.as_ref().map_or(shown, |invited| invited.invite.token);
    let is_right = shown == wanted && is_well_formed;
    let Some(invited) = invited.filter(|_| is_right) else {
        return Ok(None);
    };
    Ok(is_signed(session, &invited.invite)?.then_some((invited, secret)))
}

/// Whether the issuing CA has signed this invite.
fn is_signed(session: &Session<'_>, invite: &Invite) -> Result<bool, CaError> {
    let Some(created) = session.store.invite_created(&invite.id)? else {
        return Ok(false);
    };
    let root = session.desk.home.chain().root();
    let statement = Statement::of_root(STATEMENT, created.statement.as_bytes(), root);
    Ok(statement.is_ok_and(|statement| statement.payload() == payload(invite)))
}

/// Hands out once more what the invite brought.
fn again(session: &Session<'_>, serial: &Serial) -> Result<Result<Redeemed, Denial>, CaError> {
    let Some(record) = session.store.record(serial)? else {
        return Ok(Err(Denial::Revoked));
    };
    if record.revocation().is_some() {
        return Ok(Err(Denial::Revoked));
    }
    Ok(match session.store.issued(&record)? {
        Some(issued) => Ok(Redeemed {
            serial: issued.serial,
            certificate: issued.certificate,
            is_new: false,
        }),
        None => Err(Denial::Revoked),
    })
}

/// Refuses a key, and records it unless nothing more of this invite is recorded. The last that is recorded
/// suspends it.
fn refuse(invited: &Invited, attempt: &Attempt, why: RefusedKey, is_recorded: bool) -> Decision {
    let (denial, before, most) = match why {
        RefusedKey::AnotherKey => (Denial::AnotherKey, invited.refused, OTHER_KEYS),
        RefusedKey::WrongCode => (Denial::WrongCode, invited.wrong_codes, WRONG_CODES),
    };
    if !is_recorded {
        return Decision::Now(Err(denial));
    }
    let id = invited.invite.id;
    let mut facts = vec![Fact::InviteRefused {
        id,
        spki: attempt.key.spki_sha256(),
        why,
        from: attempt.from.clone(),
    }];
    if before + 1 >= most {
        facts.push(Fact::InviteSuspended { id });
    }
    Decision::Record(facts, denial)
}

/// Whether the fault is this machine's, and not of whoever asks.
fn is_of_this_machine(why: &CaError) -> bool {
    match why.kind() {
        Kind::Storage | Kind::Damaged | Kind::Busy | Kind::ClockDoubt | Kind::Incomplete | Kind::Bug => true,
        Kind::NotFound
        | Kind::Conflict
        | Kind::PolicyRefused
        | Kind::KeyRefused
        | Kind::BadRequest
        | Kind::SecretWrong
        | Kind::ConfirmationNeeded
        | Kind::Elsewhere => false,
    }
}

/// The plan for the certificate, or why there can be none any more.
fn planned(session: &Session<'_>, invite: &Invite, key: PublicKey) -> Result<Plan, CaError> {
    let home = &session.desk.home;
    let request = Request {
        holder: Holder {
            address: invite.address.clone(),
            name: invite.name.clone(),
            email: invite.email.clone(),
            platform: invite.platform,
        },
        days: invite.days,
        profile: home.profile(&invite.profile)?,
        key: KeyRequest::Own(key),
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
