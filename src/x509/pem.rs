//! PEM: base64 between two lines (RFC 7468).

use std::sync::LazyLock;

use data_encoding::{BASE64, Encoding, Specification};

use super::X509Error;

/// The label of a certificate.
pub const CERTIFICATE: &str = "CERTIFICATE";
/// The label of a CRL.
pub const CRL: &str = "X509 CRL";
/// The label of a certificate signing request.
pub const REQUEST: &str = "CERTIFICATE REQUEST";

/// Base64 in lines of 64 characters.
static WRAPPED: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    specification.padding = Some('=');
    specification.wrap.width = 64;
    specification.wrap.separator.push('\n');
    specification
        .encoding()
        .expect("64 distinct symbols, padding and a separator make an encoding")
});

/// Encodes octets as one PEM block.
pub fn encode(label: &str, der: &[u8]) -> String {
    pieces(label, der).collect()
}

/// The octets of one line.
const LINE: usize = 48;
/// The octets of one piece: whole lines.
const PIECE: usize = LINE << 10;

/// Encodes octets as one PEM block, in pieces of whole lines: the text of a list of a million entries is not
/// held as a whole.
pub fn pieces<'a>(label: &str, der: &'a [u8]) -> impl Iterator<Item = String> + use<'a> {
    std::iter::once(boundary("BEGIN", label))
        .chain(der.chunks(PIECE).map(|octets| WRAPPED.encode(octets)))
        .chain(std::iter::once(boundary("END", label)))
}

fn boundary(which: &str, label: &str) -> String {
    format!("-----{which} {label}-----\n")
}

/// Whether the pieces of a block, read back, are a block of these octets.
pub fn reads_back(label: &str, der: &[u8]) -> bool {
    is_block_of(label, der, pieces(label, der))
}

/// Whether these are, put together, exactly one block of `der`. Reads line by line, with another decoder than
/// wrote them.
fn is_block_of(label: &str, der: &[u8], mut pieces: impl Iterator<Item = String>) -> bool {
    let mut is_next = |is: &dyn Fn(&str) -> bool| pieces.next().is_some_and(|piece| is(&piece));
    is_next(&|piece| piece == boundary("BEGIN", label))
        && der
            .chunks(PIECE)
            .all(|octets| is_next(&|piece| are_lines_of(octets, piece)))
        && is_next(&|piece| piece == boundary("END", label))
        && pieces.next().is_none()
}

fn are_lines_of(octets: &[u8], text: &str) -> bool {
    let mut chunks = octets.chunks(LINE);
    let mut decoded = [0; LINE];
    text.ends_with('\n')
        && text.lines().all(|line| {
            let length = BASE64.decode_len(line.len()).unwrap_or(usize::MAX);
            let decoded = decoded.get_mut(..length).and_then(|place| {
                let length = BASE64.decode_mut(line.as_bytes(), place).ok()?;
                place.get(..length)
            });
            decoded.is_some() && decoded == chunks.next()
        })
        && chunks.next().is_none()
}

/// Decodes the only PEM block of `text`, which must have this label; text around it is passed over.
///
/// # Errors
/// No such block, a broken one, or more than one block.
pub fn decode(label: &'static str, text: &[u8]) -> Result<Vec<u8>, X509Error> {
    let mut blocks = x509_parser::pem::Pem::iter_from_buffer(text);
    let first = blocks
        .next()
        .and_then(Result::ok)
        .filter(|block| block.label == label);
    let first = first.ok_or(X509Error::NoPem(label))?;
    match blocks.next() {
        None => Ok(first.contents),
        Some(_) => Err(X509Error::TrailingOctets("the PEM block")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_reads_back_and_has_lines_of_64() {
        for length in [0, 1, LINE - 1, LINE, LINE + 1, 1000, PIECE - 1, PIECE, PIECE + 1] {
            let der: Vec<u8> = (0..length).map(|i| i.to_le_bytes()[0]).collect();
            let text = encode(CRL, &der);
            assert!(text.lines().all(|line| line.len() <= 64), "{text}");
            assert!(
                text.ends_with("\n-----END X509 CRL-----\n") && !text.contains("\n\n"),
                "{text}"
            );
            assert_eq!(decode(CRL, text.as_bytes()).unwrap(), der);
            assert!(reads_back(CRL, &der));
            assert!(!is_block_of(CRL, &[&der[..], &[0]].concat(), pieces(CRL, &der)));
            assert!(der.is_empty() || !is_block_of(CRL, &der[1..], pieces(CRL, &der)));
            assert!(!is_block_of(CERTIFICATE, &der, pieces(CRL, &der)));
            assert!(!is_block_of(CRL, &der, pieces(CRL, &der).chain(["x\n".into()])));
            for cut in 0..pieces(CRL, &der).count() {
                assert!(!is_block_of(CRL, &der, pieces(CRL, &der).take(cut)));
            }
        }
    }

    #[test]
    fn another_label_or_a_second_block_is_refused() {
        let text = encode(CERTIFICATE, b"x");
        assert_eq!(decode(CRL, text.as_bytes()), Err(X509Error::NoPem(CRL)));
        assert!(decode(CERTIFICATE, text.repeat(2).as_bytes()).is_err());
        assert!(decode(CERTIFICATE, b"").is_err());
    }
}
