//! Shows text that is longer than the terminal through a pager, when everything else is done: nobody else
//! waits for a person who reads.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use console::measure_text_width;

use super::{interrupts, streams};

/// SIGINT and SIGPIPE: a person has read enough. A shell makes 128 more of it.
const ENOUGH: [i32; 2] = [2, 13];

/// Whether a text is longer than the terminal that stdout is.
pub(super) fn is_wanted(text: &str) -> bool {
    // One row is the shell's.
    size().is_some_and(|(columns, rows)| height(text, columns) >= rows)
}

/// Whether a text that is long enough would go through a pager.
pub(super) fn is_possible() -> bool {
    size().is_some()
}

/// The columns and rows of the terminal that stdout is, where it has a pager: one that cannot move its cursor
/// has none.
fn size() -> Option<(usize, usize)> {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if is_dumb || !io::stdin().is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
    (rows > 0 && columns > 0).then_some((columns, rows))
}

/// How many rows a text takes.
fn height(text: &str, columns: usize) -> usize {
    let rows = |line: &str| measure_text_width(line).div_ceil(columns).max(1);
    text.lines().map(rows).sum()
}

/// Shows a text by $PAGER, else by less; where there is none, as it is.
///
/// # Errors
/// Where it could not be shown.
pub(super) fn show(text: &str) -> io::Result<()> {
    let mut command = match std::env::var_os("PAGER") {
        Some(pager) if pager.is_empty() || pager == "cat" => return streams::write_out(text),
        Some(pager) => {
            let mut command = Command::new("/bin/sh");
            command.args([OsString::from("-c"), pager]);
            command
        }
        None => Command::new("less"),
    };
    // Colours as they are, nothing cleared, and no shell from within: pki may run with more rights than its
    // caller.
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", "FRX");
    }
    command.env("LESSSECURE", "1").stdin(Stdio::piped());
    // Ctrl-C is the pager's.
    interrupts::leave_interrupts_to_others();
    let Ok(mut pager) = command.spawn() else {
        return streams::write_out(text);
    };
    if let Some(mut to) = pager.stdin.take() {
        // Who has read enough ends it.
        to.write_all(text.as_bytes())
            .or_else(streams::forgive_gone_reader)?;
    }
    let ended = pager.wait()?;
    let is_enough = match (ended.code(), ended.signal()) {
        (Some(code), _) => code == 0 || ENOUGH.contains(&(code - 128)),
        (None, signal) => signal.is_some_and(|signal| ENOUGH.contains(&signal)),
    };
    // One that is not there, or has failed, has shown nothing for all that is known.
    if is_enough {
        Ok(())
    } else {
        streams::write_out(text)
    }
}

#[cfg(test)]
mod tests {
    use super::height;

    #[test]
    fn a_line_that_is_wider_than_the_terminal_takes_several_rows() {
        assert_eq!(height("", 80), 0);
        assert_eq!(height("one\n\nthree\n", 80), 3);
        assert_eq!(height(&"x".repeat(80), 80), 1);
        assert_eq!(height(&"ä".repeat(81), 80), 2);
    }
}
