//! The revocation of a certificate: its reason and its time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::authority::Authority;
use super::serial::Serial;
use super::text::quoted;
use super::time::Time;

/// The reason of a revocation, by the word that `--reason` and the ledger use for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The device is lost.
    Lost,
    /// The device was stolen.
    Stolen,
    /// Somebody else has, or may have, the key.
    Compromised,
    /// Its holder left.
    Left,
    /// Another certificate took its place.
    Replaced,
    /// Nobody said why.
    #[default]
    Unspecified,
}

impl Reason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Lost,
        Self::Stolen,
        Self::Compromised,
        Self::Left,
        Self::Replaced,
        Self::Unspecified,
    ];

    /// The word for it, in `--reason` and in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Stolen => "stolen",
            Self::Compromised => "compromised",
            Self::Left => "left",
            Self::Replaced => "replaced",
            Self::Unspecified => "unspecified",
        }
    }

    /// Whether the key of a server's certificate that is revoked so is certified for nobody any more.
    /// `lost` is said of devices, and was once of servers by whoever gave no reason.
    pub fn gives_up_key(self) -> bool {
        matches!(self, Self::Compromised | Self::Stolen)
    }

    /// Whether the key of a device's certificate that is revoked so is taken from nobody any more: somebody
    /// else has it, or may have.
    pub fn gives_up_device_key(self) -> bool {
        matches!(self, Self::Lost | Self::Stolen | Self::Compromised)
    }

    /// Whether a certificate of this authority that was revoked for the reason `before` is to be revoked for
    /// this one as well: its key was not given up, and is now.
    pub fn raises(self, before: Self, authority: Authority) -> bool {
        let gives_up = |reason: Self| match authority {
            // Its CAs are not taken back one by one.
            Authority::Root => false,
            Authority::Issuing => reason.gives_up_device_key(),
            Authority::Servers => reason.gives_up_key(),
        };
        gives_up(self) && !gives_up(before)
    }

    /// The reason as the CRL of this authority has it. `lost` gives up no server's key: written as the
    /// keyCompromise of a lost device, it would be read so by a ledger that has lost it.
    pub fn on_crl_of(self, authority: Authority) -> Self {
        match (self, authority) {
            (Self::Lost, Authority::Servers) => Self::Unspecified,
            (reason, Authority::Root | Authority::Issuing | Authority::Servers) => reason,
        }
    }

    /// The CRLReason of a CRL entry (RFC 5280 §5.3.1); `unspecified` should be absent there, and is.
    pub fn crl_reason(self) -> Option<u8> {
        match self {
            Self::Lost | Self::Stolen | Self::Compromised => Some(1),
            Self::Left => Some(3),
            Self::Replaced => Some(4),
            Self::Unspecified => None,
        }
    }

    /// The nearest word for a CRLReason that was read from a CRL.
    pub fn from_crl_reason(code: Option<u8>) -> Self {
        match code {
            Some(1) => Self::Compromised,
            Some(3) => Self::Left,
            Some(4) => Self::Replaced,
            _ => Self::Unspecified,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Reason {
    type Err = InvalidReason;

    fn from_str(text: &str) -> Result<Self, InvalidReason> {
        Self::ALL
            .into_iter()
            .find(|r| r.word() == text)
            .ok_or_else(|| InvalidReason(quoted(text)))
    }
}

impl Reason {
    /// The reason that is meant by another word: one of people, or of RFC 5280 §5.3.1.
    pub fn meant(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "lost" | "loss" | "missing" | "misplaced" => Self::Lost,
            "stolen" | "theft" | "robbed" => Self::Stolen,
            "compromised" | "compromise" | "keycompromise" | "hacked" | "leaked" => Self::Compromised,
            "left" | "gone" | "quit" | "fired" | "resigned" | "retired" | "affiliationchanged" => Self::Left,
            "replaced" | "superseded" | "broken" | "sold" | "upgraded" | "cessationofoperation" => {
                Self::Replaced
            }
            "unspecified" | "other" | "none" | "unknown" => Self::Unspecified,
            _ => return None,
        })
    }
}

/// A word that names no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not one of lost, stolen, compromised, left, replaced, unspecified")]
pub struct InvalidReason(String);

/// One revoked certificate: what a CRL entry is made of (RFC 5280 §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// The serial number of the certificate.
    pub serial: Serial,
    /// The time of the revocation.
    pub at: Time,
    /// The reason of the revocation.
    pub reason: Reason,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each reason against each other, of every authority: what gives up a key raises what does not, and
    /// nothing else raises anything.
    #[test]
    fn a_reason_raises_another_where_it_alone_gives_up_the_key() {
        use Reason::{Compromised, Lost, Stolen};
        for (authority, give_up) in [
            (Authority::Root, &[][..]),
            (Authority::Issuing, &[Lost, Stolen, Compromised]),
            (Authority::Servers, &[Stolen, Compromised]),
        ] {
            for before in Reason::ALL {
                for now in Reason::ALL {
                    let raises = give_up.contains(&now) && !give_up.contains(&before);
                    assert_eq!(
                        now.raises(before, authority),
                        raises,
                        "{authority:?}: {before}, {now}"
                    );
                }
            }
        }
    }
}
