//! Invites many devices, has them all enroll at once, and says how fast that went: by connections to the page
//! of a service, or, for what a service could do at most, as its clerk does it, so many at a time.
//!
//! Usage: enroll HOME PASSPHRASE_FILE COUNT page PORT CERTIFICATE CONNECTIONS
//!        enroll HOME PASSPHRASE_FILE COUNT clerk BATCH

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pki::ca::{Asking, Attempt, ClockPolicy, Desk, Redeeming, Replaces};
use pki::home::Home;
use pki::issuer::Devices;
use pki::key::{Passphrase, SoftwareKey, os_rng};
use pki::model::draft::Holder;
use pki::model::{Authority, Platform, Span, Time};
use pki::x509::request::{self, Request};
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

    /// Enrolls devices without a service: so many in a session, with one sync. Nothing is published.
    fn enroll(self, devices: Vec<Device>, batch: usize) {
        let one = |device: Device| {
            let key = Request::parse(device.csr.as_bytes())
                .unwrap()
                .public_key()
                .clone();
            Attempt::Redeem(Redeeming {
                id: device.id,
                secret: device.secret.into(),
                code: None,
                key,
                from: "127.0.0.0/24".into(),
            })
        };
        let attempts: Vec<Attempt> = devices.into_iter().map(one).collect();
        let mut store = self.desk.home.resident().unwrap();
        let begun = std::time::Instant::now();
        for some in attempts.chunks(batch) {
            let mut session = self.desk.turn(&mut store, ClockPolicy::Strict).unwrap();
            let answers = pki::ca::enroll(&mut session, &self.devices, some).unwrap();
            assert!(answers.iter().all(Result::is_ok));
        }
        let seconds = begun.elapsed().as_secs_f64();
        let per_second = (attempts.len() as f64 / seconds).round();
        println!("{}", serde_json::json!({ "per_second": per_second }));
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
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [home, passphrase, count, by @ ..] = arguments.as_slice() else {
        panic!("usage: enroll HOME PASSPHRASE_FILE COUNT page|clerk ...");
    };
    let office = Office::open(home, passphrase);
    let devices = office.invite(count.parse().unwrap());
    match by {
        ["page", port, certificate, connections] => {
            drop(office);
            let (port, connections) = (port.parse().unwrap(), connections.parse().unwrap());
            enroll_by_page(&devices, port, certificate, connections);
        }
        ["clerk", batch] => office.enroll(devices, batch.parse().unwrap()),
        _ => panic!("usage: page PORT CERTIFICATE CONNECTIONS, or clerk BATCH"),
    }
}
