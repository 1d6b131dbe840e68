//! What the command line refuses and advises, as text: the files of `cases` show a command and all that it
//! says, and each command is run.
//!
//! The commands are run by trycmd, in a directory that has a home in it whose alice and bob have a phone each
//! (`Home::staffed`). None of them may change that. stdout and stderr stand as one text; for which of the two
//! it was, and for JSON, there is `bad_input`. trycmd shows a backslash as a slash.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use trycmd::TestCases;
use trycmd::schema::Bin;

use crate::support::{Home, files_below};

/// The files of cases.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/cases");
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// A program that runs this command, in its directory and environment, with more arguments. trycmd itself
/// could only add variables, and would run it where the tests are run.
fn script(command: &Command) -> String {
    let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap());
    let mut script = format!(
        "#!/bin/sh\ncd {}\n",
        quoted(command.get_current_dir().unwrap().as_os_str())
    );
    for (name, value) in command.get_envs() {
        let name = name.to_str().unwrap();
        script += &match value {
            Some(value) => format!("export {name}={}\n", quoted(value)),
            None => format!("unset {name}\n"),
        };
    }
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quoted)
        .collect();
    format!("{script}exec {} \"$@\"\n", words.join(" "))
}

/// Runs these files' commands beside a home.
fn run(home: &Home, files: &[PathBuf]) {
    // Not beside the home, where a case may look.
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("pki");
    std::fs::write(&program, script(&home.pki(&[]))).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).unwrap();
    let cases = TestCases::new();
    cases.register_bin("pki", Bin::Path(program));
    cases
        .insert_var("[HOME]", home.home().display().to_string())
        .unwrap();
    for file in files {
        cases.case(file);
    }
    cases.run();
}

#[test]
fn the_command_line_says_what_the_cases_show() {
    let home = Home::staffed();
    let content = || -> Vec<(String, Vec<u8>)> {
        let files = files_below(&home.path("."));
        let read = |file: String| (file.clone(), std::fs::read(home.path(file)).unwrap());
        // The lock says who had it last.
        files
            .into_iter()
            .filter(|file| file != "home/lock")
            .map(read)
            .collect()
    };
    let before = content();
    run(&home, &files());
    assert!(content() == before, "a case has changed something");
}

/// trycmd passes over whatever is no case to it, and what it fills in may hold for a day.
#[test]
fn whatever_looks_like_a_case_is_one_and_holds_on_every_day() {
    let date = Regex::new(r"\d{4}-\d\d-\d\d").unwrap();
    let files = files();
    assert!(files.len() > 3, "{files:?}");
    for file in files {
        assert_eq!(file.extension().unwrap(), "md", "{}", file.display());
        let text = std::fs::read_to_string(&file).unwrap();
        let fences: Vec<&str> = text.lines().filter(|line| line.starts_with("```")).collect();
        assert!(!fences.is_empty(), "{}", file.display());
        for fence in fences.chunks(2) {
            assert_eq!(fence, ["```console", "```"], "{}", file.display());
        }
        for line in text.lines() {
            let known = !line.starts_with('$') || line.starts_with("$ pki ");
            assert!(known && !date.is_match(line), "{}: {line}", file.display());
        }
    }
}

#[test]
fn a_case_that_shows_something_else_fails() {
    let home = Home::unfounded();
    let right = "```console\n$ pki reboke\n? 2\n...\n```\n";
    let holds = |text: String| {
        let file = home.write_private("case.md", &text);
        std::panic::catch_unwind(|| run(&home, &[file])).is_ok()
    };
    assert!(holds(right.to_owned()));
    assert!(!holds(right.replace("? 2", "? 1")));
    assert!(!holds(right.replace("...", "pki: something else")));
}
