//! The source of a publication: a directory, or an https server.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use ureq::http::Uri;

use super::answer::{Answer, SourceError, Validator};
use super::https::Https;
use crate::disk::{Directory, Ground};
use crate::https::Resolve;
use crate::model::text::quoted_url;

/// The name of a source on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceName {
    /// An https URL, which ends with a slash.
    Https(Uri),
    /// A directory.
    Directory(PathBuf),
}

/// The error for a text that names no source.
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
            text: quoted_url(text),
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
        if authority.as_str().contains('@') {
            return Err(unknown("a command line is no place for a password"));
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
    /// The name of a file of it, for messages.
    pub(super) fn file(&self, path: &str) -> String {
        match self {
            Self::Https(uri) => format!("{uri}{path}"),
            Self::Directory(directory) => directory.join(path).display().to_string(),
        }
    }
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
}
