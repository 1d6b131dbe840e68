//! An https server that does what a test wants.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use p256::elliptic_curve::Generate;
use pkcs8::EncodePrivateKey;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose as Eku, KeyUsagePurpose as Usage, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::forge::{Forge, Holder, params, sha256};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The path, without the slash before it.
    pub path: String,
    /// If-None-Match.
    pub etag: Option<String>,
    /// If-Modified-Since.
    pub since: Option<String>,
}

/// What a server does with a request.
pub enum Answer {
    /// The file of that path, with an ETag, and 304 where it was asked for by it.
    Tagged,
    /// The same without an ETag or a date.
    Plain,
    /// These octets, as they are, and the connection is closed.
    Raw(String),
    /// A header for so many octets, and octets as long as somebody reads.
    Endless(Option<u64>),
    /// A header, and an octet from time to time.
    Drip,
    /// Nothing.
    Silence,
}

/// A server on loopback, for the length of a test.
pub struct HttpsServer {
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

type Behaviour = dyn Fn(&Asked) -> Answer + Send + Sync;

impl HttpsServer {
    /// Serves the directory `source` of a forge, as `behaviour` wants it. `ca.pem` is what its clients must
    /// trust.
    pub fn start(forge: &Forge, behaviour: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with(
            forge,
            SanType::IpAddress("127.0.0.1".parse().unwrap()),
            |_| (),
            behaviour,
        )
    }

    /// As [`Self::start`], with a certificate for another name, or changed in another way.
    pub fn start_with(
        forge: &Forge,
        name: SanType,
        change: impl FnOnce(&mut CertificateParams),
        behaviour: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let config = Arc::new(config(forge, name, change));
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, source) = (asked.clone(), forge.path("source"));
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        // The thread ends with the process of its test.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, log, source, behaviour) =
                    (config.clone(), log.clone(), source.clone(), behaviour.clone());
                std::thread::spawn(move || {
                    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                    while let Some(asked) = request(&mut stream) {
                        log.lock().unwrap().push(asked.clone());
                        let answer = behaviour(&asked);
                        if answered(&mut stream, &asked, answer, &source).is_none() {
                            break;
                        }
                    }
                });
            }
        });
        Self { port, asked }
    }

    /// Its address, to fetch from.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}/", self.port)
    }

    /// What was asked for since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// A server's certificate by a CA of its own, whose certificate goes into `ca.pem`.
fn config(forge: &Forge, name: SanType, change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
    let ca = Holder::root("A CA for servers");
    std::fs::write(forge.path("ca.pem"), ca.certificate.pem()).unwrap();
    let key = p256::SecretKey::generate();
    let mut params = params("127.0.0.1", false, &[Usage::DigitalSignature], &[Eku::ServerAuth]);
    params.subject_alt_names = vec![name];
    change(&mut params);
    let leaf = ca.certify_key(params, &key);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
        key.to_pkcs8_der().unwrap().as_bytes().to_vec(),
    ));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(leaf)], key)
        .unwrap()
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// The next request of a connection; none where it is over.
fn request(stream: &mut Stream) -> Option<Asked> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        if stream.read(&mut octet).ok()? == 0 {
            return None;
        }
        text.push(octet[0]);
    }
    let text = String::from_utf8(text).unwrap();
    let header = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    };
    Some(Asked {
        path: text
            .strip_prefix("GET /")
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned(),
        etag: header("if-none-match"),
        since: header("if-modified-since"),
    })
}

/// Answers a request. None: the connection is to be closed.
fn answered(stream: &mut Stream, asked: &Asked, answer: Answer, source: &std::path::Path) -> Option<()> {
    let mut say = |octets: &[u8]| stream.write_all(octets).and_then(|()| stream.flush()).ok();
    let is_tagged = matches!(answer, Answer::Tagged);
    match answer {
        Answer::Tagged | Answer::Plain => {
            let Ok(octets) = std::fs::read(source.join(&asked.path)) else {
                return say(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            };
            let etag = format!("\"{}\"", &sha256(&octets)[..16]);
            if is_tagged && asked.etag.as_ref() == Some(&etag) {
                return say(format!("HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\n\r\n").as_bytes());
            }
            let tag = if is_tagged {
                format!("ETag: {etag}\r\n")
            } else {
                String::new()
            };
            let length = octets.len();
            say(format!("HTTP/1.1 200 OK\r\n{tag}Content-Length: {length}\r\n\r\n").as_bytes())?;
            say(&octets)
        }
        Answer::Raw(text) => {
            say(text.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
            None
        }
        Answer::Endless(length) => {
            let length = length
                .map(|length| format!("Content-Length: {length}\r\n"))
                .unwrap_or_default();
            say(format!("HTTP/1.1 200 OK\r\n{length}Connection: close\r\n\r\n").as_bytes())?;
            while say(&[b'x'; 1 << 16]).is_some() {}
            None
        }
        Answer::Drip => {
            say(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            while say(b"x").is_some() {
                std::thread::sleep(Duration::from_millis(200));
            }
            None
        }
        Answer::Silence => {
            std::thread::sleep(Duration::from_secs(60));
            None
        }
    }
}
