//! What the issuing CA says of invites, and signs (JWS): nothing else is redeemed.

use crate::ca::CaError;
use crate::ca::session::Session;
use crate::issuer::Devices;
use crate::model::event::InviteCreated;
use crate::model::invite::{Approval, Invite};
use crate::publish::Statement;

/// The type of these statements (`typ` of the JWS).
const TYPE: &str = "pki-invite+jws";

/// Has the issuing CA stand by an invite.
pub fn invite(devices: &Devices, invite: Invite) -> Result<InviteCreated, CaError> {
    let statement = devices.sign_statement(TYPE, &of_invite(&invite))?;
    Ok(InviteCreated { invite, statement })
}

/// Has the issuing CA stand by an approval.
pub fn approval(devices: &Devices, approval: &Approval) -> Result<String, CaError> {
    Ok(devices.sign_statement(TYPE, &of_approval(approval))?)
}

/// Whether the issuing CA has signed this invite.
pub fn is_signed(session: &Session<'_>, invite: &Invite) -> Result<bool, CaError> {
    let Some(created) = session.store.invite_created(&invite.id)? else {
        return Ok(false);
    };
    Ok(is_said(session, &created.statement, &of_invite(invite)))
}

/// Whether the issuing CA has signed this approval.
pub fn is_approved(session: &Session<'_>, approval: &Approval) -> Result<bool, CaError> {
    let statement = session
        .store
        .invite_approval(&approval.approves)?
        .unwrap_or_default();
    Ok(is_said(session, &statement, &of_approval(approval)))
}

/// Whether a statement of the issuing CA says exactly that.
fn is_said(session: &Session<'_>, statement: &str, payload: &[u8]) -> bool {
    let chain = session.desk.home.chain();
    let statement = Statement::of_chain(TYPE, statement.as_bytes(), chain);
    statement.is_ok_and(|statement| statement.payload() == payload)
}

fn of_invite(invite: &Invite) -> Vec<u8> {
    serde_json::to_vec(invite).expect("an invite is plain data")
}

fn of_approval(approval: &Approval) -> Vec<u8> {
    serde_json::to_vec(approval).expect("an approval is plain data")
}
