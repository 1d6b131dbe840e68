//! A TLS client that acts as a phone: it connects with a certificate or without one, sends a request, and
//! reports whether it was let in.

pub mod alert;
pub mod certificate;
pub mod http;
pub mod http2;
pub mod parallel;
pub mod request;
pub mod session;
pub mod url;
pub mod version;
pub mod ways;
pub mod wire;
pub mod witness;

use std::io;
use std::sync::{Arc, Mutex};

use rustls::client::{ClientSessionMemoryCache, ResolvesClientCert, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, SignatureScheme, StreamOwned};

use http::{Extent, Kept, Sample};
use request::Request;
use session::AnyNames;
use version::Version;
use ways::{Inside, Name, Way};
use wire::{Server, Wire};
use witness::{Shown, Signatures, Witness};

/// The credentials of a client: its certificate, the certificates above it, and its key.
#[derive(Debug, Clone)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// Makes an identity from a chain in DER, the client's own certificate first, and the client's key.
    ///
    /// # Errors
    /// A key that cannot be used, or is not the certificate's.
    pub fn new(chain: Vec<Vec<u8>>, key: PrivateKeyDer<'static>) -> Result<Self, rustls::Error> {
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map(|key| Self(Arc::new(key)))
    }

    /// The client's own certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        self.0
            .cert
            .first()
            .map_or(&[], |certificate| certificate.as_ref())
    }
}

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered with this status, and the client is let in.
    LetIn(u16),
    /// The client was refused.
    Refused(Refusal),
    /// The outcome is not known, for this reason.
    Unknown(String),
}

/// The way in which a client is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// By an HTTP status that says so.
    Status(u16),
    /// By an alert of TLS.
    Alert(String),
    /// The connection was closed without a word.
    Closed,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "HTTP {status}"),
            Self::Alert(alert) => write!(f, "TLS alert {alert}"),
            Self::Closed => f.write_str("connection closed"),
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LetIn(status) => write!(f, "let in (HTTP {status})"),
            Self::Refused(how) => write!(f, "refused ({how})"),
            Self::Unknown(why) => write!(f, "cannot be said: {why}"),
        }
    }
}

/// The statuses that turn a client away: bad request (nginx's for its own 495 and 496), unauthorized,
/// forbidden, and nginx's words for a bad certificate and none; and a host that this connection is not for.
const TURNED_AWAY: [u16; 6] = [400, 401, 403, 421, 495, 496];

impl Outcome {
    /// The outcome that follows from an answer.
    pub fn of(answer: Result<u16, &io::Error>) -> Self {
        match answer {
            Ok(status) if TURNED_AWAY.contains(&status) => Self::Refused(Refusal::Status(status)),
            Ok(status) => Self::LetIn(status),
            Err(error) => Self::failed(error),
        }
    }

    /// The outcome that follows from a failed handshake or request: a server that rejects a certificate says
    /// so by an alert, or just closes the connection.
    pub fn failed(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(description)) = tls {
            let alert = alert::meaning(u8::from(*description));
            return Self::Refused(Refusal::Alert(alert.into()));
        }
        let closed = [
            Kind::UnexpectedEof,
            Kind::ConnectionReset,
            Kind::ConnectionAborted,
            Kind::BrokenPipe,
        ];
        if tls.is_none() && closed.contains(&error.kind()) {
            return Self::Refused(Refusal::Closed);
        }
        Self::Unknown(error.to_string())
    }
}

/// Whether a client comes back with its last session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// Every handshake is a full one.
    Fresh,
    /// It resumes what it has, as phones do.
    Kept,
}

/// A TLS client that sends HTTP requests.
#[derive(Debug, Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    witness: Arc<Witness>,
    wallet: Arc<Wallet>,
    /// Which host it asks for in the handshake, where that is not the server's.
    name: Option<ServerName<'static>>,
    /// What it got by another name than the server's.
    sessions: Option<Arc<AnyNames>>,
}

impl Client {
    /// A client of these versions. With the certificates of earlier connections it talks only to a server
    /// that holds the key of one of them.
    pub fn new(
        versions: &[Version],
        identity: Option<&Identity>,
        leaves: Option<&[Vec<u8>]>,
        sessions: Sessions,
    ) -> Self {
        let mut client = Self::of(versions, identity, leaves, Signatures::Verifiable);
        if sessions == Sessions::Kept {
            let config = Arc::make_mut(&mut client.config);
            config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(32)));
        }
        client
    }

    /// A client that comes by one way. Under a name that is not the server's, another server with another
    /// certificate may answer.
    pub fn by(way: Way, identity: Option<&Identity>, leaves: &[Vec<u8>]) -> Self {
        let leaves = (way.name == Name::Right).then_some(leaves);
        let mut client = Self::of(&[way.version], identity, leaves, Signatures::Verifiable);
        let config = Arc::make_mut(&mut client.config);
        config.alpn_protocols = way.inside.protocols();
        if way.name.returning().is_some() {
            let sessions = Arc::new(AnyNames::new());
            config.resumption = Resumption::store(Arc::clone(&sessions) as _);
            client.sessions = Some(sessions);
        }
        match way.name {
            Name::Right | Name::RightAfterNone | Name::RightAfterForeign => {}
            Name::None => config.enable_sni = false,
            Name::Foreign => client.name = ServerName::try_from(Name::NOBODYS).ok(),
        }
        client
    }

    /// The same client, coming back by the server's own name with the session that it got by another. To be
    /// trusted only where that session is resumed: no certificate of that name was shown.
    pub fn returning(&self) -> Option<Self> {
        let has_any = self.sessions.as_ref().is_some_and(|sessions| sessions.has_any());
        has_any.then(|| {
            let mut client = self.clone();
            Arc::make_mut(&mut client.config).enable_sni = true;
            client.name = None;
            client
        })
    }

    /// The same client, speaking this protocol inside TLS.
    pub fn speaking(mut self, inside: Inside) -> Self {
        Arc::make_mut(&mut self.config).alpn_protocols = inside.protocols();
        self
    }

    /// A client that only looks at the server, and accepts whatever certificate it is shown.
    pub fn onlooker(version: Version, signatures: Signatures) -> Self {
        Self::of(&[version], None, None, signatures)
    }

    fn of(
        versions: &[Version],
        identity: Option<&Identity>,
        leaves: Option<&[Vec<u8>]>,
        signatures: Signatures,
    ) -> Self {
        let provider = Arc::new(ring::default_provider());
        let witness = Arc::new(Witness::new(Arc::clone(&provider), leaves, signatures));
        let wallet = Arc::new(Wallet {
            identity: identity.cloned(),
            asked: Mutex::default(),
        });
        let versions: Vec<_> = [
            (Version::Tls12, &rustls::version::TLS12),
            (Version::Tls13, &rustls::version::TLS13),
        ]
        .into_iter()
        .filter_map(|(version, spoken)| versions.contains(&version).then_some(spoken))
        .collect();
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .expect("each version has its suites in the provider of the library")
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&witness) as _)
            .with_client_cert_resolver(Arc::clone(&wallet) as _);
        config.alpn_protocols = Inside::Http11.protocols();
        config.resumption = Resumption::disabled();
        Self {
            config: Arc::new(config),
            witness,
            wallet,
            name: None,
            sessions: None,
        }
    }

    /// A new connection, its handshake done as far as the client can tell: with TLS 1.3 a server says
    /// afterwards that it dislikes a certificate.
    ///
    /// # Errors
    /// Where the handshake fails.
    pub fn connect(&self, server: &Server) -> io::Result<Connection> {
        let name = self.name.clone().unwrap_or_else(|| server.url.name().clone());
        let tls = ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, server.connect()?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Connection { stream, requests: 0 })
    }

    /// Connects, asks once, and says how that was met.
    pub fn ask(&self, server: &Server) -> Outcome {
        match self.connect(server) {
            Ok(mut connection) => connection.ask_once(server),
            Err(error) => Outcome::failed(&error),
        }
    }

    /// The configuration of the TLS client.
    pub fn config(&self) -> ClientConfig {
        (*self.config).clone()
    }

    /// The certificates that the server showed in the last handshake, whether or not it proved that it holds
    /// the key.
    pub fn shown(&self) -> Option<Shown> {
        self.witness.shown()
    }

    /// Whether a server has asked for a certificate.
    pub fn was_asked(&self) -> bool {
        self.wallet.asked.lock().is_ok_and(|asked| *asked)
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: StreamOwned<ClientConnection, Wire>,
    /// How often it was asked.
    requests: u32,
}

/// The outcome of a request on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The outcome of the request.
    pub outcome: Outcome,
    /// Whether the connection can be asked again.
    pub kept: Kept,
}

impl Connection {
    /// Asks for what the URL names, and reads the answer to its end.
    pub fn ask(&mut self, server: &Server) -> Asked {
        let answer = self.exchange(&Request::usual(&server.url), Extent::Whole);
        Asked {
            kept: answer.as_ref().map_or(Kept::Closed, |(_, kept)| *kept),
            outcome: Outcome::of(answer.as_ref().map(|(sample, _)| sample.status)),
        }
    }

    /// Asks for what the URL names, and does not wait for the end of the answer.
    pub fn ask_once(&mut self, server: &Server) -> Outcome {
        let answer = self.exchange(&Request::usual(&server.url), Extent::Head);
        Outcome::of(answer.as_ref().map(|(sample, _)| sample.status))
    }

    /// Asks for what the URL names, and takes a sample of the answer.
    ///
    /// # Errors
    /// Where the connection fails, or what comes is no HTTP.
    pub fn sample(&mut self, server: &Server) -> io::Result<Sample> {
        let answer = self.exchange(&Request::usual(&server.url), Extent::Beginning);
        answer.map(|(sample, _)| sample)
    }

    /// Asks by the protocol that was agreed upon. Of HTTP/2 an answer is never read further than for a
    /// sample, which leaves the connection open.
    ///
    /// # Errors
    /// Where the connection fails, or what comes is no HTTP.
    pub fn exchange(&mut self, request: &Request, extent: Extent) -> io::Result<(Sample, Kept)> {
        self.stream.sock.again();
        let before = self.requests;
        self.requests += 1;
        if self.speaks_http2() {
            http2::ask(&mut self.stream, request, before)
        } else {
            http::ask(&mut self.stream, request, extent)
        }
    }

    /// Whether HTTP/2 was agreed upon.
    pub fn speaks_http2(&self) -> bool {
        self.stream.conn.alpn_protocol() == Some(b"h2")
    }

    /// Whether it resumed an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

/// Gives the identity to whoever asks, and remembers that somebody did.
#[derive(Debug)]
struct Wallet {
    identity: Option<Identity>,
    asked: Mutex<bool>,
}

impl ResolvesClientCert for Wallet {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        if let Ok(mut asked) = self.asked.lock() {
            *asked = true;
        }
        self.identity.as_ref().map(|identity| Arc::clone(&identity.0))
    }

    fn has_certs(&self) -> bool {
        self.identity.is_some()
    }
}
