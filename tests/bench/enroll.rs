//! Enrolls many devices by many connections at once, and says how fast that went.
//!
//! Usage: enroll HOME PASSPHRASE_FILE PORT CERTIFICATE COUNT CONNECTIONS

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pki::ca::{Asking, ClockPolicy, Desk, Replaces};
use pki::home::Home;
use pki::issuer::Devices;
use pki::key::{Passphrase, SoftwareKey, os_rng};
use pki::model::draft::Holder;
use pki::model::{Authority, Platform, Span, Time};
use pki::x509::request;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn clock() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time::from_unix(i64::try_from(since.as_secs()).unwrap())
}

/// Invites so many devices, and gives the address and body of a request for each.
fn requests(home: &str, passphrase: &str, count: usize) -> Vec<(String, String)> {
    let home = Home::open(home.as_ref()).unwrap();
    let secret = std::fs::read(passphrase).unwrap();
    let passphrase = Passphrase::from_octets(secret.into()).unwrap();
    let key = SoftwareKey::decrypt(&home.key(Authority::Issuing).unwrap(), &passphrase).unwrap();
    let devices = Devices::open(home.chain().clone(), key, home.config().base_url.clone()).unwrap();
    let profile = home.profile("device").unwrap();
    let desk = Desk {
        home,
        by: "bench".into(),
        holder: "bench".into(),
        patience: Duration::from_secs(30),
        clock,
        goes_on_here: false,
    };
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
    let mut session = desk.session(ClockPolicy::Strict).unwrap();
    let invitations = pki::ca::invite(&mut session, &devices, askings.collect()).unwrap();
    drop(session);
    let one = |invitation: pki::ca::Invitation| {
        let csr = request::create(None, &SoftwareKey::generate(&mut os_rng())).unwrap();
        let body = serde_json::json!({ "secret": invitation.secret.expose(), "csr": csr });
        (invitation.invite.id.to_string(), body.to_string())
    };
    invitations.into_iter().map(one).collect()
}

/// One request on a connection that stays open; the status of the answer.
fn ask(stream: &mut StreamOwned<ClientConnection, TcpStream>, id: &str, body: &str) -> u16 {
    let head = format!(
        "POST /i/{id} HTTP/1.1\r\nHost: api.acme.example\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "the connection was closed");
        answer.extend_from_slice(&piece[..count]);
        let Some(end) = answer.windows(4).position(|part| part == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap()
            .parse()
            .unwrap();
        if answer.len() >= end + 4 + length {
            return head.split(' ').nth(1).unwrap().parse().unwrap();
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [home, passphrase, port, certificate, count, connections] = arguments.as_slice() else {
        panic!("HOME PASSPHRASE_FILE PORT CERTIFICATE COUNT CONNECTIONS");
    };
    let (port, connections): (u16, usize) = (port.parse().unwrap(), connections.parse().unwrap());
    let requests = Arc::new(requests(home, passphrase, count.parse().unwrap()));
    let mut trusted = RootCertStore::empty();
    trusted
        .add(CertificateDer::from_pem_file(certificate).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(trusted)
        .with_no_client_auth();
    let (config, next) = (Arc::new(config), Arc::new(AtomicUsize::new(0)));
    println!("begun");
    let begun = Instant::now();
    let workers: Vec<_> = (0..connections)
        .map(|_| {
            let (requests, config, next) = (requests.clone(), config.clone(), next.clone());
            std::thread::spawn(move || {
                let name = ServerName::try_from("api.acme.example").unwrap();
                let tls = ClientConnection::new(config, name).unwrap();
                let mut stream = StreamOwned::new(tls, TcpStream::connect(("127.0.0.1", port)).unwrap());
                let mut took = Vec::new();
                while let Some((id, body)) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let sent = Instant::now();
                    assert_eq!(ask(&mut stream, id, body), 200, "{id}");
                    took.push(sent.elapsed());
                }
                took
            })
        })
        .collect();
    let mut took: Vec<Duration> = workers
        .into_iter()
        .flat_map(|worker| worker.join().unwrap())
        .collect();
    let seconds = begun.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{{\"enrolled\":{},\"per_second\":{:.0},\"p50_ms\":{:.1},\"p99_ms\":{:.1}}}",
        took.len(),
        took.len() as f64 / seconds,
        at(0.5),
        at(0.99)
    );
}
