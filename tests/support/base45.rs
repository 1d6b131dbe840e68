//! Base45, decoded.

/// Base45 read by the words of RFC 9285 §4, not by the product's own table of digits.
pub fn base45_decoded(text: &str) -> Vec<u8> {
    let digit = |c: char| match c {
        '0'..='9' => c as u32 - '0' as u32,
        'A'..='Z' => c as u32 - 'A' as u32 + 10,
        other => 36 + " $%*+-./:".find(other).unwrap() as u32,
    };
    let digits: Vec<u32> = text.chars().map(digit).collect();
    let mut octets = Vec::new();
    for group in digits.chunks(3) {
        let value: u32 = group.iter().rev().fold(0, |value, digit| value * 45 + digit);
        octets.extend_from_slice(&value.to_be_bytes()[5 - group.len()..]);
    }
    octets
}
