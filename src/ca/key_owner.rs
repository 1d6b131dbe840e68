//! Whose a key is: one device's, or the servers', and nobody's once somebody else may have it.

use super::OperateError;
use crate::home::Home;
use crate::model::{Address, Host, Pin, Reason, State};
use crate::store::Store;

/// Whose a key is to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum KeyOf<'a> {
    /// A device's.
    Device(&'a Address),
    /// A server's. Hosts may share one: a certificate can name several.
    Server(&'a Host),
}

/// Makes sure that nobody else has the key, which has this pin where it is written as everybody writes it,
/// nor ever gave it up because somebody may have had it. Where two devices had the same, locking one out
/// would leave the key in; and a CA's key in a pin set would stand for all that it certifies.
///
/// # Errors
/// Where somebody has, or did.
pub(super) fn demand_free_key(
    store: &Store,
    home: &Home,
    pin: Pin,
    holder: KeyOf<'_>,
) -> Result<(), OperateError> {
    let servers_ca = home.servers().map(|chain| chain.ca());
    let mut authorities = [home.chain().root(), home.chain().ca()]
        .into_iter()
        .chain(servers_ca);
    if authorities.any(|ca| Pin(ca.public_key().spki_sha256()) == pin) {
        return Err(OperateError::KeyOfCa);
    }
    for server in store.known_servers()? {
        let host = server.host.clone();
        if server
            .dropped
            .iter()
            .any(|dropped| server.value_of(*dropped) == pin)
        {
            return Err(OperateError::KeyDropped(host));
        }
        match holder {
            KeyOf::Device(_) if server.had(pin) => return Err(OperateError::KeyOfServer(host)),
            KeyOf::Server(other) if server.backup.pin == pin && host != *other => {
                return Err(OperateError::KeyInReserve(host));
            }
            KeyOf::Device(_) | KeyOf::Server(_) => {}
        }
    }
    let mut refused = None;
    for record in store.holders_of_key(&pin.0)? {
        match (record.state, holder) {
            (
                State::Revoked {
                    at,
                    reason: reason @ (Reason::Lost | Reason::Stolen | Reason::Compromised),
                },
                _,
            ) => {
                refused = Some(OperateError::KeyRevoked {
                    address: record.address,
                    since: at,
                    reason,
                });
            }
            (_, KeyOf::Device(address)) if record.address == *address => {}
            (
                State::Undelivered | State::Active | State::Superseded | State::Revoked { .. },
                KeyOf::Device(_) | KeyOf::Server(_),
            ) => {
                refused.get_or_insert(OperateError::KeyOfAnother(record.address));
            }
        }
    }
    refused.map_or(Ok(()), Err)
}
