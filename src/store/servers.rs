//! The servers in the index: their keys, their certificates, and the pin sets that were published of them.

use std::collections::BTreeMap;

use super::StoreError;
use super::index::{Fields, Index, Pending, SERVERS_REVOKED, corrupt, key, reason_octet, seconds};
use crate::model::server::{Certifier, Origin, ServerCertificate};
use crate::model::{Event, Fact, Host, Revocation, Serial, Server, ServerKey, Time};

const SERVERS_CA: &[u8] = b"a";
const PINS: &[u8] = b"y";
const SERVER: u8 = b's';
const CERTIFIED: u8 = b'k';

/// The pin sets that were signed last, as the ledger has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastPins {
    /// Their number.
    pub number: u64,
    /// Until when apps go by them.
    pub expires: Time,
}

impl Index {
    /// The certificate of the servers' CA, DER.
    pub(super) fn servers_ca(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.map.value(SERVERS_CA)
    }

    pub(super) fn server(&self, host: &Host) -> Result<Option<Server>, StoreError> {
        let value = self.map.value(&key(SERVER, host.to_string().as_bytes()))?;
        value.map(|value| read_server(&value)).transpose()
    }

    /// Every server, by name.
    pub(super) fn servers(&self) -> Result<Vec<Server>, StoreError> {
        let mut servers = Vec::new();
        self.map.scan(&[SERVER], &mut |_, value| {
            servers.push(read_server(value)?);
            Ok(true)
        })?;
        servers.sort_by(|a, b| a.host.cmp(&b.host));
        Ok(servers)
    }

    /// A server's certificate of our own CA: whose it is, and its revocation.
    pub(super) fn certified(
        &self,
        serial: &Serial,
    ) -> Result<Option<(Host, Option<Revocation>)>, StoreError> {
        let Some(value) = self.map.value(&key(CERTIFIED, serial.octets()))? else {
            return Ok(None);
        };
        let (_, host) = read_certified(&value)?;
        Ok(Some((host, self.revocation_of(SERVERS_REVOKED, serial)?)))
    }

    pub(super) fn last_pins(&self) -> Result<Option<LastPins>, StoreError> {
        let Some(value) = self.map.value(PINS)? else {
            return Ok(None);
        };
        let mut fields = Fields(&value);
        let mut read = || {
            Some(LastPins {
                number: fields.number()?,
                expires: fields.time()?,
            })
        };
        read().map(Some).ok_or_else(|| corrupt("the last pin sets"))
    }
}

impl Pending<'_> {
    /// Applies an event of a server.
    pub(super) fn take_server(&mut self, event: &Event) -> Result<(), StoreError> {
        match &event.fact {
            Fact::ServersCa { certificate } => self.put(SERVERS_CA.to_vec(), certificate.clone()),
            Fact::ServerAdded {
                host,
                include_subdomains,
                active,
                origin,
                backup,
            } => self.put_server(&Server {
                host: host.clone(),
                include_subdomains: *include_subdomains,
                active: ServerKey::new(*active, event.time, *origin),
                backup: ServerKey::new(*backup, event.time, Origin::Made),
                retiring: Vec::new(),
                certificates: Vec::new(),
            })?,
            Fact::ServerCertified(certified) => {
                let end = seconds(certified.validity.not_after);
                let value = [&end[..], certified.host.to_string().as_bytes()].concat();
                self.put(key(CERTIFIED, certified.serial.octets()), value);
                let known = ServerCertificate {
                    serial: certified.serial.to_string(),
                    pin: certified.pin,
                    validity: certified.validity,
                    by: Certifier::Own,
                };
                self.change_server(&certified.host, |server| {
                    server.note_certificate(known, event.time)
                })?;
            }
            Fact::ServerImported { host, certificate } => {
                self.change_server(host, |server| {
                    server.note_certificate(certificate.clone(), event.time);
                })?;
            }
            Fact::ServerRotated {
                host,
                backup,
                old_pin,
            } => {
                let backup = ServerKey::new(*backup, event.time, Origin::Made);
                self.change_server(host, |server| server.rotate(backup, *old_pin, event.time))?;
            }
            Fact::ServerRevoked {
                serial,
                reason,
                since,
                ..
            } => {
                let at = since.unwrap_or(event.time);
                let known = self.value(&key(CERTIFIED, serial.octets()))?;
                let end = match known.map(|value| read_certified(&value)).transpose()? {
                    Some((end, _)) => end,
                    None => Time::MAX,
                };
                let value = [&seconds(at)[..], &[reason_octet(*reason)], &seconds(end)].concat();
                self.put(key(SERVERS_REVOKED, serial.octets()), value);
            }
            Fact::PinsSigned {
                number,
                expires,
                pins,
                ..
            } => {
                self.put(PINS.to_vec(), [number.to_be_bytes(), seconds(*expires)].concat());
                for mut server in self.servers()? {
                    server.note_published(pins, event.time);
                    self.put_server(&server)?;
                }
            }
            Fact::Initialized { .. }
            | Fact::Issued(_)
            | Fact::Delivered { .. }
            | Fact::Revoked { .. }
            | Fact::Offboarded { .. }
            | Fact::Reinstated { .. }
            | Fact::CrlSigned { .. }
            | Fact::Published { .. }
            | Fact::ClockConfirmed { .. } => {}
        }
        Ok(())
    }

    fn put_server(&mut self, server: &Server) -> Result<(), StoreError> {
        let value = serde_json::to_vec(server).map_err(|_| corrupt("a server"))?;
        self.put(key(SERVER, server.host.to_string().as_bytes()), value);
        Ok(())
    }

    fn change_server(&mut self, host: &Host, change: impl FnOnce(&mut Server)) -> Result<(), StoreError> {
        let value = self.value(&key(SERVER, host.to_string().as_bytes()))?;
        let mut server = read_server(&value.ok_or_else(|| corrupt("a server"))?)?;
        change(&mut server);
        self.put_server(&server)
    }

    fn servers(&self) -> Result<Vec<Server>, StoreError> {
        let mut servers: BTreeMap<Host, Server> = BTreeMap::new();
        let waiting = self.writes.iter().filter(|(key, _)| key.first() == Some(&SERVER));
        let waiting = waiting.filter_map(|(_, value)| value.as_deref()).map(read_server);
        for server in self.index.servers()?.into_iter().map(Ok).chain(waiting) {
            let server = server?;
            servers.insert(server.host.clone(), server);
        }
        Ok(servers.into_values().collect())
    }
}

fn read_server(value: &[u8]) -> Result<Server, StoreError> {
    serde_json::from_slice(value).map_err(|_| corrupt("a server"))
}

/// The end of a server's certificate, and whose it is.
fn read_certified(value: &[u8]) -> Result<(Time, Host), StoreError> {
    let mut fields = Fields(value);
    let mut read = || {
        let end = fields.time()?;
        Some((end, std::str::from_utf8(fields.0).ok()?.parse().ok()?))
    };
    read().ok_or_else(|| corrupt("a server's certificate"))
}
