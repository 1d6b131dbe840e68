//! The extensions that rcgen does not write as the contract has them.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a form of name that is not named is refused"
)]

use der::Encode;
use der::asn1::{Ia5String, OctetString};
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AccessDescription, AuthorityInfoAccessSyntax, NameConstraints as Encoded};
use x509_parser::extensions::{GeneralName as ParsedName, NameConstraints as Parsed};

use super::X509Error;
use crate::model::{Domain, IpRange, NameConstraints};

/// id-ce-nameConstraints.
const NAME_CONSTRAINTS: &[u64] = &[2, 5, 29, 30];
/// id-ce-subjectKeyIdentifier.
const SUBJECT_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 14];
/// id-pe-authorityInfoAccess.
const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
/// id-ad-caIssuers (RFC 5280 §4.2.2.1).
const CA_ISSUERS: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");

fn build_error(error: der::Error) -> X509Error {
    X509Error::Build(error.to_string())
}

fn subtree(base: GeneralName) -> GeneralSubtree {
    GeneralSubtree {
        base,
        minimum: 0,
        maximum: None,
    }
}

fn ia5(text: &str) -> Result<Ia5String, X509Error> {
    Ia5String::new(text).map_err(build_error)
}

/// nameConstraints, critical (RFC 5280 §4.2.1.10): DNS names, e-mail addresses and URIs of the domains and below them, the IP
/// ranges, and no IP address at all where there are no ranges.
pub(super) fn name_constraints(constraints: &NameConstraints) -> Result<rcgen::CustomExtension, X509Error> {
    let mut permitted = Vec::new();
    for domain in &constraints.domains {
        permitted.push(subtree(GeneralName::DnsName(ia5(domain.as_str())?)));
    }
    for domain in constraints.mail() {
        permitted.push(subtree(GeneralName::Rfc822Name(ia5(domain.as_str())?)));
        permitted.push(subtree(GeneralName::Rfc822Name(ia5(&format!(".{domain}"))?)));
    }
    for domain in &constraints.domains {
        permitted.push(subtree(GeneralName::UniformResourceIdentifier(ia5(
            domain.as_str()
        )?)));
        permitted.push(subtree(GeneralName::UniformResourceIdentifier(ia5(&format!(
            ".{domain}"
        ))?)));
    }
    let ip = |octets: Vec<u8>| {
        OctetString::new(octets)
            .map(GeneralName::IpAddress)
            .map_err(build_error)
    };
    for range in &constraints.ip_ranges {
        permitted.push(subtree(ip(range.octets())?));
    }
    let excluded = if constraints.ip_ranges.is_empty() {
        Some(vec![subtree(ip(vec![0; 8])?), subtree(ip(vec![0; 32])?)])
    } else {
        None
    };
    let encoded = Encoded {
        permitted_subtrees: Some(permitted),
        excluded_subtrees: excluded,
    };
    let content = encoded.to_der().map_err(build_error)?;
    let mut extension = rcgen::CustomExtension::from_oid_content(NAME_CONSTRAINTS, content);
    extension.set_criticality(true);
    Ok(extension)
}

/// The constraints that a CA's certificate carries, read back.
///
/// # Errors
/// Where they are not of the form that [`name_constraints`] writes.
pub(super) fn read_name_constraints(parsed: &Parsed<'_>) -> Result<NameConstraints, X509Error> {
    let foreign = || X509Error::Foreign("the name constraints are not of this program's making".into());
    let mut constraints = NameConstraints::default();
    let mut mail: Vec<Domain> = Vec::new();
    for subtree in parsed.permitted_subtrees.iter().flatten() {
        match &subtree.base {
            ParsedName::DNSName(name) => constraints.domains.push(name.parse().map_err(|_| foreign())?),
            ParsedName::RFC822Name(name) if name.starts_with('.') => {}
            ParsedName::RFC822Name(name) => mail.push(name.parse().map_err(|_| foreign())?),
            ParsedName::IPAddress(octets) => {
                constraints.ip_ranges.push(ip_range(octets).ok_or_else(foreign)?)
            }
            ParsedName::URI(_) => {}
            _ => return Err(foreign()),
        }
    }
    let excluded = parsed.excluded_subtrees.as_deref().unwrap_or_default();
    let no_address = [&[0_u8; 8][..], &[0_u8; 32]];
    let as_written = match constraints.ip_ranges.as_slice() {
        [] => excluded
            .iter()
            .map(|s| &s.base)
            .eq(no_address.map(ParsedName::IPAddress).iter()),
        _ => excluded.is_empty(),
    };
    if !as_written {
        return Err(foreign());
    }
    mail.retain(|domain| !constraints.domains.contains(domain));
    constraints.email_domains = mail;
    Ok(constraints)
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

/// authorityInfoAccess with one caIssuers URL (RFC 5280 §4.2.2.1).
pub(super) fn ca_issuers(url: &str) -> Result<rcgen::CustomExtension, X509Error> {
    let access_location = GeneralName::UniformResourceIdentifier(ia5(url)?);
    let syntax = AuthorityInfoAccessSyntax(vec![AccessDescription {
        access_method: CA_ISSUERS,
        access_location,
    }]);
    let content = syntax.to_der().map_err(build_error)?;
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
