//! The bundles that the service hands out to devices which cannot make a key: each encrypted, in a file of
//! the home, from the making of its invite until that ends.

use std::path::PathBuf;

use crate::ca::CaError;
use crate::ca::session::Session;
use crate::disk::{self, DiskError};
use crate::home::{HANDOUT, Home};
use crate::model::invite::{Fate, Invited};
use crate::model::{Fact, InviteId, Reason, Record, Time};
use crate::store::{Store, StoreError};

const ENDING: &str = ".p12";

fn place(home: &Home, id: &InviteId) -> PathBuf {
    home.path().join(HANDOUT).join(format!("{id}{ENDING}"))
}

/// Makes sure that bundles of so many octets together can be kept. What a kill left there before is removed:
/// whoever holds the home's lock is alone there.
///
/// # Errors
/// Where they cannot be.
pub fn make_room(home: &Home, octets: usize, count: usize) -> Result<(), DiskError> {
    let directory = home.path().join(HANDOUT);
    disk::ensure_directory(&directory, disk::PRIVATE_DIRECTORY)?;
    drop(disk::at_work(&directory, |_| true, |_| true));
    disk::demand_room(&directory, octets, count)
}

/// Keeps the bundle of an invite.
///
/// # Errors
/// Where it cannot be written.
pub fn keep(home: &Home, id: &InviteId, bundle: &[u8]) -> Result<PathBuf, DiskError> {
    let place = place(home, id);
    disk::create_private(&place, bundle)?;
    Ok(place)
}

/// The bundle of an invite, where it is kept.
///
/// # Errors
/// Where it cannot be read.
pub fn bundle(home: &Home, id: &InviteId) -> Result<Option<Vec<u8>>, CaError> {
    Ok(disk::read_if_there(&place(home, id))?)
}

/// Removes the bundles of invites that have ended. One that cannot be removed is tried again by whoever
/// publishes next, and told by `doctor`: its certificate is revoked by now, or with its device.
pub fn discard(home: &Home, ids: &[InviteId]) {
    for id in ids {
        let _ = disk::remove_if_there(&place(home, id));
    }
}

/// The invites whose bundles are kept, in no order that means anything.
fn kept(home: &Home) -> Result<Vec<InviteId>, DiskError> {
    let directory = home.path().join(HANDOUT);
    let entries = match std::fs::read_dir(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(disk::failed("read", &directory))?,
    };
    let mut kept = Vec::new();
    for entry in entries {
        let name = entry.map_err(disk::failed("read", &directory))?.file_name();
        let id: Option<InviteId> = name
            .to_str()
            .and_then(|name| name.strip_suffix(ENDING)?.parse().ok());
        kept.extend(id);
    }
    Ok(kept)
}

/// The events by which invites end. A certificate whose bundle nobody has fetched is revoked.
///
/// # Errors
/// A damaged index.
pub fn ended(store: &Store, ids: &[InviteId]) -> Result<Vec<Fact>, CaError> {
    let mut facts = Vec::new();
    for id in ids {
        facts.push(Fact::InviteCancelled { id: *id });
        if let Some(invited) = store.invite(id)? {
            facts.extend(unfetched(store, &invited)?);
        }
    }
    Ok(facts)
}

/// The revocation of a certificate whose bundle nobody has fetched, unless it is revoked already.
fn unfetched(store: &Store, invited: &Invited) -> Result<Option<Fact>, CaError> {
    let serial = match (&invited.fate, invited.invite.server_key) {
        (Fate::Redeemed { .. }, _) | (_, None) => return Ok(None),
        (Fate::Open | Fate::Asked { .. } | Fate::Approved { .. } | Fate::Cancelled { .. }, Some(serial)) => {
            serial
        }
    };
    let record = store.record(&serial)?;
    let is_good = record.is_some_and(|record| record.revocation().is_none());
    Ok(is_good.then(|| Fact::Revoked {
        serial,
        address: Some(invited.invite.address.clone()),
        reason: Reason::Unspecified,
        since: None,
    }))
}

/// Whether the bundle of an invite may still be handed out at `now`, by what has become of the invite.
/// Whoever fetched it may fetch it again for as long as the invite would have been open: answers are lost.
pub fn is_open(invited: &Invited, now: Time) -> bool {
    let is_over = invited.invite.until < now || invited.suspended.is_some();
    match invited.fate {
        Fate::Cancelled { .. } => false,
        Fate::Open | Fate::Asked { .. } | Fate::Approved { .. } | Fate::Redeemed { .. } => !is_over,
    }
}

/// Whether the bundle of this certificate waits to be fetched.
///
/// # Errors
/// A damaged index.
pub fn waits(store: &Store, record: &Record, now: Time) -> Result<bool, StoreError> {
    let invites = store.invites_of_device(&record.address)?;
    let mut its = invites
        .iter()
        .filter(|invited| invited.invite.server_key == Some(record.serial));
    Ok(its.any(|invited| is_open(invited, now)))
}

/// The invites whose bundles are kept although nobody is to get them any more.
///
/// # Errors
/// A damaged index.
pub fn outdated(home: &Home, store: &Store, now: Time) -> Result<Vec<InviteId>, CaError> {
    let mut outdated = Vec::new();
    for id in kept(home)? {
        let invited = store.invite(&id)?;
        let is_good = match invited.as_ref().and_then(|invited| invited.invite.server_key) {
            Some(serial) => {
                let record = store.record(&serial)?;
                record.is_some_and(|record| record.revocation().is_none())
            }
            None => false,
        };
        if !is_good || invited.is_none_or(|invited| !is_open(&invited, now)) {
            outdated.push(id);
        }
    }
    Ok(outdated)
}

/// Ends what time has ended: the certificate of a bundle that nobody has fetched is revoked with its invite,
/// and the bundle is removed. A copy of a home ends nothing.
///
/// # Errors
/// Where it cannot be recorded.
pub fn end_handouts(session: &mut Session<'_>) -> Result<(), CaError> {
    if session.copied.is_some() {
        return Ok(());
    }
    let outdated = outdated(&session.desk.home, &session.store, session.now)?;
    let mut facts = Vec::new();
    for id in &outdated {
        if let Some(invited) = session.store.invite(id)? {
            facts.extend(unfetched(&session.store, &invited)?);
        }
    }
    session.commit(facts)?;
    discard(&session.desk.home, &outdated);
    Ok(())
}
