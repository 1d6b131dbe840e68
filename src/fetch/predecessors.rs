//! The versions that were installed before, and how far each of their files can be trusted.
//!
//! A file of theirs proves what was revoked if it is unchanged since it came: by the manifest of its version,
//! which the CA has signed or `state.json` remembers, or by `state.json` itself. A file that is not may be
//! trusted in one direction only: for what it revokes.

use std::cmp::Reverse;
use std::io::Read;
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::content::Fault;
use super::error::local;
use super::place::{Place, Version};
use super::state::{Seen, State};
use crate::disk::DiskError;
use crate::model::Time;
use crate::publish::{Area, LONGEST_CRL, LONGEST_MANIFEST, Manifest, Pins, Statement};
use crate::x509::{Certificate, pem};

/// The versions that came before, the last one first.
#[derive(Default)]
pub(super) struct Predecessors {
    all: Vec<Predecessor>,
    /// Versions that are there as if they had been installed later than the state says, and have no manifest
    /// that can be trusted.
    pub unusable: Vec<PathBuf>,
}

/// A version that was put in place, or was about to be.
struct Predecessor {
    path: PathBuf,
    /// Nothing where its directory is gone.
    version: Option<Version>,
    seen: Seen,
    /// Nothing where none of its forms is what it was.
    manifest: Option<Manifest>,
    /// The SHA-256 of its CRLs and pins, where it is the one that is remembered.
    remembered: Option<Vec<(String, String)>>,
}

/// A file of the version that came last.
pub(super) enum Before {
    /// There was none of that name.
    Absent,
    /// As it was when it came.
    Octets(Vec<u8>),
    /// It is damaged, or gone, perhaps with its directory, which is named then. Nothing vouches for what is
    /// there in its place.
    Damaged { path: PathBuf, there: Option<Vec<u8>> },
}

/// Whether a version had a file.
enum Listing<'a> {
    No,
    Yes { sha256: &'a str },
    Unknown,
}

impl Predecessors {
    /// The version that was put in place last, also where the link to it or its directory is gone; those that
    /// lie there and are newer, for what is remembered may be lost or from a backup; and those before it,
    /// which know what it has lost.
    pub(super) fn find(
        place: &Place,
        state: Option<&State>,
        root: &Certificate,
        new: &Manifest,
    ) -> Result<Self, DiskError> {
        let mut found = Self::default();
        for (number, name) in place.versions()? {
            // The new one itself can lie there, of a fetch that was killed before anything was remembered.
            if state.is_some_and(|state| {
                state.directory == name || (state.manifest.number < number && number == new.number)
            }) {
                continue;
            }
            let Some(version) = place.version(&name)? else {
                continue;
            };
            let is_newer = state.is_none_or(|state| state.manifest.number < number);
            let is_whole = version.is_whole();
            match Predecessor::signed(place.path_of(&name), version, root)? {
                Some(one) => found.all.extend(Some(one).filter(|one| one.is_of(new.area))),
                None if is_newer && is_whole => found.unusable.push(place.path_of(&name)),
                None => {}
            }
        }
        if let Some(state) = state {
            found.all.push(Predecessor::remembered(place, state, root)?);
        }
        // Of two with one number the one that is remembered stands first.
        found
            .all
            .sort_by_key(|one| Reverse((one.seen.number, one.remembered.is_some())));
        Ok(found)
    }

    /// Whether nothing came before.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.unusable.is_empty()
    }

    /// The highest number of a manifest.
    pub(super) fn seen(&self) -> Option<&Seen> {
        self.all.first().map(|last| &last.seen)
    }

    /// The directory of the last one, where it is there.
    pub(super) fn last(&self) -> Option<&str> {
        Some(&self.all.first()?.version.as_ref()?.name)
    }

    /// The time at which the manifest of the last one was made, where that is known.
    pub(super) fn made(&self) -> Option<Time> {
        Some(self.all.first()?.manifest.as_ref()?.made)
    }

    /// Whether one of them says which certificates have ended.
    pub(super) fn tell_ends(&self) -> bool {
        let mut manifests = self.all.iter().filter_map(|one| one.manifest.as_ref());
        manifests.any(|manifest| manifest.ended.is_some())
    }

    /// How long a file of the last one was, where its lists of devices were long.
    pub(super) fn octets_beside_short_lists(&self, path: &str) -> Option<u64> {
        let manifest = self.all.first()?.manifest.as_ref()?;
        manifest.recent.as_ref()?;
        Some(manifest.listed(path)?.size)
    }

    /// A file of the last one.
    pub(super) fn file(&self, path: &str) -> Result<Before, Fault> {
        let Some(last) = self.all.first() else {
            return Ok(Before::Absent);
        };
        if let Listing::No = last.listing(path) {
            return Ok(Before::Absent);
        }
        if let Some(octets) = last.file(path)? {
            return Ok(Before::Octets(octets));
        }
        Ok(match &last.version {
            Some(version) => Before::Damaged {
                path: last.path.join(path),
                there: read(version, path)?,
            },
            None => Before::Damaged {
                path: last.path.clone(),
                there: None,
            },
        })
    }

    /// The file of this name in the newest of the others that has it as it was.
    pub(super) fn earlier(&self, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        for one in self.all.iter().skip(1) {
            if let Some(octets) = one.file(path)? {
                return Ok(Some(octets));
            }
        }
        Ok(None)
    }
}

impl Predecessor {
    /// A version whose manifest is one by `root`, also where its signer has ended since.
    fn signed(path: PathBuf, version: Version, root: &Certificate) -> Result<Option<Self>, DiskError> {
        let Some(payload) = payload(&version, root)? else {
            return Ok(None);
        };
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&payload) else {
            return Ok(None);
        };
        Ok(Some(Self {
            path,
            version: Some(version),
            seen: Seen {
                number: manifest.number,
                sha256: sha256(&payload),
            },
            manifest: Some(manifest),
            remembered: None,
        }))
    }

    /// The version of which `state.json` says that it was put in place last.
    fn remembered(place: &Place, state: &State, root: &Certificate) -> Result<Self, DiskError> {
        let version = place.version(&state.directory)?;
        let mut manifest = None;
        if let Some(version) = &version {
            // An older one that was put there is signed as well.
            let forms = [payload(version, root)?, whole(version, Manifest::JSON)?];
            let is_it = |form: &Vec<u8>| sha256(form) == state.manifest.sha256;
            let form = forms.into_iter().flatten().find(is_it);
            manifest = form.and_then(|form| serde_json::from_slice(&form).ok());
        }
        let crls = state
            .crls
            .iter()
            .map(|(name, crl)| (format!("crl/{name}.crl"), crl.sha256.clone()));
        let pins = state
            .pins
            .iter()
            .map(|pins| (Pins::JSON.to_owned(), pins.sha256.clone()));
        Ok(Self {
            path: place.path_of(&state.directory),
            version,
            seen: state.manifest.clone(),
            manifest,
            remembered: Some(crls.chain(pins).collect()),
        })
    }

    fn is_of(&self, area: Area) -> bool {
        self.manifest
            .as_ref()
            .is_none_or(|manifest| manifest.area == area)
    }

    fn listing(&self, path: &str) -> Listing<'_> {
        if let Some(manifest) = &self.manifest {
            let listed = manifest.listed(path);
            return listed.map_or(Listing::No, |listed| Listing::Yes {
                sha256: &listed.sha256,
            });
        }
        let remembered = self.remembered.iter().flatten().find(|(name, _)| name == path);
        match remembered {
            Some((_, sha256)) => Listing::Yes { sha256 },
            // All CRLs are remembered, and the last pins.
            None if path.starts_with("crl/") || path == Pins::JSON => Listing::No,
            None => Listing::Unknown,
        }
    }

    /// A file, where it is what it was. A CRL is in two forms that say the same.
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        let (Some(version), Listing::Yes { sha256: listed }) = (&self.version, self.listing(path)) else {
            return Ok(None);
        };
        let is_it = |octets: &Vec<u8>| sha256(octets) == listed;
        if let Some(octets) = read(version, path)?.filter(is_it) {
            return Ok(Some(octets));
        }
        let Some(crl) = path.strip_suffix(".crl") else {
            return Ok(None);
        };
        let text = read(version, &format!("{crl}.pem"))?;
        let octets = text.and_then(|text| pem::decode(pem::CRL, &text).ok());
        Ok(octets.filter(is_it))
    }
}

/// What a manifest says that is one by `root`.
fn payload(version: &Version, root: &Certificate) -> Result<Option<Vec<u8>>, DiskError> {
    let jws = whole(version, Manifest::JWS)?;
    let statement = jws.and_then(|jws| Statement::of_root(Manifest::TYPE, &jws, root).ok());
    Ok(statement.map(|statement| statement.payload().to_vec()))
}

/// A form of a manifest.
fn whole(version: &Version, path: &str) -> Result<Option<Vec<u8>>, DiskError> {
    up_to(LONGEST_MANIFEST, version, path)
}

/// A file of a version, if there is one.
pub(super) fn read(version: &Version, path: &str) -> Result<Option<Vec<u8>>, Fault> {
    Ok(up_to(LONGEST_CRL * 4, version, path)?)
}

fn up_to(longest: u64, version: &Version, path: &str) -> Result<Option<Vec<u8>>, DiskError> {
    let Some(file) = version.file(path)? else {
        return Ok(None);
    };
    let mut octets = Vec::new();
    let read = file.take(longest).read_to_end(&mut octets);
    read.map_err(local(&version.path(path)))?;
    Ok(Some(octets))
}

fn sha256(octets: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(octets))
}
