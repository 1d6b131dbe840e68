//! The service: doors by which devices enroll themselves over the network, and renew what they have.
//!
//! Each door (`page`, `est`) reads what comes, checks it, and hands it to the one clerk, who alone changes
//! the home: he takes what waits, decides, signs and records it at once, and answers. Nothing here decides
//! who may have a certificate.

mod answer;
mod body;
mod clerk;
mod connection;
mod error;
mod est;
mod inventory;
mod limits;
mod ocsp;
mod own;
mod page;
mod presented;
mod profile;
mod request;
mod status;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use error::ServeError;
pub use own::OwnHost;

use crate::bundle::MobileConfig;
use crate::ca::{CaError, Desk, Published};
use crate::home::config::Serve;
use crate::issuer::{Chain, Devices};
use crate::model::Clock;
use clerk::Clerk;
use connection::Face;
use inventory::Inventory;
use limits::Failures;
use ocsp::Responder;
use page::Page;
use profile::Slots;
use tls::Current;

/// How long connections that are busy at the end may go on.
const DRAIN: Duration = Duration::from_secs(10);

/// What is served, and where.
pub struct Service {
    /// The home, and who works on it.
    pub desk: Desk,
    /// The issuing CA, unlocked.
    pub devices: Devices,
    /// What the face of devices needs, where there is to be one.
    pub own: Option<OwnHost>,
    /// What `pki.toml` says, with what the command line says otherwise.
    pub serve: Serve,
}

/// What follows in the place where the service was started: telling, and running the commands of `pki.toml`.
/// The clerk calls it without holding the home's lock.
pub trait Aftermath: Send {
    /// A publication was written. The clerk waits for it: what takes long is for another thread.
    fn published(&mut self, published: Box<Published>, clock: Clock);
    /// Something could not be done: what that means, and why.
    fn failed(&mut self, what: &str, why: CaError);
}

/// A face that is to be served: its name, its address, how it is encrypted, and what answers.
struct Planned {
    name: &'static str,
    address: SocketAddr,
    tls: Option<Current>,
    router: Router,
}

impl Service {
    /// Serves until the process is told to end (SIGTERM, SIGINT), and what is under way then is finished.
    ///
    /// # Errors
    /// Where it cannot begin: a face has no certificate, an address is taken, the home cannot be read.
    pub fn run(
        self,
        listens: &dyn Fn(&str, SocketAddr),
        is_ready: &dyn Fn(),
        aftermath: Box<dyn Aftermath>,
    ) -> Result<(), ServeError> {
        connection::raise_limit_of_files();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(ServeError::Runtime)?;
        let chain = self.desk.home.chain().clone();
        if self.serve.device.is_some() && self.own.is_none() {
            return Err(ServeError::NoOwnKey);
        }
        let page_tls = tls::of_page(&self.serve)?;
        let profile = self
            .desk
            .home
            .template("mobileconfig.plist", MobileConfig::TEMPLATE)
            .map_err(CaError::from)?;
        let (desk, devices) = (Arc::new(self.desk), Arc::new(self.devices));
        let status = match self.serve.status {
            Some(address) => Some(status_face(address, desk.clone(), devices.clone())?),
            None => None,
        };
        let mut clerk = Clerk::start(desk, devices, self.own, aftermath)?;
        let gone = clerk.gone();
        let renewed = page_tls
            .clone()
            .map(|current| tls::renewed(current, self.serve.clone()));
        let faces = planned(&self.serve, chain, &clerk, page_tls, profile);
        let told = match faces.map(|faces| faces.into_iter().chain(status).collect::<Vec<_>>()) {
            Ok(faces) if faces.is_empty() => Err(ServeError::NoFace),
            Ok(faces) => runtime.block_on(async {
                if let Some(renewed) = renewed {
                    tokio::spawn(renewed);
                }
                serve(faces, listens, is_ready, gone).await
            }),
            Err(error) => Err(error),
        };
        runtime.shutdown_timeout(Duration::from_secs(1));
        clerk.finish();
        told
    }
}

/// The face for status, which follows the ledger by itself.
fn status_face(address: SocketAddr, desk: Arc<Desk>, devices: Arc<Devices>) -> Result<Planned, ServeError> {
    let public = desk.home.path().join("public");
    let clock = desk.clock;
    let responder = Responder::new(devices, Inventory::of(desk)?, clock);
    Ok(Planned {
        name: "status",
        address,
        tls: None,
        router: status::router(Arc::new(status::Shared { public, responder })),
    })
}

/// The faces that have the clerk behind them, as far as they have an address.
fn planned(
    serve: &Serve,
    chain: Chain,
    clerk: &Clerk,
    page_tls: Option<Current>,
    profile: String,
) -> Result<Vec<Planned>, ServeError> {
    let organization = chain.issuer().organization.clone();
    let failures = Arc::new(Failures::default());
    let mut faces = Vec::new();
    if let Some(address) = serve.page {
        faces.push(Planned {
            name: "page",
            address,
            tls: Some(page_tls.ok_or(ServeError::NoPageCertificate)?),
            router: page::router(Arc::new(page::Shared {
                page: Page::new(serve, &organization)?,
                chain: chain.clone(),
                counter: clerk.counter(),
                failures: failures.clone(),
                profile,
                slots: Slots::default(),
            })),
        });
    }
    if let (Some(address), Some(tls)) = (serve.device, clerk.device_tls()) {
        faces.push(Planned {
            name: "device face",
            address,
            tls: Some(tls),
            router: est::router(Arc::new(est::Shared {
                chain,
                organization,
                counter: clerk.counter(),
                failures,
            })),
        });
    }
    Ok(faces)
}

/// Listens, and serves until the process is told to end. Whoever is served then is answered.
async fn serve(
    faces: Vec<Planned>,
    listens: &dyn Fn(&str, SocketAddr),
    is_ready: &dyn Fn(),
    gone: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (end, ended) = watch::channel(false);
    let mut served = Vec::new();
    for planned in faces {
        let face = Face {
            listener: listen(planned.name, planned.address, listens).await?,
            tls: planned.tls,
            router: planned.router,
            ended: ended.clone(),
        };
        served.push(tokio::spawn(face.serve()));
    }
    // The signals are caught before anybody is told that the service may be asked to end.
    let asked = asked_to_end().map_err(ServeError::Runtime)?;
    is_ready();
    let told = tokio::select! {
        () = asked => Ok(()),
        () = gone => Err(ServeError::Stopped),
    };
    let _ = end.send(true);
    for face in served {
        let _ = tokio::time::timeout(DRAIN, face).await;
    }
    told
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

/// Waits for a signal to end. SIGHUP is none: it has the files of the page read again (`tls::renewed`).
fn asked_to_end() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hang_up.recv() => {}
            }
        }
    })
}
