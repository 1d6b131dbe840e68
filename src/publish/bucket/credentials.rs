//! Reads the access key to an object store from a file in the form of AWS's own tools.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rusty_s3::Credentials;
use zeroize::Zeroizing;

use crate::disk::{self, DiskError, Exposed, Shown};

/// The errors by which a file gives no access key.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file could not be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Others can read the file.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// The file lacks a setting.
    #[error("{path} has no {key} in the profile [{profile}]")]
    Lacks {
        /// The path of the file.
        path: Shown,
        /// The name of the missing setting.
        key: &'static str,
        /// The section in which it is missing.
        profile: String,
    },
}

/// Reads a profile of a file as `~/.aws/credentials`.
///
/// # Errors
/// Where others can read it, or it has no such profile.
pub(super) fn read(path: &Path, profile: &str) -> Result<Credentials, CredentialsError> {
    const LONGEST: u64 = 64 << 10;
    let file = disk::open_regular(path).map_err(disk::failed("read", path))?;
    let mode = file.metadata().map_err(disk::failed("examined", path))?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Exposed::new(path, mode).into());
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LONGEST)
        .read_to_string(&mut text)
        .map_err(disk::failed("read", path))?;
    let value = |key| value(&text, profile, key);
    let needed = |key| {
        value(key).ok_or_else(|| CredentialsError::Lacks {
            path: Shown(path.to_owned()),
            key,
            profile: profile.to_owned(),
        })
    };
    let (key, secret) = (needed("aws_access_key_id")?, needed("aws_secret_access_key")?);
    Ok(match value("aws_session_token") {
        Some(token) => Credentials::new_with_token(key, secret, token),
        None => Credentials::new(key, secret),
    })
}

/// The value of a key in a section `[profile]`.
fn value<'a>(text: &'a str, profile: &str, key: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| {
        line.strip_prefix('[')
            .and_then(|l| l.strip_suffix(']'))
            .map(str::trim)
            == Some(profile)
    })?;
    let mut section = lines.take_while(|line| !line.starts_with('['));
    let value = section.find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim())
    });
    value.filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz;

    #[test]
    fn a_profile_is_read_as_aws_reads_it() {
        let text = "# a comment\n[default]\naws_access_key_id = AKIA1\n\n[ other ]\naws_access_key_id=AKIA2\n\
                    aws_secret_access_key = a+b/c==\naws_session_token =\n";
        assert_eq!(value(text, "default", "aws_access_key_id"), Some("AKIA1"));
        assert_eq!(value(text, "default", "aws_secret_access_key"), None);
        assert_eq!(value(text, "other", "aws_access_key_id"), Some("AKIA2"));
        assert_eq!(value(text, "other", "aws_secret_access_key"), Some("a+b/c=="));
        assert_eq!(value(text, "other", "aws_session_token"), None);
        assert_eq!(value(text, "third", "aws_access_key_id"), None);
    }

    #[test]
    fn damaged_files_give_one_line_of_the_file_or_nothing() {
        let file = "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = a+b/c==\n[ other ]\nx=y\n";
        fuzz::damaged_texts(&[file], |text| {
            let values =
                ["aws_access_key_id", "aws_secret_access_key"].map(|key| value(text, "default", key));
            for value in values.into_iter().flatten() {
                assert!(text.lines().any(|line| line.contains(value)) && value == value.trim());
            }
            values.iter().all(Option::is_some)
        });
    }
}
