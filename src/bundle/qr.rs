//! Draws QR codes on paper or on a screen: a whole credential, or any short text such as an invitation's URL.

use std::fmt::Write;

use qrcode::render::svg;
use qrcode::types::QrError;
use qrcode::{Color, EcLevel, QrCode, Version};

use super::BundleError;

/// The quiet zone around a code, in modules (ISO/IEC 18004 §5.3.8).
const QUIET: usize = 4;
/// A module's side in pictures, in pixels.
const PIXELS: usize = 8;

/// Base45 (RFC 9285): three characters of the alphanumeric QR mode for two octets.
///
/// Octets as they are would be no longer in a code, but common scanners take them for text and damage them.
pub fn base45(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 45] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
    let mut text = String::with_capacity(octets.len().div_ceil(2) * 3);
    for pair in octets.chunks(2) {
        let value = pair
            .iter()
            .fold(0, |value, octet| value << 8 | usize::from(*octet));
        let digits = [value % 45, value / 45 % 45, value / 2025];
        text.extend(
            digits[..=pair.len()]
                .iter()
                .map(|digit| char::from(ALPHABET[*digit])),
        );
    }
    text
}

/// The text of a credential's code: `PKI1:` and the base45 of the PKCS#12 bundle. The passphrase travels
/// another way.
pub fn credential(p12: &[u8]) -> String {
    format!("PKI1:{}", base45(p12))
}

/// A QR code of error-correction level L: what scans it is held before paper or a screen, and a smaller code
/// with larger modules is read more easily than a redundant one.
pub struct Code(QrCode);

impl Code {
    /// The smallest code that holds the text. What the alphanumeric mode can say is said in it.
    ///
    /// # Errors
    /// Where no code holds it: from 4,297 characters on in the alphanumeric mode, 2,954 octets otherwise.
    pub fn new(text: &str) -> Result<Self, BundleError> {
        match QrCode::with_error_correction_level(text, EcLevel::L) {
            Ok(code) => Ok(Self(code)),
            Err(
                QrError::DataTooLong
                | QrError::InvalidVersion
                | QrError::UnsupportedCharacterSet
                | QrError::InvalidEciDesignator
                | QrError::InvalidCharacter,
            ) => Err(BundleError::TooLongForCode(text.chars().count())),
        }
    }

    /// The version, 1 to 40: a code is `17 + 4 · version` modules wide.
    pub fn version(&self) -> u8 {
        match self.0.version() {
            Version::Normal(version) | Version::Micro(version) => {
                version.unsigned_abs().try_into().unwrap_or(u8::MAX)
            }
        }
    }

    /// The columns of a terminal that the code needs, quiet zone included.
    pub fn columns(&self) -> usize {
        self.0.width() + 2 * QUIET
    }

    /// The lines of a terminal that the code needs, quiet zone included: two rows of modules a line.
    pub fn rows(&self) -> usize {
        self.columns().div_ceil(2)
    }

    /// A PNG, one bit a pixel, 8 × 8 pixels a module, with the quiet zone.
    ///
    /// # Errors
    /// Where the library fails to write it.
    pub fn to_png(&self) -> Result<Vec<u8>, BundleError> {
        let side = self.columns();
        // Eight pixels of one bit are an octet: each module is a whole one.
        let rows = (0..side).flat_map(|y| {
            let row: Vec<u8> = (0..side)
                .map(|x| if self.dark(x, y) { 0x00 } else { 0xFF })
                .collect();
            std::iter::repeat_n(row, PIXELS).flatten()
        });
        let pixels = (side * PIXELS) as u32;
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, pixels, pixels);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&rows.collect::<Vec<u8>>())?;
        writer.finish()?;
        Ok(out)
    }

    /// An SVG, black on white, 8 units a module, with the quiet zone.
    pub fn to_svg(&self) -> String {
        let module = PIXELS as u32;
        self.0
            .render::<svg::Color>()
            .quiet_zone(true)
            .module_dimensions(module, module)
            .build()
    }

    /// The code for a terminal: two rows of modules a line, in explicit black on white, which is the same on
    /// a dark and on a light background.
    ///
    /// The colours are 16 and 231 of the 256, because people's themes change the first 16 and leave the
    /// others.
    pub fn to_terminal(&self) -> String {
        let mut out = String::new();
        for line in self.lines() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "\x1b[38;5;16;48;5;231m{line}\x1b[0m");
        }
        out
    }

    /// The code for a terminal without colours, light on dark: modules that are light are drawn, so that it
    /// is right on a dark background. On a light one it is inverted, and many scanners read that too.
    pub fn to_plain(&self) -> String {
        let inverted = |c| match c {
            ' ' => '█',
            '█' => ' ',
            '▀' => '▄',
            '▄' => '▀',
            other => other,
        };
        self.lines()
            .flat_map(|line| line.chars().map(inverted).chain(['\n']).collect::<Vec<_>>())
            .collect()
    }

    /// The lines of half blocks in which what is drawn is dark.
    fn lines(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.rows()).map(|row| {
            let half_block = |x| match (self.dark(x, 2 * row), self.dark(x, 2 * row + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            };
            (0..self.columns()).map(half_block).collect()
        })
    }

    /// Whether the module at this place is dark, counted from the corner of the quiet zone, which is light,
    /// as is everything beyond.
    fn dark(&self, x: usize, y: usize) -> bool {
        let inside = QUIET..QUIET + self.0.width();
        inside.contains(&x) && inside.contains(&y) && self.0[(x - QUIET, y - QUIET)] == Color::Dark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base45_gives_the_examples_of_rfc_9285() {
        assert_eq!(base45(b"AB"), "BB8");
        assert_eq!(base45(b"Hello!!"), "%69 VD92EX0");
        assert_eq!(base45(b"base-45"), "UJCLQE7W581");
        assert_eq!(base45(b"ietf!"), "QED8WEX0");
        assert_eq!(base45(b""), "");
        assert_eq!(base45(&[0xFF, 0xFF]), "FGW");
    }

    #[test]
    fn a_credential_of_1950_octets_fits_into_version_35() {
        // Octets as ciphertext has them: no run of digits that would help.
        let octets: Vec<u8> = (0..1950_u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let code = Code::new(&credential(&octets)).unwrap();
        // In the octet mode, 2,930 characters would need version 40.
        assert!(code.version() <= 35, "version {}", code.version());
        assert_eq!(code.columns(), 17 + 4 * usize::from(code.version()) + 8);
    }

    #[test]
    fn what_no_code_holds_is_an_error() {
        assert!(Code::new(&"A".repeat(4296)).is_ok_and(|code| code.version() == 40));
        assert!(matches!(
            Code::new(&"A".repeat(4297)),
            Err(BundleError::TooLongForCode(4297))
        ));
    }

    #[test]
    fn a_url_with_a_secret_of_256_bits_fits_a_terminal_of_80_by_25() {
        let code = Code::new(&format!("https://pki.acme.example/i#{}", "k".repeat(43))).unwrap();
        assert!(
            code.columns() <= 80 && code.rows() <= 25,
            "{} × {}",
            code.columns(),
            code.rows()
        );
    }

    #[test]
    fn the_terminal_shows_every_module_and_the_quiet_zone() {
        let code = Code::new("HELLO").unwrap();
        let lines: Vec<String> = code.lines().collect();
        assert_eq!((lines.len(), lines[0].chars().count()), (15, 29));
        assert!(lines[..2].iter().all(|line| line.trim().is_empty()));
        // The finder pattern's upper edge: seven dark modules over dark, light, …, dark.
        assert!(lines[2].starts_with("    █▀▀▀▀▀█"));
        assert!(
            code.to_terminal()
                .lines()
                .all(|line| line.starts_with("\x1b[38;5;16;48;5;231m"))
        );
        assert!(
            code.to_plain()
                .lines()
                .nth(2)
                .is_some_and(|line| line.starts_with("████ ▄▄▄▄▄ "))
        );
        assert!(
            code.to_plain()
                .lines()
                .all(|line| line.chars().count() == code.columns())
        );
    }
}
