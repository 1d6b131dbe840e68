//! Explains to people why a server cannot be reached: the messages of a TLS library and of the system are for
//! programmers.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use ureq::http::Uri;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::Client;
use super::resolve::{NoAddress, addresses, place};
use crate::disk::Shown;
use crate::model::Time;
use crate::model::text::quoted;

/// The reasons why a server cannot be reached or trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The host has no address.
    #[error("the host {host} has no address ({why})")]
    NoAddress {
        /// The host's name.
        host: String,
        /// The message of the name service.
        why: String,
    },
    /// The connection was refused: no server listens there.
    #[error("nobody listens at {0}")]
    NobodyListens(String),
    /// Its certificate is not issued by a trusted CA.
    #[error("{whose}, and {} vouches for it", trusted(.ca.as_ref()))]
    Untrusted {
        /// The subject and the issuer of its certificate.
        whose: String,
        /// The file of the certificates that are trusted, in place of the system's.
        ca: Option<Shown>,
    },
    /// Its certificate names other hosts.
    #[error("the server's certificate is for {}, and not for {host}", names(.named))]
    OtherHost {
        /// The host that was asked for.
        host: String,
        /// The hosts that the certificate names.
        named: Vec<String>,
    },
    /// Its certificate, or one above it, has expired.
    #[error("the server's certificate ended on {0}")]
    Ended(Time),
    /// Its certificate, or one above it, is not valid yet.
    #[error("the server's certificate begins on {0}, after now")]
    NotYet(Time),
    /// Its certificate breaks another rule.
    #[error("the server's certificate cannot be believed: {0}")]
    Unfit(String),
    /// What answers is no https server.
    #[error("what answers at {0} speaks no TLS")]
    NotTls(String),
    /// The server has broken the connection off, as it does with a client whose certificate it does not take.
    #[error("the server broke the connection off: {0}")]
    Alert(String),
    /// The connection could not be made, or broke.
    #[error("the connection broke: {0}")]
    Broken(String),
}

fn trusted(ca: Option<&Shown>) -> String {
    match ca {
        Some(file) => format!("no certificate in {file}"),
        None => "nobody whom this system trusts".into(),
    }
}

fn names(named: &[String]) -> String {
    match named {
        [] => "no host".into(),
        _ => named.join(", "),
    }
}

impl Client {
    /// Finds the reason for an error. Where the server is not trusted, another connection is made to see its
    /// certificate, which the error does not have.
    pub fn trouble(&self, uri: &Uri, error: ureq::Error) -> Trouble {
        let (host, port) = place(uri);
        // What cannot be reached or found may be the proxy that stands between.
        let proxy = self.agent.config().proxy();
        let proxy = proxy.filter(|proxy| !proxy.is_no_proxy(uri));
        let at = match proxy {
            Some(proxy) => format!("{}:{}, the proxy", proxy.host(), proxy.port()),
            None if host.contains(':') => format!("[{host}]:{port}"),
            None => format!("{host}:{port}"),
        };
        if let ureq::Error::HostNotFound = error {
            let why = "it has none of the kind that is asked for".into();
            return Trouble::NoAddress { host, why };
        }
        let error = error.into_io();
        let inner = error.get_ref();
        if let Some(NoAddress(why)) = inner.and_then(|inner| inner.downcast_ref()) {
            let host = proxy.map_or(host, |proxy| proxy.host().to_owned());
            let why = why.rsplit(": ").next().unwrap_or_default().to_owned();
            return Trouble::NoAddress { host, why };
        }
        if error.kind() == io::ErrorKind::ConnectionRefused {
            return Trouble::NobodyListens(at);
        }
        match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                let seen = match proxy {
                    None => look(&host, &addresses(&self.told, &host, port)),
                    Some(_) => None,
                };
                Trouble::Untrusted {
                    whose: seen.unwrap_or_else(|| "it shows a certificate".into()),
                    ca: self.ca.clone().map(Shown),
                }
            }
            Some(rustls::Error::InvalidCertificate(why)) => unfit(why, host),
            Some(rustls::Error::InvalidMessage(_)) => Trouble::NotTls(at),
            Some(rustls::Error::AlertReceived(alert)) => Trouble::Alert(format!("{alert:?}")),
            Some(other) => Trouble::Broken(other.to_string()),
            None => Trouble::Broken(error.to_string()),
        }
    }
}

/// What is wrong with a certificate for which somebody vouches.
fn unfit(why: &CertificateError, host: String) -> Trouble {
    let time = |time: &UnixTime| Time::from_unix(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    if let CertificateError::ExpiredContext { not_after, .. } = why {
        Trouble::Ended(time(not_after))
    } else if let CertificateError::NotValidYetContext { not_before, .. } = why {
        Trouble::NotYet(time(not_before))
    } else if let CertificateError::NotValidForNameContext { presented, .. } = why {
        let named = presented.iter().map(|name| readable(name)).collect();
        Trouble::OtherHost { host, named }
    } else if let CertificateError::Expired | CertificateError::NotValidYet = why {
        Trouble::Unfit("it ends before it begins".into())
    } else if let CertificateError::InvalidPurposeContext { .. } = why {
        Trouble::Unfit("it is not one for servers".into())
    } else if format!("{why:?}").contains("CaUsedAsEndEntity") {
        // A rule that rustls has no name of its own for, and that `openssl req -x509` breaks where it is told
        // nothing.
        Trouble::Unfit("it is a CA's own (basicConstraints with CA:TRUE), which is no server's".into())
    } else {
        Trouble::Unfit(why.to_string())
    }
}

/// A name as rustls gives it: `DnsName("localhost")`, `IpAddress(127.0.0.1)`.
fn readable(name: &str) -> String {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or(name);
    quoted(inner.trim_matches('"'))
}

/// Whose certificate a server shows, and by whom it is issued. Nothing is told to it but the host.
fn look(host: &str, addresses: &[std::net::SocketAddr]) -> Option<String> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let witness = Arc::new(Witness {
        shown: Mutex::new(None),
        provider: Arc::new(ring::default_provider()),
    });
    let config = ClientConfig::builder_with_provider(witness.provider.clone())
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(witness.clone())
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    let mut stream = TcpStream::connect_timeout(addresses.first()?, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    // It ends with the witness's refusal.
    let _ = connection.complete_io(&mut stream);
    let shown = witness.shown.lock().ok()?.take()?;
    let (_, leaf) = X509Certificate::from_der(&shown).ok()?;
    let [subject, issuer] = [leaf.subject(), leaf.issuer()].map(|name| quoted(&name.to_string()));
    Some(if leaf.subject() == leaf.issuer() {
        format!("the server's certificate, of {subject}, is signed by itself")
    } else {
        format!("the server's certificate, of {subject}, is issued by {issuer}")
    })
}

/// Takes down the certificate that is shown, and goes no further.
#[derive(Debug)]
struct Witness {
    shown: Mutex<Option<Vec<u8>>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Ok(mut shown) = self.shown.lock() {
            *shown = Some(leaf.to_vec());
        }
        Err(CertificateError::UnknownIssuer.into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::UnknownIssuer.into())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::UnknownIssuer.into())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
