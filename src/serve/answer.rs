//! Refusals as HTTP: the one place where a kind of error becomes a status.

use axum::extract::rejection::PathRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::clerk::Refusal;
use crate::ca::{CaError, Denial};
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
    /// The words of the key, where an operator is to compare them.
    pub words: Option<String>,
}

impl Told {
    /// A refusal with this status.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            words: None,
        }
    }

    /// Says when to come again, where that helps.
    pub fn say_when(&self, response: &mut Response) {
        if matches!(
            self.status,
            StatusCode::ACCEPTED | StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        ) {
            let soon = HeaderValue::from_static(match self.status {
                StatusCode::TOO_MANY_REQUESTS => "600",
                _ => "10",
            });
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
    }

    /// What whoever asks for something that is not there is told.
    pub fn nothing_here() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "there is nothing here")
    }

    /// What whoever asks by another method is told. Which ones there are says the header `Allow`.
    pub fn wrong_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            "this is asked for by another method",
        )
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

impl From<PathRejection> for Told {
    /// A path that is no text names nothing.
    fn from(_: PathRejection) -> Self {
        Self::nothing_here()
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
            Refusal::Elsewhere => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "elsewhere",
                "nothing is issued on this machine",
            ),
            Refusal::Denied(denial) => Self {
                status: status_of(&denial),
                code: denial.code(),
                message: match matches!(denial, Denial::Refused(CaError::UnfitKey(_))) {
                    // Whose it is, is nothing for whoever asks.
                    true => "this key is another's, or was given up: make a new one".to_owned(),
                    false => denial.to_string(),
                },
                words: denial.words().map(str::to_owned),
            },
        }
    }
}

fn status_of(denial: &Denial) -> StatusCode {
    match denial {
        Denial::Waits(_) => StatusCode::ACCEPTED,
        Denial::AnotherKey | Denial::MakesItsKey | Denial::HandsOutFile => StatusCode::CONFLICT,
        Denial::Ended(_) | Denial::Revoked | Denial::AnotherNetwork | Denial::NoFile => StatusCode::GONE,
        Denial::NoRight
        | Denial::WrongCode
        | Denial::ShownRevoked
        | Denial::Unknown
        | Denial::Superseded
        | Denial::RenewedOtherwise
        | Denial::TooEarly(_)
        | Denial::NotYet(_)
        | Denial::Expired(_)
        | Denial::TooOften(_)
        | Denial::NoSharedKey => StatusCode::FORBIDDEN,
        Denial::Refused(why) => status(why.kind()),
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
        let mut body = serde_json::json!({ "error": { "kind": self.code, "message": self.message } });
        if let Some(words) = &self.words {
            body["error"]["words"] = words.as_str().into();
        }
        let json = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (self.status, json, body.to_string()).into_response();
        self.say_when(&mut response);
        response
    }
}
