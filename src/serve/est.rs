//! Enrollment over Secure Transport (RFC 7030, as clarified by RFC 8951): the door for programs. An invite is
//! redeemed by its name and secret in the Authorization header; what a device has is renewed by the
//! certificate that it shows in the handshake.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::answer::Told;
use super::body;
use super::clerk::{Counter, Refusal};
use super::door::Door;
use super::limits::{Failures, recorded};
use super::monitor;
use super::presented::Presented;
use super::proxy::Client;
use super::request::requested_key;
use crate::ca::{Attempt, Redeeming};
use crate::issuer::Chain;
use crate::key::PublicKey;
use crate::x509::cms;

/// Where EST is, whatever stands before it: strongSwan puts the path of its URL there (RFC 7030 §3.2.2).
const WELL_KNOWN: &str = "/.well-known/est/";

/// Below which path shared keys are, by their hosts.
const SHARED_KEYS: &str = "/hmac/";

/// What requests should have (RFC 7030 §4.5.2, in the form of RFC 9908 §3): a key of P-256
/// (id-ecPublicKey with secp256r1) and a signature by ecdsa-with-SHA256.
const ATTRIBUTES: &[u8] = &[
    0x30, 0x21, // CsrAttrs
    0x30, 0x15, // Attribute
    6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1, // id-ecPublicKey
    0x31, 0x0A, // its values
    6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7, // secp256r1
    6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2, // ecdsa-with-SHA256
];

/// What the handlers of EST share.
pub struct Shared {
    /// The issuing CA's chain.
    pub chain: Chain,
    /// The organization, for the realm that is asked for.
    pub organization: String,
    /// The way to the clerk, for whoever shows a secret.
    pub door: Arc<Door>,
    /// And for whoever shows a certificate.
    pub counter: Counter,
    /// Which certificates were shown in vain.
    pub vain: Failures<[u8; 32]>,
}

/// The routes of the face of devices.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .merge(monitor::alive())
        .fallback(answer)
        .with_state(shared)
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Extension(client): Extension<Client>,
    presented: Option<Extension<Presented>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let wrong_method = |allow| {
        let told = in_a_line(&shared, Told::wrong_method());
        Ok(([(header::ALLOW, allow)], told).into_response())
    };
    if let Some(host) = uri.path().strip_prefix(SHARED_KEYS) {
        let told = match method.as_str() {
            "GET" => shared_key(&shared, client.address.ip(), presented, host).await,
            _ => wrong_method("GET"),
        };
        return told.unwrap_or_else(|told| in_a_line(&shared, told));
    }
    let told = match (operation(uri.path()), method.as_str()) {
        (Some("cacerts"), "GET" | "HEAD") => Ok(cacerts(&shared)),
        (Some("csrattrs"), "GET" | "HEAD") => Ok(encoded("application/csrattrs", ATTRIBUTES)),
        (Some("simpleenroll"), "POST") => enroll(&shared, client.address.ip(), &headers, body).await,
        (Some("simplereenroll"), "POST") => {
            renew(&shared, client.address.ip(), presented, &headers, body).await
        }
        (Some("cacerts" | "csrattrs"), _) => wrong_method("GET, HEAD"),
        (Some("simpleenroll" | "simplereenroll"), _) => wrong_method("POST"),
        (_, _) => Err(Told::nothing_here()),
    };
    told.unwrap_or_else(|told| in_a_line(&shared, told))
}

/// The operation that a path names, with or without a label before it.
pub(super) fn operation(path: &str) -> Option<&str> {
    let (_, rest) = path.rsplit_once(WELL_KNOWN)?;
    let mut words = rest.split('/');
    match (words.next(), words.next(), words.next()) {
        (Some(operation), None, None) => Some(operation),
        (Some(_label), Some(operation), None) => Some(operation),
        (_, _, _) => None,
    }
}

/// Whom to trust: the issuing CA and the root.
fn cacerts(shared: &Shared) -> Response {
    let chain = &shared.chain;
    encoded(
        "application/pkcs7-mime",
        &cms::certs_only(&[chain.ca().der(), chain.root().der()]),
    )
}

/// The key of the request in a body: base64 with or without breaks, PEM, or DER.
async fn key(headers: &HeaderMap, body: Body) -> Result<PublicKey, Told> {
    let octets = body::read(headers, body, "application/pkcs10").await?;
    requested_key(octets).await
}

async fn enroll(
    shared: &Shared,
    address: std::net::IpAddr,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Told> {
    let Some((id, secret, code)) = credentials(headers) else {
        return Err(Told::new(
            StatusCode::UNAUTHORIZED,
            "no-credentials",
            "give the name of the invite and its secret, as user and password",
        ));
    };
    shared.door.demand_few(address)?;
    let key = key(headers, body).await?;
    let attempt = Attempt::Redeem(Redeeming {
        id,
        secret,
        code,
        key,
        from: recorded(address),
    });
    certified(shared.door.ask(address, attempt).await)
}

async fn renew(
    shared: &Shared,
    address: std::net::IpAddr,
    presented: Option<Extension<Presented>>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Told> {
    let Some(Extension(presented)) = presented else {
        return Err(no_certificate("show the certificate that is to be renewed"));
    };
    let certificate = presented.sha256();
    let message = "this certificate was refused too often: wait ten minutes";
    shared.vain.demand_few(&certificate, message)?;
    let key = key(headers, body).await?;
    let answer = shared
        .counter
        .enroll(Attempt::Renew(presented.renewing(key, recorded(address))))
        .await;
    // Whoever asks in vain does so as often as it asks.
    if let Err(Refusal::Denied(_)) = answer {
        shared.vain.count(certificate);
    }
    certified(answer)
}

/// The shared key for a host of the device that shows a certificate.
async fn shared_key(
    shared: &Shared,
    address: std::net::IpAddr,
    presented: Option<Extension<Presented>>,
    host: &str,
) -> Result<Response, Told> {
    let Some(Extension(presented)) = presented else {
        return Err(no_certificate("show the certificate of the device"));
    };
    let Ok(host) = host.parse() else {
        return Err(Told::nothing_here());
    };
    let certificate = presented.sha256();
    let message = "this certificate was refused too often: wait ten minutes";
    shared.vain.demand_few(&certificate, message)?;
    let asked = presented.asking_for_key(host, recorded(address));
    let answer = shared.counter.shared_key(asked).await;
    if let Err(Refusal::Denied(_)) = answer {
        shared.vain.count(certificate);
    }
    let file = answer?;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, file.as_str().to_owned()).into_response())
}

fn no_certificate(message: &'static str) -> Told {
    Told::new(StatusCode::FORBIDDEN, "no-certificate", message)
}

pub(super) type Secret = Zeroizing<String>;

/// Name and secret of an invite, and the code where one travels apart: user and password (RFC 7617), or all
/// in a token (RFC 6750), a dot or colon between them.
pub(super) fn credentials(headers: &HeaderMap) -> Option<(String, Secret, Option<Secret>)> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = given.split_once(' ')?;
    let text = match scheme.to_ascii_lowercase().as_str() {
        "basic" => {
            let octets = Zeroizing::new(BASE64.decode(rest.trim().as_bytes()).ok()?);
            Zeroizing::new(std::str::from_utf8(&octets).ok()?.to_owned())
        }
        "bearer" => Zeroizing::new(rest.trim().to_owned()),
        _ => return None,
    };
    let (id, secret) = text.split_once([':', '.'])?;
    let (secret, code) = match secret.split_once([':', '.']) {
        Some((secret, code)) => (secret, Some(Zeroizing::new(code.to_owned()))),
        None => (secret, None),
    };
    Some((id.to_owned(), Zeroizing::new(secret.to_owned()), code))
}

fn certified(answer: super::clerk::Answer) -> Result<Response, Told> {
    let issued = answer?;
    // The certificate alone: what stands above it is for `cacerts`.
    let cms = cms::certs_only(&[&issued.certificate]);
    Ok(encoded("application/pkcs7-mime; smime-type=certs-only", &cms))
}

/// Base64 in one line: strongSwan takes no breaks.
fn encoded(media_type: &'static str, octets: &[u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (
            header::HeaderName::from_static("content-transfer-encoding"),
            "base64",
        ),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, BASE64.encode(octets)).into_response()
}

/// A refusal as programs print it: one line of text. A challenge has none: Bouncy Castle's client does not
/// read it, and gives up over what is left instead of showing what it has (`org.bouncycastle.est.HttpAuth`).
fn in_a_line(shared: &Shared, told: Told) -> Response {
    let mut response = if told.status == StatusCode::UNAUTHORIZED {
        (told.status, challenge(shared)).into_response()
    } else {
        let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        (told.status, text, format!("{}\n", told.message)).into_response()
    };
    told.say_when(&mut response);
    response
}

/// What is asked for: an invite's name and secret, as user and password (RFC 7617 §2).
fn challenge(shared: &Shared) -> [(header::HeaderName, String); 1] {
    let realm: String = shared
        .organization
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == ' ')
        .collect();
    let basic = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
    [(header::WWW_AUTHENTICATE, basic)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_has_a_label_or_none_and_anything_before_it() {
        for (path, named) in [
            ("/.well-known/est/cacerts", Some("cacerts")),
            ("/.well-known/est/phones/cacerts", Some("cacerts")),
            ("/pki/.well-known/est/simpleenroll", Some("simpleenroll")),
            ("/.well-known/est/a/b/cacerts", None),
            ("/.well-known/est", None),
            ("/cacerts", None),
        ] {
            assert_eq!(operation(path), named, "{path}");
        }
    }

    #[test]
    fn an_invite_is_named_in_either_scheme() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            credentials(&headers).map(|(id, secret, _)| (id, secret.to_string()))
        };
        let both = Some(("ID".to_owned(), "SECRET".to_owned()));
        assert_eq!(of("Basic SUQ6U0VDUkVU"), both);
        assert_eq!(of("bearer ID.SECRET"), both);
        for wrong in ["Basic", "Basic !", "Digest SUQ6U0VDUkVU", "Bearer IDSECRET", ""] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_attributes_that_are_asked_for_are_der() {
        let (rest, parsed) = x509_parser::der_parser::parse_der(ATTRIBUTES).unwrap();
        assert!(rest.is_empty());
        assert_eq!(parsed.as_sequence().unwrap().len(), 2);
    }
}
