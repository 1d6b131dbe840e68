//! Checks the registered servers as far as the home knows them: their keys, certificates and pins.

use super::ledger::unreadable;
use super::{Finding, Severity, private_files};
use crate::ca::{self, Session};
use crate::key::SoftwareKey;
use crate::model::server::{Certifier, Origin};
use crate::model::{Host, Role, Server, Span, Time};

/// The time before the expiry of a server's certificate from which on it is a warning.
const SERVER: Span = Span::days(21);

pub(super) fn examine(session: &Session<'_>, now: Time, findings: &mut Vec<Finding>) {
    let servers = match session.store.servers() {
        Ok(servers) => servers,
        Err(error) => {
            findings.push(unreadable(&error));
            return;
        }
    };
    for server in &servers {
        findings.extend(keys(session, server));
        findings.extend(certificate(server, now));
    }
    match ca::keys_given_up(&session.store) {
        Ok(given_up) => findings.extend(given_up.iter().map(|(host, role)| {
            Finding::new(
                "server-key-given-up",
                Severity::Error,
                format!(
                    "the {role} key of {host} was given up as compromised: it is certified for nobody any more, and apps go by its pin"
                ),
                rotation_of(host, *role),
            )
        })),
        Err(error) => findings.push(unreadable(&error)),
    }
    findings.extend(ca::owed_files(&session.desk.home).into_iter().map(|host| {
        Finding::new(
            "server-files",
            Severity::Warning,
            format!("a key or certificate of the server {host} was recorded, and its file was not written"),
            format!(
                "`pki server issue {host} --out DIR`, where its key is; or `pki server csr {host} --out DIR` where another CA certifies it"
            ),
        )
    }));
    match ca::pins_are_ahead(session) {
        Ok(false) => {}
        Ok(true) => findings.push(Finding::new(
            "pins-ahead",
            Severity::Error,
            "the published pin sets are later than what the ledger knows: they stand as they are, and no server can be added or rotated",
            "restore the newest ledger.jsonl and servers/; only if the older state is meant, remove pins/ from every place",
        )),
        Err(error) => findings.push(Finding::new("pins-ahead", Severity::Error, error, "pki publish")),
    }
}

/// How another key takes the place of one that was given up.
pub fn rotation_of(host: &Host, role: Role) -> String {
    let rotate = format!("`pki server rotate {host} --compromised --confirm {host}`");
    match role {
        Role::Active | Role::Retiring => rotate,
        // The first puts it into use, and the second drops it.
        Role::Backup => format!("`pki server rotate {host} --confirm {host}`, then {rotate}"),
    }
}

/// The keys that the home should have: without the one in reserve a pin is published that nobody has the key
/// of.
fn keys(session: &Session<'_>, server: &Server) -> Vec<Finding> {
    let home = &session.desk.home;
    let wanted = server.keys().filter(|(role, key)| is_here(*role, key.origin));
    let examined = wanted.filter_map(|(role, key)| {
        let path = ca::key_path(home, &server.host, key.pin);
        let restore = || {
            format!(
                "restore the file from a backup; if there is none: `pki server rotate {} --confirm {}`",
                server.host, server.host
            )
        };
        let (why, remedy) = private_files::examine(&path, SoftwareKey::examine, restore)?;
        let message = format!("the {role} key of {}: {why}", server.host);
        Some(Finding::new("server-key", Severity::Error, message, remedy))
    });
    examined.collect()
}

/// Whether the home should have a key.
pub(super) fn is_here(role: Role, origin: Origin) -> bool {
    match (role, origin) {
        (Role::Active | Role::Backup, Origin::Made) => true,
        (Role::Active | Role::Backup, Origin::Imported) | (Role::Retiring, _) => false,
    }
}

/// The certificate that is known of the key in use.
fn certificate(server: &Server, now: Time) -> Option<Finding> {
    let host = &server.host;
    let Some(certificate) = server.certificate() else {
        let remedy = match server.certifier()? {
            Certifier::Own => format!("pki server issue {host} --out DIR, where its key is"),
            Certifier::Other => {
                format!(
                    "pki server csr {host} --out DIR, where its key is, and `pki server import {host} --cert FILE` once it is certified"
                )
            }
        };
        return Some(Finding::new(
            "server-certificate-missing",
            Severity::Warning,
            format!("the key in use of {host} has no certificate: its rotation is not finished"),
            remedy,
        ));
    };
    let end = certificate.validity.not_after;
    let severity = match end - now {
        left if left < Span::seconds(0) => Severity::Error,
        left if left < SERVER => Severity::Warning,
        _ => return None,
    };
    let ends = if end < now { "ended" } else { "ends" };
    let remedy = match certificate.issuer {
        Certifier::Own => format!("pki server issue {host} --out DIR, where its key is"),
        Certifier::Other => {
            format!("renew it with the same key, then run `pki server import {host} --cert FILE`")
        }
    };
    let message = format!("the certificate of the server {host} {ends} on {}", end.date());
    Some(Finding::new(
        "server-certificate-ending",
        severity,
        message,
        remedy,
    ))
}
