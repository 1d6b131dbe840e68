//! Checks a CRL that servers are to go by: its CA, its validity period, and its number after the last one
//! that was seen.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::error::Unfit;
use super::state::{Seen, SeenCrl};
use crate::model::{Span, Time};
use crate::x509::Certificate;
use crate::x509::crl::Crl;

/// The most by which the clocks of two machines may differ.
pub(super) const SLACK: Span = Span::minutes(5);

/// The consequence of an expired CRL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Servers that check it let nobody in.
    Refused,
    /// It takes no device back, and must not keep the one that does from going out: the servers' CA's.
    Tolerated,
}

/// Reads a CRL to its end and checks it against its CA, the time, and the last one that was seen.
pub(super) fn examine<'a>(
    der: &'a [u8],
    issuer: &Certificate,
    name: &'static str,
    seen: Option<&Seen>,
    (now, ended): (Time, Ended),
) -> Result<(Crl<'a>, SeenCrl), Unfit> {
    let crl = Crl::parse(der).map_err(Unfit::unreadable)?;
    if !crl.is_issued_by(issuer) {
        return Err(Unfit::NotSignedBy(name));
    }
    let terms = crl.terms();
    let end = match ended {
        Ended::Refused => terms.next_update,
        Ended::Tolerated => Time::MAX,
    };
    demand_in_date(terms.this_update, end, now)?;
    for entry in crl.entries() {
        entry.map_err(Unfit::unreadable)?;
    }
    let sha256 = HEXLOWER.encode(&Sha256::digest(der));
    Seen::demand(seen, terms.number, &sha256)?;
    Ok((crl, SeenCrl::new(terms, sha256)))
}

/// Makes sure that a validity period has begun and not ended. There is no tolerance for a clock that is
/// behind: servers have none with a CRL that begins in the future, and the CA begins its own five minutes
/// back.
pub(super) fn demand_in_date(begins: Time, ends: Time, now: Time) -> Result<(), Unfit> {
    if now < begins {
        Err(Unfit::NotYet(begins))
    } else if ends < now {
        Err(Unfit::Ended(ends))
    } else {
        Ok(())
    }
}
