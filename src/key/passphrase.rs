//! Passphrases: wiped when dropped, never printed, never cloned.

use std::fmt;

use rand_core::CryptoRng;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::model::contents;

/// A passphrase of one line.
pub struct Passphrase {
    text: SecretString,
    /// The text with the byte-order mark that stood in front of it.
    marked: Option<SecretString>,
}

/// The errors by which a text cannot serve as a passphrase. They tell nothing of the text but its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitPassphrase {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// More than one line.
    #[error("has more than one line")]
    SeveralLines,
    /// More than 4,096 octets.
    #[error("is longer than 4,096 octets")]
    TooLong,
    /// Not UTF-8, or with a NUL.
    #[error("is not text (UTF-8 without NUL)")]
    NotText,
    /// UTF-16, as some of Windows' programs save text.
    #[error("is in UTF-16: save it as UTF-8")]
    Utf16,
    /// Too few characters for a new passphrase.
    #[error("has {0} characters: 12 or more are needed")]
    Short(usize),
    /// Hardly any different characters.
    #[error("repeats one or two characters: choose several words")]
    Monotonous,
    /// Characters that some systems cannot type into a PKCS#12 prompt.
    #[error("is not ASCII: several systems cannot open such a bundle")]
    NotAscii,
}

impl Passphrase {
    /// The longest passphrase, in octets.
    pub const MAX: usize = 4096;
    /// The shortest new passphrase, in characters.
    pub const MIN: usize = 12;
    /// 32 characters that are not mistaken for one another (Crockford's base32, lower case): 5 bits each.
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

    /// A passphrase from the octets of a file or a prompt. One line ending is stripped, and so is the
    /// byte-order mark that Windows puts in front of a text.
    ///
    /// # Errors
    /// Where it is empty, too long, not text, or more than one line.
    pub fn from_octets(octets: Zeroizing<Vec<u8>>) -> Result<Self, UnfitPassphrase> {
        if contents::is_utf16(&octets) {
            return Err(UnfitPassphrase::Utf16);
        }
        let text = std::str::from_utf8(&octets).map_err(|_| UnfitPassphrase::NotText)?;
        let whole = text
            .strip_suffix('\n')
            .map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
        let line = whole.strip_prefix('\u{FEFF}').unwrap_or(whole);
        if line.is_empty() {
            return Err(UnfitPassphrase::Empty);
        }
        if line.len() > Self::MAX {
            return Err(UnfitPassphrase::TooLong);
        }
        if line.contains(['\n', '\r']) {
            return Err(UnfitPassphrase::SeveralLines);
        }
        if line.contains('\0') {
            return Err(UnfitPassphrase::NotText);
        }
        Ok(Self {
            text: SecretString::from(line),
            marked: (whole != line).then(|| SecretString::from(whole)),
        })
    }

    /// A random passphrase of 100 bits in groups of four characters that can be typed on a phone:
    /// `k7m2-9xq4-…`.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut random = Zeroizing::new([0_u8; 20]);
        rng.fill_bytes(random.as_mut());
        let mut text = Zeroizing::new(String::with_capacity(24));
        for (i, octet) in random.iter().enumerate() {
            if i > 0 && i % 4 == 0 {
                text.push('-');
            }
            text.push(char::from(Self::ALPHABET[usize::from(octet & 0x1F)]));
        }
        Self {
            text: SecretString::from(text.as_str()),
            marked: None,
        }
    }

    /// Demands what a new passphrase chosen by a person must have.
    ///
    /// # Errors
    /// Where it has fewer than 12 characters, or hardly differing ones.
    pub fn demand_strength(&self) -> Result<(), UnfitPassphrase> {
        let text = self.expose();
        let count = text.chars().count();
        if count < Self::MIN {
            return Err(UnfitPassphrase::Short(count));
        }
        let mut first = text.chars().collect::<Vec<_>>();
        first.sort_unstable();
        first.dedup();
        let distinct = first.len();
        zeroize::Zeroize::zeroize(&mut first);
        if distinct <= 2 {
            Err(UnfitPassphrase::Monotonous)
        } else {
            Ok(())
        }
    }

    /// Demands what every system's PKCS#12 prompt can take.
    ///
    /// # Errors
    /// Where it is not printable ASCII.
    pub fn demand_ascii(&self) -> Result<(), UnfitPassphrase> {
        let good = self.expose().bytes().all(|b| (0x20..0x7F).contains(&b));
        if good {
            Ok(())
        } else {
            Err(UnfitPassphrase::NotAscii)
        }
    }

    /// Whether two passphrases are the same, in constant time for equal lengths.
    pub fn same_as(&self, other: &Self) -> bool {
        let (a, b) = (self.expose().as_bytes(), other.expose().as_bytes());
        a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
    }

    /// The text itself: for a key derivation, the terminal, or the file that was asked for, and for nothing
    /// else.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The text with the byte-order mark that stood in front of it: version 0.1 took the mark for a part of
    /// it, and there are keys that open with nothing else.
    pub fn expose_marked(&self) -> Option<&str> {
        self.marked.as_ref().map(|marked| marked.expose_secret())
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::os_rng;

    fn read(octets: &[u8]) -> Result<Passphrase, UnfitPassphrase> {
        Passphrase::from_octets(Zeroizing::new(octets.to_vec()))
    }

    #[test]
    fn one_line_ending_is_stripped_and_no_more() {
        assert_eq!(read(b"correct horse\r\n").unwrap().expose(), "correct horse");
        assert_eq!(read(b" a \n").unwrap().expose(), " a ");
        assert_eq!(read(b"a\n\n").unwrap_err(), UnfitPassphrase::SeveralLines);
        assert_eq!(read(b"a\nb").unwrap_err(), UnfitPassphrase::SeveralLines);
        assert_eq!(read(b"\n").unwrap_err(), UnfitPassphrase::Empty);
        assert_eq!(read(b"a\xff").unwrap_err(), UnfitPassphrase::NotText);
        assert_eq!(read(&[b'a'; 4097]).unwrap_err(), UnfitPassphrase::TooLong);
    }

    #[test]
    fn a_mark_of_windows_is_no_part_of_it_and_utf_16_is_named() {
        let marked = read(b"\xEF\xBB\xBFcorrect horse\r\n").unwrap();
        assert_eq!(marked.expose(), "correct horse");
        assert_eq!(marked.expose_marked(), Some("\u{FEFF}correct horse"));
        assert!(marked.same_as(&read(b"correct horse").unwrap()));
        assert_eq!(read(b"\xEF\xBB\xBF\n").unwrap_err(), UnfitPassphrase::Empty);
        for utf16 in [
            &b"\xFF\xFEa\0b\0"[..],
            b"\xFE\xFF\0a\0b",
            b"a\0b\0\n\0",
            b"\0a\0b\0\n",
        ] {
            assert_eq!(read(utf16).unwrap_err(), UnfitPassphrase::Utf16, "{utf16:?}");
        }
    }

    #[test]
    fn a_new_passphrase_has_twelve_characters_that_differ() {
        assert!(read("zwölf Zeichn".as_bytes()).unwrap().demand_strength().is_ok());
        assert_eq!(
            read(b"elevenchars").unwrap().demand_strength(),
            Err(UnfitPassphrase::Short(11))
        );
        assert_eq!(
            read(b"abababababababab").unwrap().demand_strength(),
            Err(UnfitPassphrase::Monotonous)
        );
    }

    #[test]
    fn a_generated_passphrase_is_five_groups_of_four() {
        let generated = Passphrase::generate(&mut os_rng());
        let groups: Vec<&str> = generated.expose().split('-').collect();
        assert_eq!(groups.iter().map(|g| g.len()).collect::<Vec<_>>(), [4; 5]);
        assert!(!generated.same_as(&Passphrase::generate(&mut os_rng())));
        assert!(generated.demand_ascii().is_ok() && generated.demand_strength().is_ok());
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", read(b"secret secret").unwrap()), "Passphrase(…)");
    }
}
