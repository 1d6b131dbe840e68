//! The store in files of the home: the ledger, which is the truth, and the index and head that are derived
//! from it.

pub mod codec;
#[cfg(test)]
mod fuzz_tests;
pub mod head;
mod acme;
pub mod chain;
mod hmac;
pub mod holders;
pub mod index;
pub mod invites;
pub mod kv;
pub mod last;
pub mod ledger;
pub mod lists;
pub mod open;
pub mod pending;
#[cfg(test)]
mod samples;
pub mod servers;
