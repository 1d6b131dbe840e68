//! Reads lines that a person types, in the terminal's own line mode: nothing is drawn that a dumb terminal
//! would not understand, and a secret is read into one piece of memory, which is wiped.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The longest line that is taken, in octets: a passphrase, its line ending, and one more that tells that it
/// is too long.
const LONGEST: usize = crate::key::Passphrase::MAX + 3;

/// Asks for a line.
///
/// # Errors
/// Where the terminal cannot be used, or its end is typed (Ctrl-D).
pub fn line(terminal: &File, prompt: &str) -> io::Result<String> {
    let octets = ask(terminal, prompt)?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// Asks for a line that is not shown.
///
/// # Errors
/// Where the terminal cannot be used, or its end is typed (Ctrl-D).
pub fn hidden(terminal: &File, prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let _silent = Silent::begin(terminal)?;
    ask(terminal, prompt)
}

/// Whether a question stands on the terminal.
static ASKING: AtomicBool = AtomicBool::new(false);

/// Whether the program waits for an answer: nothing goes on meanwhile.
pub fn is_asking() -> bool {
    ASKING.load(Ordering::Relaxed)
}

/// A guard: while it lives, a question is on the terminal.
pub struct Asking;

impl Asking {
    /// Marks that a question is on the terminal, until this is dropped.
    pub fn begin() -> Self {
        ASKING.store(true, Ordering::Relaxed);
        Self
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        ASKING.store(false, Ordering::Relaxed);
    }
}

fn ask(mut terminal: &File, prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let _asking = Asking::begin();
    write!(terminal, "{prompt}: ")?;
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut octet = Zeroizing::new([0]);
    // Octet by octet: what follows the line is for the next question.
    loop {
        match terminal.read(octet.as_mut()) {
            Ok(0) if line.is_empty() => {
                writeln!(terminal)?;
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the input has ended",
                ));
            }
            Ok(0) => return Ok(line),
            Ok(_) if octet[0] == b'\n' => return Ok(line),
            Ok(_) if line.len() < LONGEST => line.push(octet[0]),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The terminal without its echo, until this is dropped. The end of the line is shown.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn begin(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
        // What was typed before the question is no answer to it.
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}
