//! The key derivation that PKCS#12 defines for itself (RFC 7292 appendix B), for MACs and for the legacy
//! encryption.

use sha1::digest::Output;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::key::Passphrase;

/// What SHA-1 and SHA-256 take at a time, in octets.
const BLOCK: usize = 64;

/// A passphrase as RFC 7292 §B.1 wants it: UTF-16, big-endian, with a closing NUL.
pub(super) fn bmp_string(passphrase: &Passphrase) -> Zeroizing<Vec<u8>> {
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
pub(super) enum Purpose {
    /// A key for encryption.
    Key = 1,
    /// An initialization vector.
    Iv = 2,
    /// A key for the MAC.
    Mac = 3,
}

/// The key derivation of RFC 7292 §B.2.
pub(super) fn stretch<H: Repeated>(
    purpose: Purpose,
    text: &[u8],
    salt: &[u8],
    iterations: u32,
    out: &mut [u8],
) {
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
/// It goes by the compression function itself. A hasher for every iteration, with its buffer filled and
/// wiped, takes nearly twice as long, and this is where the time for a bundle goes.
pub(super) trait Repeated: Digest {
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

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::from_octets(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn the_derivation_of_rfc_7292_gives_the_known_values() {
        // The vectors that Bouncy Castle, OpenSSL and NSS share: "smeg", salt 0A58CF64530D823F, one
        // iteration.
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
}
