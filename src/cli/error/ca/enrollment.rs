//! Advice on invites that are not made, or cannot be changed so.

use crate::ca::EnrollmentError;
use crate::cli::error::Advice;
use crate::model::InviteState;

impl Advice for EnrollmentError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::TooLong => {
                "give it 30 days or less (--expires 30d), and invite again whoever has not come by then"
                    .into()
            }
            Self::NothingToApprove(id) => format!("`pki invite show {id}` tells what has become of it"),
            Self::OtherWords(id) => format!(
                "read them again from the phone; where they stay others, somebody else has the code: `pki invite cancel {id}`, and invite anew"
            ),
            Self::NothingToCompare => {
                "leave out --approve; --code asks for six digits that travel apart".into()
            }
            Self::TooShort => "give it longer: --expires 24h".into(),
            Self::Ended {
                state: InviteState::Redeemed,
                ..
            } => "`pki revoke` takes back the certificate that it brought".into(),
            Self::Ended { .. } => "`pki invite list --open` shows those that can still be used".into(),
        })
    }
}
