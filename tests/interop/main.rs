//! The product and the programs that it must get on with, each started for real: one file a program.
//!
//! A program that is not installed is a visible skip on a person's machine, and a failure in CI.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod acme;
mod age;
mod apple;
mod aws;
mod backup;
mod bundle_formats;
mod check;
mod configured;
mod constraints;
mod enrollment;
mod fetch;
mod gnutls;
mod keytool;
mod nginx;
mod node;
mod nss;
mod openssl;
mod package;
mod pinned;
mod pkilint;
mod public_ca;
mod publication;
mod requests;
mod root_crl_lapsed;
mod s3;
mod services;
mod session;
mod verifiers;
mod zbar;
