//! Checks the envelope around signed octets: the outer SEQUENCE, the algorithm and the signature. Nothing
//! signs the envelope, so it is accepted in its one form alone: whoever could write it in another could make
//! a certificate or a CRL that this program trusts and no server can read.

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, TagNumber, Tagged};

/// Whether these octets are, in DER, what is signed, the algorithm as it is named within (RFC 5280 §4.1.1.2
/// and §5.1.1.2), and the signature.
pub(super) fn is_around(whole: &[u8], signed: &[u8], algorithm: &[u8], signature: &[u8]) -> bool {
    let bits = [header(0x03, signature.len() + 1), vec![0]].concat();
    let length = signed.len() + algorithm.len() + bits.len() + signature.len();
    let parts = [&header(0x30, length), signed, algorithm, &bits, signature];
    let rest = parts
        .into_iter()
        .try_fold(whole, |rest, part| rest.strip_prefix(part));
    rest.is_some_and(<[u8]>::is_empty)
}

/// The algorithm that a TBSCertificate names.
pub(super) fn named_algorithm(tbs: &[u8]) -> der::Result<&[u8]> {
    let mut fields = SliceReader::new(AnyRef::from_der(tbs)?.value())?;
    let first = fields.decode::<AnyRef<'_>>()?;
    let is_version = first.tag().is_context_specific() && first.tag().number() == TagNumber(0);
    if is_version {
        let _serial = fields.decode::<AnyRef<'_>>()?;
    }
    fields.tlv_bytes()
}

/// The SubjectPublicKeyInfo of a certificate, as it stands there, without a look at anything else; `None`
/// where these octets are no certificate.
pub fn subject_public_key(certificate: &[u8]) -> Option<&[u8]> {
    let read = || {
        let mut whole = SliceReader::new(AnyRef::from_der(certificate)?.value())?;
        let mut fields = SliceReader::new(whole.decode::<AnyRef<'_>>()?.value())?;
        let first = fields.decode::<AnyRef<'_>>()?;
        // A version, which may be left out, and a serial number; algorithm, issuer, validity and subject.
        let is_version = first.tag().is_context_specific() && first.tag().number() == TagNumber(0);
        for _ in 0..(if is_version { 5 } else { 4 }) {
            fields.tlv_bytes()?;
        }
        fields.tlv_bytes()
    };
    let read: der::Result<&[u8]> = read();
    read.ok()
}

/// An element in DER: its tag, its length, and these parts for its content.
pub(super) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [header(tag, content.len()), content].concat()
}

/// Identifier and length octets (X.690 §8.1.2 and §8.1.3).
pub(super) fn header(tag: u8, length: usize) -> Vec<u8> {
    let octets = length.to_be_bytes();
    let significant = &octets[octets.iter().position(|o| *o != 0).unwrap_or(octets.len() - 1)..];
    match significant {
        [short] if *short < 0x80 => vec![tag, *short],
        long => {
            let count = u8::try_from(long.len()).expect("a length has at most eight octets");
            [&[tag, 0x80 | count], long].concat()
        }
    }
}
