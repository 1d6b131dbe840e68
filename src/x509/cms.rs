//! Certificates in the envelope that EST hands them out in: a CMS SignedData that nobody signed (RFC 5652
//! §5.1, "certs-only" in RFC 8951).

use super::envelope::tlv;

/// signedData, 1.2.840.113549.1.7.2, encoded (RFC 5652 §5.1).
const SIGNED_DATA: &[u8] = &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 2];
/// data, 1.2.840.113549.1.7.1, encoded (RFC 5652 §4).
const DATA: &[u8] = &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 1];
const VERSION_1: &[u8] = &[2, 1, 1];
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// [0], constructed.
const FIRST: u8 = 0xA0;

/// These certificates, each in DER, in a SignedData without signers.
pub fn certs_only(certificates: &[&[u8]]) -> Vec<u8> {
    let mut sorted = certificates.to_vec();
    // A SET OF in DER is sorted (X.690 §11.6).
    sorted.sort_unstable();
    let content = tlv(SEQUENCE, &[DATA]);
    let certificates = tlv(FIRST, &sorted);
    let (no_digests, no_signers) = (tlv(SET, &[]), tlv(SET, &[]));
    let signed = tlv(
        SEQUENCE,
        &[VERSION_1, &no_digests, &content, &certificates, &no_signers],
    );
    tlv(SEQUENCE, &[SIGNED_DATA, &tlv(FIRST, &[&signed])])
}
