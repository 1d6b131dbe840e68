//! Bodies of requests: bounded in length and time, and of the type that is asked for.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};

/// The longest body of a request, in octets: a request for a certificate has less than one thousand.
const LONGEST: usize = 16 << 10;
/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads the body of a request of this media type.
///
/// # Errors
/// The status by which it is refused: 415, 413, 408, or 400 where it breaks off.
pub async fn read(headers: &HeaderMap, body: Body, media_type: &str) -> Result<Vec<u8>, StatusCode> {
    if !is_of(headers, media_type) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > LONGEST as u64) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    match tokio::time::timeout(PATIENCE, to_bytes(body, LONGEST)).await {
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        Ok(Ok(octets)) => Ok(octets.into()),
        Ok(Err(why)) if is_too_long(&why) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
    }
}

/// Whether a request says in one way alone where its body ends: by its length, or by chunks and no other
/// coding. RFC 9112 §6.3 lets a server read what says both; whoever stands before it may read it otherwise.
pub fn has_one_end(headers: &HeaderMap) -> bool {
    let has_length = headers.contains_key(header::CONTENT_LENGTH);
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => !has_length && coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// Whether a request says that its body is of this media type.
pub fn is_of(headers: &HeaderMap, media_type: &str) -> bool {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split(';').next()).map(str::trim);
    given.is_some_and(|given| given.eq_ignore_ascii_case(media_type))
}

fn is_too_long(why: &axum::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(why);
    while let Some(error) = source {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}
