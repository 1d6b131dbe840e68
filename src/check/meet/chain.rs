//! Judges the certificates that a server shows, one question at a time: whether a trusted CA vouches for
//! them, for which host, and until when.

use rustls::RootCertStore;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::check::client::certificate::{self, Examined};
use crate::check::client::url::Url;
use crate::check::client::witness::Shown;
use crate::model::{Pin, Time, Validity};

/// The CAs and certificates that are trusted to vouch for servers.
#[derive(Debug)]
pub struct Trust {
    anchors: RootCertStore,
    /// The certificates that the operator named himself: such a certificate is also trusted where it is the
    /// server's own.
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
    /// Trusts a certificate. One that cannot be an anchor is passed over: a system's list has such.
    pub fn add(&mut self, certificate: &[u8]) {
        let _ = self.anchors.add(CertificateDer::from(certificate.to_vec()));
    }

    /// Trusts a certificate that the operator named.
    pub fn name(&mut self, certificate: Vec<u8>) {
        self.add(&certificate);
        self.named.push(certificate);
    }
}

/// The judgement of a server's certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The pin of the server's own key.
    pub pin: Pin,
    /// The subject of its certificate.
    pub subject: String,
    /// The issuer of its certificate.
    pub issuer: String,
    /// Whether it names itself as its issuer.
    pub is_self_issued: bool,
    /// The validity period of its certificate.
    pub validity: Validity,
    /// The earliest expiry among the certificates that it sent along and that a client may need.
    pub others_end: Option<Time>,
    /// The expiry of an expired certificate that it sends although nobody needs it.
    pub surplus_ended: Option<Time>,
    /// The faults of its certificate in itself.
    pub examined: Examined,
    /// The reason for which the certificate is rejected, if it is: there is no certification path to a trust
    /// anchor, or the certificate itself has a fault. None where a trusted CA issued it or the operator named
    /// it. Expiry, its own or that of a CA certificate, is not considered here: see `validity` and
    /// `others_end`.
    pub untrusted: Option<String>,
    /// Whether its certificate names the host; none where that cannot be determined.
    pub names_host: Option<bool>,
}

/// Judges what a server showed.
///
/// # Errors
/// Where its own certificate cannot be read.
pub fn judge(shown: &Shown, url: &Url, trust: &Trust, now: Time) -> Result<Judged, String> {
    let examined = certificate::examine(&shown.leaf)?;
    let unreadable = |why: &dyn std::fmt::Display| format!("its certificate cannot be read: {why}");
    let (_, leaf) = X509Certificate::from_der(&shown.leaf).map_err(|e| unreadable(&e))?;
    let der = CertificateDer::from(shown.leaf.as_slice());
    // Faults of which `examined` knows make it unreadable here.
    let parsed = ParsedCertificate::try_from(&der);
    let validity = validity(&leaf);
    // By a time at which the certificate itself is good: that it has ended is another answer.
    let at = now.max(validity.not_before).min(validity.not_after);
    let ends: Vec<Time> = shown
        .others
        .iter()
        .map(|other| end(other).unwrap_or(now))
        .collect();
    let good: Vec<&[u8]> = shown
        .others
        .iter()
        .zip(&ends)
        .filter_map(|(other, end)| (*end >= now).then_some(other.as_slice()))
        .collect();
    let all: Vec<&[u8]> = shown.others.iter().map(Vec::as_slice).collect();
    let (untrusted, needs_the_ended) = match &parsed {
        _ if trust.named.contains(&shown.leaf) => (None, false),
        Ok(parsed) => match untrusted(parsed, &good, trust, at) {
            None => (None, false),
            // Vouched for while the ones that ended were good: then it is their end that stands in the way.
            Some(why) => {
                let mut before = ends.iter().filter(|end| **end < now);
                let is_vouched = |end: &Time| untrusted(parsed, &all, trust, at.min(*end)).is_none();
                if before.any(is_vouched) {
                    (None, true)
                } else {
                    (Some(why), false)
                }
            }
        },
        Err(why) if examined.faults.is_empty() => (Some(why.to_string()), false),
        Err(_) => (Some(examined.faults.join(", ")), false),
    };
    let ended = ends.iter().copied().filter(|end| *end < now).min();
    let still_good = ends.iter().copied().filter(|end| *end >= now).min();
    Ok(Judged {
        pin: Pin(Sha256::digest(leaf.public_key().raw).into()),
        subject: leaf.subject().to_string(),
        issuer: leaf.issuer().to_string(),
        is_self_issued: leaf.issuer().as_raw() == leaf.subject().as_raw(),
        validity,
        others_end: if needs_the_ended { ended } else { still_good },
        surplus_ended: ended.filter(|_| !needs_the_ended),
        names_host: match &parsed {
            Ok(parsed) => Some(verify_server_name(parsed, url.name()).is_ok()),
            // Without a subjectAltName it names none.
            Err(_) => matches!(leaf.subject_alternative_name(), Ok(None)).then_some(false),
        },
        examined,
        untrusted,
    })
}

fn end(certificate: &[u8]) -> Option<Time> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(validity(&parsed).not_after)
}

fn untrusted(leaf: &ParsedCertificate<'_>, others: &[&[u8]], trust: &Trust, at: Time) -> Option<String> {
    let others: Vec<CertificateDer<'_>> = others.iter().map(|other| (*other).into()).collect();
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
