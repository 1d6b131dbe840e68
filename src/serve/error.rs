//! The reasons for which the service cannot begin.

use std::io;
use std::net::SocketAddr;

use crate::ca::CaError;
use crate::disk::Shown;
use crate::model::Host;
use crate::model::fault::{Fault, Kind};

/// The reason for which the service cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No face has an address.
    #[error("nothing is to be served: no face has an address")]
    NoFace,
    /// `pki.toml` does not say by which name phones reach the page.
    #[error("pki.toml does not say where phones reach the page")]
    NoHost,
    /// The page has no certificate.
    #[error("the page has no certificate")]
    NoPageCertificate,
    /// `pki.toml` does not say by which name devices reach the service.
    #[error("pki.toml does not say by which name devices reach the service")]
    NoDeviceHost,
    /// `pki.toml` does not say by which name servers reach the service.
    #[error("pki.toml does not say by which name servers reach the service")]
    NoAcmeHost,
    /// Servers alone were to be served, without a key.
    #[error("nothing is to be served: ACME needs the key of the servers' CA, which --no-issue leaves closed")]
    AcmeWithoutKey,
    /// Devices and servers would know the service by different names.
    #[error("the service has one name of its own, and pki.toml has {0} for devices and {1} for servers")]
    TwoHosts(Host, Host),
    /// The service has no certificate for devices, because no server of this PKI has one.
    #[error(
        "the service has no certificate to show to devices as {host}: the servers' CA is not founded yet"
    )]
    NoServersCa {
        /// The name by which devices reach it.
        host: Host,
        /// Whether it is a server of the home.
        is_known: bool,
    },
    /// A socket that was handed over is for no face.
    #[error("the socket {0} that the service was started with is for none of its faces")]
    ForeignSocket(String),
    /// A socket cannot be used.
    #[error("the {face} cannot use its socket: {why}")]
    Socket {
        /// The face.
        face: &'static str,
        /// What the system says.
        why: io::Error,
    },
    /// The certificate or key of the page cannot be used.
    #[error("{path}: {why}")]
    PageCertificate {
        /// The file.
        path: Shown,
        /// The reason.
        why: String,
    },
    /// An address cannot be listened on.
    #[error("the {face} cannot listen on {address}: {why}")]
    Listen {
        /// The face.
        face: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        why: io::Error,
    },
    /// The system starts no threads, or hands on no signals.
    #[error("the service cannot start: {0}")]
    Runtime(io::Error),
    /// The thread that changes the home has stopped.
    #[error("the service stopped: what it said before is a bug")]
    Stopped,
    /// The home cannot be read.
    #[error(transparent)]
    Home(#[from] CaError),
}

impl Fault for ServeError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::NoFace
            | Self::NoHost
            | Self::NoPageCertificate
            | Self::NoDeviceHost
            | Self::TwoHosts(..)
            | Self::NoAcmeHost
            | Self::AcmeWithoutKey
            | Self::NoServersCa { .. } => (Kind::BadRequest, "not-configured"),
            Self::ForeignSocket(_) | Self::Socket { .. } => (Kind::BadRequest, "socket"),
            Self::PageCertificate { .. } => (Kind::Storage, "page-certificate"),
            Self::Listen { .. } => (Kind::Conflict, "address"),
            Self::Runtime(_) => (Kind::Busy, "threads"),
            Self::Stopped => (Kind::Bug, "stopped"),
            Self::Home(error) => error.kind_and_code(),
        }
    }
}
