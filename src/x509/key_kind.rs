//! The kind of a public key: its algorithm, and size or curve, in the words that people know; and whether
//! clients accept such keys.

use std::fmt;

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use spki::SubjectPublicKeyInfo;

/// The algorithm of a public key, and its size or curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, with so many bits.
    Rsa(usize),
    /// RSA for signatures with PSS alone (RFC 4055).
    RsaPss,
    /// An elliptic curve, given by its name.
    Curve(ObjectIdentifier),
    /// An elliptic curve whose parameters are written out (RFC 3279 §2.3.5), which RFC 5480 §2.1.1 forbids.
    WrittenOut,
    /// DSA.
    Dsa,
    /// Ed25519.
    Ed25519,
    /// Ed448.
    Ed448,
    /// Another algorithm.
    Other(ObjectIdentifier),
    /// A key that cannot be read.
    Unreadable,
}

/// secp256r1 (RFC 5480 §2.1.1.1).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// secp384r1.
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

impl KeyKind {
    /// The kind of a SubjectPublicKeyInfo.
    pub fn of(spki: &[u8]) -> Self {
        let Ok(read) = SubjectPublicKeyInfo::<AnyRef<'_>, BitStringRef<'_>>::from_der(spki) else {
            return Self::Unreadable;
        };
        let parameters = read.algorithm.parameters;
        let is_written_out = parameters.is_some_and(|p| p.tag() == Tag::Sequence);
        match read.algorithm.oid.to_string().as_str() {
            "1.2.840.113549.1.1.1" => read
                .subject_public_key
                .as_bytes()
                .and_then(|octets| modulus_bits(octets).ok())
                .map_or(Self::Unreadable, Self::Rsa),
            "1.2.840.113549.1.1.10" => Self::RsaPss,
            "1.2.840.10045.2.1" if is_written_out => Self::WrittenOut,
            "1.2.840.10045.2.1" => parameters
                .and_then(|p| p.decode_as::<ObjectIdentifier>().ok())
                .map_or(Self::Unreadable, Self::Curve),
            "1.2.840.10040.4.1" => Self::Dsa,
            "1.3.101.112" => Self::Ed25519,
            "1.3.101.113" => Self::Ed448,
            _ => Self::Other(read.algorithm.oid),
        }
    }

    /// The reason why phones and browsers refuse a server with such a key, if they do.
    pub fn refused_by_clients(&self) -> Option<&'static str> {
        match self {
            Self::Rsa(bits) if *bits < 2048 => Some("phones and browsers take RSA from 2,048 bits"),
            Self::Rsa(_) => None,
            Self::Curve(curve) if *curve == P256 || *curve == P384 => None,
            Self::WrittenOut => Some("clients take only curves that are named (RFC 5480)"),
            Self::RsaPss
            | Self::Curve(_)
            | Self::Dsa
            | Self::Ed25519
            | Self::Ed448
            | Self::Other(_)
            | Self::Unreadable => Some("phones and browsers take P-256, P-384 and RSA from 2,048 bits"),
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA of {bits} bits"),
            Self::RsaPss => f.write_str("RSA-PSS"),
            Self::Curve(curve) => f.write_str(match curve.to_string().as_str() {
                "1.2.840.10045.3.1.7" => "P-256",
                "1.3.132.0.34" => "P-384",
                "1.3.132.0.35" => "P-521",
                "1.3.132.0.10" => "secp256k1",
                other => return write!(f, "EC on the curve {other}"),
            }),
            Self::WrittenOut => f.write_str("EC on a curve that is written out instead of named"),
            Self::Dsa => f.write_str("DSA"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Ed448 => f.write_str("Ed448"),
            Self::Other(algorithm) => algorithm.fmt(f),
            Self::Unreadable => f.write_str("a key that cannot be read"),
        }
    }
}

/// The bits of n of RSAPublicKey (RFC 8017 §A.1.1).
fn modulus_bits(key: &[u8]) -> der::Result<usize> {
    let whole = AnyRef::from_der(key)?;
    let mut numbers = SliceReader::new(whole.value())?;
    let modulus = numbers.decode::<AnyRef<'_>>()?;
    let zeros = modulus.value().iter().take_while(|octet| **octet == 0).count();
    let number = &modulus.value()[zeros..];
    let unused = number.first().map_or(0, |first| first.leading_zeros());
    Ok(number.len() * 8 - usize::try_from(unused).unwrap_or(0))
}
