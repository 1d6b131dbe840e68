//! The pin of a public key in its usual encoding, by which two keys are compared, however they are written:
//! one key has several SubjectPublicKeyInfos, each with a hash of its own.

use der::asn1::{Any, AnyRef, BitStringRef, Null, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Encode, EncodeValue, Reader, SliceReader, Tagged};
use sha2::{Digest, Sha256};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::X509Error;
use crate::key::PublicKey;
use crate::model::Pin;

/// id-ecPublicKey, id-ecDH and id-ecMQV (RFC 5480 §2.1): points of a curve, all of them.
const POINTS: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.2.840.10045.2.1"),
    ObjectIdentifier::new_unwrap("1.3.132.1.12"),
    ObjectIdentifier::new_unwrap("1.3.132.1.13"),
];
/// secp256r1 (RFC 5480 §2.1.1.1).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// rsaEncryption, id-RSAES-OAEP and id-RSASSA-PSS (RFC 4055 §1.2), and rsa (X.509 Annex H): the same two
/// numbers in each.
const RSA: [ObjectIdentifier; 4] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.7"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10"),
    ObjectIdentifier::new_unwrap("2.5.8.1.1"),
];
/// Ed25519 and Ed448 (RFC 8410 §3): their octets are the key.
const EDWARDS: [ObjectIdentifier; 2] = [
    ObjectIdentifier::new_unwrap("1.3.101.112"),
    ObjectIdentifier::new_unwrap("1.3.101.113"),
];

/// The numbers of P-256 that tell it from any other curve: p, a and b (SEC 2 §2.4.2).
const CURVE: [[u8; 32]; 3] = [
    [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    ],
    [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfc,
    ],
    [
        0x5a, 0xc6, 0x35, 0xd8, 0xaa, 0x3a, 0x93, 0xe7, 0xb3, 0xeb, 0xbd, 0x55, 0x76, 0x98, 0x86, 0xbc, 0x65,
        0x1d, 0x06, 0xb0, 0xcc, 0x53, 0xb0, 0xf6, 0x3b, 0xce, 0x3c, 0x3e, 0x27, 0xd2, 0x60, 0x4b,
    ],
];

/// The pin of a key in its usual encoding: a named curve and an uncompressed point, or two numbers without
/// leading zeros. Two keys are the same where this pin is the same, whatever the octets of each are.
///
/// # Errors
/// A key whose value cannot be determined: then it cannot be compared with any other.
pub fn of(spki: &[u8]) -> Result<Pin, X509Error> {
    let unclear = |why: &dyn std::fmt::Display| X509Error::Malformed {
        what: "the certificate's key",
        why: why.to_string(),
    };
    let read =
        SubjectPublicKeyInfo::<AnyRef<'_>, BitStringRef<'_>>::from_der(spki).map_err(|e| unclear(&e))?;
    let algorithm = read.algorithm.oid;
    let octets = read.subject_public_key.as_bytes();
    let octets = octets.ok_or_else(|| unclear(&"it is no whole number of octets"))?;
    let written = if POINTS.contains(&algorithm) {
        let curve = curve(read.algorithm.parameters).ok_or_else(|| {
            unclear(&"its curve is written out instead of named (RFC 5480 §2.1.1), and is not P-256")
        })?;
        let point = uncompressed(octets);
        if curve == P256 {
            let spki = encode(POINTS[0], Some(&curve), &point).map_err(|e| unclear(&e))?;
            let key = PublicKey::from_spki(&spki).map_err(|e| unclear(&e))?;
            return Ok(Pin(key.spki_sha256()));
        }
        if point.first() != Some(&4) {
            return Err(unclear(&"its point is compressed, on another curve than P-256"));
        }
        encode(POINTS[0], Some(&curve), &point)
    } else if RSA.contains(&algorithm) {
        numbers(octets).and_then(|numbers| encode(RSA[0], Some(&Null), &numbers))
    } else if EDWARDS.contains(&algorithm) {
        encode(algorithm, None::<&Null>, octets)
    } else {
        Ok(spki.to_vec())
    };
    Ok(Pin(Sha256::digest(written.map_err(|e| unclear(&e))?).into()))
}

/// A SubjectPublicKeyInfo in DER.
fn encode(
    algorithm: ObjectIdentifier,
    parameters: Option<&(impl EncodeValue + Tagged)>,
    key: &[u8],
) -> der::Result<Vec<u8>> {
    SubjectPublicKeyInfo {
        algorithm: AlgorithmIdentifier {
            oid: algorithm,
            parameters: parameters.map(Any::encode_from).transpose()?,
        },
        subject_public_key: BitStringRef::from_bytes(key)?,
    }
    .to_der()
}

/// The curve that is named, or P-256 by its numbers (RFC 3279 §2.3.5). Where only the generator is another it
/// is P-256 as well: its holder would pass for the holder of the same point.
fn curve(parameters: Option<AnyRef<'_>>) -> Option<ObjectIdentifier> {
    let parameters = parameters?;
    if let Ok(named) = parameters.decode_as::<ObjectIdentifier>() {
        return Some(named);
    }
    let numbers = written_out(parameters.value()).ok()?;
    (numbers == CURVE.map(|number| stripped(&number).to_vec())).then_some(P256)
}

/// p, a and b of ECParameters.
fn written_out(content: &[u8]) -> der::Result<[Vec<u8>; 3]> {
    let mut parameters = SliceReader::new(content)?;
    let _version = parameters.decode::<UintRef<'_>>()?;
    let field = parameters.decode::<AnyRef<'_>>()?;
    let coefficients = parameters.decode::<AnyRef<'_>>()?;
    let mut field = SliceReader::new(field.value())?;
    let _kind = field.decode::<ObjectIdentifier>()?;
    let p = field.decode::<UintRef<'_>>()?;
    let mut coefficients = SliceReader::new(coefficients.value())?;
    let [a, b] = [
        coefficients.decode::<&OctetStringRef>()?,
        coefficients.decode::<&OctetStringRef>()?,
    ];
    Ok([p.as_bytes(), a.as_bytes(), b.as_bytes()].map(|number| stripped(number).to_vec()))
}

/// A point in its hybrid form (X9.62 §4.3.6) is an uncompressed one that says twice which of two it is.
fn uncompressed(point: &[u8]) -> Vec<u8> {
    let mut point = point.to_vec();
    if let Some(first @ (6 | 7)) = point.first_mut() {
        *first = 4;
    }
    point
}

/// RSAPublicKey (RFC 8017 §A.1.1) with its numbers as DER has them.
fn numbers(content: &[u8]) -> der::Result<Vec<u8>> {
    let whole = AnyRef::from_der(content)?;
    let mut numbers = SliceReader::new(whole.value())?;
    let mut all = Vec::new();
    for _ in 0..2 {
        // By its octets: an integer with zeros in front is none in DER, and some write it so.
        let number = numbers.decode::<AnyRef<'_>>()?;
        all.extend(UintRef::new(stripped(number.value()))?.to_der()?);
    }
    Any::new(der::Tag::Sequence, all)?.to_der()
}

fn stripped(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER_PERMISSIVE;

    use super::*;
    use crate::key::{SoftwareKey, os_rng};

    fn sequence(parts: &[&[u8]]) -> Vec<u8> {
        Any::new(der::Tag::Sequence, parts.concat())
            .unwrap()
            .to_der()
            .unwrap()
    }

    fn value(tag: u8, octets: &[u8]) -> Vec<u8> {
        let mut der = vec![tag];
        match octets.len() {
            length @ ..128 => der.push(length as u8),
            length @ 128..256 => der.extend([0x81, length as u8]),
            length => der.extend([0x82, (length >> 8) as u8, length as u8]),
        }
        der.extend_from_slice(octets);
        der
    }

    fn info(algorithm: &[&[u8]], key: &[u8]) -> Vec<u8> {
        let bits = value(3, &[&[0], key].concat());
        sequence(&[&sequence(algorithm), &bits])
    }

    fn oid(name: &str) -> Vec<u8> {
        ObjectIdentifier::new_unwrap(name).to_der().unwrap()
    }

    fn plain(spki: &[u8]) -> Pin {
        Pin(Sha256::digest(spki).into())
    }

    /// P-256's parameters written out, with this b and generator.
    fn explicit(b: &[u8], generator: &[u8]) -> Vec<u8> {
        let [p, a, _] = CURVE;
        let number = |octets: &[u8]| value(2, octets);
        let octets = |octets: &[u8]| value(4, octets);
        let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
        let order = HEXLOWER_PERMISSIVE.decode(order.as_bytes()).unwrap();
        let field = sequence(&[&oid("1.2.840.10045.1.1"), &number(&[&[0], &p[..]].concat())]);
        let curve = sequence(&[&octets(&a), &octets(b)]);
        let order = number(&[&[0], &order[..]].concat());
        sequence(&[
            &number(&[1]),
            &field,
            &curve,
            &octets(generator),
            &order,
            &number(&[1]),
        ])
    }

    #[test]
    fn a_point_is_one_key_however_it_is_written() {
        let key = SoftwareKey::generate(&mut os_rng());
        let public = key.public_key();
        let (x, y) = (&public.point()[1..33], &public.point()[33..]);
        let odd = y[31] & 1;
        let compressed = [&[2 + odd], x].concat();
        let hybrid = [&[6 + odd], x, y].concat();
        let [ec, ecdh, p256] = ["1.2.840.10045.2.1", "1.3.132.1.12", "1.2.840.10045.3.1.7"].map(oid);
        let [seeded, other_generator] = [&[2][..], &[4; 65]].map(|generator| explicit(&CURVE[2], generator));
        let same = [
            public.spki().to_vec(),
            info(&[&ec, &p256], &compressed),
            info(&[&ec, &p256], &hybrid),
            info(&[&ecdh, &p256], public.point()),
            info(&[&ec, &seeded], public.point()),
            info(&[&ec, &seeded], &compressed),
            info(&[&ec, &other_generator], &compressed),
        ];
        for (number, spki) in same.iter().enumerate() {
            assert_eq!(of(spki).unwrap(), Pin(public.spki_sha256()), "{number}");
        }
        let negative = [&[3 - odd], x].concat();
        assert_ne!(
            of(&info(&[&ec, &p256], &negative)).unwrap(),
            Pin(public.spki_sha256())
        );
    }

    #[test]
    fn numbers_are_one_key_whatever_stands_in_front_of_them() {
        let modulus = [&[0xc3][..], &[7; 255]].concat();
        let number = |octets: &[u8]| value(2, octets);
        let [rsa, pss] = ["1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10"].map(oid);
        let key = |zeros: usize| {
            let padded = [&vec![0; zeros][..], &modulus].concat();
            sequence(&[
                &number(&padded),
                &number(&[&vec![0; zeros - 1][..], &[1, 0, 1]].concat()),
            ])
        };
        let usual = info(&[&rsa, &[5, 0]], &key(1));
        for same in [
            usual.clone(),
            info(&[&rsa], &key(1)),
            info(&[&pss], &key(1)),
            info(&[&pss, &sequence(&[])], &key(1)),
            info(&[&rsa, &[5, 0]], &key(3)),
        ] {
            assert_eq!(of(&same).unwrap(), plain(&usual));
        }
        let other = sequence(&[&number(&[&[0], &modulus[..]].concat()), &number(&[3])]);
        assert_ne!(of(&info(&[&rsa, &[5, 0]], &other)).unwrap(), plain(&usual));
        let edwards = oid("1.3.101.112");
        let usual = info(&[&edwards], &[9; 32]);
        for same in [usual.clone(), info(&[&edwards, &[5, 0]], &[9; 32])] {
            assert_eq!(of(&same).unwrap(), plain(&usual));
        }
    }

    #[test]
    fn a_key_that_cannot_be_told_is_held_against_no_other() {
        let [ec, p384] = ["1.2.840.10045.2.1", "1.3.132.0.34"].map(oid);
        let point = [&[4][..], &[7; 96]].concat();
        let named = info(&[&ec, &p384], &point);
        assert_eq!(of(&named).unwrap(), plain(&named));
        let key = SoftwareKey::generate(&mut os_rng());
        let uncompressed = key.public_key().point();
        let another = explicit(&[7; 32], &[2]);
        for refused in [
            info(&[&ec, &p384], &[&[2][..], &[7; 48]].concat()),
            info(&[&ec, &another], uncompressed),
            info(&[&ec, &[5, 0]], uncompressed),
            info(&[&ec], uncompressed),
            info(&[&ec, &oid("1.2.840.10045.3.1.7")], &[4; 65]),
            b"\x30\x00".to_vec(),
            Vec::new(),
        ] {
            assert!(of(&refused).is_err());
        }
    }
}
