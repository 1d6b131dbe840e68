//! The location that `pki.toml` gives for an area: a directory, or a part of a bucket.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::model::text::quoted;

/// A directory, or a part of a bucket of an object store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Location {
    /// A directory.
    Directory(PathBuf),
    /// `s3://BUCKET/PREFIX`.
    Bucket {
        /// The name of the bucket.
        bucket: String,
        /// The prefix of all keys; no slash at either end. It may be empty.
        prefix: String,
    },
}

/// The error for a text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no s3://BUCKET/PREFIX: {1}")]
pub struct InvalidLocation(String, &'static str);

impl TryFrom<String> for Location {
    type Error = InvalidLocation;

    fn try_from(text: String) -> Result<Self, InvalidLocation> {
        let Some(rest) = text.strip_prefix("s3://") else {
            return Ok(Self::Directory(text.into()));
        };
        let invalid = |why| InvalidLocation(quoted(&text), why);
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) || bucket.starts_with(['.', '-']) {
            return Err(invalid(
                "a bucket has 3 to 63 lower-case letters, digits, dots and hyphens",
            ));
        }
        // Dots alone are steps of a path in a URL, and other characters are written differently by everyone.
        let is_plain = |part: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
            !part.is_empty() && part.bytes().all(plain) && part.bytes().any(|b| b != b'.')
        };
        if rest.ends_with("//")
            || prefix.len() > 512
            || !prefix.is_empty() && !prefix.split('/').all(is_plain)
        {
            return Err(invalid(
                "a prefix has parts of letters, digits, dots, hyphens and underscores",
            ));
        }
        Ok(Self::Bucket {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl Location {
    /// The directory, where it is one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) => Some(path),
            Self::Bucket { .. } => None,
        }
    }

    /// The name of the place, as a path: one that lies in another begins with its parts.
    pub fn name(&self) -> PathBuf {
        match self {
            Self::Directory(path) => path.clone(),
            Self::Bucket { .. } => self.to_string().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_named_by_a_url_and_everything_else_is_a_directory() {
        let read = |text: &str| Location::try_from(text.to_owned()).map(|location| location.to_string());
        for (text, shown) in [
            ("s3://acme-pki/public", "s3://acme-pki/public"),
            ("s3://acme-pki/a/b.c_d/", "s3://acme-pki/a/b.c_d"),
            ("s3://acme-pki/", "s3://acme-pki"),
            ("s3://acme-pki", "s3://acme-pki"),
            ("/srv/s3://x", "/srv/s3://x"),
        ] {
            assert_eq!(read(text).unwrap(), shown);
        }
        for text in [
            "s3://",
            "s3:///a",
            "s3://ab/x",
            "s3://Acme/x",
            "s3://a b/x",
            "s3://.acme/x",
            "s3://acme/../x",
            "s3://acme/a//b",
            "s3://acme/a?b",
            "s3://acme/ä",
            "s3://acme//",
            "s3://a@b/c",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
