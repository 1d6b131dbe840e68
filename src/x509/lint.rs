//! The last check before a key signs: the octets of a TBSCertificate, parsed by another library than the one
//! that wrote them, must say what was drafted and nothing more (RFC 5280 §4).

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an extension that is not named is refused"
)]

use std::net::IpAddr;

use x509_parser::asn1_rs::{Class, Tag};
use x509_parser::certificate::TbsCertificate;
use x509_parser::extensions::{DistributionPointName, GeneralName, KeyUsage, ParsedExtension};
use x509_parser::prelude::FromDer;

use super::template::{Kind, Pointers, Template, authority_name};
use super::{Certificate, X509Error, extension, strict};
use crate::model::{Authority, Host, Time, Validity};

/// The contents that the octets must have. Without an issuer they are a root's.
pub(super) struct Expected<'a> {
    pub template: &'a Template<'a>,
    pub issuer: Option<&'a Certificate>,
}

/// keyUsage bits as x509-parser has them: bit 0 is the least significant.
const DIGITAL_SIGNATURE: u16 = 1;
const KEY_CERT_SIGN: u16 = 1 << 5;
const CRL_SIGN: u16 = 1 << 6;

/// Compares the octets of a TBSCertificate with what was drafted.
pub(super) fn certificate(octets: &[u8], expected: &Expected<'_>) -> Result<(), X509Error> {
    let malformed = X509Error::malformed("the certificate to be signed");
    let (rest, tbs) = TbsCertificate::from_der(octets).map_err(|e| malformed(&e))?;
    demand(rest.is_empty(), "octets follow the certificate")?;
    let template = expected.template;
    demand(tbs.version.0 == 2, "it is not of version 3")?;
    demand(
        tbs.raw_serial() == template.serial.octets(),
        "its serial number is another",
    )?;
    demand(
        tbs.signature.algorithm.to_id_string() == "1.2.840.10045.4.3.2",
        "it is not signed with ecdsa-with-SHA256",
    )?;
    demand(
        tbs.subject_pki.raw == template.public_key.spki(),
        "its key is another",
    )?;
    demand(
        tbs.issuer_uid.is_none() && tbs.subject_uid.is_none(),
        "it has unique identifiers",
    )?;
    names(&tbs, expected)?;
    times(&tbs, expected)?;
    extensions(&tbs, expected)?;
    // The parser has read some of what only BER permits.
    demand(strict::is_der(octets), "it is not in DER")
}

fn demand(holds: bool, otherwise: &str) -> Result<(), X509Error> {
    if holds {
        Ok(())
    } else {
        Err(X509Error::Lint(otherwise.to_owned()))
    }
}

fn names(tbs: &TbsCertificate<'_>, expected: &Expected<'_>) -> Result<(), X509Error> {
    let wanted: Vec<(&str, String)> = match &expected.template.kind {
        Kind::Authority(ca) => vec![
            ("2.5.4.10", ca.organization.to_owned()),
            ("2.5.4.3", authority_name(ca.authority, ca.organization)),
        ],
        Kind::Device(draft) => {
            let subject = draft.subject();
            let uid = ("0.9.2342.19200300.100.1.1", subject.uid.to_string());
            let common_name = subject.common_name.clone().map(|name| ("2.5.4.3", name));
            [("2.5.4.10", subject.organization.clone()), uid]
                .into_iter()
                .chain(common_name)
                .collect()
        }
        Kind::Server(draft) => vec![("2.5.4.3", draft.host().common_name())],
    };
    let found: Option<Vec<(String, String)>> = tbs
        .subject
        .iter_attributes()
        .map(|a| {
            // UTF8String (RFC 5280 §4.1.2.4): the same characters as another type would be another name to a
            // server.
            let header = &a.attr_value().header;
            let is_utf8 = (header.class(), header.tag()) == (Class::Universal, Tag::Utf8String);
            let text = is_utf8.then(|| a.as_str().ok())??;
            Some((a.attr_type().to_id_string(), text.to_owned()))
        })
        .collect();
    let same = found.is_some_and(|found| {
        found.len() == wanted.len()
            && found
                .iter()
                .zip(&wanted)
                .all(|(f, w)| f.0 == w.0 && f.1 == w.1 && !f.1.is_empty())
    });
    demand(same, "its subject is another")?;
    // RFC 5280 §4.1.2.4: the issuer's name is the CA's subject, octet for octet.
    let issuer = expected.issuer.map_or(tbs.subject.as_raw(), Certificate::subject);
    demand(
        tbs.issuer.as_raw() == issuer,
        "its issuer is not named as the CA is",
    )
}

fn times(tbs: &TbsCertificate<'_>, expected: &Expected<'_>) -> Result<(), X509Error> {
    let wanted = match &expected.template.kind {
        Kind::Authority(ca) => ca.validity,
        Kind::Device(draft) => draft.validity(),
        Kind::Server(draft) => draft.validity(),
    };
    let found = Validity {
        not_before: Time::from_unix(tbs.validity.not_before.timestamp()),
        not_after: Time::from_unix(tbs.validity.not_after.timestamp()),
    };
    demand(found == wanted, "its validity is another")?;
    // RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050 on.
    let encoded = [tbs.validity.not_before, tbs.validity.not_after];
    demand(
        encoded
            .iter()
            .all(|time| time.is_utctime() == (time.to_datetime().year() < 2050)),
        "its times are not encoded as their years demand",
    )?;
    demand(found.not_before < found.not_after, "it ends before it begins")?;
    let Some(issuer) = expected.issuer else {
        return Ok(());
    };
    let outer = issuer.validity();
    demand(
        outer.not_before <= found.not_before && found.not_after <= outer.not_after,
        "it is good when its issuer is not",
    )
}

/// Whether a name in a certificate is this host's (RFC 5280 §4.2.1.6).
fn names_host(name: &GeneralName<'_>, host: &Host) -> bool {
    match host {
        Host::Name(text) => *name == GeneralName::DNSName(text.as_str()),
        Host::Address(IpAddr::V4(address)) => *name == GeneralName::IPAddress(&address.octets()),
        Host::Address(IpAddr::V6(address)) => *name == GeneralName::IPAddress(&address.octets()),
    }
}

fn extensions(tbs: &TbsCertificate<'_>, expected: &Expected<'_>) -> Result<(), X509Error> {
    let template = expected.template;
    let identifier = template.public_key.key_identifier();
    let authority_identifier = expected
        .issuer
        .map_or(identifier.clone(), Certificate::key_identifier);
    let mut found = Vec::new();
    for item in tbs.extensions() {
        let critical = item.critical;
        let good = match item.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => !critical && id.0 == identifier,
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                !critical
                    && id
                        .key_identifier
                        .as_ref()
                        .is_some_and(|k| k.0 == authority_identifier)
                    && id.authority_cert_issuer.is_none()
                    && id.authority_cert_serial.is_none()
            }
            ParsedExtension::KeyUsage(KeyUsage { flags }) => critical && *flags == key_usage(&template.kind),
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let wanted = purpose(&template.kind);
                !critical
                    && usage.client_auth == (wanted == Some(Purpose::Client))
                    && usage.server_auth == (wanted == Some(Purpose::Server))
                    && !(usage.any || usage.code_signing || usage.email_protection)
                    && !(usage.time_stamping || usage.ocsp_signing)
                    && usage.other.is_empty()
            }
            ParsedExtension::BasicConstraints(basic) => match &template.kind {
                Kind::Authority(ca) => {
                    critical && basic.ca && basic.path_len_constraint == Some(path_length(ca.authority))
                }
                Kind::Device(_) | Kind::Server(_) => false,
            },
            ParsedExtension::NameConstraints(parsed) => match &template.kind {
                Kind::Authority(ca) => {
                    critical && Some(&extension::read_name_constraints(parsed)?) == ca.constraints
                }
                Kind::Device(_) | Kind::Server(_) => false,
            },
            ParsedExtension::SubjectAlternativeName(names) => match &template.kind {
                Kind::Authority(_) => false,
                Kind::Device(draft) => {
                    let email = draft
                        .rfc822_name()
                        .map(|email| GeneralName::RFC822Name(email.as_str()));
                    !critical && names.general_names.iter().eq(email.iter())
                }
                Kind::Server(draft) => {
                    let hosts = draft.hosts();
                    !critical
                        && names.general_names.len() == hosts.len()
                        && names
                            .general_names
                            .iter()
                            .zip(hosts)
                            .all(|(name, host)| names_host(name, host))
                }
            },
            ParsedExtension::CRLDistributionPoints(points) => {
                let url = template.pointers.as_ref().map(|p| GeneralName::URI(&p.crl));
                let [point] = points.points.as_slice() else {
                    return demand(false, "it has several CRL distribution points");
                };
                let full = match &point.distribution_point {
                    Some(DistributionPointName::FullName(names)) => names.iter().eq(url.iter()),
                    _ => false,
                };
                !critical && full && point.reasons.is_none() && point.crl_issuer.is_none()
            }
            ParsedExtension::AuthorityInfoAccess(access) => {
                let pointers = template.pointers.iter();
                let wanted = pointers.flat_map(|pointers| {
                    let ocsp = pointers.ocsp.iter().map(|url| ("1.3.6.1.5.5.7.48.1", url));
                    ocsp.chain([("1.3.6.1.5.5.7.48.2", &pointers.ca)])
                });
                let found = access.accessdescs.iter();
                !critical
                    && found
                        .map(|d| (d.access_method.to_id_string(), d.access_location.clone()))
                        .eq(wanted.map(|(method, url)| (method.to_owned(), GeneralName::URI(url))))
            }
            _ => false,
        };
        let oid = item.oid.to_id_string();
        demand(good, &format!("its extension {oid} is not what was drafted"))?;
        found.push(oid);
    }
    found.sort_unstable();
    let mut wanted: Vec<String> = wanted_extensions(&template.kind, template.pointers.as_ref());
    wanted.sort_unstable();
    demand(
        found == wanted,
        "its extensions are not exactly those of its kind",
    )
}

fn path_length(authority: Authority) -> u32 {
    match authority {
        Authority::Root => 1,
        Authority::Issuing | Authority::Servers => 0,
    }
}

/// What a certificate, or those that a CA signs, are for (RFC 5280 §4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Client,
    Server,
}

fn purpose(kind: &Kind<'_>) -> Option<Purpose> {
    match kind {
        Kind::Device(_) => Some(Purpose::Client),
        Kind::Server(_) => Some(Purpose::Server),
        Kind::Authority(ca) => match ca.authority {
            Authority::Root => None,
            Authority::Issuing => Some(Purpose::Client),
            Authority::Servers => Some(Purpose::Server),
        },
    }
}

fn key_usage(kind: &Kind<'_>) -> u16 {
    match kind {
        Kind::Device(_) | Kind::Server(_) => DIGITAL_SIGNATURE,
        Kind::Authority(ca) => match ca.authority {
            Authority::Root | Authority::Servers => KEY_CERT_SIGN | CRL_SIGN,
            Authority::Issuing => DIGITAL_SIGNATURE | KEY_CERT_SIGN | CRL_SIGN,
        },
    }
}

fn wanted_extensions(kind: &Kind<'_>, pointers: Option<&Pointers>) -> Vec<String> {
    // SKI, AKI, keyUsage
    let mut wanted = vec!["2.5.29.14", "2.5.29.35", "2.5.29.15"];
    match kind {
        // basicConstraints, nameConstraints
        Kind::Authority(ca) => {
            wanted.push("2.5.29.19");
            wanted.extend(ca.constraints.map(|_| "2.5.29.30"));
        }
        // SAN
        Kind::Device(draft) => wanted.extend(draft.rfc822_name().map(|_| "2.5.29.17")),
        Kind::Server(_) => wanted.push("2.5.29.17"),
    }
    // EKU
    wanted.extend(purpose(kind).map(|_| "2.5.29.37"));
    if pointers.is_some() {
        // CDP, AIA
        wanted.extend(["2.5.29.31", "1.3.6.1.5.5.7.1.1"]);
    }
    wanted.into_iter().map(str::to_owned).collect()
}
