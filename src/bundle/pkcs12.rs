//! Writes a PKCS#12 file (RFC 7292) that every supported system can open.
//!
//! The structure is the one that OpenSSL writes, because each consumer has been tried on it: the certificates
//! in an encrypted SafeContents, the key in a shrouded bag of a plain one, and a MAC over both, without which
//! Apple imports nothing.

use der::Tag;
use der::asn1::ObjectIdentifier;
use rand_core::CryptoRng;
use sha1::{Digest, Sha1};

use super::BundleError;
use super::protection::{self, MacKey, Sealer};
use super::tlv::{explicit, implicit_octets, integer, octets, oid, sequence, set, wrap};
use crate::key::Passphrase;
use crate::model::Form;

/// pkcs-7 data (RFC 5652 §4).
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
/// pkcs-7 encryptedData (RFC 5652 §8).
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
/// pkcs-9-at-friendlyName (RFC 2985 §5.5.1).
const FRIENDLY_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.20");
/// pkcs-9-at-localKeyId (RFC 2985 §5.5.2).
const LOCAL_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.21");
/// x509Certificate (RFC 7292 §4.2.3).
const X509_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");
/// pkcs8ShroudedKeyBag (RFC 7292 §4.2.2).
const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
/// certBag (RFC 7292 §4.2.3).
const CERT_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");

/// The contents of a bundle.
#[derive(Clone, Copy)]
pub struct Contents<'a> {
    /// The name of the identity, as a system shows it; Java and NSS also know it by this name.
    pub friendly_name: &'a str,
    /// The device's private key, PKCS#8 in DER, not encrypted.
    pub key: &'a [u8],
    /// The device's certificate, DER.
    pub leaf: &'a [u8],
    /// The certificates that a server needs to build the chain, DER: the issuing CA's, without which TLS
    /// fails.
    pub authorities: &'a [&'a [u8]],
}

/// The amount by which a passphrase is stretched, which is the price of one guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch {
    /// 2,048 iterations. A generated passphrase of 100 bits cannot be guessed even without stretching, and
    /// with so few a thousand bundles take half a second.
    Generated,
    /// 600,000 iterations, for a passphrase that a person chose. (The JDK refuses more than 5,000,000.)
    Chosen,
}

impl Stretch {
    /// The iterations of PBKDF2 or of RFC 7292 appendix B, for encryption and MAC alike.
    pub fn iterations(self) -> u32 {
        match self {
            Self::Generated => 2_048,
            Self::Chosen => 600_000,
        }
    }
}

/// A passphrase, stretched for one bundle: what takes long, and needs neither its key nor its certificate.
pub struct BundleKeys {
    sealer: Sealer,
    mac: MacKey,
}

impl BundleKeys {
    /// Stretches the passphrase, with new salts.
    ///
    /// # Errors
    /// Where the passphrase is not printable ASCII: the JDK opens no such file.
    pub fn derive(
        passphrase: &Passphrase,
        form: Form,
        stretch: Stretch,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, BundleError> {
        let mut one = Self::derive_all(&[passphrase], form, stretch, rng)?;
        Ok(one.remove(0))
    }

    /// Stretches each of these passphrases for one bundle, with new salts: some at once take a third of the
    /// time that they take one by one.
    ///
    /// # Errors
    /// Where one is not printable ASCII: the JDK opens no such file.
    pub fn derive_all(
        passphrases: &[&Passphrase],
        form: Form,
        stretch: Stretch,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Self>, BundleError> {
        let mut all = passphrases.iter();
        all.try_for_each(|one| one.demand_ascii().map_err(BundleError::Passphrase))?;
        let keys = protection::derive(passphrases, form, stretch.iterations(), rng);
        Ok(keys
            .into_iter()
            .map(|(sealer, mac)| Self { sealer, mac })
            .collect())
    }
}

/// A PKCS#12 file (PFX, RFC 7292 §4) in DER.
///
/// Key and leaf carry both the same localKeyID (SHA-1 of the leaf, as OpenSSL has it) and the same
/// friendlyName: NSS refuses an import without the first, Java finds no chain without either. The authorities
/// carry neither, or Java would take them for the chain's end entity. SHA-1 names here, it protects nothing.
///
/// `keys` must not be used for another bundle: the two would share a salt.
///
/// # Errors
/// Where a part is too long for DER.
pub fn encode(
    contents: &Contents<'_>,
    keys: BundleKeys,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, BundleError> {
    let BundleKeys { sealer, mac } = keys;
    let attributes = attributes(contents)?;

    let mut certificates = cert_bag(contents.leaf, &attributes)?;
    for authority in contents.authorities {
        certificates.extend(cert_bag(authority, &[])?);
    }
    let certificates = encrypted_data(&sealer, &sequence(&[&certificates])?, rng)?;
    let key = data(&sequence(&[&shrouded_key_bag(
        &sealer,
        contents.key,
        &attributes,
        rng,
    )?])?)?;

    let safe = sequence(&[&certificates, &key])?;
    let mac = mac.mac_data(&safe)?;
    Ok(sequence(&[&integer(3)?, &data(&safe)?, &mac])?)
}

/// Whether a file is a bundle of ours for this certificate (DER): the localKeyID of the key, which is not
/// encrypted, says whose it is.
pub fn is_of(bundle: &[u8], leaf: &[u8]) -> bool {
    local_key_id(leaf).is_ok_and(|id| bundle.windows(id.len()).any(|part| part == id))
}

fn local_key_id(leaf: &[u8]) -> der::Result<Vec<u8>> {
    attribute(LOCAL_KEY_ID, octets(&Sha1::digest(leaf))?)
}

/// ContentInfo of type data (RFC 5652 §3).
fn data(content: &[u8]) -> der::Result<Vec<u8>> {
    sequence(&[&oid(DATA)?, &explicit(&octets(content)?)?])
}

/// ContentInfo of type encryptedData (RFC 5652 §8) that holds a SafeContents.
fn encrypted_data(sealer: &Sealer, safe: &[u8], rng: &mut impl CryptoRng) -> der::Result<Vec<u8>> {
    let sealed = sealer.seal(safe, rng)?;
    let content = sequence(&[
        &oid(DATA)?,
        &sealed.algorithm,
        &implicit_octets(&sealed.ciphertext)?,
    ])?;
    sequence(&[
        &oid(ENCRYPTED_DATA)?,
        &explicit(&sequence(&[&integer(0)?, &content])?)?,
    ])
}

/// SafeBag with an EncryptedPrivateKeyInfo (RFC 5958 §3). A plain keyBag would be passed over by Apple.
fn shrouded_key_bag(
    sealer: &Sealer,
    key: &[u8],
    attributes: &[u8],
    rng: &mut impl CryptoRng,
) -> der::Result<Vec<u8>> {
    let sealed = sealer.seal(key, rng)?;
    let encrypted = sequence(&[&sealed.algorithm, &octets(&sealed.ciphertext)?])?;
    sequence(&[&oid(SHROUDED_KEY_BAG)?, &explicit(&encrypted)?, attributes])
}

/// SafeBag with a certificate; `attributes` is a whole SET, or empty for none.
fn cert_bag(certificate: &[u8], attributes: &[u8]) -> der::Result<Vec<u8>> {
    let bag = sequence(&[&oid(X509_CERTIFICATE)?, &explicit(&octets(certificate)?)?])?;
    sequence(&[&oid(CERT_BAG)?, &explicit(&bag)?, attributes])
}

/// The attributes by which systems pair a key with its certificate.
fn attributes(contents: &Contents<'_>) -> der::Result<Vec<u8>> {
    // UTF-16: BMPString knows no surrogates, but OpenSSL, the JDK, NSS and GnuTLS all read the pairs as one
    // character.
    let name: Vec<u8> = contents
        .friendly_name
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let name = wrap(Tag::BmpString, &[&name])?;
    set(vec![
        attribute(FRIENDLY_NAME, name)?,
        local_key_id(contents.leaf)?,
    ])
}

/// One PKCS12Attribute (RFC 7292 §4.2) with one value.
fn attribute(name: ObjectIdentifier, value: Vec<u8>) -> der::Result<Vec<u8>> {
    sequence(&[&oid(name)?, &set(vec![value])?])
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::key::{UnfitPassphrase, os_rng};

    #[test]
    fn a_bundle_says_whose_it_is_without_being_opened() {
        for form in [Form::Modern, Form::Legacy] {
            let bundle = bundle("orbit-velvet-canyon-17", form).unwrap();
            assert!(is_of(&bundle, CONTENTS.leaf), "{form:?}");
            assert!(
                !is_of(&bundle, b"another leaf") && !is_of(b"", CONTENTS.leaf),
                "{form:?}"
            );
        }
    }

    const CONTENTS: Contents<'static> = Contents {
        friendly_name: "alice/phone",
        key: b"0123456789abcdef",
        leaf: b"leaf",
        authorities: &[b"issuing"],
    };

    fn bundle(passphrase: &str, form: Form) -> Result<Vec<u8>, BundleError> {
        let passphrase = Passphrase::from_octets(Zeroizing::new(passphrase.as_bytes().to_vec())).unwrap();
        let rng = &mut os_rng();
        encode(
            &CONTENTS,
            BundleKeys::derive(&passphrase, form, Stretch::Generated, rng)?,
            rng,
        )
    }

    fn holds(bundle: &[u8], part: &[u8]) -> bool {
        bundle.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn a_passphrase_that_some_system_cannot_take_is_refused() {
        for unfit in ["pässword", "tab\tbed"] {
            let refused = bundle(unfit, Form::Modern);
            assert!(
                matches!(refused, Err(BundleError::Passphrase(UnfitPassphrase::NotAscii))),
                "{unfit}"
            );
        }
    }

    #[test]
    fn a_form_names_its_own_algorithms_and_no_other() {
        let (modern, legacy) = (
            bundle("secret", Form::Modern).unwrap(),
            bundle("secret", Form::Legacy).unwrap(),
        );
        let pbes2 = oid(ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13")).unwrap();
        let hmac_with_sha256 = oid(ObjectIdentifier::new_unwrap("1.2.840.113549.2.9")).unwrap();
        let pbe_sha1_3des = oid(ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3")).unwrap();
        assert!(
            holds(&modern, &pbes2) && holds(&modern, &hmac_with_sha256) && !holds(&modern, &pbe_sha1_3des)
        );
        assert!(holds(&legacy, &pbe_sha1_3des) && !holds(&legacy, &pbes2));
    }

    #[test]
    fn nothing_of_the_contents_stands_in_the_open() {
        for form in [Form::Modern, Form::Legacy] {
            let bundle = bundle("secret", form).unwrap();
            assert!(!holds(&bundle, CONTENTS.key) && !holds(&bundle, CONTENTS.leaf));
        }
    }

    #[test]
    fn the_first_blocks_of_the_two_texts_of_a_legacy_bundle_differ() {
        // What makes one IV for both sound: a SafeContents begins otherwise than a PKCS#8 key, whatever their
        // lengths.
        for length in [1, 100, 130, 260, 70_000] {
            let safe = sequence(&[&sequence(&[&octets(&vec![0; length]).unwrap()]).unwrap()]).unwrap();
            let key = sequence(&[&integer(0).unwrap(), &octets(&vec![0; length + 1]).unwrap()]).unwrap();
            assert_ne!(safe[..7], key[..7], "{length}");
        }
    }

    #[test]
    fn what_a_name_has_beyond_ucs_2_becomes_pairs() {
        let name = attributes(&Contents {
            friendly_name: "é🔑",
            ..CONTENTS
        })
        .unwrap();
        assert!(holds(&name, &[0x1E, 6, 0x00, 0xE9, 0xD8, 0x3D, 0xDD, 0x11]));
    }
}
