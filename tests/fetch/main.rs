//! `pki fetch` takes a publication only where every rule holds, and whole. The real program; publications of
//! CAs that are made here, so that each rule can be broken by itself.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod forge;
mod history;
mod https;
mod pins;
mod refused;
mod server;
mod short_lists;
mod standing;
mod unrevoked;
