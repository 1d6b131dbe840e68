//! Certificate revocation lists (RFC 5280 §5): full, version 2, ecdsa-with-SHA256.
//!
//! The writer is our own, because a list of a million entries must not cost what the libraries ask for it;
//! the reader rests on x509-parser and goes through the entries one by one, so that reading takes no memory
//! either.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an extension that is not named is refused where it is critical"
)]

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tagged};
use x509_parser::asn1_rs::{Any, BitString, Class, Header, Tag};
use x509_parser::prelude::{FromDer, ParsedExtension};
use x509_parser::revocation_list::RevokedCertificate;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use super::envelope::{self, header};
use super::{Certificate, X509Error};
use crate::key::{self, Signer};
use crate::model::{Reason, Revocation, Serial, Time};

/// The number and times of a CRL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// cRLNumber (RFC 5280 §5.2.3).
    pub number: u64,
    /// thisUpdate.
    pub this_update: Time,
    /// nextUpdate.
    pub next_update: Time,
}

const ECDSA_WITH_SHA256: &[u8] = &[
    0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02,
];
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x06, 0x03, 0x55, 0x1D, 0x23];
const CRL_NUMBER: &[u8] = &[0x06, 0x03, 0x55, 0x1D, 0x14];
/// crlEntryExtensions with a reasonCode: SEQUENCE { SEQUENCE { id-ce-cRLReasons, OCTET STRING { ENUMERATED }
/// } }; the reason is the last octet.
const REASON_CODE: &[u8] = &[
    0x30, 0x0C, 0x30, 0x0A, 0x06, 0x03, 0x55, 0x1D, 0x15, 0x04, 0x03, 0x0A, 0x01,
];

/// Writes and signs the CRL of `issuer`, in DER. The entries must be in the order of their serials.
///
/// # Errors
/// Where the terms are not valid, or the key does not sign.
pub fn sign(
    issuer: &Certificate,
    key: &dyn Signer,
    terms: Terms,
    entries: &[Revocation],
) -> Result<Vec<u8>, X509Error> {
    let sorted = entries.windows(2).all(|pair| pair[0].serial < pair[1].serial);
    if !sorted || terms.next_update <= terms.this_update || terms.number == 0 {
        return Err(X509Error::Build(
            "the CRL's terms or the order of its entries make no sense".into(),
        ));
    }
    let entries_length: usize = entries.iter().map(|entry| 2 + entry_length(entry)).sum();
    let extensions = crl_extensions(issuer, terms.number);
    let head = [
        &[0x02, 0x01, 0x01][..],
        ECDSA_WITH_SHA256,
        issuer.subject(),
        &time(terms.this_update),
        &time(terms.next_update),
    ]
    .concat();
    let list_header = if entries.is_empty() {
        Vec::new()
    } else {
        header(0x30, entries_length)
    };
    let content = head.len() + list_header.len() + entries_length + extensions.len();
    let tbs_header = header(0x30, content);
    // A signature has at most 72 octets: one allocation for the whole list.
    let mut list = Vec::with_capacity(tbs_header.len() + content + ECDSA_WITH_SHA256.len() + 96);
    list.extend_from_slice(&tbs_header);
    list.extend_from_slice(&head);
    list.extend_from_slice(&list_header);
    for entry in entries {
        write_entry(&mut list, entry);
    }
    list.extend_from_slice(&extensions);
    let signature = key::sign(key, &list)?.to_der();
    list.extend_from_slice(ECDSA_WITH_SHA256);
    list.extend_from_slice(&header(0x03, signature.len() + 1));
    list.push(0);
    list.extend_from_slice(&signature);
    let outer = header(0x30, list.len());
    list.splice(0..0, outer);
    Ok(list)
}

fn crl_extensions(issuer: &Certificate, number: u64) -> Vec<u8> {
    let tlv = |tag: u8, content: &[u8]| [header(tag, content.len()), content.to_vec()].concat();
    let extension = |oid: &[u8], value: &[u8]| tlv(0x30, &[oid, &tlv(0x04, value)].concat());
    let key_identifier = tlv(0x30, &tlv(0x80, &issuer.key_identifier()));
    let mut number = number.to_be_bytes().to_vec();
    while number.len() > 1 && number[0] == 0 && number[1] < 0x80 {
        number.remove(0);
    }
    if number[0] >= 0x80 {
        number.insert(0, 0);
    }
    let both = [
        extension(AUTHORITY_KEY_IDENTIFIER, &key_identifier),
        extension(CRL_NUMBER, &tlv(0x02, &number)),
    ];
    tlv(0xA0, &tlv(0x30, &both.concat()))
}

/// The length of an entry's content, which is always below 128: one octet says it.
fn entry_length(entry: &Revocation) -> usize {
    let reason = entry.reason.crl_reason().map_or(0, |_| REASON_CODE.len() + 1);
    2 + entry.serial.octets().len() + time_length(entry.at) + reason
}

fn write_entry(list: &mut Vec<u8>, entry: &Revocation) {
    list.extend_from_slice(&[0x30, entry_length(entry).to_le_bytes()[0]]);
    list.extend_from_slice(&[0x02, 0x10]);
    list.extend_from_slice(entry.serial.octets());
    write_time(list, entry.at);
    if let Some(reason) = entry.reason.crl_reason() {
        list.extend_from_slice(REASON_CODE);
        list.push(reason);
    }
}

/// 2050-01-01T00:00:00Z: from there on a time is a GeneralizedTime (RFC 5280 §5.1.2.4).
const GENERALIZED: i64 = 2_524_608_000;

fn time_length(time: Time) -> usize {
    if time.unix() < GENERALIZED { 15 } else { 17 }
}

fn write_time(out: &mut Vec<u8>, time: Time) {
    let digits = time.digits();
    if time.unix() < GENERALIZED {
        out.extend_from_slice(&[0x17, 13]);
        out.extend_from_slice(&digits[2..]);
    } else {
        out.extend_from_slice(&[0x18, 15]);
        out.extend_from_slice(&digits);
    }
    out.push(b'Z');
}

fn time(time: Time) -> Vec<u8> {
    let mut encoded = Vec::new();
    write_time(&mut encoded, time);
    encoded
}

/// A CRL that was read and has the form that this program writes.
#[derive(Debug, Clone)]
pub struct Crl<'a> {
    tbs: &'a [u8],
    signature: &'a [u8],
    issuer: &'a [u8],
    terms: Terms,
    entries: &'a [u8],
}

impl<'a> Crl<'a> {
    /// Reads one CRL in DER. Its entries are read when they are asked for.
    ///
    /// # Errors
    /// Anything but exactly one full version 2 CRL with nextUpdate and cRLNumber and no other critical
    /// extension.
    pub fn parse(der: &'a [u8]) -> Result<Self, X509Error> {
        let malformed = |e: &dyn std::fmt::Display| X509Error::malformed("the CRL")(e);
        let foreign = |what: &str| X509Error::Foreign(format!("the CRL {what}"));
        let (rest, outer) = sequence(der).map_err(|e| malformed(&e))?;
        if !rest.is_empty() {
            return Err(X509Error::TrailingOctets("the CRL"));
        }
        let (after_tbs, inner) = sequence(outer).map_err(|e| malformed(&e))?;
        let tbs = &outer[..outer.len() - after_tbs.len()];
        // Octet for octet: there is one way to write this algorithm (RFC 5758 §3.2), and nothing signs what
        // stands behind the list.
        let other_algorithm = || foreign("is not signed with ecdsa-with-SHA256");
        let rest = after_tbs
            .strip_prefix(ECDSA_WITH_SHA256)
            .ok_or_else(other_algorithm)?;
        let (rest, signature) = <BitString<'_> as FromDer<'_>>::from_der(rest).map_err(|e| malformed(&e))?;
        if !rest.is_empty() {
            return Err(X509Error::TrailingOctets("the CRL's signature"));
        }
        if signature.unused_bits != 0 {
            return Err(foreign("has a signature that is not a whole number of octets"));
        }
        // `BitString` owns or borrows its data; the octets at the end of the list are the same ones and live
        // as long as it.
        let signature = &der[der.len() - signature.data.len()..];
        if !envelope::is_around(der, tbs, ECDSA_WITH_SHA256, signature) {
            return Err(malformed(&"what stands around the signed list is no DER"));
        }

        let (rest, version) = <u32 as FromDer<'_>>::from_der(inner).map_err(|e| malformed(&e))?;
        if version != 1 {
            return Err(foreign("is not of version 2"));
        }
        let rest = rest.strip_prefix(ECDSA_WITH_SHA256).ok_or_else(other_algorithm)?;
        let (rest, issuer) = X509Name::from_der(rest).map_err(|e| malformed(&e))?;
        let (rest, this_update) = ASN1Time::from_der(rest).map_err(|e| malformed(&e))?;
        let (rest, next_update) = ASN1Time::from_der(rest).map_err(|e| malformed(&e))?;
        let (rest, entries) = match rest.first() {
            Some(0x30) => sequence(rest).map_err(|e| malformed(&e))?,
            _ => (rest, &rest[..0]),
        };
        let number = crl_number(rest)?;
        Ok(Self {
            tbs,
            signature,
            issuer: issuer.as_raw(),
            terms: Terms {
                number,
                this_update: Time::from_unix(this_update.timestamp()),
                next_update: Time::from_unix(next_update.timestamp()),
            },
            entries,
        })
    }

    /// The number and times of the CRL.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// Whether `authority` is named as its issuer and signed it.
    pub fn is_issued_by(&self, authority: &Certificate) -> bool {
        self.issuer == authority.subject() && authority.public_key().verifies(self.tbs, self.signature)
    }

    /// Its entries, one by one, in its own order. A serial that is not of this program's form is an error.
    pub fn entries(&self) -> impl Iterator<Item = Result<Revocation, X509Error>> + 'a {
        let mut rest = self.entries;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            if let Some((after, entry)) = plain_entry(rest) {
                rest = after;
                return Some(Ok(entry));
            }
            match RevokedCertificate::from_der(rest) {
                Ok((after, entry)) => {
                    rest = after;
                    Some(revocation(&entry))
                }
                Err(error) => {
                    rest = &[];
                    Some(Err(X509Error::malformed("an entry of the CRL")(&error)))
                }
            }
        })
    }
}

/// The entry at the beginning of `input`, where it has the form of this program's own and of most others': a
/// time, and no extension but the reason. It takes a fifth of the time that it takes to read any entry, and
/// what is of another form is left to x509-parser.
fn plain_entry(input: &[u8]) -> Option<(&[u8], Revocation)> {
    let mut list = SliceReader::new(input).ok()?;
    let entry = list.tlv_bytes().ok()?;
    let content = AnyRef::from_der(entry)
        .ok()
        .filter(|entry| entry.tag() == der::Tag::Sequence)?;
    let mut fields = SliceReader::new(content.value()).ok()?;
    let serial = fields
        .decode::<AnyRef<'_>>()
        .ok()
        .filter(|serial| serial.tag() == der::Tag::Integer)?;
    let serial = Serial::from_octets(serial.value())?;
    let at = fields.decode::<x509_cert::time::Time>().ok()?.to_unix_duration();
    let code = match fields.is_finished() {
        true => None,
        false => match fields.tlv_bytes().ok()?.strip_prefix(REASON_CODE)? {
            [code] if fields.is_finished() => Some(*code),
            _ => return None,
        },
    };
    let revocation = Revocation {
        serial,
        at: Time::from_unix(i64::try_from(at.as_secs()).ok()?),
        reason: Reason::from_crl_reason(code),
    };
    Some((&input[entry.len()..], revocation))
}

fn revocation(entry: &RevokedCertificate<'_>) -> Result<Revocation, X509Error> {
    let serial = Serial::from_octets(entry.raw_serial()).ok_or_else(|| {
        X509Error::Foreign(format!("the CRL has the serial {}", entry.raw_serial_as_string()))
    })?;
    let code = entry.reason_code().map(|(_, code)| code.0);
    Ok(Revocation {
        serial,
        at: Time::from_unix(entry.revocation_date.timestamp()),
        reason: Reason::from_crl_reason(code),
    })
}

/// The content of the SEQUENCE at the beginning of `input`, and what follows it.
fn sequence(input: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let (rest, any) = <Any<'_> as FromDer<'_>>::from_der(input).map_err(|e| e.to_string())?;
    let header: &Header<'_> = &any.header;
    if header.tag() != Tag::Sequence || header.class() != Class::Universal {
        return Err("a SEQUENCE was expected".into());
    }
    Ok((rest, any.data))
}

/// The cRLNumber of `[0] EXPLICIT Extensions`, which must be all that is left.
fn crl_number(input: &[u8]) -> Result<u64, X509Error> {
    let malformed = |e: &dyn std::fmt::Display| X509Error::malformed("the CRL's extensions")(e);
    let foreign = |what: &str| X509Error::Foreign(format!("the CRL {what}"));
    let (rest, tagged) = <Any<'_> as FromDer<'_>>::from_der(input).map_err(|e| malformed(&e))?;
    if !rest.is_empty() || tagged.header.class() != Class::ContextSpecific || tagged.header.tag() != Tag(0) {
        return Err(foreign("does not end with its extensions"));
    }
    let (_, mut list) = sequence(tagged.data).map_err(|e| malformed(&e))?;
    let mut number = None;
    while !list.is_empty() {
        let (after, extension) =
            x509_parser::extensions::X509Extension::from_der(list).map_err(|e| malformed(&e))?;
        list = after;
        match extension.parsed_extension() {
            ParsedExtension::CRLNumber(n) => number = u64::try_from(n.clone()).ok(),
            ParsedExtension::AuthorityKeyIdentifier(_) => {}
            _ if extension.critical => {
                return Err(foreign("has a critical extension that is not known here"));
            }
            _ => {}
        }
    }
    number.ok_or_else(|| foreign("has no cRLNumber"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz;
    use crate::issuer::Root;
    use crate::key::{SoftwareKey, os_rng};
    use crate::model::{NameConstraints, Span};

    fn root() -> Root {
        let constraints = NameConstraints {
            domains: vec!["acme.example".parse().unwrap()],
            ..NameConstraints::default()
        };
        Root::create(
            SoftwareKey::generate(&mut os_rng()),
            "Acme Ltd",
            Some(&constraints),
            Time::from_unix(1_800_000_000),
            &mut os_rng(),
        )
        .unwrap()
    }

    fn terms(number: u64) -> Terms {
        let this_update = Time::from_unix(1_800_000_000);
        Terms {
            number,
            this_update,
            next_update: this_update + Span::days(30),
        }
    }

    fn revocation(octet: u8, reason: Reason) -> Revocation {
        Revocation {
            serial: Serial::from_random([octet; 16]),
            at: Time::from_unix(1_799_999_000),
            reason,
        }
    }

    #[test]
    fn an_empty_list_has_no_revoked_certificates_at_all() {
        let root = root();
        let der = root.sign_crl(terms(1), &[]).unwrap();
        let (rest, parsed) = x509_parser::revocation_list::CertificateRevocationList::from_der(&der).unwrap();
        assert!(rest.is_empty() && parsed.tbs_cert_list.revoked_certificates.is_empty());
        assert!(Crl::parse(&der).unwrap().is_issued_by(root.certificate()));
        assert_eq!(Crl::parse(&der).unwrap().entries().count(), 0);
    }

    #[test]
    fn every_length_of_list_and_number_reads_back_in_another_parser() {
        let root = root();
        // Beyond 127, 255 and 65,535 octets the length octets grow; from 128 and 2^63 on the number needs a
        // leading zero.
        for (count, number) in [
            (1_u16, 1),
            (2, 127),
            (3, 128),
            (6, 255),
            (300, 256),
            (2000, u64::MAX),
        ] {
            let entries: Vec<Revocation> = (0..count)
                .map(|i| {
                    let mut octets = [1; 16];
                    octets[1..3].copy_from_slice(&i.to_be_bytes());
                    let reason = Reason::ALL[usize::from(i) % Reason::ALL.len()];
                    Revocation {
                        serial: Serial::from_random(octets),
                        ..revocation(1, reason)
                    }
                })
                .collect();
            let der = root.sign_crl(terms(number), &entries).unwrap();
            let (rest, parsed) =
                x509_parser::revocation_list::CertificateRevocationList::from_der(&der).unwrap();
            assert!(rest.is_empty());
            assert_eq!(parsed.iter_revoked_certificates().count(), usize::from(count));
            assert_eq!(parsed.crl_number().unwrap().to_string(), number.to_string());
            let crl = Crl::parse(&der).unwrap();
            assert_eq!(
                (crl.terms(), crl.is_issued_by(root.certificate())),
                (terms(number), true)
            );
            for (read, written) in crl.entries().map(Result::unwrap).zip(&entries) {
                assert_eq!((read.serial, read.at), (written.serial, written.at));
                assert_eq!(read.reason.crl_reason(), written.reason.crl_reason());
            }
        }
    }

    #[test]
    fn an_entry_of_the_usual_form_reads_as_any_other_does() {
        let entries: Vec<Vec<u8>> = [
            revocation(1, Reason::Lost),
            revocation(2, Reason::Unspecified),
            Revocation {
                at: Time::from_unix(GENERALIZED + 7),
                ..revocation(3, Reason::Left)
            },
        ]
        .iter()
        .map(|entry| {
            let mut written = Vec::new();
            write_entry(&mut written, entry);
            assert!(plain_entry(&written).is_some_and(|(rest, read)| rest.is_empty() && read.at == entry.at));
            written
        })
        .collect();
        fuzz::damaged(&entries, |octets| {
            let Some((rest, entry)) = plain_entry(octets) else {
                return false;
            };
            let (after, any) = RevokedCertificate::from_der(octets).expect("any parser reads it");
            assert_eq!((rest, entry), (after, super::revocation(&any).unwrap()));
            true
        });
    }

    #[test]
    fn times_from_2050_on_are_generalized() {
        let at = |unix| time(Time::from_unix(unix));
        assert_eq!(at(GENERALIZED - 1), b"\x17\x0d491231235959Z");
        assert_eq!(at(GENERALIZED), b"\x18\x0f20500101000000Z");
        for unix in [GENERALIZED - 1, GENERALIZED] {
            assert_eq!(at(unix).len(), time_length(Time::from_unix(unix)));
        }
    }

    #[test]
    fn a_list_out_of_order_or_without_a_life_is_not_signed() {
        let root = root();
        let (one, two) = (revocation(1, Reason::Lost), revocation(2, Reason::Lost));
        assert!(root.sign_crl(terms(1), &[two, one]).is_err());
        assert!(root.sign_crl(terms(1), &[one, one]).is_err());
        assert!(root.sign_crl(terms(0), &[one]).is_err());
        let backwards = Terms {
            next_update: terms(1).this_update,
            ..terms(1)
        };
        assert!(root.sign_crl(backwards, &[one]).is_err());
    }

    #[test]
    fn another_authority_or_a_changed_octet_is_noticed() {
        let other = root();
        let root = root();
        let der = root.sign_crl(terms(9), &[revocation(1, Reason::Stolen)]).unwrap();
        assert!(!Crl::parse(&der).unwrap().is_issued_by(other.certificate()));
        for at in 0..der.len() {
            let mut changed = der.clone();
            changed[at] ^= 1;
            let still = Crl::parse(&changed).is_ok_and(|crl| crl.is_issued_by(root.certificate()));
            assert!(!still, "octet {at}");
        }
    }

    proptest! {
        #[test]
        fn no_cut_list_is_taken_for_a_whole_one(cut: prop::sample::Index) {
            let root = root();
            let der = root.sign_crl(terms(9), &[revocation(1, Reason::Left)]).unwrap();
            prop_assert!(Crl::parse(&der[..cut.index(der.len())]).is_err());
        }
    }
}
