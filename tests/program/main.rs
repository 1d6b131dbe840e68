//! What the program says and takes: the command line, prompts and TAB, where passphrases come from, bad
//! input, what it prints for others, and whether its documents and its source are as they say.
//!
//! A program that is not installed is a visible skip on a person's machine, and a failure in CI.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod architecture;
mod bad_input;
mod cases;
mod cli;
mod completion;
mod config;
mod docs;
mod secrets;
mod tty;
