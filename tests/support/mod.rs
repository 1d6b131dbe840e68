//! What the black-box tests share: a home made by the real program, foreign programs, and servers that end
//! with their test.
//!
//! Nothing here reaches into the library, but for filling a ledger with many devices or invites: what a test
//! sees is what an operator, a phone or a server sees.

// Each test binary uses a part of it.
#![allow(dead_code, unused_imports)]

mod base45;
mod copy;
mod fleet;
mod home;
mod invites;
mod program;
mod server;
mod soak;

pub use base45::base45_decoded;
pub use copy::{copy_of, files_below, reseal};
pub use fleet::fill;
pub use home::{Bundle, FLEET, Home, ISSUING_PASSPHRASE, PKI, REASONS, ROOT_PASSPHRASE, is_root};
pub use invites::{Invited, invite_many, requests};
pub use program::{
    Finished, carry_over, envoy, finish, found, need, need_axe, need_envoy, need_hypercorn, need_packages,
    need_pkilint, need_site_package, need_swift_grammar, need_zxing, pkilint, program, python,
};
pub use server::{EC, HOST, HeldPort, Server, ServerCertificate, free_port, self_signed, wait_until};
pub use soak::{rounds, soak};
