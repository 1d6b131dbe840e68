//! Hands out the bundle of an invite to whoever has its secret. The first fetch delivers the certificate; the
//! same network gets the same bundle again until the invite ends, because answers are lost. Another network
//! gets it as well, for phones change theirs, and each is recorded and told.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::batch::{Decision, Granted, How, planned};
use super::denial::Denial;
use super::handout;
use super::redeem::{OTHER_KEYS, ShownCode, known, plan_of, refuse, second_try, shown_code};
use crate::bundle::is_of;
use crate::ca::CaError;
use crate::ca::issuance::plan::{KeyRequest, Plan};
use crate::ca::session::Session;
use crate::model::event::Issued;
use crate::model::invite::{Fate, Invited, RefusedKey};
use crate::model::{Fact, InviteState, Reason, Record, Serial};

/// Somebody's try to fetch the bundle of an invite.
pub struct Fetching {
    /// The name of the invite, as it came.
    pub id: String,
    /// The secret, as it came.
    pub secret: Zeroizing<String>,
    /// The code, where one came.
    pub code: Option<Zeroizing<String>>,
    /// The network that the try came from, as the ledger records it.
    pub from: String,
}

pub(super) fn decide(session: &Session<'_>, fetching: &Fetching) -> Result<Decision, CaError> {
    let refused = |denial| Ok(Decision::Now(Err(denial)));
    let Some((invited, secret)) = known(session, &fetching.id, &fetching.secret)? else {
        return refused(Denial::NoRight);
    };
    let Some(serial) = invited.invite.server_key else {
        return refused(Denial::MakesItsKey);
    };
    if !handout::is_open(&invited, session.now) {
        let state = invited.state(session.now);
        // What was fetched is not handed out for ever.
        return refused(Denial::Ended(
            match (state == InviteState::Redeemed, invited.suspended) {
                (false, _) => state,
                (true, Some(_)) => InviteState::Suspended,
                (true, None) => InviteState::Expired,
            },
        ));
    }
    let record = session.store.record(&serial)?;
    let Some(record) = record.filter(|record| record.revocation().is_none()) else {
        return refused(Denial::Revoked);
    };
    match shown_code(&invited, &secret, fetching.code.as_deref().map(String::as_str)) {
        ShownCode::Right => {}
        ShownCode::Missing => return refused(Denial::WrongCode),
        ShownCode::Wrong => {
            let why = RefusedKey::WrongCode;
            return Ok(refuse(&invited, record.spki_sha256, &fetching.from, why));
        }
    }
    let issued = session.store.issued(&record)?;
    let bundle = handout::bundle(&session.desk.home, &invited.invite.id)?;
    let (Some(issued), Some(bundle)) = (issued, bundle) else {
        return refused(Denial::NoFile);
    };
    if !is_of(&bundle, &issued.certificate) {
        return refused(Denial::NoFile);
    }
    match invited.fate {
        Fate::Redeemed { .. } => again(session, &invited, issued, &fetching.from),
        Fate::Open | Fate::Asked { .. } | Fate::Approved { .. } | Fate::Cancelled { .. } => {
            first(session, &invited, &record, issued, &bundle, &fetching.from)
        }
    }
}

/// The device may have its certificate by what holds now: it is delivered, and what the device had is revoked
/// where that was said.
fn first(
    session: &Session<'_>,
    invited: &Invited,
    record: &Record,
    issued: Issued,
    bundle: &[u8],
    from: &str,
) -> Result<Decision, CaError> {
    let invite = &invited.invite;
    let plan = match session.desk.home.profile(&invite.profile) {
        Ok(profile) => plan_of(session, invite, profile, KeyRequest::InMemory),
        Err(why) => Err(why.into()),
    };
    let plan = match planned(plan)? {
        Decision::Issue(plan) => plan,
        refused @ (Decision::Now(_) | Decision::Record(..) | Decision::Deliver(..)) => return Ok(refused),
    };
    let mut facts = taken_back(&plan, record.serial);
    facts.push(Fact::InviteRedeemed {
        id: invite.id,
        serial: record.serial,
        spki: record.spki_sha256,
        from: Some(from.to_owned()),
    });
    facts.push(Fact::Delivered {
        serial: record.serial,
        sha256: HEXLOWER.encode(&Sha256::digest(bundle)),
        supersedes: plan.supersedes().to_vec(),
    });
    let how = How::New;
    Ok(Decision::Deliver(facts, Box::new(Granted { issued, how })))
}

/// The revocations of what the device has beside this certificate: what was never delivered, and what the new
/// one replaces.
fn taken_back(plan: &Plan, serial: Serial) -> Vec<Fact> {
    let lost = plan.lost().iter().map(|record| record.serial);
    let others = lost
        .filter(|lost| *lost != serial)
        .chain(plan.retires().iter().copied());
    others
        .map(|serial| Fact::Revoked {
            serial,
            address: Some(plan.address().clone()),
            reason: Reason::Replaced,
            since: None,
        })
        .collect()
}

/// Hands it out once more.
fn again(session: &Session<'_>, invited: &Invited, issued: Issued, from: &str) -> Result<Decision, CaError> {
    if invited.fetched_from.iter().any(|network| network == from) {
        return Ok(Decision::Now(Ok(issued)));
    }
    let id = invited.invite.id;
    let mut facts = vec![Fact::InviteFetchedAgain {
        id,
        from: from.to_owned(),
    }];
    if invited.fetched_again() as u32 + 1 >= OTHER_KEYS {
        facts.push(Fact::InviteSuspended { id });
    }
    if let Some(revoked) = second_try(session, invited, &issued.serial)? {
        facts.push(revoked);
        return Ok(Decision::Record(facts, Denial::AnotherNetwork));
    }
    let how = How::Elsewhere;
    Ok(Decision::Deliver(facts, Box::new(Granted { issued, how })))
}
