//! The numbers and times of the CRL and the publication that were signed and published last, as the ledger
//! has them.

use crate::model::Time;

/// The number and times of the last CRL of an authority, as the ledger has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastCrl {
    /// cRLNumber.
    pub number: u64,
    /// thisUpdate.
    pub this_update: Time,
    /// nextUpdate.
    pub next_update: Time,
}

/// The numbers of the last publication.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LastPublication {
    /// The number of the public area's manifest.
    pub public: u64,
    /// The number of the server area's manifest.
    pub server: u64,
    /// SHA-256 of the server area's manifest; unknown to a ledger of an earlier version.
    pub server_manifest: Option<[u8; 32]>,
    /// The places that were ever published to, beside the home's own.
    pub targets: Vec<String>,
}
