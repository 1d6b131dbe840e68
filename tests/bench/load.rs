//! Asks a service for the status of certificates, or for what is at a path, by many connections at once, and
//! says how fast it answered.
//!
//! Usage: load ocsp PORT COUNT CONNECTIONS ISSUER SERIALS get|post|nonce
//!        load get PORT COUNT CONNECTIONS PATH [CERTIFICATE...]
//!
//! SERIALS has a serial number a line, which are asked for in turn; with `nonce` each request (a POST) has
//! one.
//! With certificates, PATH is that of a page by TLS. A connection serves for ten requests to a path, and for
//! as many as it takes for the status.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use pki::x509::Certificate;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use sha1::{Digest, Sha1};

mod http;
mod trusting;

/// How many requests to a path a connection serves for.
const REQUESTS: usize = 10;

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap();
    let head: &[u8] = if length < 128 {
        &[tag, length]
    } else {
        &[tag, 0x81, length]
    };
    [head, value].concat()
}

/// The questions for the status of certificates (RFC 6960 §4.1.1).
struct Questions {
    issuer: Vec<u8>,
    serials: Vec<Vec<u8>>,
    way: Way,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Get,
    Post,
    Nonce,
}

impl Questions {
    fn new(issuer: &str, serials: &str, way: &str) -> Self {
        let issuer = Certificate::from_pem(&std::fs::read(issuer).unwrap()).unwrap();
        let sha1 = [6, 5, 0x2B, 14, 3, 2, 26, 5, 0];
        let hashes =
            [issuer.subject(), issuer.public_key().point()].map(|hashed| tlv(4, &Sha1::digest(hashed)));
        let serials = std::fs::read_to_string(serials).unwrap();
        let serials = serials
            .lines()
            .map(|serial| HEXLOWER_PERMISSIVE.decode(serial.as_bytes()).unwrap());
        Self {
            issuer: [tlv(0x30, &sha1), hashes.concat()].concat(),
            serials: serials.collect(),
            way: match way {
                "get" => Way::Get,
                "post" => Way::Post,
                "nonce" => Way::Nonce,
                _ => panic!("get, post or nonce"),
            },
        }
    }

    fn serial(&self, number: usize) -> &[u8] {
        &self.serials[number % self.serials.len()]
    }

    fn nonce(number: usize) -> [u8; 16] {
        (u128::from(std::process::id()) << 64 | number as u128).to_be_bytes()
    }

    fn request(&self, number: usize) -> Vec<u8> {
        let id = tlv(0x30, &[&self.issuer[..], &tlv(2, self.serial(number))].concat());
        let mut asked = tlv(0x30, &tlv(0x30, &id));
        if self.way == Way::Nonce {
            let name = [6, 9, 0x2B, 6, 1, 5, 5, 7, 0x30, 1, 2];
            let nonce = tlv(4, &tlv(4, &Self::nonce(number)));
            asked.extend(tlv(0xA2, &tlv(0x30, &tlv(0x30, &[&name[..], &nonce].concat()))));
        }
        let der = tlv(0x30, &tlv(0x30, &asked));
        if self.way == Way::Get {
            let path = BASE64
                .encode(&der)
                .replace('+', "%2B")
                .replace('/', "%2F")
                .replace('=', "%3D");
            return format!("GET /ocsp/{path} HTTP/1.1\r\nHost: ocsp\r\n\r\n").into_bytes();
        }
        let length = der.len();
        let head = format!(
            "POST /ocsp HTTP/1.1\r\nHost: ocsp\r\nContent-Type: application/ocsp-request\r\nContent-Length: {length}\r\n\r\n"
        );
        [head.as_bytes(), &der].concat()
    }

    /// Whether this is the answer to the request of that number: signed, for its certificate, with its nonce.
    fn is_answer(&self, number: usize, answer: &http::Answer) -> bool {
        let has = |octets: &[u8]| answer.body.windows(octets.len()).any(|part| part == octets);
        let is_successful =
            answer.status == 200 && answer.body.windows(3).take(8).any(|part| part == [0x0A, 1, 0]);
        is_successful && has(self.serial(number)) && (self.way != Way::Nonce || has(&Self::nonce(number)))
    }
}

fn ask_for_status(port: u16, count: usize, connections: usize, questions: &Questions) {
    let worker = || {
        let mut stream: Option<TcpStream> = None;
        move |number: usize| {
            let open = || {
                let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                stream
            };
            let mut current = stream.take().unwrap_or_else(open);
            let answer = http::ask(&mut current, &questions.request(number)).unwrap();
            assert!(
                questions.is_answer(number, &answer),
                "{number}: {}",
                answer.status
            );
            stream = answer.stays_open.then_some(current);
        }
    };
    http::measure(count, connections, worker, Vec::new);
}

/// What a thread saw of a path, each time that it was another thing than the last time.
#[derive(Default)]
struct Changes {
    certificates: AtomicUsize,
    bodies: AtomicUsize,
    failed: AtomicUsize,
}

type Page = StreamOwned<ClientConnection, TcpStream>;

fn connect(port: u16, tls: &Arc<ClientConfig>) -> io::Result<Page> {
    let name = ServerName::try_from(trusting::HOST).unwrap();
    let mut tls = ClientConnection::new(tls.clone(), name).map_err(io::Error::other)?;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(tls, stream))
}

enum Connection {
    Plain(TcpStream),
    Page(Box<Page>),
}

/// What one thread has last seen of a path.
#[derive(Default)]
struct Visitor {
    connection: Option<Connection>,
    asked: usize,
    certificate: Option<Vec<u8>>,
    body: Option<Vec<u8>>,
}

impl Visitor {
    /// Asks once, by a new connection where the one that there is has done its part.
    fn ask(
        &mut self,
        port: u16,
        path: &str,
        tls: Option<&Arc<ClientConfig>>,
        changes: &Changes,
    ) -> io::Result<()> {
        self.asked += 1;
        let mut connection = match (self.connection.take(), tls) {
            (Some(connection), _) => connection,
            (None, None) => Connection::Plain(TcpStream::connect(("127.0.0.1", port))?),
            (None, Some(tls)) => {
                let page = connect(port, tls)?;
                let shown = page.conn.peer_certificates().map(|shown| shown[0].to_vec());
                if self.certificate.is_some() && self.certificate != shown {
                    changes.certificates.fetch_add(1, Ordering::Relaxed);
                }
                self.certificate = shown;
                Connection::Page(Box::new(page))
            }
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", trusting::HOST);
        let answer = match &mut connection {
            Connection::Plain(stream) => http::ask(stream, request.as_bytes())?,
            Connection::Page(stream) => http::ask(stream, request.as_bytes())?,
        };
        if answer.status != 200 {
            return Err(io::Error::other(format!("status {}", answer.status)));
        }
        if self.body.as_ref() != Some(&answer.body) {
            if path.ends_with(".crl") && !matches!(x509_parser::parse_x509_crl(&answer.body), Ok(([], _))) {
                return Err(io::Error::other("a CRL that is not whole"));
            }
            changes
                .bodies
                .fetch_add(usize::from(self.body.is_some()), Ordering::Relaxed);
            self.body = Some(answer.body);
        }
        if !self.asked.is_multiple_of(REQUESTS) {
            self.connection = Some(connection);
        }
        Ok(())
    }
}

fn ask_for_path(port: u16, count: usize, connections: usize, path: &str, certificates: &[&str]) {
    let tls = (!certificates.is_empty()).then(|| trusting::config(certificates));
    let changes = Changes::default();
    let worker = || {
        let mut visitor = Visitor::default();
        let (tls, changes) = (tls.as_ref(), &changes);
        move |_| {
            if let Err(why) = visitor.ask(port, path, tls, changes) {
                eprintln!("{path}: {why}");
                changes.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    http::measure(count, connections, worker, || {
        let number = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        vec![
            ("failed", number(&changes.failed)),
            ("other_certificates", number(&changes.certificates)),
            ("other_bodies", number(&changes.bodies)),
        ]
    });
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [what, port, count, connections, more @ ..] = arguments.as_slice() else {
        panic!("usage: load ocsp|get PORT COUNT CONNECTIONS ...");
    };
    let (port, count, connections) = (
        port.parse().unwrap(),
        count.parse().unwrap(),
        connections.parse().unwrap(),
    );
    match (*what, more) {
        ("ocsp", [issuer, serials, way]) => {
            ask_for_status(port, count, connections, &Questions::new(issuer, serials, way));
        }
        ("get", [path, certificates @ ..]) => ask_for_path(port, count, connections, path, certificates),
        _ => panic!("usage: ocsp ... ISSUER SERIALS get|post|nonce, or get ... PATH [CERTIFICATE...]"),
    }
}
