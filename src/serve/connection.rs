//! Connections: taken in, encrypted where the face has a certificate, bounded in number and time, and closed
//! in peace when the service ends.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::answer::Told;
use super::body;
use super::health::Part;
use super::metrics::{Counted, Gauge};
use super::monitor::Monitor;
use super::presented::Presented;
use super::proxy::{Origin, Proxies};
use super::seats::{Seat, Seats};
use super::tls::Current;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, from the end of the one before.
const HEAD: Duration = Duration::from_secs(20);
/// The longest head of a request, in octets.
const LONGEST_HEAD: usize = 16 << 10;
/// How long a connection lives at most: whoever does not read what was asked for is not waited for.
const LIFE: Duration = Duration::from_secs(300);
/// How long what was answered may take to go out when the service ends.
const LAST: Duration = Duration::from_secs(1);
/// How many connections a face has at once.
const MOST: usize = 8192;
/// How many of them one address has: a company behind one address is many.
const SHARE: usize = MOST / 8;
/// How many faces there are at most.
const FACES: usize = 4;
/// How many descriptors are left for what the service itself opens: files, sockets, the home.
const OWN: usize = 128;

/// One of the addresses that is served.
pub struct Face {
    /// The name by which it is counted.
    pub name: &'static str,
    /// The socket.
    pub listener: TcpListener,
    /// How connections are encrypted; none where they are not. It may be another one tomorrow.
    pub tls: Option<Current>,
    /// What answers.
    pub router: Router,
    /// The proxies that are believed.
    pub proxies: Arc<Proxies>,
    /// What counts connections and requests.
    pub monitor: Arc<Monitor>,
    /// Turns true when the service ends.
    pub ended: watch::Receiver<bool>,
}

impl Face {
    /// Takes connections until the service ends, and then waits for those that are open.
    pub async fn serve(self) {
        let most = most();
        let seats = Seats::new(most, SHARE.min(most / 2));
        let open = Arc::new(Semaphore::new(most));
        let all = u32::try_from(most).unwrap_or(u32::MAX);
        let mut ended = self.ended.clone();
        let face = Arc::new(self);
        loop {
            let taken = tokio::select! {
                _ = ended.changed() => break,
                taken = face.take(&seats, &open) => taken,
            };
            let Some((stream, peer, seat, permit)) = taken else {
                continue;
            };
            let face = face.clone();
            tokio::spawn(async move {
                let _inside = face.monitor.metrics.connections.enter();
                tokio::select! {
                    // The answer to a failed handshake is the alert that was sent.
                    _ = tokio::time::timeout(LIFE, face.connection(stream, peer, &seat)) => {}
                    () = seat.lost() => {}
                }
                drop(permit);
            });
        }
        let _ = open.acquire_many(all).await;
    }

    /// The next connection, with a place, which another one may lose for it. None where the system had none
    /// for us: a client that has gone again, or no descriptor left.
    async fn take(
        &self,
        seats: &Arc<Seats>,
        open: &Arc<Semaphore>,
    ) -> Option<(TcpStream, SocketAddr, Seat, OwnedSemaphorePermit)> {
        match self.listener.accept().await {
            Ok((stream, peer)) => {
                let address = peer.ip();
                let seat = match self.proxies.have(address) {
                    true => seats.take_for_others(address),
                    false => seats.take(address),
                };
                // Whoever has lost a place for it is gone in a moment.
                let permit = open.clone().acquire_owned().await.ok()?;
                Some((stream, peer, seat, permit))
            }
            Err(_) => {
                seats.give_way();
                tokio::time::sleep(Duration::from_millis(50)).await;
                None
            }
        }
    }

    async fn connection(&self, mut stream: TcpStream, peer: SocketAddr, seat: &Seat) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut ended = self.ended.clone();
        let preface = self.proxies.origin(&mut stream, peer);
        // Whoever has not asked for anything yet is not waited for; so below.
        let origin = tokio::select! {
            told = tokio::time::timeout(HANDSHAKE, preface) => told??,
            _ = ended.changed() => return Ok(()),
        };
        if let Origin::Unnamed(proxy) = origin {
            let message = format!(
                "connections from {} begin with a header of the PROXY protocol, and `proxies` does not name that address: nobody is served through it",
                proxy.ip()
            );
            self.monitor.health.troubled(Part::Proxies, false, message);
            return Err(io::ErrorKind::InvalidData.into());
        }
        match &self.tls {
            None => self.requests(stream, origin, seat, None).await,
            Some(config) => {
                let handshake = TlsAcceptor::from(config.load_full()).accept(stream);
                let stream = tokio::select! {
                    shaken = tokio::time::timeout(HANDSHAKE, handshake) => shaken??,
                    _ = ended.changed() => return Ok(()),
                };
                let presented = Presented::in_handshake(stream.get_ref().1);
                self.requests(stream, origin, seat, presented).await
            }
        }
    }

    /// Answers the requests of one connection.
    async fn requests(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        origin: Origin,
        seat: &Seat,
        presented: Option<Presented>,
    ) -> io::Result<()> {
        let under_way = Gauge::default();
        let asked = &under_way;
        let service = service_fn(move |request: Request<Incoming>| {
            let inside = asked.enter();
            let mut request = request.map(Body::new);
            let client = self.proxies.client(origin, request.headers());
            request.extensions_mut().insert(client);
            if let Some(presented) = &presented {
                request.extensions_mut().insert(presented.clone());
            }
            async move {
                let answer = match body::has_one_end(request.headers()) {
                    true => self.router.clone().oneshot(request).await,
                    false => Ok(ambiguous()),
                }?;
                let status = answer.status().as_u16();
                self.monitor.metrics.count(Counted::Request(self.name, status));
                seat.answered();
                drop(inside);
                Ok::<Response, Infallible>(answer)
            }
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(LONGEST_HEAD);
        let mut ended = self.ended.clone();
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            done = connection.as_mut() => return done.map_err(io::Error::other),
            _ = ended.changed() => connection.as_mut().graceful_shutdown(),
        }
        // Whoever has asked is answered; whoever has got no further than a part of a head is not waited for.
        loop {
            tokio::select! {
                done = connection.as_mut() => return done.map_err(io::Error::other),
                () = tokio::time::sleep(LAST) => {
                    if under_way.is_empty() {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// What whoever says twice how long a request is is told. What follows may be a part of it, and is not read.
fn ambiguous() -> Response {
    let told = Told::from(StatusCode::BAD_REQUEST);
    let close = [(header::CONNECTION, HeaderValue::from_static("close"))];
    (close, told).into_response()
}

/// How many connections a face has at once, where the system gives a process few descriptors: they are not to
/// take those by which the home is read and written.
fn most() -> usize {
    use rustix::process::{Resource, getrlimit};
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    (descriptors.saturating_sub(OWN) / FACES).clamp(2, MOST)
}

/// Lets the process have as many descriptors as the system lets it: a service has one for each connection.
pub fn raise_limit_of_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is refused, fewer connections are taken at once.
    let _ = setrlimit(Resource::Nofile, limit);
}
