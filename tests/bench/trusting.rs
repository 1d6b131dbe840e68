//! How those who measure speak to a page by TLS.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The name by which the page is reached.
pub const HOST: &str = "api.acme.example";

/// A client that trusts the certificates in these files, and resumes no session.
pub fn config(certificates: &[&str]) -> Arc<ClientConfig> {
    let mut trusted = RootCertStore::empty();
    for certificate in certificates {
        trusted
            .add(CertificateDer::from_pem_file(certificate).unwrap())
            .unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(trusted)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}
