//! The parameters of a fetch, and its result.

use std::path::Path;
use std::time::Duration;

use super::continuity::{Confirmation, Unproven};
use super::error::FetchError;
use super::expiry::{self, Ending};
use super::source::SourceName;
use super::state::State;
use crate::https::Resolve;
use crate::model::Time;
use crate::publish::Area;

/// The parameters of a fetch.
#[derive(Debug)]
pub struct Order<'a> {
    /// The source of the publication.
    pub source: &'a SourceName,
    /// The root's certificate, a file that came by a safe way.
    pub root: &'a Path,
    /// The directory to install the publication in.
    pub out: &'a Path,
    /// The half that it must be; none: the one that is installed, or whichever comes first.
    pub area: Option<Area>,
    /// The number of the group that can read the installed files.
    pub group: Option<u32>,
    /// The certificates that are trusted for an https server, in place of the system's.
    pub ca: Option<&'a Path>,
    /// The addresses of hosts for which the name service is not asked.
    pub resolve: &'a [Resolve],
    /// A CRL of the root, against which the signer is held in an area that has none.
    pub root_crl: Option<&'a Path>,
    /// The certificates that may be accepted again although the installed publication revokes them.
    pub confirmed: &'a [Confirmation],
    /// The command that a shell runs after a change.
    pub exec: Option<&'a str>,
    /// How long to wait for another fetch on the same directory.
    pub wait: Duration,
    /// The time limit for the whole fetch.
    pub timeout: Duration,
    /// Whether this is a trial that changes nothing.
    pub is_trial: bool,
    /// The current time.
    pub now: Time,
}

/// The result of a fetch.
#[derive(Debug)]
pub struct Fetched {
    /// The half that was fetched.
    pub area: Area,
    /// The number of its manifest.
    pub number: u64,
    /// The earliest expiry of anything in it.
    pub valid_until: Time,
    /// The files that were not there before; none where nothing has changed.
    pub changed: Vec<String>,
    /// The outcome of the command.
    pub command: Command,
    /// The CRLs or publication that expire soon.
    pub endings: Vec<Ending>,
    /// The findings that a comparison with the publication installed before could not decide.
    pub unproven: Unproven,
}

impl Fetched {
    pub(super) fn new(state: &State, changed: Vec<String>, command: Command, now: Time) -> Self {
        Self {
            unproven: Unproven {
                lost: state.lost.clone(),
                ..Unproven::default()
            },
            area: state.area,
            number: state.manifest.number,
            valid_until: expiry::first(state),
            changed,
            command,
            endings: expiry::near(state, now),
        }
    }
}

/// The outcome of the command that follows a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// There was no need for it.
    NotRun,
    /// It was run.
    Done,
    /// It failed, and the next fetch runs it again.
    Failed(String),
}

/// The error of a fetch, and the parts of the installed publication that expire soon.
#[derive(Debug)]
pub struct Stopped {
    /// The error.
    pub error: FetchError,
    /// The CRLs or publication that expire soon.
    pub endings: Vec<Ending>,
}

impl<E: Into<FetchError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            endings: Vec::new(),
        }
    }
}
