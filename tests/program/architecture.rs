//! The rooms build on each other in one direction, and what only one room may do only that room does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every source file below `directory`, with its text.
fn sources(directory: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.insert(path.clone(), std::fs::read_to_string(path).unwrap());
        }
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The rooms in the order of `lib.rs`: from the ground up.
fn rooms() -> Vec<String> {
    let library = std::fs::read_to_string(source().join("lib.rs")).unwrap();
    let rooms: Vec<String> = library
        .lines()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned()))
        .collect();
    assert!(rooms.len() > 10, "{rooms:?}");
    rooms
}

/// Which room a file belongs to.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(source()).unwrap();
    inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap()
        .trim_end_matches(".rs")
        .to_owned()
}

/// The part of a file that is not its tests, without comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The rooms that a file names with `crate::ROOM`, also inside `crate::{…}`.
fn named(text: &str) -> Vec<String> {
    let mut named = Vec::new();
    for part in code(text).split("crate::").skip(1) {
        let list = part
            .strip_prefix('{')
            .map_or(part, |list| list.split('}').next().unwrap());
        let braces = part.starts_with('{');
        let words = if braces {
            list.split(',').collect::<Vec<_>>()
        } else {
            vec![list]
        };
        for word in words {
            let word = word
                .trim()
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap();
            named.push(word.to_owned());
        }
    }
    named
}

#[test]
fn a_room_uses_only_the_rooms_below_it() {
    let rooms = rooms();
    let height = |room: &str| rooms.iter().position(|r| r == room);
    let mut files = BTreeMap::new();
    sources(&source(), &mut files);
    let mut checked = 0;
    for (path, text) in &files {
        let Some(own) = height(&room(path)) else { continue };
        for used in named(text) {
            let Some(other) = height(&used) else { continue };
            assert!(other <= own, "{} uses {used}, which is above it", path.display());
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} uses were seen");
}

#[test]
fn only_the_store_commits_and_only_the_terminal_knows_the_process() {
    let mut files = BTreeMap::new();
    sources(&source(), &mut files);
    for (call, only) in [
        ("Committed {", "store"),
        ("std::env::", "cli"),
        ("stdout()", "cli"),
        ("process::exit", "cli"),
        ("SystemTime::now", "cli"),
    ] {
        let callers: Vec<String> = files
            .iter()
            .filter(|(_, text)| code(text).contains(call))
            .map(|(path, _)| room(path))
            .collect();
        assert!(!callers.is_empty(), "nobody uses {call}");
        assert!(
            callers.iter().all(|room| room == only),
            "{call} stands in {callers:?}"
        );
    }
}

/// The devices' CA takes an `Order`: who cannot name one has nothing signed. `check` forges by a key of its
/// own, and `fuzz` is there for tests alone.
#[test]
fn certificates_for_devices_come_by_one_path() {
    let mut files = BTreeMap::new();
    sources(&source(), &mut files);
    let names = |line: &str| {
        let words = line.split(|c: char| !c.is_alphanumeric());
        line.contains("issuer::") && words.into_iter().any(|word| word == "Order")
    };
    let callers: Vec<&Path> = files
        .iter()
        .filter(|(path, _)| !["issuer", "fuzz"].contains(&room(path).as_str()))
        .filter(|(_, text)| code(text).lines().any(names))
        .map(|(path, _)| path.strip_prefix(source()).unwrap())
        .collect();
    assert_eq!(
        callers,
        [
            Path::new("ca/issuance/mod.rs"),
            Path::new("check/question/forgery.rs")
        ]
    );
}

#[test]
fn the_pure_rooms_touch_no_file_and_no_clock() {
    let mut files = BTreeMap::new();
    sources(&source(), &mut files);
    for (path, text) in &files {
        if ["model", "x509", "issuer", "bundle", "consumer"].contains(&room(path).as_str()) {
            for impure in [
                "std::fs",
                "File::",
                "std::net::Tcp",
                "Instant::now",
                "Timestamp::now",
                "std::process",
            ] {
                assert!(!code(text).contains(impure), "{} uses {impure}", path.display());
            }
        }
    }
}

/// A stranger opens any file and reads first what it is.
#[test]
fn every_file_begins_with_what_it_is() {
    let mut files = BTreeMap::new();
    sources(&source(), &mut files);
    assert!(files.len() > 100, "{} files", files.len());
    for (path, text) in &files {
        assert!(text.starts_with("//! "), "{}", path.display());
    }
}

/// rustfmt leaves comments as they are, whatever its width says.
#[test]
fn comments_end_where_code_does() {
    let mut files = BTreeMap::new();
    for directory in [source(), source().with_file_name("tests")] {
        sources(&directory, &mut files);
    }
    let mut seen = 0;
    for (path, text) in &files {
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                let length = line.chars().count();
                assert!(
                    length <= 110,
                    "{}:{}: {length} characters",
                    path.display(),
                    number + 1
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 1000, "only {seen} comments were seen");
}

/// What is longer tells more than one thing.
#[test]
fn no_source_file_is_longer_than_600_lines() {
    const MOST: usize = 600;
    let mut files = BTreeMap::new();
    sources(&source(), &mut files);
    let long: Vec<String> = files
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MOST)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

/// Each program of tests links the whole library, which takes longer than most of them run.
#[test]
fn tests_are_in_few_programs() {
    let tests = source().with_file_name("tests");
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(tests).unwrap().map(Result::unwrap) {
        let path = entry.path();
        assert_ne!(
            path.extension().and_then(|ending| ending.to_str()),
            Some("rs"),
            "{}",
            path.display()
        );
        if path.join("main.rs").exists() {
            programs.push(path);
        }
    }
    assert!((1..=6).contains(&programs.len()), "{programs:?}");
}
