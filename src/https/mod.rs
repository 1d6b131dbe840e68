//! https clients: the certificates that they trust, their timeouts, and their errors where a server cannot be
//! reached.

#[cfg(test)]
mod fuzz_tests;
mod resolve;
mod trouble;

pub use resolve::{InvalidResolve, Resolve};
pub use trouble::Trouble;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::config::ConfigBuilder;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;

use crate::disk::{self, DiskError, Shown};
use crate::model::{Contents, Kind};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(10);
/// The longest file of trusted certificates that is read.
const LONGEST_STORE: u64 = 4 << 20;

/// The reasons for which the trusted certificates of an https client cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum NoTrust {
    /// The file that was named could not be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file that was named has no certificate that can be used, or holds a private key.
    #[error("no certificate to trust: {path}: {why}")]
    File {
        /// The path of the file.
        path: Shown,
        /// The reason why it cannot be used.
        why: String,
        /// Its contents.
        contents: Box<Contents>,
    },
    /// The system has no trusted certificates.
    #[error("no certificate to trust: {0}")]
    System(String),
}

/// The configuration of a client that follows no redirect and takes no status for an error. It trusts the
/// certificates in the file `ca`, or those that the system trusts.
///
/// # Errors
/// Where there are no trusted certificates.
pub fn client(ca: Option<&Path>) -> Result<ConfigBuilder<AgentScope>, NoTrust> {
    configured(ca, None)
}

fn configured(ca: Option<&Path>, identity: Option<ClientCert>) -> Result<ConfigBuilder<AgentScope>, NoTrust> {
    let trusted = match ca {
        Some(path) => private(path)?,
        None => systems()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&trusted))
        .client_cert(identity)
        .unversioned_rustls_crypto_provider(provider)
        .build();
    Ok(plain_client().tls_config(tls))
}

/// A certificate with its key, by which a client is known to a server.
#[derive(Debug)]
pub struct Identity(ClientCert);

impl Identity {
    /// A chain, each certificate in DER and the client's own first, and its private key, PEM. None where
    /// there is no key in the text. That both belong together is for the caller to know.
    pub fn new(chain: &[&[u8]], key: &str) -> Option<Self> {
        let own = chain.iter().map(|der| Certificate::from_der(der).to_owned());
        let key = PrivateKey::from_pem(key.as_bytes()).ok()?;
        Some(Self(ClientCert::new_with_certs(&own.collect::<Vec<_>>(), key)))
    }
}

/// An https client that can explain why a server cannot be reached.
#[derive(Debug)]
pub struct Client {
    /// The agent that makes requests.
    pub agent: ureq::Agent,
    ca: Option<PathBuf>,
    told: Vec<Resolve>,
}

impl Client {
    /// An https client as [`client`] configures it, with addresses that the name service is not asked for.
    ///
    /// # Errors
    /// Where there are no trusted certificates.
    pub fn new(ca: Option<&Path>, told: &[Resolve]) -> Result<Self, NoTrust> {
        Self::showing(ca, told, None)
    }

    /// As [`Self::new`], for a server that is shown a certificate, once it is trusted.
    ///
    /// # Errors
    /// Where there are no trusted certificates.
    pub fn with_identity(ca: &Path, told: &[Resolve], identity: Identity) -> Result<Self, NoTrust> {
        Self::showing(Some(ca), told, Some(identity.0))
    }

    fn showing(ca: Option<&Path>, told: &[Resolve], identity: Option<ClientCert>) -> Result<Self, NoTrust> {
        let names = resolve::Names {
            told: told.to_vec(),
            service: DefaultResolver::default(),
        };
        let config = configured(ca, identity)?.https_only(true).build();
        Ok(Self {
            agent: ureq::Agent::with_parts(config, DefaultConnector::default(), names),
            ca: ca.map(Path::to_owned),
            told: told.to_vec(),
        })
    }
}

/// The configuration of a client as [`client`], for a server on this machine that is not asked by https.
pub fn plain_client() -> ConfigBuilder<AgentScope> {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(SILENCE))
        .timeout_recv_response(Some(SILENCE))
        .user_agent(concat!("pki/", env!("CARGO_PKG_VERSION")))
}

/// Whether an error is that the server was too slow.
pub fn is_timeout(error: &ureq::Error) -> bool {
    let by_the_system = |io: &std::io::Error| io.kind() == std::io::ErrorKind::TimedOut;
    matches!(error, ureq::Error::Timeout(_)) || matches!(error, ureq::Error::Io(io) if by_the_system(io))
}

/// Unix seconds of an IMF-fixdate (RFC 9110 §5.6.7). The obsolete formats of that section are not read.
pub fn seconds(date: &str) -> Option<i64> {
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(date)
        .ok()?;
    Some(date.as_second())
}

/// The certificates of a file.
fn private(path: &Path) -> Result<Vec<Certificate<'static>>, NoTrust> {
    let contents = Contents::of(&disk::read_given(path, LONGEST_STORE)?);
    let no_trust = |why: &dyn std::fmt::Display| NoTrust::File {
        path: Shown(path.to_owned()),
        why: format!("it {why}"),
        contents: Box::new(contents.clone()),
    };
    let all = contents.all(Kind::Certificate).map_err(|why| no_trust(&why))?;
    if contents.holds_key() {
        return Err(no_trust(&"holds a private key, which does not belong there"));
    }
    let own = all.iter().map(|der| Certificate::from_der(der).to_owned());
    Ok(own.collect())
}

/// The certificates that the system trusts. What it cannot read of them is no harm while there are others.
fn systems() -> Result<Vec<Certificate<'static>>, NoTrust> {
    let store = rustls_native_certs::load_native_certs();
    if store.certs.is_empty() {
        let why = store.errors.first();
        let why = why.map_or("the system has none".into(), ToString::to_string);
        return Err(NoTrust::System(why));
    }
    let owned = store
        .certs
        .iter()
        .map(|der| Certificate::from_der(der).to_owned());
    Ok(owned.collect())
}
