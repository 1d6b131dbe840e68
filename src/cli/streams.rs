//! What is written to stdout and stderr, and how wide it may be.

use std::io::{self, Write};

use serde::Serialize;

use super::now::system_clock;
use super::wrap::wrapped;
use crate::model::Time;

/// A reader of stdout that has gone away (`pki --help | head`) is no reason to fail.
///
/// # Errors
/// Any other error.
pub fn forgive_gone_reader(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Ok(())
    } else {
        Err(error)
    }
}

/// The message that stdout could not be written.
pub fn unwritten(error: &io::Error) -> String {
    format!("the output could not be written: {error}")
}

/// Writes to stdout, to its end.
pub(super) fn write_out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// The indentation of everything that follows `pki: `.
pub(super) const INDENT: usize = 5;

/// The widest that a message gets, however wide the terminal: longer lines are hard to read.
const WIDEST: usize = 100;

/// A message to stderr: in the width of the terminal, and as it is where stderr is none, for scripts and
/// logs.
pub(super) fn message(text: &str, indent: usize) {
    match columns() {
        Some(columns) => line(&wrapped(text, columns, indent)),
        None => line(text),
    }
}

fn columns() -> Option<usize> {
    columns_of(io::stderr()).map(|columns| columns.min(WIDEST))
}

/// The width of the terminal that stdout goes to. None: it goes to none, and what is written there is for
/// programs.
pub(super) fn stdout_columns() -> Option<usize> {
    columns_of(io::stdout())
}

fn columns_of(stream: impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    let columns = usize::from(size.ws_col);
    (columns > 0).then_some(columns)
}

/// A line for stdout, broken between words where that is a terminal.
pub(super) fn fitted(text: &str, indent: usize) -> String {
    match stdout_columns() {
        Some(columns) => wrapped(text, columns.min(WIDEST), indent),
        None => text.to_owned(),
    }
}

/// Writes one line to stderr, in one piece. A closed stderr must not stop a revocation: failures to write
/// there are passed over.
pub(super) fn line(text: &str) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// How much a line of a log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Info,
    /// Somebody should look into it.
    Warning,
}

/// A line of a log for programs.
#[derive(Serialize)]
struct Entry<'a, T> {
    time: Time,
    level: Level,
    event: &'a str,
    #[serde(flatten)]
    more: T,
}

/// Writes a line of JSON to stderr: when, how much it matters, what, and more of it.
pub(super) fn entry(level: Level, event: &str, more: impl Serialize) {
    let time = system_clock();
    let entry = Entry {
        time,
        level,
        event,
        more,
    };
    if let Ok(text) = serde_json::to_string(&entry) {
        line(&text);
    }
}
