//! Encodes the parts of DER that PKCS#12 needs. The functions for constructed types take parts that are
//! encoded already; the others encode an integer, an object identifier or octets.

use der::asn1::ObjectIdentifier;
use der::{Encode, Header, Length, Result, Tag, TagNumber};

/// NULL.
pub(super) const NULL: &[u8] = &[0x05, 0x00];

/// One tag, one length, and the parts one after the other.
pub(super) fn wrap(tag: Tag, parts: &[&[u8]]) -> Result<Vec<u8>> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut out = Vec::with_capacity(length + 6);
    Header::new(tag, Length::try_from(length)?).encode(&mut out)?;
    parts.iter().for_each(|part| out.extend_from_slice(part));
    Ok(out)
}

/// SEQUENCE of the parts.
pub(super) fn sequence(parts: &[&[u8]]) -> Result<Vec<u8>> {
    wrap(Tag::Sequence, parts)
}

/// SET OF the parts, in the order that DER demands (X.690 §11.6).
pub(super) fn set(mut parts: Vec<Vec<u8>>) -> Result<Vec<u8>> {
    parts.sort_unstable();
    wrap(Tag::Set, &parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// `[0] EXPLICIT` around one part.
pub(super) fn explicit(part: &[u8]) -> Result<Vec<u8>> {
    wrap(
        Tag::ContextSpecific {
            constructed: true,
            number: TagNumber(0),
        },
        &[part],
    )
}

/// `[0] IMPLICIT OCTET STRING`.
pub(super) fn implicit_octets(octets: &[u8]) -> Result<Vec<u8>> {
    wrap(
        Tag::ContextSpecific {
            constructed: false,
            number: TagNumber(0),
        },
        &[octets],
    )
}

/// OCTET STRING.
pub(super) fn octets(octets: &[u8]) -> Result<Vec<u8>> {
    wrap(Tag::OctetString, &[octets])
}

/// OBJECT IDENTIFIER.
pub(super) fn oid(oid: ObjectIdentifier) -> Result<Vec<u8>> {
    oid.to_der()
}

/// INTEGER.
pub(super) fn integer(value: u32) -> Result<Vec<u8>> {
    value.to_der()
}

/// AlgorithmIdentifier (RFC 5280 §4.1.1.2).
pub(super) fn algorithm(name: ObjectIdentifier, parameters: &[u8]) -> Result<Vec<u8>> {
    sequence(&[&oid(name)?, parameters])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_sorted_and_lengths_grow_with_their_contents() {
        assert_eq!(
            set(vec![vec![4, 1, 9], vec![2, 1, 9]]).unwrap(),
            [0x31, 6, 2, 1, 9, 4, 1, 9]
        );
        assert_eq!(octets(&[7; 200]).unwrap()[..4], [0x04, 0x81, 200, 7]);
        assert_eq!(explicit(NULL).unwrap(), [0xA0, 2, 5, 0]);
        assert_eq!(implicit_octets(&[1]).unwrap(), [0x80, 1, 1]);
    }

    #[test]
    fn integers_stay_positive() {
        assert_eq!(integer(2048).unwrap(), [2, 2, 8, 0]);
        assert_eq!(integer(600_000).unwrap(), [2, 3, 0x09, 0x27, 0xC0]);
        assert_eq!(integer(200).unwrap(), [2, 2, 0, 200]);
    }
}
