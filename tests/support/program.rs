//! Foreign programs: whether they are there, and what they said.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Whether all these programs are installed. One that is missing is a visible skip on a person's machine, and
/// a failure in CI.
pub fn need(programs: &[&str]) -> bool {
    if programs.contains(&"faketime") {
        sweep_faketime();
    }
    programs
        .iter()
        .all(|program| there_or_skipped(found(program).is_some(), program))
}

/// Removes what programs that were killed under faketime have left, named by the number of their process: a
/// later one with that number would not start.
fn sweep_faketime() {
    for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| {
            let rest = name.strip_prefix("faketime_shm_");
            rest.or_else(|| name.strip_prefix("sem.faketime_sem_"))
        });
        if number.is_some_and(|number| !Path::new("/proc").join(number).exists()) {
            // Another test may be doing the same.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// As [`need`], for pkilint, which lives in a virtual environment of Python.
pub fn need_pkilint() -> bool {
    there_or_skipped(pkilint_python().is_some(), "pkilint")
}

/// As [`need`], for Envoy, which comes in a package of Python's.
pub fn need_envoy() -> bool {
    there_or_skipped(envoy_program().is_some(), "envoy")
}

/// A command of Envoy.
pub fn envoy() -> Command {
    Command::new(envoy_program().expect("a test asks `need_envoy` first"))
}

/// The one of the virtual environment of this package, or the one on the path.
fn envoy_program() -> Option<PathBuf> {
    site_package("envoy/_bin/envoy").or_else(|| found("envoy"))
}

/// As [`need`], for hypercorn, an application server that speaks HTTP/2, and the library that it does so
/// with.
pub fn need_hypercorn() -> bool {
    there_or_skipped(site_package("hypercorn/__init__.py").is_some(), "hypercorn")
}

/// As [`need`], for ZXing, a reader of codes, which comes in a package of Python's, and the library that it
/// opens pictures with.
pub fn need_zxing() -> bool {
    there_or_skipped(site_package("PIL/__init__.py").is_some(), "zxing-cpp")
}

/// As [`need`], for axe-core, a script that examines pages and comes in a package of npm's: where it is.
pub fn need_axe() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/npm/node_modules/axe-core/axe.min.js");
    there_or_skipped(script.is_file(), "axe-core").then_some(script)
}

/// As [`need`], for packages of npm's: the directory that they are in.
pub fn need_packages(names: &[&str]) -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/npm/node_modules");
    let is_there = |name: &&str| there_or_skipped(directory.join(name).is_dir(), name);
    names.iter().all(is_there).then_some(directory)
}

/// A command of Python: the one of the virtual environment of this package, which has hypercorn, or the one
/// on the path.
pub fn python() -> Command {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    if own.is_file() {
        Command::new(own)
    } else {
        program("python3")
    }
}

/// As [`need`], for the grammar of Swift, which comes in a package of Python's.
pub fn need_swift_grammar() -> bool {
    there_or_skipped(
        site_package("tree_sitter_swift/__init__.py").is_some(),
        "tree-sitter-swift",
    )
}

/// As [`need`], for a package of Python's.
pub fn need_site_package(name: &str) -> bool {
    there_or_skipped(site_package(&format!("{name}/__init__.py")).is_some(), name)
}

/// A file of a package in the virtual environment of this package.
fn site_package(file: &str) -> Option<PathBuf> {
    let pythons = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/lib")).ok()?;
    pythons
        .filter_map(Result::ok)
        .map(|python| python.path().join("site-packages").join(file))
        .find(|file| file.is_file())
}

fn there_or_skipped(there: bool, program: &str) -> bool {
    let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(there || !ci, "{program} is not installed, and this is CI");
    if !there {
        eprintln!("skipped: {program} is not installed (`make test` installs it)");
    }
    there
}

/// Where a program is. Servers live in directories that are not on every person's path.
pub fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .chain([Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin")])
        .map(|directory| directory.join(program))
        .find(|file| Path::is_file(file))
}

/// A command of a foreign program that speaks English and knows nothing of the person who runs the tests.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(found(name).unwrap_or_else(|| panic!("{name} is not installed")));
    command
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .env_remove("OPENSSL_CONF")
        .env_remove("NODE_OPTIONS");
    command
}

/// A Python that has pkilint, ready for a script of ours.
pub fn pkilint() -> Command {
    Command::new(pkilint_python().expect("a test asks `need_pkilint` first"))
}

/// The virtual environment of this package, or that of the `lint_pkix_cert` on the path.
fn pkilint_python() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/lint_pkix_cert");
    let script = if own.is_file() {
        own
    } else {
        found("lint_pkix_cert")?
    };
    let python = script.with_file_name("python");
    python.is_file().then_some(python)
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// The command, for messages.
    pub command: String,
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Finished {
    /// Demands an exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Demands success.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// Both streams.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// stdout, which is one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON document: {error}: {self}"))
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            command,
            code,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "{command}\nexit {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        )
    }
}

/// Runs a command to its end, with `input` on its stdin.
pub fn finish(command: &mut Command, input: &[u8]) -> Finished {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    if let Err(error) = stdin.write_all(input) {
        // A program that has read enough, or has ended, says the rest itself.
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::BrokenPipe,
            "{command:?}: {error}"
        );
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Finished {
        command: format!("{command:?}"),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Lets one program run another's command, in its directory and environment.
pub fn carry_over(command: &Command, runner: &mut Command) {
    runner.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => runner.env(name, value),
            None => runner.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        runner.current_dir(directory);
    }
}
