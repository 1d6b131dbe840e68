//! Turns an error of any module into what the operator is told: what happened, what to do next, and the exit
//! code.
//!
//! Each error describes itself ([`Fault`]). Only two things are added here: the exit code of each kind of
//! error, and, in a file for each module, the command to type next.

mod ca;
mod check;
mod consumer;
mod credential;
mod disk;
mod fetch;
mod home;
mod issuer;
mod place;
mod reenroll;
mod serve;
mod store;

use serde::Serialize;

use crate::model::fault::{Fault, Kind};

pub use place::place_remedy;

/// What to do when the system refuses to start more threads.
const THREADS: &str =
    "raise the limit (`ulimit -u`, or TasksMax= of the unit), or end other processes of this account";

/// The advice on a home that may be a copy.
pub const GOES_ON_HERE: &str = "if the PKI goes on in this home and the other is not used any more: `pki publish --confirm HOME`; \
                                in a copy to try things with, reading and revoking need no such word";

/// The advice on a home that was restored.
pub const RECONCILE: &str = "run `pki publish`, which reads every place that was published to; with what a server has fetched: \
                             `pki publish --published DIR`";

/// The exit codes of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Refused or failed, nothing changed.
    Refused = 1,
    /// Wrong usage.
    Usage = 2,
    /// A check was made, and found something.
    Found = 3,
    /// A secret or a confirmation is missing, wrong, or answered with no.
    Secret = 4,
    /// Committed, but not everything was delivered or published.
    Incomplete = 5,
    /// Our own bug.
    Bug = 70,
    /// Interrupted.
    Interrupted = 130,
}

impl From<Kind> for Exit {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::NotFound | Kind::Conflict | Kind::PolicyRefused | Kind::KeyRefused | Kind::BadRequest => {
                Self::Refused
            }
            Kind::Busy | Kind::ClockDoubt | Kind::Storage | Kind::Damaged | Kind::Elsewhere => Self::Refused,
            Kind::SecretWrong | Kind::ConfirmationNeeded => Self::Secret,
            Kind::Incomplete => Self::Incomplete,
            Kind::Bug => Self::Bug,
        }
    }
}

/// The failure of a command, as the operator is told.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// A stable word for scripts.
    #[serde(rename = "kind")]
    pub code: &'static str,
    /// The message: what happened to what, and why.
    pub message: String,
    /// The hint: what to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The exit code.
    #[serde(skip)]
    pub exit: Exit,
}

impl Failure {
    /// A failure with this code, by which programs know it.
    pub fn new(exit: Exit, code: &'static str, message: impl ToString) -> Self {
        Self {
            code,
            message: message.to_string(),
            hint: None,
            exit,
        }
    }

    /// The same failure with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl ToString) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// The failure for a malformed value in argv.
    pub fn usage(message: impl ToString) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// The failure where something was refused, and nothing changed.
    pub fn refused(message: impl ToString) -> Self {
        Self::new(Exit::Refused, "refused", message)
    }

    /// The failure where a secret or a confirmation is missing or wrong.
    pub fn secret(message: impl ToString) -> Self {
        Self::new(Exit::Secret, "secret", message)
    }
}

/// An error for which the command line interface has advice.
pub trait Advice: Fault {
    /// The advice what to do next, where there is more to say than what happened.
    fn advice(&self) -> Option<String>;
}

impl<E: Advice> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            hint: error.advice(),
            ..Self::new(error.kind().into(), error.code(), &error)
        }
    }
}

#[cfg(test)]
mod tests;
