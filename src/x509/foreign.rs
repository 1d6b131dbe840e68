//! A server's certificate of whatever CA and key: the fields that pinning needs, and the hosts that it names.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an extension or name that is not named is of no concern to its reader"
)]

use std::net::IpAddr;

use data_encoding::HEXUPPER;
use sha2::{Digest, Sha256};
use x509_parser::extensions::{GeneralName, ParsedExtension};

use super::certificate::only;
use super::key_kind::KeyKind;
use super::{X509Error, key_value, pem};
use crate::key::PublicKey;
use crate::model::{Contents, Host, Kind, Pin, Time, Validity};

/// The certificate of a server: the fields that pinning needs. Its key may be of any algorithm, for an app
/// only compares its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignCertificate {
    /// The pin of its key: of the octets that clients compare.
    pub pin: Pin,
    /// The pin of the same key in its usual encoding.
    pub key: Pin,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// The validity period.
    pub validity: Validity,
    /// basicConstraints cA.
    pub is_ca: bool,
    /// Whether it names itself as its issuer.
    pub is_self_issued: bool,
    /// Whether its key is one that our own CAs certify, P-256.
    pub has_our_kind_of_key: bool,
    /// The kind of its public key.
    pub kind_of_key: KeyKind,
    /// Whether it can be used by a server: it names serverAuth, or restricts nothing. Any purpose (RFC 5280
    /// §4.2.1.12) is not enough for Apple.
    pub is_for_servers: bool,
    /// Its subject alternative names that are hosts, as the certificate has them.
    pub hosts: Vec<String>,
}

impl ForeignCertificate {
    /// Reads the first certificate of a file, which is the server's own: what follows are its issuers.
    ///
    /// # Errors
    /// No certificate, one that cannot be read, or a private key in the file.
    pub fn first_in(octets: &[u8]) -> Result<Self, X509Error> {
        let contents = Contents::of(octets);
        let all = contents.all(Kind::Certificate)?;
        if contents.holds_key() {
            return Err(X509Error::HoldsKey);
        }
        let first = all.first().ok_or(X509Error::NoPem(pem::CERTIFICATE))?;
        Self::from_der(first)
    }

    /// Reads one certificate in DER.
    ///
    /// # Errors
    /// Where it is not exactly one certificate, an extension is malformed, or the key cannot be read.
    pub fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        let parsed = only(der)?;
        let tbs = &parsed.tbs_certificate;
        let mut hosts = Vec::new();
        let mut is_for_servers = true;
        for item in tbs.extensions() {
            match item.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => {
                    hosts.extend(names.general_names.iter().filter_map(host));
                }
                ParsedExtension::ExtendedKeyUsage(purposes) => {
                    is_for_servers = purposes.server_auth;
                }
                ParsedExtension::ParseError { error } => {
                    return Err(X509Error::malformed("the certificate")(error));
                }
                _ => {}
            }
        }
        Ok(Self {
            pin: Pin(Sha256::digest(tbs.subject_pki.raw).into()),
            key: key_value::of(tbs.subject_pki.raw)?,
            serial: HEXUPPER.encode(tbs.raw_serial()),
            validity: Validity {
                not_before: Time::from_unix(tbs.validity.not_before.timestamp()),
                not_after: Time::from_unix(tbs.validity.not_after.timestamp()),
            },
            is_ca: tbs.is_ca(),
            is_self_issued: tbs.subject.as_raw() == tbs.issuer.as_raw(),
            has_our_kind_of_key: PublicKey::from_spki(tbs.subject_pki.raw).is_ok(),
            kind_of_key: KeyKind::of(tbs.subject_pki.raw),
            is_for_servers,
            hosts,
        })
    }

    /// Whether it is for this host (RFC 9525 §6.3): by its name, or by a wildcard in the place of the
    /// leftmost label.
    pub fn names(&self, host: &Host) -> bool {
        let host = host.to_string();
        self.hosts.iter().any(|name| {
            let below = || {
                Some(
                    name.strip_prefix("*.")?
                        .eq_ignore_ascii_case(host.split_once('.')?.1),
                )
            };
            name.eq_ignore_ascii_case(&host) || below() == Some(true)
        })
    }
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::key::{self, SoftwareKey, os_rng};

    /// A key, as rcgen wants it.
    struct Signer(SoftwareKey);

    impl rcgen::PublicKeyData for Signer {
        fn der_bytes(&self) -> &[u8] {
            self.0.public_key().point()
        }

        fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
            &rcgen::PKCS_ECDSA_P256_SHA256
        }
    }

    impl rcgen::SigningKey for Signer {
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
            Ok(key::sign(&self.0, message).unwrap().to_der())
        }
    }

    /// A self-signed certificate of these names, PEM, and its key.
    fn certificate(names: &[&str]) -> (String, SoftwareKey) {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.serial_number = Some(vec![1].into());
        let signer = Signer(SoftwareKey::generate(&mut os_rng()));
        (params.self_signed(&signer).unwrap().pem(), signer.0)
    }

    #[test]
    fn a_host_is_named_as_it_stands_or_by_a_wildcard_of_one_label() {
        let (made, key) = certificate(&["api.acme.example", "*.wild.example", "10.0.0.1"]);
        let read = ForeignCertificate::first_in(made.as_bytes()).unwrap();
        assert_eq!(read.pin, Pin(key.public_key().spki_sha256()));
        for (host, named) in [
            ("api.acme.example", true),
            ("a.wild.example", true),
            ("10.0.0.1", true),
            ("b.a.wild.example", false),
            ("wild.example", false),
            ("acme.example", false),
            ("10.0.0.2", false),
        ] {
            assert_eq!(read.names(&host.parse().unwrap()), named, "{host}");
        }
        assert!(!read.is_ca);
    }

    #[test]
    fn a_file_with_a_key_in_it_is_refused() {
        let (made, key) = certificate(&["api.acme.example"]);
        let both = made.clone() + &key.pkcs8_pem().unwrap();
        assert_eq!(
            ForeignCertificate::first_in(both.as_bytes()),
            Err(X509Error::HoldsKey)
        );
        let chain = made + &certificate(&["other.example"]).0;
        let first = ForeignCertificate::first_in(chain.as_bytes()).unwrap();
        assert_eq!(first.hosts, ["api.acme.example"]);
    }
}
