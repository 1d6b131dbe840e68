//! A server's side of publishing, `pki fetch`: reads a publication from where it is served, verifies it
//! against the root, and installs it as a whole.
//!
//! It needs no home. Everything that it reads is untrusted until all of it is verified; the installed
//! publication is the last one that passed every check.

mod answer;
mod content;
mod continuity;
#[cfg(test)]
mod fuzz_tests;
mod expiry;
mod history;
mod error;
mod https;
mod listing;
mod order;
mod pins;
mod place;
mod predecessors;
mod receive;
mod run;
mod source;
mod state;
mod terms;

pub use answer::SourceError;
pub use continuity::{Confirmation, Unproven};
pub use error::{FetchError, Serials, Unfit};
pub use expiry::{End, Ending};
pub use order::{Command, Fetched, Order, Stopped};
pub use run::{fetch, run_command};
pub use source::{SourceName, UnknownSource};
