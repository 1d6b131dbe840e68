//! The register of servers: adds and removes servers, takes in certificates of other CAs, and rotates keys.

pub mod authority;
pub mod certificates;
pub mod error;
pub mod keys;
pub mod serving;

use std::path::PathBuf;

use super::delivery::output_dir::OutputDir;
use super::key_owner::{KeyOf, demand_free_key};
use super::publishing::owed::{record_and_deliver, strike_out};
use super::publishing::pending::demand_known_pins;
use super::publishing::pin_sets::published_pins;
use super::publishing::reached::{Lacks, Reached};
use super::session::Session;
use super::{CaError, NotFound, ServersError, UnfitKey};
use crate::home::Home;
use crate::key::SoftwareKey;
use crate::model::server::{Certifier, OldPin, Origin, ServerCertificate};
use crate::model::{Fact, Host, Pin, Server, Span, Time};
use crate::store::Store;
use crate::x509::foreign::ForeignCertificate;
use keys::{CertifiedKey, NewKey, deliver, stem};

/// Whether the pins of a server hold for the hosts below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subdomains {
    /// The pins hold for the hosts below as well.
    Included,
    /// The pins hold for the host alone.
    Excluded,
}

/// Whether the operator said that a rotation may lock out apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// The new key's pin must have been published for the overlap.
    None,
    /// It may, by `--confirm HOST`.
    Confirmed,
}

/// Registers a new server with a key for it and one in reserve, and writes the first into `output`.
///
/// # Errors
/// Where there is a server of this name, or the keys cannot be kept, recorded or written.
pub fn add(
    session: &mut Session<'_>,
    host: &Host,
    subdomains: Subdomains,
    [active, backup]: &[NewKey; 2],
    output: &OutputDir,
) -> Result<PathBuf, CaError> {
    if session.store.server(host)?.is_some() {
        return Err(ServersError::Exists(host.clone()).into());
    }
    demand_known_pins(session)?;
    let (stem, _at_work) = stem(output, host, &CertifiedKey::Ours(&active.key))?;
    output.prove()?;
    for key in [active, backup] {
        key.keep(&session.desk.home, host)?;
    }
    let added = Fact::ServerAdded {
        host: host.clone(),
        include_subdomains: subdomains == Subdomains::Included,
        active: active.pin(),
        origin: Origin::Made,
        backup: backup.pin(),
    };
    let record = |session: &mut Session<'_>| session.commit(vec![added]);
    let ((), file) = record_and_deliver(session, host, record, |()| deliver(&stem, &active.key))?;
    Ok(file)
}

/// The outcome of importing a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// The server is new: the certificate's key is the one in use, and the other key is in reserve.
    Added,
    /// The server's key in use has this certificate now.
    Renewed,
}

/// Takes in a certificate of another CA. Of a server that is new here its key is the one in use; `backup` is
/// made for that case.
///
/// # Errors
/// Where the certificate is not this server's, has ended, or has another key than the one in use here, or one
/// that is somebody else's.
pub fn import(
    session: &mut Session<'_>,
    host: &Host,
    subdomains: Subdomains,
    certificate: &ForeignCertificate,
    backup: Option<&NewKey>,
) -> Result<Imported, CaError> {
    demand_for(host, certificate, session.now)?;
    let pin = certificate.pin;
    demand_nobody_elses(&session.store, &session.desk.home, host, certificate)?;
    let own = certificate.serial.parse().ok();
    let is_own = match own {
        Some(serial) => session.store.certified(&serial)?.is_some(),
        None => false,
    };
    let taken_in = Fact::ServerImported {
        host: host.clone(),
        certificate: ServerCertificate {
            serial: certificate.serial.clone(),
            pin,
            key: Some(certificate.key).filter(|key| *key != pin),
            validity: certificate.validity,
            issuer: match is_own {
                true => Certifier::Own,
                false => Certifier::Other,
            },
        },
    };
    match (session.store.server(host)?, backup) {
        (Some(server), _) => {
            demand_active(&server, pin)?;
            session.commit(vec![taken_in])?;
            Ok(Imported::Renewed)
        }
        (None, None) => Err(NotFound::Server(host.clone()).into()),
        (None, Some(backup)) => {
            demand_known_pins(session)?;
            backup.keep(&session.desk.home, host)?;
            let added = Fact::ServerAdded {
                host: host.clone(),
                include_subdomains: subdomains == Subdomains::Included,
                active: pin,
                origin: Origin::Imported,
                backup: backup.pin(),
            };
            session.commit(vec![added, taken_in])?;
            Ok(Imported::Added)
        }
    }
}

/// Demands a certificate that a server can show now, and whose key may be pinned.
///
/// # Errors
/// Where it is a CA's, names other hosts, or is not good now.
pub fn demand_for(host: &Host, certificate: &ForeignCertificate, now: Time) -> Result<(), ServersError> {
    if certificate.is_ca && !certificate.is_self_issued {
        return Err(ServersError::CertificateOfCa);
    }
    if !certificate.is_for_servers {
        return Err(ServersError::NotForServers(host.clone()));
    }
    if !certificate.names(host) {
        return Err(ServersError::OtherHost {
            host: host.clone(),
            found: certificate.hosts.join(", "),
        });
    }
    if certificate.is_ca {
        return Err(ServersError::SelfSignedCa(host.clone()));
    }
    let validity = certificate.validity;
    if now < validity.not_before || validity.ended(now) {
        return Err(ServersError::NotGood {
            from: validity.not_before,
            to: validity.not_after,
        });
    }
    Ok(())
}

/// Demands that the key of a certificate, in whatever encoding, is nobody else's.
///
/// # Errors
/// Where somebody else has it, or had.
pub fn demand_nobody_elses(
    store: &Store,
    home: &Home,
    host: &Host,
    certificate: &ForeignCertificate,
) -> Result<(), CaError> {
    demand_free_key(store, home, certificate.key, KeyOf::Server(host))
}

/// Demands that the key of a certificate is the one that the server uses.
///
/// # Errors
/// Where it is the one in reserve, one that was used before, or an unknown one.
pub fn demand_active(server: &Server, pin: Pin) -> Result<(), UnfitKey> {
    let host = server.host.clone();
    if pin == server.active.pin {
        Ok(())
    } else if pin == server.backup.pin {
        Err(UnfitKey::InReserve(host))
    } else if server.retiring.iter().any(|key| key.pin == pin) {
        Err(UnfitKey::Retiring(host))
    } else if server.dropped.contains(&pin) {
        Err(UnfitKey::Dropped(host))
    } else {
        Err(UnfitKey::Strange(host))
    }
}

/// Makes the key in reserve the one in use, and `next` the one in reserve. `backup` is the key in reserve,
/// opened before the lock was taken.
///
/// # Errors
/// Where apps may not know its pin yet and nobody said that this does not matter, where somebody else has
/// rotated meanwhile, or where the keys cannot be kept, recorded or written.
pub fn rotate(
    session: &mut Session<'_>,
    host: &Host,
    backup: &SoftwareKey,
    next: &NewKey,
    (old_pin, haste): (OldPin, Haste),
    output: &OutputDir,
) -> Result<PathBuf, CaError> {
    let server = session
        .store
        .server(host)?
        .ok_or_else(|| NotFound::Server(host.clone()))?;
    if server.backup.pin != Pin(backup.public_key().spki_sha256()) {
        return Err(ServersError::RotatedMeanwhile(host.clone()).into());
    }
    demand_known_pins(session)?;
    demand_overlap(&session.desk.home, &server, haste, session.now)?;
    let (stem, _at_work) = stem(output, host, &CertifiedKey::Ours(backup))?;
    output.prove()?;
    next.keep(&session.desk.home, host)?;
    let rotated = Fact::ServerRotated {
        host: host.clone(),
        backup: next.pin(),
        old_pin,
    };
    let record = |session: &mut Session<'_>| session.commit(vec![rotated]);
    let ((), file) = record_and_deliver(session, host, record, |()| deliver(&stem, backup))?;
    Ok(file)
}

/// The server that is to be removed: a registered one, or one that was removed and whose pins are to leave
/// now.
///
/// # Errors
/// Where there is no such server, or it is removed and nothing of it is left to drop.
pub fn removable(
    store: &Store,
    host: &Host,
    old_pins: OldPin,
    (overlap, now): (Span, Time),
) -> Result<Server, CaError> {
    let mut known = store.known_servers()?.into_iter();
    let unknown = || NotFound::Server(host.clone());
    let server = known.find(|server| server.host == *host).ok_or_else(unknown)?;
    if server.removed.is_none() {
        return Ok(server);
    }
    let until = server.stays_until(now, overlap).ok_or_else(unknown)?;
    match old_pins {
        OldPin::Dropped => Ok(server),
        OldPin::Retires => Err(ServersError::RemovedAlready {
            host: host.clone(),
            until,
        }
        .into()),
    }
}

/// Removes a server from the register, or drops the pins of one that was removed before. Its keys stay in the
/// home, and its pins are still known as its own.
///
/// # Errors
/// Where it is not [`removable`], the published pin sets are later than the ledger, or it cannot be recorded.
pub fn remove(session: &mut Session<'_>, host: &Host, old_pins: OldPin) -> Result<Server, CaError> {
    let overlap = session.desk.home.config().pin_overlap;
    let server = removable(&session.store, host, old_pins, (overlap, session.now))?;
    demand_known_pins(session)?;
    let host = host.clone();
    session.commit(vec![Fact::ServerRemoved { host, old_pins }])?;
    strike_out(&session.desk.home, &server.host);
    Ok(server)
}

/// Demands that apps which use the published pin sets accept the server with this certificate.
///
/// # Errors
/// Where the certificate is not for the server, or is revoked, or its key is not the one that the server
/// uses, or was given up since, or its pin is not published. The signature is not checked.
pub fn demand_taken_by_apps(
    home: &Home,
    store: &Store,
    server: &Server,
    certificate: &ForeignCertificate,
    now: Time,
) -> Result<(), CaError> {
    demand_for(&server.host, certificate, now)?;
    if let Ok(serial) = certificate.serial.parse()
        && store
            .certified(&serial)?
            .is_some_and(|(_, revoked)| revoked.is_some())
    {
        return Err(ServersError::CertificateRevoked {
            host: server.host.clone(),
            serial,
        }
        .into());
    }
    demand_active(server, certificate.pin)?;
    demand_nobody_elses(store, home, &server.host, certificate)?;
    let published = published_pins(home)?.map_or(Vec::new(), |pins| pins.sets);
    demand_everywhere(home, server, certificate.pin)?;
    let mut sets = published
        .iter()
        .filter(|set| set.host == server.host && now < set.expires);
    match sets.any(|set| set.pins.iter().any(|pinned| pinned.pin == certificate.pin)) {
        true => Ok(()),
        false => Err(ServersError::ActiveUnpublished(server.host.clone()).into()),
    }
}

/// Every place has a pin; since when, as far as that is later than when it was signed.
///
/// # Errors
/// Where one has it not, and others of the server.
fn demand_everywhere(home: &Home, server: &Server, pin: Pin) -> Result<Option<Time>, ServersError> {
    let own = server.keys().map(|(_, key)| key.pin);
    let all: Vec<Pin> = own.chain(server.dropped.iter().copied()).collect();
    Reached::by(home)
        .since(pin, &all)
        .map_err(|Lacks(place)| ServersError::PinNotEverywhere {
            host: server.host.clone(),
            place,
        })
}

/// The time when the pin of the key in reserve had reached every place that apps read; none while it was not
/// published.
///
/// # Errors
/// Where a place does not have it, because it could not be written since it was signed.
pub fn reserve_known(home: &Home, server: &Server) -> Result<Option<Time>, ServersError> {
    let reached = demand_everywhere(home, server, server.backup.pin)?;
    let signed = server.backup.published;
    Ok(signed.map(|signed| reached.map_or(signed, |reached| signed.max(reached))))
}

/// Whether the pin sets that the home publishes have the pin of the key in reserve. Sets that cannot be read
/// have none.
fn is_published(home: &Home, server: &Server) -> bool {
    let sets = published_pins(home)
        .ok()
        .flatten()
        .map_or(Vec::new(), |pins| pins.sets);
    let mut own = sets.iter().filter(|set| set.host == server.host);
    own.any(|set| set.pins.iter().any(|pinned| pinned.pin == server.backup.pin))
}

/// Demands that every app has had the time to learn the pin of the key in reserve.
///
/// # Errors
/// Where it has not, and nobody said that this does not matter; and where the pin was never published,
/// whatever anybody said.
pub fn demand_overlap(home: &Home, server: &Server, haste: Haste, now: Time) -> Result<(), ServersError> {
    let host = server.host.clone();
    let known = match haste {
        Haste::None => reserve_known(home, server)?,
        // A rotation that was cut off before its pins were published: once more, and no app would know the
        // key in use.
        Haste::Confirmed => server.backup.published.filter(|_| is_published(home, server)),
    };
    let from = known.ok_or(ServersError::PinUnpublished(host.clone()))? + home.config().pin_overlap;
    if haste == Haste::Confirmed || from <= now {
        Ok(())
    } else {
        Err(ServersError::TooSoon { host, from })
    }
}
