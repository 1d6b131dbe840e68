//! A publication in a directory: each file replaced atomically, in order, the manifest last.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use super::file::File;
use super::manifest::{Area, Manifest};
use crate::disk::{self, DiskError, Staged};
use crate::key::PublicKey;

/// `manifest.json` and `manifest.jws`, their octets.
pub type Statement = (Vec<u8>, Vec<u8>);

/// Where an area is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Which half.
    pub area: Area,
    /// The directory that will hold its files.
    pub directory: PathBuf,
    /// The group that may read it, by its number.
    pub group: Option<u32>,
    /// Whose signature its manifest bears.
    pub signer: PublicKey,
}

/// Why an area did not reach its directory.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A file could not be written. Those before it are in place, and each is whole.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Destination {
    /// Whether it holds exactly these files, and a manifest of them, open to whom they are for and to nobody else.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn holds(&self, files: &[File]) -> Result<bool, TargetError> {
        if !self
            .manifest()?
            .is_some_and(|manifest| manifest.files == Manifest::list(files))
        {
            return Ok(false);
        }
        for file in files {
            if !self.holds_file(file)? {
                return Ok(false);
            }
        }
        for name in [Manifest::JSON, Manifest::JWS] {
            if !self.is_open_to_its_readers(&self.directory.join(name))? {
                return Ok(false);
            }
        }
        Ok(self
            .group
            .is_none_or(|group| disk::group(&self.directory).is_ok_and(|own| own == group)))
    }

    fn holds_file(&self, file: &File) -> Result<bool, TargetError> {
        let place = self.directory.join(file.path);
        Ok(holds_file(&place, file)? && self.is_open_to_its_readers(&place)?)
    }

    /// Whether a file has the mode of the area and the group that was configured, perhaps after it was written.
    fn is_open_to_its_readers(&self, place: &Path) -> Result<bool, DiskError> {
        let group = match self.group {
            Some(group) => disk::group(place)? == group,
            None => true,
        };
        Ok(group && disk::mode(place)? == self.area.modes().1)
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
    pub fn statement(&self) -> Result<Option<Statement>, TargetError> {
        let json = disk::read_if_there(&self.directory.join(Manifest::JSON))?;
        let statement = json.zip(disk::read_if_there(&self.directory.join(Manifest::JWS))?);
        Ok(statement.filter(|(text, jws)| signs(&self.signer, jws, text)))
    }

    /// What lies in the directory and is no part of the publication that its manifest describes.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn strays(&self) -> Result<Vec<PathBuf>, TargetError> {
        let Some(manifest) = self.manifest()? else {
            return Ok(Vec::new());
        };
        let mut known: HashSet<PathBuf> = [Manifest::JSON, Manifest::JWS].map(PathBuf::from).into();
        known.extend(manifest.files.keys().map(PathBuf::from));
        let mut strays = Vec::new();
        let mut waiting = vec![PathBuf::new()];
        while let Some(below) = waiting.pop() {
            let directory = self.directory.join(&below);
            for entry in std::fs::read_dir(&directory).map_err(disk::failed("read", &directory))? {
                let entry = entry.map_err(disk::failed("read", &directory))?;
                let path = below.join(entry.file_name());
                let is_ours = known.iter().any(|file| file.starts_with(&path));
                if is_ours && entry.path().is_dir() {
                    waiting.push(path);
                } else if !is_ours && !disk::is_staged(&entry.file_name()) {
                    strays.push(self.directory.join(path));
                }
            }
        }
        strays.sort_unstable();
        Ok(strays)
    }

    /// Writes the files that differ from what is there, in their order, and then the manifest in both forms. Every file is
    /// written and synced before the first is put in place.
    ///
    /// # Errors
    /// Where one cannot be written; before the first is in place nothing has changed.
    pub fn write(&self, files: &[File], manifest: &[u8], jws: &[u8]) -> Result<(), TargetError> {
        self.ensure(&self.directory)?;
        let mut staged = Vec::new();
        let mut directories = vec![self.directory.clone()];
        for file in files {
            let place = self.directory.join(file.path);
            if let Some(directory) = place.parent().filter(|d| !directories.contains(&d.to_path_buf())) {
                self.ensure(directory)?;
                directories.push(directory.to_owned());
            }
            if self.holds_file(file)? {
                continue;
            }
            staged.push(self.stage(&place, file.body.pieces())?);
        }
        for (name, octets) in [(Manifest::JSON, manifest), (Manifest::JWS, jws)] {
            staged.push(self.stage(&self.directory.join(name), [octets])?);
        }
        disk::sync_many(&self.directory, &staged)?;
        for file in staged {
            file.replace()?;
        }
        directories
            .iter()
            .try_for_each(|directory| disk::sync_directory(directory))?;
        Ok(())
    }

    /// Makes a directory of the area where it is missing, open to those who may read its files.
    fn ensure(&self, directory: &Path) -> Result<(), TargetError> {
        if directory.is_dir() {
            return match self.group {
                Some(group) if disk::group(directory)? != group => Ok(disk::set_group(directory, group)?),
                Some(_) | None => Ok(()),
            };
        }
        if let Some(above) = directory.parent() {
            // Both halves may lie in it, and a web server must get through to the public one.
            disk::ensure_directory(above, Area::Public.modes().0)?;
        }
        disk::ensure_directory(directory, self.area.modes().0)?;
        if let Some(group) = self.group {
            disk::set_group(directory, group)?;
        }
        Ok(())
    }

    fn stage(
        &self,
        place: &Path,
        pieces: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Staged, TargetError> {
        disk::sweep(place)?;
        let staged = Staged::write(place, self.area.modes().1, pieces)?;
        if let Some(group) = self.group {
            staged.set_group(group)?;
        }
        Ok(staged)
    }
}

/// Whether the file at `place` is this one. Another length tells without reading.
fn holds_file(place: &Path, file: &File) -> Result<bool, DiskError> {
    let there = match disk::open_regular(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(disk::failed("read", place))?,
    };
    let length = there.metadata().map_err(disk::failed("examined", place))?.len();
    Ok(length == file.size && sha256(there).map_err(disk::failed("read", place))? == file.sha256)
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

/// Whether this JWS says exactly that, and is signed: whoever may write to a directory cannot speak for the CA.
fn signs(signer: &PublicKey, jws: &[u8], payload: &[u8]) -> bool {
    let Some(dot) = jws.iter().rposition(|octet| *octet == b'.') else {
        return false;
    };
    let (signed, signature) = (&jws[..dot], &jws[dot + 1..]);
    let middle = signed.split(|octet| *octet == b'.').nth(1).unwrap_or_default();
    BASE64URL_NOPAD.decode(middle).is_ok_and(|said| said == payload)
        && BASE64URL_NOPAD
            .decode(signature)
            .is_ok_and(|signature| signer.verifies_es256(signed, &signature))
}

#[cfg(test)]
mod tests {
    use super::super::file::Body;
    use super::*;

    #[test]
    fn a_file_is_held_where_each_octet_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("file");
        let octets = vec![7; 200_000];
        let file = File::new("file", Body::of(octets.clone()));
        assert!(!holds_file(&place, &file).unwrap());
        let mut one_changed = octets.clone();
        one_changed[150_000] = 8;
        for (there, held) in [(&octets[..], true), (&octets[1..], false), (&one_changed, false)] {
            std::fs::write(&place, there).unwrap();
            assert_eq!(holds_file(&place, &file).unwrap(), held);
        }
    }
}
