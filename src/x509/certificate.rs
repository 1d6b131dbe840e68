//! A certificate that was read: the fields of it that this program uses.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an extension that is not named is of no concern to its reader"
)]

use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::{FromDer, ParsedExtension};

use super::{X509Error, envelope, extension, pem};
use crate::key::PublicKey;
use crate::model::{Authority, Contents, Kind, NameConstraints, Time, Validity};

/// UID (RFC 4519 §2.39).
const USER_ID: &str = "0.9.2342.19200300.100.1.1";

/// A certificate with a P-256 key, parsed by x509-parser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    tbs: std::ops::Range<usize>,
    signature: Vec<u8>,
    serial: Vec<u8>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    subject_text: String,
    issuer_text: String,
    organization: Option<String>,
    common_name: Option<String>,
    user_id: Option<String>,
    validity: Validity,
    public_key: PublicKey,
    is_ca: bool,
    usage: Usage,
    subject_key_identifier: Option<Vec<u8>>,
    name_constraints: Option<NameConstraints>,
}

/// The purposes of a certificate's key: its keyUsage and extKeyUsage, as far as this program uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// keyUsage digitalSignature.
    pub digital_signature: bool,
    /// keyUsage keyCertSign.
    pub key_cert_sign: bool,
    /// keyUsage cRLSign.
    pub crl_sign: bool,
    /// id-kp-clientAuth.
    pub client_auth: bool,
    /// id-kp-serverAuth.
    pub server_auth: bool,
    /// Any other purpose, anyExtendedKeyUsage included.
    pub other_purposes: bool,
}

impl Usage {
    /// The purposes in the certificate of a CA: neither of the two that the root makes can pass for the
    /// other, and only the devices' CA signs statements (RFC 5280 §4.2.1.3 and §4.2.1.12).
    pub fn of(authority: Authority) -> Self {
        Self {
            digital_signature: authority == Authority::Issuing,
            key_cert_sign: true,
            crl_sign: true,
            client_auth: authority == Authority::Issuing,
            server_auth: authority == Authority::Servers,
            other_purposes: false,
        }
    }
}

/// The one certificate that these octets are.
///
/// # Errors
/// Anything but exactly one certificate.
pub(super) fn only(der: &[u8]) -> Result<X509Certificate<'_>, X509Error> {
    let malformed = X509Error::malformed("the certificate");
    let (rest, parsed) = X509Certificate::from_der(der).map_err(|e| malformed(&e))?;
    if rest.is_empty() {
        Ok(parsed)
    } else {
        Err(X509Error::TrailingOctets("the certificate"))
    }
}

impl Certificate {
    /// Reads one certificate in DER.
    ///
    /// # Errors
    /// Anything but exactly one certificate with a P-256 key.
    pub fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        let parsed = only(der)?;
        let tbs = &parsed.tbs_certificate;
        let text = |name: &x509_parser::x509::X509Name<'_>| -> String { name.to_string() };
        let first = |mut values: Box<dyn Iterator<Item = String> + '_>| values.next();
        let organization = first(Box::new(
            tbs.subject
                .iter_organization()
                .filter_map(|a| a.as_str().ok())
                .map(str::to_owned),
        ));
        let common_name = first(Box::new(
            tbs.subject
                .iter_common_name()
                .filter_map(|a| a.as_str().ok())
                .map(str::to_owned),
        ));
        let user_id = tbs
            .subject
            .iter_attributes()
            .find(|attribute| attribute.attr_type().to_id_string() == USER_ID)
            .and_then(|attribute| attribute.as_str().ok())
            .map(str::to_owned);
        let mut subject_key_identifier = None;
        let mut name_constraints = None;
        let mut usage = Usage::default();
        for item in tbs.extensions() {
            match item.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => subject_key_identifier = Some(id.0.to_vec()),
                ParsedExtension::NameConstraints(parsed) => {
                    name_constraints = Some(extension::read_name_constraints(parsed)?);
                }
                ParsedExtension::KeyUsage(bits) => {
                    usage.digital_signature = bits.digital_signature();
                    usage.key_cert_sign = bits.key_cert_sign();
                    usage.crl_sign = bits.crl_sign();
                }
                ParsedExtension::ExtendedKeyUsage(purposes) => {
                    usage.client_auth = purposes.client_auth;
                    usage.server_auth = purposes.server_auth;
                    usage.other_purposes = purposes.any
                        || purposes.code_signing
                        || purposes.email_protection
                        || purposes.time_stamping
                        || purposes.ocsp_signing
                        || !purposes.other.is_empty();
                }
                ParsedExtension::ParseError { error } => {
                    return Err(X509Error::malformed("the certificate")(error));
                }
                _ => {}
            }
        }
        // TBSCertificate is the first element of the outer SEQUENCE; x509-parser keeps its octets.
        let raw = AsRef::<[u8]>::as_ref(tbs);
        let start = der.windows(raw.len()).position(|w| w == raw).unwrap_or_default();
        let malformed = X509Error::malformed("the certificate");
        let algorithm = envelope::named_algorithm(raw).map_err(|e| malformed(&e))?;
        if !envelope::is_around(der, raw, algorithm, &parsed.signature_value.data) {
            return Err(malformed(
                &"what stands around its signed octets is no DER, or names another algorithm",
            ));
        }
        Ok(Self {
            tbs: start..start + raw.len(),
            signature: parsed.signature_value.data.to_vec(),
            serial: tbs.raw_serial().to_vec(),
            subject: tbs.subject.as_raw().to_vec(),
            issuer: tbs.issuer.as_raw().to_vec(),
            subject_text: text(&tbs.subject),
            issuer_text: text(&tbs.issuer),
            organization,
            common_name,
            user_id,
            validity: Validity {
                not_before: Time::from_unix(tbs.validity.not_before.timestamp()),
                not_after: Time::from_unix(tbs.validity.not_after.timestamp()),
            },
            public_key: PublicKey::from_spki(tbs.subject_pki.raw)
                .map_err(|e| X509Error::Foreign(format!("the certificate cannot be used: {e}")))?,
            is_ca: tbs.is_ca(),
            usage,
            subject_key_identifier,
            name_constraints,
            der: der.to_vec(),
        })
    }

    /// Reads one certificate in PEM.
    ///
    /// # Errors
    /// Anything but exactly one certificate with a P-256 key.
    pub fn from_pem(text: &[u8]) -> Result<Self, X509Error> {
        Self::from_der(&pem::decode(pem::CERTIFICATE, text)?)
    }

    /// Reads the only certificate of a file that somebody hands in, however it is written.
    ///
    /// # Errors
    /// Anything but exactly one certificate with a P-256 key.
    pub fn only_in(octets: &[u8]) -> Result<Self, X509Error> {
        Self::from_der(Contents::of(octets).only(Kind::Certificate)?)
    }

    /// The whole certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The whole certificate in PEM.
    pub fn pem(&self) -> String {
        pem::encode(pem::CERTIFICATE, &self.der)
    }

    /// The content octets of the serial number.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The subject in DER.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The subject as text, for people.
    pub fn subject_text(&self) -> &str {
        &self.subject_text
    }

    /// The issuer as text, for people.
    pub fn issuer_text(&self) -> &str {
        &self.issuer_text
    }

    /// O of the subject.
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// CN of the subject.
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// UID of the subject (RFC 4519 §2.39): the address of the device.
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    /// The validity period.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The subject's key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// basicConstraints cA.
    pub fn is_ca(&self) -> bool {
        self.is_ca
    }

    /// The purposes of its key.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether it is the certificate of a CA that has the powers of this one, no more and no less.
    pub fn is_ca_like(&self, authority: Authority) -> bool {
        self.is_ca && self.usage == Usage::of(authority)
    }

    /// The key identifier that the certificates it signs refer to: its own SKI.
    pub fn key_identifier(&self) -> Vec<u8> {
        self.subject_key_identifier
            .clone()
            .unwrap_or_else(|| self.public_key.key_identifier())
    }

    /// Its name constraints, where it has any.
    pub fn name_constraints(&self) -> Option<&NameConstraints> {
        self.name_constraints.as_ref()
    }

    /// SHA-256 of the DER.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// Whether it is these octets, which were signed, and this signature (ECDSA-Sig-Value, DER).
    pub(super) fn is_made_of(&self, to_be_signed: &[u8], signature: &[u8]) -> bool {
        self.der[self.tbs.clone()] == *to_be_signed && self.signature == signature
    }

    /// Whether `issuer` is named as its issuer and signed it (RFC 5280 §6.1.3 a).
    pub fn is_issued_by(&self, issuer: &Self) -> bool {
        self.issuer == issuer.subject
            && issuer
                .public_key
                .verifies(&self.der[self.tbs.clone()], &self.signature)
    }
}
