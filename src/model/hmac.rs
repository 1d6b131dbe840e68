//! Shared keys for devices that cannot sign, one for each API host and device, by epochs: what the ledger
//! says of them. The secrets that they are derived from lie in the home.

use serde::{Deserialize, Serialize};

use super::check_value::CheckValue;
use super::host::Host;
use super::time::Time;

/// One epoch of the shared keys of a host: all of its keys follow from one secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacEpoch {
    /// Its number, which only rises: the first one is 1.
    pub number: u32,
    /// The time when it began.
    pub from: Time,
    /// The time when its keys are no longer good; none of the current epoch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Time>,
    /// By which its secret is known.
    pub check: CheckValue,
}

/// An API host with shared keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacHost {
    /// The host.
    pub host: Host,
    /// Its epochs, the oldest first: the last one is the current one.
    pub epochs: Vec<HmacEpoch>,
}

impl HmacHost {
    /// The epochs whose keys are good at `now`, the oldest first.
    pub fn good(&self, now: Time) -> impl Iterator<Item = &HmacEpoch> {
        self.epochs
            .iter()
            .filter(move |epoch| epoch.until.is_none_or(|until| now <= until))
    }

    /// The current epoch.
    pub fn current(&self) -> Option<&HmacEpoch> {
        self.epochs.last()
    }
}
