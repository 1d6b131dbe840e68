//! Certificate signing requests (RFC 2986). Of those that are read only the public key counts, and the proof that its key is held.

use der::asn1::{Any, BitString, ObjectIdentifier, SetOfVec};
use der::{Decode, Encode};
use spki::AlgorithmIdentifier;
use x509_cert::attr::Attribute;
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::SubjectPublicKeyInfo;

use super::{X509Error, extension, pem};
use crate::key::{PublicKey, SoftwareKey};
use crate::model::Host;

/// ecdsa-with-SHA256 (RFC 5758 §3.2).
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// extensionRequest (RFC 2985 §5.4.2).
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");

/// A request whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    public_key: PublicKey,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Larger than any request with a P-256 key.
    #[error("is larger than {} KiB", Request::MAX / 1024)]
    TooLarge,
    /// Not PKCS#10.
    #[error("is no certificate signing request (PKCS#10, PEM or DER): {0}")]
    Malformed(String),
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

    /// Reads a request in PEM or DER and verifies that whoever made it holds the key.
    ///
    /// # Errors
    /// Anything but one well-formed request with a P-256 key and a valid ecdsa-with-SHA256 signature.
    pub fn parse(octets: &[u8]) -> Result<Self, RequestError> {
        if octets.len() > Self::MAX {
            return Err(RequestError::TooLarge);
        }
        let malformed = |e: &dyn std::fmt::Display| RequestError::Malformed(e.to_string());
        let der = if octets.first() == Some(&0x30) {
            octets.to_vec()
        } else {
            pem::decode(pem::REQUEST, octets).map_err(|e: X509Error| malformed(&e))?
        };
        let request = CertReq::from_der(&der).map_err(|e| malformed(&e))?;
        let spki = request.info.public_key.to_der().map_err(|e| malformed(&e))?;
        let algorithm = &request.info.public_key.algorithm;
        let public_key = PublicKey::from_spki(&spki)
            .map_err(|_| RequestError::Algorithm(algorithm_name(&algorithm.oid)))?;
        if request.algorithm.oid != ECDSA_WITH_SHA256 {
            return Err(RequestError::Signature(algorithm_name(&request.algorithm.oid)));
        }
        let info = request.info.to_der().map_err(|e| malformed(&e))?;
        let signature = request.signature.as_bytes().ok_or(RequestError::NotProven)?;
        if !public_key.verifies(&info, signature) {
            return Err(RequestError::NotProven);
        }
        Ok(Self { public_key })
    }

    /// The key that its maker holds.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

/// Writes a request for the certificate of a server, or of a CA, which is named by whoever certifies it: PEM.
///
/// # Errors
/// Should the library fail to encode it, or what it wrote not read back.
pub fn create(host: Option<&Host>, key: &SoftwareKey) -> Result<String, X509Error> {
    let failed = |e: der::Error| X509Error::Build(e.to_string());
    let subject = match host {
        Some(host) => format!("CN={host}").parse().map_err(failed)?,
        None => Name::default(),
    };
    let attributes = match host {
        Some(host) => {
            let names = extension::subject_alt_name(host)?;
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
    let signature = key.sign(&info.to_der().map_err(failed)?);
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
        "1.2.840.113549.1.1.1" => "RSA".into(),
        "1.2.840.10045.2.1" => "EC on another curve, or an invalid point".into(),
        "1.3.101.112" => "Ed25519".into(),
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384".into(),
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1".into(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_octets_make_the_reader_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Request::parse(&octets).is_err());
            prop_assert!(Request::parse(&[&[0x30, 0x82][..], &octets].concat()).is_err());
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
