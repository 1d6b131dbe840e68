//! Refusals as HTTP: the one place where a kind of error becomes a status.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::clerk::Refusal;
use crate::ca::Denial;
use crate::model::fault::{Fault, Kind};

/// A refusal as whoever asked is told it.
#[derive(Debug)]
pub struct Told {
    /// The status.
    pub status: StatusCode,
    /// The word by which programs know it.
    pub code: &'static str,
    /// One line for people.
    pub message: String,
}

impl Told {
    /// A refusal with this status.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// Says when to come again, where that helps.
    pub fn say_when(&self, response: &mut Response) {
        if matches!(
            self.status,
            StatusCode::ACCEPTED | StatusCode::SERVICE_UNAVAILABLE
        ) {
            let soon = HeaderValue::from_static("10");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
    }

    /// What whoever is told to come again is told.
    pub fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "the service cannot do this now: try again in a minute",
        )
    }
}

impl From<StatusCode> for Told {
    /// A body that was not taken.
    fn from(status: StatusCode) -> Self {
        let message = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "the request is too long",
            StatusCode::REQUEST_TIMEOUT => "the request did not come in time",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "the request has the wrong Content-Type",
            _ => "the request is not well formed",
        };
        Self::new(status, "request", message)
    }
}

impl From<Refusal> for Told {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unavailable => Self::unavailable(),
            Refusal::Denied(denial) => {
                let message = denial.to_string();
                match denial {
                    Denial::NoRight => Self::new(StatusCode::FORBIDDEN, "no-right", message),
                    Denial::WrongCode => Self::new(StatusCode::FORBIDDEN, "wrong-code", message),
                    Denial::AnotherKey => Self::new(StatusCode::CONFLICT, "another-key", message),
                    Denial::Waits(_) => Self::new(StatusCode::ACCEPTED, "waits", message),
                    Denial::Ended(_) => Self::new(StatusCode::GONE, "invite-ended", message),
                    Denial::Revoked => Self::new(StatusCode::GONE, "revoked", message),
                    Denial::ShownRevoked => Self::new(StatusCode::FORBIDDEN, "revoked", message),
                    Denial::Unknown => Self::new(StatusCode::FORBIDDEN, "unknown", message),
                    Denial::Superseded => Self::new(StatusCode::FORBIDDEN, "superseded", message),
                    Denial::RenewedOtherwise => Self::new(StatusCode::FORBIDDEN, "another-key", message),
                    Denial::TooEarly(_) => Self::new(StatusCode::FORBIDDEN, "too-early", message),
                    Denial::NotYet(_) => Self::new(StatusCode::FORBIDDEN, "not-yet-valid", message),
                    Denial::Expired(_) => Self::new(StatusCode::FORBIDDEN, "expired", message),
                    Denial::TooOften(_) => Self::new(StatusCode::FORBIDDEN, "too-often", message),
                    Denial::Refused(why) => Self::new(status(why.kind()), why.code(), message),
                }
            }
        }
    }
}

fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::NotFound | Kind::Conflict | Kind::KeyRefused => StatusCode::CONFLICT,
        Kind::PolicyRefused => StatusCode::FORBIDDEN,
        Kind::BadRequest | Kind::SecretWrong | Kind::ConfirmationNeeded => StatusCode::BAD_REQUEST,
        Kind::Busy
        | Kind::ClockDoubt
        | Kind::Storage
        | Kind::Damaged
        | Kind::Elsewhere
        | Kind::Incomplete
        | Kind::Bug => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": { "kind": self.code, "message": self.message } });
        let json = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (self.status, json, body.to_string()).into_response();
        self.say_when(&mut response);
        response
    }
}
