//! The service: doors by which devices enroll themselves over the network.
//!
//! Each door (`page`) reads what comes, checks it, and hands it to the one clerk, who alone changes the home:
//! he takes what waits, decides, signs and records it at once, and answers. Nothing here decides who may have
//! a certificate.

mod answer;
mod body;
mod clerk;
mod connection;
mod error;
mod limits;
mod page;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

pub use error::ServeError;

use crate::ca::{CaError, Desk, Published};
use crate::home::config::Serve;
use crate::issuer::Devices;
use crate::model::Clock;
use clerk::Clerk;
use limits::Failures;
use page::Page;

/// How long connections that are busy at the end may go on.
const DRAIN: Duration = Duration::from_secs(10);

/// What is served, and where.
pub struct Service {
    /// The home, and who works on it.
    pub desk: Desk,
    /// The issuing CA, unlocked.
    pub devices: Devices,
    /// What `pki.toml` says, with what the command line says otherwise.
    pub serve: Serve,
}

/// What follows in the place where the service was started: telling, and running the commands of `pki.toml`.
/// The clerk calls it without holding the home's lock.
pub trait Aftermath: Send {
    /// A publication was written.
    fn published(&mut self, published: &Published, clock: Clock);
    /// Something could not be done: what that means, and why.
    fn failed(&mut self, what: &str, why: CaError);
}

impl Service {
    /// Serves until the process is told to end (SIGTERM, SIGINT), and what is under way then is finished.
    ///
    /// # Errors
    /// Where it cannot begin: a face has no certificate, an address is taken, the home cannot be read.
    pub fn run(
        self,
        listens: &dyn Fn(&str, SocketAddr),
        aftermath: Box<dyn Aftermath>,
    ) -> Result<(), ServeError> {
        connection::raise_limit_of_files();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(ServeError::Runtime)?;
        let chain = self.desk.home.chain().clone();
        let site = Page::new(&self.serve, &chain.issuer().organization)?;
        let config = tls::of_files(&self.serve)?;
        let clerk = Clerk::start(self.desk, self.devices, aftermath)?;
        let told = runtime.block_on(async {
            let (end, ended) = watch::channel(false);
            let mut faces = Vec::new();
            if let Some(address) = self.serve.page {
                let listener = listen("page", address, listens).await?;
                let config = config.ok_or(ServeError::NoPageCertificate)?;
                let router = page::router(Arc::new(page::Shared {
                    page: site,
                    chain,
                    counter: clerk.counter(),
                    failures: Failures::default(),
                }));
                let face = connection::Face {
                    listener,
                    tls: Some(config),
                    router,
                    ended: ended.clone(),
                };
                faces.push(tokio::spawn(face.serve()));
            }
            if faces.is_empty() {
                return Err(ServeError::NoFace);
            }
            asked_to_end().await.map_err(ServeError::Runtime)?;
            // Whoever is served is answered; nobody else is let in.
            let _ = end.send(true);
            for face in faces {
                let _ = tokio::time::timeout(DRAIN, face).await;
            }
            Ok(())
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        clerk.finish();
        told
    }
}

async fn listen(
    face: &'static str,
    address: SocketAddr,
    listens: &dyn Fn(&str, SocketAddr),
) -> Result<TcpListener, ServeError> {
    let failed = |why| ServeError::Listen { face, address, why };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    listens(face, listener.local_addr().map_err(failed)?);
    Ok(listener)
}

/// Waits for a signal to end.
async fn asked_to_end() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
