//! A phone that speaks TLS by itself: it keeps its connection, and sends whatever octets it likes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::Serving;
use crate::support::HOST;

/// How long an answer may take, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(40);

/// A connection of a phone.
pub struct Phone {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// What was read and is no answer's yet.
    ahead: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The lines of its head but for the date.
    pub head: String,
    pub body: String,
}

fn trusting(certificate: &Path) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut trusted = RootCertStore::empty();
    trusted
        .add(CertificateDer::from_pem_file(certificate).unwrap())
        .unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(trusted)
}

impl Serving {
    /// How a phone meets the page.
    pub fn at_page(&self) -> Arc<ClientConfig> {
        Arc::new(trusting(&self.home.path("server.crt")).with_no_client_auth())
    }

    /// How a device meets its face, with a certificate and a key that need not be that certificate's: of
    /// NAME.pem and NAME.key.
    pub fn at_device_face(&self, shown: Option<(&str, &str)>) -> Arc<ClientConfig> {
        let trusting = trusting(&self.home.path("home/public/ca/root.crt"));
        let Some((certificate, key)) = shown else {
            return Arc::new(trusting.with_no_client_auth());
        };
        let chain = CertificateDer::pem_file_iter(self.home.path(format!("{certificate}.pem")))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let key = PrivateKeyDer::from_pem_file(self.home.path(format!("{key}.key"))).unwrap();
        let key = rustls::crypto::ring::sign::any_ecdsa_type(&key).unwrap();
        let shown = rustls::sign::SingleCertAndKey::from(CertifiedKey::new(chain, key));
        Arc::new(trusting.with_client_cert_resolver(Arc::new(shown)))
    }
}

impl Phone {
    /// Connects, and shakes hands.
    pub fn connect(config: &Arc<ClientConfig>, port: u16) -> io::Result<Self> {
        let tcp = TcpStream::connect(("127.0.0.1", port))?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(HOST).unwrap();
        let tls = ClientConnection::new(config.clone(), name).unwrap();
        let mut stream = StreamOwned::new(tls, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self {
            stream,
            ahead: Vec::new(),
        })
    }

    pub fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets)?;
        self.stream.flush()
    }

    /// Says that nothing more comes, and goes on listening.
    pub fn hang_up(&mut self) {
        self.stream.conn.send_close_notify();
        // The service may have closed first.
        let _ = self.stream.flush();
        let _ = self.stream.sock.shutdown(std::net::Shutdown::Write);
    }

    /// The next answer on the connection.
    pub fn answer(&mut self) -> io::Result<Answer> {
        loop {
            if let Some((answer, length)) = parsed(&self.ahead) {
                self.ahead.drain(..length);
                return Ok(answer);
            }
            if self.more()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Every answer until the service closes the connection, which it must.
    pub fn answers(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        loop {
            match self.answer() {
                Ok(answer) => answers.push(answer),
                Err(why) if matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    panic!("the connection is still open after {answers:?}")
                }
                Err(_) => return answers,
            }
        }
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut piece = [0; 8192];
        let count = self.stream.read(&mut piece)?;
        self.ahead.extend_from_slice(&piece[..count]);
        Ok(count)
    }

    /// Asks by POST, and waits for the answer.
    pub fn post(&mut self, path: &str, media_type: &str, body: &str) -> io::Result<Answer> {
        self.send(post(path, media_type, body).as_bytes())?;
        self.answer()
    }
}

/// A request by POST.
pub fn post(path: &str, media_type: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The first answer of these octets, once it is whole, and its length.
fn parsed(octets: &[u8]) -> Option<(Answer, usize)> {
    let end = octets.windows(4).position(|part| part == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&octets[..end]).unwrap();
    let mut lines = head.trim_end().lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let head: Vec<&str> = lines.filter(|line| !line.starts_with("date:")).collect();
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    let body = octets.get(end..end + length)?;
    let answer = Answer {
        status,
        head: head.join("\n"),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    Some((answer, end + length))
}
