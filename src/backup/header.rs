//! What a backup is of: `backup.json`.

use serde::{Deserialize, Serialize};

use super::BackupError;
use crate::model::Time;
use crate::model::encoding::hex32;
use crate::store::Extent;

/// The format that is written. Each that was ever written is read.
const FORMAT: u32 = 1;

/// The first file of a backup: what it is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    format: u32,
    /// The program that made it, with its version.
    pub program: String,
    /// The organization of the PKI.
    pub organization: String,
    /// SHA-256 of the root's certificate.
    #[serde(with = "hex32")]
    pub root: [u8; 32],
    /// The time when it was made, by the clock of the machine that did.
    pub made: Time,
    /// The ledger in it, up to the last event that was acknowledged when it was made.
    #[serde(flatten)]
    pub ledger: Extent,
    /// Whether the root's key is in it, encrypted with the root's passphrase.
    pub with_root: bool,
}

/// The member that every format has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Header {
    /// The header of a new backup.
    pub fn new(organization: String, root: [u8; 32], made: Time, ledger: Extent, with_root: bool) -> Self {
        Self {
            format: FORMAT,
            program: concat!("pki ", env!("CARGO_PKG_VERSION")).into(),
            organization,
            root,
            made,
            ledger,
            with_root,
        }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).expect("text and numbers can be written");
        text.push(b'\n');
        text
    }

    /// Reads one. Members that this version does not know are passed over.
    pub(super) fn read(octets: &[u8]) -> Result<Self, BackupError> {
        let malformed = |why: serde_json::Error| BackupError::Malformed(format!("backup.json: {why}"));
        let Format { format } = serde_json::from_slice(octets).map_err(malformed)?;
        if format > FORMAT {
            return Err(BackupError::Later(format));
        }
        serde_json::from_slice(octets).map_err(malformed)
    }
}
