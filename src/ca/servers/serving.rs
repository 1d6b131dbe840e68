//! The certificate of the service itself, where it serves devices: one of the servers' CA for the active key
//! of its host. It stays in the ledger and in memory; no file of it is written.

use super::authority::record_servers;
use super::demand_active;
use crate::ca::key_owner::{KeyOf, demand_free_key};
use crate::ca::session::Session;
use crate::ca::{CaError, NotFound};
use crate::home::Home;
use crate::issuer::Servers;
use crate::key::{PublicKey, os_rng};
use crate::model::server::{Certified, ServerDraft};
use crate::model::{Fact, Host, Pin, Time};
use crate::store::{Cursor, StoreError};

/// The certificate that was signed last for this key of a host, whatever has become of it. Reads the ledger,
/// without the lock: what is recorded stays.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn newest_certificate(home: &Home, host: &Host, key: &PublicKey) -> Result<Option<Certified>, CaError> {
    let pin = Pin(key.spki_sha256());
    let mut newest = None;
    home.follow(Cursor::START, &mut |event| {
        if let Fact::ServerCertified(certified) = event.fact
            && certified.host == *host
            && certified.pin == pin
        {
            newest = Some(*certified);
        }
        Ok::<(), StoreError>(())
    })?;
    Ok(newest)
}

/// The certificate that a service shows for this key of a host: the one before, unless it is revoked or two
/// thirds of its life are over, or else a new one.
///
/// # Errors
/// Where the key is not the one in use, or a new certificate cannot be signed or recorded.
pub fn serving_certificate(
    session: &mut Session<'_>,
    servers: &Servers,
    host: &Host,
    key: &PublicKey,
    before: Option<Certified>,
) -> Result<Certified, CaError> {
    let pin = Pin(key.spki_sha256());
    let server = session
        .store
        .server(host)?
        .ok_or_else(|| NotFound::Server(host.clone()))?;
    demand_active(&server, pin)?;
    if let Some(before) = before
        && before.pin == pin
        && is_fresh(&before, session.now)
        && session
            .store
            .certified(&before.serial)?
            .is_some_and(|(_, revocation)| revocation.is_none())
    {
        return Ok(before);
    }
    demand_free_key(&session.store, &session.desk.home, pin, KeyOf::Server(host))?;
    let draft = ServerDraft::new(host, None, servers.chain().issuer(), session.now)?;
    record_servers(session, servers.chain())?;
    let signed = servers.sign(&draft, key, &mut os_rng())?;
    session.commit_server(signed)
}

fn is_fresh(certified: &Certified, now: Time) -> bool {
    let validity = certified.validity;
    let life = (validity.not_after - validity.not_before).as_seconds();
    validity.not_before <= now && (validity.not_after - now).as_seconds() * 3 > life
}
