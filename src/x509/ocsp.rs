//! Online certificate status (RFC 6960, in the profile of RFC 5019): what a client asks, and what one CA
//! answers of the certificates that it has issued, signed by its own key.

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::Certificate;
use super::envelope::tlv;
use crate::model::{Reason, Serial, Time};

/// id-sha1 (RFC 8017 §B.1).
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
/// id-sha256 (RFC 8017 §B.1).
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// The same, encoded.
const SHA1_OID: &[u8] = &[6, 5, 0x2B, 14, 3, 2, 26];
const SHA256_OID: &[u8] = &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
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

    /// Its name in RFC 6960 §4.2.1.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformedRequest",
            Self::Unauthorized => "unauthorized",
            Self::TryLater => "tryLater",
        }
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

/// How a client names a certificate (CertID): by hashes of its issuer's name and key, and its serial number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertId {
    hash: Hashed,
    /// Whether the algorithm has NULL for parameters: the answer names the certificate in the same way.
    has_null: bool,
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
    /// The content octets of the serial number.
    serial: Vec<u8>,
}

/// The hash functions by which a client may name an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Hashed {
    Sha1,
    Sha256,
    /// One that nobody here knows: its certificates are none of ours.
    Other,
}

impl CertId {
    /// The longest serial number, in octets (RFC 5280 §4.1.2.2).
    const LONGEST_SERIAL: usize = 21;

    /// The serial number, where this program makes such.
    pub fn serial(&self) -> Option<Serial> {
        Serial::from_octets(&self.serial)
    }

    /// Whether it names a certificate of this issuer.
    pub fn is_of(&self, issuer: &Certificate) -> bool {
        let (name, key) = (issuer.subject(), issuer.public_key().point());
        let (name, key) = match self.hash {
            Hashed::Sha1 => (Sha1::digest(name).to_vec(), Sha1::digest(key).to_vec()),
            Hashed::Sha256 => (Sha256::digest(name).to_vec(), Sha256::digest(key).to_vec()),
            Hashed::Other => return false,
        };
        self.name_hash == name && self.key_hash == key
    }

    /// The CertID in DER, made anew: nothing that a client wrote is signed as it came.
    fn to_der(&self) -> Vec<u8> {
        let oid = match self.hash {
            Hashed::Sha1 => SHA1_OID,
            Hashed::Sha256 | Hashed::Other => SHA256_OID,
        };
        let null: &[u8] = if self.has_null { &[5, 0] } else { &[] };
        tlv(
            0x30,
            &[
                &tlv(0x30, &[oid, null]),
                &tlv(4, &[&self.name_hash]),
                &tlv(4, &[&self.key_hash]),
                &tlv(2, &[&self.serial]),
            ],
        )
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
    // A signature may follow, and nothing else.
    let tbs = match whole.as_slice() {
        [tbs] => tbs,
        [tbs, signature] if signature.tag() == context(0) => tbs,
        _ => return Ok(None),
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
    let mut asked = Vec::with_capacity(list.len());
    for request in list {
        match cert_id(request)? {
            Some(id) => asked.push(id),
            None => return Ok(None),
        }
    }
    let nonce = match fields.next_if(|field| field.tag() == context(2)) {
        None => None,
        Some(extensions) => match nonce(extensions.value())? {
            Ok(nonce) => nonce,
            Err(()) => return Ok(None),
        },
    };
    Ok(fields.next().is_none().then_some(OcspRequest { asked, nonce }))
}

/// The CertID of a Request; none where it is not of its form, or something critical is asked with it.
fn cert_id(request: AnyRef<'_>) -> der::Result<Option<CertId>> {
    let fields = elements(sequence(request)?)?;
    let id = match fields.as_slice() {
        [id] => id,
        [id, extensions] if extensions.tag() == context(0) && !has_critical(extensions.value())? => id,
        _ => return Ok(None),
    };
    let id = elements(sequence(*id)?)?;
    let [algorithm, name_hash, key_hash, serial] = id.as_slice() else {
        return Ok(None);
    };
    let algorithm = elements(sequence(*algorithm)?)?;
    let (oid, has_null) = match algorithm.as_slice() {
        [oid] => (oid, false),
        [oid, null] if null.tag() == Tag::Null && null.value().is_empty() => (oid, true),
        _ => return Ok(None),
    };
    let hash = match oid.decode_as::<ObjectIdentifier>()? {
        SHA1 => Hashed::Sha1,
        SHA256 => Hashed::Sha256,
        _ => Hashed::Other,
    };
    let is_serial =
        serial.tag() == Tag::Integer && (1..=CertId::LONGEST_SERIAL).contains(&serial.value().len());
    let are_hashes = [name_hash, key_hash]
        .iter()
        .all(|hash| hash.tag() == Tag::OctetString);
    Ok((is_serial && are_hashes).then(|| CertId {
        hash,
        has_null,
        name_hash: name_hash.value().to_vec(),
        key_hash: key_hash.value().to_vec(),
        serial: serial.value().to_vec(),
    }))
}

/// The fields of the Extensions in a context-specific element.
fn extensions(value: &[u8]) -> der::Result<Vec<Vec<AnyRef<'_>>>> {
    let all = elements(sequence(AnyRef::from_der(value)?)?)?;
    all.into_iter().map(|one| elements(sequence(one)?)).collect()
}

/// Whether one of these extensions is critical.
fn has_critical(value: &[u8]) -> der::Result<bool> {
    let all = extensions(value)?;
    Ok(all
        .iter()
        .flatten()
        .any(|field| field.tag() == Tag::Boolean && field.value() != [0]))
}

/// The nonce among the extensions of a request, if there is one; an error where it is of no length that may
/// be, there are two, or something critical is asked that nobody here knows.
fn nonce(value: &[u8]) -> der::Result<Result<Option<Vec<u8>>, ()>> {
    let mut found = None;
    for fields in extensions(value)? {
        let (Some(name), Some(content)) = (fields.first(), fields.last()) else {
            return Ok(Err(()));
        };
        if name.decode_as::<ObjectIdentifier>()? != NONCE {
            if fields
                .iter()
                .any(|field| field.tag() == Tag::Boolean && field.value() != [0])
            {
                return Ok(Err(()));
            }
            continue;
        }
        if found.is_some() || content.tag() != Tag::OctetString {
            return Ok(Err(()));
        }
        let nonce = <&OctetStringRef>::from_der(content.value())?.as_bytes();
        if !(1..=LONGEST_NONCE).contains(&nonce.len()) {
            return Ok(Err(()));
        }
        found = Some(nonce.to_vec());
    }
    Ok(Ok(found))
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

impl CertStatus {
    /// Its name in RFC 6960 §4.2.1, by which clients take it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked { .. } | Self::NeverIssued => "revoked",
            Self::Unknown => "unknown",
        }
    }
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
            &id.to_der(),
            &status,
            &generalized(this_update),
            &tlv(0xA0, &[&generalized(next_update)]),
        ],
    )
}

/// The whole response, successful, of what was signed and its signature (ECDSA-Sig-Value, DER).
///
/// The CA's certificate goes along. Whoever asks has it, so that it might be left out (RFC 6960 §4.2.1); but
/// Apache, and GnuTLS and OpenSSL when they are told no more than whom to trust, look for it here alone.
pub fn response(responder: &Certificate, signed: &[u8], signature: &[u8]) -> Vec<u8> {
    let bits = tlv(3, &[&[0], signature]);
    let certs = tlv(0xA0, &[&tlv(0x30, &[responder.der()])]);
    let basic = tlv(0x30, &[signed, ECDSA_WITH_SHA256, &bits, &certs]);
    let bytes = tlv(0x30, &[BASIC, &tlv(4, &[&basic])]);
    tlv(0x30, &[&[0x0A, 1, 0], &tlv(0xA0, &[&bytes])])
}

/// A GeneralizedTime.
fn generalized(time: Time) -> Vec<u8> {
    tlv(0x18, &[&time.digits(), b"Z"])
}
