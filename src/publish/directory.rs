//! Writes a publication to a directory, and reads it back: each file is replaced atomically, in order, the
//! manifest last.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::accepted::REVOKED;
use super::error::TargetError;
use super::file::File;
use super::hashes::Hashes;
use super::manifest::{Area, LONGEST_MANIFEST, Manifest};
use super::stray::{self, Stray};
use crate::disk::{self, Directory, DiskError, Ground, Spot, Staged};

/// How many directories of a place are made where they are missing: `pki/public` in `/etc/nginx`. Where more
/// is missing the rest is not what was meant, mostly because it is not mounted.
const NEW: usize = 2;

/// A directory that an area is written to.
#[derive(Debug)]
pub struct Folder {
    area: Area,
    /// The path that the operator gave.
    path: PathBuf,
    /// The group that may read it, by its number.
    group: Option<u32>,
    /// The directory itself: the path must not lead to another one meanwhile.
    spot: Spot,
    hashes: Hashes,
}

impl Folder {
    /// Looks for the directory, or the one in which it will be made.
    ///
    /// # Errors
    /// Where neither is there, or it cannot be opened.
    pub fn open(area: Area, path: PathBuf, group: Option<u32>, hashes: &Hashes) -> Result<Self, TargetError> {
        let spot = Ground::find(&path, NEW)?.spot().clone();
        Ok(Self {
            area,
            path,
            group,
            spot,
            hashes: hashes.clone(),
        })
    }

    /// The identity of the directory.
    pub fn spot(&self) -> &Spot {
        &self.spot
    }

    /// Opens it, for one thing that is done in it: there may be more places than a process may hold open. All
    /// that happens in it goes by this handle, for it may belong to a web server's account, and pki is
    /// perhaps root.
    fn ground(&self) -> Result<Ground, DiskError> {
        let ground = Ground::find(&self.path, NEW)?;
        if ground.spot().continues(&self.spot) {
            return Ok(ground);
        }
        let why = "something else was put in its place a moment ago";
        Err(disk::failed("opened", &self.path)(io::Error::other(why)))
    }

    /// The directory in which the file at this path is, where that is there, and the file's name in it.
    fn directory_of<'p>(&self, path: &'p str) -> Result<Option<(Directory, &'p str)>, TargetError> {
        let (below, name) = split(path);
        let ground = self.ground()?;
        let Some(directory) = ground.directory() else {
            return Ok(None);
        };
        Ok(enter(directory, below)?.map(|directory| (directory, name)))
    }

    /// Whether it holds these files, open to whom they are for and to nobody else, and so the manifest.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn holds(&self, files: &[File]) -> Result<bool, TargetError> {
        let ground = self.ground()?;
        let Some(directory) = ground.directory() else {
            return Ok(false);
        };
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

    /// Whether the file of this name is this one, open to its readers.
    fn holds_file(&self, directory: &Directory, name: &str, file: &File) -> Result<bool, TargetError> {
        let Some(there) = directory.file(name)? else {
            return Ok(false);
        };
        let path = self.path.join(file.path);
        Ok(self.is_open_to_its_readers(&there, &path)?
            && self.is_content(there, file.size, file.sha256, &path)?)
    }

    /// Whether a file has the mode of the area and the group that was configured, perhaps after it was
    /// written.
    fn is_open_to_its_readers(&self, file: &fs::File, path: &Path) -> Result<bool, DiskError> {
        let metadata = file.metadata().map_err(disk::failed("examined", path))?;
        let group = self.group.is_none_or(|group| metadata.gid() == group);
        Ok(group && metadata.mode() & 0o7777 == self.area.modes().1)
    }

    /// Whether a file has so many octets and this SHA-256. Another length tells without reading.
    fn is_content(&self, file: fs::File, size: u64, hash: [u8; 32], path: &Path) -> Result<bool, DiskError> {
        let failed = |deed| disk::failed(deed, path);
        Ok(file.metadata().map_err(failed("examined"))?.len() == size
            // It may grow while it is read.
            && self.hashes.sha256(file, size).map_err(failed("read"))? == hash)
    }

    /// Whether the file at this path has so many octets and this SHA-256.
    ///
    /// # Errors
    /// Where something else is there, or the system does not let it be read.
    pub fn has(&self, path: &str, size: u64, hash: [u8; 32]) -> Result<bool, TargetError> {
        let Some((directory, name)) = self.directory_of(path)? else {
            return Ok(false);
        };
        let Some(there) = directory.file(name)? else {
            return Ok(false);
        };
        Ok(self.is_content(there, size, hash, &self.path.join(path))?)
    }

    /// Whether this file is there, open to its readers and to nobody else: it need not be written.
    ///
    /// # Errors
    /// Where something else is there, or the system does not let it be read.
    pub fn holds_one(&self, file: &File) -> Result<bool, TargetError> {
        match self.directory_of(file.path)? {
            Some((directory, name)) => self.holds_file(&directory, name, file),
            None => Ok(false),
        }
    }

    /// Whether there is a file at this path, whatever is in it.
    ///
    /// # Errors
    /// Where something else is there, or the system does not let it be opened.
    pub fn is_there(&self, path: &str) -> Result<bool, TargetError> {
        match self.directory_of(path)? {
            Some((directory, name)) => Ok(directory.file(name)?.is_some()),
            None => Ok(false),
        }
    }

    /// Reads the file at this path, if there is one and it has at most `longest` octets.
    ///
    /// # Errors
    /// Where something else is there, or the system does not let it be read.
    pub fn read(&self, path: &str, longest: u64) -> Result<Option<Vec<u8>>, TargetError> {
        match self.directory_of(path)? {
            Some((directory, name)) => Ok(directory.read(name, longest)?),
            None => Ok(None),
        }
    }

    /// Makes sure that what is there of it can be written, without changing anything.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn demand_writable(&self) -> Result<(), TargetError> {
        let ground = self.ground()?;
        ground.lowest().demand_writable()?;
        if let Some(group) = self.group {
            ground.lowest().demand_group(group)?;
        }
        for below in ["crl", "ca", "pins"] {
            let directory = ground.directory().map(|directory| directory.below(below));
            if let Some(directory) = directory.transpose()?.flatten() {
                directory.demand_writable()?;
            }
        }
        Ok(())
    }

    /// Finds what is in the directory and is none of the `known` files.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn strays(&self, known: &BTreeSet<PathBuf>) -> Result<Vec<Stray>, TargetError> {
        match self.ground()?.directory() {
            Some(directory) => Ok(stray::find(directory, &self.path, known)?),
            None => Ok(Vec::new()),
        }
    }

    /// Writes the files that differ from what is there, in their order, and then the manifest in both forms.
    /// Every file is written and synced before the first is put in place. Where there is no room for all of
    /// them, those that lock out go in alone: less is accepted then, never more.
    ///
    /// # Errors
    /// Where one cannot be written: no other published file is replaced then, but directories may have been
    /// made.
    pub fn write(
        &self,
        files: &[File],
        manifest: &[u8],
        jws: &[u8],
        seen: Option<&[u8]>,
    ) -> Result<(), TargetError> {
        // Both halves may lie in one that is made above it, and a web server must get through to the public
        // one.
        let directory = self
            .ground()?
            .ensure(Area::Public.modes().0, self.area.modes().0)?;
        // Another home, or a copy of this one, may publish there: nothing is written in the place of what was
        // not looked at.
        lock(&directory);
        if directory.read(Manifest::JWS, LONGEST_MANIFEST)?.as_deref() != seen {
            return Err(TargetError::Rival);
        }
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
        let staged = self.stage_all(&directories, files, manifests).inspect_err(|_| {
            let locking_out = files.iter().filter(|file| locks_out(file));
            // What fails here, too, is told by the first error.
            let _ = self.put_each(&directories, locking_out);
        })?;
        staged.into_iter().try_for_each(Staged::replace)?;
        directories.values().try_for_each(Directory::sync)?;
        Ok(())
    }

    /// Writes and syncs all that differs from what is there, and puts nothing in place.
    fn stage_all(
        &self,
        directories: &BTreeMap<&str, Directory>,
        files: &[File],
        manifests: [(&str, &[u8]); 2],
    ) -> Result<Vec<Staged>, TargetError> {
        let mut staged = Vec::new();
        for file in files {
            staged.extend(self.stage_file(directories, file)?);
        }
        for (name, octets) in manifests {
            staged.push(self.stage(&directories[""], name, [octets])?);
        }
        staged.iter().try_for_each(Staged::sync)?;
        Ok(staged)
    }

    /// Puts these files in place one by one.
    fn put_each<'f>(
        &self,
        directories: &BTreeMap<&str, Directory>,
        files: impl Iterator<Item = &'f File>,
    ) -> Result<(), TargetError> {
        for file in files {
            if let Some(staged) = self.stage_file(directories, file)? {
                staged.sync()?;
                staged.replace()?;
            }
        }
        Ok(directories.values().try_for_each(Directory::sync)?)
    }

    /// Writes a file beside its place, unless it is there already.
    fn stage_file(
        &self,
        directories: &BTreeMap<&str, Directory>,
        file: &File,
    ) -> Result<Option<Staged>, TargetError> {
        let (below, name) = split(file.path);
        let directory = &directories[below];
        if self.holds_file(directory, name, file)? {
            return Ok(None);
        }
        self.stage(directory, name, file.body()?.pieces()).map(Some)
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

/// Whether servers that have this file accept fewer certificates than before, and never more.
fn locks_out(file: &File) -> bool {
    file.path == REVOKED || file.path.starts_with("crl/")
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

/// Keeps other publishers out of a directory as long as its handle is open. Whoever may look into it could
/// hold the lock for ever, and a file system may know none: what stands there is looked at all the same.
fn lock(directory: &Directory) {
    const PATIENCE: Duration = Duration::from_secs(2);
    let begun = Instant::now();
    while matches!(directory.try_lock(), Ok(false)) && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::Body;
    use super::*;
    use crate::model::Time;

    #[test]
    fn a_file_is_held_where_each_octet_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let unknown = Hashes::unknown(Time::from_unix(0));
        let folder = Folder::open(Area::Public, directory.path().to_owned(), None, &unknown).unwrap();
        let octets = vec![7; 200_000];
        let file = File::new("file", Body::of(octets.clone()));
        let held = || {
            let ground = folder.ground().unwrap();
            folder
                .holds_file(ground.directory().unwrap(), "file", &file)
                .unwrap()
        };
        assert!(!held());
        let write = |seen: Option<&[u8]>| folder.write(std::slice::from_ref(&file), b"{}", b"jws", seen);
        assert!(matches!(write(Some(b"another")), Err(TargetError::Rival)));
        write(None).unwrap();
        assert!(matches!(write(None), Err(TargetError::Rival)));
        write(Some(b"jws")).unwrap();
        let mut one_changed = octets.clone();
        one_changed[150_000] = 8;
        for (there, is_held) in [(&octets[..], true), (&octets[1..], false), (&one_changed, false)] {
            fs::write(directory.path().join("file"), there).unwrap();
            assert_eq!(held(), is_held);
        }
    }
}
