//! The home is safe to carry on with after anything: killed at every step, a full or failing disk, damaged
//! files, two at once, a clock that is wrong. The real program, from outside.
//!
//! A program that is not installed is a visible skip on a person's machine, and a failure in CI.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod backup;
mod clock;
mod disk;
mod doubt;
mod fetch;
mod ground;
mod index;
mod kill;
mod ledger;
mod many;
mod order;
mod owed;
mod passphrase;
mod servers;
mod service;
mod state;
mod together;
