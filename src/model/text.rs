//! Rules for text from outside: the characters that it must not contain before a type of ours takes it.

use data_encoding::BASE64;

/// The reason for which a text that a person will read was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unprintable {
    /// A C0 or C1 control character, or a line or paragraph separator.
    #[error("has the control character U+{0:04X}")]
    Control(u32),
    /// A character that reorders or hides text, or that nobody sees.
    #[error("has the invisible or text-reordering character U+{0:04X}")]
    Invisible(u32),
    /// It contains nothing that anybody could read out.
    #[error("has no letter or digit")]
    Unreadable,
}

/// A number in decimal digits alone. What the standard library reads may begin with a plus, and then two
/// texts are one port or one network.
pub fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let is_plain = text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

/// Refuses what a terminal obeys and what reorders a line: `Cc`, U+2028/2029, the bidirectional controls of
/// UAX #9, the zero-width characters. Ledgers of every version keep to this.
///
/// # Errors
/// The first such character.
pub fn harmless(text: &str) -> Result<(), Unprintable> {
    for character in text.chars() {
        let code = u32::from(character);
        match code {
            _ if character.is_control() => return Err(Unprintable::Control(code)),
            0x2028 | 0x2029 => return Err(Unprintable::Control(code)),
            0x00AD | 0x034F | 0x061C | 0x180E | 0x200B..=0x200F | 0x202A..=0x202E => {
                return Err(Unprintable::Invisible(code));
            }
            0x2060..=0x206F | 0xFEFF | 0xFFF9..=0xFFFB | 0xE0000..=0xE007F => {
                return Err(Unprintable::Invisible(code));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Refuses characters that make a text look like another one on a screen or in a log: what is not
/// [`harmless`], and what shows as nothing, so that two names that look the same are the same.
///
/// That is Unicode's `Default_Ignorable_Code_Point` and the blank Braille pattern. The joiners of Persian and
/// of some Indic names are among them, and so are variation selectors: such a name is written without, and
/// can still be read.
///
/// # Errors
/// The first such character.
pub fn printable(text: &str) -> Result<(), Unprintable> {
    harmless(text)?;
    let invisible = |c: &char| {
        matches!(u32::from(*c),
            0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F | 0x2800 | 0x3164
            | 0xFE00..=0xFE0F | 0xFFA0 | 0xFFF0..=0xFFF8
            | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
    };
    match text.chars().find(invisible) {
        Some(found) => Err(Unprintable::Invisible(found.into())),
        None => Ok(()),
    }
}

/// Refuses what is no name: what is not [`printable`], and what has no letter or digit of any script.
///
/// # Errors
/// What is wrong with it.
pub fn readable(text: &str) -> Result<(), Unprintable> {
    printable(text)?;
    if text.chars().any(char::is_alphanumeric) {
        Ok(())
    } else {
        Err(Unprintable::Unreadable)
    }
}

/// `text` as it may be shown in an error: escaped and cut, because it has not been checked.
pub fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(|c| match printable(c.encode_utf8(&mut [0; 4])) {
            Ok(()) => vec![c],
            Err(_) => c.escape_unicode().collect(),
        })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// A URL, or what was given for one, as it may be shown in an error: without what stands before an `@`,
/// where a password is, and without its query, where tokens are. Where it cannot be told what is a password,
/// because one that is not encoded ends the authority (RFC 3986 §3.2), the scheme alone. Messages go into
/// logs.
pub fn quoted_url(text: &str) -> String {
    let is_scheme = |text: &str| {
        text.bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b"+.-".contains(&octet))
    };
    let scheme = text.find("://").filter(|at| is_scheme(&text[..*at]));
    let (scheme, rest) = text.split_at(scheme.map_or(0, |at| at + 3));
    let (authority, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = &after[..after.find(['?', '#']).unwrap_or(after.len())];
    let (hidden, place) = match authority.rsplit_once('@') {
        Some((_, place)) => ("…@", place),
        None => ("", authority),
    };
    // The colons of an address of IPv6 are in brackets.
    let behind = match place.strip_prefix('[') {
        Some(address) => address.split_once(']').map_or(address, |(_, behind)| behind),
        None => place,
    };
    let port = behind.split_once(':');
    let is_port = port.is_none_or(|(_, port)| port.bytes().all(|octet| octet.is_ascii_digit()));
    match is_port && !after.contains('@') {
        true => quoted(&format!("{scheme}{hidden}{place}{path}")),
        false => quoted(&format!("{scheme}…")),
    }
}

/// The octets of a text in base64, where it is the one text that they have (RFC 4648 §3.5 and §4): a decoder
/// takes several that are padded each, one after the other, as well.
pub fn of_base64(text: &str) -> Option<Vec<u8>> {
    let octets = BASE64.decode(text.as_bytes()).ok()?;
    (BASE64.encode(&octets) == text).then_some(octets)
}

/// A word as a shell reads it (POSIX, quoting): as it is, where nothing in it has a meaning, else in single
/// quotes.
pub fn in_shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_is_secret_in_it() {
        for (text, shown) in [
            ("https://h/a?token=s3cret", "https://h/a"),
            ("https://h/a#s3cret", "https://h/a"),
            ("https://h:8443/a", "https://h:8443/a"),
            ("https://[2001:db8::1]:8443/a", "https://[2001:db8::1]:8443/a"),
            ("https://h", "https://h"),
            ("h:8443", "h:8443"),
            ("https://alice:s3cret@h/a?b", "https://…@h/a"),
            ("https://alice:s3/cret@h/a", "https://…"),
            ("https://alice:12/cret@h/a", "https://…"),
            ("https://alice:s3?cret@h/a", "https://…"),
            ("https://alice:12?cret@h/a", "https://…"),
            ("https://alice:s3@cret@h", "https://…@h"),
            ("https://alice:s3cret", "https://…"),
            ("https://h/a?for=alice@acme.example&token=s3cret", "https://…"),
            ("é:s3cret@h", "…@h"),
            ("h/a?token=s3cret&to=https://x/y", "h/a"),
            ("alice:s3cret@h?x=https://y", "…@h"),
            ("alice:s3://cret@h", "…"),
            ("https://alice:s3]cret", "https://…"),
            ("https://[alice:s3cret", "https://…"),
        ] {
            assert_eq!(quoted_url(text), format!("\"{shown}\""));
        }
    }

    #[test]
    fn text_that_reorders_or_hides_is_refused() {
        assert_eq!(printable("Zoë Müller 李"), Ok(()));
        assert_eq!(printable("a\u{202E}b"), Err(Unprintable::Invisible(0x202E)));
        assert_eq!(printable("a\0b"), Err(Unprintable::Control(0)));
        assert_eq!(printable("a\u{85}b"), Err(Unprintable::Control(0x85)));
    }

    #[test]
    fn octets_have_one_text_in_base64() {
        assert_eq!(of_base64("AAEC"), Some(vec![0, 1, 2]));
        assert_eq!(of_base64("AAE="), Some(vec![0, 1]));
        for other in ["AA==AQ==", "AAE=\n", "AAE", "AAF=", "AA=E"] {
            assert_eq!(of_base64(other), None, "{other}");
        }
    }

    #[test]
    fn text_that_shows_as_nothing_is_refused() {
        for invisible in [
            0x2800, 0x3164, 0x115F, 0x1160, 0xFFA0, 0x17B4, 0x180B, 0x180F, 0xFE00, 0xFE0F, 0xFFF0, 0x1D173,
            0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0x1BCA0, 0xE0001, 0xE007F, 0xE0100, 0xE01EF, 0xE0FFF,
        ] {
            let character = char::from_u32(invisible).unwrap();
            for text in [character.to_string(), format!("Alice{character}")] {
                assert_eq!(
                    printable(&text),
                    Err(Unprintable::Invisible(invisible)),
                    "U+{invisible:04X}"
                );
            }
        }
    }

    #[test]
    fn a_name_of_any_script_is_readable_and_one_of_signs_alone_is_not() {
        for name in [
            "Zoë",
            "Zoe\u{308}",
            "O'Neil-Smith",
            "山田太郎",
            "Владимир",
            "עברית",
            "שָׁלוֹם",
            "हिन्दी",
            "ไทย",
            "محمد",
            "한국인",
            "ភាសាខ្មែរ",
            "தமிழ்",
            "ᠮᠣᠩᠭᠣᠯ",
            "አማርኛ",
            "Ὀδυσσεύς",
            "7",
        ] {
            assert_eq!(readable(name), Ok(()), "{name}");
        }
        for none in ["", " ", "\u{A0}\u{3000}", "-", "\u{301}", "\u{E000}", "\u{20DD}"] {
            assert_eq!(readable(none), Err(Unprintable::Unreadable), "{none:?}");
        }
    }

    #[test]
    fn a_quoted_text_is_safe_to_print_and_short() {
        assert_eq!(quoted("a\u{202E}b"), "\"a\\u{202e}b\"");
        assert!(quoted(&"x".repeat(5000)).chars().count() < 70);
    }
}
