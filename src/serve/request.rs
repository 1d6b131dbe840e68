//! Requests for certificates, in every form in which they come over the network.

use data_encoding::{BASE64, Encoding};

use crate::key::PublicKey;
use crate::x509::request::Request;

/// The key of a request for a certificate, which is PEM, DER, or the base64 of DER with or without breaks.
/// Its holder has proved to have it.
///
/// # Errors
/// Why it is not taken, in one line.
pub fn requested_key(octets: &[u8]) -> Result<PublicKey, String> {
    let base64: &Encoding = &BASE64;
    let is_text = octets.first().is_some_and(u8::is_ascii_graphic) && octets.is_ascii();
    let bare: Vec<u8> = octets
        .iter()
        .copied()
        .filter(|octet| !octet.is_ascii_whitespace())
        .collect();
    let request = match base64.decode(&bare) {
        Ok(der) if is_text => Request::parse(&der),
        Ok(_) | Err(_) => Request::parse(octets),
    };
    match request {
        Ok(request) => Ok(request.public_key().clone()),
        Err(why) => Err(format!("the request for a certificate {why}")),
    }
}
