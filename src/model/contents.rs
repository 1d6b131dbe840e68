//! Recognizes what a file is that a user hands in: a certificate, a CRL, a key or something else, in PEM, DER
//! or base64. Every interface uses this module, so that the same file is read, or named, alike at each.
//!
//! People hand in what they have: from mail clients, editors, Windows and Java. Where the meaning is plain,
//! the file is read.

use data_encoding::BASE64;
use zeroize::Zeroizing;

/// The kind of an item, as far as its label or its first octets tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A certificate (RFC 5280 §4).
    Certificate,
    /// A certificate revocation list (RFC 5280 §5).
    Crl,
    /// A certificate signing request (RFC 2986).
    Request,
    /// A private key, encrypted or not.
    PrivateKey,
    /// A public key alone.
    PublicKey,
    /// Certificates and a key in one encrypted file (RFC 7292).
    Pkcs12,
    /// Certificates without a key (RFC 2315): `.p7b`.
    Pkcs7,
    /// Keys in Java's own format.
    Keystore,
    /// The numbers of a curve or group, as `openssl ecparam` and `openssl dhparam` write them.
    Parameters,
    /// HTML.
    WebPage,
    /// None of these kinds.
    Other,
}

impl Kind {
    /// The name of the kind with its article.
    pub fn one(self) -> &'static str {
        match self {
            Self::Certificate => "a certificate",
            Self::Crl => "a CRL",
            Self::Request => "a certificate signing request",
            Self::PrivateKey => "a private key",
            Self::PublicKey => "a public key",
            Self::Pkcs12 => "a PKCS#12 bundle",
            Self::Pkcs7 => "a PKCS#7 file of certificates",
            Self::Keystore => "a Java keystore",
            Self::Parameters => "the parameters of a key",
            Self::WebPage => "a web page",
            Self::Other => "something else",
        }
    }

    /// The name of the kind without an article.
    pub fn name(self) -> &'static str {
        self.one().split_once(' ').map_or("", |(_, name)| name)
    }

    /// What the label of a PEM block says (RFC 7468 §4), in the words of today and of older programs.
    fn of_label(label: &str) -> Self {
        match label {
            "CERTIFICATE" | "X509 CERTIFICATE" | TRUSTED => Self::Certificate,
            "X509 CRL" | "CRL" => Self::Crl,
            // The one with NEW is keytool's, certreq's and NSS's.
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Self::Request,
            "PKCS12" => Self::Pkcs12,
            "PKCS7" | "PKCS #7 SIGNED DATA" | "CMS" => Self::Pkcs7,
            _ if label.ends_with("PRIVATE KEY") => Self::PrivateKey,
            _ if label.ends_with("PUBLIC KEY") => Self::PublicKey,
            _ if label.ends_with("PARAMETERS") => Self::Parameters,
            _ => Self::Other,
        }
    }

    /// What DER is, by the tags of its outermost elements. Whether it is whole is for its reader to say.
    fn of_der(octets: &[u8]) -> Option<Self> {
        const INTEGER: u8 = 0x02;
        const BITS: u8 = 0x03;
        const OCTETS: u8 = 0x04;
        const OID: u8 = 0x06;
        const SEQUENCE: u8 = 0x30;
        const TAGGED: u8 = 0xA0;
        let (SEQUENCE, content) = *elements(octets).first()? else {
            return None;
        };
        let outer = elements(content);
        let tags: Vec<u8> = outer.iter().map(|(tag, _)| *tag).collect();
        let first = outer.first()?.1;
        match tags.as_slice() {
            [INTEGER, SEQUENCE, ..] if first == [3] => Some(Self::Pkcs12),
            // PKCS#8, SEC 1, PKCS#1; PKCS#8 encrypted.
            [INTEGER, SEQUENCE, OCTETS, ..] | [INTEGER, OCTETS, ..] => Some(Self::PrivateKey),
            [INTEGER, INTEGER, INTEGER, ..] | [SEQUENCE, OCTETS] => Some(Self::PrivateKey),
            [INTEGER, INTEGER] | [SEQUENCE, BITS] => Some(Self::PublicKey),
            [OID, TAGGED, ..] => Some(Self::Pkcs7),
            [SEQUENCE, ..] => {
                let tags: Vec<u8> = elements(first).iter().map(|(tag, _)| *tag).collect();
                match tags.as_slice() {
                    [TAGGED, INTEGER, ..] => Some(Self::Certificate),
                    // Of a CRL the dates come third or fourth, of a certificate of version 1 they are a
                    // SEQUENCE.
                    [SEQUENCE, SEQUENCE, 0x17 | 0x18, ..]
                    | [INTEGER, SEQUENCE, SEQUENCE, 0x17 | 0x18, ..] => Some(Self::Crl),
                    [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, ..] => Some(Self::Certificate),
                    [INTEGER, SEQUENCE, SEQUENCE] | [INTEGER, SEQUENCE, SEQUENCE, TAGGED, ..] => {
                        Some(Self::Request)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// The label of a certificate with OpenSSL's settings of trust behind it.
const TRUSTED: &str = "TRUSTED CERTIFICATE";

/// The first elements of BER: the tag of each, and what is in it as far as it is there.
fn elements(mut octets: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    while found.len() < 8 {
        let Some((tag, length, rest)) = header(octets) else {
            break;
        };
        let (content, behind) = rest.split_at(length.min(rest.len()));
        found.push((tag, content));
        octets = behind;
    }
    found
}

/// A tag, the length behind it, and what follows. A length that is not told (0x80) is all that there is.
fn header(octets: &[u8]) -> Option<(u8, usize, &[u8])> {
    let [tag, length, rest @ ..] = octets else {
        return None;
    };
    match (length & 0x80, usize::from(length & 0x7F)) {
        (0, length) => Some((*tag, length, rest)),
        (_, 0) => Some((*tag, rest.len(), rest)),
        (_, count @ 1..=4) => {
            let (length, rest) = rest.split_at_checked(count)?;
            let length = length.iter().fold(0, |all, octet| all << 8 | usize::from(*octet));
            Some((*tag, length, rest))
        }
        _ => None,
    }
}

/// One item in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The kind of the item.
    pub kind: Kind,
    /// The label of its PEM block, if it is in one.
    pub label: String,
    /// Its DER, where it is whole and no private key: nothing here has a use for those.
    pub der: Option<Vec<u8>>,
}

/// The contents of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The items in their order.
    pub items: Vec<Item>,
    /// Whether it is one thing in binary.
    pub is_binary: bool,
    /// Whether there is nothing at all in it.
    pub is_empty: bool,
}

/// The reason for which a file does not have what is wanted, worded to follow the file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwanted {
    /// The file is empty.
    #[error("is empty: there is no {} in it", .0.name())]
    Empty(Kind),
    /// Something else is in it.
    #[error("is {found}, and no {}", .wanted.name())]
    Other {
        /// The kind of thing that is in it.
        found: String,
        /// The kind of thing that is wanted.
        wanted: Kind,
    },
    /// Nothing in it is recognized.
    #[error("is nothing that this program knows, and no {}", .0.name())]
    Unknown(Kind),
    /// The item is cut short, or changed.
    #[error("has {} in it that is not whole", .0.one())]
    Damaged(Kind),
    /// There are several items where one is wanted.
    #[error("has {count} {}s in it, and must have one", .kind.name())]
    Several {
        /// The kind that there are several of.
        kind: Kind,
        /// The number of them.
        count: usize,
    },
}

impl Contents {
    /// Recognizes the contents of a file: one item in DER or in base64 without lines around it; or the blocks
    /// of a PEM file, whatever is around them, be it with a byte-order mark, in UTF-16, indented, or quoted
    /// in a mail.
    pub fn of(octets: &[u8]) -> Self {
        let one = |kind, der: Option<&[u8]>| Self {
            items: vec![Item {
                kind,
                label: String::new(),
                der: der.filter(|_| kind != Kind::PrivateKey).map(<[u8]>::to_vec),
            }],
            is_binary: true,
            is_empty: false,
        };
        if is_der(octets) {
            return one(Kind::of_der(octets).unwrap_or(Kind::Other), Some(octets));
        }
        if [&[0xFE, 0xED, 0xFE, 0xED], &[0xCE; 4]]
            .iter()
            .any(|magic| octets.starts_with(*magic))
        {
            return one(Kind::Keystore, None);
        }
        let text = text(octets);
        let mut items = blocks(&text);
        if items.is_empty() {
            items.extend(naked(&text));
        }
        let beginning: String = text.trim_start().chars().take(16).collect();
        let beginning = beginning.to_ascii_lowercase();
        if items.is_empty() && (beginning.starts_with("<!doctype html") || beginning.starts_with("<html")) {
            return one(Kind::WebPage, None);
        }
        Self {
            items,
            is_binary: false,
            is_empty: text.trim().is_empty(),
        }
    }

    /// Whether a private key is in it.
    pub fn holds_key(&self) -> bool {
        self.items.iter().any(|item| item.kind == Kind::PrivateKey)
    }

    /// Everything of this kind, in its order. What else is in the file is passed over.
    ///
    /// # Errors
    /// Where there is none, or one is damaged.
    pub fn all(&self, kind: Kind) -> Result<Vec<&[u8]>, Unwanted> {
        let those = self.items.iter().filter(|item| item.kind == kind);
        let all: Option<Vec<&[u8]>> = those.map(|item| item.der.as_deref()).collect();
        match all {
            Some(all) if all.is_empty() => Err(self.has_no(kind)),
            Some(all) => Ok(all),
            None => Err(Unwanted::Damaged(kind)),
        }
    }

    /// The only one of this kind.
    ///
    /// # Errors
    /// None, one that is damaged, or several.
    pub fn only(&self, kind: Kind) -> Result<&[u8], Unwanted> {
        match self.all(kind)?.as_slice() {
            [one] => Ok(one),
            all => Err(Unwanted::Several {
                kind,
                count: all.len(),
            }),
        }
    }

    /// The kind of item that it has in place of what is wanted: a key may have its parameters beside it.
    pub fn instead(&self) -> Option<Kind> {
        let kinds = || self.items.iter().map(|item| item.kind);
        kinds()
            .find(|kind| !matches!(kind, Kind::Parameters | Kind::Other))
            .or_else(|| kinds().next())
    }

    fn has_no(&self, wanted: Kind) -> Unwanted {
        let mut kinds: Vec<Kind> = Vec::new();
        for item in &self.items {
            if item.kind != Kind::Other && !kinds.contains(&item.kind) {
                kinds.push(item.kind);
            }
        }
        if kinds.len() > 1 {
            kinds.retain(|kind| *kind != Kind::Parameters);
        }
        let found: Vec<&str> = kinds.iter().map(|kind| kind.one()).collect();
        match found.split_last() {
            None if self.is_empty => Unwanted::Empty(wanted),
            None => Unwanted::Unknown(wanted),
            Some((last, before)) => {
                let before = before.join(", ");
                let found = if before.is_empty() {
                    (*last).to_owned()
                } else {
                    format!("{before} and {last}")
                };
                Unwanted::Other { found, wanted }
            }
        }
    }
}

/// Whether these octets begin a PKCS#12 (RFC 7292 §4).
pub fn is_pkcs12(octets: &[u8]) -> bool {
    Kind::of_der(octets) == Some(Kind::Pkcs12)
}

/// Whether these octets are a SEQUENCE in binary, and no text that begins with the digit 0.
fn is_der(octets: &[u8]) -> bool {
    let [0x30, length, content @ ..] = octets else {
        return false;
    };
    *length >= 0x80 || usize::from(*length) <= content.len() && Kind::of_der(octets).is_some()
}

/// The byte-order mark of UTF-8, which Windows puts in front of a text.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// These octets without a byte-order mark of UTF-8.
pub fn without_mark(octets: &[u8]) -> &[u8] {
    octets.strip_prefix(MARK).unwrap_or(octets)
}

/// Whether a text is in UTF-16, by its byte-order mark or by the NUL beside its first letter.
pub fn is_utf16(octets: &[u8]) -> bool {
    is_little(octets).is_some()
}

/// The reason for which a text of ours, which is in UTF-8, cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotUtf8 {
    /// It is in UTF-16, as some editors of Windows save it.
    #[error("the file is UTF-16: save it as UTF-8")]
    Utf16,
    /// Latin-1, perhaps, or no text at all.
    #[error("the file is not UTF-8")]
    Other,
}

/// A text in UTF-8, without a byte-order mark.
///
/// # Errors
/// Where it is in another encoding: half of it read would say something else.
pub fn utf8(octets: &[u8]) -> Result<&str, NotUtf8> {
    if is_utf16(octets) {
        return Err(NotUtf8::Utf16);
    }
    std::str::from_utf8(without_mark(octets)).map_err(|_| NotUtf8::Other)
}

/// Whether the lower half of each unit of UTF-16 comes first.
fn is_little(octets: &[u8]) -> Option<bool> {
    match octets {
        [0xFF, 0xFE, rest @ ..] if rest.len().is_multiple_of(2) => Some(true),
        [0xFE, 0xFF, rest @ ..] if rest.len().is_multiple_of(2) => Some(false),
        [1..=0x7F, 0, 1..=0x7F, 0, ..] => Some(true),
        [0, 1..=0x7F, 0, 1..=0x7F, ..] => Some(false),
        _ => None,
    }
}

/// A text in UTF-8 or UTF-16. It may have a key in it, and is wiped.
fn text(octets: &[u8]) -> Zeroizing<String> {
    let Some(is_little) = is_little(octets) else {
        return Zeroizing::new(String::from_utf8_lossy(without_mark(octets)).into_owned());
    };
    let units = octets.chunks_exact(2).map(|unit| match *unit {
        [low, high] if is_little => u16::from_le_bytes([low, high]),
        [high, low] => u16::from_be_bytes([high, low]),
        _ => 0,
    });
    // As large as it can become: what grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(octets.len() / 2 * 3));
    text.extend(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
    text
}

/// The PEM blocks of a text. It is looked for their marks, wherever those stand in a line.
fn blocks(text: &str) -> Vec<Item> {
    const DASHES: &str = "-----";
    const BEGIN: &str = "-----BEGIN ";
    let mut items = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once(BEGIN) {
        rest = begun;
        let Some((label, behind)) = begun
            .split_once(DASHES)
            .filter(|(label, _)| !label.contains('\n'))
        else {
            continue;
        };
        let (body, end) = behind.split_at(behind.find(DASHES).unwrap_or(behind.len()));
        let is_ended = end
            .strip_prefix("-----END ")
            .is_some_and(|end| end.strip_prefix(label).is_some_and(|end| end.starts_with(DASHES)));
        let by_label = Kind::of_label(label);
        let mut der = (is_ended && by_label != Kind::PrivateKey)
            .then(|| decoded(body))
            .flatten();
        if label == TRUSTED {
            der = der.map(first_element);
        }
        // Windows gives a PKCS#7 the label of a certificate.
        let by_content = der.as_deref().and_then(Kind::of_der);
        let kind = by_content.unwrap_or(by_label);
        items.push(Item {
            kind,
            label: label.to_owned(),
            der: der.filter(|_| kind != Kind::PrivateKey),
        });
        rest = end;
    }
    items
}

/// Without what follows the first element.
fn first_element(mut der: Vec<u8>) -> Vec<u8> {
    if let Some((_, length, rest)) = header(&der) {
        let whole = (der.len() - rest.len()).saturating_add(length);
        der.truncate(whole);
    }
    der
}

/// One thing in base64, with no lines around it that say what it is.
fn naked(text: &str) -> Option<Item> {
    let der = Zeroizing::new(decoded(text)?);
    let kind = is_der(&der).then(|| Kind::of_der(&der))??;
    Some(Item {
        kind,
        label: String::new(),
        der: (kind != Kind::PrivateKey).then(|| der.to_vec()),
    })
}

/// Base64, in whatever lines, and quoted as mail clients do.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
    base64.extend(
        text.chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '>' | '\u{FEFF}')),
    );
    BASE64
        .decode(base64.as_bytes())
        .ok()
        .filter(|der| !der.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_pkcs12_is_known_in_each_form_of_its_length() {
        for length in [&[0x0A][..], &[0x81, 0xF0], &[0x82, 4, 0], &[0x80]] {
            let octets = [&[0x30], length, &[2, 1, 3, 0x30, 0x82, 1, 1]].concat();
            assert!(is_pkcs12(&octets), "{octets:?}");
        }
        // A certificate, a CRL of version 2.
        for other in [&[0x30, 0x82, 1, 2, 0x30][..], &[0x30, 0x05, 2, 1, 1, 0x30, 0]] {
            assert!(!is_pkcs12(other), "{other:?}");
        }
    }

    #[test]
    fn a_block_is_found_however_it_is_written() {
        // A public key, for all that its tags tell.
        let der = [0x30, 0x06, 0x30, 0x00, 0x03, 0x02, 0x00, 0x07];
        let plain = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            BASE64.encode(&der)
        );
        let quoted: String = plain.lines().map(|line| format!("> > {line}\r\n")).collect();
        let utf16 = |mark: &str, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            format!("{mark}{plain}").encode_utf16().flat_map(unit).collect()
        };
        for octets in [
            plain.clone().into_bytes(),
            format!("Bag Attributes\n{plain}").into_bytes(),
            format!("\u{FEFF}{plain}").into_bytes(),
            plain.replace('\n', "\n\u{A0}\t ").into_bytes(),
            plain.replace('\n', " ").into_bytes(),
            quoted.into_bytes(),
            utf16("\u{FEFF}", u16::to_le_bytes),
            utf16("\u{FEFF}", u16::to_be_bytes),
            utf16("", u16::to_le_bytes),
            utf16("", u16::to_be_bytes),
            BASE64.encode(&der).into_bytes(),
            der.to_vec(),
        ] {
            let read = Contents::of(&octets);
            assert_eq!(
                read.only(Kind::PublicKey),
                Ok(&der[..]),
                "{}",
                String::from_utf8_lossy(&octets)
            );
        }
    }

    #[test]
    fn what_is_not_whole_is_said_to_be_damaged_and_no_key_is_kept() {
        let cut = Contents::of(b"-----BEGIN CERTIFICATE-----\nMIIB\n");
        assert_eq!(
            cut.only(Kind::Certificate),
            Err(Unwanted::Damaged(Kind::Certificate))
        );
        let lost = Contents::of(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----BEGIN X509 CRL-----\nMIIB\n");
        assert_eq!(lost.items.len(), 2);
        for key in [
            &b"-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n"[..],
            &[0x30, 0x05, 2, 1, 1, 4, 0],
            b"MAUCAQEEAA==",
        ] {
            let read = Contents::of(key);
            assert!(
                read.holds_key() && read.items.iter().all(|item| item.der.is_none()),
                "{read:?}"
            );
        }
        for other in [
            &b"<html>"[..],
            b"-----BEGIN",
            b"-----BEGIN \n-----",
            b"0 apples",
            b"hello",
        ] {
            assert!(Contents::of(other).all(Kind::Request).is_err());
        }
        assert_eq!(
            Contents::of(b" \n").only(Kind::Crl),
            Err(Unwanted::Empty(Kind::Crl))
        );
    }
}
