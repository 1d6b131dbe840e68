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

/// Why a fetch came to nothing. What stood in place before stands there still.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A file of this machine could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The root that was given is none.
    #[error("{path}: {why}")]
    Root {
        /// Which file.
        path: Shown,
        /// What is wrong with it.
        why: X509Error,
    },
    /// The root that was given is no root, or not in date.
    #[error("{path} is {why}")]
    NoRoot {
        /// Which file.
        path: Shown,
        /// What it is instead.
        why: String,
    },
    /// The CRL that was given is not the root's, or not good.
    #[error("{path}: {why}")]
    RootCrl {
        /// Which file.
        path: Shown,
        /// What is wrong with it.
        why: Unfit,
    },
    /// What is in place came by another root.
    #[error("{0} came by another root than the one that was given")]
    OtherRoot(Shown),
    /// What is in place is the other half.
    #[error("{out} holds the {holds} area of a publication, and not the {wanted} area")]
    OtherArea {
        /// Where.
        out: Shown,
        /// What it holds.
        holds: Area,
        /// What was asked for.
        wanted: Area,
    },
    /// Something is in the place that a fetch did not put there.
    #[error("{out} is {what}")]
    Taken {
        /// Where.
        out: Shown,
        /// What it is.
        what: &'static str,
    },
    /// The place is in a home, which is private and has nothing in it but what is its own.
    #[error("{out} lies in {home}, which is the home of a PKI")]
    InHome {
        /// Where.
        out: Shown,
        /// Which home.
        home: Shown,
    },
    /// A home is in the place, and would go with the version that it lies in.
    #[error("{out} has {home} in it, which is the home of a PKI")]
    HomeInside {
        /// Where.
        out: Shown,
        /// Which home.
        home: Shown,
    },
    /// The path names no directory that could be made.
    #[error("{0} names no directory")]
    NoName(Shown),
    /// What was seen before is not known any more.
    #[error(
        "{state} {why}: what was seen before is not known, and an older publication could pass for a new one"
    )]
    Forgotten {
        /// Which file.
        state: Shown,
        /// What is wrong with it.
        why: String,
    },
    /// Another fetch is at work on the same directory.
    #[error("another fetch into {out} is at work, and was for {} s", .waited.as_secs())]
    Busy {
        /// Where.
        out: Shown,
        /// How long it was waited for.
        waited: std::time::Duration,
    },
    /// A file could not be had.
    #[error("{file}: {why}")]
    Source {
        /// Which file.
        file: String,
        /// What went wrong.
        why: SourceError,
    },
    /// A file of a source that is a directory.
    #[error(transparent)]
    Directory(DiskError),
    /// A file does not hold.
    #[error("{file}: {why}")]
    Refused {
        /// Which file.
        file: String,
        /// Which rule it breaks.
        why: Unfit,
    },
    /// The files are not those of the manifest, read again and again.
    #[error("{file} {why}; it was read {tries} times")]
    Torn {
        /// Which file.
        file: String,
        /// How it differs.
        why: String,
        /// How often.
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

/// The rules of a publication that can be broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The signed form is not to be believed.
    #[error(transparent)]
    Statement(#[from] InvalidStatement),
    /// Not what it should be, in somebody else's words.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Made by a later version of this program, in a form that is not known.
    #[error("it is of version {0}, and this program reads version 1")]
    Version(u32),
    /// The other half of a publication.
    #[error("it is of the {is} area, and not of the {wanted} area")]
    Area {
        /// What it is.
        is: Area,
        /// What was wanted.
        wanted: Area,
    },
    /// Older than what was seen.
    #[error("it has the number {number}, and {seen} was seen already: it is an older one")]
    Older {
        /// Its number.
        number: u64,
        /// The highest seen.
        seen: u64,
    },
    /// Two with one number.
    #[error("it has the number {0} as one that was seen already, and says something else")]
    SameNumber(u64),
    /// Less is revoked than by what stands in place.
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
        /// How long before it what is in place was made, where that is longer than publications remember.
        rest: Option<Span>,
    },
    /// The list of those who are revoked is damaged, and one is let in that was not before it was.
    #[error(
        "it lets {serials} in again, which what is in place does not any more, and the version before it did: revoked.map in place is damaged or gone, and has revoked the certificate, likely"
    )]
    Readmitted {
        /// The certificates.
        serials: Serials,
        /// The number of the publication.
        number: u64,
    },
    /// A CA has left with the list of what it had revoked, and is good still.
    #[error(
        "nothing revokes {serials} any more, which what is in place does by the CRL of {}: that CA has no CRL here, has not ended and is not revoked by the root, so that verifiers which accept any CA below the root would let them in",
        .ca.as_deref().unwrap_or("a CA whose certificate in place cannot be read")
    )]
    Abandoned {
        /// Which CA, escaped: nothing where that cannot be read any more.
        ca: Option<String>,
        /// The certificates.
        serials: Serials,
        /// The number of the publication.
        number: u64,
    },
    /// A key has the place in a pin set that a later set has taken from it.
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
    /// Past its end.
    #[error("it ended on {0}")]
    Ended(Time),
    /// Before its time.
    #[error("it begins on {0}, after now")]
    NotYet(Time),
    /// A file that the area does not have.
    #[error("it lists {path}, which is no file of the {area} area")]
    Stray {
        /// What it lists, escaped.
        path: String,
        /// Which area.
        area: Area,
    },
    /// A file that the area must have.
    #[error("it does not list {0}")]
    NotListed(&'static str),
    /// More than a file of that name can be.
    #[error("it lists {file} with {size} octets, and {longest} are the most")]
    TooLong {
        /// Which file.
        file: String,
        /// How long it is said to be.
        size: u64,
        /// How long it may be.
        longest: u64,
    },
    /// Not what another file of the publication says.
    #[error("it is not {0}")]
    Differs(&'static str),
    /// A CRL that its CA has not signed.
    #[error("it is not signed by {0}")]
    NotSignedBy(&'static str),
    /// A line or an entry that does not belong there.
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
            | Self::Abandoned { .. }
            | Self::PinBack { .. }
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

/// Certificates that a publication would let in again, one or more. A message names the first few.
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

/// What one attempt came to, if not to a publication.
pub(super) enum Attempt {
    /// To nothing, and another would not come to more.
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
