//! What clients of ACME ask for: whether they may have it is decided under the lock, by what the ledger says
//! then, and all that is certified at once is recorded at once.

use rayon::prelude::*;

use super::forget;
use crate::ca::key_owner::{KeyOf, demand_free_key, given_up_with};
use crate::ca::servers::authority::record_servers;
use crate::ca::servers::certificates::revoke_server;
use crate::ca::servers::demand_active;
use crate::ca::session::Session;
use crate::ca::{CaError, UnfitKey};
use crate::issuer::{IssuerError, Servers, SignedServer};
use crate::key::{Jwk, PublicKey, demand_threads, os_rng};
use crate::model::acme::BoundKey;
use crate::model::server::{Certified, ServerDraft};
use crate::model::{
    AccountId, AcmeAccount, AcmeGrant, Authority, Fact, Host, Pin, Reason, Serial, Server, Time,
};

/// What a client asks for. The door has verified its signature, and that the account's secret stands for the
/// grant and the key that it names.
#[derive(Debug)]
pub enum AcmeRequest {
    /// To be bound to an account.
    Bind(AcmeGrant, BoundKey),
    /// To go over from the one key to the other.
    ChangeKey(AcmeGrant, BoundKey, BoundKey),
    /// To give its account up.
    Deactivate(AcmeGrant, BoundKey),
    /// A certificate.
    Certify(Box<Ordering>),
    /// To have a certificate revoked.
    Revoke(Revoker, Serial, Reason),
}

/// A certificate that is ordered.
#[derive(Debug)]
pub struct Ordering {
    /// The account.
    pub grant: AcmeGrant,
    /// The key of its client.
    pub key: BoundKey,
    /// The names that the certificate is to have, never none.
    pub names: Vec<Host>,
    /// The key that is to be certified, whose holder has proved to have it.
    pub public_key: PublicKey,
}

/// Who has a certificate revoked.
#[derive(Debug)]
pub enum Revoker {
    /// The account that has ordered it.
    Account(AcmeGrant, BoundKey),
    /// Whoever holds its key.
    Holder,
}

/// What has come of a request.
#[derive(Debug)]
pub enum AcmeDone {
    /// It is recorded.
    Recorded,
    /// The certificate that was ordered.
    Certified(Box<Certified>),
}

/// The reasons for which a client does not get what it asks for.
#[derive(Debug, thiserror::Error)]
pub enum AcmeDenial {
    /// The account has ended, or is none.
    #[error(
        "the account has ended: the operator grants another one with `pki server acme {0}`, and a --name for each other name"
    )]
    Ended(Host),
    /// Another key was bound to the account before.
    #[error(
        "another client is bound to this account already: the operator grants another one with `pki server acme {0}`, and a --name for each other name"
    )]
    Bound(Host),
    /// The account has another key by now.
    #[error("the account has another key by now")]
    OtherKey,
    /// The key is another account's.
    #[error("this key is the one of the account {0}")]
    KeyInUse(AccountId),
    /// A name that was not granted.
    #[error("the account may not order {0}")]
    NotGranted(Host),
    /// A name of a server that was removed since the grant.
    #[error("the server {0} was removed since this account was granted")]
    Removed(Host),
    /// A server that apps hold to its pins has another key.
    #[error(
        "apps hold {0} to the key that it has, not to this one: renew with that one (certbot: --reuse-key, or --csr)"
    )]
    Pinned(Host),
    /// Apps still go by the pins of a server that was removed.
    #[error(
        "apps hold {0} to the pins of {1}, which was removed, until {date}: the operator drops them with `pki server remove {1} --now`, or renew with the key that it had",
        date = .2.date()
    )]
    StillPinned(Host, Host, Time),
    /// The key that apps hold a server to was given up.
    #[error(
        "apps hold {0} to a key that was given up, and is certified for nobody: the operator rotates it, `pki server rotate {1} --compromised`, and the next one is ordered with (certbot: --csr)"
    )]
    PinGivenUp(Host, Host),
    /// The key of an account was to be certified.
    #[error("the key of an account cannot be certified: a server has a key of its own (RFC 8555 §11.1)")]
    AccountKey,
    /// Policy refuses the certificate.
    #[error(transparent)]
    Refused(CaError),
    /// The key of an account is certified for somebody, or was given up.
    #[error("this key cannot sign for an account: it is another's, or was given up")]
    UnfitAccountKey,
    /// The certificate was revoked before.
    #[error("the certificate is revoked already")]
    AlreadyRevoked,
    /// The certificate is not one that the account has ordered.
    #[error("this account has not ordered the certificate")]
    NotOrdered,
}

/// The answer to a request.
pub type Answer = Result<AcmeDone, AcmeDenial>;

/// Carries out what changes an account, or takes a certificate back, where that can be. It is recorded by
/// itself: what is asked for beside it is not to undo it.
///
/// # Errors
/// Where it could not be recorded, or a certificate is ordered.
pub fn change(session: &mut Session<'_>, request: &AcmeRequest) -> Result<Answer, CaError> {
    let facts = match request {
        AcmeRequest::Certify(_) => return Ok(Err(AcmeDenial::NotOrdered)),
        AcmeRequest::Bind(grant, key) => bind(session, grant, key)?,
        AcmeRequest::ChangeKey(grant, key, next) => match account(session, grant, key)? {
            Ok(_) => bound_to(session, grant.account, next)?,
            Err(denial) => Err(denial),
        },
        AcmeRequest::Deactivate(grant, key) => account(session, grant, key)?.map(|_| {
            vec![Fact::AcmeDeactivated {
                account: grant.account,
            }]
        }),
        AcmeRequest::Revoke(revoker, serial, reason) => return revoke(session, revoker, *serial, *reason),
    };
    let facts = match facts {
        Ok(facts) => facts,
        Err(denial) => return Ok(Err(denial)),
    };
    session.commit(facts)?;
    if let AcmeRequest::Deactivate(grant, _) = request {
        // The account has ended all the same; `pki doctor` names a secret that was left.
        let _ = forget(&session.desk.home, grant.account);
    }
    Ok(Ok(AcmeDone::Recorded))
}

/// Decides about orders, and certifies those that can be, in one batch. Answers in their order.
///
/// # Errors
/// Where nothing could be signed or recorded.
pub fn certify_ordered(
    session: &mut Session<'_>,
    servers: &Servers,
    orders: &[&Ordering],
) -> Result<Vec<Answer>, CaError> {
    demand_threads().map_err(CaError::NoThreads)?;
    let mut answers: Vec<Option<Answer>> = Vec::new();
    let mut drafts = Vec::new();
    for (place, ordering) in orders.iter().enumerate() {
        answers.push(match draft(session, servers, ordering)? {
            Ok(draft) => {
                drafts.push((place, draft, ordering));
                None
            }
            Err(denial) => Some(Err(denial)),
        });
    }
    if !drafts.is_empty() {
        record_servers(session, servers.chain())?;
        let signed: Result<Vec<SignedServer>, IssuerError> = drafts
            .par_iter()
            .map(|(_, draft, ordering)| {
                let signed = servers.sign(draft, &ordering.public_key, &mut os_rng())?;
                Ok(signed.ordered_by(ordering.grant.account))
            })
            .collect();
        let certified = session.commit_servers(signed?)?;
        for ((place, ..), certified) in drafts.into_iter().zip(certified) {
            answers[place] = Some(Ok(AcmeDone::Certified(Box::new(certified))));
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

/// What binds a key to an account: nothing where it is bound already.
fn bind(
    session: &Session<'_>,
    grant: &AcmeGrant,
    key: &BoundKey,
) -> Result<Result<Vec<Fact>, AcmeDenial>, CaError> {
    let host = || grant.names[0].clone();
    let known = session.store.acme_account(grant.account)?;
    let Some(known) = known.filter(|known| known.ended.is_none() && known.grant == *grant) else {
        return Ok(Err(AcmeDenial::Ended(host())));
    };
    match known.key {
        Some(bound) if bound == *key => return Ok(Ok(Vec::new())),
        Some(_) => return Ok(Err(AcmeDenial::Bound(host()))),
        None => {}
    }
    bound_to(session, grant.account, key)
}

/// What records that a key is bound to an account: one that nobody else has.
fn bound_to(
    session: &Session<'_>,
    account: AccountId,
    key: &BoundKey,
) -> Result<Result<Vec<Fact>, AcmeDenial>, CaError> {
    let accounts = session.store.acme_accounts()?;
    let has_it = |account: &&AcmeAccount| account.key.as_ref().is_some_and(|bound| bound.jwk == key.jwk);
    let mut holders = accounts.iter().filter(has_it);
    if let Some(other) = holders.find(|account| account.ended.is_none()) {
        return Ok(Err(AcmeDenial::KeyInUse(other.grant.account)));
    }
    // Also where the account has changed it for another one since: whoever broke in may have had it before.
    let held = session.store.accounts_that_held(&key.jwk)?;
    let gave_up = |account: &&AcmeAccount| account.given_up && held.contains(&account.grant.account);
    if accounts.iter().any(|account| gave_up(&account)) {
        return Ok(Err(AcmeDenial::UnfitAccountKey));
    }
    let parsed = Jwk::parse(&key.jwk).ok();
    if let Some(public) = parsed.as_ref().and_then(Jwk::public_key) {
        let pin = Pin(public.spki_sha256());
        match demand_free_key(&session.store, &session.desk.home, pin, KeyOf::Account) {
            Ok(()) => {}
            Err(CaError::UnfitKey(_)) => return Ok(Err(AcmeDenial::UnfitAccountKey)),
            Err(why) => return Err(why),
        }
    }
    let key = key.clone();
    Ok(Ok(vec![Fact::AcmeBound { account, key }]))
}

/// The account as it is now, where it is still what the door has verified.
fn account(
    session: &Session<'_>,
    grant: &AcmeGrant,
    key: &BoundKey,
) -> Result<Result<AcmeAccount, AcmeDenial>, CaError> {
    let known = session.store.acme_account(grant.account)?;
    let known = known.filter(|known| known.ended.is_none() && known.grant == *grant);
    Ok(match known {
        None => Err(AcmeDenial::Ended(grant.names[0].clone())),
        Some(known) if known.key.as_ref() != Some(key) => Err(AcmeDenial::OtherKey),
        Some(known) => Ok(known),
    })
}

/// What an ordered certificate is to say, or why there is none.
fn draft(
    session: &Session<'_>,
    servers: &Servers,
    ordering: &Ordering,
) -> Result<Result<ServerDraft, AcmeDenial>, CaError> {
    let known = match account(session, &ordering.grant, &ordering.key)? {
        Ok(known) => known,
        Err(denial) => return Ok(Err(denial)),
    };
    let Some((first, others)) = ordering.names.split_first() else {
        return Ok(Err(AcmeDenial::Ended(known.host().clone())));
    };
    let pin = Pin(ordering.public_key.spki_sha256());
    let registered = session.store.known_servers()?;
    let overlap = session.desk.home.config().pin_overlap;
    let mut is_held = false;
    for name in &ordering.names {
        if !known.grant.names.contains(name) {
            return Ok(Err(AcmeDenial::NotGranted(name.clone())));
        }
        let own = registered.iter().find(|server| server.host == *name);
        if own.is_some_and(|server| server.last_removed.is_some_and(|at| at > known.granted_seq)) {
            return Ok(Err(AcmeDenial::Removed(name.clone())));
        }
        let stays = |server: &Server| server.stays_until(session.now, overlap);
        if let Some(server) = holds(&registered, name, stays) {
            is_held = true;
            let active = server.value_of(server.active.pin);
            let given_up = given_up_with(&session.store, &registered, active)?;
            if stays(server).is_none() && given_up.is_some() {
                return Ok(Err(AcmeDenial::PinGivenUp(name.clone(), server.host.clone())));
            }
            match (demand_active(server, pin), stays(server)) {
                (Ok(()), _) => {}
                (Err(UnfitKey::Dropped(host)), _) => {
                    return Ok(Err(AcmeDenial::Refused(UnfitKey::Dropped(host).into())));
                }
                (Err(_), Some(until)) => {
                    let removed = server.host.clone();
                    return Ok(Err(AcmeDenial::StillPinned(name.clone(), removed, until)));
                }
                (Err(_), None) => return Ok(Err(AcmeDenial::Pinned(name.clone()))),
            }
        }
    }
    // Whoever ends the account of one server would give up the key of another.
    let is_anothers = |server: &&Server| {
        server.removed.is_none() && server.had(pin) && !known.grant.names.contains(&server.host)
    };
    if !is_held && let Some(other) = registered.iter().find(is_anothers) {
        return Ok(Err(AcmeDenial::Refused(
            UnfitKey::OfServer(other.host.clone()).into(),
        )));
    }
    // Whose a key is does not depend on the name that it is for, but for the one in reserve of a server,
    // which was looked at.
    match demand_free_key(&session.store, &session.desk.home, pin, KeyOf::Server(first)) {
        Ok(()) => {}
        Err(CaError::UnfitKey(UnfitKey::OfAccount(_))) => return Ok(Err(AcmeDenial::AccountKey)),
        Err(why @ CaError::UnfitKey(_)) => return Ok(Err(AcmeDenial::Refused(why))),
        Err(why) => return Err(why),
    }
    let issuer = servers.chain().issuer();
    let draft = ServerDraft::of_several(first, others, known.grant.days, issuer, session.now);
    Ok(draft.map_err(|why| AcmeDenial::Refused(why.into())))
}

/// The server by whose pins apps hold a host: its own, or the nearest above it that has them hold for the
/// hosts below. The pins of one that was removed may stay a while.
fn holds<'a>(
    registered: &'a [Server],
    name: &Host,
    stays: impl Fn(&Server) -> Option<Time>,
) -> Option<&'a Server> {
    let is_pinned = |server: &&Server| server.removed.is_none() || stays(server).is_some();
    let standing = || registered.iter().filter(is_pinned);
    let is_below = |server: &&Server| {
        let above = format!(".{}", server.host);
        server.include_subdomains && name.to_string().ends_with(&above)
    };
    let own = standing().find(|server| server.host == *name);
    own.or_else(|| {
        standing()
            .filter(is_below)
            .max_by_key(|server| server.host.to_string().len())
    })
}

fn revoke(
    session: &mut Session<'_>,
    revoker: &Revoker,
    serial: Serial,
    reason: Reason,
) -> Result<Answer, CaError> {
    if let Revoker::Account(grant, key) = revoker {
        if let Err(denial) = account(session, grant, key)? {
            return Ok(Err(denial));
        }
        if session.store.ordered_by(&serial)? != Some(grant.account) {
            return Ok(Err(AcmeDenial::NotOrdered));
        }
    }
    let reason = match revoker {
        Revoker::Account(..) if reason.gives_up_key() && is_registered(session, &serial)? => {
            Reason::Unspecified
        }
        Revoker::Account(..) | Revoker::Holder => reason,
    };
    match session.store.certified(&serial)? {
        None => Ok(Err(AcmeDenial::NotOrdered)),
        Some((_, Some(before))) if !reason.raises(before.reason, Authority::Servers) => {
            Ok(Err(AcmeDenial::AlreadyRevoked))
        }
        Some(_) => {
            revoke_server(session, serial, reason)?;
            Ok(Ok(AcmeDone::Recorded))
        }
    }
}

/// Whether the key of a certificate is one of a server in the register. Apps hold servers to it, and who has
/// an account has not shown that the key is its own: only who has it, and an operator, can give it up.
fn is_registered(session: &Session<'_>, serial: &Serial) -> Result<bool, CaError> {
    let Some(pin) = session.store.pin_of_certified(serial)? else {
        return Ok(false);
    };
    let registered = session.store.known_servers()?;
    Ok(registered.iter().any(|server| server.had(pin)))
}
