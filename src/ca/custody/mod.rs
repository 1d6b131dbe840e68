//! Keeps a home from being lost: backups, and what is restored from them.

pub mod backup;
pub mod error;
pub mod last;
mod listing;
pub mod restore;
