//! Connections: taken in, encrypted where the face has a certificate, bounded in number and time, and closed
//! in peace when the service ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::presented::Presented;
use super::tls::Current;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, from the end of the one before.
const HEAD: Duration = Duration::from_secs(20);
/// The longest head of a request, in octets.
const LONGEST_HEAD: usize = 16 << 10;
/// How long a connection lives at most: whoever does not read what was asked for is not waited for.
const LIFE: Duration = Duration::from_secs(300);
/// How many connections a face has at once; more wait.
const MOST: usize = 8192;

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// One of the addresses that is served.
pub struct Face {
    /// The socket.
    pub listener: TcpListener,
    /// How connections are encrypted; none where they are not. It may be another one tomorrow.
    pub tls: Option<Current>,
    /// What answers.
    pub router: Router,
    /// Turns true when the service ends.
    pub ended: watch::Receiver<bool>,
}

impl Face {
    /// Takes connections until the service ends, and then waits for those that are open.
    pub async fn serve(mut self) {
        let open = Arc::new(Semaphore::new(MOST));
        let all = u32::try_from(MOST).unwrap_or(u32::MAX);
        loop {
            let taken = tokio::select! {
                _ = self.ended.changed() => break,
                taken = take(&self.listener, &open) => taken,
            };
            let Some((stream, peer, permit)) = taken else {
                continue;
            };
            let (tls, router, ended) = (self.tls.clone(), self.router.clone(), self.ended.clone());
            tokio::spawn(async move {
                // The answer to a failed handshake is the alert that was sent.
                let _ = tokio::time::timeout(LIFE, connection(stream, peer, tls, router, ended)).await;
                drop(permit);
            });
        }
        let _ = open.acquire_many(all).await;
    }
}

/// The next connection, once there may be one more. None where the system had none for us: a client that has
/// gone again, or no descriptor left.
async fn take(
    listener: &TcpListener,
    open: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = open.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(_) => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Current>,
    router: Router,
    ended: watch::Receiver<bool>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        None => requests(stream, peer, None, router, ended).await,
        Some(config) => {
            let handshake = TlsAcceptor::from(config.load_full()).accept(stream);
            let stream = tokio::time::timeout(HANDSHAKE, handshake).await??;
            let presented = Presented::in_handshake(stream.get_ref().1);
            requests(stream, peer, presented, router, ended).await
        }
    }
}

/// Answers the requests of one connection.
async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    presented: Option<Presented>,
    router: Router,
    mut ended: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        if let Some(presented) = &presented {
            request.extensions_mut().insert(presented.clone());
        }
        router.clone().oneshot(request.map(Body::new))
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    loop {
        tokio::select! {
            done = connection.as_mut() => return done.map_err(std::io::Error::other),
            _ = ended.changed() => connection.as_mut().graceful_shutdown(),
        }
    }
}

/// Lets the process have as many descriptors as the system lets it: a service has one for each connection.
pub fn raise_limit_of_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is refused, fewer connections are taken at once.
    let _ = setrlimit(Resource::Nofile, limit);
}
