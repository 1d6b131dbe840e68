//! Where a publication is read from: a directory, or an https server.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use ureq::http::Uri;

use super::https::Https;
use crate::disk::{Directory, DiskError, Ground};
use crate::model::text::quoted;
use crate::web::{NoTrust, Resolve, Trouble};

/// What a source is called on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceName {
    /// An https URL, which ends with a slash.
    Https(Uri),
    /// A directory.
    Directory(PathBuf),
}

/// A text that names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is no source: {why}")]
pub struct UnknownSource {
    text: String,
    why: &'static str,
}

impl FromStr for SourceName {
    type Err = UnknownSource;

    fn from_str(text: &str) -> Result<Self, UnknownSource> {
        let unknown = |why| UnknownSource {
            text: quoted(text),
            why,
        };
        if !text.contains("://") {
            return Ok(Self::Directory(PathBuf::from(text)));
        }
        let slash = if text.ends_with('/') { "" } else { "/" };
        let uri: Uri = format!("{text}{slash}")
            .parse()
            .map_err(|_| unknown("it is no URL"))?;
        if uri.scheme_str() != Some("https") {
            return Err(unknown(
                "a publication is fetched over https, or from a directory",
            ));
        }
        let authority = uri.authority().ok_or_else(|| unknown("it names no host"))?;
        if let Some((_, host)) = authority.as_str().rsplit_once('@') {
            // Which is not said again: messages go into logs.
            return Err(UnknownSource {
                text: quoted(&format!("https://…@{host}{}", uri.path())),
                why: "a command line is no place for a password",
            });
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(unknown("it has more than a path"));
        }
        Ok(Self::Https(uri))
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https(uri) => uri.fmt(f),
            Self::Directory(path) => path.display().fmt(f),
        }
    }
}

impl SourceName {
    /// What a file of it is called, for messages.
    pub(super) fn file(&self, path: &str) -> String {
        match self {
            Self::Https(uri) => format!("{uri}{path}"),
            Self::Directory(directory) => directory.join(path).display().to_string(),
        }
    }
}

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is none of that name.
    #[error("there is no such file")]
    Missing,
    /// A directory or a file of this machine.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The server answered with something else than the file.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// The server sends us where we do not go.
    #[error("the server redirects to {to}, which is {why}")]
    Redirect {
        /// Where to, escaped.
        to: String,
        /// Why not.
        why: &'static str,
    },
    /// Nothing, or too little, in the time there was.
    #[error("the server did not answer in time: {0}")]
    Slow(String),
    /// The server cannot be spoken to.
    #[error(transparent)]
    Network(#[from] Trouble),
    /// More than the file can have.
    #[error("it has more than {0} octets")]
    TooLong(u64),
    /// No certificate to trust.
    #[error(transparent)]
    NoTrust(NoTrust),
}

/// By what a server tells that a file is the one it gave before.
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

/// An opened source.
pub(super) enum Source {
    Https(Https),
    Directory(Directory),
}

impl Source {
    pub(super) fn open(
        name: &SourceName,
        ca: Option<&Path>,
        resolve: &[Resolve],
        deadline: Instant,
    ) -> Result<Self, SourceError> {
        match name {
            SourceName::Https(uri) => Ok(Self::Https(Https::new(uri.clone(), ca, resolve, deadline)?)),
            SourceName::Directory(path) => {
                let ground = Ground::find(path, 0)?;
                let directory = ground.directory().ok_or(SourceError::Missing)?;
                Ok(Self::Directory(directory.clone()))
            }
        }
    }

    /// Asks for a file, which the caller already has if it is `known`. Of more than `longest` octets not one
    /// is read.
    pub(super) fn ask(
        &self,
        path: &str,
        known: Option<&Validator>,
        longest: u64,
    ) -> Result<Answer, SourceError> {
        match self {
            Self::Https(server) => server.ask(path, known, longest),
            Self::Directory(directory) => {
                let (below, name) = path.rsplit_once('/').unwrap_or(("", path));
                let directory = match below {
                    "" => Some(directory.clone()),
                    below => directory.below(below)?,
                };
                let file = directory
                    .map(|directory| directory.file(name))
                    .transpose()?
                    .flatten();
                let file = file.ok_or(SourceError::Missing)?;
                if file.metadata().is_ok_and(|metadata| metadata.len() > longest) {
                    return Err(SourceError::TooLong(longest));
                }
                Ok(Answer::File {
                    octets: Box::new(file),
                    validator: None,
                })
            }
        }
    }
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
            Err(error) => return Err(super::https::broken(error)),
        };
        left = left
            .checked_sub(count as u64)
            .ok_or(SourceError::TooLong(longest))?;
        into(&piece[..count])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_https_url_or_a_directory() {
        for (text, shown) in [
            (
                "https://pki.acme.example/public",
                "https://pki.acme.example/public/",
            ),
            ("https://pki.acme.example:8443/", "https://pki.acme.example:8443/"),
            ("/srv/pki/public", "/srv/pki/public"),
            ("public", "public"),
        ] {
            assert_eq!(text.parse::<SourceName>().unwrap().to_string(), shown);
        }
        for text in [
            "http://pki.acme.example/public",
            "ftp://pki.acme.example/",
            "file:///srv/pki",
            "https://",
            "https:///public",
            "https://alice:secret@pki.acme.example/",
            "https://pki.acme.example/?x=1",
            "https://pki.acme.example/#x",
            "https://a b/",
        ] {
            assert!(text.parse::<SourceName>().is_err(), "{text}");
        }
    }

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
