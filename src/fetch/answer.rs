//! The answer of a source to the request for a file: the file, that it has not changed, or the error by which
//! it cannot be had.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use crate::disk::DiskError;
use crate::https::{self, NoTrust, Trouble};
use crate::model::fault::{Fault, Kind};

/// The errors by which a source does not give a file.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source has no file of that name.
    #[error("there is no such file")]
    Missing,
    /// A directory or a file of this machine could not be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The server answered with something else than the file.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// The server redirects to an address that is not followed.
    #[error("the server redirects to {to}, which is {why}")]
    Redirect {
        /// The address of the redirect, escaped.
        to: String,
        /// The reason why it is not followed.
        why: &'static str,
    },
    /// The server sent nothing, or too little, in the time allowed.
    #[error("the server did not answer in time: {0}")]
    Slow(String),
    /// The server cannot be reached.
    #[error(transparent)]
    Network(#[from] Trouble),
    /// The file is longer than a file of that name can be.
    #[error("it has more than {0} octets")]
    TooLong(u64),
    /// There is no certificate to trust the server by.
    #[error(transparent)]
    NoTrust(NoTrust),
}

impl Fault for SourceError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        let kind = match self {
            Self::Missing => Kind::NotFound,
            Self::Disk(error) => error.kind(),
            Self::Status(_) | Self::Redirect { .. } | Self::Slow(_) | Self::Network(_) | Self::TooLong(_) => {
                Kind::Elsewhere
            }
            Self::NoTrust(_) => Kind::BadRequest,
        };
        (kind, "source")
    }
}

/// The validators of an HTTP response, by which a server tells that a file has not changed (RFC 9110 §8.8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validator {
    /// ETag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Last-Modified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

/// A file, or that it is the one that is known.
pub(super) enum Answer {
    Same,
    File {
        octets: Box<dyn Read>,
        validator: Option<Validator>,
    },
}

/// Hands on what a reader gives, piece by piece, at most `longest` octets of it.
///
/// # Errors
/// Where it cannot be read, has more, or does not get where it should.
pub(super) fn pour(
    octets: &mut dyn Read,
    longest: u64,
    mut into: impl FnMut(&[u8]) -> Result<(), DiskError>,
) -> Result<(), SourceError> {
    let mut piece = vec![0; 1 << 16];
    let mut left = longest;
    loop {
        let count = match octets.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(error)),
        };
        left = left
            .checked_sub(count as u64)
            .ok_or(SourceError::TooLong(longest))?;
        into(&piece[..count])?;
    }
}

/// What broke in the middle of a file.
fn broken(error: io::Error) -> SourceError {
    let text = error.to_string();
    let timed_out = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(error) => https::is_timeout(error),
        None => error.kind() == io::ErrorKind::TimedOut,
    };
    if timed_out {
        SourceError::Slow(text)
    } else {
        SourceError::Network(Trouble::Broken(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_a_file_may_have() {
        let mut got = Vec::new();
        let mut read = |mut from: &[u8], longest| {
            got.clear();
            let poured = pour(&mut from, longest, |piece| {
                got.extend_from_slice(piece);
                Ok(())
            });
            (poured.is_ok(), got.len())
        };
        assert_eq!(read(b"12345", 5), (true, 5));
        assert!(!read(b"12345", 4).0);
        let endless = &mut io::repeat(7);
        assert!(matches!(
            pour(endless, 1 << 20, |_| Ok(())),
            Err(SourceError::TooLong(_))
        ));
    }
}
