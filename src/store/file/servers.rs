//! The servers in the index: their keys, their certificates, and the pin sets that were published of them.

use std::collections::BTreeMap;

use super::codec::{Fields, corrupt, reason_octet, seconds};
use super::index::{Index, SERVERS_REVOKED, key};
use super::pending::Pending;
use crate::model::server::Origin;
use crate::model::{AccountId, Event, Fact, Host, Pin, Revocation, Serial, Server, ServerKey, Time};
use crate::store::StoreError;

const SERVERS_CA: &[u8] = b"a";
const PINS: &[u8] = b"y";
const SERVER: u8 = b's';
const CERTIFIED: u8 = b'k';
const ORDERED: u8 = b'O';
/// The certificates that an account has ordered, each with its end and the number of its event.
const ORDERS: u8 = b'Q';
/// The pin of the key of a certificate.
const KEY_OF: u8 = b'K';
/// Whose a key is that was certified for a server, and whether it was given up.
const CERTIFIED_KEY: u8 = b'P';

/// The number and expiry of the pin sets that were signed last, as the ledger has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastPins {
    /// Their number.
    pub number: u64,
    /// The time at which they expire.
    pub expires: Time,
}

impl Index {
    /// The certificate of the servers' CA, DER.
    pub(in crate::store) fn servers_ca(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.map.value(SERVERS_CA)
    }

    /// The server of this name, one that was removed apart.
    pub(in crate::store) fn server(&self, host: &Host) -> Result<Option<Server>, StoreError> {
        let value = self.map.value(&key(SERVER, host.to_string().as_bytes()))?;
        let server = value.map(|value| read_server(&value)).transpose()?;
        Ok(server.filter(|server| server.removed.is_none()))
    }

    /// Every server that there is or was, by name.
    pub(in crate::store) fn known_servers(&self) -> Result<Vec<Server>, StoreError> {
        let mut servers = Vec::new();
        self.map.scan(&[SERVER], &mut |_, value| {
            servers.push(read_server(value)?);
            Ok(true)
        })?;
        servers.sort_by(|a, b| a.host.cmp(&b.host));
        Ok(servers)
    }

    /// A server's certificate of our own CA: whose it is, and its revocation.
    pub(in crate::store) fn certified(
        &self,
        serial: &Serial,
    ) -> Result<Option<(Host, Option<Revocation>)>, StoreError> {
        let Some(value) = self.map.value(&key(CERTIFIED, serial.octets()))? else {
            return Ok(None);
        };
        let (_, host) = read_certified(&value)?;
        Ok(Some((host, self.revocation_of(SERVERS_REVOKED, serial)?)))
    }

    /// The host that a key was certified for, and whether it was given up because somebody else may have it.
    pub(in crate::store) fn certified_key(&self, pin: Pin) -> Result<Option<(Host, bool)>, StoreError> {
        let value = self.map.value(&key(CERTIFIED_KEY, &pin.0))?;
        value.map(|value| read_certified_key(&value)).transpose()
    }

    /// The pin of the key of a server's certificate of our own CA.
    pub(in crate::store) fn pin_of_certified(&self, serial: &Serial) -> Result<Option<Pin>, StoreError> {
        let value = self.map.value(&key(KEY_OF, serial.octets()))?;
        let pin = value.map(|pin| pin.try_into().map(Pin));
        pin.transpose().map_err(|_| corrupt("a server's certificate"))
    }

    /// The ACME account that a server's certificate was ordered by.
    pub(in crate::store) fn ordered_by(&self, serial: &Serial) -> Result<Option<AccountId>, StoreError> {
        let Some(value) = self.map.value(&key(ORDERED, serial.octets()))? else {
            return Ok(None);
        };
        let account = std::str::from_utf8(&value)
            .ok()
            .and_then(|text| text.parse().ok());
        account.map(Some).ok_or_else(|| corrupt("a server's certificate"))
    }

    /// The certificates that an ACME account has ordered, in that order, each with its end.
    pub(in crate::store) fn ordered_of(&self, account: AccountId) -> Result<Vec<(Serial, Time)>, StoreError> {
        let prefix = key(ORDERS, account.to_string().as_bytes());
        let mut found = Vec::new();
        self.map.scan(&prefix, &mut |place, value| {
            let mut fields = Fields(value);
            let mut read = || {
                let serial = Serial::from_octets(&place[prefix.len()..])?;
                let end = fields.time()?;
                Some((fields.number()?, (serial, end)))
            };
            found.push(read().ok_or_else(|| corrupt("an order"))?);
            Ok(true)
        })?;
        found.sort_by_key(|(seq, _)| *seq);
        Ok(found.into_iter().map(|(_, ordered)| ordered).collect())
    }

    pub(in crate::store) fn last_pins(&self) -> Result<Option<LastPins>, StoreError> {
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
    pub(in crate::store) fn take_server(&mut self, event: &Event) -> Result<(), StoreError> {
        match &event.fact {
            Fact::ServersCa { certificate } => self.put(SERVERS_CA.to_vec(), certificate.clone()),
            Fact::ServerAdded {
                host,
                include_subdomains,
                active,
                origin,
                backup,
            } => {
                let before = self.value(&key(SERVER, host.to_string().as_bytes()))?;
                let before = before.map(|value| read_server(&value)).transpose()?;
                let mut server = Server {
                    host: host.clone(),
                    include_subdomains: *include_subdomains,
                    active: ServerKey::new(*active, event.time, *origin),
                    backup: ServerKey::new(*backup, event.time, Origin::Made),
                    retiring: Vec::new(),
                    dropped: Vec::new(),
                    written_otherwise: Vec::new(),
                    certificates: Vec::new(),
                    removed: None,
                    last_removed: None,
                };
                if let Some(before) = before {
                    server.last_removed = before.last_removed;
                    server.retiring = before.leaves_behind();
                    server
                        .retiring
                        .retain(|key| ![*active, *backup].contains(&key.pin));
                    server.dropped = before.dropped;
                    server.written_otherwise = before.written_otherwise;
                }
                self.put_server(&server)?;
            }
            Fact::ServerRemoved { host, old_pins } => {
                self.change_server(host, |server| {
                    if server.removed.is_none() {
                        server.last_removed = Some(event.seq);
                    }
                    server.removed = Some((event.time, *old_pins));
                })?;
            }
            Fact::ServerCertified(certified) => {
                let end = seconds(certified.validity.not_after);
                let value = [&end[..], certified.host.to_string().as_bytes()].concat();
                self.put(key(CERTIFIED, certified.serial.octets()), value);
                self.put(key(KEY_OF, certified.serial.octets()), certified.pin.0.to_vec());
                let place = key(CERTIFIED_KEY, &certified.pin.0);
                if self.value(&place)?.is_none() {
                    let value = [&[0][..], certified.host.to_string().as_bytes()].concat();
                    self.put(place, value);
                }
                if let Some(account) = certified.account {
                    let account = account.to_string().into_bytes();
                    let place = [&account[..], certified.serial.octets()].concat();
                    self.put(key(ORDERS, &place), [end, event.seq.to_be_bytes()].concat());
                    self.put(key(ORDERED, certified.serial.octets()), account);
                }
                for host in certified.hosts() {
                    // Nobody holds a server to its pins that is in no register.
                    if self.value(&key(SERVER, host.to_string().as_bytes()))?.is_some() {
                        self.change_server(host, |server| {
                            server.note_certificate(certified.known(), event.time);
                        })?;
                    }
                }
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
                if reason.gives_up_key() {
                    self.give_up_key_of(serial)?;
                }
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
            | Fact::Recovered(_)
            | Fact::Kept { .. }
            | Fact::Offboarded { .. }
            | Fact::Reinstated { .. }
            | Fact::CrlSigned { .. }
            | Fact::Published { .. }
            | Fact::AcmeGranted(_)
            | Fact::AcmeBound { .. }
            | Fact::AcmeCancelled { .. }
            | Fact::AcmeDeactivated { .. }
            | Fact::HmacRotated { .. }
            | Fact::HmacHandedOut { .. }
            | Fact::HmacFirst { .. }
            | Fact::InviteCreated(_)
            | Fact::InviteAsked { .. }
            | Fact::InviteApproved { .. }
            | Fact::InviteRedeemed { .. }
            | Fact::InviteFetchedAgain { .. }
            | Fact::InviteRefused { .. }
            | Fact::InviteSuspended { .. }
            | Fact::InviteCancelled { .. }
            | Fact::Restored { .. }
            | Fact::Reconciled { .. }
            | Fact::PassphraseChanged { .. }
            | Fact::ClockConfirmed { .. } => {}
        }
        Ok(())
    }

    /// Nobody is to use the key of this certificate any more.
    fn give_up_key_of(&mut self, serial: &Serial) -> Result<(), StoreError> {
        let Some(pin) = self.value(&key(KEY_OF, serial.octets()))? else {
            return Ok(());
        };
        let place = key(CERTIFIED_KEY, &pin);
        if let Some(mut value) = self.value(&place)? {
            value[0] = 1;
            self.put(place, value);
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
        for server in self.index.known_servers()?.into_iter().map(Ok).chain(waiting) {
            let server = server?;
            servers.insert(server.host.clone(), server);
        }
        Ok(servers.into_values().collect())
    }
}

pub(super) fn read_server(value: &[u8]) -> Result<Server, StoreError> {
    serde_json::from_slice(value).map_err(|_| corrupt("a server"))
}

fn read_certified_key(value: &[u8]) -> Result<(Host, bool), StoreError> {
    let (given_up, host) = value.split_first().ok_or_else(|| corrupt("a server's key"))?;
    let host = std::str::from_utf8(host).ok().and_then(|host| host.parse().ok());
    let host = host.ok_or_else(|| corrupt("a server's key"))?;
    Ok((host, *given_up != 0))
}

/// The end of a server's certificate, and whose it is.
pub(super) fn read_certified(value: &[u8]) -> Result<(Time, Host), StoreError> {
    let mut fields = Fields(value);
    let mut read = || {
        let end = fields.time()?;
        Some((end, std::str::from_utf8(fields.0).ok()?.parse().ok()?))
    };
    read().ok_or_else(|| corrupt("a server's certificate"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::server::{Certified, Certifier, OldPin, ServerCertificate};
    use crate::model::{Authority, Reason, Role, Span, Validity};
    use crate::store::file::kv::{Map, Sled};
    use crate::store::file::ledger::{Entry, Ledger, Position};

    fn now() -> Time {
        Time::from_unix(1_800_000_000)
    }

    fn host() -> Host {
        "api.acme.example".parse().unwrap()
    }

    fn serial(octet: u8) -> Serial {
        Serial::from_random([octet; 16])
    }

    fn validity() -> Validity {
        Validity {
            not_before: now(),
            not_after: now() + Span::days(90),
        }
    }

    /// Everything that can happen to a server.
    fn facts() -> Vec<Fact> {
        let pin = |octet| Pin([octet; 32]);
        let signed = |number, pins: &[Pin]| Fact::PinsSigned {
            number,
            expires: now() + Span::days(365),
            pins: pins.to_vec(),
            sha256: "00".into(),
        };
        let certified = |octet| {
            Fact::ServerCertified(Box::new(Certified {
                host: host(),
                others: Vec::new(),
                account: None,
                serial: serial(octet),
                pin: pin(1),
                validity: validity(),
                certificate: vec![0x30, 0x00],
            }))
        };
        vec![
            Fact::ServersCa {
                certificate: vec![0x30, 0x01],
            },
            Fact::ServerAdded {
                host: host(),
                include_subdomains: true,
                active: pin(1),
                origin: Origin::Imported,
                backup: pin(2),
            },
            signed(7, &[pin(1), pin(2)]),
            certified(0x11),
            certified(0x12),
            Fact::ServerImported {
                host: host(),
                certificate: ServerCertificate {
                    serial: "0A".into(),
                    key: None,
                    pin: pin(2),
                    validity: validity(),
                    issuer: Certifier::Other,
                },
            },
            Fact::ServerRotated {
                host: host(),
                backup: pin(3),
                old_pin: OldPin::Retires,
            },
            signed(8, &[pin(1), pin(2), pin(3)]),
            Fact::ServerRevoked {
                serial: serial(0x11),
                host: Some(host()),
                reason: Reason::Replaced,
                since: None,
            },
            // One that only a published CRL knew.
            Fact::ServerRevoked {
                serial: serial(0x19),
                host: None,
                reason: Reason::Compromised,
                since: Some(now() - Span::days(1)),
            },
        ]
    }

    /// The facts as the ledger has them: each in an event of its own, read again.
    fn recorded() -> Vec<Entry> {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::create(&directory.path().join("ledger.jsonl")).unwrap();
        let mut at = Position::START;
        for fact in facts() {
            let appended = ledger.append(at, now(), "root", vec![fact]).unwrap();
            at = appended[0].after;
        }
        let mut entries = Vec::new();
        ledger
            .replay(Position::START, |batch| {
                entries.extend(batch);
                Ok(())
            })
            .unwrap();
        entries
    }

    #[test]
    fn every_event_of_a_server_reads_back_as_it_was_recorded() {
        let read: Vec<Fact> = recorded().into_iter().map(|entry| entry.event.fact).collect();
        assert_eq!(read, facts());
    }

    #[test]
    fn the_index_tells_what_became_of_a_server_whether_it_took_the_events_together_or_one_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let maps: [Box<dyn Map>; 2] = [
            Box::new(BTreeMap::new()),
            Box::new(Sled::open(directory.path()).ok().unwrap()),
        ];
        let entries = recorded();
        for (map, pieces) in maps.into_iter().zip([entries.len(), 1]) {
            let mut index = Index::new(map);
            for some in entries.chunks(pieces) {
                index.apply(some).unwrap();
            }
            let server = index.server(&host()).unwrap().unwrap();
            assert_eq!(index.known_servers().unwrap(), std::slice::from_ref(&server));
            let keys: Vec<_> = server.keys().map(|(role, key)| (role, key.pin.0[0])).collect();
            assert_eq!(keys, [(Role::Active, 2), (Role::Backup, 3), (Role::Retiring, 1)]);
            assert!(server.keys().all(|(_, key)| key.published == Some(now())));
            assert_eq!(server.certificate().unwrap().serial, "0A");
            assert_eq!(index.servers_ca().unwrap(), Some(vec![0x30, 0x01]));
            assert_eq!(index.last_pins().unwrap().unwrap().number, 8);
            let certified = |octet| index.certified(&serial(octet)).unwrap();
            let (whose, revocation) = certified(0x11).unwrap();
            assert_eq!((whose, revocation.unwrap().reason), (host(), Reason::Replaced));
            assert_eq!(certified(0x12), Some((host(), None)));
            assert_eq!(certified(0x19), None);
            let mut revoked = Vec::new();
            index
                .revocations(Authority::Servers, &mut |revocation, end| {
                    revoked.push((revocation.serial, revocation.at, end));
                })
                .unwrap();
            let end = Some(validity().not_after);
            let expected = [
                (serial(0x11), now(), end),
                (serial(0x19), now() - Span::days(1), None),
            ];
            assert_eq!(revoked, expected);
            // Servers and devices have a CRL each.
            let none = &mut |_, _| unreachable!("no device is revoked");
            index.revocations(Authority::Issuing, none).unwrap();
        }
    }
}
