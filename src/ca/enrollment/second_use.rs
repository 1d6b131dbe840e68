//! Second uses of an invite: its secret was shown by somebody who is not the first. One of the two has seen a
//! code or a sheet that was not for her.

use std::fmt;

use crate::model::{Address, InviteId, InviteState, Invited, Status, Time};
use crate::store::{Store, StoreError};

/// A second use of an invite.
#[derive(Debug)]
pub struct SecondUse {
    /// The invite.
    pub invite: InviteId,
    /// The device that it is for.
    pub address: Address,
    /// What shows that it was somebody else.
    pub by: Other,
}

/// What a second use was made with, other than the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// A key, which was refused.
    Key,
    /// A network, which got the bundle as well.
    Network,
}

impl fmt::Display for SecondUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invite, address, by } = self;
        match by {
            Other::Key => write!(
                f,
                "the secret of {address}'s invite {invite} came with another key: somebody else has seen the code"
            ),
            Other::Network => write!(
                f,
                "the file of {address}'s invite {invite} was fetched once more, from another network: somebody else may have seen the sheet"
            ),
        }
    }
}

/// The second uses of invites, as long as they matter: the certificate that an invite brought is in use, or
/// none has come of it yet. In the order in which the invites were made.
///
/// # Errors
/// A damaged index.
pub fn second_uses(store: &Store, now: Time) -> Result<Vec<SecondUse>, StoreError> {
    let mut all = Vec::new();
    store.invites(&mut |invited| {
        let by = match (invited.refused, invited.fetched_again()) {
            (0, 0) => return Ok(()),
            (0, _) => Other::Network,
            (_, _) => Other::Key,
        };
        all.push((invited, by));
        Ok(())
    })?;
    all.sort_by_key(|(invited, _)| (invited.created, invited.invite.id));
    let mut matter = Vec::new();
    for (invited, by) in all {
        if matters(store, &invited, now)? {
            matter.push(SecondUse {
                invite: invited.invite.id,
                address: invited.invite.address,
                by,
            });
        }
    }
    Ok(matter)
}

fn matters(store: &Store, invited: &Invited, now: Time) -> Result<bool, StoreError> {
    Ok(match invited.serial() {
        Some(serial) => store
            .record(&serial)?
            .is_some_and(|record| record.status(now) == Status::Valid),
        None => !matches!(invited.state(now), InviteState::Cancelled | InviteState::Expired),
    })
}
