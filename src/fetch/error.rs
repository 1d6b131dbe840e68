//! The errors of a fetch: the rules that a publication can break, for which it is refused, and whatever else
//! can stop a fetch.

use std::collections::BTreeSet;
use std::{fmt, io};

use crate::disk::{DiskError, Shown};
use crate::model::fault::{Fault, Kind};
use crate::model::text::quoted;
use crate::model::{Host, Pinned, Serial, Span, Time};
use crate::publish::{Area, Ended, InvalidStatement};
use crate::x509::X509Error;

use super::answer::SourceError;

/// The errors of a fetch. The publication that was installed before is still in place.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A file of this machine could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file that was given as the root's certificate cannot be read as one.
    #[error("{path}: {why}")]
    Root {
        /// The path of the file.
        path: Shown,
        /// The reason why it cannot be read as a certificate.
        why: X509Error,
    },
    /// The root that was given is no root, or not in date.
    #[error("{path} is {why}")]
    NoRoot {
        /// The path of the file.
        path: Shown,
        /// The reason why it cannot be the root.
        why: String,
    },
    /// The CRL that was given is not the root's, or not good.
    #[error("{path}: {why}")]
    RootCrl {
        /// The path of the file.
        path: Shown,
        /// The rule that it breaks.
        why: Unfit,
    },
    /// The installed publication was verified against another root.
    #[error("{0} came by another root than the one that was given")]
    OtherRoot(Shown),
    /// The installed publication is the other half.
    #[error("{out} holds the {holds} area of a publication, and not the {wanted} area")]
    OtherArea {
        /// The directory that was given to install the publication in.
        out: Shown,
        /// The half that is installed there.
        holds: Area,
        /// The half that was requested.
        wanted: Area,
    },
    /// Something is in the place that was not installed by a fetch.
    #[error("{out} is {what}")]
    Taken {
        /// The directory that was given to install the publication in.
        out: Shown,
        /// The kind of thing that is there.
        what: &'static str,
    },
    /// The place is in a home, which is private and has nothing in it but what is its own.
    #[error("{out} lies in {home}, which is the home of a PKI")]
    InHome {
        /// The directory that was given to install the publication in.
        out: Shown,
        /// The path of the home.
        home: Shown,
    },
    /// A home is in the place, and would go with the version that it lies in.
    #[error("{out} has {home} in it, which is the home of a PKI")]
    HomeInside {
        /// The directory that was given to install the publication in.
        out: Shown,
        /// The path of the home.
        home: Shown,
    },
    /// The path is not the name of a directory that could be made.
    #[error("{0} names no directory")]
    NoName(Shown),
    /// The state of earlier fetches is lost.
    #[error(
        "{state} {why}: what was seen before is not known, and an older publication could pass for a new one"
    )]
    Forgotten {
        /// The path of `state.json`.
        state: Shown,
        /// The reason why it cannot be used.
        why: String,
    },
    /// Another fetch is at work on the same directory.
    #[error("another fetch into {out} is at work, and was for {} s", .waited.as_secs())]
    Busy {
        /// The directory that was given to install the publication in.
        out: Shown,
        /// How long this fetch waited for it.
        waited: std::time::Duration,
    },
    /// A file could not be read from the source.
    #[error("{file}: {why}")]
    Source {
        /// The name of the file.
        file: String,
        /// The error of the source.
        why: SourceError,
    },
    /// A file of a source that is a directory could not be read.
    #[error(transparent)]
    Directory(DiskError),
    /// A file breaks a rule.
    #[error("{file}: {why}")]
    Refused {
        /// The name of the file.
        file: String,
        /// The rule that it breaks.
        why: Unfit,
    },
    /// The files are not those that the manifest lists, however often they were read again.
    #[error("{file} {why}; it was read {tries} times")]
    Torn {
        /// The name of the file.
        file: String,
        /// The difference from the manifest.
        why: String,
        /// The number of attempts.
        tries: u32,
    },
}

impl Fault for FetchError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::Disk(error) | Self::Directory(error) => error.kind_and_code(),
            Self::Source { why, .. } => why.kind_and_code(),
            Self::Refused { why, .. } => why.kind_and_code(),
            Self::Root { .. } | Self::NoRoot { .. } => (Kind::BadRequest, "root"),
            Self::RootCrl { .. } => (Kind::BadRequest, "root-crl"),
            Self::InHome { .. } | Self::NoName(_) => (Kind::BadRequest, "place"),
            Self::OtherRoot(_) => (Kind::Conflict, "other-root"),
            Self::OtherArea { .. } => (Kind::Conflict, "area"),
            Self::Taken { .. } | Self::HomeInside { .. } => (Kind::Conflict, "place"),
            Self::Forgotten { .. } => (Kind::Damaged, "state"),
            Self::Busy { .. } => (Kind::Busy, "busy"),
            Self::Torn { .. } => (Kind::Elsewhere, "torn"),
        }
    }
}

/// The rules for a publication: a variant for each way to break one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The signed form cannot be trusted.
    #[error(transparent)]
    Statement(#[from] InvalidStatement),
    /// The file cannot be parsed; the text is the message of the parser.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Made by a later version of this program, in a form that is not known.
    #[error("it is of version {0}, and this program reads version 1")]
    Version(u32),
    /// The publication is the other half.
    #[error("it is of the {is} area, and not of the {wanted} area")]
    Area {
        /// The half that it is.
        is: Area,
        /// The half that was requested.
        wanted: Area,
    },
    /// The number is lower than one that was accepted before (a rollback).
    #[error("it has the number {number}, and {seen} was seen already: it is an older one")]
    Older {
        /// The number of this one.
        number: u64,
        /// The highest number that was accepted.
        seen: u64,
    },
    /// Two different files have the same number.
    #[error("it has the number {0} as one that was seen already, and says something else")]
    SameNumber(u64),
    /// Certificates are not revoked any more that the installed publication revokes.
    #[error(
        "it does not revoke {serials} any more, which what is in place does, and does not say that the certificate has ended: {}",
        .rest.map_or_else(
            || "it comes from a home that knows less, one that was restored from an older backup perhaps".to_owned(),
            |rest| format!(
                "a publication tells of the certificates that have ended in the last {}, and what is in place was made {rest} before this one, \
                 so that it has ended in between perhaps; or a home publishes that was restored from an older backup",
                Ended::KEPT
            )
        )
    )]
    Unrevoked {
        /// The certificates.
        serials: Serials,
        /// The number of the publication.
        number: u64,
        /// The time between the making of the installed publication and of this one, where that is longer
        /// than publications remember.
        rest: Option<Span>,
    },
    /// The installed list of revoked certificates is damaged, and a certificate is accepted that was not
    /// before.
    #[error(
        "it lets {serials} in again, which what is in place does not any more, and the version before it did: revoked.map in place is damaged or gone, and has revoked the certificate, likely"
    )]
    Readmitted {
        /// The certificates.
        serials: Serials,
        /// The number of the publication.
        number: u64,
    },
    /// The installed list of revoked certificates is damaged, and had more of them.
    #[error(
        "it revokes {are}, and what is in place has revoked {were}: its revoked.map is damaged or gone, so that nobody can tell whom"
    )]
    FewerRevoked {
        /// How many were revoked.
        were: u64,
        /// How many are.
        are: u64,
        /// The number of the publication.
        number: u64,
    },
    /// A CA is gone from the publication, with the CRL of what it had revoked, and is still valid.
    #[error(
        "nothing revokes {serials} any more, which what is in place does by the CRL of {}: that CA has no CRL here, has not ended and is not revoked by the root, so that verifiers which accept any CA below the root would let them in",
        .ca.as_deref().unwrap_or("a CA whose certificate in place cannot be read")
    )]
    Abandoned {
        /// The name of the CA, escaped; none where that cannot be read any more.
        ca: Option<String>,
        /// The certificates.
        serials: Serials,
        /// The number of the publication.
        number: u64,
    },
    /// A key has a role in a pin set that a later set, installed already, has taken from it.
    #[error(
        "it has {} of {host} as {} since {}, and the pin sets in place, which are later, do not: it comes from a home that has forgotten a rotation, one that was restored from an older backup perhaps, and apps would believe whoever has a key that was given up",
        .pinned.pin, .pinned.role, .pinned.since
    )]
    PinBack {
        /// The server.
        host: Host,
        /// The key.
        pinned: Box<Pinned>,
        /// The number of the publication.
        number: u64,
    },
    /// The history of the ledger lacks the last checkpoint that was seen, or contradicts it.
    #[error(
        "the ledger that it was made from was set back, or is another: it has {events} events, and does not go on from event {seen} as that was when what is in place was made"
    )]
    SetBack {
        /// The events of the ledger by the last checkpoint that was seen.
        seen: u64,
        /// The events of the ledger by the last one of this history.
        events: u64,
    },
    /// The history is of another ledger, by its first event.
    #[error("it was made from another ledger than what is in place")]
    OtherLedger,
    /// There is no history any more; the number of events by the last checkpoint that was seen.
    #[error(
        "the publication has no history of the ledger any more, and what is in place has one of {0} events: the ledger was set back perhaps, or an earlier version of this program has published"
    )]
    NoHistory(u64),
    /// The validity period is over: the time is its end.
    #[error("it ended on {0}")]
    Ended(Time),
    /// The validity period has not begun: the time is its start.
    #[error("it begins on {0}, after now")]
    NotYet(Time),
    /// The manifest lists a file that the area does not have.
    #[error("it lists {path}, which is no file of the {area} area")]
    Stray {
        /// The path that it lists, escaped.
        path: String,
        /// The area of the manifest.
        area: Area,
    },
    /// The manifest does not list a file that the area must have.
    #[error("it does not list {0}")]
    NotListed(&'static str),
    /// The manifest lists a file that is longer than one of that name can be.
    #[error("it lists {file} with {size} octets, and {longest} are the most")]
    TooLong {
        /// The name of the file.
        file: String,
        /// The length that the manifest gives.
        size: u64,
        /// The longest that is accepted.
        longest: u64,
    },
    /// The file differs from what another file of the publication says.
    #[error("it is not {0}")]
    Differs(&'static str),
    /// A CRL that its CA has not signed.
    #[error("it is not signed by {0}")]
    NotSignedBy(&'static str),
    /// A line or an entry of the file is not valid; the number of it.
    #[error("line {0} is not as it should be")]
    Line(usize),
}

impl Fault for Unfit {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        let kind = match self {
            Self::Area { .. } => Kind::BadRequest,
            Self::NotYet(_) => Kind::ClockDoubt,
            Self::Statement(_)
            | Self::Unreadable(_)
            | Self::Version(_)
            | Self::Older { .. }
            | Self::SameNumber(_)
            | Self::Unrevoked { .. }
            | Self::Readmitted { .. }
            | Self::FewerRevoked { .. }
            | Self::Abandoned { .. }
            | Self::PinBack { .. }
            | Self::SetBack { .. }
            | Self::OtherLedger
            | Self::NoHistory(_)
            | Self::Ended(_)
            | Self::Stray { .. }
            | Self::NotListed(_)
            | Self::TooLong { .. }
            | Self::Differs(_)
            | Self::NotSignedBy(_)
            | Self::Line(_) => Kind::Elsewhere,
        };
        (kind, "publication")
    }
}

/// Certificates that a publication would accept again, one or more. A message names the first few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serials(pub BTreeSet<Serial>);

impl fmt::Display for Serials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMED: usize = 5;
        let named: Vec<String> = self.0.iter().take(NAMED).map(Serial::to_string).collect();
        f.write_str(&named.join(", "))?;
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl Unfit {
    pub(super) fn stray(path: &str, area: Area) -> Self {
        Self::Stray {
            path: quoted(path),
            area,
        }
    }

    pub(super) fn unreadable(why: impl fmt::Display) -> Self {
        Self::Unreadable(why.to_string())
    }
}

/// The failure of one attempt.
pub(super) enum Attempt {
    /// The attempt failed, and another would fail as well.
    Over(FetchError),
    /// The source is between two states: a file is not what the manifest says.
    Torn { file: String, why: String },
}

impl<E: Into<FetchError>> From<E> for Attempt {
    fn from(error: E) -> Self {
        Self::Over(error.into())
    }
}

/// The error of a read from a file of ours.
pub(super) fn local(path: &std::path::Path) -> impl FnOnce(io::Error) -> DiskError + '_ {
    crate::disk::failed("read", path)
}
