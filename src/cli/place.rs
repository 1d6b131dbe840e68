//! Reads where files are to go. What is a mistake by its name would otherwise become a directory or a file
//! that is called so.

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
    let path = not_stdout(name)?;
    let ending = path.extension().and_then(|ending| ending.to_str());
    let is_file = ending.is_some_and(|ending| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()));
    let is_meant = path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
    if is_file && !is_meant {
        return Err("it is the directory that files go to, and this looks like a file: name the directory, and files get names of their own (with a / at its end it may be called so)".into());
    }
    Ok(path)
}

/// A parser for the name of a file that is to be made.
pub fn new_file() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(not_stdout)
}

fn not_stdout(name: OsString) -> Result<PathBuf, String> {
    match name == "-" {
        true => Err("this is not written to stdout: name a place for it".into()),
        false => Ok(PathBuf::from(name)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

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

    /// Every flag by which a file or a directory is named that is to be made.
    #[test]
    fn nothing_is_written_to_a_file_of_the_name_by_which_others_mean_stdout() {
        for command in [
            &["issue", "alice", "--out", "-"][..],
            &["issue", "alice", "--bundle-passphrase-out", "-"],
            &["invite", "create", "alice", "--out", "-"],
            &["invite", "create", "alice", "--code", "--code-out", "-"],
            &[
                "invite",
                "create",
                "alice",
                "--server-key",
                "--bundle-passphrase-out",
                "-",
            ],
            &["renew", "alice", "--out", "-"],
            &["hmac", "show", "api.acme.example", "--out", "-"],
            &["server", "add", "api.acme.example", "--out", "-"],
            &["server", "issue", "api.acme.example", "--out", "-"],
            &["server", "rotate", "api.acme.example", "--out", "-"],
            &["root", "sign", "servers-ca.csr", "--out", "-"],
            &[
                "fetch",
                "https://pki.acme.example",
                "--root",
                "root.crt",
                "--out",
                "-",
            ],
        ] {
            let parsed = Cli::try_parse_from([&["pki"], command].concat());
            let said = parsed.unwrap_err().to_string();
            assert!(said.contains("not written to stdout"), "{command:?}: {said}");
        }
    }
}
