//! What a server shows of itself, judged one question at a time: who vouches for it, for which host, and until when.

use rustls::RootCertStore;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::client::Shown;
use super::url::Url;
use crate::model::{Pin, Time, Validity};

/// Who is believed about servers.
#[derive(Debug)]
pub struct Trust {
    anchors: RootCertStore,
    /// What the operator named himself: such a certificate is also believed where the server has it for its own.
    named: Vec<Vec<u8>>,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            anchors: RootCertStore::empty(),
            named: Vec::new(),
        }
    }
}

impl Trust {
    /// Believes a certificate. One that cannot be an anchor is passed over: a system's list has such.
    pub fn add(&mut self, certificate: &[u8]) {
        let _ = self.anchors.add(CertificateDer::from(certificate.to_vec()));
    }

    /// Believes a certificate that the operator named.
    pub fn name(&mut self, certificate: Vec<u8>) {
        self.add(&certificate);
        self.named.push(certificate);
    }
}

/// What came of judging it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// SHA-256 of the server's own key.
    pub pin: Pin,
    /// What its certificate calls it.
    pub subject: String,
    /// Who issued its certificate.
    pub issuer: String,
    /// Whether it names itself as its issuer.
    pub is_self_issued: bool,
    /// When its certificate is good.
    pub validity: Validity,
    /// When the first of the certificates that it sent with it ends.
    pub others_end: Option<Time>,
    /// Why nobody who is believed vouches for it; nothing where somebody does.
    pub untrusted: Option<String>,
    /// Whether its certificate names the host.
    pub names_host: bool,
}

/// Judges what a server showed.
///
/// # Errors
/// Where its own certificate cannot be read.
pub fn judge(shown: &Shown, url: &Url, trust: &Trust, now: Time) -> Result<Judged, String> {
    let unreadable = |why: &dyn std::fmt::Display| format!("its certificate cannot be read: {why}");
    let (_, leaf) = X509Certificate::from_der(&shown.leaf).map_err(|e| unreadable(&e))?;
    let der = CertificateDer::from(shown.leaf.as_slice());
    let parsed = ParsedCertificate::try_from(&der).map_err(|e| unreadable(&e))?;
    let validity = validity(&leaf);
    let others_end = shown
        .others
        .iter()
        .filter_map(|other| X509Certificate::from_der(other).ok())
        .map(|(_, other)| self::validity(&other).not_after)
        .min();
    let untrusted = if trust.named.contains(&shown.leaf) {
        None
    } else {
        // By a time at which the certificate itself is good: that it has ended is another answer.
        let at = now.max(validity.not_before).min(validity.not_after);
        untrusted(&parsed, shown, trust, at)
    };
    Ok(Judged {
        pin: Pin(Sha256::digest(leaf.public_key().raw).into()),
        subject: leaf.subject().to_string(),
        issuer: leaf.issuer().to_string(),
        is_self_issued: leaf.issuer().as_raw() == leaf.subject().as_raw(),
        validity,
        others_end,
        untrusted,
        names_host: verify_server_name(&parsed, url.name()).is_ok(),
    })
}

fn untrusted(leaf: &ParsedCertificate<'_>, shown: &Shown, trust: &Trust, at: Time) -> Option<String> {
    let others: Vec<CertificateDer<'_>> = shown.others.iter().map(|other| other.as_slice().into()).collect();
    let seconds = u64::try_from(at.unix()).unwrap_or(0);
    let verified = verify_server_cert_signed_by_trust_anchor(
        leaf,
        &trust.anchors,
        &others,
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)),
        ring::default_provider().signature_verification_algorithms.all,
    );
    verified.err().map(|error| {
        if error == rustls::CertificateError::UnknownIssuer.into() {
            "nobody who is trusted here vouches for it".to_owned()
        } else {
            error.to_string()
        }
    })
}

fn validity(certificate: &X509Certificate<'_>) -> Validity {
    let validity = certificate.validity();
    Validity {
        not_before: Time::from_unix(validity.not_before.timestamp()),
        not_after: Time::from_unix(validity.not_after.timestamp()),
    }
}
