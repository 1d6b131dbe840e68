//! Reads and writes certificates, CRLs and certificate signing requests. Pure: the key that signs is handed
//! in.
//!
//! What is written here (rcgen, and a CRL writer of our own) is read back by another library (x509-parser)
//! before a key touches it: see [`lint`].

mod envelope;
mod error;
mod strict;
#[cfg(test)]
mod fuzz_tests;
pub mod any;
pub mod build;
pub mod certificate;
pub mod cms;
pub mod crl;
pub mod extension;
pub mod foreign;
pub mod key_kind;
pub mod key_value;
pub mod lint;
pub mod ocsp;
pub mod pem;
pub mod request;
pub mod template;

pub use certificate::{Certificate, Usage};
pub use envelope::subject_public_key;
pub use error::X509Error;
