//! A home's life: months and years of it, its people and its servers, what ends, what is found in it, and
//! what becomes of it where it is moved, copied, restored from a backup or set wrongly.
//!
//! A program that is not installed is a visible skip on a person's machine, and a failure in CI.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod backup;
mod copied;
mod doctor;
mod ends;
mod export;
mod flow;
mod given_up;
mod history;
mod long_lists;
mod many;
mod misconfigured;
mod passphrase;
mod people;
mod places;
mod restored;
mod server;
mod server_removed;
mod signed_before;
