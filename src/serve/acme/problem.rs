//! Refusals as ACME clients read them: problem documents (RFC 7807) of the kinds of RFC 8555 §6.7.

use axum::http::StatusCode;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::ca::{AcmeDenial, CaError};
use crate::key::InvalidJwk;
use crate::model::fault::{Fault, Kind};
use crate::serve::clerk::Refusal;

/// A refusal.
#[derive(Debug)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The kind, as its name stands in the registry (RFC 8555 §9.7.4).
    pub kind: &'static str,
    /// One line for people.
    pub detail: String,
    /// What else the document has: algorithms, subproblems.
    more: Option<(&'static str, Value)>,
    /// Where what is meant already is.
    pub location: Option<String>,
    /// Whether the clerk tells of it anyhow.
    pub is_told: bool,
}

impl Problem {
    /// A refusal of this kind, with its usual status.
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            detail: detail.into(),
            more: None,
            location: None,
            is_told: false,
        }
    }

    /// The request makes no sense.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// Whoever asks may not have it.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "unauthorized", detail)
    }

    /// A request for a certificate that is not taken.
    pub fn bad_csr(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "badCSR", detail)
    }

    /// There is nothing of this name.
    pub fn nothing_here() -> Self {
        Self::new(StatusCode::NOT_FOUND, "malformed", "there is nothing here")
    }

    /// The service cannot do it now.
    pub fn unavailable() -> Self {
        let detail = "the service cannot do this now: try again in a minute";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "serverInternal", detail)
    }

    /// The same for a fault of this machine, of which the clerk tells.
    pub fn of_this_machine() -> Self {
        Self {
            is_told: true,
            ..Self::unavailable()
        }
    }

    /// The algorithm is none of those that are taken (RFC 8555 §6.2).
    pub fn algorithm(algorithms: &[&str]) -> Self {
        Self {
            more: Some(("algorithms", json!(algorithms))),
            ..Self::new(
                StatusCode::BAD_REQUEST,
                "badSignatureAlgorithm",
                format!("the request is to be signed by {}", algorithms.join(" or ")),
            )
        }
    }

    /// Names that are refused, each with its reason (RFC 8555 §6.7.1).
    pub fn of_names(mut refused: Vec<(Value, Problem)>) -> Self {
        if let [_] = &refused[..]
            && let Some((_, only)) = refused.pop()
        {
            return only;
        }
        let all: Vec<Value> = refused
            .iter()
            .map(|(identifier, problem)| {
                json!({ "type": problem.urn(), "detail": problem.detail, "identifier": identifier })
            })
            .collect();
        Self {
            more: Some(("subproblems", json!(all))),
            ..Self::new(
                StatusCode::FORBIDDEN,
                "rejectedIdentifier",
                "names that this account may not order",
            )
        }
    }

    fn urn(&self) -> String {
        format!("urn:ietf:params:acme:error:{}", self.kind)
    }
}

impl From<StatusCode> for Problem {
    /// A body that was not taken.
    fn from(status: StatusCode) -> Self {
        Self::new(
            status,
            "malformed",
            match status {
                StatusCode::PAYLOAD_TOO_LARGE => "the request is too long",
                StatusCode::REQUEST_TIMEOUT => "the request did not come in time",
                StatusCode::UNSUPPORTED_MEDIA_TYPE => "the request must be of application/jose+json",
                _ => "the request is not well formed",
            },
        )
    }
}

impl From<InvalidJwk> for Problem {
    fn from(why: InvalidJwk) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "badPublicKey", why.to_string())
    }
}

impl From<Refusal<AcmeDenial>> for Problem {
    fn from(refusal: Refusal<AcmeDenial>) -> Self {
        Self {
            is_told: true,
            ..Self::of_refusal(refusal)
        }
    }
}

impl Problem {
    fn of_refusal(refusal: Refusal<AcmeDenial>) -> Self {
        let denial = match refusal {
            Refusal::Denied(denial) => denial,
            Refusal::Unavailable | Refusal::Elsewhere => return Self::unavailable(),
        };
        let said = denial.to_string();
        match denial {
            AcmeDenial::Ended(_) | AcmeDenial::Bound(_) | AcmeDenial::OtherKey | AcmeDenial::NotOrdered => {
                Self::unauthorized(said)
            }
            AcmeDenial::KeyInUse(_) => Self::new(StatusCode::CONFLICT, "malformed", said),
            AcmeDenial::NotGranted(_) | AcmeDenial::Removed(_) => {
                Self::new(StatusCode::FORBIDDEN, "rejectedIdentifier", said)
            }
            AcmeDenial::Pinned(_)
            | AcmeDenial::PinGivenUp(..)
            | AcmeDenial::StillPinned(..)
            | AcmeDenial::AccountKey => Self::bad_csr(said),
            AcmeDenial::UnfitAccountKey => Self::new(StatusCode::BAD_REQUEST, "badPublicKey", said),
            AcmeDenial::AlreadyRevoked => Self::new(StatusCode::BAD_REQUEST, "alreadyRevoked", said),
            // Whose it is, is nothing for whoever asks.
            AcmeDenial::Refused(CaError::UnfitKey(_)) => {
                Self::bad_csr("this key is another's, or was given up: make a new one")
            }
            AcmeDenial::Refused(why) if why.kind() == Kind::PolicyRefused => {
                Self::new(StatusCode::FORBIDDEN, "rejectedIdentifier", said)
            }
            AcmeDenial::Refused(_) => Self::bad_csr(said),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut document = json!({
            "type": self.urn(),
            "detail": self.detail,
            "status": self.status.as_u16(),
        });
        if let (Some((name, value)), Some(document)) = (self.more, document.as_object_mut()) {
            document.insert(name.into(), value);
        }
        let headers = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, headers, format!("{document}\n")).into_response();
        if let Some(location) = self.location.and_then(|location| location.parse().ok()) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        if matches!(
            self.status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        ) {
            let soon = header::HeaderValue::from_static("10");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        response
    }
}
