//! Online certificate status (RFC 6960, in the profile of RFC 5019): what a client asks, and what one CA
//! answers of the certificates that it has issued, signed by its own key.

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::Certificate;
use super::envelope::header;
use crate::model::{Reason, Serial, Time};

/// id-sha1 (RFC 8017 §B.1).
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
/// id-sha256 (RFC 8017 §B.1).
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// id-pkix-ocsp-nonce (RFC 9654 §2.1).
const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
/// id-pkix-ocsp-basic, encoded (RFC 6960 §4.2.1).
const BASIC: &[u8] = &[6, 9, 0x2B, 6, 1, 5, 5, 7, 0x30, 1, 1];
/// id-pkix-ocsp-nonce, encoded.
const NONCE_OID: &[u8] = &[6, 9, 0x2B, 6, 1, 5, 5, 7, 0x30, 1, 2];
/// id-pkix-ocsp-extended-revoke with its value, NULL, encoded (RFC 6960 §4.4.8).
const EXTENDED_REVOKE: &[u8] = &[0x30, 0x0F, 6, 9, 0x2B, 6, 1, 5, 5, 7, 0x30, 1, 9, 4, 2, 5, 0];
/// AlgorithmIdentifier of ecdsa-with-SHA256, encoded (RFC 5758 §3.2).
const ECDSA_WITH_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2];
/// The most certificates that are asked for at once.
const MOST: usize = 16;
/// The longest nonce, in octets (RFC 9654 §2.1).
const LONGEST_NONCE: usize = 128;

/// The reasons for which a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// It cannot be read: malformedRequest.
    Malformed,
    /// It asks of a CA that does not answer here: unauthorized.
    Unauthorized,
    /// The responder cannot sign: tryLater.
    TryLater,
}

impl Unanswered {
    /// The whole response, which is not signed (RFC 6960 §4.2.1: responseStatus).
    pub fn response(self) -> Vec<u8> {
        let status = match self {
            Self::Malformed => 1,
            Self::TryLater => 3,
            Self::Unauthorized => 6,
        };
        vec![0x30, 3, 0x0A, 1, status]
    }
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspRequest {
    /// Of which certificates.
    pub asked: Vec<CertId>,
    /// The nonce that the answer is to have.
    pub nonce: Option<Vec<u8>>,
}

/// How a client names a certificate: its CertID, as it came, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertId {
    der: Vec<u8>,
    names: Named,
    /// The content octets of the serial number.
    serial: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    algorithm: ObjectIdentifier,
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
}

impl CertId {
    /// The serial number, where this program makes such.
    pub fn serial(&self) -> Option<Serial> {
        Serial::from_octets(&self.serial)
    }

    /// Whether it names a certificate of this issuer.
    pub fn is_of(&self, issuer: &Certificate) -> bool {
        let (name, key) = (issuer.subject(), issuer.public_key().point());
        let Named {
            algorithm,
            name_hash,
            key_hash,
        } = &self.names;
        match *algorithm {
            SHA1 => name_hash[..] == Sha1::digest(name)[..] && key_hash[..] == Sha1::digest(key)[..],
            SHA256 => name_hash[..] == Sha256::digest(name)[..] && key_hash[..] == Sha256::digest(key)[..],
            _ => false,
        }
    }
}

impl OcspRequest {
    /// Reads an OCSPRequest. A signature of the client's is passed over: nobody is asked who asks.
    ///
    /// # Errors
    /// Anything that is none, asks for nothing or for too much, or has a nonce of no octet or of too many.
    pub fn parse(der: &[u8]) -> Result<Self, Unanswered> {
        read(der)
            .map_err(|_| Unanswered::Malformed)?
            .ok_or(Unanswered::Malformed)
    }
}

fn context(number: u8) -> Tag {
    Tag::ContextSpecific {
        constructed: true,
        number: TagNumber(number.into()),
    }
}

/// The elements of a SEQUENCE.
fn elements(value: &[u8]) -> der::Result<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(value)?;
    let mut all = Vec::new();
    while !reader.is_finished() {
        all.push(reader.decode::<AnyRef<'_>>()?);
    }
    Ok(all)
}

fn sequence(element: AnyRef<'_>) -> der::Result<&[u8]> {
    element.tag().assert_eq(Tag::Sequence)?;
    Ok(element.value())
}

fn read(der: &[u8]) -> der::Result<Option<OcspRequest>> {
    let whole = elements(sequence(AnyRef::from_der(der)?)?)?;
    let Some(tbs) = whole.first() else {
        return Ok(None);
    };
    let mut fields = elements(sequence(*tbs)?)?.into_iter().peekable();
    // version, requestorName
    for number in [0, 1] {
        fields.next_if(|field| field.tag() == context(number));
    }
    let Some(list) = fields.next() else {
        return Ok(None);
    };
    let list = elements(sequence(list)?)?;
    if list.is_empty() || list.len() > MOST {
        return Ok(None);
    }
    let asked: der::Result<Vec<CertId>> = list.into_iter().map(cert_id).collect();
    let nonce = match fields.next_if(|field| field.tag() == context(2)) {
        None => None,
        Some(extensions) => match nonce(extensions.value())? {
            Ok(nonce) => nonce,
            Err(()) => return Ok(None),
        },
    };
    Ok(fields
        .next()
        .is_none()
        .then_some(OcspRequest { asked: asked?, nonce }))
}

/// The CertID of a Request.
fn cert_id(request: AnyRef<'_>) -> der::Result<CertId> {
    let mut reader = SliceReader::new(sequence(request)?)?;
    let der = reader.tlv_bytes()?.to_vec();
    let mut fields = SliceReader::new(AnyRef::from_der(&der)?.value())?;
    let algorithm = fields.decode::<AnyRef<'_>>()?;
    let algorithm = SliceReader::new(sequence(algorithm)?)?.decode::<ObjectIdentifier>()?;
    let name_hash = fields.decode::<&OctetStringRef>()?.as_bytes().to_vec();
    let key_hash = fields.decode::<&OctetStringRef>()?.as_bytes().to_vec();
    let serial = fields.decode::<AnyRef<'_>>()?;
    serial.tag().assert_eq(Tag::Integer)?;
    Ok(CertId {
        names: Named {
            algorithm,
            name_hash,
            key_hash,
        },
        serial: serial.value().to_vec(),
        der: der.clone(),
    })
}

/// The nonce among the extensions, if there is one; an error where it is of no length that may be.
fn nonce(extensions: &[u8]) -> der::Result<Result<Option<Vec<u8>>, ()>> {
    for extension in elements(sequence(AnyRef::from_der(extensions)?)?)? {
        let fields = elements(sequence(extension)?)?;
        let Some(name) = fields.first() else { continue };
        if name.decode_as::<ObjectIdentifier>()? != NONCE {
            continue;
        }
        let Some(value) = fields.last().filter(|value| value.tag() == Tag::OctetString) else {
            return Ok(Err(()));
        };
        let nonce = <&OctetStringRef>::from_der(value.value())?.as_bytes();
        return Ok(match nonce.len() {
            1..=LONGEST_NONCE => Ok(Some(nonce.to_vec())),
            _ => Err(()),
        });
    }
    Ok(Ok(None))
}

/// What the responder knows of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertStatus {
    /// It was issued, and is not revoked.
    Good,
    /// It is revoked.
    Revoked {
        /// Since then.
        at: Time,
        /// For this reason.
        reason: Reason,
    },
    /// It was never issued: revoked, by the extended definition (RFC 6960 §2.2).
    NeverIssued,
    /// Nobody knows: a restored home has not been reconciled.
    Unknown,
}

/// What is to be signed: a ResponseData that answers these in their order, produced now.
pub fn response_data(
    responder: &Certificate,
    answers: &[(&CertId, CertStatus)],
    nonce: Option<&[u8]>,
    produced: Time,
    next_update: Time,
) -> Vec<u8> {
    let by_key = tlv(0xA2, &[&tlv(4, &[&Sha1::digest(responder.public_key().point())])]);
    let singles: Vec<Vec<u8>> = answers
        .iter()
        .map(|(id, status)| single(id, *status, produced, next_update))
        .collect();
    let singles: Vec<&[u8]> = singles.iter().map(Vec::as_slice).collect();
    let mut extensions = Vec::new();
    if let Some(nonce) = nonce {
        extensions.push(tlv(0x30, &[NONCE_OID, &tlv(4, &[&tlv(4, &[nonce])])]));
    }
    if answers
        .iter()
        .any(|(_, status)| *status == CertStatus::NeverIssued)
    {
        extensions.push(EXTENDED_REVOKE.to_vec());
    }
    let extensions = match extensions.as_slice() {
        [] => Vec::new(),
        some => tlv(0xA1, &[&tlv(0x30, &[&some.concat()])]),
    };
    tlv(
        0x30,
        &[&by_key, &generalized(produced), &tlv(0x30, &singles), &extensions],
    )
}

/// One SingleResponse.
fn single(id: &CertId, status: CertStatus, this_update: Time, next_update: Time) -> Vec<u8> {
    let revoked = |at: Time, reason: Option<u8>| {
        let reason = reason.map_or(Vec::new(), |code| tlv(0xA0, &[&[0x0A, 1, code]]));
        tlv(0xA1, &[&generalized(at), &reason])
    };
    let status = match status {
        CertStatus::Good => vec![0x80, 0],
        CertStatus::Revoked { at, reason } => revoked(at, reason.crl_reason()),
        // certificateHold since 1970 (RFC 6960 §2.2).
        CertStatus::NeverIssued => revoked(Time::from_unix(0), Some(6)),
        CertStatus::Unknown => vec![0x82, 0],
    };
    tlv(
        0x30,
        &[
            &id.der,
            &status,
            &generalized(this_update),
            &tlv(0xA0, &[&generalized(next_update)]),
        ],
    )
}

/// The whole response, successful, of what was signed and its signature (ECDSA-Sig-Value, DER).
pub fn response(signed: &[u8], signature: &[u8]) -> Vec<u8> {
    let bits = tlv(3, &[&[0], signature]);
    let basic = tlv(0x30, &[signed, ECDSA_WITH_SHA256, &bits]);
    let bytes = tlv(0x30, &[BASIC, &tlv(4, &[&basic])]);
    tlv(0x30, &[&[0x0A, 1, 0], &tlv(0xA0, &[&bytes])])
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [header(tag, content.len()), content].concat()
}

/// A GeneralizedTime.
fn generalized(time: Time) -> Vec<u8> {
    tlv(0x18, &[&time.digits(), b"Z"])
}
