//! The certificates that servers accept, as they are told.

use std::fmt::Write;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::Serialize;

use super::file::Body;
use crate::model::{Address, Record, Serial, Status, Time};

/// `allowed.map` and `devices.json`, written certificate by certificate: their records are never in memory together.
#[derive(Debug, Clone)]
pub struct Accepted {
    now: Time,
    allowed: String,
    devices: String,
}

/// One line of `devices.json`.
#[derive(Serialize)]
struct Device<'a> {
    serial: Serial,
    address: &'a Address,
    spki_sha256: String,
    #[serde(rename = "x5t#S256")]
    x5t_s256: String,
    not_after: Time,
    status: Status,
}

impl Accepted {
    /// Nothing is accepted yet.
    pub fn new(now: Time) -> Self {
        Self {
            now,
            allowed: String::new(),
            devices: String::from("{\"version\":1,\"devices\":["),
        }
    }

    /// One more certificate, where servers are to accept it: an undelivered one is nobody's. They come in the order of their serials.
    pub fn take(&mut self, record: &Record) {
        let status = record.status(self.now);
        match status {
            Status::Valid | Status::Superseded => {}
            Status::Undelivered | Status::Revoked | Status::Expired => return,
        }
        let first = self.allowed.is_empty();
        // An address has no character that nginx or JSON would read as more than itself.
        writeln!(self.allowed, "{} \"{}\";", record.serial, record.address).expect("a string takes any text");
        let device = Device {
            serial: record.serial,
            address: &record.address,
            spki_sha256: BASE64.encode(&record.spki_sha256),
            x5t_s256: BASE64URL_NOPAD.encode(&record.certificate_sha256),
            not_after: record.validity.not_after,
            status,
        };
        self.devices.push_str(if first { "\n" } else { ",\n" });
        self.devices
            .push_str(&serde_json::to_string(&device).expect("strings have a JSON form"));
    }

    pub(super) fn into_bodies(mut self) -> (Body, Body) {
        self.devices.push_str("\n]}\n");
        (
            Body::of(self.allowed.into_bytes()),
            Body::of(self.devices.into_bytes()),
        )
    }
}
