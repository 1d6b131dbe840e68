//! Says in words which invites end with what is done otherwise, and what ends with them.

use crate::model::Invite;

/// What would be done to an invite that is open.
pub fn would_end(invite: &Invite) -> String {
    match invite.server_key {
        None => format!("cancel the invite {}", invite.id),
        Some(serial) => format!(
            "cancel the invite {}, and revoke {serial}, which nobody has fetched",
            invite.id
        ),
    }
}

/// What was done to an invite that was open.
pub fn has_ended(invite: &Invite) -> String {
    format!(
        "the invite {} is cancelled with it{}",
        invite.id,
        and_its_bundle(invite)
    )
}

/// What was done to the certificate whose bundle it would have handed out.
pub fn and_its_bundle(invite: &Invite) -> String {
    invite.server_key.map_or_else(String::new, |serial| {
        format!(", and {serial}, which nobody had fetched, is revoked")
    })
}
