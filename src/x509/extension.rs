//! Writes and reads the extensions that rcgen does not write in the form that this program needs.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a form of name that is not named is refused"
)]

use der::Encode;
use der::asn1::{Ia5String, OctetString};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, NameConstraints as Encoded, SubjectAltName,
};
use x509_parser::extensions::{GeneralName as ParsedName, NameConstraints as Parsed};

use super::X509Error;
use crate::model::{Domain, Host, IpRange, NameConstraints};

/// id-ce-nameConstraints.
const NAME_CONSTRAINTS: &[u64] = &[2, 5, 29, 30];
/// id-ce-subjectKeyIdentifier.
const SUBJECT_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 14];
/// id-ce-subjectAltName.
const SUBJECT_ALT_NAME: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.17");
/// id-pe-authorityInfoAccess.
const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
/// id-ad-ocsp (RFC 5280 §4.2.2.1).
const OCSP: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
/// id-ad-caIssuers (RFC 5280 §4.2.2.1).
const CA_ISSUERS: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");

fn build_error(error: der::Error) -> X509Error {
    X509Error::Build(error.to_string())
}

fn ia5(text: &str) -> Result<Ia5String, X509Error> {
    Ia5String::new(text).map_err(build_error)
}

/// The base of a subtree, whichever library wrote or read it.
#[derive(Debug, PartialEq, Eq)]
enum Base {
    Mail(String),
    Dns(String),
    Uri(String),
    Address(Vec<u8>),
}

impl Base {
    fn encoded(&self) -> Result<GeneralSubtree, X509Error> {
        let base = match self {
            Self::Mail(name) => GeneralName::Rfc822Name(ia5(name)?),
            Self::Dns(name) => GeneralName::DnsName(ia5(name)?),
            Self::Uri(host) => GeneralName::UniformResourceIdentifier(ia5(host)?),
            Self::Address(octets) => {
                GeneralName::IpAddress(OctetString::new(octets.as_slice()).map_err(build_error)?)
            }
        };
        Ok(GeneralSubtree {
            base,
            minimum: 0,
            maximum: None,
        })
    }

    fn parsed(name: &ParsedName<'_>) -> Option<Self> {
        match name {
            ParsedName::RFC822Name(name) => Some(Self::Mail((*name).to_owned())),
            ParsedName::DNSName(name) => Some(Self::Dns((*name).to_owned())),
            ParsedName::URI(host) => Some(Self::Uri((*host).to_owned())),
            ParsedName::IPAddress(octets) => Some(Self::Address(octets.to_vec())),
            _ => None,
        }
    }
}

/// What is permitted: DNS names and URIs of `domains` and below, e-mail addresses of `domains` and
/// `email_domains` and below, and the IP ranges. A dNSName constraint covers what is below it; rfc822Name and
/// URI need a second constraint for that, which begins with a dot (RFC 5280 §4.2.1.10).
fn permitted(constraints: &NameConstraints) -> Vec<Base> {
    let domains = || constraints.domains.iter();
    let below = |domain: &Domain| format!(".{domain}");
    let dns = domains().map(|domain| Base::Dns(domain.to_string()));
    let mail = constraints
        .mail()
        .flat_map(|domain| [domain.to_string(), below(domain)])
        .map(Base::Mail);
    let uris = domains()
        .flat_map(|domain| [domain.to_string(), below(domain)])
        .map(Base::Uri);
    let addresses = constraints
        .ip_ranges
        .iter()
        .map(|range| Base::Address(range.octets()));
    dns.chain(mail).chain(uris).chain(addresses).collect()
}

/// What is excluded: every IP address, where no range is permitted and not all of them are.
fn excluded(constraints: &NameConstraints) -> Vec<Base> {
    if constraints.ip_ranges.is_empty() && !constraints.any_address {
        vec![Base::Address(vec![0; 8]), Base::Address(vec![0; 32])]
    } else {
        Vec::new()
    }
}

/// nameConstraints, critical (RFC 5280 §4.2.1.10).
pub(super) fn name_constraints(constraints: &NameConstraints) -> Result<rcgen::CustomExtension, X509Error> {
    let encoded = |bases: Vec<Base>| bases.iter().map(Base::encoded).collect::<Result<Vec<_>, _>>();
    let content = Encoded {
        permitted_subtrees: Some(encoded(permitted(constraints))?),
        excluded_subtrees: Some(encoded(excluded(constraints))?).filter(|excluded| !excluded.is_empty()),
    };
    let content = content.to_der().map_err(build_error)?;
    let mut extension = rcgen::CustomExtension::from_oid_content(NAME_CONSTRAINTS, content);
    extension.set_criticality(true);
    Ok(extension)
}

/// The constraints that a CA's certificate carries, read back.
///
/// # Errors
/// Where they are not exactly as [`name_constraints`] writes them.
pub(super) fn read_name_constraints(parsed: &Parsed<'_>) -> Result<NameConstraints, X509Error> {
    let foreign = || X509Error::Foreign("the name constraints are not of this program's making".into());
    let bases = |subtrees: &Option<Vec<_>>| -> Option<Vec<Base>> {
        let subtrees: &[x509_parser::extensions::GeneralSubtree<'_>] =
            subtrees.as_deref().unwrap_or_default();
        subtrees
            .iter()
            .map(|subtree| Base::parsed(&subtree.base))
            .collect()
    };
    let found = bases(&parsed.permitted_subtrees).ok_or_else(foreign)?;
    let mut constraints = NameConstraints::default();
    for base in &found {
        match base {
            Base::Dns(name) => constraints.domains.push(name.parse().map_err(|_| foreign())?),
            Base::Mail(name) if !name.starts_with('.') => {
                constraints
                    .email_domains
                    .push(name.parse().map_err(|_| foreign())?);
            }
            Base::Address(octets) => constraints.ip_ranges.push(ip_range(octets).ok_or_else(foreign)?),
            Base::Mail(_) | Base::Uri(_) => {}
        }
    }
    constraints.any_address = constraints.ip_ranges.is_empty() && parsed.excluded_subtrees.is_none();
    // The domains' own e-mail addresses are permitted anyway.
    let domains = &constraints.domains;
    constraints
        .email_domains
        .retain(|domain| !domains.contains(domain));
    let as_written = found == permitted(&constraints)
        && bases(&parsed.excluded_subtrees).is_some_and(|found| found == excluded(&constraints));
    if as_written {
        Ok(constraints)
    } else {
        Err(foreign())
    }
}

fn ip_range(octets: &[u8]) -> Option<IpRange> {
    let (address, mask) = octets.split_at_checked(octets.len() / 2)?;
    let prefix: u32 = mask.iter().map(|octet| octet.count_ones()).sum();
    let address: std::net::IpAddr = match address.len() {
        4 => <[u8; 4]>::try_from(address).ok()?.into(),
        16 => <[u8; 16]>::try_from(address).ok()?.into(),
        _ => return None,
    };
    let range: IpRange = format!("{address}/{prefix}").parse().ok()?;
    (range.octets() == octets).then_some(range)
}

/// authorityInfoAccess with the URL of an OCSP responder, where there is one, and one caIssuers URL (RFC 5280
/// §4.2.2.1).
pub(super) fn authority_information(
    ca: &str,
    ocsp: Option<&str>,
) -> Result<rcgen::CustomExtension, X509Error> {
    let described = |(access_method, url): (_, &str)| {
        Ok(AccessDescription {
            access_method,
            access_location: GeneralName::UniformResourceIdentifier(ia5(url)?),
        })
    };
    let urls = ocsp.map(|url| (OCSP, url)).into_iter().chain([(CA_ISSUERS, ca)]);
    let descriptions: Result<Vec<_>, X509Error> = urls.map(described).collect();
    let content = AuthorityInfoAccessSyntax(descriptions?)
        .to_der()
        .map_err(build_error)?;
    Ok(rcgen::CustomExtension::from_oid_content(
        AUTHORITY_INFO_ACCESS,
        content,
    ))
}

/// subjectKeyIdentifier (RFC 5280 §4.2.1.2), which rcgen writes for CAs only.
pub(super) fn subject_key_identifier(identifier: &[u8]) -> Result<rcgen::CustomExtension, X509Error> {
    let content = OctetString::new(identifier)
        .and_then(|octets| octets.to_der())
        .map_err(build_error)?;
    Ok(rcgen::CustomExtension::from_oid_content(
        SUBJECT_KEY_IDENTIFIER,
        content,
    ))
}

/// subjectAltName of a server, for a request (RFC 5280 §4.2.1.6).
pub(super) fn subject_alt_name(host: &Host) -> Result<Extension, X509Error> {
    let name = match host {
        Host::Name(name) => GeneralName::DnsName(ia5(name.as_str())?),
        Host::Address(address) => GeneralName::from(*address),
    };
    let content = SubjectAltName(vec![name]).to_der().map_err(build_error)?;
    Ok(Extension {
        extn_id: SUBJECT_ALT_NAME,
        critical: false,
        extn_value: OctetString::new(content).map_err(build_error)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::FromDer;

    /// What is read of these subtrees.
    fn read(permitted: &[Base], excluded: &[Base]) -> Result<NameConstraints, X509Error> {
        let subtrees = |bases: &[Base]| Some(bases.iter().map(|base| base.encoded().unwrap()).collect());
        let content = Encoded {
            permitted_subtrees: subtrees(permitted),
            excluded_subtrees: subtrees(excluded).filter(|_| !excluded.is_empty()),
        };
        let content = content.to_der().unwrap();
        read_name_constraints(&Parsed::from_der(&content).unwrap().1)
    }

    #[test]
    fn constraints_are_read_as_they_were_written_and_in_no_other_form() {
        for (mail, range, any_address) in [
            (None, None, false),
            (Some("mail.example"), Some("10.0.0.0/8"), false),
            (None, None, true),
        ] {
            let constraints = NameConstraints {
                domains: vec!["acme.example".parse().unwrap(), "acme.test".parse().unwrap()],
                email_domains: mail.iter().map(|domain| domain.parse().unwrap()).collect(),
                ip_ranges: range.iter().map(|range| range.parse().unwrap()).collect(),
                any_address,
            };
            let (inside, outside) = (permitted(&constraints), excluded(&constraints));
            assert_eq!(read(&inside, &outside).unwrap(), constraints);
            for missing in 0..inside.len() {
                let mut fewer = permitted(&constraints);
                let base = fewer.remove(missing);
                // A further mail domain or range that is missing is another set, and no malformed one.
                let other = matches!(base, Base::Address(_));
                let outcome = read(&fewer, &outside);
                assert!(outcome.is_err() || other, "{base:?} missing: {outcome:?}");
                assert_ne!(outcome.ok(), Some(constraints.clone()), "{base:?} missing");
            }
            for more in [
                Base::Uri("evil.example".into()),
                Base::Mail(".evil.example".into()),
            ] {
                let wider: Vec<Base> = permitted(&constraints).into_iter().chain([more]).collect();
                assert!(read(&wider, &outside).is_err());
            }
        }
    }
}
