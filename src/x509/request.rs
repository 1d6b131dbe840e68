//! Certificate signing requests (RFC 2986). Of a request that is read only the public key counts, and the
//! proof that whoever made it holds that key.

use der::asn1::{Any, AnyRef, BitString, BitStringRef, ObjectIdentifier, SetOfVec, UintRef};
use der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};
use spki::{AlgorithmIdentifier, AlgorithmIdentifierRef};
use x509_cert::attr::Attribute;
use x509_cert::der::oid::AssociatedOid;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::SubjectPublicKeyInfo;

use super::key_kind::KeyKind;
use super::{Certificate, X509Error, extension, pem};
use crate::key::{self, PublicKey, Signer};
use crate::model::{Contents, Host, Kind, Unwanted};

/// ecdsa-with-SHA256 (RFC 5758 §3.2).
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// id-at-commonName (RFC 5280 appendix A.1).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// The tag of the attributes.
const ATTRIBUTES: Tag = Tag::ContextSpecific {
    constructed: true,
    number: TagNumber(0),
};
/// extensionRequest (RFC 2985 §5.4.2).
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");

/// A request whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    public_key: PublicKey,
}

/// The errors by which a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Larger than any request with a P-256 key.
    #[error("is larger than {} KiB", Request::MAX / 1024)]
    TooLarge,
    /// Not PKCS#10.
    #[error("is a certificate signing request that cannot be read: {0}")]
    Malformed(String),
    /// The file has something else, or several requests.
    #[error(transparent)]
    Unwanted(#[from] Unwanted),
    /// There is a private key in the file with it.
    #[error("holds a private key: give the request alone, and keep the key where it is")]
    HoldsKey,
    /// The curve of the key is given by its parameters and not by its name.
    #[error(
        "has a key whose curve is written out instead of named, which no certificate may have (RFC 5480)"
    )]
    WrittenOut,
    /// The public key is not a point of P-256.
    #[error("has a key that is no point of its curve, P-256")]
    Point,
    /// The key is of another kind.
    #[error("has a key of the algorithm {0}: only P-256 keys are certified")]
    Algorithm(String),
    /// The signature's algorithm is another.
    #[error("is signed with the algorithm {0}: only ecdsa-with-SHA256 is accepted")]
    Signature(String),
    /// The signature does not match the key.
    #[error("has a signature that is not by its own key")]
    NotProven,
}

impl Request {
    /// The most octets that a request may have.
    pub const MAX: usize = 64 * 1024;

    /// Reads a file with one request, however it is written, and verifies that whoever made it holds the key.
    ///
    /// # Errors
    /// Anything but one well-formed request with a P-256 key and a valid ecdsa-with-SHA256 signature.
    pub fn parse(octets: &[u8]) -> Result<Self, RequestError> {
        if octets.len() > Self::MAX {
            return Err(RequestError::TooLarge);
        }
        let contents = Contents::of(octets);
        let request = Parts::of(contents.only(Kind::Request)?)?;
        if contents.holds_key() {
            return Err(RequestError::HoldsKey);
        }
        let public_key = match (KeyKind::of(request.key), PublicKey::from_spki(request.key)) {
            (KeyKind::WrittenOut, _) => return Err(RequestError::WrittenOut),
            (kind, Err(_)) if kind.to_string() == "P-256" => return Err(RequestError::Point),
            (kind, Err(_)) => return Err(RequestError::Algorithm(kind.to_string())),
            (_, Ok(key)) => key,
        };
        if request.algorithm != ECDSA_WITH_SHA256 {
            return Err(RequestError::Signature(algorithm_name(&request.algorithm)));
        }
        if !public_key.verifies(request.signed, request.signature) {
            return Err(RequestError::NotProven);
        }
        Ok(Self { public_key })
    }

    /// The public key, whose private key the maker of the request holds.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

/// The parts of a request that count, as they stand there: what is signed is never written anew.
struct Parts<'a> {
    /// CertificationRequestInfo, which the signature is over.
    signed: &'a [u8],
    /// SubjectPublicKeyInfo.
    key: &'a [u8],
    /// The algorithm of the signature.
    algorithm: ObjectIdentifier,
    signature: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(der: &'a [u8]) -> Result<Self, RequestError> {
        Self::read(der).map_err(|e| RequestError::Malformed(e.to_string()))
    }

    fn read(der: &'a [u8]) -> der::Result<Self> {
        let whole = AnyRef::from_der(der)?;
        let mut whole = SliceReader::new(sequence(whole)?)?;
        let signed = whole.tlv_bytes()?;
        let algorithm = whole.decode::<AlgorithmIdentifierRef<'_>>()?.oid;
        let signature = whole.decode::<BitStringRef<'_>>()?;
        whole.finish()?;
        let info = AnyRef::from_der(signed)?;
        let mut info = SliceReader::new(sequence(info)?)?;
        let _version = info.decode::<UintRef<'_>>()?;
        let _subject = sequence(info.decode::<AnyRef<'_>>()?)?;
        let key = info.tlv_bytes()?;
        // RFC 2986 §4 has attributes in every request. Some devices leave them out where they have none.
        if !info.is_finished() {
            info.decode::<AnyRef<'_>>()?.tag().assert_eq(ATTRIBUTES)?;
        }
        info.finish()?;
        Ok(Self {
            signed,
            key,
            algorithm,
            // One that is no whole number of octets is nobody's.
            signature: signature.as_bytes().unwrap_or_default(),
        })
    }
}

fn sequence(element: AnyRef<'_>) -> der::Result<&[u8]> {
    element.tag().assert_eq(Tag::Sequence)?;
    Ok(element.value())
}

/// The SubjectPublicKeyInfo in a request, of whatever kind its key is and whoever signed it.
///
/// # Errors
/// Anything but a request in DER.
pub fn key(der: &[u8]) -> Result<&[u8], RequestError> {
    Ok(Parts::of(der)?.key)
}

/// The hosts that a request asks for, by its CN and its alternative names (RFC 8555 §7.4); none where it asks
/// for anything but DNS names.
///
/// # Errors
/// Anything but a request in DER whose names can be read.
pub fn names(der: &[u8]) -> Result<Option<Vec<String>>, RequestError> {
    let malformed = |e: der::Error| RequestError::Malformed(e.to_string());
    let request = CertReq::from_der(der).map_err(malformed)?;
    let mut found = Vec::new();
    for part in request.info.subject.iter() {
        if part.oid == COMMON_NAME {
            let Ok(text) = std::str::from_utf8(part.value.value()) else {
                return Ok(None);
            };
            found.push(text.to_ascii_lowercase());
        }
    }
    let attributes = request.info.attributes.iter();
    for attribute in attributes.filter(|attribute| attribute.oid == EXTENSION_REQUEST) {
        for value in attribute.values.iter() {
            let extensions: Vec<Extension> = value.decode_as().map_err(malformed)?;
            let names = extensions
                .iter()
                .filter(|extension| extension.extn_id == SubjectAltName::OID);
            for names in names {
                let names = SubjectAltName::from_der(names.extn_value.as_bytes()).map_err(malformed)?;
                for name in names.0 {
                    let GeneralName::DnsName(name) = name else {
                        return Ok(None);
                    };
                    found.push(name.as_str().to_ascii_lowercase());
                }
            }
        }
    }
    Ok(Some(found))
}

/// Writes a request for the certificate of a server, or of a CA, which is named by whoever certifies it: PEM.
///
/// # Errors
/// Should the library fail to encode it, or what it wrote not read back.
pub fn create(host: Option<&Host>, key: &dyn Signer) -> Result<String, X509Error> {
    let failed = |e: der::Error| X509Error::Build(e.to_string());
    let subject = match host {
        Some(host) => format!("CN={host}").parse().map_err(failed)?,
        None => Name::default(),
    };
    let names = host.map(extension::subject_alt_name).transpose()?;
    write(subject, names, key)
}

/// Writes a request for the certificate that is to follow this one, for a new key: subject and names are the
/// same (RFC 7030 §4.2.2). PEM.
///
/// # Errors
/// As [`create`].
pub fn renewal(certificate: &Certificate, key: &dyn Signer) -> Result<String, X509Error> {
    let failed = |e: der::Error| X509Error::Build(e.to_string());
    let before = x509_cert::Certificate::from_der(certificate.der()).map_err(failed)?;
    let tbs = before.tbs_certificate();
    let extensions = tbs.extensions().into_iter().flatten();
    let names = extensions
        .into_iter()
        .find(|extension| extension.extn_id == SubjectAltName::OID);
    write(tbs.subject().clone(), names.cloned(), key)
}

/// Writes a request for this subject and these alternative names.
fn write(subject: Name, names: Option<Extension>, key: &dyn Signer) -> Result<String, X509Error> {
    let failed = |e: der::Error| X509Error::Build(e.to_string());
    let attributes = match names {
        Some(names) => {
            let extensions = Any::encode_from(&vec![names]).map_err(failed)?;
            let mut values = SetOfVec::new();
            values.insert(extensions).map_err(failed)?;
            let request = Attribute {
                oid: EXTENSION_REQUEST,
                values,
            };
            SetOfVec::try_from(vec![request]).map_err(failed)?
        }
        None => SetOfVec::new(),
    };
    let info = CertReqInfo {
        version: Version::V1,
        subject,
        public_key: SubjectPublicKeyInfo::from_der(key.public_key().spki()).map_err(failed)?,
        attributes,
    };
    let signature = key::sign(key, &info.to_der().map_err(failed)?)?.to_der();
    let request = CertReq {
        info,
        algorithm: AlgorithmIdentifier {
            oid: ECDSA_WITH_SHA256,
            parameters: None,
        },
        signature: BitString::from_bytes(&signature).map_err(failed)?,
    };
    let text = pem::encode(pem::REQUEST, &request.to_der().map_err(failed)?);
    match Request::parse(text.as_bytes()) {
        Ok(read) if read.public_key() == key.public_key() => Ok(text),
        Ok(_) | Err(_) => Err(X509Error::Build("the request does not read back".into())),
    }
}

fn algorithm_name(oid: &ObjectIdentifier) -> String {
    match oid.to_string().as_str() {
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384".into(),
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512".into(),
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1".into(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::seeds::Company;
    use crate::key::{SoftwareKey, os_rng};

    #[test]
    fn a_request_for_a_renewal_has_subject_and_names_of_the_certificate_and_the_new_key() {
        let [old, new] = std::array::from_fn(|_| SoftwareKey::generate(&mut os_rng()));
        let before = Company::new().device_of("alice/phone", old.public_key());
        let text = renewal(&before, &new).unwrap();
        assert_eq!(
            Request::parse(text.as_bytes()).unwrap().public_key(),
            new.public_key()
        );
        let der = pem::decode(pem::REQUEST, text.as_bytes()).unwrap();
        let request = CertReq::from_der(&der).unwrap();
        assert_eq!(request.info.subject.to_der().unwrap(), before.subject());
        let names: &[u8] = b"alice@mail.example";
        for octets in [&der, before.der()] {
            assert!(octets.windows(names.len()).any(|part| part == names));
        }
    }

    #[test]
    fn what_is_too_large_is_not_even_parsed() {
        assert_eq!(
            Request::parse(&vec![0x30; Request::MAX + 1]),
            Err(RequestError::TooLarge)
        );
    }
}
