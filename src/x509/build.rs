//! Writes certificates: rcgen encodes, [`lint`] reads the octets again, and only then does the key sign them.

use std::cell::RefCell;

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    SanType, SerialNumber, SignatureAlgorithm, SigningKey,
};

use super::lint::{self, Expected};
use super::template::{AuthorityKind, Kind, Template, authority_name};
use super::{Certificate, X509Error, extension};
use crate::key::{self, PublicKey, Signer};
use crate::model::server::ServerDraft;
use crate::model::{Authority, Draft, Host, Time};

/// UID (RFC 4519 §2.39).
const USER_ID: &[u64] = &[0, 9, 2342, 19_200_300, 100, 1, 1];

/// Signs `template` with the key of `issuer`.
///
/// # Errors
/// Where it cannot be encoded, or what was encoded is not what the template says.
pub fn certificate(
    template: &Template<'_>,
    issuer: &Certificate,
    key: &dyn Signer,
) -> Result<Certificate, X509Error> {
    if key.public_key() != issuer.public_key() {
        return Err(X509Error::NotSignedBy("the new certificate", "its issuing CA"));
    }
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
    gate.outcome(signed)
}

/// Signs the root's `template` with its own key.
///
/// # Errors
/// Where it cannot be encoded, or what was encoded is not what the template says.
pub fn self_signed(template: &Template<'_>, key: &dyn Signer) -> Result<Certificate, X509Error> {
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
        params.custom_extensions.push(extension::authority_information(
            &pointers.ca,
            pointers.ocsp.as_deref(),
        )?);
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
        Kind::Server(draft) => {
            server_params(
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
    if let Some(constraints) = ca.constraints {
        params
            .custom_extensions
            .push(extension::name_constraints(constraints)?);
    }
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    match ca.authority {
        Authority::Root => params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1)),
        Authority::Issuing => {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages.insert(0, KeyUsagePurpose::DigitalSignature);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
        // It signs no statements: those are the devices' CA's.
        Authority::Servers => {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
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

fn server_params(
    params: &mut CertificateParams,
    draft: &ServerDraft,
    ski: CustomExtension,
) -> Result<(), X509Error> {
    params
        .distinguished_name
        .push(DnType::CommonName, draft.host().common_name());
    let names = draft.hosts().iter().map(|host| {
        Ok(match host {
            Host::Name(name) => SanType::DnsName(
                name.as_str()
                    .try_into()
                    .map_err(|e: rcgen::Error| X509Error::Build(e.to_string()))?,
            ),
            Host::Address(address) => SanType::IpAddress(*address),
        })
    });
    params.subject_alt_names = names.collect::<Result<_, X509Error>>()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
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

/// The only way to a key: what rcgen hands over for signing is read by the lint first, and what it makes of
/// that and the signature is compared with both.
struct Gate<'a> {
    key: &'a dyn Signer,
    expected: &'a Expected<'a>,
    signed: RefCell<Option<Result<Signed, X509Error>>>,
}

/// What the key has signed, and its signature over that, which was verified.
struct Signed {
    to_be_signed: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Gate<'a> {
    fn new(key: &'a dyn Signer, expected: &'a Expected<'a>) -> Self {
        Self {
            key,
            expected,
            signed: RefCell::new(None),
        }
    }

    fn sign(&self, to_be_signed: &[u8]) -> Result<Signed, X509Error> {
        lint::certificate(to_be_signed, self.expected)?;
        Ok(Signed {
            to_be_signed: to_be_signed.to_vec(),
            signature: key::sign(self.key, to_be_signed)?.to_der(),
        })
    }

    /// rcgen's answer, which must be what was signed and nothing else; or why there is no signature: the lint
    /// or the key refused.
    fn outcome(&self, built: Result<rcgen::Certificate, rcgen::Error>) -> Result<Certificate, X509Error> {
        let signed = self.signed.take().transpose()?;
        let built = built.map_err(|error| X509Error::Build(error.to_string()))?;
        let certificate = Certificate::from_der(built.der())?;
        let is_that = |signed: &Signed| certificate.is_made_of(&signed.to_be_signed, &signed.signature);
        if !signed.as_ref().is_some_and(is_that) {
            return Err(X509Error::NotSignedBy("the new certificate", "its issuing CA"));
        }
        Ok(certificate)
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
        let signed = self.sign(to_be_signed);
        let signature = signed.as_ref().map(|signed| signed.signature.clone());
        let signature = signature.map_err(|_| rcgen::Error::RemoteKeyError);
        self.signed.replace(Some(signed));
        signature
    }
}

#[cfg(test)]
mod tests;
