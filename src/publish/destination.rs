//! A target of the publication, whatever kind of place it is: finds out what is published there and is this
//! PKI's own, and writes an area to it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::accepted::{
    self, ALLOWED, Claim, DEVICES, Lists, RECENT_ALLOWED, RECENT_DEVICES, REVOKED, Told, allowed,
    revoked_serial,
};
use super::bucket::{Access, Bucket};
use super::directory::Folder;
use super::error::TargetError;
use super::file::File;
use super::hashes::Hashes;
use super::history::{HISTORY, History};
use super::location::Location;
use super::manifest::{Area, LONGEST_MANIFEST, Manifest};
use super::pins::Pins;
use super::statement::{said, vouched};
use super::stray::Stray;
use crate::disk::Spot;
use crate::issuer::Chain;
use crate::key::PublicKey;
use crate::model::Serial;
use crate::store::LastLists;

/// A statement of the CA in both forms, as octets: `manifest.json` and `manifest.jws`, or `pins.json` and
/// `pins.jws`.
pub type BothForms = (Vec<u8>, Vec<u8>);

/// The longest CRL that is taken for ours: 1.6 million entries. Whoever may write to a place must not make us
/// read until our memory is full.
pub const LONGEST_CRL: u64 = 64 << 20;
/// The longest list of devices that is read again, here or by a server: some 1,000,000 of them.
pub const LONGEST_LIST: u64 = 256 << 20;
/// The certificate of the servers' CA.
pub(super) const SERVERS_CA: &str = "ca/servers.der";

/// A place that an area is written to.
#[derive(Debug)]
pub struct Destination {
    /// The area that is written there.
    pub area: Area,
    /// The name that the operator gave it.
    pub path: PathBuf,
    /// The public key of the CA that signs its manifest.
    signer: PublicKey,
    place: Place,
    /// The last signed manifest that was verified: verifying takes longer than reading.
    verified: RefCell<Option<Verified>>,
}

/// A signed manifest, and what it says if it is ours.
#[derive(Debug)]
struct Verified {
    jws: Vec<u8>,
    said: Option<Vec<u8>>,
}

/// The kinds of place.
#[derive(Debug)]
enum Place {
    Folder(Folder),
    Bucket(Box<Bucket>),
}

impl Destination {
    /// Looks for a place: a directory, or the one in which it will be made. A bucket is not asked yet.
    /// Nothing stays open: there may be more places than a process may have open files.
    ///
    /// # Errors
    /// Where neither is there, or it cannot be opened.
    pub fn open(
        area: Area,
        location: &Location,
        access: &Access,
        group: Option<u32>,
        chain: &Chain,
        hashes: &Hashes,
    ) -> Result<Self, TargetError> {
        let place = match location {
            Location::Directory(path) => Place::Folder(Folder::open(area, path.clone(), group, hashes)?),
            Location::Bucket { .. } => Place::Bucket(Box::new(Bucket::open(location, access)?)),
        };
        Ok(Self {
            area,
            path: location.name(),
            signer: chain.ca().public_key().clone(),
            place,
            verified: RefCell::default(),
        })
    }

    /// The identity of the directory, if it is one.
    pub fn spot(&self) -> Option<&Spot> {
        match &self.place {
            Place::Folder(folder) => Some(folder.spot()),
            Place::Bucket(_) => None,
        }
    }

    /// Whether it holds exactly these files, and a manifest of them, open to whom they are for and to nobody
    /// else.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn holds(&self, files: &[File]) -> Result<bool, TargetError> {
        let manifest = self.manifest()?;
        if !manifest.is_some_and(|manifest| manifest.lists(files)) {
            return Ok(false);
        }
        match &self.place {
            Place::Folder(folder) => folder.holds(files),
            Place::Bucket(bucket) => Ok(bucket.holds(files)?),
        }
    }

    /// Whether the file at this path has so many octets and this SHA-256.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn has(&self, path: &str, size: u64, sha256: [u8; 32]) -> Result<bool, TargetError> {
        match &self.place {
            Place::Folder(folder) => folder.has(path, size, sha256),
            Place::Bucket(bucket) => Ok(bucket.has(path, size, sha256)?),
        }
    }

    /// Whether the two long lists that were written last are there, so that they need not be written.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn holds_lists(&self, last: &LastLists) -> Result<bool, TargetError> {
        for (path, content) in [(ALLOWED, last.allowed), (DEVICES, last.devices)] {
            let holds = match &self.place {
                Place::Folder(folder) => {
                    folder.holds_one(&File::standing(path, content.size, content.sha256))?
                }
                Place::Bucket(bucket) => bucket.has(path, content.size, content.sha256)?,
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether there are short lists: readers of the place may look for them from then on.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn has_short_lists(&self) -> Result<bool, TargetError> {
        if self.manifest()?.is_some_and(|manifest| manifest.recent.is_some()) {
            return Ok(true);
        }
        match &self.place {
            Place::Folder(folder) => Ok(folder.is_there(RECENT_ALLOWED)? || folder.is_there(RECENT_DEVICES)?),
            Place::Bucket(_) => Ok(false),
        }
    }

    /// Reads the file of a CRL at this path. Returns none where there is no such file, or it is longer than
    /// `LONGEST_CRL`; in a bucket also where the SHA-256 of the object is among `known`. Neither its
    /// contents nor its signature is checked.
    ///
    /// # Errors
    /// Where something other than a file is at this path, or the place cannot be read.
    pub fn crl(&self, path: &str, known: &[[u8; 32]]) -> Result<Option<Vec<u8>>, TargetError> {
        match &self.place {
            Place::Folder(folder) => folder.read(path, LONGEST_CRL),
            Place::Bucket(bucket) => Ok(bucket.read_unknown(path, LONGEST_CRL, known)?),
        }
    }

    pub(super) fn read(&self, path: &str, longest: u64) -> Result<Option<Vec<u8>>, TargetError> {
        match &self.place {
            Place::Folder(folder) => folder.read(path, longest),
            Place::Bucket(bucket) => Ok(bucket.read(path, longest)?),
        }
    }

    /// The manifest that is there, where it is ours. The signed form says it all: the other may be missing or
    /// damaged.
    ///
    /// # Errors
    /// Where there is one and the system does not let it be read.
    pub fn manifest(&self) -> Result<Option<Manifest>, TargetError> {
        let jws = self.read(Manifest::JWS, LONGEST_MANIFEST)?;
        Ok(jws.and_then(|jws| self.signed(&jws)))
    }

    /// Makes sure that neither another devices' CA nor the other area of this PKI has published there.
    ///
    /// # Errors
    /// Where one of them has. A place that cannot be read is no error here, but one when it is written.
    pub fn demand_own(&self) -> Result<(), TargetError> {
        let Some(jws) = self.read(Manifest::JWS, LONGEST_MANIFEST).ok().flatten() else {
            return Ok(());
        };
        match self.signed(&jws) {
            Some(manifest) if manifest.area != self.area => Err(TargetError::OtherHalf {
                there: manifest.area,
                wanted: self.area,
            }),
            Some(_) => Ok(()),
            None => vouched(Manifest::TYPE, &jws).map_or(Ok(()), |other| Err(TargetError::OtherCa(other))),
        }
    }

    /// Whether no manifest of ours is there. One that is not signed says nothing.
    pub fn is_bare(&self) -> bool {
        matches!(self.manifest(), Ok(None))
    }

    /// The SHA-256 of the manifest that is there, where it is ours.
    ///
    /// # Errors
    /// Where there is one and the system does not let it be read.
    pub fn manifest_sha256(&self) -> Result<Option<[u8; 32]>, TargetError> {
        let jws = self.read(Manifest::JWS, LONGEST_MANIFEST)?;
        let text = jws.and_then(|jws| self.said(&jws));
        Ok(text.map(|text| Sha256::digest(text).into()))
    }

    /// The manifest in its signed form, where it is ours.
    fn signed(&self, jws: &[u8]) -> Option<Manifest> {
        serde_json::from_slice(&self.said(jws)?).ok()
    }

    /// What a signed manifest says, where it is ours.
    fn said(&self, jws: &[u8]) -> Option<Vec<u8>> {
        let mut last = self.verified.borrow_mut();
        if let Some(known) = last.as_ref().filter(|known| known.jws == jws) {
            return known.said.clone();
        }
        let said = said(&self.signer, jws);
        *last = Some(Verified {
            jws: jws.to_owned(),
            said: said.clone(),
        });
        said
    }

    /// The octets of the manifest in both forms, where both are there.
    ///
    /// # Errors
    /// Where the system does not let them be read.
    pub fn statement(&self) -> Result<Option<BothForms>, TargetError> {
        let json = self.read(Manifest::JSON, LONGEST_MANIFEST)?;
        let statement = json.zip(self.read(Manifest::JWS, LONGEST_MANIFEST)?);
        Ok(statement.filter(|(text, jws)| self.said(jws).is_some_and(|said| said == *text)))
    }

    /// The history of the ledger as its signed manifest has it, where it has one.
    ///
    /// # Errors
    /// Where the system does not let it be read.
    pub fn history(&self) -> Result<Option<Vec<u8>>, TargetError> {
        let Some(manifest) = self.manifest()? else {
            return Ok(None);
        };
        let octets = self.listed(&manifest, HISTORY)?;
        Ok(octets.filter(|octets| octets.len() as u64 <= History::LONGEST))
    }

    /// The octets of the pin sets in both forms. The signed one says it all: the other may be damaged.
    ///
    /// # Errors
    /// Where the system does not let them be read.
    pub fn pins(&self) -> Result<Option<BothForms>, TargetError> {
        let jws = self.read(Pins::JWS, LONGEST_MANIFEST)?;
        Ok(jws.and_then(|jws| Some((said(&self.signer, &jws)?, jws))))
    }

    /// Reads the lists of the servers' half, unless their manifest is the one with the SHA-256 `known`.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn lists_but(&self, known: Option<[u8; 32]>) -> Result<Option<Lists>, TargetError> {
        let jws = self.read(Manifest::JWS, LONGEST_MANIFEST)?;
        let Some(text) = jws.and_then(|jws| self.said(&jws)) else {
            return Ok(None);
        };
        if known.is_some_and(|known| Sha256::digest(&text)[..] == known) {
            return Ok(None);
        }
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) else {
            return Ok(None);
        };
        // What the short list says of a certificate holds.
        let told: BTreeMap<Serial, Told> = self
            .devices(&manifest, DEVICES)?
            .into_iter()
            .chain(self.devices(&manifest, RECENT_DEVICES)?)
            .map(|told| (told.serial, told))
            .collect();
        let revoked = self.listed(&manifest, REVOKED)?.unwrap_or_default();
        let revoked = String::from_utf8_lossy(&revoked);
        Ok(Some(Lists {
            number: manifest.number,
            accepted: told.into_values().collect(),
            revoked: revoked.lines().filter_map(revoked_serial).collect(),
        }))
    }

    /// Reads these lists of devices alone, as far as the signed manifest covers them.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn told_in(&self, lists: &[&str]) -> Result<Vec<Told>, TargetError> {
        let jws = self.read(Manifest::JWS, LONGEST_MANIFEST)?;
        let text = jws.and_then(|jws| self.said(&jws));
        let Some(manifest) = text.and_then(|text| serde_json::from_slice::<Manifest>(&text).ok()) else {
            return Ok(Vec::new());
        };
        let mut told = Vec::new();
        for list in lists {
            told.extend(self.devices(&manifest, list)?);
        }
        Ok(told)
    }

    fn devices(&self, manifest: &Manifest, path: &str) -> Result<Vec<Told>, TargetError> {
        let octets = self.listed(manifest, path)?;
        let told = octets.and_then(|octets| accepted::read(&octets));
        Ok(told.unwrap_or_default())
    }

    /// The certificate of the servers' CA that is published there, DER. The root's signature in it says whose
    /// it is.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn servers_ca(&self) -> Result<Option<Vec<u8>>, TargetError> {
        self.read(SERVERS_CA, LONGEST_MANIFEST)
    }

    /// The claims of lists that are there and that no signed manifest covers: an interrupted publication has
    /// left them, or somebody else. With `listed`, also the claims of lists that one covers: `allowed.map`
    /// has less than `devices.json`, and is used in its place where that is gone.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn claims(&self, listed: bool) -> Result<Vec<Claim>, TargetError> {
        let manifest = self.manifest()?.filter(|_| !listed);
        let unlisted = |path| self.unlisted(manifest.as_ref(), path);
        let (accepted, revoked) = (
            [unlisted(ALLOWED)?, unlisted(RECENT_ALLOWED)?].concat(),
            unlisted(REVOKED)?,
        );
        let (accepted, revoked) = (
            String::from_utf8_lossy(&accepted),
            String::from_utf8_lossy(&revoked),
        );
        let accepted = accepted.lines().filter_map(allowed);
        let accepted = accepted.map(|(serial, address)| Claim::Accepted(serial, address));
        let revoked = revoked.lines().filter_map(revoked_serial);
        Ok(accepted.chain(revoked.map(Claim::Revoked)).collect())
    }

    /// A file that is another than its signed manifest says, or that has none.
    fn unlisted(&self, manifest: Option<&Manifest>, path: &str) -> Result<Vec<u8>, TargetError> {
        let listed = manifest.and_then(|manifest| manifest.listed(path));
        let listed = listed.and_then(|file| Some((file.size, file.sha256()?)));
        let is_listed = match listed {
            None => false,
            Some((size, sha256)) => self.has(path, size, sha256)?,
        };
        if is_listed {
            return Ok(Vec::new());
        }
        Ok(self.read(path, LONGEST_LIST)?.unwrap_or_default())
    }

    /// The first file listed in the signed manifest whose contents are not what the manifest says. Only the
    /// CRLs, `devices.json`, `devices-recent.json` and `revoked.map` are looked at: what others say is not
    /// taken in from here. A list of more than `LONGEST_LIST` octets is not read, and counts as damaged.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn torn(&self) -> Result<Option<&'static str>, TargetError> {
        let Some(manifest) = self.manifest()? else {
            return Ok(None);
        };
        for path in [
            DEVICES,
            RECENT_DEVICES,
            REVOKED,
            "crl/root.crl",
            "crl/issuing.crl",
            "crl/servers.crl",
        ] {
            if manifest.listed(path).is_some() && self.listed(&manifest, path)?.is_none() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// A file as its signed manifest has it.
    fn listed(&self, manifest: &Manifest, path: &str) -> Result<Option<Vec<u8>>, TargetError> {
        let Some(listed) = manifest.listed(path) else {
            return Ok(None);
        };
        let list = self.read(path, listed.size.min(LONGEST_LIST))?;
        Ok(list.filter(|octets| HEXLOWER.encode(&Sha256::digest(octets)) == listed.sha256))
    }

    /// Makes sure that what is there of it can be written, without changing anything.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn demand_writable(&self) -> Result<(), TargetError> {
        match &self.place {
            Place::Folder(folder) => folder.demand_writable(),
            // That is known once it is written to.
            Place::Bucket(_) => Ok(()),
        }
    }

    /// Finds what is in a directory and not in its manifest. Buckets, and directories without a manifest of
    /// this CA, are not searched.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn strays(&self) -> Result<Vec<Stray>, TargetError> {
        let Place::Folder(folder) = &self.place else {
            return Ok(Vec::new());
        };
        let Some(manifest) = self.manifest()? else {
            return Ok(Vec::new());
        };
        let mut known: BTreeSet<PathBuf> = [Manifest::JSON, Manifest::JWS].map(PathBuf::from).into();
        known.extend(manifest.paths().map(PathBuf::from));
        folder.strays(&known)
    }

    /// Writes the files that differ from what is there, in their order, and then the manifest in both forms.
    ///
    /// # Errors
    /// Where one cannot be written.
    pub fn write(&self, files: &[File], manifest: &[u8], jws: &[u8]) -> Result<(), TargetError> {
        match &self.place {
            Place::Folder(folder) => {
                let seen = self.verified.borrow();
                let seen = seen.as_ref().map(|verified| verified.jws.as_slice());
                folder.write(files, manifest, jws, seen)
            }
            Place::Bucket(bucket) => {
                // Another CA may have published there since it was looked at.
                let other = RefCell::new(None);
                let number_of = |jws: &[u8]| {
                    let Some(text) = said(&self.signer, jws) else {
                        let vouched = vouched(Manifest::TYPE, jws)?;
                        other.replace(Some(vouched));
                        return Some(u64::MAX);
                    };
                    let manifest: Manifest = serde_json::from_slice(&text).ok()?;
                    (manifest.area == self.area).then_some(manifest.number)
                };
                let written = bucket.write(files, manifest, jws, number_of);
                match other.take() {
                    Some(other) => Err(TargetError::OtherCa(other)),
                    None => Ok(written?),
                }
            }
        }
    }
}
