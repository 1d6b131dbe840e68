//! Writes a list to stdout, however long it is: piece by piece as its elements come, without collecting them.

use std::io;

use serde::Serialize;

use super::error::{Exit, Failure};
use super::pager;
use super::ui::{Reader, Ui};

/// So many octets are written at once.
const PIECE: usize = 1 << 16;

/// A list on its way to stdout: lines for people, or one JSON document with `"version": 1`. Where it is
/// dropped before its end, for something cannot be read, no document is there that looks whole.
pub struct Listing<'a> {
    ui: &'a Ui,
    /// The document up to its first element, and behind its last one: members are in the order of their
    /// names.
    frame: [String; 2],
    /// What is not written yet.
    text: String,
    /// Whether all of it is held until its end, because a pager may be wanted.
    is_held: bool,
    is_empty: bool,
    /// What became of what is written.
    written: Result<Reader, Failure>,
}

impl<'a> Listing<'a> {
    /// An empty list, whose JSON has its elements under this name: it comes before `version`.
    pub fn new(ui: &'a Ui, name: &str) -> Self {
        Self {
            is_held: !ui.json && ui.can_ask() && pager::is_possible(),
            ..Self::for_programs(ui, name)
        }
    }

    /// A list that no pager is to show.
    pub fn for_programs(ui: &'a Ui, name: &str) -> Self {
        Self {
            ui,
            frame: [
                format!("{{\n  \"{name}\": ["),
                ",\n  \"version\": 1\n}\n".to_owned(),
            ],
            text: String::new(),
            is_held: false,
            is_empty: true,
            written: Ok(Reader::There),
        }
    }

    /// A list of what a dry run would do, for scripts: a person was told while it was found out.
    pub fn dry_run(ui: &'a Ui) -> Self {
        Self {
            frame: [
                "{\n  \"dry_run\": true,\n  \"version\": 1,\n  \"would\": [".to_owned(),
                "\n}\n".to_owned(),
            ],
            ..Self::for_programs(ui, "")
        }
    }

    /// Adds an element, which is printed as this text for people.
    pub fn add<T: Serialize>(&mut self, element: &T, text: impl FnOnce(&T) -> String) {
        if !self.ui.json {
            self.text.push_str(&text(element));
        } else if let Err(error) = self.add_to_document(element) {
            self.fail(Failure::new(Exit::Bug, "bug", error));
        }
        self.is_empty = false;
        self.write(PIECE);
    }

    fn add_to_document<T: Serialize>(&mut self, element: &T) -> serde_json::Result<()> {
        let before = if self.is_empty { &self.frame[0] } else { "," };
        self.text.push_str(before);
        // As a value, whose members have the order of their names. No text in it has a line break as it is.
        let element = format!("{:#}", serde_json::to_value(element)?);
        for line in element.lines() {
            self.text.push_str("\n    ");
            self.text.push_str(line);
        }
        Ok(())
    }

    /// Adds text for people, or for a program that reads no JSON.
    pub fn add_text(&mut self, text: &str) {
        self.text.push_str(text);
        self.write(PIECE);
    }

    /// Writes what waits, where it is so much.
    fn write(&mut self, least: usize) {
        if self.is_held || self.text.len() < least {
            return;
        }
        if let Ok(Reader::There) = self.written {
            self.written = self.ui.out(&self.text);
        }
        self.text.clear();
    }

    fn fail(&mut self, failure: Failure) {
        if self.written.is_ok() {
            self.written = Err(failure);
        }
    }

    /// Ends the list, and writes what is left of it. A reader that has gone away (`pki list | head`) is no
    /// error.
    ///
    /// # Errors
    /// Where stdout could not be written.
    pub fn end(mut self) -> Result<(), Failure> {
        if self.is_held {
            return self.ui.show(self.text);
        }
        if self.ui.json {
            let [begin, end] = &self.frame;
            if self.is_empty {
                self.text.push_str(begin);
            } else {
                self.text.push_str("\n  ");
            }
            self.text.push(']');
            self.text.push_str(end);
        }
        self.write(0);
        self.written.map(drop)
    }
}

/// CSV, which ends where it ends.
impl io::Write for Listing<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.add_text(&String::from_utf8_lossy(octets));
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
