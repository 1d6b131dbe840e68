//! `pins.json` and its signed form.

use sha2::{Digest, Sha256};

use super::error::Unfit;
use super::state::Seen;
use crate::model::Time;
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
