//! The service: doors by which devices enroll themselves over the network, and renew what they have.
//!
//! Each door (`page`, `est`) reads what comes, checks it, and hands it to the one clerk, who alone changes
//! the home: he takes what waits, decides, signs and records it at once, and answers. Nothing here decides
//! who may have a certificate.

mod acme;
mod answer;
mod body;
mod clerk;
mod connection;
mod door;
mod error;
mod est;
mod form;
#[cfg(test)]
mod fuzz_tests;
mod health;
mod inventory;
mod limits;
mod metrics;
mod monitor;
mod ocsp;
mod outcome;
mod own;
mod pace;
mod page;
mod presented;
mod profile;
mod proxy;
mod request;
mod seats;
mod shared_keys;
mod status;
mod tls;

use std::net::{self, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use error::ServeError;
pub use outcome::Outcome;
pub use own::OwnHost;

use crate::bundle::MobileConfig;
use crate::ca::{AcmeError, CaError, Desk, Published};
use crate::issuer::Devices;
use crate::key::Passphrase;
use crate::model::Clock;
use clerk::{Clerk, Counter};
use connection::Face;
use door::Door;
use form::Form;
use inventory::Inventory;
use limits::Failures;
use monitor::Monitor;
use ocsp::Responder;
use page::Page;
use profile::Slots;
use proxy::Proxies;
use tls::Current;

/// How long connections that are busy at the end may go on.
const DRAIN: Duration = Duration::from_secs(10);

/// What is served, and where.
pub struct Service {
    /// The home, and who works on it.
    pub desk: Desk,
    /// The issuing CA, unlocked; none where nothing is issued on this machine.
    pub devices: Option<Devices>,
    /// What the face of devices needs, where there is to be one.
    pub own: Option<OwnHost>,
    /// Where each face is served.
    pub places: Places,
}

/// Where each face is served; one without a place is not.
#[derive(Debug, Default)]
pub struct Places {
    /// The page.
    pub page: Option<Place>,
    /// The face of devices.
    pub device: Option<Place>,
    /// Status.
    pub status: Option<Place>,
    /// ACME.
    pub acme: Option<AcmePlace>,
}

impl Places {
    /// Whether nothing is to be served.
    pub fn are_none(&self) -> bool {
        self.page.is_none() && self.device.is_none() && self.status.is_none() && self.acme.is_none()
    }
}

/// Where ACME is served, and how servers call it.
#[derive(Debug)]
pub struct AcmePlace {
    /// Where.
    pub place: Place,
    /// The origin that its URLs begin with, such as `https://pki.acme.example`.
    pub origin: String,
}

/// Where a face is served.
#[derive(Debug)]
pub enum Place {
    /// On an address that is free.
    Address(SocketAddr),
    /// On a socket that somebody else listens on already, for this process.
    Socket(net::TcpListener),
}

/// What follows in the place where the service was started: telling, and running the commands of `pki.toml`.
/// The clerk calls it without holding the home's lock.
pub trait Aftermath: Send {
    /// A publication was written. The clerk waits for it: what takes long is for another thread.
    fn published(&mut self, published: Box<Published>, clock: Clock);
    /// A device asked for a certificate.
    fn happened(&mut self, outcome: Outcome);
    /// Something could not be done: what that means, and why.
    fn failed(&mut self, what: &str, why: CaError);
    /// Something will not work before long.
    fn warned(&mut self, message: &str);
}

/// The names of a face.
#[derive(Debug, Clone, Copy)]
struct FaceName {
    /// For people.
    told: &'static str,
    /// For programs.
    counted: &'static str,
}

const PAGE: FaceName = FaceName {
    told: "page",
    counted: "page",
};
const DEVICE: FaceName = FaceName {
    told: "device face",
    counted: "device",
};
const STATUS: FaceName = FaceName {
    told: "status",
    counted: "status",
};

const ACME: FaceName = FaceName {
    told: "ACME face",
    counted: "acme",
};

/// A face that is to be served: where, how it is encrypted, and what answers.
struct Planned {
    name: FaceName,
    place: Place,
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
        let (desk, devices) = (Arc::new(self.desk), self.devices.map(Arc::new));
        let serve = desk.home.config().serve.clone();
        let monitor = Arc::new(Monitor::new(serve.metrics_from.clone(), desk.clock));
        let page_tls = tls::of_page(&serve, &monitor.health)?;
        let faces = Faces {
            desk: desk.clone(),
            monitor: monitor.clone(),
        };
        let mut planned = Vec::new();
        if let Some(place) = self.places.status {
            planned.push(faces.status(place, devices.clone())?);
        }
        let passphrase = self.own.as_ref().map(|own| own.passphrase.clone());
        let mut clerk = Clerk::start(desk.clone(), devices, self.own, monitor.clone(), aftermath)?;
        let gone = clerk.gone();
        // One for both faces: who has failed at one of them has failed. The clerk ends when it is gone.
        let door = Arc::new(Door::new(clerk.counter(), monitor.clone()));
        if let Some(place) = self.places.page {
            planned.insert(0, faces.page(place, door.clone(), page_tls.clone())?);
        }
        if let Some(tls) = clerk.own_tls() {
            if let Some(place) = self.places.device {
                planned.push(faces.device(place, door.clone(), clerk.counter(), tls.devices));
            }
            if let (Some(place), Some(passphrase)) = (self.places.acme, passphrase) {
                planned.push(faces.acme(place, passphrase, clerk.counter(), tls.servers)?);
            }
        }
        drop(door);
        let proxies = Arc::new(Proxies::new(serve.proxies.clone()));
        let told = runtime.block_on(async {
            if let Some(current) = page_tls {
                tokio::spawn(tls::renewed(current, serve, monitor.clone()));
            }
            self::serve(planned, proxies, monitor, listens, is_ready, gone).await
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        clerk.finish();
        told
    }
}

/// What the faces have in common.
struct Faces {
    desk: Arc<Desk>,
    monitor: Arc<Monitor>,
}

impl Faces {
    /// The face for status, which follows the ledger by itself.
    fn status(&self, place: Place, devices: Option<Arc<Devices>>) -> Result<Planned, ServeError> {
        let desk = &self.desk;
        let monitor = self.monitor.clone();
        let inventory = Inventory::of(desk.clone())?;
        Ok(Planned {
            name: STATUS,
            place,
            tls: None,
            router: status::router(Arc::new(status::Shared {
                public: desk.home.path().join("public"),
                files: status::Files::default(),
                responder: Responder::new(devices, inventory, desk.clock, monitor.clone()),
                monitor,
            })),
        })
    }

    fn page(&self, place: Place, door: Arc<Door>, tls: Option<Current>) -> Result<Planned, ServeError> {
        let home = &self.desk.home;
        let chain = home.chain().clone();
        let profile = home.template("mobileconfig.plist", MobileConfig::TEMPLATE);
        Ok(Planned {
            name: PAGE,
            place,
            tls: Some(tls.ok_or(ServeError::NoPageCertificate)?),
            router: page::router(Arc::new(page::Shared {
                page: Page::new(&home.config().serve, &chain.issuer().organization)?,
                chain,
                door,
                monitor: self.monitor.clone(),
                profile: profile.map_err(CaError::from)?,
                slots: Slots::default(),
                form: Form::new(self.desk.clone()),
            })),
        })
    }

    fn acme(
        &self,
        place: AcmePlace,
        passphrase: Arc<Passphrase>,
        counter: Counter,
        tls: Current,
    ) -> Result<Planned, ServeError> {
        let chain = self.desk.home.servers().cloned();
        let chain = chain.ok_or_else(|| CaError::from(AcmeError::NoAuthority))?;
        let shared = acme::Shared::new(place.origin, self.desk.clone(), chain, passphrase, counter)?;
        Ok(Planned {
            name: ACME,
            place: place.place,
            tls: Some(tls),
            router: acme::router(Arc::new(shared), self.monitor.clone()),
        })
    }

    fn device(&self, place: Place, door: Arc<Door>, counter: Counter, tls: Current) -> Planned {
        let chain = self.desk.home.chain().clone();
        Planned {
            name: DEVICE,
            place,
            tls: Some(tls),
            router: est::router(Arc::new(est::Shared {
                organization: chain.issuer().organization.clone(),
                chain,
                door,
                counter,
                vain: Failures::default(),
            })),
        }
    }
}

/// Listens, and serves until the process is told to end. Whoever is served then is answered.
async fn serve(
    faces: Vec<Planned>,
    proxies: Arc<Proxies>,
    monitor: Arc<Monitor>,
    listens: &dyn Fn(&str, SocketAddr),
    is_ready: &dyn Fn(),
    gone: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (end, ended) = watch::channel(false);
    let mut served = Vec::new();
    for planned in faces {
        let face = Face {
            name: planned.name.counted,
            listener: listen(planned.name.told, planned.place, listens).await?,
            tls: planned.tls,
            router: planned.router,
            proxies: proxies.clone(),
            monitor: monitor.clone(),
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
    let drained = async {
        for face in served {
            let _ = face.await;
        }
    };
    let _ = tokio::time::timeout(DRAIN, drained).await;
    told
}

async fn listen(
    face: &'static str,
    place: Place,
    listens: &dyn Fn(&str, SocketAddr),
) -> Result<TcpListener, ServeError> {
    let unusable = |why| ServeError::Socket { face, why };
    let listener = match place {
        Place::Address(address) => {
            let bound = TcpListener::bind(address).await;
            bound.map_err(|why| ServeError::Listen { face, address, why })?
        }
        Place::Socket(socket) => {
            socket.set_nonblocking(true).map_err(unusable)?;
            TcpListener::from_std(socket).map_err(unusable)?
        }
    };
    listens(face, listener.local_addr().map_err(unusable)?);
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
