//! Requests that devices sign, at an application that verifies them: by each framework, by foreign signers
//! and verifiers, with what was altered, replayed or signed by whom nobody accepts.

mod bad;
mod api;

pub use api::Api;
