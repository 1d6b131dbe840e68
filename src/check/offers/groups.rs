//! The groups for key agreement (RFC 8422 §5.1.1, RFC 7919, RFC 8446 §4.2.7), by their numbers in the IANA
//! registry.

/// Every curve of before TLS 1.3, with its bits, as the name of each has them.
const CURVES: [(u16, &str, u16); 33] = [
    (1, "sect163k1", 163),
    (2, "sect163r1", 163),
    (3, "sect163r2", 163),
    (4, "sect193r1", 193),
    (5, "sect193r2", 193),
    (6, "sect233k1", 233),
    (7, "sect233r1", 233),
    (8, "sect239k1", 239),
    (9, "sect283k1", 283),
    (10, "sect283r1", 283),
    (11, "sect409k1", 409),
    (12, "sect409r1", 409),
    (13, "sect571k1", 571),
    (14, "sect571r1", 571),
    (15, "secp160k1", 160),
    (16, "secp160r1", 160),
    (17, "secp160r2", 160),
    (18, "secp192k1", 192),
    (19, "secp192r1", 192),
    (20, "secp224k1", 224),
    (21, "secp224r1", 224),
    (22, "secp256k1", 256),
    (23, "secp256r1", 256),
    (24, "secp384r1", 384),
    (25, "secp521r1", 521),
    (26, "brainpoolP256r1", 256),
    (27, "brainpoolP384r1", 384),
    (28, "brainpoolP512r1", 512),
    (29, "x25519", 255),
    (30, "x448", 448),
    (41, "curveSM2", 256),
    // A curve that the server writes out, of any strength: clients cannot judge it (RFC 8422 §5.1.1 forbids
    // both).
    (0xff01, "a prime curve of its own", 0),
    (0xff02, "a binary curve of its own", 0),
];
/// What TLS 1.3 has beside curves: finite fields, and those that quantum computers do not break.
const OTHERS: [u16; 17] = [
    31, 32, 33, 256, 257, 258, 259, 260, 512, 513, 514, 0x11eb, 0x11ec, 0x11ed, 0x11ee, 0x6399, 0x639a,
];
/// The least bits of a curve (112 bits of strength), and of a finite field (the same).
const LEAST_BITS: u16 = 224;
/// The least bits of a prime (RFC 9325 §4.4).
pub const LEAST_PRIME: usize = 2048;

/// The groups that are offered where any will do, the usual ones first and the weak ones last.
pub fn usual(with_others: bool) -> Vec<u16> {
    let first = [29, 23, 24, 25];
    let strong = CURVES.iter().filter(|(_, _, bits)| *bits >= LEAST_BITS);
    let strong = strong.map(|(number, _, _)| *number);
    let others = OTHERS.iter().filter(|_| with_others).copied();
    first
        .into_iter()
        .chain(strong.filter(|number| !first.contains(number)))
        .chain(others)
        .chain(weak())
        .collect()
}

/// The curves that no server should take.
pub fn weak() -> Vec<u16> {
    let weak = CURVES.iter().filter(|(_, _, bits)| *bits < LEAST_BITS);
    weak.map(|(number, _, _)| *number).collect()
}

/// The name of a curve.
pub fn name(number: u16) -> String {
    match CURVES.iter().find(|(curve, _, _)| *curve == number) {
        Some((_, name, _)) => (*name).to_owned(),
        None => format!("curve {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_weak_by_its_bits_as_its_name_has_them() {
        for (number, name, bits) in CURVES {
            let named: String = name.chars().filter(char::is_ascii_digit).take(3).collect();
            if let Ok(named) = named.parse::<u16>() {
                assert!(named == bits || ["x25519", "curveSM2"].contains(&name), "{name}");
            }
            assert_eq!(weak().contains(&number), bits < 224, "{name}");
            assert!(usual(false).contains(&number), "{name}");
        }
        assert_eq!(usual(true)[..4], [29, 23, 24, 25]);
        assert_eq!(name(19), "secp192r1");
    }
}
