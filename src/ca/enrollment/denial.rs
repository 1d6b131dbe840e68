//! The reasons for which a device that asks by itself gets no certificate.

use crate::ca::CaError;
use crate::model::fault::Fault;
use crate::model::{InviteState, Time};

/// The reason for which a device that asks by itself gets no certificate. Nothing of it helps whoever lacks
/// the right secret.
#[derive(Debug, thiserror::Error)]
pub enum Denial {
    /// Whoever asks lacks the right secret, or there is no such invite. Nothing else may be told.
    #[error("there is no such invite, or this is not its secret")]
    NoRight,
    /// The code that travels apart is missing or wrong.
    #[error("the six digits that came apart from the code are missing or wrong")]
    WrongCode,
    /// The invite belongs to another key.
    #[error("this invite was used by another device")]
    AnotherKey,
    /// The device is to make its key itself.
    #[error(
        "this invite is for a device that makes its key itself: open the address in Safari, Chrome or Firefox, with JavaScript switched on"
    )]
    MakesItsKey,
    /// The invite hands out a bundle, and certifies no other key.
    #[error("this invite hands out a file, and certifies no key of your own")]
    HandsOutFile,
    /// The bundle is not there any more.
    #[error("the file of this invite is not there any more: ask for a new invite")]
    NoFile,
    /// The key waits for an operator, who compares these words of it with what the phone shows.
    #[error("an administrator is to approve this device: {0}")]
    Waits(String),
    /// The invite has ended.
    #[error("this invite is {}", .0.word())]
    Ended(InviteState),
    /// The certificate that the invite brought is revoked.
    #[error("the certificate that this invite brought is revoked")]
    Revoked,
    /// The bundle of the invite was asked for from another network than before, and its certificate was
    /// revoked for that.
    #[error(
        "the file of this invite was fetched from another network before: its certificate is revoked now"
    )]
    AnotherNetwork,
    /// The certificate that was shown is revoked.
    #[error("this certificate is revoked")]
    ShownRevoked,
    /// The certificate that was shown is none that was issued here.
    #[error("this certificate is none that was issued here")]
    Unknown,
    /// The certificate that was shown is not the latest of its device.
    #[error("a later certificate has taken the place of this one")]
    Superseded,
    /// The certificate that was shown was renewed for another key.
    #[error("this certificate was renewed already, for another key")]
    RenewedOtherwise,
    /// It is too early to renew the certificate.
    #[error("this certificate can be renewed from {0} on")]
    TooEarly(Time),
    /// The certificate that was shown is not valid yet.
    #[error("this certificate is valid from {0} on")]
    NotYet(Time),
    /// The certificate that was shown has expired.
    #[error("this certificate ended on {0}")]
    Expired(Time),
    /// The device has renewed as often as it may without an operator.
    #[error("this device has renewed {0} times by itself: ask for an invite")]
    TooOften(u32),
    /// The profile of the device gives it no shared key for this host.
    #[error("this device gets no shared key for that host")]
    NoSharedKey,
    /// Policy, or what has become of the device meanwhile, does not let it have a certificate.
    #[error(transparent)]
    Refused(CaError),
}

impl Denial {
    /// The word by which programs, logs and figures know it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRight => "no-right",
            Self::WrongCode => "wrong-code",
            Self::AnotherKey | Self::RenewedOtherwise => "another-key",
            Self::AnotherNetwork => "another-network",
            Self::MakesItsKey => "makes-its-key",
            Self::HandsOutFile => "hands-out-file",
            Self::NoFile => "no-file",
            Self::Waits(_) => "waits",
            Self::Ended(_) => "invite-ended",
            Self::Revoked | Self::ShownRevoked => "revoked",
            Self::Unknown => "unknown",
            Self::Superseded => "superseded",
            Self::TooEarly(_) => "too-early",
            Self::NotYet(_) => "not-yet-valid",
            Self::Expired(_) => "expired",
            Self::TooOften(_) => "too-often",
            Self::NoSharedKey => "no-shared-key",
            Self::Refused(why) => why.code(),
        }
    }

    /// The words of the key that an operator is to compare, where it waits for that.
    pub fn words(&self) -> Option<&str> {
        if let Self::Waits(words) = self {
            Some(words)
        } else {
            None
        }
    }
}
