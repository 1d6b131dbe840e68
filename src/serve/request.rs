//! Requests for certificates, in every form in which they come over the network.

use crate::key::PublicKey;
use crate::x509::request::Request;

/// The key of a request for a certificate, which is PEM, DER, or the base64 of DER with or without breaks.
/// Its holder has proved to have it.
///
/// # Errors
/// Why it is not taken, in one line.
pub fn requested_key(octets: &[u8]) -> Result<PublicKey, String> {
    match Request::parse(octets) {
        Ok(request) => Ok(request.public_key().clone()),
        Err(why) => Err(format!("the request for a certificate {why}")),
    }
}
