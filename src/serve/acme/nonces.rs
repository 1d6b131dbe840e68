//! Nonces against replay (RFC 8555 §6.5). Each is good once, and only here: it says its own number, under a
//! key of this process. What is remembered is which of the last million numbers were used, so that nobody
//! makes the service remember more by asking for many.

use std::sync::{Mutex, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use rand_core::Rng;
use ring::hmac;

use crate::key::os_rng;

/// How many nonces are good at once. Who asks for as many in a second makes those of others bad after that
/// second: these are told so, and ask again with the nonce that comes with that answer.
const GOOD: u64 = 1 << 20;
/// The octets of the tag.
const TAG: usize = 16;

/// The nonces of this process.
pub struct Nonces {
    key: hmac::Key,
    used: Mutex<Used>,
}

struct Used {
    /// The number of the next one.
    next: u64,
    /// A bit for each of the last [`GOOD`] numbers: whether it was used.
    bits: Vec<u64>,
}

impl Used {
    fn has_good(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        number + GOOD >= self.next && self.bits[word] & bit == 0
    }

    fn place(number: u64) -> (usize, u64) {
        let place = number % GOOD;
        (usize::try_from(place / 64).unwrap_or_default(), 1 << (place % 64))
    }
}

impl Default for Nonces {
    fn default() -> Self {
        let mut key = [0; 32];
        os_rng().fill_bytes(&mut key);
        let words = usize::try_from(GOOD / 64).unwrap_or_default();
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            used: Mutex::new(Used {
                next: 0,
                bits: vec![0; words],
            }),
        }
    }
}

impl Nonces {
    /// A new one, in base64url.
    pub fn make(&self) -> String {
        let number = {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            let number = used.next;
            used.next += 1;
            let (word, bit) = Used::place(number);
            used.bits[word] &= !bit;
            number
        };
        let number = number.to_be_bytes();
        let tag = hmac::sign(&self.key, &number);
        BASE64URL_NOPAD.encode(&[&number[..], &tag.as_ref()[..TAG]].concat())
    }

    /// Uses one. Whether it was good: made here, not long ago, and not used before.
    pub fn take(&self, nonce: &str) -> bool {
        let Some(number) = self.number_of(nonce) else {
            return false;
        };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = used.has_good(number);
        let (word, bit) = Used::place(number);
        if is_good {
            used.bits[word] |= bit;
        }
        is_good
    }

    /// Whether one could be used now.
    pub fn is_good(&self, nonce: &str) -> bool {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.number_of(nonce).is_some_and(|number| used.has_good(number))
    }

    /// The number that a nonce says; none where it was not made here.
    fn number_of(&self, nonce: &str) -> Option<u64> {
        let octets = BASE64URL_NOPAD.decode(nonce.as_bytes()).ok()?;
        let (number, tag) = octets.split_at_checked(8).filter(|(_, tag)| tag.len() == TAG)?;
        let own = hmac::sign(&self.key, number);
        let differs = own.as_ref()[..TAG]
            .iter()
            .zip(tag)
            .fold(0, |differs, (a, b)| differs | (a ^ b));
        let number: [u8; 8] = number.try_into().ok()?;
        (differs == 0).then(|| u64::from_be_bytes(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_and_where_it_was_made() {
        let (here, elsewhere) = (Nonces::default(), Nonces::default());
        let [one, other] = [here.make(), here.make()];
        assert_ne!(one, other);
        assert!(!elsewhere.take(&one));
        assert!(here.take(&one) && here.take(&other));
        assert!(!here.take(&one) && !here.take(&other));
        for wrong in ["", "AAAA", "not base64url!", &"A".repeat(32), &format!("{one}=")] {
            assert!(!here.take(wrong), "{wrong}");
        }
    }

    #[test]
    fn one_that_is_older_than_a_million_others_is_not_good_and_stands_in_no_others_way() {
        let nonces = Nonces::default();
        let [old, used] = [nonces.make(), nonces.make()];
        assert!(nonces.take(&used));
        for _ in 0..GOOD {
            nonces.make();
        }
        assert!(!nonces.take(&old) && !nonces.take(&used));
        assert!(nonces.take(&nonces.make()));
    }
}
