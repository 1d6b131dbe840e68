//! Checks `pins.json` and its signed form, by themselves and against the pin sets that are installed.

use sha2::{Digest, Sha256};

use super::error::Unfit;
use super::state::Seen;
use crate::model::{Host, PinSet, Pinned, Role, Time};
use crate::publish::{Pins, Statement};
use crate::x509::Certificate;

/// Verifies the signed form, which must say what the other file says, and what they say.
pub(super) fn examine(
    json: &[u8],
    jws: &[u8],
    root: &Certificate,
    seen: Option<&Seen>,
    now: Time,
) -> Result<(Statement, Seen), Unfit> {
    let statement = Statement::verify(Pins::TYPE, jws, root, now)?;
    if statement.payload() != json {
        return Err(Unfit::Differs("what pins/pins.json says"));
    }
    let pins: Pins = serde_json::from_slice(json).map_err(Unfit::unreadable)?;
    if pins.version != 1 {
        return Err(Unfit::Version(pins.version));
    }
    let begins = Time::from_unix(pins.iat) - super::terms::SLACK;
    super::terms::demand_in_date(begins, Time::from_unix(pins.exp), now)?;
    let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(json));
    Seen::demand(seen, pins.number, &sha256)?;
    let number = pins.number;
    Ok((statement, Seen { number, sha256 }))
}

/// A key that has been what it is since before the old pin sets were made, and is something else in them or
/// nothing: the home that says so has forgotten a rotation, by which somebody else's key may have been given
/// up. Both keys of a host are in every set, so that no honest history comes to that; a retiring one can come
/// back where the overlap is made longer.
pub(super) fn contradiction<'a>(old: &Pins, new: &'a [PinSet]) -> Option<(&'a Host, Pinned)> {
    new.iter().find_map(|set| {
        let before = old.sets.iter().find(|before| before.host == set.host)?;
        let is_forgetful = |pinned: &&Pinned| {
            pinned.role != Role::Retiring && pinned.since < old.made() && !before.pins.contains(pinned)
        };
        let pinned = set.pins.iter().find(is_forgetful)?;
        Some((&set.host, *pinned))
    })
}

/// The hosts whose pins are gone before they have ended.
pub(super) fn unpinned(old: &Pins, new: &[PinSet], now: Time) -> Vec<Host> {
    let in_force = old.sets.iter().filter(|set| now < set.expires);
    let is_gone = |host: &&Host| new.iter().all(|set| set.host != **host);
    in_force.map(|set| &set.host).filter(is_gone).cloned().collect()
}
