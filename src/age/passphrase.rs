//! The stanza for a passphrase: the file key, encrypted with what scrypt makes of it.
//!
//! ```text
//! -> scrypt SALT 16     16 octets in base64; the binary logarithm of N
//! BODY                  the wrapped file key
//! ```

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::error::{AgeError, HeaderFault};
use super::file_key::{FileKey, WRAPPED};
use super::header::{self, Stanza};
use crate::key::{Passphrase, demand_threads};

/// The first argument.
pub(super) const TYPE: &str = "scrypt";
const SALT_PREFIX: &[u8] = b"age-encryption.org/v1/scrypt";
/// r of scrypt: 1 KiB of memory for each of N.
const R: u32 = 8;

/// How much work it is to try one passphrase: the binary logarithm of scrypt's N (r = 8, p = 1; RFC 7914). It
/// takes 2^N KiB of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkFactor(u8);

impl WorkFactor {
    /// What this program writes: 64 MiB, about 0.2 s.
    pub const USUAL: Self = Self(16);
    /// The most that is read: 1 GiB. The program `age` writes 18; others take what lasts a second.
    pub const MOST: u8 = 20;

    /// A work factor from 1 to 20.
    pub fn new(log_n: u8) -> Option<Self> {
        (1..=Self::MOST).contains(&log_n).then_some(Self(log_n))
    }

    /// A decimal number without a sign or leading zeros.
    fn read(text: &str) -> Result<Self, HeaderFault> {
        let is_decimal = text.bytes().all(|octet| octet.is_ascii_digit()) && !text.starts_with('0');
        let number: u32 = match text.parse() {
            Ok(number) if is_decimal => number,
            Ok(_) | Err(_) => return Err(HeaderFault::Scrypt),
        };
        let within = u8::try_from(number).ok().and_then(Self::new);
        within.ok_or(HeaderFault::WorkFactor {
            asked: number,
            most: Self::MOST,
        })
    }
}

/// The file key for whoever knows a passphrase.
pub(super) struct ForPassphrase {
    salt: [u8; 16],
    work: WorkFactor,
    body: [u8; WRAPPED],
}

impl ForPassphrase {
    /// Encrypts a file key with a passphrase.
    pub(super) fn wrap(
        key: &FileKey,
        passphrase: &Passphrase,
        work: WorkFactor,
        rng: &mut impl CryptoRng,
    ) -> Result<Stanza, AgeError> {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        let body = key.wrap(&*wrap_key(passphrase, &salt, work)?);
        Ok(Stanza {
            arguments: vec![TYPE.into(), header::encode(&salt), work.0.to_string()],
            body: body.into(),
        })
    }

    /// Reads a stanza of this type, within bounds.
    pub(super) fn read(stanza: &Stanza) -> Result<Self, HeaderFault> {
        let [_, salt, work] = stanza.arguments.as_slice() else {
            return Err(HeaderFault::Scrypt);
        };
        let salt = header::decode(salt).and_then(|salt| salt.try_into().ok());
        // The length says that it is one file key, and that no other could be found in it by another
        // passphrase.
        let body = stanza.body.as_slice().try_into().ok();
        match (salt, body) {
            (Some(salt), Some(body)) => Ok(Self {
                salt,
                work: WorkFactor::read(work)?,
                body,
            }),
            _ => Err(HeaderFault::Scrypt),
        }
    }

    /// The file key.
    pub(super) fn unwrap(&self, passphrase: &Passphrase) -> Result<FileKey, AgeError> {
        let wrap_key = wrap_key(passphrase, &self.salt, self.work)?;
        FileKey::unwrap(&self.body, &wrap_key).ok_or(AgeError::WrongPassphrase)
    }
}

fn wrap_key(
    passphrase: &Passphrase,
    salt: &[u8; 16],
    work: WorkFactor,
) -> Result<Zeroizing<[u8; 32]>, AgeError> {
    demand_threads().map_err(AgeError::NoThreads)?;
    demand_memory(1024 << work.0)?;
    let cost = scrypt::Params::new(work.0, R, 1).expect("N is small");
    let salt = [SALT_PREFIX, salt].concat();
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(passphrase.expose().as_bytes(), &salt, &cost, &mut *key).expect("32 octets are few");
    Ok(key)
}

/// Makes sure that there is this much memory, in octets: the library would end the process.
fn demand_memory(octets: usize) -> Result<(), AgeError> {
    let mut probe = Vec::<u8>::new();
    probe
        .try_reserve_exact(octets)
        .map_err(|_| AgeError::NoMemory((octets >> 20) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_work_factor_has_one_spelling_and_is_bounded() {
        assert_eq!(WorkFactor::read("16"), Ok(WorkFactor::USUAL));
        assert_eq!(WorkFactor::read("20"), Ok(WorkFactor(20)));
        for refused in ["", "0", "016", "+16", "-1", "0x10", "16 ", "99999999999", "١"] {
            assert_eq!(WorkFactor::read(refused), Err(HeaderFault::Scrypt), "{refused}");
        }
        for (text, asked) in [("21", 21), ("272", 272)] {
            let most = WorkFactor::MOST;
            assert_eq!(
                WorkFactor::read(text),
                Err(HeaderFault::WorkFactor { asked, most })
            );
        }
    }

    #[test]
    fn memory_that_the_system_does_not_give_is_an_error() {
        assert!(demand_memory(1 << 20).is_ok());
        assert!(matches!(demand_memory(1 << 62), Err(AgeError::NoMemory(_))));
    }
}
