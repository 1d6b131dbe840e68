//! Makes and opens the keys of servers. The home keeps them encrypted; the file that is handed to the server
//! has its key in the clear.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::ca::delivery::file_names::with_extension;
use crate::ca::delivery::output_dir::OutputDir;
use crate::ca::key_file::seal;
use crate::ca::{CaError, ServersError};
use crate::disk::{self, Exposed, Shown};
use crate::home::{Home, HomeError};
use crate::key::{Passphrase, PublicKey, SoftwareKey, os_rng};
use crate::model::{Host, Pin};
use crate::x509::foreign::ForeignCertificate;

/// The longest encrypted key that is read.
const LONGEST_KEY: u64 = 64 << 10;

/// A new key of a server, and its encrypted form.
#[derive(Debug)]
pub struct NewKey {
    pub(in crate::ca) key: SoftwareKey,
    sealed: String,
}

impl NewKey {
    /// Makes a new key. Takes as long as encrypting and opening it does: not to be done under the lock.
    ///
    /// # Errors
    /// Where the library refuses to encrypt it.
    pub fn make(passphrase: &Passphrase) -> Result<Self, CaError> {
        let key = SoftwareKey::generate(&mut os_rng());
        let sealed = seal(&key, passphrase)?;
        Ok(Self { key, sealed })
    }

    /// The pin of the key.
    pub fn pin(&self) -> Pin {
        Pin(self.key.public_key().spki_sha256())
    }

    /// Puts its encrypted form into the home, before anything refers to it.
    pub(in crate::ca) fn keep(&self, home: &Home, host: &Host) -> Result<(), CaError> {
        let place = key_path(home, host, self.pin());
        if let Some(directory) = place.parent() {
            disk::ensure_directory(directory, disk::PRIVATE_DIRECTORY)?;
            // What says that the key is there must not outlive it.
            for above in directory.ancestors().take(3) {
                disk::sync_directory(above)?;
            }
        }
        Ok(disk::create_private(&place, self.sealed.as_bytes())?)
    }
}

/// The path of a server's key in the home: the file is named by the pin.
pub fn key_path(home: &Home, host: &Host, pin: Pin) -> PathBuf {
    let directory = home.path().join("servers").join(host.file_stem());
    directory.join(format!("{}.key", HEXLOWER.encode(&pin.0)))
}

/// Opens a key of a server.
///
/// # Errors
/// Where it is not there, does not open, or is another.
pub fn open_key(home: &Home, host: &Host, pin: Pin, passphrase: &Passphrase) -> Result<SoftwareKey, CaError> {
    let path = key_path(home, host, pin);
    let octets = disk::read(&path, LONGEST_KEY)?;
    let failed = |why| CaError::Key {
        path: Shown(path.clone()),
        why,
    };
    let key = SoftwareKey::decrypt(&String::from_utf8_lossy(&octets), passphrase).map_err(failed)?;
    if Pin(key.public_key().spki_sha256()) == pin {
        Ok(key)
    } else {
        Err(ServersError::OtherKey(Shown(path)).into())
    }
}

/// The key that a server's files are for.
#[derive(Debug)]
pub enum CertifiedKey<'a> {
    /// A key that was made here: the server gets it with the certificate.
    Ours(&'a SoftwareKey),
    /// A key that the server made, and has proved that it holds.
    Theirs(&'a PublicKey),
}

impl CertifiedKey<'_> {
    /// The public key.
    pub fn public_key(&self) -> &PublicKey {
        match self {
            Self::Ours(key) => key.public_key(),
            Self::Theirs(key) => key,
        }
    }

    /// The pin of the key.
    pub fn pin(&self) -> Pin {
        Pin(self.public_key().spki_sha256())
    }
}

/// The stem of a server's files in `output`: `HOST`, or `HOST-` and the first digits of the key's hash where
/// another key has that name. So that a certificate never stands beside a key that is not its own. What
/// writes of these files that were cut off left is removed, for it may be the key in the clear, unless others
/// are at work there: they are kept from the same while the handle is held.
pub(in crate::ca) fn stem(
    output: &OutputDir,
    host: &Host,
    key: &CertifiedKey<'_>,
) -> Result<(PathBuf, Option<File>), CaError> {
    let digits = HEXLOWER.encode(&key.pin().0[..4]);
    let plain = host.file_stem();
    for name in [plain.clone(), format!("{plain}-{digits}")] {
        let stem = output.directory.join(name);
        let fits = match beside(&with_extension(&stem, "key"), key)? {
            Beside::Own => true,
            Beside::Other => false,
            Beside::Nothing => is_of(&with_extension(&stem, "crt"), key.pin())?,
        };
        if !fits {
            continue;
        }
        let written: &[&str] = match key {
            CertifiedKey::Ours(_) => &["key", "crt", "csr"],
            CertifiedKey::Theirs(_) => &["crt"],
        };
        let places: Vec<PathBuf> = written.iter().map(|end| with_extension(&stem, end)).collect();
        let is_own = |name: &str| {
            let mut own = places.iter().filter_map(|place| place.file_name());
            own.any(|own| own == OsStr::new(name))
        };
        let at_work = disk::at_work(&output.directory, is_own, |_| false);
        return Ok((stem, at_work));
    }
    Err(CaError::Exists(Shown(output.directory.join(plain))))
}

/// What stands where the key of a certificate would.
enum Beside {
    /// No key, or none that can be told from the certificate's.
    Nothing,
    /// The certificate's key.
    Own,
    /// Another.
    Other,
}

/// What stands at `place`, where the file of this key would be. A server that made its key may keep it there
/// in whatever form: what is no key in PKCS#8 is not judged.
fn beside(place: &Path, key: &CertifiedKey<'_>) -> Result<Beside, CaError> {
    let there = disk::read_if_there(place)?.map(Zeroizing::new);
    Ok(match (there, key) {
        (None, CertifiedKey::Ours(_)) if disk::is_taken(place) => Beside::Other,
        (None, _) => Beside::Nothing,
        (Some(there), CertifiedKey::Ours(key)) => {
            match *there == key.pkcs8_pem().map_err(unencodable)?.as_bytes() {
                true => Beside::Own,
                false => Beside::Other,
            }
        }
        (Some(there), CertifiedKey::Theirs(key)) => match SoftwareKey::from_pem(&there) {
            Some(there) if there.public_key() == *key => Beside::Own,
            Some(_) => Beside::Other,
            None => Beside::Nothing,
        },
    })
}

/// Whether no certificate of another key stands there.
fn is_of(certificate: &Path, pin: Pin) -> Result<bool, CaError> {
    let there = disk::read_if_there(certificate)?;
    let there = there.and_then(|text| ForeignCertificate::first_in(&text).ok());
    Ok(there.is_none_or(|there| there.pin == pin))
}

/// Writes a key for its server, mode 0600, unless it is there. Nothing else is taken for it.
pub(in crate::ca) fn deliver(stem: &Path, key: &SoftwareKey) -> Result<PathBuf, CaError> {
    let place = with_extension(stem, "key");
    let pem = key.pkcs8_pem().map_err(unencodable)?;
    match disk::read_if_there(&place)?.map(Zeroizing::new) {
        // Another home may have a key for a server of this name, and may have come first.
        Some(there) if *there != pem.as_bytes() => return Err(CaError::Exists(Shown(place))),
        Some(_) => {
            let mode = disk::mode(&place)?;
            if mode & 0o077 != 0 {
                return Err(HomeError::Exposed(Exposed::new(&place, mode)).into());
            }
        }
        None => disk::create_private(&place, pem.as_bytes())?,
    }
    Ok(place)
}

fn unencodable(why: crate::key::KeyError) -> CaError {
    CaError::Key {
        path: Shown("the server's key".into()),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_key_is_taken_for_the_one_that_is_delivered() {
        let directory = tempfile::tempdir().unwrap();
        let [key, other] = [(); 2].map(|()| SoftwareKey::generate(&mut os_rng()));
        let stem = directory.path().join("api.acme.example");
        let place = deliver(&stem, &other).unwrap();
        let there = std::fs::read(&place).unwrap();
        assert!(matches!(deliver(&stem, &key), Err(CaError::Exists(_))));
        assert_eq!(deliver(&stem, &other).unwrap(), place);
        assert_eq!(std::fs::read(&place).unwrap(), there);
    }
}
