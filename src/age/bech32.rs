//! Bech32 (BIP 173), in which recipients and identities are written: a name of what it is, a `1`, the octets
//! in base32, and a checksum. All of it is in small or all of it in capital letters.

use bech32::Bech32;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::primitives::hrp::Hrp;
use zeroize::Zeroizing;

/// How long 32 octets are with the longer of our two names, in characters: a text that grows while a secret
/// is written into it would leave copies behind.
const LONGEST: usize = 80;

/// The name (in small letters) and the 32 octets of a text; none if it is mistyped or something else.
pub(super) fn decode(text: &str) -> Option<(String, Zeroizing<[u8; 32]>)> {
    let checked = CheckedHrpstring::new::<Bech32>(text).ok()?;
    let mut octets = Zeroizing::new([0; 32]);
    let mut given = checked.byte_iter();
    for octet in octets.iter_mut() {
        *octet = given.next()?;
    }
    let name = checked.hrp().lowercase_char_iter().collect::<String>();
    // Some bits behind the last octet may be anything, and must be 0.
    let is_canonical = encode(&name, &octets).eq_ignore_ascii_case(text);
    (given.next().is_none() && is_canonical).then_some((name, octets))
}

/// A name and 32 octets as text in small letters.
pub(super) fn encode(name: &str, octets: &[u8; 32]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(LONGEST));
    let hrp = Hrp::parse(name).expect("the name was written by hand or read by the library");
    bech32::encode_lower_to_fmt::<Bech32, _>(&mut *text, hrp, octets).expect("32 octets are short enough");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_in_letters_of_one_kind() {
        let octets = [0xA5; 32];
        let text = encode("age", &octets);
        let (name, read) = decode(&text).unwrap();
        assert_eq!((name.as_str(), *read), ("age", octets));
        assert!(decode(&text.to_uppercase()).is_some());
        assert!(decode(&text.replacen('a', "A", 1)).is_none());
        assert!(encode("age-secret-key-", &octets).len() <= LONGEST);
    }

    #[test]
    fn one_wrong_letter_is_found() {
        let text = encode("age", &[7; 32]);
        for place in 4..text.len() {
            let other = if &text[place..=place] == "q" { "p" } else { "q" };
            let wrong = format!("{}{other}{}", &text[..place], &text[place + 1..]);
            assert!(decode(&wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn another_length_is_refused() {
        let name = Hrp::parse("age").unwrap();
        let of = |length: usize| {
            let mut text = String::new();
            bech32::encode_lower_to_fmt::<Bech32, _>(&mut text, name, &[1; 40][..length]).unwrap();
            decode(&text).is_some()
        };
        assert_eq!([0, 31, 32, 33].map(of), [false, false, true, false]);
    }

    #[test]
    fn bits_behind_the_last_octet_are_zero() {
        // The octets are followed by four bits. The checksum is of the text as it stands.
        use bech32::Fe32;
        use bech32::primitives::iter::{ByteIterExt, Fe32IterExt};
        let name = Hrp::parse("age").unwrap();
        let with_rest = |rest: u8| {
            let mut letters: Vec<Fe32> = [1; 32].into_iter().bytes_to_fes().collect();
            let last = letters.last_mut().unwrap();
            *last = Fe32::try_from(last.to_u8() | rest).unwrap();
            let text: String = letters
                .into_iter()
                .with_checksum::<Bech32>(&name)
                .chars()
                .collect();
            decode(&text).is_some()
        };
        assert_eq!([0, 1, 8].map(with_rest), [true, false, false]);
    }
}
