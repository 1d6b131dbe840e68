//! Signing keys, and the passphrases that protect them.

#[cfg(test)]
mod fuzz_tests;
mod acme;
mod encryption;
mod error;
mod hmac;
mod jwk;
mod passphrase;
mod public;
mod secret;
mod signer;
mod software;
mod threads;

pub use acme::AcmeSecret;
pub use encryption::reencrypt;
pub use error::KeyError;
pub use hmac::HmacSecret;
pub use jwk::{InvalidJwk, Jwk, JwkMembers, JwsAlgorithm};
pub use passphrase::{Passphrase, UnfitPassphrase};
pub use public::PublicKey;
pub use secret::Secret;
pub use signer::{Signature, Signer, SigningError, Unverified, sign};
pub use software::SoftwareKey;
pub use threads::demand_threads;

#[cfg(test)]
pub(crate) use signer::tests::{Broken, Gone};

/// The operating system's randomness, the only source for keys, serials and salts.
///
/// It cannot fail once the kernel's generator is seeded (getrandom(2)); should it ever, the process stops
/// rather than sign with less.
pub fn os_rng() -> impl rand_core::CryptoRng {
    rand_core::UnwrapErr(getrandom::SysRng)
}
