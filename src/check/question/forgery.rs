//! Forges the certificates that an attacker could present: those of a CA that has the names of ours and is
//! another, and copies of a device's certificate.

use der::asn1::{Any, BitString, ObjectIdentifier};
use der::{Decode, Encode, Tag, Tagged};
use rand_core::CryptoRng;
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::check::client::Identity;
use crate::issuer::{Chain, Devices, IssuerError, Order, Root};
use crate::key::{self, SoftwareKey};
use crate::model::event::KeySource;
use crate::model::profile::Names;
use crate::model::{Address, Draft, NameConstraints, Time};

/// Identities that no server may let in. Their keys are made here and end with the program.
#[derive(Debug)]
pub struct Forged {
    /// A device's certificate by a CA of the same names as ours.
    pub by_namesake: Identity,
    /// A certificate that vouches for itself, with the name of our root.
    pub self_signed: Identity,
}

/// The reason for which nothing could be forged.
#[derive(Debug, thiserror::Error)]
pub enum ForgeryError {
    /// The throw-away CA did not sign.
    #[error(transparent)]
    Authority(#[from] IssuerError),
    /// Policy refused to draft the certificate.
    #[error(transparent)]
    Refused(#[from] crate::model::profile::Refusal),
    /// A key could not be handed over.
    #[error(transparent)]
    Key(#[from] key::KeyError),
    /// A key of ours did not sign.
    #[error(transparent)]
    Signing(#[from] key::SigningError),
    /// A certificate of ours does not have the structure that ours have.
    #[error("the device's certificate is not one of this PKI's")]
    Unreadable,
    /// The certificate could not be encoded.
    #[error(transparent)]
    Encoding(#[from] der::Error),
    /// The TLS library did not accept a key.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// Forges certificates with the names of `ours`, or of an invented CA where there is none.
///
/// # Errors
/// Where the library refuses.
pub fn forge(ours: Option<&Chain>, now: Time, rng: &mut impl CryptoRng) -> Result<Forged, ForgeryError> {
    let organization = ours.map_or("pki check", |chain| &chain.issuer().organization);
    // Of no CA of ours there are some, as there are in most. This name is nobody's (RFC 6761 §6.4).
    let nobody = NameConstraints {
        domains: vec!["pki-check.invalid".parse().expect("a domain of two labels")],
        ..NameConstraints::default()
    };
    let (says, permitted) = match ours {
        Some(chain) => (chain.root().name_constraints(), chain.permitted()),
        None => (Some(&nobody), &nobody),
    };
    let root_key = SoftwareKey::generate(rng);
    let namesake = handed(&root_key)?;
    let root = Root::create(root_key, organization, says, now, rng)?;
    let issuing_key = SoftwareKey::generate(rng);
    let chain = root.sign_issuing(issuing_key.public_key(), permitted, None, now, rng)?;
    let issuing = Devices::open(chain, issuing_key, None)?;
    let key = SoftwareKey::generate(rng);
    let order = Order {
        draft: Draft::canary(Address::canary(), issuing.chain().issuer(), Names::Shown, now)?,
        public_key: key.public_key(),
        source: KeySource::Request,
        supersedes: Vec::new(),
        enrolled_by: None,
    };
    let leaf = issuing.sign(order, rng)?.into_issued().certificate;
    let chain = issuing.chain();
    Ok(Forged {
        by_namesake: identity(
            vec![leaf, chain.ca().der().to_vec(), chain.root().der().to_vec()],
            &key,
        )?,
        self_signed: Identity::new(vec![chain.root().der().to_vec()], namesake.into())?,
    })
}

/// Forges what the holder of a certificate can make who takes himself for a CA: a certificate below his own,
/// of the same name, for a new key. `chain` is his, his own certificate first.
///
/// # Errors
/// Where the certificate is not one of ours.
pub fn below_device(
    chain: &[Vec<u8>],
    key: &SoftwareKey,
    rng: &mut impl CryptoRng,
) -> Result<Identity, ForgeryError> {
    let own = chain.first().map_or(&[][..], Vec::as_slice);
    let new = SoftwareKey::generate(rng);
    let mut serial = [0; 16];
    rng.fill_bytes(&mut serial);
    // Positive, and of its full length.
    serial[0] = serial[0] & 0x7f | 0x40;
    let leaf = issued_by_its_subject(own, key, &new, Some(serial))?;
    let whole = std::iter::once(leaf).chain(chain.iter().cloned()).collect();
    identity(whole, &new)
}

/// Forges what anybody can make who knows a device's certificate, which is no secret: a self-signed one for a
/// key of his own, with the same contents and serial number. `chain` is the device's, its own certificate
/// first.
///
/// # Errors
/// Where the certificate is not one of ours.
pub fn copy_of_device(chain: &[Vec<u8>], rng: &mut impl CryptoRng) -> Result<Identity, ForgeryError> {
    let own = chain.first().map_or(&[][..], Vec::as_slice);
    let new = SoftwareKey::generate(rng);
    identity(vec![issued_by_its_subject(own, &new, &new, None)?], &new)
}

/// A certificate is a sequence of what is signed, the algorithm and the signature (RFC 5280 §4.1). Of a
/// device's own, all is taken but issuer, key, the extensions that name a key, and the serial number where
/// there is another.
fn issued_by_its_subject(
    own: &[u8],
    key: &SoftwareKey,
    new: &SoftwareKey,
    serial: Option<[u8; 16]>,
) -> Result<Vec<u8>, ForgeryError> {
    const NAMES_A_KEY: [&str; 2] = ["2.5.29.14", "2.5.29.35"];
    let certificate = parts(own)?;
    let [tbs, algorithm, _] = certificate.as_slice() else {
        return Err(ForgeryError::Unreadable);
    };
    let fields = parts(&tbs.to_der()?)?;
    let [
        version,
        old_serial,
        signature,
        _,
        validity,
        subject,
        _,
        extensions,
    ] = fields.as_slice()
    else {
        return Err(ForgeryError::Unreadable);
    };
    let mut kept = Vec::new();
    for extension in parts(extensions.value())? {
        let named = parts(&extension.to_der()?)?;
        let oid = named
            .first()
            .and_then(|oid| oid.decode_as::<ObjectIdentifier>().ok());
        if oid.is_some_and(|oid| !NAMES_A_KEY.contains(&oid.to_string().as_str())) {
            kept.push(extension);
        }
    }
    let extensions = Any::new(extensions.tag(), kept.to_der()?)?;
    let serial = match serial {
        Some(serial) => Any::new(Tag::Integer, serial.to_vec())?,
        None => old_serial.clone(),
    };
    let tbs = vec![
        version.clone(),
        serial,
        signature.clone(),
        subject.clone(),
        validity.clone(),
        subject.clone(),
        Any::from_der(new.public_key().spki())?,
        extensions,
    ]
    .to_der()?;
    let signature = BitString::from_bytes(&key::sign(key, &tbs)?.to_der())?;
    let whole = vec![
        Any::from_der(&tbs)?,
        algorithm.clone(),
        Any::encode_from(&signature)?,
    ];
    Ok(whole.to_der()?)
}

/// What a sequence consists of.
fn parts(der: &[u8]) -> Result<Vec<Any>, ForgeryError> {
    Ok(Vec::from_der(der)?)
}

/// The identity of a chain and a key of ours.
///
/// # Errors
/// Where they do not belong together.
pub fn identity(chain: Vec<Vec<u8>>, key: &SoftwareKey) -> Result<Identity, ForgeryError> {
    Ok(Identity::new(chain, handed(key)?.into())?)
}

/// A key as the TLS library takes it. Whoever finds the copy in a dead process's memory has the key of a
/// certificate that is revoked or nobody's.
fn handed(key: &SoftwareKey) -> Result<PrivatePkcs8KeyDer<'static>, key::KeyError> {
    Ok(PrivatePkcs8KeyDer::from(key.pkcs8()?.to_vec()))
}
