//! Gives the keys of a home another passphrase: the root's, or all that the everyday passphrase opens.
//!
//! All keys of the everyday passphrase change together. They are encrypted anew beside their places, opened
//! once more, and synced; then their directory gets the name by which they count (`home/rekeyed.rs`). Killed
//! before that, the old passphrase opens all of them; after it, the new one does. What takes long, some
//! tenths of a second for each file, comes before the lock, and holds where nothing has changed since.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::error::CustodyError;
use super::listing::{Unlisted, kept};
use crate::ca::session::{ClockPolicy, Desk};
use crate::ca::{CaError, recording};
use crate::disk::{self, DiskError, Shown};
use crate::home::{self, Home, REKEYED};
use crate::key::{KeyError, Passphrase, os_rng, reencrypt};
use crate::model::{Authority, Fact};

/// How often everything is encrypted anew because a key came or went meanwhile.
const TRIES: usize = 3;
/// The event that comes when the new passphrase opens everything.
const CHANGED: &str = "that the new passphrase holds";

/// An encrypted file of the home.
#[derive(Debug, PartialEq, Eq)]
struct Sealed {
    /// Its path below the home.
    name: String,
    pem: String,
}

/// Encrypts everything that the everyday passphrase opens with another one. Returns how many files that are.
///
/// # Errors
/// Where a file does not open with the old one, or the disk does not let it: then the old one opens all.
pub fn change_everyday_passphrase(desk: &Desk, old: &Passphrase, new: &Passphrase) -> Result<usize, CaError> {
    let home = &desk.home;
    for _ in 0..TRIES {
        let before = sealed(home)?;
        let resealed: Result<Vec<String>, CaError> = before
            .par_iter()
            .map(|file| {
                let path = || Shown(home.path().join(&file.name));
                reencrypt(&file.pem, old, new, &mut os_rng())
                    .map_err(|why| CaError::Key { path: path(), why })
            })
            .collect();
        let resealed = resealed?;
        let mut session = desk.session(ClockPolicy::Lenient)?;
        if sealed(home)? != before {
            continue;
        }
        swap(home.path(), before.iter().map(|file| &*file.name).zip(&resealed))?;
        let changed = Fact::PassphraseChanged {
            authority: Authority::Issuing,
        };
        session.commit(vec![changed]).map_err(recording(CHANGED))?;
        return Ok(before.len());
    }
    Err(CustodyError::KeysChange.into())
}

/// Encrypts the root's key with another passphrase.
///
/// # Errors
/// Where it does not open with the old one, or the disk does not let it: then the old one opens it.
pub fn change_root_passphrase(desk: &Desk, old: &Passphrase, new: &Passphrase) -> Result<(), CaError> {
    let place = desk.home.key_path(Authority::Root);
    if !place.exists() {
        return Err(CustodyError::RootAway(Shown(place)).into());
    }
    let before = desk.home.key(Authority::Root)?;
    let resealed = reencrypt(&before, old, new, &mut os_rng()).map_err(|why| CaError::Key {
        path: Shown(place.clone()),
        why,
    })?;
    let mut session = desk.session(ClockPolicy::Lenient)?;
    if desk.home.key(Authority::Root)? != before {
        return Err(CustodyError::KeysChange.into());
    }
    let _at_work = disk::at_work_on(&place);
    disk::replace(&place, disk::PRIVATE_FILE, resealed.as_bytes())?;
    let changed = Fact::PassphraseChanged {
        authority: Authority::Root,
    };
    session.commit(vec![changed]).map_err(recording(CHANGED))
}

/// Every file of the home that the everyday passphrase is for.
fn sealed(home: &Home) -> Result<Vec<Sealed>, CaError> {
    let files = kept(home.path()).map_err(|error| match error {
        Unlisted::Disk(error) => CaError::from(error),
        Unlisted::Name(why) => CustodyError::Backup {
            path: Shown(home.path().to_owned()),
            why,
        }
        .into(),
    })?;
    let is_key = |name: &str| {
        let directory = name.split('/').next().unwrap_or_default();
        ["issuing", "servers", "hmac", "acme"].contains(&directory) && name.ends_with(".key")
    };
    let keys = files
        .into_iter()
        .filter(|file| !file.is_directory && is_key(file.name.as_str()));
    keys.map(|file| {
        Ok(Sealed {
            name: file.name.as_str().to_owned(),
            pem: home::private(&file.path)?,
        })
    })
    .collect()
}

/// Puts all of these in their places, as one step. For the holder of the lock.
fn swap<'a>(home: &Path, files: impl Iterator<Item = (&'a str, &'a String)>) -> Result<(), DiskError> {
    home::finish_rekeying(home)?;
    sweep(home);
    let random = disk::random_name().map_err(disk::failed("named", home))?;
    let staging = Staging(home.join(format!("{PREFIX}{random}")));
    disk::create_private_directory(&staging.0)?;
    let mut directories = vec![staging.0.clone()];
    for (name, pem) in files {
        let place = staging.0.join(name);
        if let Some(directory) = place.parent() {
            disk::ensure_directory(directory, disk::PRIVATE_DIRECTORY)?;
            let above = directory.ancestors().take_while(|above| *above != staging.0);
            directories.extend(above.map(Path::to_owned));
        }
        disk::create_private(&place, pem.as_bytes())?;
    }
    directories.sort();
    directories.dedup();
    directories
        .iter()
        .try_for_each(|directory| disk::sync_directory(directory))?;
    std::fs::rename(&staging.0, home.join(REKEYED)).map_err(disk::failed("put in place", home))?;
    disk::sync_directory(home)?;
    home::finish_rekeying(home)
}

/// How the directories begin in which files are encrypted anew.
const PREFIX: &str = ".rekeyed.";

/// Such a directory: removed unless it got its name.
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        // Under its other name it is none of ours any more. What cannot be removed the next change removes.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Removes what changes that were killed left: nothing counts that did not get its name.
fn sweep(home: &Path) {
    for entry in std::fs::read_dir(home).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if random.is_some_and(disk::is_random_name) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a passphrase opens the key of an authority.
///
/// # Errors
/// Where the key is not there, or is damaged.
pub fn opens(home: &Home, authority: Authority, passphrase: &Passphrase) -> Result<bool, CaError> {
    let path = home.key_path(authority);
    match crate::key::SoftwareKey::decrypt(&home.key(authority)?, passphrase) {
        Ok(_) => Ok(true),
        Err(KeyError::WrongPassphrase) => Ok(false),
        Err(why) => Err(CaError::Key {
            path: Shown(path),
            why,
        }),
    }
}
