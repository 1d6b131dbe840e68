//! How connections are encrypted: the page by a certificate that browsers trust, from files.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::ServeError;
use crate::disk::{self, Shown};
use crate::home::config::Serve;

/// The longest file of certificates, or key, in octets.
const LONGEST: u64 = 1 << 20;

/// The configuration of the page by the files that `pki.toml` names; none where it names none.
///
/// # Errors
/// Where they cannot be read, or do not belong together.
pub fn of_files(serve: &Serve) -> Result<Option<Arc<ArcSwap<ServerConfig>>>, ServeError> {
    let (Some(certificate), Some(key)) = (&serve.page_certificate, &serve.page_key) else {
        return Ok(None);
    };
    let config = read(certificate, key)?;
    Ok(Some(Arc::new(ArcSwap::from_pointee(config))))
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, ServeError> {
    let unfit = |path: &Path, why: String| ServeError::PageCertificate {
        path: Shown(path.to_owned()),
        why,
    };
    let octets = |path: &Path| disk::read(path, LONGEST).map_err(|why| unfit(path, why.to_string()));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets(certificate)?).collect();
    let chain = chain.map_err(|why| unfit(certificate, format!("it is no PEM: {why}")))?;
    if chain.is_empty() {
        return Err(unfit(certificate, "it has no certificate".into()));
    }
    let secret = zeroize::Zeroizing::new(octets(key)?);
    let secret = PrivateKeyDer::from_pem_slice(&secret)
        .map_err(|why| unfit(key, format!("it has no private key in PEM: {why}")))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|why| {
            unfit(
                key,
                format!("it does not go with {}: {why}", certificate.display()),
            )
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
