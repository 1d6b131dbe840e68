//! A publication in a directory: each file replaced atomically, in order, the manifest last.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::accepted::{self, Told};
use super::file::File;
use super::manifest::{Area, Manifest};
use super::pins::Pins;
use super::statement::signs;
use super::stray::{self, Stray};
use crate::disk::{self, Directory, DiskError, Ground, Staged};
use crate::key::PublicKey;

/// What the CA says in both forms, their octets: `manifest.json` and `manifest.jws`, or `pins.json` and `pins.jws`.
pub type BothForms = (Vec<u8>, Vec<u8>);

/// The longest CRL that is taken for ours: 1.6 million entries. Whoever may write to a place must not make us read until our memory
/// is full.
pub const LONGEST_CRL: u64 = 64 << 20;
/// The longest manifest that is taken for ours; they are of some kilobytes.
const LONGEST_MANIFEST: u64 = 4 << 20;
/// The longest list of devices that is read again: some 250,000 of them.
const LONGEST_LIST: u64 = 64 << 20;
/// The list of what servers accept.
const DEVICES: &str = "devices.json";
/// How many directories of a place are made where they are missing: `pki/public` in `/etc/nginx`. Where more is missing the rest
/// is not what was meant, mostly because it is not mounted.
const NEW: usize = 2;

/// Where an area is written.
#[derive(Debug)]
pub struct Destination {
    /// Which half.
    pub area: Area,
    /// The directory that holds its files, by the name that the operator gave it.
    pub path: PathBuf,
    /// The group that may read it, by its number.
    pub group: Option<u32>,
    /// Whose signature its manifest bears.
    signer: PublicKey,
    /// The directory itself. All that happens in it goes by this handle: it may belong to a web server's account, and pki is
    /// perhaps root.
    ground: Ground,
}

/// Why an area did not reach its directory.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A file could not be written. Those before it are in place, and each is whole.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// By whatever path: the home is private, and what is published is not.
    #[error("it lies in the home, which is private, or the home in it")]
    Home,
    /// Two areas in one directory would overwrite each other's manifest; and what serves one that lies above another serves both.
    #[error("it is {0} by another path, or lies in it: each needs a directory of its own")]
    Shared(disk::Shown),
}

impl Destination {
    /// Opens the directory, or the one in which it will be made.
    ///
    /// # Errors
    /// Where neither is there, or it cannot be opened.
    pub fn open(
        area: Area,
        path: PathBuf,
        group: Option<u32>,
        signer: PublicKey,
    ) -> Result<Self, TargetError> {
        let ground = Ground::find(&path, NEW)?;
        Ok(Self {
            area,
            path,
            group,
            signer,
            ground,
        })
    }

    /// Where it is.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Whether it holds exactly these files, and a manifest of them, open to whom they are for and to nobody else.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn holds(&self, files: &[File]) -> Result<bool, TargetError> {
        let Some(directory) = self.ground.directory() else {
            return Ok(false);
        };
        if !self
            .manifest()?
            .is_some_and(|manifest| manifest.files == Manifest::list(files))
        {
            return Ok(false);
        }
        for file in files {
            let (below, name) = split(file.path);
            match enter(directory, below)? {
                Some(directory) if self.holds_file(&directory, name, file)? => {}
                Some(_) | None => return Ok(false),
            }
        }
        for name in [Manifest::JSON, Manifest::JWS] {
            match directory.file(name)? {
                Some(there) if self.is_open_to_its_readers(&there, &self.path.join(name))? => {}
                Some(_) | None => return Ok(false),
            }
        }
        match self.group {
            Some(group) => Ok(directory.group()? == group),
            None => Ok(true),
        }
    }

    /// Whether the file of this name is this one, open to its readers. Another length tells without reading.
    fn holds_file(&self, directory: &Directory, name: &str, file: &File) -> Result<bool, TargetError> {
        let Some(there) = directory.file(name)? else {
            return Ok(false);
        };
        let path = self.path.join(file.path);
        let failed = |deed| disk::failed(deed, &path);
        Ok(self.is_open_to_its_readers(&there, &path)?
            && there.metadata().map_err(failed("examined"))?.len() == file.size
            // It may grow while it is read.
            && sha256(there.take(file.size)).map_err(failed("read"))? == file.sha256)
    }

    /// Whether a file has the mode of the area and the group that was configured, perhaps after it was written.
    fn is_open_to_its_readers(&self, file: &fs::File, path: &Path) -> Result<bool, DiskError> {
        let metadata = file.metadata().map_err(disk::failed("examined", path))?;
        let group = self.group.is_none_or(|group| metadata.gid() == group);
        Ok(group && metadata.mode() & 0o7777 == self.area.modes().1)
    }

    /// The CRL at this path in it, where there is one that may be ours.
    ///
    /// # Errors
    /// Where something else is there, or the system does not let it be read.
    pub fn crl(&self, path: &str) -> Result<Option<Vec<u8>>, TargetError> {
        self.read(path, LONGEST_CRL)
    }

    fn read(&self, path: &str, longest: u64) -> Result<Option<Vec<u8>>, TargetError> {
        let (below, name) = split(path);
        let Some(directory) = self.ground.directory() else {
            return Ok(None);
        };
        match enter(directory, below)? {
            Some(directory) => Ok(directory.read(name, longest)?),
            None => Ok(None),
        }
    }

    /// The manifest that is there, where it can be read.
    ///
    /// # Errors
    /// Where there is one and the system does not let it be read.
    pub fn manifest(&self) -> Result<Option<Manifest>, TargetError> {
        let statement = self.statement()?;
        Ok(statement.and_then(|(text, _)| serde_json::from_slice(&text).ok()))
    }

    /// The octets of the manifest in both forms, where both are there.
    ///
    /// # Errors
    /// Where the system does not let them be read.
    pub fn statement(&self) -> Result<Option<BothForms>, TargetError> {
        self.signed(Manifest::JSON, Manifest::JWS)
    }

    /// The octets of the pin sets in both forms, where both are there.
    ///
    /// # Errors
    /// Where the system does not let them be read.
    pub fn pins(&self) -> Result<Option<BothForms>, TargetError> {
        self.signed(Pins::JSON, Pins::JWS)
    }

    fn signed(&self, json: &str, jws: &str) -> Result<Option<BothForms>, TargetError> {
        let json = self.read(json, LONGEST_MANIFEST)?;
        let statement = json.zip(self.read(jws, LONGEST_MANIFEST)?);
        Ok(statement.filter(|(text, jws)| signs(&self.signer, jws, text)))
    }

    /// What servers are told to accept, where the place has a later list than the one that the ledger knows of.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn told_since(&self, number: u64) -> Result<Vec<Told>, TargetError> {
        let manifest = self.manifest()?.filter(|manifest| manifest.number > number);
        let Some(listed) = manifest.and_then(|mut manifest| manifest.files.remove(DEVICES)) else {
            return Ok(Vec::new());
        };
        let list = self.read(DEVICES, listed.size.min(LONGEST_LIST))?;
        let signed = list.filter(|octets| HEXLOWER.encode(&Sha256::digest(octets)) == listed.sha256);
        Ok(signed
            .and_then(|octets| accepted::read(&octets))
            .unwrap_or_default())
    }

    /// Makes sure that what is there of it can be written, without changing anything.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn demand_writable(&self) -> Result<(), TargetError> {
        let lowest = self.ground.lowest();
        lowest.demand_writable()?;
        for below in ["crl", "ca", "pins"] {
            if let Some(directory) = self
                .ground
                .directory()
                .map(|d| d.below(below))
                .transpose()?
                .flatten()
            {
                directory.demand_writable()?;
            }
        }
        Ok(())
    }

    /// What lies in the directory and is no part of the publication that its manifest describes.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn strays(&self) -> Result<Vec<Stray>, TargetError> {
        let (Some(directory), Some(manifest)) = (self.ground.directory(), self.manifest()?) else {
            return Ok(Vec::new());
        };
        let mut known: BTreeSet<PathBuf> = [Manifest::JSON, Manifest::JWS].map(PathBuf::from).into();
        known.extend(manifest.files.keys().map(PathBuf::from));
        Ok(stray::find(directory, &self.path, &known)?)
    }

    /// Writes the files that differ from what is there, in their order, and then the manifest in both forms. Every file is
    /// written and synced before the first is put in place.
    ///
    /// # Errors
    /// Where one cannot be written; before the first is in place nothing has changed.
    pub fn write(&self, files: &[File], manifest: &[u8], jws: &[u8]) -> Result<(), TargetError> {
        // Both halves may lie in one that is made above it, and a web server must get through to the public one.
        let directory = self.ground.ensure(Area::Public.modes().0, self.area.modes().0)?;
        let mut directories = BTreeMap::from([("", directory)]);
        for (below, _) in files.iter().map(|file| split(file.path)) {
            if !directories.contains_key(below) {
                let made = directories[""].ensure_below(below, self.area.modes().0)?;
                directories.insert(below, made);
            }
        }
        let manifests = [(Manifest::JSON, manifest), (Manifest::JWS, jws)];
        let names = files.iter().map(|file| file.path);
        let names: Vec<_> = names.chain(manifests.map(|(name, _)| name)).map(split).collect();
        for (below, directory) in &directories {
            if let Some(group) = self.group
                && directory.group()? != group
            {
                directory.set_group(group)?;
            }
            let here = names.iter().filter(|(directory, _)| directory == below);
            directory.sweep(&here.map(|(_, name)| *name).collect::<Vec<_>>())?;
        }
        let mut staged = Vec::new();
        for file in files {
            let (below, name) = split(file.path);
            if !self.holds_file(&directories[below], name, file)? {
                staged.push(self.stage(&directories[below], name, file.body.pieces())?);
            }
        }
        for (name, octets) in manifests {
            staged.push(self.stage(&directories[""], name, [octets])?);
        }
        staged.iter().try_for_each(Staged::sync)?;
        staged.into_iter().try_for_each(Staged::replace)?;
        directories.values().try_for_each(Directory::sync)?;
        Ok(())
    }

    fn stage(
        &self,
        directory: &Directory,
        name: &str,
        pieces: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Staged, TargetError> {
        let staged = directory.stage(name, self.area.modes().1, pieces)?;
        if let Some(group) = self.group {
            staged.set_group(group)?;
        }
        Ok(staged)
    }
}

/// The directory in an area in which a file is, or nothing where that is the area's own, and its name there.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The directory of an area that [`split`] names, if it is there.
fn enter(directory: &Directory, below: &str) -> Result<Option<Directory>, DiskError> {
    if below.is_empty() {
        Ok(Some(directory.clone()))
    } else {
        directory.below(below)
    }
}

/// SHA-256 of what a reader gives. Reads piece by piece: a long file is not held as a whole.
fn sha256(mut reader: impl Read) -> io::Result<[u8; 32]> {
    const PIECE: u64 = 1 << 16;
    let mut hash = Sha256::new();
    let mut piece = Vec::new();
    while reader.by_ref().take(PIECE).read_to_end(&mut piece)? > 0 {
        hash.update(&piece);
        piece.clear();
    }
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::super::file::Body;
    use super::*;
    use crate::key::SoftwareKey;

    fn destination(path: &Path) -> Destination {
        let signer = SoftwareKey::generate(&mut crate::key::os_rng())
            .public_key()
            .clone();
        Destination::open(Area::Public, path.to_owned(), None, signer).unwrap()
    }

    #[test]
    fn a_file_is_held_where_each_octet_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let destination = destination(directory.path());
        let octets = vec![7; 200_000];
        let file = File::new("file", Body::of(octets.clone()));
        let held = || {
            let directory = destination.ground.directory().unwrap();
            destination.holds_file(directory, "file", &file).unwrap()
        };
        assert!(!held());
        destination
            .write(std::slice::from_ref(&file), b"{}", b"")
            .unwrap();
        let mut one_changed = octets.clone();
        one_changed[150_000] = 8;
        for (there, is_held) in [(&octets[..], true), (&octets[1..], false), (&one_changed, false)] {
            fs::write(directory.path().join("file"), there).unwrap();
            assert_eq!(held(), is_held);
        }
    }
}
