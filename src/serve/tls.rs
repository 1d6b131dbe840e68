//! How connections are encrypted: the page by a certificate that browsers trust, from files; the face of
//! devices by a key of the home, whose pin is in every invite.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use tokio::signal::unix::{SignalKind, signal};

use super::ServeError;
use super::health::{Health, Part};
use super::monitor::Monitor;
use super::presented::Anchor;
use crate::ca::CaError;
use crate::disk::{self, Shown};
use crate::home::config::Serve;
use crate::key::{self, Signer};
use crate::x509::Certificate;
use crate::x509::foreign::ForeignCertificate;

/// The longest file of certificates, or key, in octets.
const LONGEST: u64 = 1 << 20;

/// How often the files of the page are looked at.
const LOOKED_AT: Duration = Duration::from_secs(10);

/// A configuration that may be another one for the next connection.
pub type Current = Arc<ArcSwap<ServerConfig>>;

/// The configuration of the page by the files that `pki.toml` names; none where it names none.
///
/// # Errors
/// Where they cannot be read, or do not belong together.
pub fn of_page(serve: &Serve, health: &Health) -> Result<Option<Current>, ServeError> {
    let (Some(certificate), Some(key)) = (&serve.page_certificate, &serve.page_key) else {
        return Ok(None);
    };
    let (config, own) = read(certificate, key)?;
    tell(&own, serve, health);
    Ok(Some(Arc::new(ArcSwap::from_pointee(config))))
}

/// Looks from time to time, and at SIGHUP, whether the files of the page are others by now, as after a
/// renewal, and uses them from the next connection on. Files that do not belong together, while they are
/// written, are looked at again.
pub async fn renewed(current: Current, serve: Serve, monitor: Arc<Monitor>) {
    let (Some(certificate), Some(key)) = (&serve.page_certificate, &serve.page_key) else {
        return;
    };
    let seen =
        || [certificate, key].map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok());
    let mut before = seen();
    let Ok(mut hang_up) = signal(SignalKind::hangup()) else {
        return;
    };
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOKED_AT) => {}
            _ = hang_up.recv() => {}
        }
        let now = seen();
        if now != before {
            match read(certificate, key) {
                Ok((config, own)) => {
                    tell(&own, &serve, &monitor.health);
                    monitor.health.well(Part::PageFiles);
                    current.store(Arc::new(config));
                    before = now;
                }
                Err(why) => monitor.health.troubled(
                    Part::PageFiles,
                    false,
                    format!("the page goes on with the certificate that it has: {why}"),
                ),
            }
        }
    }
}

/// Says what the page shows, and whether browsers that come by its name will take it for the page's.
fn tell(own: &ForeignCertificate, serve: &Serve, health: &Health) {
    health.shows(Part::PageCertificate, own.validity);
    match &serve.host {
        Some(authority) if !own.names(&authority.host) => health.troubled(
            Part::PageName,
            false,
            format!(
                "the certificate of the page is not for {}: browsers warn of it",
                authority.host
            ),
        ),
        Some(_) | None => health.well(Part::PageName),
    }
}

/// The configuration, and the certificate.
fn read(certificate: &Path, key: &Path) -> Result<(ServerConfig, ForeignCertificate), ServeError> {
    let unfit = |path: &Path, why: String| ServeError::PageCertificate {
        path: Shown(path.to_owned()),
        why,
    };
    let octets = |path: &Path| disk::read(path, LONGEST).map_err(CaError::from);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets(certificate)?).collect();
    let chain = chain.map_err(|why| unfit(certificate, format!("it is no PEM: {why}")))?;
    let Some(first) = chain.first() else {
        return Err(unfit(certificate, "it has no certificate".into()));
    };
    let own = ForeignCertificate::from_der(first).map_err(|why| unfit(certificate, why.to_string()))?;
    let secret = zeroize::Zeroizing::new(octets(key)?);
    let secret = PrivateKeyDer::from_pem_slice(&secret)
        .map_err(|why| unfit(key, format!("it has no private key in PEM: {why}")))?;
    let mut config = builder()
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|why| {
            let is_another = matches!(why, rustls::Error::InconsistentKeys(_));
            let why = match is_another {
                true => format!(
                    "it is not the key of the certificate in {}",
                    certificate.display()
                ),
                false => format!("it cannot be used: {why}"),
            };
            unfit(key, why)
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, own))
}

/// The configuration of the face of devices: it asks for a certificate of the issuing CA, and demands none.
/// No session is resumed: each connection shows its certificate anew.
pub fn of_devices(own: &OwnKey, issuing: &Certificate) -> ServerConfig {
    let mut config = builder()
        .with_client_cert_verifier(Arc::new(Anchor::new(issuing.clone())))
        .with_cert_resolver(own.resolver());
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// The configuration of the face for servers, which asks for no certificate: requests are signed.
pub fn of_servers(own: &OwnKey) -> ServerConfig {
    let mut config = builder().with_no_client_auth().with_cert_resolver(own.resolver());
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// A key of the home, and its certificate with those above it, DER.
pub struct OwnKey {
    /// The key.
    pub key: Arc<dyn Signer>,
    /// The certificates.
    pub chain: Vec<Vec<u8>>,
}

impl OwnKey {
    fn resolver(&self) -> Arc<SingleCertAndKey> {
        let chain = self.chain.iter().cloned().map(CertificateDer::from).collect();
        let key = CertifiedKey::new(chain, Arc::new(Own(self.key.clone())));
        Arc::new(SingleCertAndKey::from(key))
    }
}

fn builder() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the suites of the versions that rustls takes")
}

/// A key of the home, as rustls uses it: it stays where it is.
#[derive(Debug)]
struct Own(Arc<dyn Signer>);

impl SigningKey for Own {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        let is_offered = offered.contains(&SignatureScheme::ECDSA_NISTP256_SHA256);
        is_offered.then(|| Box::new(Self(self.0.clone())) as Box<dyn rustls::sign::Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.0.public_key().spki().into())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl rustls::sign::Signer for Own {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signature = key::sign(&*self.0, message);
        let signature = signature.map_err(|why| rustls::Error::General(why.to_string()))?;
        Ok(signature.to_der())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
