//! The key of one file, and what follows from it.

use rand_core::CryptoRng;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::hmac;
use zeroize::Zeroizing;

/// How long a wrapped file key is: 16 octets and the tag of ChaCha20-Poly1305.
pub(super) const WRAPPED: usize = 32;

/// The key of one file. It says nothing of itself, opens this file and no other, and is wiped when dropped.
#[derive(Clone)]
pub struct FileKey(Zeroizing<[u8; 16]>);

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKey(…)")
    }
}

impl FileKey {
    /// Makes a new one: each file has its own.
    pub(super) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut octets = Zeroizing::new([0; 16]);
        rng.fill_bytes(&mut *octets);
        Self(octets)
    }

    #[cfg(test)]
    pub(super) fn of(octets: [u8; 16]) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// The file key, encrypted with a key that is used for nothing else.
    pub(super) fn wrap(&self, wrap_key: &[u8; 32]) -> [u8; WRAPPED] {
        let mut wrapped = [0; WRAPPED];
        let (body, tag) = wrapped.split_at_mut(16);
        body.copy_from_slice(&*self.0);
        let made = aead(wrap_key)
            .seal_in_place_separate_tag(zero_nonce(), Aad::empty(), body)
            .expect("16 octets are short enough");
        tag.copy_from_slice(made.as_ref());
        wrapped
    }

    /// The file key that was encrypted with this key; none if it was another key.
    pub(super) fn unwrap(wrapped: &[u8; WRAPPED], wrap_key: &[u8; 32]) -> Option<Self> {
        let mut opened = Zeroizing::new(*wrapped);
        let plain = aead(wrap_key)
            .open_in_place(zero_nonce(), Aad::empty(), &mut *opened)
            .ok()?;
        let mut octets = Zeroizing::new([0; 16]);
        octets.copy_from_slice(plain);
        Some(Self(octets))
    }

    /// The MAC over a header up to its `---`.
    pub(super) fn mac(&self, header: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.mac_key(), header);
        let mut mac = [0; 32];
        mac.copy_from_slice(tag.as_ref());
        mac
    }

    /// Whether this is the MAC over a header, in constant time.
    pub(super) fn verifies(&self, header: &[u8], mac: &[u8; 32]) -> bool {
        hmac::verify(&self.mac_key(), header, mac).is_ok()
    }

    fn mac_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &*derive(&*self.0, &[], "header"))
    }

    /// What the payload behind this nonce is encrypted with.
    pub(super) fn payload_key(&self, nonce: &[u8; 16]) -> LessSafeKey {
        aead(&derive(&*self.0, nonce, "payload"))
    }
}

/// HKDF-SHA-256 (RFC 5869), 32 octets.
pub(super) fn derive(from: &[u8], salt: &[u8], info: &str) -> Zeroizing<[u8; 32]> {
    struct Octets32;
    impl KeyType for Octets32 {
        fn len(&self) -> usize {
            32
        }
    }
    let mut key = Zeroizing::new([0; 32]);
    Salt::new(HKDF_SHA256, salt)
        .extract(from)
        .expand(&[info.as_bytes()], Octets32)
        .and_then(|okm| okm.fill(&mut *key))
        .expect("HKDF gives 32 octets");
    key
}

fn aead(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key has 32 octets"))
}

/// The nonce of a key that encrypts once.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_opens_with_its_own_key_alone() {
        let key = FileKey::of([3; 16]);
        let mut wrapped = key.wrap(&[9; 32]);
        assert_eq!(FileKey::unwrap(&wrapped, &[9; 32]).unwrap().0, key.0);
        assert!(FileKey::unwrap(&wrapped, &[8; 32]).is_none());
        wrapped[31] ^= 1;
        assert!(FileKey::unwrap(&wrapped, &[9; 32]).is_none());
    }

    #[test]
    fn a_mac_is_of_one_header_and_one_key() {
        let key = FileKey::of([3; 16]);
        let mac = key.mac(b"header");
        assert!(key.verifies(b"header", &mac));
        assert!(!key.verifies(b"headers", &mac));
        assert!(!FileKey::of([4; 16]).verifies(b"header", &mac));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", FileKey::of([3; 16])), "FileKey(…)");
    }
}
