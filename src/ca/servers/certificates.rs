//! Certificates for servers: writes a request (CSR) for another CA, or issues and revokes a certificate of
//! the servers' CA.

use std::path::PathBuf;

use super::authority::record_servers;
use super::demand_active;
use super::keys::{CertifiedKey, deliver, stem};
use crate::ca::delivery::file_names::with_extension;
use crate::ca::delivery::output_dir::OutputDir;
use crate::ca::key_owner::{KeyOf, demand_free_key};
use crate::ca::publishing::owed::{delivered_at_last, record_and_deliver};
use crate::ca::session::{Desk, Session};
use crate::ca::{CaError, NotFound};
use crate::disk::{self, Shown};
use crate::issuer::{IssuerError, Servers};
use crate::key::{SoftwareKey, os_rng};
use crate::model::server::{Certified, Certifier, ServerCertificate, ServerDraft};
use crate::model::{Authority, Fact, Host, Reason, Role, Serial, Server};
use crate::x509::foreign::ForeignCertificate;
use crate::x509::request;

/// The files of a server that were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The file with the server's certificate and its issuer's, or the file with the request for one.
    pub certificate: PathBuf,
    /// The file with the server's key, where that was made here.
    pub key: Option<PathBuf>,
}

/// Writes a request for a certificate of another CA, and the key that it is for where the server uses it: the
/// one in reserve stays in the home.
///
/// # Errors
/// Where they cannot be written, or another file has the request's name.
pub fn write_request(
    desk: &Desk,
    server: &Server,
    (role, key): (Role, &SoftwareKey),
    output: &OutputDir,
) -> Result<Delivered, CaError> {
    let host = &server.host;
    let text = request::create(Some(host), key).map_err(IssuerError::X509)?;
    let (stem, _at_work) = stem(output, host, &CertifiedKey::Ours(key))?;
    let place = with_extension(&stem, "csr");
    let there = disk::read_if_there(&place)?;
    let is_request = |there: &[u8]| request::Request::parse(there).is_ok();
    if there.is_some_and(|there| !is_request(&there)) {
        return Err(CaError::Exists(Shown(place)));
    }
    let key = match role {
        Role::Active => Some(deliver(&stem, key)?),
        Role::Backup | Role::Retiring => None,
    };
    disk::replace(&place, 0o644, text.as_bytes())?;
    // A certificate of our own that was not written is still to be.
    let is_ours = |certificate: &ServerCertificate| certificate.issuer == Certifier::Own;
    if role == Role::Active && !server.certificate().is_some_and(is_ours) {
        delivered_at_last(desk, host)?;
    }
    Ok(Delivered {
        certificate: place,
        key,
    })
}

/// Signs a certificate for the key that a server uses, records it, and writes both. A renewal keeps the key,
/// so that its pin holds.
///
/// # Errors
/// Where policy refuses, the key is not the one in use, or something cannot be signed, recorded or written.
pub fn certify(
    session: &mut Session<'_>,
    servers: &Servers,
    host: &Host,
    days: Option<i64>,
    key: &CertifiedKey<'_>,
    output: &OutputDir,
) -> Result<(Certified, Delivered), CaError> {
    let server = session
        .store
        .server(host)?
        .ok_or_else(|| NotFound::Server(host.clone()))?;
    let pin = key.pin();
    demand_active(&server, pin)?;
    demand_free_key(&session.store, &session.desk.home, pin, KeyOf::Server(host))?;
    let draft = ServerDraft::new(host, days, servers.chain().issuer(), session.now)?;
    let (stem, _at_work) = stem(output, host, key)?;
    let place = with_extension(&stem, "crt");
    let there = disk::read_if_there(&place)?;
    if there.is_some_and(|there| !is_of(&there, host)) {
        return Err(CaError::Exists(Shown(place)));
    }
    output.prove()?;
    record_servers(session, servers.chain())?;
    let signed = servers.sign(&draft, key.public_key(), &mut os_rng())?;
    let record = |session: &mut Session<'_>| session.commit_server(signed);
    let (certified, key) = record_and_deliver(session, host, record, |certified| {
        let key = match key {
            CertifiedKey::Ours(key) => Some(deliver(&stem, key)?),
            CertifiedKey::Theirs(_) => None,
        };
        let text = servers.chain().fullchain(&certified.certificate);
        disk::replace(&place, 0o644, text.as_bytes())?;
        Ok(key)
    })?;
    let delivered = Delivered {
        certificate: place,
        key,
    };
    Ok((certified, delivered))
}

/// Only what an earlier certificate of the same server left is replaced.
fn is_of(there: &[u8], host: &Host) -> bool {
    ForeignCertificate::first_in(there).is_ok_and(|certificate| certificate.names(host))
}

/// Revokes a server's certificate, unless that was done before.
///
/// # Errors
/// Where the servers' CA did not issue it, or the revocation cannot be recorded.
pub fn revoke_server(session: &mut Session<'_>, serial: Serial, reason: Reason) -> Result<(), CaError> {
    let known = session.store.certified(&serial)?;
    let (host, revocation) = known.ok_or(NotFound::Certificate(serial))?;
    if revocation.is_some_and(|before| !reason.raises(before.reason, Authority::Servers)) {
        return Ok(());
    }
    session.commit(vec![Fact::ServerRevoked {
        serial,
        host: Some(host),
        reason,
        since: revocation.map(|before| before.at),
    }])
}
