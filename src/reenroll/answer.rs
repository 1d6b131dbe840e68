//! Judges what a service answered: whether it is the next certificate of this device, for the new key, from a
//! CA for devices below the root that was given.

use data_encoding::BASE64;

use crate::key::PublicKey;
use crate::model::fault::{Fault, Kind};
use crate::model::text::quoted;
use crate::model::{Authority, Time};
use crate::x509::{Certificate, X509Error, cms};

/// The ways in which an answer of a service is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is not base64, in lines or without.
    #[error("its answer is no base64")]
    NotBase64,
    /// It cannot be parsed.
    #[error(transparent)]
    Unreadable(#[from] X509Error),
    /// It has no certificate for the new key.
    #[error("it sent {0} certificates, and none for the new key")]
    OtherKey(usize),
    /// The certificate is another device's.
    #[error("it sent the certificate of {is}, and this device is {own}")]
    OtherDevice {
        /// The subject that the certificate names, escaped.
        is: String,
        /// The subject of the certificate that was shown, escaped.
        own: String,
    },
    /// The certificate is not one that clients show.
    #[error("it sent a certificate that is none for clients")]
    NotForClients,
    /// No CA for devices that the given root has certified has issued the certificate.
    #[error(
        "it sent a certificate of {issuer}, which no CA for devices below the root that was given has signed"
    )]
    Issuer {
        /// The issuer that the certificate names, escaped.
        issuer: String,
    },
    /// The certificate has ended already.
    #[error("it sent a certificate that ended on {0}")]
    Ended(Time),
    /// The certificate, or the CA's, is not good yet.
    #[error("it sent a certificate that begins on {0}, after now")]
    NotYet(Time),
}

impl Fault for Unfit {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        let kind = match self {
            Self::NotYet(_) => Kind::ClockDoubt,
            Self::NotBase64
            | Self::Unreadable(_)
            | Self::OtherKey(_)
            | Self::OtherDevice { .. }
            | Self::NotForClients
            | Self::Issuer { .. }
            | Self::Ended(_) => Kind::Elsewhere,
        };
        (kind, "answer")
    }
}

/// The certificates in an answer, each in DER: base64 of certs-only CMS, in lines or in one (RFC 8951 §3.1).
pub(super) fn certificates(body: &[u8]) -> Result<Vec<Vec<u8>>, Unfit> {
    let text: Vec<u8> = body
        .iter()
        .copied()
        .filter(|c| !c.is_ascii_whitespace())
        .collect();
    let der = BASE64.decode(&text).map_err(|_| Unfit::NotBase64)?;
    let found = cms::certificates(&der)?;
    Ok(found.into_iter().map(<[u8]>::to_vec).collect())
}

/// The next certificate of a device, and the CA that has issued it.
#[derive(Debug)]
pub(super) struct Next {
    pub certificate: Certificate,
    pub issuer: Certificate,
}

/// Finds the certificate for the new key among those that were sent.
///
/// The device is known by the UID of its subject, which is its address; the rest of the name is for people,
/// and may change.
pub(super) fn judge(
    sent: &[Vec<u8>],
    authorities: &[Vec<u8>],
    root: &Certificate,
    shown: &Certificate,
    key: &PublicKey,
    now: Time,
) -> Result<Next, Unfit> {
    let read = sent
        .iter()
        .map(|der| Certificate::from_der(der))
        .collect::<Result<Vec<_>, _>>()?;
    let is_ours = |certificate: &Certificate| certificate.public_key() == key;
    let Some(certificate) = read.into_iter().find(is_ours) else {
        return Err(Unfit::OtherKey(sent.len()));
    };
    let is_same = match (certificate.user_id(), shown.user_id()) {
        (None, None) => certificate.subject() == shown.subject(),
        (is, own) => is == own,
    };
    if !is_same {
        return Err(Unfit::OtherDevice {
            is: quoted(certificate.subject_text()),
            own: quoted(shown.subject_text()),
        });
    }
    if certificate.is_ca() || !certificate.usage().client_auth {
        return Err(Unfit::NotForClients);
    }
    // Those that cannot be read are none of ours.
    let issuer = authorities
        .iter()
        .filter_map(|der| Certificate::from_der(der).ok())
        .find(|ca| {
            ca.is_ca_like(Authority::Issuing) && ca.is_issued_by(root) && certificate.is_issued_by(ca)
        });
    let Some(issuer) = issuer else {
        return Err(Unfit::Issuer {
            issuer: quoted(certificate.issuer_text()),
        });
    };
    for validity in [certificate.validity(), issuer.validity()] {
        if validity.ended(now) {
            return Err(Unfit::Ended(validity.not_after));
        }
        if now < validity.not_before {
            return Err(Unfit::NotYet(validity.not_before));
        }
    }
    Ok(Next { certificate, issuer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::seeds::{self, Company};
    use crate::key::{SoftwareKey, os_rng};
    use crate::model::Span;
    use crate::x509::cms::certs_only;

    #[test]
    fn the_next_certificate_is_this_devices_for_the_new_key_by_a_ca_for_devices_below_the_root() {
        let mut company = Company::new();
        let [old, new, other] = std::array::from_fn(|_| SoftwareKey::generate(&mut os_rng()));
        let shown = company.device_of("alice/phone", old.public_key());
        let next = company.device_of("alice/phone", new.public_key());
        let of_bob = company.device_of("bob/phone", new.public_key());
        let server = Certificate::from_der(&company.server()).unwrap();
        let root = company.root.certificate().clone();
        let [devices, servers] =
            [company.devices.chain(), company.servers.chain()].map(|chain| chain.ca().clone());
        let cas = [&devices, &root].map(|ca| ca.der().to_vec());
        let now = seeds::now();
        let judged = |sent: &Certificate, cas: &[Vec<u8>], root: &Certificate, key: &PublicKey, now| {
            judge(&[sent.der().to_vec()], cas, root, &shown, key, now).map(|next| next.issuer)
        };
        let new = new.public_key();
        assert_eq!(judged(&next, &cas, &root, new, now), Ok(devices.clone()));

        let told = |outcome: Result<Certificate, Unfit>| outcome.unwrap_err();
        assert_eq!(
            told(judged(&next, &cas, &root, other.public_key(), now)),
            Unfit::OtherKey(1)
        );
        assert_eq!(told(judged(&shown, &cas, &root, new, now)), Unfit::OtherKey(1));
        assert!(matches!(
            told(judged(&of_bob, &cas, &root, new, now)),
            Unfit::OtherDevice { .. }
        ));
        // A server's certificate has no address of a device.
        let as_device = judge(
            &[server.der().to_vec()],
            &cas,
            &root,
            &server,
            server.public_key(),
            now,
        );
        assert_eq!(as_device.unwrap_err(), Unfit::NotForClients);
        let issuer = |outcome| matches!(told(outcome), Unfit::Issuer { .. });
        assert!(issuer(judged(&next, &[servers.der().to_vec()], &root, new, now)));
        assert!(issuer(judged(
            &next,
            &[root.der().to_vec(), vec![7]],
            &root,
            new,
            now
        )));
        assert!(issuer(judged(&next, &cas, &devices, new, now)));
        let [by_servers, servers] = company.client_by_servers_ca("alice/phone", new);
        assert!(servers.is_issued_by(&root) && by_servers.is_issued_by(&servers));
        assert!(issuer(judged(
            &by_servers,
            &[servers.der().to_vec()],
            &root,
            new,
            now
        )));
        let validity = next.validity();
        let late = validity.not_after + Span::seconds(1);
        assert_eq!(
            told(judged(&next, &cas, &root, new, late)),
            Unfit::Ended(validity.not_after)
        );
        let early = validity.not_before - Span::seconds(1);
        assert_eq!(
            told(judged(&next, &cas, &root, new, early)),
            Unfit::NotYet(validity.not_before)
        );
    }

    #[test]
    fn an_answer_is_base64_of_certificates_in_lines_or_in_one() {
        let der: &[u8] = &[0x30, 1, 7];
        let text = BASE64.encode(&certs_only(&[der]));
        let lines = text.as_bytes().chunks(10).collect::<Vec<_>>().join(&b"\r\n"[..]);
        for body in [text.as_bytes(), &lines, format!("{text}\n").as_bytes()] {
            assert_eq!(certificates(body).unwrap(), [der]);
        }
        assert_eq!(certificates(b"<html>"), Err(Unfit::NotBase64));
        assert!(matches!(certificates(b"AAAA"), Err(Unfit::Unreadable(_))));
    }
}
