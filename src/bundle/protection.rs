//! How a PKCS#12 bundle is encrypted and authenticated: two forms, each with what its consumers know.

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use cbc::Encryptor;
use der::asn1::ObjectIdentifier;
use des::TdesEde3;
use hmac::{Hmac, KeyInit, Mac};
use rand_core::CryptoRng;
use sha1::digest::Output;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

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

/// What SHA-1 and SHA-256 take at a time, in octets.
const BLOCK: usize = 64;

/// Of encryption and MAC: the length that every consumer accepts (some versions of macOS refuse 16).
type Salt = [u8; 8];

/// The encryption of one bundle: derived once, used for the certificates and for the key.
///
/// One derivation for both halves the time, and costs nothing. In the modern form each ciphertext has an IV of its
/// own, random as CBC needs it, and one AES key may encrypt many messages. In the legacy form the IV comes out of
/// the same derivation as the key, so both texts begin with the same one: CBC then shows how many blocks of 8 octets
/// the two have in common at their beginning, and nothing else. They have none in common: one is a SEQUENCE of
/// SEQUENCEs, the other a SEQUENCE that begins with INTEGER 0, so that tag, length and the octet after them, six
/// octets at most, already differ. Either way a guess at the passphrase is tried on one bag only, shared salt or not.
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

/// What [`Sealer::seal`] made.
pub(super) struct Sealed {
    /// The AlgorithmIdentifier that tells how to open it, DER.
    pub(super) algorithm: Vec<u8>,
    /// The text, padded and encrypted.
    pub(super) ciphertext: Vec<u8>,
}

impl Sealer {
    /// Stretches the passphrase with a new salt.
    pub(super) fn derive(
        passphrase: &Passphrase,
        form: Form,
        iterations: u32,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let salt: Salt = random(rng);
        let keys = match form {
            Form::Modern => {
                let mut key = Zeroizing::new([0; 32]);
                // PBKDF2 takes the octets of the passphrase as they are, RFC 7292 appendix B UTF-16 with a NUL.
                let octets = passphrase.expose().as_bytes();
                pbkdf2::pbkdf2_hmac::<Sha256>(octets, &salt, iterations, key.as_mut_slice());
                Keys::Modern { key }
            }
            Form::Legacy => {
                let text = bmp_string(passphrase);
                let (mut key, mut iv) = (Zeroizing::new([0; 24]), Zeroizing::new([0; 8]));
                stretch::<Sha1>(Purpose::Key, &text, &salt, iterations, key.as_mut_slice());
                stretch::<Sha1>(Purpose::Iv, &text, &salt, iterations, iv.as_mut_slice());
                Keys::Legacy { key, iv }
            }
        };
        Self {
            salt,
            iterations,
            keys,
        }
    }

    /// Encrypts `plain`.
    pub(super) fn seal(&self, plain: &[u8], rng: &mut impl CryptoRng) -> der::Result<Sealed> {
        let (salt, count) = (octets(&self.salt)?, integer(self.iterations)?);
        match &self.keys {
            Keys::Modern { key } => {
                let iv: [u8; 16] = random(rng);
                // The PRF has a default, SHA-1, and is written out: Apple assumes SHA-256, others read what is there.
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

/// MacData (RFC 7292 §4) over the octets of an AuthenticatedSafe, with a salt of its own.
pub(super) fn mac_data(
    passphrase: &Passphrase,
    form: Form,
    iterations: u32,
    safe: &[u8],
    rng: &mut impl CryptoRng,
) -> der::Result<Vec<u8>> {
    let salt: Salt = random(rng);
    let text = bmp_string(passphrase);
    let (hash, tag) = match form {
        Form::Modern => {
            let mut key = Zeroizing::new([0; 32]);
            stretch::<Sha256>(Purpose::Mac, &text, &salt, iterations, key.as_mut_slice());
            (SHA256, hmac::<Hmac<Sha256>>(key.as_slice(), safe))
        }
        Form::Legacy => {
            let mut key = Zeroizing::new([0; 20]);
            stretch::<Sha1>(Purpose::Mac, &text, &salt, iterations, key.as_mut_slice());
            (SHA1, hmac::<Hmac<Sha1>>(key.as_slice(), safe))
        }
    };
    let digest_info = sequence(&[&algorithm(hash, NULL)?, &octets(&tag)?])?;
    sequence(&[&digest_info, &octets(&salt)?, &integer(iterations)?])
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

/// A passphrase as RFC 7292 §B.1 wants it: UTF-16, big-endian, with a closing NUL.
fn bmp_string(passphrase: &Passphrase) -> Zeroizing<Vec<u8>> {
    // Room for all of it from the start: a vector that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(2 * passphrase.expose().len() + 2));
    text.extend(
        passphrase
            .expose()
            .encode_utf16()
            .chain([0])
            .flat_map(u16::to_be_bytes),
    );
    text
}

/// What derived octets are for (RFC 7292 §B.3).
#[derive(Clone, Copy)]
enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// The key derivation of RFC 7292 §B.2.
fn stretch<H: Repeated>(purpose: Purpose, text: &[u8], salt: &[u8], iterations: u32, out: &mut [u8]) {
    let mut input = Zeroizing::new(filling(salt).chain(filling(text)).collect::<Vec<u8>>());
    let mut pieces = out.chunks_mut(<H as Digest>::output_size()).peekable();
    while let Some(piece) = pieces.next() {
        let mut digest = H::new()
            .chain_update([purpose as u8; BLOCK])
            .chain_update(&*input)
            .finalize();
        H::repeat(&mut digest, iterations - 1);
        piece.copy_from_slice(&digest[..piece.len()]);
        if pieces.peek().is_some() {
            let addend = Zeroizing::new(std::array::from_fn(|i| digest[i % digest.len()]));
            input
                .chunks_exact_mut(BLOCK)
                .for_each(|block| add_and_one(block, &addend));
        }
        digest.as_mut_slice().zeroize();
    }
}

/// A hash with blocks of 64 octets that can be taken of its own output many times.
///
/// It goes by the compression function itself. A hasher for every iteration, with its buffer filled and wiped, takes
/// nearly twice as long, and this is where the time for a bundle goes.
trait Repeated: Digest {
    fn repeat(digest: &mut Output<Self>, times: u32);
}

impl Repeated for Sha1 {
    fn repeat(digest: &mut Output<Self>, times: u32) {
        // FIPS 180-4 §5.3.1.
        const START: [u32; 5] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
        repeat(digest, times, START, sha1::block_api::compress);
    }
}

impl Repeated for Sha256 {
    fn repeat(digest: &mut Output<Self>, times: u32) {
        // FIPS 180-4 §5.3.3.
        const START: [u32; 8] = [
            0x6A09_E667,
            0xBB67_AE85,
            0x3C6E_F372,
            0xA54F_F53A,
            0x510E_527F,
            0x9B05_688C,
            0x1F83_D9AB,
            0x5BE0_CD19,
        ];
        repeat(digest, times, START, sha2::block_api::compress256);
    }
}

/// A digest fills one block with its padding (FIPS 180-4 §5.1.1), which stays while the digest changes.
#[inline]
fn repeat<const WORDS: usize>(
    digest: &mut [u8],
    times: u32,
    start: [u32; WORDS],
    compress: impl Fn(&mut [u32; WORDS], &[[u8; BLOCK]]),
) {
    let mut block = Zeroizing::new([[0; BLOCK]]);
    let length = 4 * WORDS;
    block[0][..length].copy_from_slice(digest);
    block[0][length] = 0x80;
    block[0][BLOCK - 2..].copy_from_slice(&(32 * WORDS as u16).to_be_bytes());
    for _ in 0..times {
        let mut state = start;
        compress(&mut state, &*block);
        for (octets, word) in block[0].chunks_exact_mut(4).zip(state) {
            octets.copy_from_slice(&word.to_be_bytes());
        }
    }
    digest.copy_from_slice(&block[0][..length]);
}

/// The octets over and over until they fill whole blocks.
fn filling(octets: &[u8]) -> impl Iterator<Item = u8> + '_ {
    octets
        .iter()
        .copied()
        .cycle()
        .take(octets.len().next_multiple_of(BLOCK))
}

/// `block + addend + 1`, big-endian, modulo 2^512.
fn add_and_one(block: &mut [u8], addend: &[u8; BLOCK]) {
    let mut carry = 1;
    for (octet, add) in block.iter_mut().zip(addend).rev() {
        let sum = u16::from(*octet) + u16::from(*add) + carry;
        *octet = sum as u8;
        carry = sum >> 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::os_rng;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::from_octets(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn the_derivation_of_rfc_7292_gives_the_known_values() {
        // The vectors that Bouncy Castle, OpenSSL and NSS share: "smeg", salt 0A58CF64530D823F, one iteration.
        let salt = [0x0A, 0x58, 0xCF, 0x64, 0x53, 0x0D, 0x82, 0x3F];
        let (mut key, mut iv) = ([0; 24], [0; 8]);
        stretch::<Sha1>(Purpose::Key, &bmp_string(&passphrase("smeg")), &salt, 1, &mut key);
        stretch::<Sha1>(Purpose::Iv, &bmp_string(&passphrase("smeg")), &salt, 1, &mut iv);
        let hex = data_encoding::HEXLOWER;
        assert_eq!(
            hex.encode(&key),
            "8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3"
        );
        assert_eq!(hex.encode(&iv), "79993dfe048d3b76");
    }

    #[test]
    fn a_repeated_hash_is_the_hash_of_the_hash() {
        let mut sha1 = Sha1::digest(b"text");
        Sha1::repeat(&mut sha1, 2);
        assert_eq!(sha1, Sha1::digest(Sha1::digest(Sha1::digest(b"text"))));
        let mut sha256 = Sha256::digest(b"text");
        Sha256::repeat(&mut sha256, 2);
        assert_eq!(sha256, Sha256::digest(Sha256::digest(Sha256::digest(b"text"))));
        let once = sha256;
        Sha256::repeat(&mut sha256, 0);
        assert_eq!(sha256, once);
    }

    #[test]
    fn a_carry_runs_through_and_out_of_the_block() {
        let mut block = [0xFF; BLOCK];
        add_and_one(&mut block, &[0; BLOCK]);
        assert_eq!(block, [0; BLOCK]);
        let mut block = [0; BLOCK];
        add_and_one(&mut block, &[0xFF; BLOCK]);
        assert_eq!(block, [0; BLOCK]);
    }

    #[test]
    fn the_same_text_is_never_sealed_twice_alike_in_the_modern_form() {
        let sealer = Sealer::derive(&passphrase("secret"), Form::Modern, 1, &mut os_rng());
        let [one, two] = [0; 2].map(|_| sealer.seal(b"text", &mut os_rng()).unwrap());
        assert_ne!(one.ciphertext, two.ciphertext);
        assert_ne!(one.algorithm, two.algorithm);
    }
}
