//! When a certificate is to be renewed (RFC 9773).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use super::Shared;
use super::asking::Asking;
use super::objects::object;
use super::problem::Problem;
use super::register::KnownCertificate;
use crate::model::{Host, Serial, Span, Time};

/// How often clients ask again, in seconds: six hours.
const AGAIN: HeaderValue = HeaderValue::from_static("21600");

/// The certificate that a name means (RFC 9773 §4.1): the key identifier of its CA and its serial number.
fn serial_of(shared: &Shared, id: &str) -> Option<Serial> {
    let (authority, serial) = id.split_once('.')?;
    let authority = BASE64URL_NOPAD.decode(authority.as_bytes()).ok()?;
    let serial = BASE64URL_NOPAD.decode(serial.as_bytes()).ok()?;
    (authority == shared.chain.ca().key_identifier())
        .then(|| Serial::from_octets(&serial))
        .flatten()
}

fn known(shared: &Shared, id: &str) -> Result<Option<(Serial, KnownCertificate)>, Problem> {
    let Some(serial) = serial_of(shared, id) else {
        return Ok(None);
    };
    let known = shared.register.certificate(serial)?;
    Ok(known.map(|known| (serial, known)))
}

/// When it is best renewed (RFC 9773 §4.2).
pub fn info(shared: &Shared, id: &str) -> Result<Response, Problem> {
    let (_, known) = known(shared, id)?.ok_or_else(Problem::nothing_here)?;
    let (start, end) = window(&known);
    let body = json!({ "suggestedWindow": { "start": start.to_string(), "end": end.to_string() } });
    let mut response = object(StatusCode::OK, &body);
    response.headers_mut().insert(header::RETRY_AFTER, AGAIN);
    Ok(response)
}

/// A thirtieth of its life, once two thirds of that are over; at once where it is revoked.
fn window(known: &KnownCertificate) -> (Time, Time) {
    if let Some(revoked) = known.revoked {
        return (revoked - Span::seconds(60), revoked);
    }
    let validity = known.validity;
    let life = (validity.not_after - validity.not_before).as_seconds();
    let start = validity.not_before + Span::seconds(life / 3 * 2);
    (start, start + Span::seconds(life / 30))
}

/// The certificate that an order is to replace (RFC 9773 §5): one that the same account has ordered, that
/// has a name in common, and that no other order replaces.
pub fn replaced(shared: &Shared, asking: &Asking, id: &str, names: &[Host]) -> Result<Serial, Problem> {
    let own = |(_, known): &(Serial, KnownCertificate)| {
        known.account == Some(asking.id()) && known.hosts.iter().any(|host| names.contains(host))
    };
    let (serial, _) = known(shared, id)?.filter(own).ok_or_else(|| {
        Problem::malformed(
            "the order replaces a certificate that this account has not ordered for such a name",
        )
    })?;
    match shared.orders.replaces(asking.id(), serial, (shared.desk.clock)()) {
        true => Err(Problem::new(
            StatusCode::CONFLICT,
            "alreadyReplaced",
            "another order has replaced this certificate",
        )),
        false => Ok(serial),
    }
}
