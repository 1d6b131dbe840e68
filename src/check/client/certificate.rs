//! Examines a server's certificate by itself, whoever has signed it: faults for which any client refuses it,
//! and what Apple's devices refuse beyond that.

use der::Decode;
use der::asn1::ObjectIdentifier;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::model::{Span, counted};

/// The faults that were found in a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examined {
    /// Violations of RFC 5280, or a certificate that is of no use for a server: any client refuses it.
    pub faults: Vec<String>,
    /// Properties that Apple's devices refuse, beyond that.
    pub refused_by_apple: Vec<String>,
}

/// The longest life that Apple's devices take of a CA that was added to them
/// (support.apple.com/en-us/103769).
const APPLES_LIFE: Span = Span::days(825);
/// The least bits of an RSA key that they take (the same page), and that TLS libraries of today take.
const LEAST_RSA: usize = 2048;
/// The extensions that clients process (RFC 5280 §4.2): another that is critical makes them refuse (§4.2).
const PROCESSED: [&str; 5] = [
    "2.5.29.15", // keyUsage
    "2.5.29.17", // subjectAltName
    "2.5.29.19", // basicConstraints
    "2.5.29.30", // nameConstraints
    "2.5.29.37", // extKeyUsage
];

/// Examines a server's own certificate.
///
/// # Errors
/// Where it cannot be read at all.
pub fn examine(der: &[u8]) -> Result<Examined, String> {
    let unreadable = |why: &dyn std::fmt::Display| format!("its certificate cannot be read: {why}");
    let (rest, leaf) = X509Certificate::from_der(der).map_err(|why| unreadable(&why))?;
    let mut examined = Examined::default();
    let faults = &mut examined.faults;
    if !rest.is_empty() {
        faults.push("octets follow its certificate".into());
    }
    let version = leaf.version.0.saturating_add(1);
    if version != 3 {
        faults.push(format!(
            "it is a certificate of version {version}, which can say neither for which host nor for what it is"
        ));
    }
    let serial = leaf.tbs_certificate.raw_serial();
    match serial {
        [] | [0] => faults.push("its serial number is zero".into()),
        [first, ..] if first & 0x80 != 0 => faults.push("its serial number is negative".into()),
        // RFC 5280 §4.1.2.2; a leading zero octet keeps a number from being negative.
        long if long.len() > 21 || (long.len() == 21 && long[0] != 0) => {
            faults.push("its serial number has more than 20 octets".into());
        }
        [..] => {}
    }
    let (begin, end) = (leaf.validity().not_before, leaf.validity().not_after);
    if end < begin {
        faults.push("it ends before it begins".into());
    }
    if leaf.signature_algorithm != leaf.tbs_certificate.signature {
        faults.push("it names two algorithms for one signature".into());
    }
    for extension in leaf.extensions() {
        let oid = extension.oid.to_id_string();
        if extension.critical && !PROCESSED.contains(&oid.as_str()) {
            faults.push(format!("it has an unknown critical extension, {oid}"));
        }
        if let ParsedExtension::ParseError { .. } = extension.parsed_extension() {
            faults.push(format!("its extension {oid} cannot be read"));
        }
    }
    let extensions = leaf.extensions().iter();
    let mut oids: Vec<String> = extensions.map(|extension| extension.oid.to_id_string()).collect();
    oids.sort();
    if oids.windows(2).any(|pair| pair[0] == pair[1]) {
        faults.push("it has an extension twice".into());
    }
    purpose(&leaf, &mut examined);
    strength(&leaf, &mut examined.refused_by_apple);
    let days = (end.timestamp() - begin.timestamp()).max(0) / 86_400;
    if Span::days(days) > APPLES_LIFE {
        examined.refused_by_apple.push(format!(
            "it is good for {}, and they take {} at most",
            counted(days, "day"),
            APPLES_LIFE.as_seconds() / 86_400
        ));
    }
    Ok(examined)
}

/// For what it may be used.
fn purpose(leaf: &X509Certificate<'_>, examined: &mut Examined) {
    if let Ok(Some(usage)) = leaf.key_usage() {
        // RSA keys may also serve by decryption, with suites that have no forward secrecy.
        let usage = usage.value;
        if !usage.digital_signature() {
            examined.faults.push(
                "its keyUsage lacks digitalSignature, with which a server proves to have the key".into(),
            );
        }
    }
    match leaf.extended_key_usage() {
        Ok(Some(usage)) if usage.value.server_auth || usage.value.any => {
            if !usage.value.server_auth {
                examined
                    .refused_by_apple
                    .push("its extendedKeyUsage does not name serverAuth".into());
            }
        }
        Ok(Some(_)) => examined
            .faults
            .push("its extendedKeyUsage is without serverAuth: it is not for servers".into()),
        Ok(None) => examined
            .refused_by_apple
            .push("it has no extendedKeyUsage that names serverAuth".into()),
        Err(_) => {}
    }
    let names = leaf.subject_alternative_name().ok().flatten();
    let is_named = names.is_some_and(|names| {
        let mut names = names.value.general_names.iter();
        names.any(|name| matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_)))
    });
    if !is_named {
        examined
            .refused_by_apple
            .push("it has no subjectAltName with a host, and its CN counts for nothing".into());
    }
}

/// How strong its key and its signature are.
fn strength(leaf: &X509Certificate<'_>, refused: &mut Vec<String>) {
    let kind = kind_of_key(leaf.tbs_certificate.subject_pki.raw);
    if is_short_rsa(&kind) {
        refused.push(format!(
            "its key is {kind}, and they take {LEAST_RSA} bits at least"
        ));
    }
    let signature = leaf.signature_algorithm.algorithm.to_id_string();
    let hash = match signature.as_str() {
        "1.2.840.113549.1.1.4" => Some("MD5"),
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" => Some("SHA-1"),
        _ => None,
    };
    if let Some(hash) = hash {
        refused.push(format!("it is signed with {hash}"));
    }
}

/// Whether a kind of key is RSA of fewer bits than anybody takes.
pub fn is_short_rsa(kind: &str) -> bool {
    let bits = kind
        .strip_prefix("RSA of ")
        .and_then(|rest| rest.strip_suffix(" bits"));
    bits.and_then(|bits| bits.parse::<usize>().ok())
        .is_some_and(|bits| bits < LEAST_RSA)
}

/// The kind of key in a SubjectPublicKeyInfo, in words.
pub fn kind_of_key(spki: &[u8]) -> String {
    const RSA: &str = "1.2.840.113549.1.1.1";
    const EC: &str = "1.2.840.10045.2.1";
    let Ok(key) = spki::SubjectPublicKeyInfoRef::try_from(spki) else {
        return "of a kind that cannot be read".into();
    };
    let algorithm = key.algorithm.oid.to_string();
    match algorithm.as_str() {
        RSA => match key.subject_public_key.as_bytes().and_then(modulus_bits) {
            Some(bits) => format!("RSA of {bits} bits"),
            None => "RSA that cannot be read".into(),
        },
        EC => match key
            .algorithm
            .parameters
            .map(|curve| curve.decode_as::<ObjectIdentifier>())
        {
            Some(Ok(curve)) => format!("ECDSA on {}", curve_name(&curve.to_string())),
            Some(Err(_)) => "ECDSA on a curve that is written out".into(),
            None => "ECDSA on no curve".into(),
        },
        "1.3.101.112" => "Ed25519".into(),
        "1.3.101.113" => "Ed448".into(),
        "1.2.840.10040.4.1" => "DSA".into(),
        "1.2.840.113549.1.1.10" => "RSA for PSS alone".into(),
        other => format!("of the kind {other}"),
    }
}

fn curve_name(oid: &str) -> &str {
    match oid {
        "1.2.840.10045.3.1.7" => "P-256",
        "1.3.132.0.34" => "P-384",
        "1.3.132.0.35" => "P-521",
        "1.3.132.0.10" => "secp256k1",
        "1.3.132.0.33" => "P-224",
        "1.3.36.3.3.2.8.1.1.7" => "brainpoolP256r1",
        "1.3.36.3.3.2.8.1.1.11" => "brainpoolP384r1",
        "1.3.36.3.3.2.8.1.1.13" => "brainpoolP512r1",
        other => other,
    }
}

/// RFC 8017 appendix A.1.1.
fn modulus_bits(key: &[u8]) -> Option<usize> {
    let sequence = der::AnyRef::from_der(key).ok()?;
    let mut reader = der::SliceReader::new(sequence.value()).ok()?;
    let modulus = der::asn1::UintRef::decode(&mut reader).ok()?;
    let first = modulus.as_bytes().first()?;
    Some(modulus.as_bytes().len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::Root;
    use crate::key::{SoftwareKey, os_rng};
    use crate::model::{NameConstraints, Time};
    fn certificate() -> Vec<u8> {
        let constraints = NameConstraints {
            domains: vec!["acme.example".parse().unwrap()],
            ..NameConstraints::default()
        };
        let now = Time::from_unix(1_800_000_000);
        let key = SoftwareKey::generate(&mut os_rng());
        let root = Root::create(key, "Acme Ltd", Some(&constraints), now, &mut os_rng()).unwrap();
        root.certificate().der().to_vec()
    }

    /// What a damaged certificate is said to be.
    fn told(der: &[u8]) -> String {
        match examine(der) {
            Ok(examined) => examined.faults.join("; "),
            Err(why) => why,
        }
    }

    fn place(der: &[u8], part: &[u8]) -> usize {
        der.windows(part.len()).position(|window| window == part).unwrap()
    }

    #[test]
    fn what_cannot_be_read_is_said_not_to_be() {
        let whole = certificate();
        assert!(told(&whole[..whole.len() / 2]).contains("cannot be read"));
        assert!(told(b"").contains("cannot be read"));
        assert!(told(&[&whole[..], &[0]].concat()).contains("octets follow"));
        // A month of 13, and another extension in the place of keyUsage: critical, and nobody knows it.
        let mut month = whole.clone();
        let year = place(&month, &[0x17, 13]) + 4;
        month[year..year + 2].copy_from_slice(b"13");
        assert!(told(&month).contains("cannot be read"), "{}", told(&month));
        let mut unknown = whole.clone();
        let key_usage = place(&unknown, &[0x55, 0x1d, 0x0f]) + 2;
        unknown[key_usage] = 0x63;
        assert!(
            told(&unknown).contains("unknown critical extension, 2.5.29.99"),
            "{}",
            told(&unknown)
        );
        // One that stands there twice.
        let mut twice = whole.clone();
        let identifier = place(&twice, &[0x55, 0x1d, 0x0e]) + 2;
        twice[identifier] = 0x0f;
        assert!(told(&twice).contains("twice"), "{}", told(&twice));
        let mut negative = whole;
        let serial = place(&negative, &[0xa0, 3, 2, 1, 2, 2, 16]) + 7;
        negative[serial] |= 0x80;
        assert!(told(&negative).contains("negative"), "{}", told(&negative));
    }

    #[test]
    fn a_kind_of_key_is_named() {
        let whole = certificate();
        let (_, parsed) = X509Certificate::from_der(&whole).unwrap();
        let key = parsed.tbs_certificate.subject_pki.raw;
        assert_eq!(kind_of_key(key), "ECDSA on P-256");
        assert!(kind_of_key(b"").contains("cannot be read"));
        assert!(is_short_rsa("RSA of 1024 bits") && !is_short_rsa("RSA of 2048 bits"));
        assert!(!is_short_rsa("ECDSA on P-256"));
    }
}
