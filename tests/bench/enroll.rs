//! Invites many devices, has them all enroll at once by connections to the page of a service, and says how
//! fast that went.
//!
//! Usage: enroll HOME PASSPHRASE_FILE COUNT PORT CERTIFICATE CONNECTIONS

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pki::ca::{Asking, ClockPolicy, Desk, Replaces};
use pki::home::Home;
use pki::issuer::Devices;
use pki::key::{Passphrase, SoftwareKey, os_rng};
use pki::model::draft::Holder;
use pki::model::{Authority, Platform, Span, Time};
use pki::x509::request;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

mod http;
mod trusting;

fn clock() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time::from_unix(i64::try_from(since.as_secs()).unwrap())
}

/// A device that may enroll: its invite, the secret of it, and a request for its key.
struct Device {
    id: String,
    secret: String,
    csr: String,
}

/// A home, and what its CA signs with.
struct Office {
    desk: Desk,
    devices: Devices,
}

impl Office {
    fn open(home: &str, passphrase: &str) -> Self {
        let home = Home::open(home.as_ref()).unwrap();
        let secret = std::fs::read(passphrase).unwrap();
        let passphrase = Passphrase::from_octets(secret.into()).unwrap();
        let key = SoftwareKey::decrypt(&home.key(Authority::Issuing).unwrap(), &passphrase).unwrap();
        let devices = Devices::open(home.chain().clone(), key, home.config().base_url.clone()).unwrap();
        let desk = Desk {
            home,
            by: "bench".into(),
            holder: "bench".into(),
            patience: Duration::from_secs(30),
            clock,
            goes_on_here: false,
            reconciles: false,
        };
        Self { desk, devices }
    }

    fn invite(&self, count: usize) -> Vec<Device> {
        let profile = self.desk.home.profile("device").unwrap();
        let begun = std::process::id();
        let askings = (0..count).map(|n| Asking {
            holder: Holder {
                address: format!("load{begun}-{n}/phone").parse().unwrap(),
                name: None,
                email: None,
                platform: Platform::Any,
            },
            days: None,
            profile: profile.clone(),
            open_for: Span::days(1),
            with_code: false,
            with_approval: false,
            replaces: Replaces::Nothing,
        });
        let mut session = self.desk.session(ClockPolicy::Strict).unwrap();
        let invitations = pki::ca::invite(&mut session, &self.devices, askings.collect()).unwrap();
        drop(session);
        let one = |invitation: pki::ca::Invitation| Device {
            id: invitation.invite.id.to_string(),
            secret: invitation.secret.expose().to_owned(),
            csr: request::create(None, &SoftwareKey::generate(&mut os_rng())).unwrap(),
        };
        invitations.into_iter().map(one).collect()
    }
}

/// Has devices enroll by the page at this port.
fn enroll_by_page(devices: &[Device], port: u16, certificate: &str, connections: usize) {
    let config = trusting::config(&[certificate]);
    let worker = || {
        let name = ServerName::try_from(trusting::HOST).unwrap();
        let tls = ClientConnection::new(config.clone(), name).unwrap();
        let mut stream = StreamOwned::new(tls, TcpStream::connect(("127.0.0.1", port)).unwrap());
        move |number: usize| {
            let device = &devices[number];
            let body = serde_json::json!({ "secret": device.secret, "csr": device.csr }).to_string();
            let request = format!(
                "POST /i/{} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                device.id,
                trusting::HOST,
                body.len()
            );
            let answer = http::ask(&mut stream, request.as_bytes()).unwrap();
            let is_granted = answer.status == 200 && answer.body.starts_with(b"-----BEGIN CERTIFICATE");
            assert!(
                is_granted && answer.stays_open,
                "{}: {}",
                device.id,
                answer.status
            );
        }
    };
    println!("begun");
    http::measure(devices.len(), connections, worker, Vec::new);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [home, passphrase, count, port, certificate, connections] = arguments.as_slice() else {
        panic!("usage: enroll HOME PASSPHRASE_FILE COUNT PORT CERTIFICATE CONNECTIONS");
    };
    let devices = Office::open(home, passphrase).invite(count.parse().unwrap());
    let (port, connections) = (port.parse().unwrap(), connections.parse().unwrap());
    enroll_by_page(&devices, port, certificate, connections);
}
