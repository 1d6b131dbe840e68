//! A device's side of EST, `pki renew --est`: shows the certificate that it has, has a new key certified
//! (re-enrollment, RFC 7030 §4.2.2), and puts both in the place of the old ones.
//!
//! It needs no home. A certificate is renewed once, and for one key: so the new key is on disk before
//! anything is sent, and is asked for again until its certificate is in place.

mod answer;
#[cfg(test)]
mod fuzz_tests;
mod error;
mod order;
mod pair;
mod run;
mod service;
mod url;

pub use answer::Unfit;
pub use error::ReenrollError;
pub use order::{Look, Order, Outcome};
pub use run::{is_untold, look, renew, told};
pub use url::{EstUrl, InvalidEstUrl};
