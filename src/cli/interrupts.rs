//! The handling of Ctrl-C: it ends the program, or is noted where something must be undone first.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::error::Exit;
use super::prompt;

/// What an interrupt does.
static INTERRUPTS: AtomicU8 = AtomicU8::new(END_AT_ONCE);
/// It ends the program: whatever it comes upon, the same command again finishes the work.
const END_AT_ONCE: u8 = 0;
/// It is noted, for something must be taken back first.
const NOTED_LATER: u8 = 1;
/// It came, and is noted. Another one ends the program.
const CAME: u8 = 2;
/// It is another program's.
const OTHERS: u8 = 3;

/// A guard: while it lives, an interrupt does not end the program.
pub struct Uninterrupted(());

impl Uninterrupted {
    /// Makes interrupts be noted from now on, until this is dropped.
    pub(super) fn begin() -> Self {
        INTERRUPTS.store(NOTED_LATER, Ordering::SeqCst);
        Self(())
    }

    /// Whether an interrupt came.
    pub fn is_interrupted(&self) -> bool {
        INTERRUPTS.load(Ordering::SeqCst) == CAME
    }
}

impl Drop for Uninterrupted {
    fn drop(&mut self) {
        INTERRUPTS.store(END_AT_ONCE, Ordering::SeqCst);
    }
}

/// From now on Ctrl-C is meant for another program that has the terminal.
pub(super) fn leave_interrupts_to_others() {
    INTERRUPTS.store(OTHERS, Ordering::SeqCst);
    mind_interrupts(None);
}

/// Ctrl-C during a prompt must not leave the terminal without echo or cursor. Anywhere else it is like a
/// kill, unless it was agreed otherwise.
pub(super) fn mind_interrupts(terminal: Option<&File>) {
    let state: Option<(File, Termios)> =
        terminal.and_then(|terminal| terminal.try_clone().ok().zip(tcgetattr(terminal).ok()));
    // Where the handler cannot be set the system's own way of dying remains, which is as safe.
    let _ = ctrlc::set_handler(move || {
        if INTERRUPTS.load(Ordering::SeqCst) == OTHERS {
            return;
        }
        let noted = INTERRUPTS.compare_exchange(NOTED_LATER, CAME, Ordering::SeqCst, Ordering::SeqCst);
        if noted.is_ok() {
            let _ = writeln!(
                io::stderr(),
                "pki: interrupted: what was begun is being taken back; once more ends at once"
            );
            return;
        }
        if let Some((terminal, before)) = &state {
            let _ = tcsetattr(terminal, OptionalActions::Now, before);
            let mut writer: &File = terminal;
            let _ = writer.write_all(b"\x1b[?25h\n");
        }
        let _ = writeln!(
            io::stderr(),
            "pki: interrupted; {}",
            match prompt::is_asking() {
                true => "the same command asks again",
                false => "the same command again finishes what was begun",
            }
        );
        std::process::exit(Exit::Interrupted as i32);
    });
}
