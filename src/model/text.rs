//! What text from outside may contain before any type of ours takes it.

/// Why a text that a person will read was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unprintable {
    /// A C0 or C1 control character, or a line or paragraph separator.
    #[error("has the control character U+{0:04X}")]
    Control(u32),
    /// A character that reorders or hides text (Unicode bidirectional controls, zero-width characters).
    #[error("has the invisible or text-reordering character U+{0:04X}")]
    Invisible(u32),
}

/// Refuses characters that make a text look like another one on a screen or in a log.
///
/// The set is Unicode's `Cc`, U+2028/2029, the bidirectional controls of UAX #9 and the zero-width characters.
///
/// # Errors
/// The first such character.
pub fn printable(text: &str) -> Result<(), Unprintable> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_reorders_or_hides_is_refused() {
        assert_eq!(printable("Zoë Müller 李"), Ok(()));
        assert_eq!(printable("a\u{202E}b"), Err(Unprintable::Invisible(0x202E)));
        assert_eq!(printable("a\0b"), Err(Unprintable::Control(0)));
        assert_eq!(printable("a\u{85}b"), Err(Unprintable::Control(0x85)));
    }

    #[test]
    fn a_quoted_text_is_safe_to_print_and_short() {
        assert_eq!(quoted("a\u{202E}b"), "\"a\\u{202e}b\"");
        assert!(quoted(&"x".repeat(5000)).chars().count() < 70);
    }
}
