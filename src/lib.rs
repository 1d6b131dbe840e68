//! A private PKI and client-certificate provisioning: an offline root, an issuing CA, one short-lived
//! certificate for every employee's device, and the CRLs that revoke it.
//!
//! `docs/architecture.md` describes how the modules below build on each other. A module uses only those above
//! it in this list.

pub mod model;
pub mod disk;
pub mod https;
pub mod key;
pub mod age;
pub mod x509;
pub mod issuer;
pub mod store;
pub mod bundle;
pub mod consumer;
pub mod publish;
pub mod home;
pub mod backup;
pub mod fetch;
pub mod credential;
pub mod reenroll;
pub mod message_signature;
pub mod ca;
pub mod doctor;
pub mod check;
pub mod serve;
pub mod cli;

#[cfg(test)]
mod fuzz;
