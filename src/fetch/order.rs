//! The parameters of a fetch, and its result.

use std::path::Path;
use std::time::Duration;

use super::continuity::{Confirmation, Unproven};
use super::ends::{self, Ending};
use super::error::FetchError;
use super::source::SourceName;
use super::state::State;
use crate::model::Time;
use crate::publish::Area;
use crate::web::Resolve;

/// What is to be fetched, and how.
#[derive(Debug)]
pub struct Order<'a> {
    /// Where the publication is.
    pub source: &'a SourceName,
    /// The root's certificate, a file that came by a safe way.
    pub root: &'a Path,
    /// The directory that is to hold it.
    pub out: &'a Path,
    /// Which half it must be; none: the one that is there, or whichever comes first.
    pub area: Option<Area>,
    /// The group that may read it, by its number.
    pub group: Option<u32>,
    /// The certificates that are trusted for an https server, in place of the system's.
    pub ca: Option<&'a Path>,
    /// Where hosts are that the name service is not asked for.
    pub resolve: &'a [Resolve],
    /// A CRL of the root, against which the signer is held in an area that has none.
    pub root_crl: Option<&'a Path>,
    /// What may be let in again although what is in place revokes it.
    pub confirmed: &'a [Confirmation],
    /// What a shell runs after a change.
    pub exec: Option<&'a str>,
    /// How long another fetch is waited for.
    pub wait: Duration,
    /// How long it may take in all.
    pub timeout: Duration,
    /// Whether nothing is to be changed.
    pub is_trial: bool,
    /// The time.
    pub now: Time,
}

/// What a fetch came to.
#[derive(Debug)]
pub struct Fetched {
    /// Which half.
    pub area: Area,
    /// Its manifest's number.
    pub number: u64,
    /// When the first of it ends.
    pub valid_until: Time,
    /// The files that were not there before; none where nothing has changed.
    pub changed: Vec<String>,
    /// What became of the command.
    pub command: Command,
    /// What ends soon.
    pub endings: Vec<Ending>,
    /// What could not be told by a comparison with what was in place.
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
            valid_until: ends::first(state),
            changed,
            command,
            endings: ends::near(state, now),
        }
    }
}

/// What became of the command that follows a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// There was no need for it.
    NotRun,
    /// It was run.
    Done,
    /// It failed, and the next fetch runs it again.
    Failed(String),
}

/// Why nothing was fetched, and what of that which stands in place ends soon.
#[derive(Debug)]
pub struct Stopped {
    /// Why.
    pub error: FetchError,
    /// What ends soon.
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
