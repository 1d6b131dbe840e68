//! Reads the value of an `--out` that is a directory: a name that looks like a file's is a mistake, which
//! would otherwise become a directory of that name.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};

/// The endings of files that somebody may mean.
const ENDINGS: [&str; 9] = [
    "p12",
    "pfx",
    "pem",
    "crt",
    "cer",
    "key",
    "csr",
    "mobileconfig",
    "png",
];

/// A parser for the name of a directory, which need not exist.
pub fn directory() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(named)
}

fn named(name: OsString) -> Result<PathBuf, String> {
    let path = PathBuf::from(name);
    let ending = path.extension().and_then(|ending| ending.to_str());
    let is_file = ending.is_some_and(|ending| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()));
    let is_meant = path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
    if is_file && !is_meant {
        return Err("it is the directory that files go to, and this looks like a file: name the directory, and files get names of their own (with a / at its end it may be called so)".into());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_file_is_no_directory_unless_it_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let there = directory.path().join("odd.pem");
        std::fs::create_dir(&there).unwrap();
        for (name, is_one) in [
            ("phones", true),
            (".", true),
            ("alice.v2", true),
            (".key", true),
            ("alice.p12", false),
            ("out/ALICE.P12", false),
            ("server.crt", false),
            ("alice.p12/", true),
            (there.to_str().unwrap(), true),
        ] {
            assert_eq!(named(name.into()).is_ok(), is_one, "{name}");
        }
    }
}
