//! Backup files: a tar archive of a home in an encrypted file (`age`), written and read as a stream.
//!
//! Nothing but `age`, `tar` and `sha256sum` is needed to open one by hand; so no step of a disaster depends
//! on this program:
//!
//! ```text
//! backup.json           what it is of: see [`Header`]; always the first
//! home/…                the files of the home, each as it lies there; directories before what is in them
//! SHA256SUMS            of all files before it, as sha256sum writes it; always the last
//! ```
//!
//! What is read is believed when all of it was read: that each file has its hash, that the list names these
//! files and no others, that the ledger is the one of the header and its chain holds, and that the encrypted
//! file has its end. Whoever takes files out on the way ([`Receiver`]) must throw them away after an error.

mod error;
mod header;
mod name;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use error::BackupError;
pub use header::Header;
pub use name::{KEPT, Name, ROOT_KEY};
pub use reader::{LONGEST, Receiver, Unread, read};
pub use writer::Writer;
