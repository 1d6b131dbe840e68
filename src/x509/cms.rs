//! Certificates in the envelope that EST hands them out in: a CMS SignedData that nobody signed (RFC 5652
//! §5.1, "certs-only" in RFC 8951). The service writes it, and a device that renews itself reads it.

use der::asn1::{AnyRef, ObjectIdentifier, UintRef};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};

use super::X509Error;
use super::envelope::tlv;

/// signedData, 1.2.840.113549.1.7.2, encoded (RFC 5652 §5.1).
const SIGNED_DATA: &[u8] = &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 2];
/// data, 1.2.840.113549.1.7.1, encoded (RFC 5652 §4).
const DATA: &[u8] = &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 1];
const VERSION_1: &[u8] = &[2, 1, 1];
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// [0], constructed.
const FIRST: u8 = 0xA0;

/// These certificates, each in DER, in a SignedData without signers.
pub fn certs_only(certificates: &[&[u8]]) -> Vec<u8> {
    let mut sorted = certificates.to_vec();
    // A SET OF in DER is sorted (X.690 §11.6).
    sorted.sort_unstable();
    let content = tlv(SEQUENCE, &[DATA]);
    let certificates = tlv(FIRST, &sorted);
    let (no_digests, no_signers) = (tlv(SET, &[]), tlv(SET, &[]));
    let signed = tlv(
        SEQUENCE,
        &[VERSION_1, &no_digests, &content, &certificates, &no_signers],
    );
    tlv(SEQUENCE, &[SIGNED_DATA, &tlv(FIRST, &[&signed])])
}

/// id-signedData (RFC 5652 §5.1).
const ID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const EXPLICIT_FIRST: Tag = Tag::ContextSpecific {
    constructed: true,
    number: TagNumber(0),
};

/// The certificates of a SignedData, each in DER. Signatures and CRLs are passed over: certificates speak for
/// themselves.
///
/// # Errors
/// Anything but one SignedData in DER, or one that holds something else where the certificates are.
pub fn certificates(cms: &[u8]) -> Result<Vec<&[u8]>, X509Error> {
    elements(cms).map_err(|why| X509Error::malformed("the envelope of certificates (CMS)")(&why))
}

fn elements(cms: &[u8]) -> der::Result<Vec<&[u8]>> {
    let mut info = inside(AnyRef::from_der(cms)?, Tag::Sequence)?;
    let oid = info.decode::<ObjectIdentifier>()?;
    if oid != ID_SIGNED_DATA {
        return Err(der::ErrorKind::OidUnknown { oid }.into());
    }
    let mut explicit = inside(info.decode()?, EXPLICIT_FIRST)?;
    info.finish()?;
    let mut signed = inside(explicit.decode()?, Tag::Sequence)?;
    explicit.finish()?;
    let _version = signed.decode::<UintRef<'_>>()?;
    let _digests = inside(signed.decode()?, Tag::Set)?;
    let _content = inside(signed.decode()?, Tag::Sequence)?;
    let mut set = inside(signed.decode()?, EXPLICIT_FIRST)?;
    let mut certificates = Vec::new();
    while !set.is_finished() {
        let der = set.tlv_bytes()?;
        // Attribute certificates and the like have tags of their own (RFC 5652 §10.2.2).
        AnyRef::from_der(der)?.tag().assert_eq(Tag::Sequence)?;
        certificates.push(der);
    }
    Ok(certificates)
}

/// The content of an element that must have this tag.
fn inside(element: AnyRef<'_>, tag: Tag) -> der::Result<SliceReader<'_>> {
    element.tag().assert_eq(tag)?;
    SliceReader::new(element.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_an_envelope_comes_out_of_it() {
        let (first, second): (&[u8], &[u8]) = (&[0x30, 1, 7], &[0x30, 2, 7, 7]);
        let envelope = certs_only(&[second, first]);
        assert_eq!(certificates(&envelope).unwrap(), [first, second]);
        assert_eq!(certificates(&certs_only(&[])).unwrap(), [&[0_u8; 0]; 0]);
        let foreign = certs_only(&[&[0xA1, 1, 7]]);
        let followed = [&envelope[..], &[0]].concat();
        for bad in [&envelope[1..], &envelope[..9], &[], &foreign, &followed] {
            assert!(certificates(bad).is_err(), "{bad:?}");
        }
    }
}
