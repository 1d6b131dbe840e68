//! The key derivation that PKCS#12 defines for itself (RFC 7292 appendix B), for MACs and for the legacy
//! encryption.

use std::iter::Peekable;
use std::slice::ChunksMut;

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

/// Octets that are to be derived from a passphrase.
pub(super) struct Derivation<'a> {
    pub(super) purpose: Purpose,
    /// The passphrase as [`bmp_string`] gives it.
    pub(super) text: &'a [u8],
    pub(super) salt: &'a [u8],
    pub(super) out: &'a mut [u8],
}

/// The key derivation of RFC 7292 §B.2, several at once. Each iteration waits for the one before, and a core
/// has room for the iterations of others meanwhile: three at once take little longer than one.
pub(super) fn stretch<H: Repeated>(iterations: u32, wanted: Vec<Derivation<'_>>) {
    let mut under_way: Vec<UnderWay<'_>> = wanted.into_iter().map(UnderWay::begin::<H>).collect();
    while !under_way.is_empty() {
        let mut digests: Vec<Output<H>> = under_way.iter().map(UnderWay::digest::<H>).collect();
        H::repeat(&mut digests, iterations - 1);
        for (one, digest) in under_way.iter_mut().zip(&mut digests) {
            one.take(digest);
            digest.as_mut_slice().zeroize();
        }
        under_way.retain_mut(|one| one.pieces.peek().is_some());
    }
}

/// A derivation of which some pieces, a digest long each, are still missing.
struct UnderWay<'a> {
    purpose: Purpose,
    /// I of RFC 7292 §B.2: salt and passphrase.
    input: Zeroizing<Vec<u8>>,
    pieces: Peekable<ChunksMut<'a, u8>>,
}

impl<'a> UnderWay<'a> {
    fn begin<H: Digest>(wanted: Derivation<'a>) -> Self {
        let Derivation {
            purpose,
            text,
            salt,
            out,
        } = wanted;
        Self {
            purpose,
            input: Zeroizing::new(filling(salt).chain(filling(text)).collect()),
            pieces: out.chunks_mut(<H as Digest>::output_size()).peekable(),
        }
    }

    /// The first iteration of the next piece.
    fn digest<H: Digest>(&self) -> Output<H> {
        H::new()
            .chain_update([self.purpose as u8; BLOCK])
            .chain_update(&*self.input)
            .finalize()
    }

    /// The last iteration of a piece: its octets, and what the input becomes for the one after it.
    fn take(&mut self, digest: &[u8]) {
        let Some(piece) = self.pieces.next() else {
            return;
        };
        piece.copy_from_slice(&digest[..piece.len()]);
        if self.pieces.peek().is_some() {
            let addend = Zeroizing::new(std::array::from_fn(|i| digest[i % digest.len()]));
            self.input
                .chunks_exact_mut(BLOCK)
                .for_each(|block| add_and_one(block, &addend));
        }
    }
}

/// A hash with blocks of 64 octets that can be taken of its own output many times, for several at once.
///
/// It goes by the compression function itself. A hasher for every iteration, with its buffer filled and
/// wiped, takes nearly twice as long, and this is where the time for a bundle goes.
pub(super) trait Repeated: Digest {
    fn repeat(digests: &mut [Output<Self>], times: u32);
}

impl Repeated for Sha1 {
    fn repeat(digests: &mut [Output<Self>], times: u32) {
        // FIPS 180-4 §5.3.1.
        const START: [u32; 5] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
        repeat(digests, times, START, sha1::block_api::compress);
    }
}

impl Repeated for Sha256 {
    fn repeat(digests: &mut [Output<Self>], times: u32) {
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
        repeat(digests, times, START, sha2::block_api::compress256);
    }
}

/// A digest fills one block with its padding (FIPS 180-4 §5.1.1), which stays while the digest changes.
#[inline]
fn repeat<const WORDS: usize>(
    digests: &mut [impl AsMut<[u8]>],
    times: u32,
    start: [u32; WORDS],
    compress: impl Fn(&mut [u32; WORDS], &[[u8; BLOCK]]),
) {
    let length = 4 * WORDS;
    let mut blocks = Zeroizing::new(vec![[0; BLOCK]; digests.len()]);
    for (block, digest) in blocks.iter_mut().zip(&mut *digests) {
        block[..length].copy_from_slice(digest.as_mut());
        block[length] = 0x80;
        block[BLOCK - 2..].copy_from_slice(&(32 * WORDS as u16).to_be_bytes());
    }
    for _ in 0..times {
        for block in blocks.iter_mut() {
            let mut state = start;
            compress(&mut state, std::slice::from_ref(block));
            for (octets, word) in block.chunks_exact_mut(4).zip(state) {
                octets.copy_from_slice(&word.to_be_bytes());
            }
        }
    }
    for (block, digest) in blocks.iter().zip(digests) {
        digest.as_mut().copy_from_slice(&block[..length]);
    }
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
        let text = bmp_string(&passphrase("smeg"));
        let (mut key, mut iv) = ([0; 24], [0; 8]);
        let derivation = |purpose, out| Derivation {
            purpose,
            text: &text,
            salt: &salt,
            out,
        };
        let wanted = vec![
            derivation(Purpose::Key, key.as_mut_slice()),
            derivation(Purpose::Iv, iv.as_mut_slice()),
        ];
        stretch::<Sha1>(1, wanted);
        let hex = data_encoding::HEXLOWER;
        assert_eq!(
            hex.encode(&key),
            "8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3"
        );
        assert_eq!(hex.encode(&iv), "79993dfe048d3b76");
    }

    #[test]
    fn a_repeated_hash_is_the_hash_of_the_hash() {
        let mut sha1 = [Sha1::digest(b"text"), Sha1::digest(b"other")];
        Sha1::repeat(&mut sha1, 2);
        for (text, repeated) in [&b"text"[..], b"other"].iter().zip(sha1) {
            assert_eq!(repeated, Sha1::digest(Sha1::digest(Sha1::digest(text))));
        }
        let mut sha256 = [Sha256::digest(b"text")];
        Sha256::repeat(&mut sha256, 2);
        assert_eq!(sha256[0], Sha256::digest(Sha256::digest(Sha256::digest(b"text"))));
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
