//! The certificate that a device shows in the handshake. There, it is judged whether the issuing CA signed it
//! and whether the device has its key; whether it is still good is asked of the ledger for each request, so
//! that the device is told in words and not by an alert.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use sha2::{Digest, Sha256};

use super::clerk::AskedKey;
use crate::ca::Renewing;
use crate::key::PublicKey;
use crate::model::Host;
use crate::x509::Certificate;

/// A certificate that was shown by whoever has its key. It may be revoked, superseded or out of date: what
/// may be asked with it, the clerk decides by the ledger.
#[derive(Debug, Clone)]
pub struct Presented(Vec<u8>);

impl Presented {
    /// The certificate that was shown in this handshake, if one was.
    pub fn in_handshake(connection: &rustls::ServerConnection) -> Option<Self> {
        let shown = connection.peer_certificates()?.first()?;
        Some(Self(shown.to_vec()))
    }

    /// Its SHA-256, by which it is known.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    /// A shared key that is asked for by whoever has shown it, from this network.
    pub fn asking_for_key(self, host: Host, from: String) -> AskedKey {
        AskedKey {
            certificate: self.0,
            host,
            from,
        }
    }

    /// An attempt to renew it for this key, from this network.
    pub fn renewing(self, key: PublicKey, from: String) -> Renewing {
        Renewing {
            certificate: self.0,
            key,
            from,
        }
    }
}

/// Takes the certificates of one issuing CA, whatever their dates.
#[derive(Debug)]
pub(super) struct Anchor {
    issuing: Certificate,
    subjects: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Anchor {
    /// The anchor is the issuing CA, and not the root: devices send their own certificate alone.
    pub(super) fn new(issuing: Certificate) -> Self {
        Self {
            subjects: vec![DistinguishedName::from(issuing.subject().to_vec())],
            algorithms: rustls::crypto::ring::default_provider().signature_verification_algorithms,
            issuing,
        }
    }
}

impl ClientCertVerifier for Anchor {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let certificate = Certificate::from_der(shown).map_err(|_| CertificateError::BadEncoding)?;
        if certificate.is_ca() || !certificate.is_issued_by(&self.issuing) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
