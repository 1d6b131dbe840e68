//! A server of the company: its keys, one in use and one in reserve, and its certificates.

use serde::{Deserialize, Serialize};

use super::acme::AccountId;
use super::draft::Issuer;
use super::host::Host;
use super::pin::{Pin, PinSet, Pinned, Role};
use super::profile::{Profile, Refusal};
use super::serial::Serial;
use super::time::{Span, Time};
use super::validity::Validity;

/// A server, as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The name of the server.
    pub host: Host,
    /// Whether apps are to hold the hosts below it to the same pins.
    pub include_subdomains: bool,
    /// The key that it uses.
    pub active: ServerKey,
    /// The key that it will use next: made and published, not in use.
    pub backup: ServerKey,
    /// The keys that it used before, the last one first.
    pub retiring: Vec<ServerKey>,
    /// The pins that are no longer published, because somebody else may have the keys.
    #[serde(default)]
    pub dropped: Vec<Pin>,
    /// Keys whose certificates encode them in an unusual way: the pin by that encoding, and the pin by the
    /// usual one.
    #[serde(default)]
    pub written_otherwise: Vec<(Pin, Pin)>,
    /// The newest certificates that are known and had not ended when the last one came, the newest last.
    pub certificates: Vec<ServerCertificate>,
    /// The time of its removal from the register, if it is removed, and what became of its pins. The record
    /// is kept, because apps may hold the server to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<(Time, OldPin)>,
    /// The number of the event that removed it last, also where it was taken in again since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_removed: Option<u64>,
}

/// A key of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerKey {
    /// Its pin.
    pub pin: Pin,
    /// The time since which it has its role: active, backup or retiring.
    pub since: Time,
    /// The origin of the key: made here, or elsewhere.
    pub origin: Origin,
    /// The time when a pin set first named it.
    pub published: Option<Time>,
}

/// The origin of a server's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The key was made here: the home has it, encrypted.
    Made,
    /// The key was made elsewhere: only its public half is known, by a certificate.
    Imported,
}

/// A certificate of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCertificate {
    /// Its serial number, hexadecimal: another CA's may be of any length.
    pub serial: String,
    /// The pin of its key.
    pub pin: Pin,
    /// The pin of the same key in its usual encoding, where that differs from `pin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Pin>,
    /// The validity period of the certificate.
    #[serde(flatten)]
    pub validity: Validity,
    /// The CA that signed it.
    pub issuer: Certifier,
}

/// The CA that signed a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certifier {
    /// The servers' CA of this PKI.
    Own,
    /// Another CA, mostly a public one.
    Other,
}

/// The fate of the pin of a key that is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OldPin {
    /// The pin stays for the overlap: servers that still have the key stay reachable.
    Retires,
    /// The pin leaves at once: somebody else may have the key.
    Dropped,
}

impl ServerKey {
    /// A key that nothing has named yet.
    pub fn new(pin: Pin, since: Time, origin: Origin) -> Self {
        Self {
            pin,
            since,
            origin,
            published: None,
        }
    }
}

impl Server {
    /// Every key, the active one first.
    pub fn keys(&self) -> impl Iterator<Item = (Role, &ServerKey)> {
        let standing = [(Role::Active, &self.active), (Role::Backup, &self.backup)];
        let retiring = self.retiring.iter().map(|key| (Role::Retiring, key));
        standing.into_iter().chain(retiring)
    }

    /// Whether this pin was ever one of its own.
    pub fn knows(&self, pin: Pin) -> bool {
        self.pins().any(|known| known == pin)
    }

    /// Whether a key was ever one of its own, by the pin that it has in its usual encoding.
    pub fn had(&self, key: Pin) -> bool {
        self.pins().any(|known| self.value_of(known) == key)
    }

    fn pins(&self) -> impl Iterator<Item = Pin> {
        let pins = self.keys().map(|(_, key)| key.pin);
        pins.chain(self.dropped.iter().copied())
    }

    /// The pin that a key has in its usual encoding, found by `pin`, which it has in a certificate. It is
    /// `pin` itself unless a certificate of this server encodes the key in another way.
    pub fn value_of(&self, pin: Pin) -> Pin {
        let known = self.written_otherwise.iter().find(|(other, _)| *other == pin);
        known.map_or(pin, |(_, value)| *value)
    }

    /// Puts the backup key in the place of the active one, and `backup` in its own.
    pub fn rotate(&mut self, backup: ServerKey, old: OldPin, now: Time) {
        let mut active = std::mem::replace(&mut self.backup, backup);
        active.since = now;
        let mut retired = std::mem::replace(&mut self.active, active);
        retired.since = now;
        match old {
            OldPin::Retires => self.retiring.insert(0, retired),
            OldPin::Dropped => self.dropped.push(retired.pin),
        }
    }

    /// Whether an app may use pins of it: some were published.
    pub fn may_be_pinned(&self) -> bool {
        self.keys().any(|(_, key)| key.published.is_some())
    }

    /// The time until which pins of a removed server stay in the pin sets, where they are in them.
    pub fn stays_until(&self, now: Time, overlap: Span) -> Option<Time> {
        match self.removed {
            Some((at, OldPin::Retires)) if self.may_be_pinned() => {
                Some(at + overlap).filter(|end| now < *end)
            }
            Some((_, OldPin::Retires | OldPin::Dropped)) | None => None,
        }
    }

    /// The keys that it leaves to a server of the same name that is taken in after it was removed: their pins
    /// stay as long as they would have, and are never taken for somebody else's.
    pub fn leaves_behind(&self) -> Vec<ServerKey> {
        let Some((at, old)) = self.removed else {
            return Vec::new();
        };
        let keys = self.keys().map(|(role, key)| {
            let since = match (old, role) {
                // Its time is over.
                (OldPin::Dropped, _) => Time::from_unix(0),
                (OldPin::Retires, Role::Active | Role::Backup) => at,
                (OldPin::Retires, Role::Retiring) => key.since,
            };
            ServerKey { since, ..key.clone() }
        });
        keys.collect()
    }

    /// Records `at` as the time of the first publication of each key whose pin is among `pins`.
    pub fn note_published(&mut self, pins: &[Pin], at: Time) {
        let keys = [&mut self.active, &mut self.backup];
        for key in keys.into_iter().chain(&mut self.retiring) {
            if key.published.is_none() && pins.contains(&key.pin) {
                key.published = Some(at);
            }
        }
    }

    /// Takes in a certificate; those that have expired by `now` are forgotten.
    pub fn note_certificate(&mut self, certificate: ServerCertificate, now: Time) {
        if let Some(value) = certificate.key
            && self.value_of(certificate.pin) != value
        {
            self.written_otherwise.push((certificate.pin, value));
        }
        remember(&mut self.certificates, certificate, now);
    }

    /// The newest certificate of the key in use.
    pub fn certificate(&self) -> Option<&ServerCertificate> {
        let of_active = |certificate: &&ServerCertificate| certificate.pin == self.active.pin;
        self.certificates.iter().rev().find(of_active)
    }

    /// The CA that certifies it: the one that did so last for the key in use or, right after a rotation, for
    /// the one before.
    pub fn certifier(&self) -> Option<Certifier> {
        let newest = self.certificate().or(self.certificates.last());
        newest.map(|certificate| certificate.issuer)
    }

    /// The time until which a retiring key's pin stays in the set.
    pub fn leaves(key: &ServerKey, overlap: Span) -> Time {
        key.since + overlap
    }

    /// The pin set that apps are to hold it to; none where it was removed, and its pins have left.
    pub fn pin_set(&self, now: Time, overlap: Span, expires: Time) -> Option<PinSet> {
        if self.removed.is_some() {
            self.stays_until(now, overlap)?;
        }
        let stays = |(role, key): &(Role, &ServerKey)| match role {
            Role::Active | Role::Backup => true,
            Role::Retiring => now < Self::leaves(key, overlap),
        };
        Some(PinSet {
            host: self.host.clone(),
            include_subdomains: self.include_subdomains,
            expires,
            pins: self
                .keys()
                .filter(stays)
                .map(|(role, key)| Pinned {
                    pin: key.pin,
                    role,
                    since: key.since,
                })
                .collect(),
        })
    }
}

/// How many certificates are remembered of one server: a client that orders without end makes nobody read
/// all that it has.
const REMEMBERED: usize = 100;

/// Takes in a certificate; those that have ended by `now` are forgotten, and the oldest of too many.
fn remember(known: &mut Vec<ServerCertificate>, certificate: ServerCertificate, now: Time) {
    known.retain(|one| !one.validity.ended(now));
    known.push(certificate);
    let too_many = known.len().saturating_sub(REMEMBERED);
    known.drain(..too_many);
}

/// The contents of a server's certificate that will be signed, within policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerDraft {
    /// Never empty.
    hosts: Vec<Host>,
    validity: Validity,
}

impl ServerDraft {
    /// The default life of a server's certificate, in days.
    pub const DAYS: i64 = 90;

    /// Drafts the certificate of `host`, to be made at `now` and signed by `issuer`.
    ///
    /// # Errors
    /// A host that the CAs cannot vouch for, a life out of bounds, or an issuer that expires too soon.
    pub fn new(host: &Host, days: Option<i64>, issuer: &Issuer, now: Time) -> Result<Self, Refusal> {
        Self::of_several(host, &[], days, issuer, now)
    }

    /// The same, of a server that has other names beside `host`.
    ///
    /// # Errors
    /// As [`Self::new`], for each of the names.
    pub fn of_several(
        host: &Host,
        others: &[Host],
        days: Option<i64>,
        issuer: &Issuer,
        now: Time,
    ) -> Result<Self, Refusal> {
        let hosts: Vec<Host> = std::iter::once(host).chain(others).cloned().collect();
        let is_permitted = |host: &&Host| issuer.constraints.iter().all(|all| all.permit_host(host));
        if let Some(host) = hosts.iter().find(|host| !is_permitted(host)) {
            return Err(Refusal::Host(host.clone()));
        }
        let days = days.unwrap_or(Self::DAYS);
        if !(1..=Profile::LIMIT).contains(&days) {
            return Err(Refusal::ServerDays {
                asked: days,
                max: Profile::LIMIT,
            });
        }
        Ok(Self {
            hosts,
            validity: issuer.validity_of(Span::days(days), now)?,
        })
    }

    /// The host that the certificate is for (CN, and the first name of the SAN).
    pub fn host(&self) -> &Host {
        &self.hosts[0]
    }

    /// Every host that the certificate names (SAN), the one that it is for first.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The validity period of the certificate.
    pub fn validity(&self) -> Validity {
        self.validity
    }
}

/// A server's certificate that the servers' CA has signed, as the ledger will have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certified {
    /// The host that it is for.
    pub host: Host,
    /// The other hosts that it names.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub others: Vec<Host>,
    /// The ACME account that ordered it, where one did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<AccountId>,
    /// Its serial number.
    pub serial: Serial,
    /// The pin of its key.
    pub pin: Pin,
    /// The validity period of the certificate.
    #[serde(flatten)]
    pub validity: Validity,
    /// The certificate, DER.
    #[serde(with = "super::encoding::base64")]
    pub certificate: Vec<u8>,
}

impl Certified {
    /// What is remembered of it with its server.
    pub fn known(&self) -> ServerCertificate {
        ServerCertificate {
            serial: self.serial.to_string(),
            pin: self.pin,
            key: None,
            validity: self.validity,
            issuer: Certifier::Own,
        }
    }

    /// Every host that it names, the one that it is for first.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        std::iter::once(&self.host).chain(&self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Time {
        Time::from_unix(1_800_000_000)
    }

    fn server() -> Server {
        let key = |octet| ServerKey::new(Pin([octet; 32]), now(), Origin::Made);
        Server {
            host: "api.acme.example".parse().unwrap(),
            include_subdomains: false,
            active: key(1),
            backup: key(2),
            retiring: Vec::new(),
            dropped: Vec::new(),
            written_otherwise: Vec::new(),
            certificates: Vec::new(),
            removed: None,
            last_removed: None,
        }
    }

    #[test]
    fn a_rotated_key_retires_and_its_pin_leaves_after_the_overlap() {
        let overlap = Span::days(30);
        let mut server = server();
        assert_eq!(server.backup.published, None);
        server.note_published(&[Pin([1; 32]), Pin([2; 32])], now());
        server.note_published(&[Pin([2; 32])], now() + Span::days(9));
        assert_eq!(server.backup.published, Some(now()));
        let later = now() + overlap;
        server.rotate(
            ServerKey::new(Pin([3; 32]), later, Origin::Made),
            OldPin::Retires,
            later,
        );
        assert_eq!(server.backup.published, None);
        let roles = |at| {
            let set = server.pin_set(at, overlap, at + Span::days(365)).unwrap();
            let pins = set.pins.iter().map(|pinned| (pinned.role, pinned.pin.0[0]));
            pins.collect::<Vec<_>>()
        };
        let standing = [(Role::Active, 2), (Role::Backup, 3)];
        assert_eq!(roles(later), [&standing[..], &[(Role::Retiring, 1)]].concat());
        assert_eq!(roles(later + overlap), standing);
    }

    #[test]
    fn the_pin_of_a_key_that_somebody_else_may_have_leaves_at_once() {
        let mut server = server();
        server.rotate(
            ServerKey::new(Pin([3; 32]), now(), Origin::Made),
            OldPin::Dropped,
            now(),
        );
        let set = server.pin_set(now(), Span::days(30), now()).unwrap();
        assert_eq!(set.pins.len(), 2);
        assert!(set.pins.iter().all(|pinned| pinned.pin != Pin([1; 32])));
    }

    #[test]
    fn the_pins_of_a_removed_server_stay_for_the_overlap_or_leave_at_once() {
        let overlap = Span::days(30);
        let set = |server: &Server, at| server.pin_set(at, overlap, at);
        let mut published = server();
        published.note_published(&[Pin([1; 32]), Pin([2; 32])], now());
        let removed = |mut server: Server, old| {
            server.removed = Some((now(), old));
            server
        };
        let retires = removed(published.clone(), OldPin::Retires);
        let last = now() + overlap - Span::seconds(1);
        assert_eq!(set(&retires, last).unwrap().pins.len(), 2);
        assert_eq!(set(&retires, now() + overlap), None);
        assert_eq!(set(&removed(published, OldPin::Dropped), now()), None);
        // No app knows what was never published.
        assert_eq!(set(&removed(server(), OldPin::Retires), now()), None);
        let left: Vec<_> = retires.leaves_behind().iter().map(|key| key.since).collect();
        assert_eq!(left, [now(), now()]);
    }

    #[test]
    fn a_draft_stays_within_the_constraints_and_the_issuer() {
        let issuer = Issuer {
            organization: "Acme Ltd".into(),
            validity: Validity {
                not_before: now(),
                not_after: now() + Span::days(30),
            },
            constraints: vec![super::super::NameConstraints {
                domains: vec!["acme.example".parse().unwrap()],
                ..Default::default()
            }],
        };
        let draft =
            |host: &str, days, at| ServerDraft::new(&host.parse().unwrap(), days, &issuer, now() + at);
        let day = Span::days(1);
        let cut = draft("api.acme.example", None, day).unwrap();
        assert_eq!(cut.validity().not_after, issuer.validity.not_after);
        assert!(matches!(
            draft("api.evil.example", None, day),
            Err(Refusal::Host(_))
        ));
        assert!(matches!(draft("10.0.0.1", None, day), Err(Refusal::Host(_))));
        for days in [0, -1, 399] {
            assert!(matches!(
                draft("api.acme.example", Some(days), day),
                Err(Refusal::ServerDays { .. })
            ));
        }
        assert!(matches!(
            draft("api.acme.example", None, Span::days(24)),
            Err(Refusal::IssuerEnds(_))
        ));
    }
}
