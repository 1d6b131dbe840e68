//! OCSP (RFC 6960): the status of the issuing CA's certificates, signed by it, and never older than what the
//! ledger says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;

use super::body;
use super::inventory::Inventory;
use super::metrics::Counted;
use super::monitor::Monitor;
use crate::issuer::Devices;
use crate::model::{Clock, Span, Time};
use crate::x509::ocsp::{CertId, CertStatus, OcspRequest, Unanswered};

/// How long an answer holds.
const HOLDS: Span = Span::seconds(600);
/// How long an answer that is asked for again is given again, where nothing has changed.
const GIVEN_AGAIN: Duration = Duration::from_secs(240);
/// How long others may keep an answer: after that a revocation is seen everywhere.
const KEPT: &str = "public, max-age=60, no-transform, must-revalidate";
/// How many answers are kept.
const ANSWERS: usize = 50_000;
const MEDIA_TYPE: &str = "application/ocsp-response";

/// The responder.
pub struct Responder {
    /// What signs; none where this machine has no issuing key.
    devices: Option<Arc<Devices>>,
    inventory: Inventory,
    clock: fn() -> Time,
    monitor: Arc<Monitor>,
    answers: Mutex<HashMap<CertId, Kept>>,
}

/// An answer without a nonce, as long as the status is this.
struct Kept {
    status: CertStatus,
    since: Instant,
    response: Bytes,
}

impl Responder {
    /// A responder for the issuing CA.
    pub fn new(
        devices: Option<Arc<Devices>>,
        inventory: Inventory,
        clock: fn() -> Time,
        monitor: Arc<Monitor>,
    ) -> Self {
        Self {
            devices,
            inventory,
            clock,
            monitor,
            answers: Mutex::default(),
        }
    }

    /// The answer to a request by POST (RFC 6960 appendix A.1).
    pub async fn post(&self, headers: &HeaderMap, body: Body) -> Response {
        match body::read(headers, body, "application/ocsp-request").await {
            Ok(der) => self.answer(&der, "no-store"),
            Err(status) => status.into_response(),
        }
    }

    /// The answer to a request by GET: base64 of it stands in the path, slashes of its own included, in
    /// percent-encoding or not.
    pub fn get(&self, uri: &Uri) -> Response {
        let text = uri.path().split_once("/ocsp/").map_or("", |(_, text)| text);
        let Some(der) = percent_decoded(text).and_then(|text| BASE64.decode(&text).ok()) else {
            self.monitor
                .metrics
                .count(Counted::Ocsp(Unanswered::Malformed.word()));
            return unsigned(Unanswered::Malformed);
        };
        self.answer(&der, KEPT)
    }

    fn answer(&self, der: &[u8], kept: &'static str) -> Response {
        match self.signed(der) {
            Ok(response) => answered(response, kept),
            Err(unanswered) => {
                self.monitor.metrics.count(Counted::Ocsp(unanswered.word()));
                unsigned(unanswered)
            }
        }
    }

    fn signed(&self, der: &[u8]) -> Result<Bytes, Unanswered> {
        let request = OcspRequest::parse(der)?;
        if !request.asked.iter().all(|id| id.is_of(self.inventory.issuer())) {
            return Err(Unanswered::Unauthorized);
        }
        let devices = self.devices.as_ref().ok_or(Unanswered::TryLater)?;
        let serials: Vec<_> = request.asked.iter().map(CertId::serial).collect();
        let statuses = self
            .inventory
            .statuses(&serials)
            .map_err(|_| Unanswered::TryLater)?;
        // What begins in the future, or has ended, is no answer to anybody whose clock is right.
        let now = match self.inventory.judge((self.clock)()) {
            Clock::Good(now) => now,
            Clock::Behind { .. } | Clock::FarAhead { .. } => return Err(Unanswered::TryLater),
        };
        for status in &statuses {
            self.monitor.metrics.count(Counted::Ocsp(status.word()));
        }
        // What is asked for again and again names one certificate, and has no nonce.
        let usual = match (request.asked.as_slice(), statuses.as_slice(), &request.nonce) {
            ([id], [status], None) => Some((id, *status)),
            (_, _, _) => None,
        };
        if let Some(kept) = usual.and_then(|(id, status)| self.kept(id, status)) {
            return Ok(kept);
        }
        let answers: Vec<_> = request.asked.iter().zip(statuses.iter().copied()).collect();
        let response = devices
            .sign_ocsp(&answers, request.nonce.as_deref(), now, now + HOLDS)
            .map_err(|_| Unanswered::TryLater)?;
        let response = Bytes::from(response);
        if let Some((id, status)) = usual {
            self.keep(id.clone(), status, &response);
        }
        Ok(response)
    }

    fn kept(&self, id: &CertId, status: CertStatus) -> Option<Bytes> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = answers.get(id)?;
        (kept.status == status && kept.since.elapsed() < GIVEN_AGAIN).then(|| kept.response.clone())
    }

    fn keep(&self, id: CertId, status: CertStatus, response: &Bytes) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= ANSWERS {
            // They are made again in less time than it takes to look for the oldest.
            answers.clear();
        }
        let kept = Kept {
            status,
            since: Instant::now(),
            response: response.clone(),
        };
        answers.insert(id, kept);
    }
}

/// An answer that nobody signs is of this moment.
fn unsigned(unanswered: Unanswered) -> Response {
    answered(Bytes::from(unanswered.response()), "no-store")
}

fn answered(response: Bytes, kept: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, MEDIA_TYPE), (header::CACHE_CONTROL, kept)];
    (StatusCode::OK, headers, response).into_response()
}

/// The octets of a text in percent-encoding (RFC 3986 §2.1).
pub(super) fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match first {
            b'%' => {
                let digits = after.get(..2)?;
                octets.extend(data_encoding::HEXLOWER_PERMISSIVE.decode(digits).ok()?);
                rest = &after[2..];
            }
            other => {
                octets.push(*other);
                rest = after;
            }
        }
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_with_its_slashes_encoded_or_not() {
        for (text, octets) in [
            ("a%2Fb%2bc%3D", Some(b"a/b+c=".to_vec())),
            ("a/b+c=", Some(b"a/b+c=".to_vec())),
            ("", Some(Vec::new())),
            ("%2", None),
            ("%zz", None),
        ] {
            assert_eq!(percent_decoded(text), octets, "{text}");
        }
    }
}
