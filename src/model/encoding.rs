//! In what encoding a file of certificates or keys is, as far as its first octets tell.

/// How certificates and keys are written into files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Text, each thing between its two lines (RFC 7468).
    Pem,
    /// One thing, in binary.
    Der,
    /// Certificates and a key in one encrypted file (RFC 7292).
    Pkcs12,
    /// Something else, or nothing.
    Other,
}

impl Encoding {
    /// The encoding that these octets are in, or begin.
    pub fn of(octets: &[u8]) -> Self {
        const PEM: &[u8] = b"-----BEGIN ";
        if is_pkcs12(octets) {
            Self::Pkcs12
        } else if octets.first() == Some(&0x30) {
            Self::Der
        } else if octets.windows(PEM.len()).any(|some| some == PEM) {
            Self::Pem
        } else {
            Self::Other
        }
    }
}

/// Whether these octets begin a PKCS#12 (RFC 7292 §4): a SEQUENCE whose first element is the INTEGER 3, and its second a SEQUENCE.
fn is_pkcs12(octets: &[u8]) -> bool {
    let [0x30, length, rest @ ..] = octets else {
        return false;
    };
    // The length in one octet, in as many more as it says, or not told at all (0x80).
    let more = usize::from(length & 0x7F) * usize::from(length >> 7);
    rest.get(more..)
        .is_some_and(|content| content.starts_with(&[0x02, 0x01, 0x03, 0x30]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_pkcs12_is_known_in_each_form_of_its_length() {
        for length in [&[0x0A][..], &[0x81, 0xF0], &[0x82, 4, 0], &[0x80]] {
            let octets = [&[0x30], length, &[2, 1, 3, 0x30, 0x82]].concat();
            assert_eq!(Encoding::of(&octets), Encoding::Pkcs12, "{octets:?}");
        }
        // A certificate, a CRL of version 2.
        for other in [&[0x30, 0x82, 1, 2, 0x30][..], &[0x30, 0x05, 2, 1, 1, 0x30]] {
            assert_eq!(Encoding::of(other), Encoding::Der, "{other:?}");
        }
    }

    #[test]
    fn pem_may_have_text_before_it() {
        let text = b"Bag Attributes\n-----BEGIN CERTIFICATE-----\n";
        assert_eq!(Encoding::of(text), Encoding::Pem);
        for other in [&b""[..], b"<html>", b"-----BEGIN"] {
            assert_eq!(Encoding::of(other), Encoding::Other);
        }
    }
}
