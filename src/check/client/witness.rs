//! Records the certificates that a server shows, and whether the server proves that it holds their key. The
//! certificates are judged elsewhere, one answer to each question, so that no fault of a certificate keeps
//! the other questions from being answered.

use std::sync::{Arc, Mutex};

use der::{AnyRef, Decode, Encode};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, ProtocolVersion, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::certificate;

/// The certificates that a server showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its own certificate, DER.
    pub leaf: Vec<u8>,
    /// The other certificates that it sent, DER.
    pub others: Vec<Vec<u8>>,
    /// The reason for which it cannot be verified here that it holds the key of its certificate.
    pub unproved: Option<String>,
}

/// The signature schemes that a server may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// The schemes that can be verified here.
    Verifiable,
    /// Any scheme, so that the server shows its certificate at least.
    Any,
}

/// What is asked for beside, where it need not be verified: of curves that phones know not, and of SHA-1.
const UNVERIFIABLE: [SignatureScheme; 8] = [
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED448,
    SignatureScheme::Unknown(0x081a),
    SignatureScheme::Unknown(0x081b),
    SignatureScheme::Unknown(0x081c),
    SignatureScheme::Unknown(0x0809),
    SignatureScheme::RSA_PKCS1_SHA1,
    SignatureScheme::ECDSA_SHA1_Legacy,
];

/// The verifier that records what a server shows, and whether it holds the key; it does not judge the
/// certificate.
#[derive(Debug)]
pub struct Witness {
    provider: Arc<CryptoProvider>,
    /// The certificates of the servers to talk to, and to no other.
    leaves: Option<Vec<Vec<u8>>>,
    signatures: Signatures,
    shown: Mutex<Option<Shown>>,
}

impl Witness {
    /// A witness that goes on with a server that has one of these certificates, or with any server.
    pub fn new(provider: Arc<CryptoProvider>, leaves: Option<&[Vec<u8>]>, signatures: Signatures) -> Self {
        Self {
            provider,
            leaves: leaves.map(<[_]>::to_vec),
            signatures,
            shown: Mutex::default(),
        }
    }

    /// The certificates that were shown last.
    pub fn shown(&self) -> Option<Shown> {
        self.shown.lock().ok()?.clone()
    }

    fn verify(
        &self,
        version: ProtocolVersion,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = self.provider.signature_verification_algorithms;
        match proof(&known, version, message, leaf, signed) {
            Proof::Holds => Ok(HandshakeSignatureValid::assertion()),
            Proof::Fails => Err(CertificateError::BadSignature.into()),
            Proof::Unknown(why) => {
                if let Ok(mut shown) = self.shown.lock()
                    && let Some(shown) = shown.as_mut()
                {
                    shown.unproved = Some(why.clone());
                }
                Err(Error::General(why))
            }
        }
    }
}

enum Proof {
    /// The server holds the key.
    Holds,
    /// The server does not hold the key.
    Fails,
    /// It cannot be verified here, for this reason.
    Unknown(String),
}

/// Verifies a signature by the key of a certificate, whatever else is in that certificate (RFC 8446 §4.4.3,
/// RFC 5246 §7.4.3).
fn proof(
    known: &WebPkiSupportedAlgorithms,
    version: ProtocolVersion,
    message: &[u8],
    leaf: &[u8],
    signed: &DigitallySignedStruct,
) -> Proof {
    let key = match X509Certificate::from_der(leaf) {
        Ok((_, parsed)) => parsed.tbs_certificate.subject_pki.raw.to_vec(),
        Err(why) => return Proof::Unknown(format!("its certificate cannot be read: {why}")),
    };
    let kind = certificate::kind_of_key(&key);
    let unverifiable = || {
        Proof::Unknown(format!(
            "its key is {kind}, whose signatures cannot be verified here"
        ))
    };
    let Ok(key) = spki::SubjectPublicKeyInfoRef::try_from(key.as_slice()) else {
        return unverifiable();
    };
    let algorithm = key.algorithm.to_der().ok();
    let identifier = algorithm.as_deref().and_then(|der| AnyRef::from_der(der).ok());
    let (Some(identifier), Some(point)) = (identifier, key.subject_public_key.as_bytes()) else {
        return unverifiable();
    };
    let scheme = known.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
    let algorithms = scheme.map_or(&[][..], |(_, algorithms)| algorithms);
    // TLS 1.3 binds each scheme to its curve, which is the first of them.
    let algorithms = if version == ProtocolVersion::TLSv1_3 {
        &algorithms[..algorithms.len().min(1)]
    } else {
        algorithms
    };
    let Some(algorithm) = algorithms
        .iter()
        .find(|algorithm| algorithm.public_key_alg_id().as_ref() == identifier.value())
    else {
        return unverifiable();
    };
    match algorithm.verify_signature(point, message, signed.signature()) {
        Ok(()) => Proof::Holds,
        // What it takes for too short a key it does not verify either.
        Err(_) if certificate::is_short_rsa(&kind) => unverifiable(),
        Err(_) => Proof::Fails,
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Ok(mut shown) = self.shown.lock() {
            *shown = Some(Shown {
                leaf: leaf.to_vec(),
                others: others.iter().map(|other| other.to_vec()).collect(),
                unproved: None,
            });
        }
        match &self.leaves {
            Some(known) if !known.iter().any(|known| known == leaf.as_ref()) => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            Some(_) | None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(ProtocolVersion::TLSv1_2, message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(ProtocolVersion::TLSv1_3, message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = self.provider.signature_verification_algorithms;
        let mut schemes = known.supported_schemes();
        if self.signatures == Signatures::Any {
            schemes.extend(UNVERIFIABLE);
        }
        schemes
    }
}
