//! The reasons for which a device is not invited, or an invite cannot be changed so.

use crate::model::fault::{Fault, Kind};
use crate::model::{InviteId, InviteState};

/// The reason for which a device is not invited, or an invite cannot be changed so. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum EnrollmentError {
    /// The invite would be open for too long.
    #[error("an invite is open for 30 days at most")]
    TooLong,
    /// The invite would be over at once.
    #[error("an invite is open for a minute at least")]
    TooShort,
    /// No key waits for approval.
    #[error("no device has asked by the invite {0} yet, or its key is approved already")]
    NothingToApprove(InviteId),
    /// Another key waits than the one whose words were compared.
    #[error("these are not the words of the phone that asks by the invite {0}; nothing was approved")]
    OtherWords(InviteId),
    /// Nothing is to be seen of a key that the device does not make.
    #[error("there is nothing to compare where the device does not make its key")]
    NothingToCompare,
    /// The invite has ended already.
    #[error("the invite {id} is {} already", .state.word())]
    Ended {
        /// The invite.
        id: InviteId,
        /// Its state.
        state: InviteState,
    },
}

impl Fault for EnrollmentError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::TooLong => (Kind::PolicyRefused, "too-long"),
            Self::TooShort => (Kind::PolicyRefused, "too-short"),
            Self::NothingToApprove(_) => (Kind::Conflict, "nothing-to-approve"),
            Self::OtherWords(_) => (Kind::Conflict, "other-words"),
            Self::NothingToCompare => (Kind::BadRequest, "nothing-to-compare"),
            Self::Ended { .. } => (Kind::Conflict, "invite-ended"),
        }
    }
}
