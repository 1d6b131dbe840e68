//! Enrollment: an operator invites a device, and the device redeems the invite with a key of its own.
//!
//! What an operator says of an invite is signed by the issuing CA before it is recorded, and nothing else is
//! redeemed: whoever can write to the home and has no key gets no certificate.

pub mod batch;
pub mod by_bundle;
pub mod denial;
pub mod error;
pub mod fetch;
pub mod handout;
pub mod redeem;
pub mod renew;
pub mod second_use;
pub mod statement;

use rand_core::CryptoRng;
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::issuance::plan::{Intent, KeyRequest, Plan, Replaces, Request, plan};
use super::session::Session;
use super::{CaError, NotFound};
use crate::home::Home;
use crate::issuer::Devices;
use crate::key::{Passphrase, demand_threads, os_rng};
use crate::model::draft::Holder;
use crate::model::event::InviteCreated;
use crate::model::invite::{Approval, Fate, Invite, words_of};
use crate::model::{Address, Employee, Fact, InviteId, InviteSecret, Invited, Profile, Span, Time};
use crate::store::{Store, StoreError};
use error::EnrollmentError;
use handout::ended;

/// The shortest time for which an invite is open.
const SHORTEST: Span = Span::seconds(60);
/// The longest time for which an invite is open.
const LONGEST: Span = Span::days(30);

/// A device that is to be invited.
#[derive(Debug, Clone)]
pub struct Asking {
    /// The person and the device.
    pub holder: Holder,
    /// The life of the certificate in days; none for the profile's default.
    pub days: Option<i64>,
    /// The profile that bounds it.
    pub profile: Profile,
    /// The time for which the invite is open.
    pub open_for: Span,
    /// Whether a code travels apart from the secret.
    pub with_code: bool,
    /// Whether an operator compares the key with what the phone shows before it is certified.
    pub with_approval: bool,
    /// Whether the certificate that the device has is to be revoked when the invite is redeemed.
    pub replaces: Replaces,
}

/// An invite that is recorded, with what only the invited person may learn.
#[derive(Debug)]
pub struct Invitation {
    /// The invite.
    pub invite: Invite,
    /// Its secret, which is kept nowhere.
    pub secret: InviteSecret,
    /// Six digits that travel apart from the secret, where that was asked for; kept nowhere either.
    pub code: Option<Zeroizing<String>>,
    /// The device's invites that were open until now, and are cancelled.
    pub cancels: Vec<Invite>,
    /// The passphrase of the bundle that it hands out, where it does; kept nowhere.
    pub passphrase: Option<Passphrase>,
}

/// Decides whether a device can be invited at `now`: what would be refused to the phone is refused to the
/// operator.
///
/// # Errors
/// Where the invite would be open for too long or too short, or policy would refuse the certificate.
pub fn plan_invite(store: &Store, home: &Home, asking: &Asking, now: Time) -> Result<Plan, CaError> {
    if asking.open_for > LONGEST {
        return Err(EnrollmentError::TooLong.into());
    }
    if asking.open_for < SHORTEST {
        return Err(EnrollmentError::TooShort.into());
    }
    let request = Request {
        holder: asking.holder.clone(),
        days: asking.days,
        profile: asking.profile.clone(),
        key: KeyRequest::InMemory,
    };
    plan(store, home, &request, Intent::Invited(asking.replaces), now)
}

/// Invites devices, all of them in one batch. Of a device that is invited already the invite before is
/// cancelled: its secret may have gone astray.
///
/// # Errors
/// Where policy would refuse one of the certificates, or nothing can be recorded.
pub fn invite(
    session: &mut Session<'_>,
    devices: &Devices,
    askings: Vec<Asking>,
) -> Result<Vec<Invitation>, CaError> {
    demand_threads().map_err(CaError::NoThreads)?;
    let made = askings.into_iter().map(|asking| one(session, asking));
    let invitations: Vec<Invitation> = made.collect::<Result<_, _>>()?;
    let created: Vec<InviteCreated> = invitations
        .par_iter()
        .map(|one| statement::invite(devices, one.invite.clone()))
        .collect::<Result<_, _>>()?;
    let mut facts = Vec::new();
    for (invitation, created) in invitations.iter().zip(created) {
        facts.extend(ended(&session.store, &ids(&invitation.cancels))?);
        facts.push(Fact::InviteCreated(Box::new(created)));
    }
    session.commit(facts)?;
    for invitation in &invitations {
        handout::discard(&session.desk.home, &ids(&invitation.cancels));
    }
    Ok(invitations)
}

/// Makes an invite, which the issuing CA has not signed yet.
fn one(session: &Session<'_>, asking: Asking) -> Result<Invitation, CaError> {
    let rng = &mut os_rng();
    let planned = plan_invite(&session.store, &session.desk.home, &asking, session.now)?;
    let Holder {
        address,
        name,
        email,
        platform,
    } = asking.holder;
    let secret = InviteSecret::from_random(random(rng));
    let code = asking.with_code.then(|| six_digits(rng));
    let invite = Invite {
        id: InviteId::from_random(random(rng)),
        address,
        name,
        email,
        platform,
        profile: planned.draft().profile().to_owned(),
        days: asking.days,
        until: session.now + asking.open_for,
        token: secret.token(),
        code: code.as_ref().map(|code| secret.token_with(code)),
        approve: asking.with_approval,
        replace: asking.replaces == Replaces::Any,
        server_key: None,
    };
    Ok(Invitation {
        cancels: open_of_device(&session.store, &invite.address, session.now)?,
        invite,
        secret,
        code,
        passphrase: None,
    })
}

fn random<const LENGTH: usize>(rng: &mut impl CryptoRng) -> [u8; LENGTH] {
    let mut octets = [0; LENGTH];
    rng.fill_bytes(&mut octets);
    octets
}

/// Six decimal digits, each combination as likely as any other.
fn six_digits(rng: &mut impl CryptoRng) -> Zeroizing<String> {
    const CODES: u32 = 1_000_000;
    // The rest of the range would make some of them likelier.
    const FAIR: u32 = u32::MAX - u32::MAX % CODES;
    loop {
        let number = u32::from_be_bytes(random(rng));
        if number < FAIR {
            return Zeroizing::new(format!("{:06}", number % CODES));
        }
    }
}

/// The invites of a person that can still be redeemed at `now`.
///
/// # Errors
/// A damaged index.
pub fn open_of_employee(store: &Store, employee: &Employee, now: Time) -> Result<Vec<Invite>, CaError> {
    Ok(open(store.invites_of_employee(employee)?, now))
}

/// The invites of a device that can still be redeemed at `now`.
///
/// # Errors
/// A damaged index.
pub fn open_of_device(store: &Store, device: &Address, now: Time) -> Result<Vec<Invite>, CaError> {
    Ok(open(store.invites_of_device(device)?, now))
}

fn open(mut invites: Vec<Invited>, now: Time) -> Vec<Invite> {
    invites.retain(|invited| invited.state(now).is_open());
    invites.into_iter().map(|invited| invited.invite).collect()
}

/// The names of invites.
pub(in crate::ca) fn ids(invites: &[Invite]) -> Vec<InviteId> {
    invites.iter().map(|invite| invite.id).collect()
}

/// All invites that can still be redeemed at `now`, in the order of their devices.
///
/// # Errors
/// A damaged index.
pub fn all_open_invites(store: &Store, now: Time) -> Result<Vec<Invite>, StoreError> {
    let mut open = Vec::new();
    store.invites(&mut |invited| {
        if invited.state(now).is_open() {
            open.push(invited.invite);
        }
        Ok(())
    })?;
    open.sort_by(|one, other| (&one.address, one.id).cmp(&(&other.address, other.id)));
    Ok(open)
}

/// Takes invites back that were made and not handed over, all of them in one batch: nobody has the secret of
/// one, or somebody who was to get all of it has a part.
///
/// # Errors
/// Where it cannot be recorded.
pub fn withdraw_invites(session: &mut Session<'_>, invitations: &[Invitation]) -> Result<(), CaError> {
    let ids: Vec<InviteId> = invitations.iter().map(|one| one.invite.id).collect();
    let facts = ended(&session.store, &ids)?;
    session.commit(facts)?;
    handout::discard(&session.desk.home, &ids);
    Ok(())
}

/// Takes an invite back. The certificate of a bundle that nobody has fetched is revoked with it.
///
/// # Errors
/// Where there is none of that name, it has ended, or it cannot be recorded.
pub fn cancel_invite(session: &mut Session<'_>, id: &InviteId) -> Result<Invite, CaError> {
    let invited = session.store.invite(id)?.ok_or(NotFound::Invite(*id))?;
    let state = invited.state(session.now);
    if !state.is_open() {
        return Err(EnrollmentError::Ended { id: *id, state }.into());
    }
    let ids = [*id];
    let facts = ended(&session.store, &ids)?;
    session.commit(facts)?;
    handout::discard(&session.desk.home, &ids);
    Ok(invited.invite)
}

/// Approves the key that was shown for an invite, and no other: the operator has compared its words with what
/// the phone shows.
///
/// # Errors
/// Where there is no such invite, another key waits than the one that was compared, or it cannot be recorded.
pub fn approve_invite(
    session: &mut Session<'_>,
    devices: &Devices,
    id: &InviteId,
    words: &str,
) -> Result<Invite, CaError> {
    let invited = session.store.invite(id)?.ok_or(NotFound::Invite(*id))?;
    let state = invited.state(session.now);
    if !state.is_open() {
        return Err(EnrollmentError::Ended { id: *id, state }.into());
    }
    let spki = match invited.fate {
        Fate::Asked { spki } if words_of(&spki) == words => spki,
        Fate::Asked { .. } => return Err(EnrollmentError::OtherWords(*id).into()),
        Fate::Open | Fate::Approved { .. } | Fate::Redeemed { .. } | Fate::Cancelled { .. } => {
            return Err(EnrollmentError::NothingToApprove(*id).into());
        }
    };
    let statement = statement::approval(devices, &Approval { approves: *id, spki })?;
    session.commit(vec![Fact::InviteApproved {
        id: *id,
        spki,
        statement,
    }])?;
    Ok(invited.invite)
}
