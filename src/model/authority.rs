//! The three CAs of a home: the root, the devices' CA and the servers' CA.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The CAs of a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authority {
    /// The root: signs issuing CAs, and its own CRL.
    Root,
    /// The devices' CA.
    Issuing,
    /// The servers' CA.
    Servers,
}

impl Authority {
    /// The word for it, in file names and in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Issuing => "issuing",
            Self::Servers => "servers",
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
