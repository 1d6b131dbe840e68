//! Encrypts and authenticates a PKCS#12 bundle in one of two forms, modern or legacy, each with the
//! algorithms that its consumers support.

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use cbc::Encryptor;
use der::asn1::ObjectIdentifier;
use des::TdesEde3;
use hmac::{Hmac, KeyInit, Mac};
use rand_core::CryptoRng;
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::stretch::{Derivation, Purpose, bmp_string, stretch};
use super::tlv::{NULL, algorithm, integer, octets, sequence};
use crate::key::Passphrase;
use crate::model::Form;

/// PBES2 (RFC 8018 §A.4).
const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
/// PBKDF2 (RFC 8018 §A.2).
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
/// hmacWithSHA256 (RFC 8018 §B.1.2).
const HMAC_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
/// aes256-CBC-PAD (RFC 8018 §B.2.5).
const AES256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");
/// pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292 appendix C).
const PBE_SHA1_3DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3");
/// id-sha1 (RFC 8017 §B.1).
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
/// id-sha256 (RFC 8017 §B.1).
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// Of encryption and MAC: the length that every consumer accepts (some versions of macOS refuse 16).
type Salt = [u8; 8];

/// The encryption of one bundle: derived once, used for the certificates and for the key.
///
/// One derivation for both halves the time, and costs nothing. In the modern form each ciphertext has an IV
/// of its own, random as CBC needs it, and one AES key may encrypt many messages. In the legacy form the IV
/// comes out of the same derivation as the key, so both texts begin with the same one: CBC then shows how
/// many blocks of 8 octets the two have in common at their beginning, and nothing else. They have none in
/// common: one is a SEQUENCE of SEQUENCEs, the other a SEQUENCE that begins with INTEGER 0, so that tag,
/// length and the octet after them, six octets at most, already differ. Either way a guess at the passphrase
/// is tried on one bag only, shared salt or not.
pub(super) struct Sealer {
    salt: Salt,
    iterations: u32,
    keys: Keys,
}

enum Keys {
    Modern {
        key: Zeroizing<[u8; 32]>,
    },
    Legacy {
        key: Zeroizing<[u8; 24]>,
        iv: Zeroizing<[u8; 8]>,
    },
}

/// Derives for each passphrase the keys of a bundle of its own, one for encryption and one for the MAC, each
/// with a new salt. The results are in the order of the passphrases.
pub(super) fn derive(
    passphrases: &[&Passphrase],
    form: Form,
    iterations: u32,
    rng: &mut impl CryptoRng,
) -> Vec<(Sealer, MacKey)> {
    let texts: Vec<Zeroizing<Vec<u8>>> = passphrases.iter().map(|one| bmp_string(one)).collect();
    let mut all: Vec<(Sealer, MacKey)> = passphrases
        .iter()
        .map(|_| {
            let sealer = Sealer::unkeyed(form, iterations, rng);
            (sealer, MacKey::unkeyed(form, iterations, rng))
        })
        .collect();
    let mut wanted = Vec::new();
    for (((sealer, mac), text), passphrase) in all.iter_mut().zip(&texts).zip(passphrases) {
        let mut want = |purpose, salt, out| {
            wanted.push(Derivation {
                purpose,
                text,
                salt,
                out,
            });
        };
        match &mut sealer.keys {
            Keys::Modern { key } => {
                // PBKDF2 takes the octets of the passphrase as they are, RFC 7292 appendix B UTF-16 with a
                // NUL.
                let octets = passphrase.expose().as_bytes();
                pbkdf2::pbkdf2_hmac::<Sha256>(octets, &sealer.salt, iterations, key.as_mut_slice());
            }
            Keys::Legacy { key, iv } => {
                want(Purpose::Key, &sealer.salt, key.as_mut_slice());
                want(Purpose::Iv, &sealer.salt, iv.as_mut_slice());
            }
        }
        let key = match &mut mac.key {
            Hashed::Sha256(key) => key.as_mut_slice(),
            Hashed::Sha1(key) => key.as_mut_slice(),
        };
        want(Purpose::Mac, &mac.salt, key);
    }
    match form {
        Form::Modern => stretch::<Sha256>(iterations, wanted),
        Form::Legacy => stretch::<Sha1>(iterations, wanted),
    }
    all
}

/// The output of [`Sealer::seal`].
pub(super) struct Sealed {
    /// The AlgorithmIdentifier that tells how to open it, DER.
    pub(super) algorithm: Vec<u8>,
    /// The text, padded and encrypted.
    pub(super) ciphertext: Vec<u8>,
}

impl Sealer {
    /// Makes a sealer with a new salt; its keys are all zeros until they are derived.
    fn unkeyed(form: Form, iterations: u32, rng: &mut impl CryptoRng) -> Self {
        Self {
            salt: random(rng),
            iterations,
            keys: match form {
                Form::Modern => Keys::Modern {
                    key: Zeroizing::default(),
                },
                Form::Legacy => Keys::Legacy {
                    key: Zeroizing::default(),
                    iv: Zeroizing::default(),
                },
            },
        }
    }

    /// Encrypts `plain`.
    pub(super) fn seal(&self, plain: &[u8], rng: &mut impl CryptoRng) -> der::Result<Sealed> {
        let (salt, count) = (octets(&self.salt)?, integer(self.iterations)?);
        match &self.keys {
            Keys::Modern { key } => {
                let iv: [u8; 16] = random(rng);
                // The PRF has a default, SHA-1, and is written out: Apple assumes SHA-256, others read what
                // is there.
                let derivation = sequence(&[&salt, &count, &algorithm(HMAC_WITH_SHA256, NULL)?])?;
                let derivation = algorithm(PBKDF2, &derivation)?;
                let scheme = algorithm(AES256_CBC, &octets(&iv)?)?;
                let ciphertext =
                    Encryptor::<Aes256>::new((&**key).into(), &iv.into()).encrypt_padded_vec::<Pkcs7>(plain);
                Ok(Sealed {
                    algorithm: algorithm(PBES2, &sequence(&[&derivation, &scheme])?)?,
                    ciphertext,
                })
            }
            Keys::Legacy { key, iv } => {
                let ciphertext = Encryptor::<TdesEde3>::new((&**key).into(), (&**iv).into())
                    .encrypt_padded_vec::<Pkcs7>(plain);
                Ok(Sealed {
                    algorithm: algorithm(PBE_SHA1_3DES, &sequence(&[&salt, &count])?)?,
                    ciphertext,
                })
            }
        }
    }
}

/// The authentication of one bundle, with a salt of its own.
pub(super) struct MacKey {
    salt: Salt,
    iterations: u32,
    key: Hashed,
}

enum Hashed {
    Sha256(Zeroizing<[u8; 32]>),
    Sha1(Zeroizing<[u8; 20]>),
}

impl MacKey {
    /// Makes a MAC key with a new salt; the key itself is all zeros until it is derived.
    fn unkeyed(form: Form, iterations: u32, rng: &mut impl CryptoRng) -> Self {
        Self {
            salt: random(rng),
            iterations,
            key: match form {
                Form::Modern => Hashed::Sha256(Zeroizing::default()),
                Form::Legacy => Hashed::Sha1(Zeroizing::default()),
            },
        }
    }

    /// MacData (RFC 7292 §4) over the octets of an AuthenticatedSafe.
    pub(super) fn mac_data(&self, safe: &[u8]) -> der::Result<Vec<u8>> {
        let (hash, tag) = match &self.key {
            Hashed::Sha256(key) => (SHA256, hmac::<Hmac<Sha256>>(key.as_slice(), safe)),
            Hashed::Sha1(key) => (SHA1, hmac::<Hmac<Sha1>>(key.as_slice(), safe)),
        };
        let digest_info = sequence(&[&algorithm(hash, NULL)?, &octets(&tag)?])?;
        sequence(&[&digest_info, &octets(&self.salt)?, &integer(self.iterations)?])
    }
}

fn hmac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

fn random<const N: usize>(rng: &mut impl CryptoRng) -> [u8; N] {
    let mut octets = [0; N];
    rng.fill_bytes(&mut octets);
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::os_rng;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::from_octets(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn the_same_text_is_never_sealed_twice_alike_in_the_modern_form() {
        let keys = derive(&[&passphrase("secret")], Form::Modern, 1, &mut os_rng());
        let (sealer, _) = &keys[0];
        let [one, two] = [0; 2].map(|_| sealer.seal(b"text", &mut os_rng()).unwrap());
        assert_ne!(one.ciphertext, two.ciphertext);
        assert_ne!(one.algorithm, two.algorithm);
    }
}
