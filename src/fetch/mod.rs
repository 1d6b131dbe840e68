//! A server's side of publishing: a publication is read from where it is served, verified against the root,
//! and put in place whole.
//!
//! It needs no home. What it reads is untrusted until the end; what stands in place is the last publication
//! that held.

mod answer;
mod content;
mod continuity;
#[cfg(test)]
mod damaged;
mod ends;
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
pub use ends::{End, Ending};
pub use error::{FetchError, Serials, Unfit};
pub use order::{Command, Fetched, Order, Stopped};
pub use run::fetch;
pub use source::{SourceName, UnknownSource};
