//! Checks that a certificate is DER throughout. x509-parser accepts some encodings that only BER permits;
//! octets that the library here reads and writes anew come out the same only where there was one way to write
//! them.

use der::{Decode, Encode};
use x509_cert::TbsCertificate;
use x509_cert::ext::pkix::name::GeneralNames;
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints,
    ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectKeyIdentifier,
};

/// Whether a TBSCertificate is in DER, its extensions included. One with an extension that no certificate of
/// ours has is taken for one that is not.
pub(super) fn is_der(octets: &[u8]) -> bool {
    let Ok(tbs) = TbsCertificate::from_der(octets) else {
        return false;
    };
    tbs.to_der().is_ok_and(|again| again == octets)
        && tbs.extensions().into_iter().flatten().all(|extension| {
            let value = extension.extn_value.as_bytes();
            match extension.extn_id.to_string().as_str() {
                "2.5.29.14" => is_same::<SubjectKeyIdentifier>(value),
                "2.5.29.15" => is_same::<KeyUsage>(value),
                "2.5.29.17" => is_same::<GeneralNames>(value),
                "2.5.29.19" => is_same::<BasicConstraints>(value),
                "2.5.29.30" => is_same::<NameConstraints>(value),
                "2.5.29.31" => is_same::<CrlDistributionPoints>(value),
                "2.5.29.35" => is_same::<AuthorityKeyIdentifier>(value),
                "2.5.29.37" => is_same::<ExtendedKeyUsage>(value),
                "1.3.6.1.5.5.7.1.1" => is_same::<AuthorityInfoAccessSyntax>(value),
                _ => false,
            }
        })
}

fn is_same<'a, T: Decode<'a> + Encode>(value: &'a [u8]) -> bool {
    T::from_der(value).is_ok_and(|read| read.to_der().is_ok_and(|again| again == value))
}
