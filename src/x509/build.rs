//! Writing certificates: rcgen encodes, [`lint`] reads the octets again, and only then does the key sign them.

use std::cell::RefCell;

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    SanType, SerialNumber, SignatureAlgorithm, SigningKey,
};

use super::lint::{self, Expected};
use super::{Certificate, X509Error, extension};
use crate::key::{PublicKey, SoftwareKey};
use crate::model::{Authority, Draft, NameConstraints, Serial, Time, Validity};

/// UID (RFC 4519 §2.39).
const USER_ID: &[u64] = &[0, 9, 2342, 19_200_300, 100, 1, 1];

/// What a certificate will hold, whoever signs it.
#[derive(Debug, Clone)]
pub struct Template<'a> {
    /// Its serial number.
    pub serial: Serial,
    /// Its subject's key.
    pub public_key: &'a PublicKey,
    /// Where its issuer's CRL and certificate are served.
    pub pointers: Option<Pointers>,
    /// Whose certificate it is.
    pub kind: Kind<'a>,
}

/// The kinds of certificate.
#[derive(Debug, Clone)]
pub enum Kind<'a> {
    /// A CA's own.
    Authority(AuthorityKind<'a>),
    /// A device's.
    Device(&'a Draft),
}

/// What a CA's certificate says.
#[derive(Debug, Clone)]
pub struct AuthorityKind<'a> {
    /// Which CA.
    pub authority: Authority,
    /// O.
    pub organization: &'a str,
    /// When it is good.
    pub validity: Validity,
    /// Whom it can vouch for.
    pub constraints: &'a NameConstraints,
}

/// Where a CA's CRL and its certificate are served (RFC 5280 §4.2.1.13 and §4.2.2.1). Plain http, as both are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointers {
    /// The CRL's URL.
    pub crl: String,
    /// The CA certificate's URL.
    pub ca: String,
}

impl Pointers {
    /// Where `base_url` serves what `authority` publishes.
    pub fn new(base_url: &str, authority: Authority) -> Self {
        let base = base_url.trim_end_matches('/');
        Self {
            crl: format!("{base}/crl/{authority}.crl"),
            ca: format!("{base}/ca/{authority}.der"),
        }
    }
}

/// The CN of a CA of this organization.
pub fn authority_name(authority: Authority, organization: &str) -> String {
    match authority {
        Authority::Root => format!("{organization} Root CA"),
        Authority::Issuing => format!("{organization} Issuing CA"),
    }
}

/// Signs `template` with the key of `issuer`.
///
/// # Errors
/// Where it cannot be encoded, or what was encoded is not what the template says.
pub fn certificate(
    template: &Template<'_>,
    issuer: &Certificate,
    key: &SoftwareKey,
) -> Result<Certificate, X509Error> {
    let params = params(template)?;
    let issuer_params = issuer_params(issuer)?;
    let expected = Expected {
        template,
        issuer: Some(issuer),
    };
    let gate = Gate::new(key, &expected);
    let signed = params.signed_by(
        &Subject(template.public_key),
        &rcgen::Issuer::from_params(&issuer_params, &gate),
    );
    let certificate = gate.outcome(signed)?;
    if !certificate.is_issued_by(issuer) {
        return Err(X509Error::NotSignedBy("the new certificate", "its issuing CA"));
    }
    Ok(certificate)
}

/// Signs the root's `template` with its own key.
///
/// # Errors
/// As [`certificate`].
pub fn self_signed(template: &Template<'_>, key: &SoftwareKey) -> Result<Certificate, X509Error> {
    let params = params(template)?;
    let expected = Expected {
        template,
        issuer: None,
    };
    let gate = Gate::new(key, &expected);
    let certificate = gate.outcome(params.self_signed(&gate))?;
    if !certificate.is_issued_by(&certificate) {
        return Err(X509Error::NotSignedBy("the new root", "itself"));
    }
    Ok(certificate)
}

fn params(template: &Template<'_>) -> Result<CertificateParams, X509Error> {
    let mut params = CertificateParams::default();
    let identifier = template.public_key.key_identifier();
    params.serial_number = Some(SerialNumber::from_slice(template.serial.octets()));
    params.use_authority_key_identifier_extension = true;
    params.key_identifier_method = KeyIdMethod::PreSpecified(identifier.clone());
    params.distinguished_name = DistinguishedName::new();
    if let Some(pointers) = &template.pointers {
        params.crl_distribution_points = vec![CrlDistributionPoint {
            uris: vec![pointers.crl.clone()],
        }];
        params
            .custom_extensions
            .push(extension::ca_issuers(&pointers.ca)?);
    }
    let validity = match &template.kind {
        Kind::Authority(ca) => {
            authority_params(&mut params, ca)?;
            ca.validity
        }
        Kind::Device(draft) => {
            device_params(
                &mut params,
                draft,
                extension::subject_key_identifier(&identifier)?,
            )?;
            draft.validity()
        }
    };
    params.not_before = date_time(validity.not_before)?;
    params.not_after = date_time(validity.not_after)?;
    Ok(params)
}

fn authority_params(params: &mut CertificateParams, ca: &AuthorityKind<'_>) -> Result<(), X509Error> {
    let name = authority_name(ca.authority, ca.organization);
    params
        .distinguished_name
        .push(DnType::OrganizationName, ca.organization);
    params.distinguished_name.push(DnType::CommonName, name);
    params
        .custom_extensions
        .push(extension::name_constraints(ca.constraints)?);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    match ca.authority {
        Authority::Root => params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1)),
        Authority::Issuing => {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages.insert(0, KeyUsagePurpose::DigitalSignature);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
    }
    Ok(())
}

fn device_params(
    params: &mut CertificateParams,
    draft: &Draft,
    ski: CustomExtension,
) -> Result<(), X509Error> {
    let subject = draft.subject();
    let name = &mut params.distinguished_name;
    name.push(DnType::OrganizationName, subject.organization.as_str());
    name.push(DnType::CustomDnType(USER_ID.to_vec()), subject.uid.to_string());
    if let Some(common_name) = &subject.common_name {
        name.push(DnType::CommonName, common_name.as_str());
    }
    if let Some(email) = draft.rfc822_name() {
        let email = email
            .as_str()
            .try_into()
            .map_err(|e: rcgen::Error| X509Error::Build(e.to_string()))?;
        params.subject_alt_names = vec![SanType::Rfc822Name(email)];
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.custom_extensions.push(ski);
    Ok(())
}

/// What rcgen must know of an issuer. Our CAs' subjects are O and CN; the lint compares the octets.
fn issuer_params(issuer: &Certificate) -> Result<CertificateParams, X509Error> {
    let foreign = || X509Error::Foreign("the issuer's subject is not O and CN".into());
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(
        DnType::OrganizationName,
        issuer.organization().ok_or_else(foreign)?,
    );
    params
        .distinguished_name
        .push(DnType::CommonName, issuer.common_name().ok_or_else(foreign)?);
    params.key_identifier_method = KeyIdMethod::PreSpecified(issuer.key_identifier());
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn date_time(time: Time) -> Result<time::OffsetDateTime, X509Error> {
    time::OffsetDateTime::from_unix_timestamp(time.unix()).map_err(|e| X509Error::Build(e.to_string()))
}

/// A subject's public key, as rcgen wants it.
struct Subject<'a>(&'a PublicKey);

impl PublicKeyData for Subject<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.point()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// The only way to a key: what rcgen hands over for signing is read by the lint first.
struct Gate<'a> {
    key: &'a SoftwareKey,
    expected: &'a Expected<'a>,
    refused: RefCell<Option<X509Error>>,
}

impl<'a> Gate<'a> {
    fn new(key: &'a SoftwareKey, expected: &'a Expected<'a>) -> Self {
        Self {
            key,
            expected,
            refused: RefCell::new(None),
        }
    }

    /// rcgen's answer, or the lint's where it refused.
    fn outcome(&self, signed: Result<rcgen::Certificate, rcgen::Error>) -> Result<Certificate, X509Error> {
        match (signed, self.refused.take()) {
            (_, Some(refusal)) => Err(refusal),
            (Err(error), None) => Err(X509Error::Build(error.to_string())),
            (Ok(certificate), None) => Certificate::from_der(certificate.der()),
        }
    }
}

impl PublicKeyData for Gate<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.key.public_key().point()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Gate<'_> {
    fn sign(&self, to_be_signed: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match lint::certificate(to_be_signed, self.expected) {
            Ok(()) => Ok(self.key.sign(to_be_signed)),
            Err(refusal) => {
                self.refused.replace(Some(refusal));
                Err(rcgen::Error::RemoteKeyError)
            }
        }
    }
}
