//! PEM: base64 between two lines (RFC 7468).

use data_encoding::{BASE64, Encoding, Specification};

use super::X509Error;

/// The label of a certificate.
pub const CERTIFICATE: &str = "CERTIFICATE";
/// The label of a CRL.
pub const CRL: &str = "X509 CRL";
/// The label of a certificate signing request.
pub const REQUEST: &str = "CERTIFICATE REQUEST";

/// Base64 in lines of 64 characters.
fn wrapped() -> Encoding {
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
}

/// One PEM block.
pub fn encode(label: &str, der: &[u8]) -> String {
    let base64 = wrapped();
    let mut text = String::with_capacity(base64.encode_len(der.len()) + 2 * label.len() + 40);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    base64.encode_append(der, &mut text);
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Whether `text` is exactly one block of `der`, read back line by line: a list of a million entries is not held a second time.
pub fn is_block_of(label: &str, der: &[u8], text: &str) -> bool {
    let inner = text
        .strip_prefix(&format!("-----BEGIN {label}-----\n"))
        .and_then(|rest| rest.strip_suffix(&format!("-----END {label}-----\n")));
    let Some(inner) = inner else { return false };
    let mut chunks = der.chunks(48);
    inner.lines().all(|line| {
        let mut octets = [0; 48];
        let decoded = BASE64
            .decode_len(line.len())
            .ok()
            .and_then(|length| octets.get_mut(..length));
        let decoded = decoded.and_then(|place| {
            let length = BASE64.decode_mut(line.as_bytes(), place).ok()?;
            place.get(..length)
        });
        decoded.is_some() && decoded == chunks.next()
    }) && chunks.next().is_none()
}

/// The octets of the only PEM block of `text`, which must have this label; text around it is passed over.
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
        for length in [0, 1, 47, 48, 49, 1000] {
            let der: Vec<u8> = (0..length).map(|i: u32| i.to_le_bytes()[0]).collect();
            let text = encode(CRL, &der);
            assert!(text.lines().all(|line| line.len() <= 64), "{text}");
            assert!(
                text.ends_with("\n-----END X509 CRL-----\n") && !text.contains("\n\n"),
                "{text}"
            );
            assert_eq!(decode(CRL, text.as_bytes()).unwrap(), der);
            assert!(is_block_of(CRL, &der, &text));
            assert!(!is_block_of(CRL, &[&der[..], &[0]].concat(), &text));
            assert!(der.is_empty() || !is_block_of(CRL, &der[1..], &text));
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
