//! The published lists of the certificates that servers accept, `allowed.map` and `devices.json`: writes
//! them, and reads them back.
//!
//! Lists of many devices are written whole now and then, and what has changed since is in two short lists
//! beside them. Whoever reads both has everything: for a certificate in the short list of devices that entry
//! is the current one, and one that is revoked is in `revoked.map`, whatever another list says.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::file::{Draft, File, Section};
use crate::model::{Address, DeviceKey, Record, Serial, Status, Time};
use crate::store::{Changed, Content, LastLists};

/// The file of the list of accepted certificates, for programs.
pub const DEVICES: &str = "devices.json";
/// The file of the same list in the form that nginx reads.
pub const ALLOWED: &str = "allowed.map";
/// The file of the changes since `devices.json` was written whole.
pub const RECENT_DEVICES: &str = "devices-recent.json";
/// The file of the additions since `allowed.map` was written whole: nginx accepts no line twice.
pub const RECENT_ALLOWED: &str = "allowed-recent.map";
/// The file of the list of revoked certificates.
pub const REVOKED: &str = "revoked.map";

/// The number of certificates up to which all lists are written whole each time, and the most that the short
/// ones ever have.
pub const FEW: usize = 10_000;

/// `allowed.map` and `devices.json`, written certificate by certificate: their records are never in memory
/// together.
#[derive(Debug, Clone)]
pub struct Accepted {
    now: Time,
    certificates: usize,
    allowed: Draft,
    devices: Draft,
}

/// The lists of accepted certificates in a publication.
#[derive(Debug, Clone)]
pub enum AcceptedLists {
    /// All of it, in the whole lists alone.
    Whole(Accepted),
    /// All of it, and that nothing has changed since.
    WholeAndRecent(Accepted),
    /// The changes since the lists were written whole. The whole lists are in every place already.
    Recent(LastLists, Accepted),
}

/// One certificate of `devices.json`, which servers are told to accept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its serial number.
    pub serial: Serial,
    /// The address of the device that it belongs to.
    pub address: Address,
    /// SHA-256 of its SubjectPublicKeyInfo, base64: the SPKI pin.
    #[serde(with = "base64")]
    pub spki_sha256: [u8; 32],
    /// Its public key: base64 of its SubjectPublicKeyInfo. Lists of versions before this one do not have it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spki: Option<DeviceKey>,
    /// SHA-256 of the certificate, base64url (RFC 8705).
    #[serde(rename = "x5t#S256", with = "base64url")]
    pub certificate_sha256: [u8; 32],
    /// The device's first certificate after its last revocation, from which its shared keys follow; where the
    /// home has such keys.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first: Option<Serial>,
    /// The end of the validity period (notAfter), inclusive.
    pub not_after: Time,
    /// `valid` or `superseded`.
    pub status: Status,
}

/// The contents of the lists of a published servers' half.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lists {
    /// The number of the publication that they are of.
    pub number: u64,
    /// The certificates that `devices.json` accepts.
    pub accepted: Vec<Told>,
    /// The certificates that `revoked.map` locks out.
    pub revoked: Vec<Serial>,
}

/// A claim about a certificate in a list that nobody has signed. It is not trusted: whoever may write to the
/// place may have made it up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Claim {
    /// Servers accept it, as this device's.
    Accepted(Serial, Address),
    /// It is locked out.
    Revoked(Serial),
}

impl Told {
    /// Whether key and hash, where both are told, are one key's.
    fn has_the_key_it_says(&self) -> bool {
        let told = |spki: DeviceKey| <[u8; 32]>::from(Sha256::digest(spki.spki())) == self.spki_sha256;
        self.spki.is_none_or(told)
    }
}

/// Parses a published `devices.json`.
pub(super) fn read(octets: &[u8]) -> Option<Vec<Told>> {
    #[derive(Deserialize)]
    struct Devices {
        devices: Vec<Told>,
    }
    let Devices { devices } = serde_json::from_slice(octets).ok()?;
    devices.iter().all(Told::has_the_key_it_says).then_some(devices)
}

/// The serial number in a line of `revoked.map`.
pub fn revoked_serial(line: &str) -> Option<Serial> {
    line.strip_suffix(" 1;")?.parse().ok()
}

/// Serial number and device in a line of `allowed.map`.
pub fn allowed(line: &str) -> Option<(Serial, Address)> {
    let (serial, address) = line.strip_suffix("\";")?.split_once(" \"")?;
    Some((serial.parse().ok()?, address.parse().ok()?))
}

macro_rules! hash_as {
    ($encoding:ident) => {
        use data_encoding::$encoding as ENCODING;
        use serde::{Deserialize, Deserializer, Serializer, de::Error};

        pub fn serialize<S: Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(&ENCODING.encode(hash))
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
            let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
            let octets = ENCODING.decode(text.as_bytes()).map_err(D::Error::custom)?;
            if ENCODING.encode(&octets) != *text {
                return Err(D::Error::custom("padded within"));
            }
            octets
                .try_into()
                .map_err(|_| D::Error::custom("not 32 octets"))
        }
    };
}

/// 32 octets in base64 (RFC 4648 §4).
mod base64 {
    hash_as!(BASE64);
}

/// 32 octets in base64url without padding (RFC 4648 §5).
mod base64url {
    hash_as!(BASE64URL_NOPAD);
}

impl Accepted {
    /// An empty list, for certificates as they are at `now`.
    pub fn new(now: Time) -> Self {
        Self::begun(now, true)
    }

    /// As [`Self::new`], for lists that are only compared with those that stand.
    pub fn compared(now: Time) -> Self {
        Self::begun(now, false)
    }

    fn begun(now: Time, is_kept: bool) -> Self {
        let mut devices = Draft::new(is_kept);
        devices.push("{\"version\":1,\"devices\":[");
        Self {
            now,
            certificates: 0,
            allowed: Draft::new(is_kept),
            devices,
        }
    }

    /// Adds a certificate that has changed since the lists were written whole, where servers are to accept
    /// it.
    pub fn take_changed(&mut self, changed: &Changed, first: Option<Serial>) {
        self.add(&changed.record, first, !changed.is_listed);
    }

    /// Adds a certificate, where servers are to accept it: an undelivered one, whose key is lost, is left
    /// out. They must be added in the order of their serials.
    pub fn take(&mut self, record: &Record, first: Option<Serial>) {
        self.add(record, first, true);
    }

    fn add(&mut self, record: &Record, first: Option<Serial>, is_new: bool) {
        let status = record.status(self.now);
        match status {
            Status::Valid | Status::Superseded => {}
            Status::Undelivered | Status::Revoked | Status::Expired => return,
        }
        if is_new {
            // An address has no character that nginx or JSON would read as more than itself.
            self.allowed
                .push(&format!("{} \"{}\";\n", record.serial, record.address));
        }
        let device = Told {
            serial: record.serial,
            address: record.address.clone(),
            spki_sha256: record.spki_sha256,
            spki: record.key,
            certificate_sha256: record.certificate_sha256,
            first,
            not_after: record.validity.not_after,
            status,
        };
        self.devices
            .push(if self.certificates == 0 { "\n" } else { ",\n" });
        self.certificates += 1;
        self.devices
            .push(&serde_json::to_string(&device).expect("strings have a JSON form"));
    }

    pub(super) fn into_files(mut self, [allowed, devices]: [&'static str; 2]) -> [File; 2] {
        self.devices.push("\n]}\n");
        [self.allowed.into_file(allowed), self.devices.into_file(devices)]
    }
}

impl AcceptedLists {
    /// All certificates in whole lists; with short lists beside them where the whole ones are long, or
    /// servers look for short ones.
    pub fn whole(accepted: Accepted, had_recent: bool) -> Self {
        if had_recent || accepted.certificates > FEW {
            Self::WholeAndRecent(accepted)
        } else {
            Self::Whole(accepted)
        }
    }

    /// Whether whole lists are long, so that later changes are written into short ones; none where the lists
    /// are not whole.
    pub fn is_long(&self) -> Option<bool> {
        match self {
            Self::Whole(accepted) | Self::WholeAndRecent(accepted) => Some(accepted.certificates > FEW),
            Self::Recent(..) => None,
        }
    }

    /// The files of it, in the order in which they are written: a line that moves from a short list into a
    /// whole one is for a moment in neither, and never in both.
    pub(super) fn into_files(self) -> Vec<File> {
        let in_recent = |file: File| file.listed_in(Section::Recent);
        let nothing = |now| Accepted::new(now).into_files([RECENT_ALLOWED, RECENT_DEVICES]);
        match self {
            Self::Whole(accepted) => accepted.into_files([ALLOWED, DEVICES]).into(),
            Self::WholeAndRecent(accepted) => {
                let recent = nothing(accepted.now).map(in_recent);
                [recent, accepted.into_files([ALLOWED, DEVICES])].concat()
            }
            Self::Recent(last, changed) => {
                let recent = changed
                    .into_files([RECENT_ALLOWED, RECENT_DEVICES])
                    .map(in_recent);
                let standing = |path, content: Content| File::standing(path, content.size, content.sha256);
                let whole = [standing(ALLOWED, last.allowed), standing(DEVICES, last.devices)];
                [recent, whole].concat()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::Body;
    use super::*;
    use crate::model::{KnownBy, Reason, Span, State, Validity};

    #[test]
    fn a_list_whose_key_is_not_the_one_of_its_hash_is_damaged() {
        let spki = DeviceKey([7; 64]);
        let told = |spki: Option<DeviceKey>, hash: [u8; 32]| Told {
            serial: Serial::from_random([1; 16]),
            address: "alice/phone".parse().unwrap(),
            spki_sha256: hash,
            spki,
            certificate_sha256: [2; 32],
            first: None,
            not_after: Time::MAX,
            status: Status::Valid,
        };
        let own = Sha256::digest(spki.spki()).into();
        let read_back = |told: &Told| {
            let list = serde_json::json!({ "version": 1, "devices": [told] });
            read(list.to_string().as_bytes())
        };
        for good in [told(Some(spki), own), told(None, [3; 32])] {
            assert_eq!(read_back(&good), Some(vec![good]));
        }
        assert_eq!(read_back(&told(Some(spki), [3; 32])), None);
    }

    #[test]
    fn only_what_is_to_be_accepted_is_told() {
        let now = Time::from_unix(1_800_000_000);
        let record = |number: u8, state, days| Record {
            serial: Serial::from_random([number; 16]),
            address: "alice/phone".parse().unwrap(),
            validity: Validity {
                not_before: now - Span::days(9),
                not_after: now + Span::days(days),
            },
            state,
            known_by: KnownBy::Issuance,
            spki_sha256: [number; 32],
            key: None,
            certificate_sha256: [number; 32],
            seq: 1,
        };
        let (at, reason) = (now, Reason::Lost);
        let told = |records: &[Record]| {
            let [kept, compared] = [Accepted::new(now), Accepted::compared(now)].map(|mut accepted| {
                records.iter().for_each(|record| accepted.take(record, None));
                accepted.into_files([ALLOWED, DEVICES])
            });
            let said = |file: &File| (file.size, file.sha256);
            assert_eq!(kept.each_ref().map(said), compared.each_ref().map(said));
            assert!(compared.iter().all(|file| file.body.is_none()));
            kept.map(|file| {
                let text: Vec<u8> = file
                    .body()
                    .unwrap()
                    .pieces()
                    .flat_map(|p| p.into_owned())
                    .collect();
                let again = File::new(file.path, Body::of(text.clone()));
                assert_eq!(said(&again), said(&file));
                String::from_utf8(text).unwrap()
            })
        };
        let [allowed, devices] = told(&[
            record(1, State::Undelivered, 9),
            record(2, State::Active, 9),
            record(3, State::Active, -1),
            record(4, State::Superseded, 9),
            record(5, State::Revoked { at, reason }, 9),
        ]);
        let serials = [2, 4].map(|number| Serial::from_random([number; 16]).to_string());
        let line = |serial: &String| format!("{serial} \"alice/phone\";\n");
        assert_eq!(allowed, serials.each_ref().map(line).concat());
        let devices: serde_json::Value = serde_json::from_str(&devices).unwrap();
        let listed = devices["devices"].as_array().unwrap();
        assert_eq!(
            listed.iter().map(|d| &d["serial"]).collect::<Vec<_>>(),
            serials.each_ref()
        );
        assert_eq!(listed[1]["status"], "superseded");
        let [allowed, devices] = told(&[]);
        assert_eq!(allowed, "");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&devices).unwrap()["devices"],
            serde_json::json!([])
        );
    }
}
