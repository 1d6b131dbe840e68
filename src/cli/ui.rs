//! The conversation with the operator: messages to her, and questions that she answers.
//!
//! stdout carries what was asked for, stderr what happened, and the terminal prompts and generated
//! passphrases and nothing else.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Display};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};

use console::Term;
use serde::Serialize;
use zeroize::Zeroizing;

use super::error::{Exit, Failure};
use super::interrupts::{Uninterrupted, mind_interrupts};
use super::pager;
use super::prompt;
use super::streams::{INDENT, Level, entry, line, message, unwritten, write_out};
use crate::key::Passphrase;

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// Where stderr is a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The state of the reader of stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Somebody still reads.
    There,
    /// The pipe is closed.
    Gone,
}

/// What answers a question where there is nobody to ask.
const ANSWERED_BY_YES: &str = "repeat with --yes, or at a terminal";

/// The user interface: how the operator wants to be spoken to.
pub struct Ui {
    /// Whether to print one JSON document on stdout instead of text.
    pub json: bool,
    /// Whether to print nothing but warnings and errors.
    pub quiet: bool,
    /// Whether to print every step.
    pub verbose: bool,
    /// Whether `--yes` was given.
    pub yes: bool,
    /// The words by which the program is called for this home: commands in hints can be pasted.
    pub program: String,
    color: bool,
    /// Whether what happens is told to programs, a line of JSON for each message.
    is_log: bool,
    terminal: Option<File>,
    /// Whether the last thing that was said is a warning: what belongs to it is told with it, also where only
    /// warnings are.
    warned: Cell<bool>,
    /// What is longer than the terminal, until all else is done.
    long: RefCell<String>,
}

/// What stands before a command in a hint: a path may have the program's name in it, too.
const BEFORE: [&str; 10] = ["`", "(", ": ", "; ", ", ", "run ", "then ", "and ", "or ", "&& "];

impl Ui {
    /// Finds the terminal, unless nothing may be asked.
    pub fn new(json: bool, quiet: bool, verbose: bool, yes: bool, no_input: bool, color: Color) -> Self {
        let terminal = if no_input || json {
            None
        } else {
            OpenOptions::new().read(true).write(true).open("/dev/tty").ok()
        };
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let color = match color {
            Color::Auto => !plain && io::stderr().is_terminal(),
            Color::Always => true,
            Color::Never => false,
        };
        if let Some(terminal) = &terminal {
            mind_interrupts(Some(terminal));
        }
        Self {
            json,
            quiet,
            verbose,
            yes,
            program: "pki".into(),
            color,
            is_log: false,
            terminal,
            warned: Cell::new(false),
            long: RefCell::default(),
        }
    }

    /// The same for a thread that goes on for long, without a terminal to ask at. With `--json` its messages
    /// are a log.
    pub fn apart(&self) -> Self {
        Self {
            json: self.json,
            quiet: self.quiet,
            verbose: self.verbose,
            yes: self.yes,
            program: self.program.clone(),
            color: self.color,
            is_log: self.json,
            terminal: None,
            warned: Cell::new(false),
            long: RefCell::default(),
        }
    }

    /// Whether something may be asked.
    pub fn can_ask(&self) -> bool {
        self.terminal.is_some()
    }

    /// Whether messages are read by a person who is there. Those of a timer go to a log or a mail.
    pub fn is_watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether the terminal shows colours and blocks.
    pub fn colored(&self) -> bool {
        self.color
    }

    /// Prints what happened.
    pub fn say(&self, text: impl Display) {
        self.warned.set(false);
        if !self.quiet {
            self.error_line(Level::Info, &text);
        }
    }

    /// Whether what belongs to the last thing that was said is told.
    fn tells_more(&self) -> bool {
        !self.quiet || self.warned.get()
    }

    /// Prints a step, for `-v`.
    pub fn detail(&self, text: impl Display) {
        if self.verbose {
            self.error_line(Level::Info, &text);
        }
    }

    /// Prints a warning.
    pub fn warn(&self, text: impl Display) {
        self.warned.set(true);
        self.error_line(Level::Warning, &text);
    }

    /// Prints a hint what to do next.
    pub fn hint(&self, text: impl Display) {
        if self.tells_more() {
            self.arrow(&text);
        }
    }

    /// Says of a dry run why the command itself would be refused here.
    pub fn would_be_refused(&self, why: &Failure) {
        self.warn(format!(
            "without --dry-run it would be refused here: {}",
            why.message
        ));
        if let Some(hint) = &why.hint {
            self.hint(hint);
        }
    }

    /// Prints lines that belong to the last message.
    pub fn more(&self, text: impl Display) {
        if self.tells_more() && !self.logged(Level::Info, "more", &text) {
            message(&format!("     {text}"), INDENT);
        }
    }

    /// Prints a line that belongs to the last message and will be copied: it stays in one piece.
    pub fn verbatim(&self, text: impl Display) {
        if !self.quiet && !self.logged(Level::Info, "more", &text) {
            line(&format!("     {text}"));
        }
    }

    /// Prints the failure of a command, as its last message.
    pub fn fail(&self, failure: &Failure) {
        if self.json {
            let error = serde_json::json!({ "error": failure });
            line(&error.to_string());
            return;
        }
        message(&format!("pki: {}", self.paint("31", &failure.message)), INDENT);
        if let Some(hint) = &failure.hint {
            self.arrow(hint);
        }
    }

    fn error_line(&self, level: Level, text: &dyn Display) {
        if self.logged(level, "message", text) {
            return;
        }
        let prefix = match level {
            Level::Info => String::new(),
            Level::Warning => self.paint("33", "warning: "),
        };
        message(&format!("pki: {prefix}{text}"), INDENT);
    }

    /// Writes a message into the log, where there is one.
    fn logged(&self, level: Level, event: &str, text: &dyn Display) -> bool {
        if self.is_log {
            let message = self.pasteable(&text.to_string());
            entry(level, event, serde_json::json!({ "message": message }));
        }
        self.is_log
    }

    /// The text, with its commands naming the home in the way that this command line did.
    pub fn pasteable(&self, text: &str) -> String {
        if self.program == "pki" {
            return text.to_owned();
        }
        let mut pasteable = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("pki ") {
            let (before, command) = rest.split_at(at);
            pasteable.push_str(before);
            let begins = pasteable.is_empty() || BEFORE.iter().any(|end| pasteable.ends_with(end));
            let (name, arguments) = command.split_at("pki".len());
            let names_home = begins && super::goes_by_a_home(arguments.trim_start());
            pasteable.push_str(if names_home { &self.program } else { name });
            rest = arguments;
        }
        pasteable.push_str(rest);
        pasteable
    }

    fn arrow(&self, text: &dyn Display) {
        if self.logged(Level::Info, "hint", text) {
            return;
        }
        let text = self.pasteable(&text.to_string());
        message(&format!("     {}{text}", self.paint("2", "→ ")), INDENT + 2);
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Prints what was asked for: text for people, or one JSON document with `"version": 1`.
    ///
    /// # Errors
    /// Where stdout cannot be written.
    pub fn report<R: Serialize + Display>(&self, report: &R) -> Result<(), Failure> {
        self.show(self.document(report)?)
    }

    /// Shows a text: at once, or where it is longer than the terminal, when all else is done.
    ///
    /// # Errors
    /// Where stdout cannot be written.
    pub(super) fn show(&self, text: String) -> Result<(), Failure> {
        // What is for programs is read by no person.
        if !self.json && self.can_ask() && pager::is_wanted(&text) {
            self.long.borrow_mut().push_str(&text);
            return Ok(());
        }
        self.out(text).map(drop)
    }

    /// Shows what was too long for the terminal. To be called when nothing is held any more that others wait
    /// for.
    ///
    /// # Errors
    /// Where it cannot be shown.
    pub fn finish(&self) -> Result<(), Failure> {
        let long = self.long.take();
        if long.is_empty() {
            return Ok(());
        }
        pager::show(&long).map_err(|error| Failure::new(Exit::Refused, "output", unwritten(&error)))
    }

    fn document<R: Serialize + Display>(&self, report: &R) -> Result<String, Failure> {
        if !self.json {
            return Ok(report.to_string());
        }
        let mut document = serde_json::json!({ "version": 1 });
        let value = serde_json::to_value(report).map_err(|e| Failure::new(Exit::Bug, "bug", e))?;
        if let (Some(document), serde_json::Value::Object(fields)) = (document.as_object_mut(), value) {
            document.extend(fields);
        }
        Ok(format!("{document:#}\n"))
    }

    /// Reports what was done, and how that ended. What was done stays done where stdout cannot be written:
    /// exit 5, not 1.
    ///
    /// # Errors
    /// The outcome's own, or that stdout cannot be written.
    pub fn report_done<R: Serialize + Display>(
        &self,
        report: &R,
        outcome: Result<Exit, Failure>,
    ) -> Result<Exit, Failure> {
        let told = self.document(report).and_then(|text| self.out(text));
        let exit = outcome?;
        told.map_err(|failure| Failure {
            exit: Exit::Incomplete,
            ..failure.hint("what was asked for is done; `pki audit` and `pki list` show it")
        })?;
        Ok(exit)
    }

    /// Reports what was done, with a secret that is shown this once and kept nowhere. A reader that has gone
    /// away has not got it: that is an error, too.
    ///
    /// # Errors
    /// Where stdout cannot be written: exit 5. What was done is worth nothing then, and the caller says how
    /// to begin anew.
    pub fn report_once<R: Serialize + Display>(&self, report: &R) -> Result<Exit, Failure> {
        let lost = match self.document(report).and_then(|text| self.out(text)) {
            Ok(Reader::There) => return Ok(Exit::Done),
            Ok(Reader::Gone) => Failure::new(
                Exit::Incomplete,
                "output",
                unwritten(&io::ErrorKind::BrokenPipe.into()),
            ),
            Err(failure) => failure,
        };
        Err(Failure {
            exit: Exit::Incomplete,
            ..lost
        })
    }

    /// Writes to stdout. A reader that has gone away (`pki list | head`) is no error.
    ///
    /// # Errors
    /// Where stdout cannot be written otherwise.
    pub fn out(&self, text: impl AsRef<str>) -> Result<Reader, Failure> {
        let mut long = self.long.borrow_mut();
        if !long.is_empty() {
            // It belongs behind that.
            long.push_str(text.as_ref());
            return Ok(Reader::There);
        }
        match write_out(text.as_ref()) {
            Ok(()) => Ok(Reader::There),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
            Err(error) => Err(Failure::new(Exit::Refused, "output", unwritten(&error))),
        }
    }

    fn terminal(&self) -> Result<&File, Failure> {
        self.terminal
            .as_ref()
            .ok_or_else(|| Failure::secret("there is no terminal to ask at"))
    }

    /// Shows a secret: on the terminal, and nowhere else, not even in a text that would have to be wiped.
    ///
    /// # Errors
    /// Where it could not be shown: nobody has seen it then.
    pub fn show_secret(&self, text: fmt::Arguments<'_>) -> io::Result<()> {
        let mut terminal = self.terminal.as_ref().ok_or(io::ErrorKind::NotFound)?;
        writeln!(terminal, "{text}")
    }

    /// The size of the terminal in columns and rows.
    pub fn size(&self) -> Option<(usize, usize)> {
        let size = rustix::termios::tcgetwinsize(self.terminal.as_ref()?).ok()?;
        Some((usize::from(size.ws_col), usize::from(size.ws_row)))
    }

    /// Asks for a passphrase that exists.
    ///
    /// # Errors
    /// Where there is no terminal, or nothing fitting is typed.
    pub fn ask_passphrase(&self, what: &str) -> Result<Passphrase, Failure> {
        let prompt = format!("Passphrase of the {what}");
        let typed = prompt::hidden(self.terminal()?, &prompt).map_err(prompt_failed)?;
        passphrase(typed, what)
    }

    /// Asks for a new passphrase until it fits, and then once more until both agree.
    ///
    /// # Errors
    /// Where there is no terminal.
    pub fn ask_new_passphrase(
        &self,
        what: &str,
        fits: impl Fn(&Passphrase) -> Result<(), String>,
    ) -> Result<Passphrase, Failure> {
        let terminal = self.terminal()?;
        let say = |text: &str| {
            let mut writer = terminal;
            writeln!(writer, "pki: {text}").map_err(prompt_failed)
        };
        loop {
            let prompt = format!("New passphrase for the {what} (12 characters or more)");
            let typed = prompt::hidden(terminal, &prompt).map_err(prompt_failed)?;
            let new = match passphrase(typed, what) {
                Ok(new) => new,
                Err(failure) => {
                    say(&failure.message)?;
                    continue;
                }
            };
            if let Err(why) = fits(&new) {
                say(&why)?;
                continue;
            }
            let again = prompt::hidden(terminal, "The same again").map_err(prompt_failed)?;
            match passphrase(again, what) {
                Ok(again) if again.same_as(&new) => return Ok(new),
                Ok(_) | Err(_) => say("they differ; once more")?,
            }
        }
    }

    /// Asks for a yes. `--yes` answers it.
    ///
    /// # Errors
    /// Where it is answered with no, or there is nobody to ask.
    pub fn confirm(&self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        self.confirm_seen(question, ANSWERED_BY_YES)
    }

    /// As [`Self::confirm`], of a dry run: nobody is asked, and it is told where nobody could be.
    pub fn try_confirm(&self, question: &str) {
        if !self.yes && !self.can_ask() {
            self.would_be_refused(&unconfirmed(question, ANSWERED_BY_YES));
        }
    }

    /// Asks whether somebody has seen for themselves what the question is about. `--yes` does not answer it;
    /// `otherwise` says what does.
    ///
    /// # Errors
    /// Where the answer is no, or there is nobody to ask.
    pub fn confirm_seen(&self, question: &str, otherwise: &str) -> Result<(), Failure> {
        if !self.can_ask() {
            return Err(unconfirmed(question, otherwise));
        }
        // A whole line: a stray y among other letters must not revoke anything.
        let typed = prompt::line(self.terminal()?, &format!("{question} [y/N]")).map_err(prompt_failed)?;
        match typed.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::secret("answered with no; nothing was changed")),
        }
    }

    /// Asks for a name to be typed again; `--confirm NAME` answers it, `--yes` does not.
    ///
    /// # Errors
    /// Where another name is typed, or there is nobody to ask.
    pub fn confirm_name(&self, given: Option<&str>, name: &str, question: &str) -> Result<(), Failure> {
        if self.is_named(given, name, question)? {
            return Ok(());
        }
        let prompt = format!("{question} Type \"{name}\" to go on");
        let typed = prompt::line(self.terminal()?, &prompt).map_err(prompt_failed)?;
        match typed.trim() == name {
            true => Ok(()),
            false => Err(misnamed(name)),
        }
    }

    /// As [`Self::confirm_name`], of a dry run: nobody is asked, and it is told where nobody could be.
    pub fn try_confirm_name(&self, given: Option<&str>, name: &str, question: &str) {
        if let Err(why) = self.is_named(given, name, question) {
            self.would_be_refused(&why);
        }
    }

    /// Whether the name was given; where it was not, somebody can be asked for it.
    fn is_named(&self, given: Option<&str>, name: &str, question: &str) -> Result<bool, Failure> {
        match given {
            Some(given) if given == name => Ok(true),
            Some(_) => Err(misnamed(name)),
            None if self.can_ask() => Ok(false),
            None => Err(unconfirmed(question, &format!("repeat with --confirm {name}"))),
        }
    }

    /// Lets one of several be chosen.
    ///
    /// # Errors
    /// Where there is nobody to ask, or nothing is chosen.
    pub fn choose(&self, question: &str, choices: &[String]) -> Result<usize, Failure> {
        let terminal = self.terminal()?;
        let both = terminal
            .try_clone()
            .and_then(|read| Ok((read, terminal.try_clone()?)));
        let (read, write) = both.map_err(prompt_failed)?;
        let term = Term::read_write_pair(read, write);
        let _asking = prompt::Asking::begin();
        let choice = dialoguer::Select::new()
            .with_prompt(question)
            .items(choices)
            .default(0)
            .interact_on(&term);
        choice.map_err(|dialoguer::Error::IO(error)| {
            // It asks key by key. An interrupt comes as a key then, and ends the question with the cursor
            // hidden; where it cannot be shown, there is no terminal left to show it on.
            let _ = term.show_cursor();
            if error.kind() == io::ErrorKind::Interrupted {
                // The signal comes after the key, in a thread of its own, which says so and ends the program.
                // Until then nothing is begun; where it does not come, the failure says the same.
                std::thread::sleep(SIGNAL_AFTER_KEY);
            }
            prompt_failed(error)
        })
    }

    /// A sign of life while something is waited for; invisible where nobody watches.
    pub fn waiting(&self) -> indicatif::ProgressBar {
        if self.quiet || self.json || !io::stderr().is_terminal() {
            return indicatif::ProgressBar::hidden();
        }
        let style = indicatif::ProgressStyle::with_template("pki: {msg}, {elapsed} {spinner}");
        indicatif::ProgressBar::new_spinner()
            .with_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_spinner()))
    }

    /// A bar for what takes long; invisible where nobody watches.
    pub fn progress(&self, what: &'static str, count: usize) -> indicatif::ProgressBar {
        if self.quiet || self.json || !io::stderr().is_terminal() {
            return indicatif::ProgressBar::hidden();
        }
        let template = "pki: {msg} {wide_bar} {pos}/{len}";
        let style = indicatif::ProgressStyle::with_template(template)
            .unwrap_or_else(|_| indicatif::ProgressStyle::default_bar());
        indicatif::ProgressBar::new(count as u64)
            .with_style(style)
            .with_message(what)
    }
}

fn passphrase(typed: Zeroizing<Vec<u8>>, what: &str) -> Result<Passphrase, Failure> {
    Passphrase::from_octets(typed).map_err(|e| Failure::secret(format!("the passphrase of the {what} {e}")))
}

/// How long the signal of an interrupt that was read as a key is waited for.
const SIGNAL_AFTER_KEY: std::time::Duration = std::time::Duration::from_secs(1);

fn prompt_failed(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::Interrupted {
        let message = "interrupted; the same command asks again";
        return Failure::new(Exit::Interrupted, "interrupted", message);
    }
    Failure::secret(format!("nothing could be read from the terminal: {error}"))
}

impl Ui {
    /// Has interrupts noted from now on, and not obeyed, until something is taken back that must be.
    pub fn uninterrupted(&self) -> Uninterrupted {
        let uninterrupted = Uninterrupted::begin();
        if self.terminal.is_none() {
            mind_interrupts(None);
        }
        uninterrupted
    }
}
/// The failure where another name was given than the one that was asked for.
fn misnamed(name: &str) -> Failure {
    Failure::secret(format!("\"{name}\" was not confirmed; nothing was changed"))
}

/// The failure where nobody is there to confirm something.
fn unconfirmed(question: &str, otherwise: &str) -> Failure {
    Failure::secret(format!("a confirmation is missing: {question}")).hint(otherwise)
}
