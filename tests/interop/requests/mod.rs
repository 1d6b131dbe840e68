//! Requests that devices sign, at an application that verifies them: by each framework, by foreign signers
//! and verifiers, with what was altered, replayed or signed by whom nobody accepts.

mod api;
mod bad;
mod faults;
mod foreign;
mod replays;
mod shared;
mod signers;
mod tokens;

pub use api::Api;
