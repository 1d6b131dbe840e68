//! Keeps a home from being lost: backups, what is restored from them, and the passphrases that open it.

pub mod backup;
pub mod drill;
pub mod error;
pub mod last;
mod listing;
pub mod passphrase;
pub mod restore;
