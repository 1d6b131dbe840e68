//! Operations on directories that replace each other: each is written whole under a name of its own, and a
//! link is moved from one to the next.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::directory::{Directory, Kind};
use super::{DiskError, PRIVATE_FILE, failed, random_name};

impl Directory {
    /// Takes its lock (flock), if nobody has it. It is given back when the last handle of it is dropped, or
    /// when its holder dies.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn try_lock(&self) -> Result<bool, DiskError> {
        match rustix::fs::flock(&*self.handle, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(failed("locked", &self.path)(errno.into())),
        }
    }

    /// Whether the directory of this name in this one is `other`.
    pub fn has(&self, name: &OsStr, other: &Self) -> bool {
        let itself = rustix::fs::fstat(&*other.handle);
        let named = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW);
        let both = named.ok().zip(itself.ok());
        both.is_some_and(|(named, itself)| (named.st_dev, named.st_ino) == (itself.st_dev, itself.st_ino))
    }

    /// Makes sure that the directory belongs to this account, and that nobody else can change it.
    ///
    /// # Errors
    /// Where it is not so.
    pub fn demand_own(&self) -> Result<(), DiskError> {
        let metadata = self.handle.metadata().map_err(failed("examined", &self.path))?;
        let me = rustix::process::geteuid().as_raw();
        let why = if metadata.uid() != me {
            let [owner, me] = [metadata.uid(), me].map(super::account_name);
            format!("it belongs to {owner}, and this is {me}")
        } else if metadata.mode() & 0o022 != 0 {
            format!("others may change it (mode {:04o})", metadata.mode() & 0o7777)
        } else {
            return Ok(());
        };
        Err(failed("used", &self.path)(io::Error::other(why)))
    }

    /// Sets the mode of the directory.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn set_mode(&self, mode: u32) -> Result<(), DiskError> {
        let given = self.handle.set_permissions(fs::Permissions::from_mode(mode));
        given.map_err(failed("given its mode", &self.path))
    }

    /// Makes a new file of this name in it, private so far.
    ///
    /// # Errors
    /// Where something has the name, or the system refuses.
    pub fn create(&self, name: &str) -> Result<File, DiskError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.handle, name, flags, Mode::from_raw_mode(PRIVATE_FILE));
        file.map(File::from)
            .map_err(|errno| self.refused("created", OsStr::new(name), errno))
    }

    /// Gives the file of this name in another directory the same name in this one as well.
    ///
    /// # Errors
    /// Where the system refuses; some file systems do not have that.
    pub fn share(&self, name: &str, other: &Self) -> Result<(), DiskError> {
        rustix::fs::linkat(&other.handle, name, &self.handle, name, AtFlags::empty())
            .map_err(|errno| self.refused("linked", OsStr::new(name), errno))
    }

    /// The target of the link of this name, if there is one; [`Self::kind`] tells what else may have the
    /// name.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn leads_to(&self, name: &OsStr) -> Result<Option<PathBuf>, DiskError> {
        match rustix::fs::readlinkat(&self.handle, name, Vec::new()) {
            Ok(target) => Ok(Some(PathBuf::from(OsStr::from_bytes(target.as_bytes())))),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(errno) => Err(failed("read", &self.path.join(name))(errno.into())),
        }
    }

    /// Makes the link of this name point to `target`, in one step: also over another link, or an empty
    /// directory.
    ///
    /// # Errors
    /// Where something else has the name, or the system refuses.
    pub fn lead(&self, name: &OsStr, target: &OsStr) -> Result<(), DiskError> {
        let path = self.path.join(name);
        let random = random_name().map_err(failed("named", &path))?;
        let beside = format!(".{}.{random}.tmp", name.to_string_lossy());
        rustix::fs::symlinkat(target, &self.handle, beside.as_str())
            .map_err(|errno| self.refused("created", OsStr::new(&beside), errno))?;
        let empty = match self.kind(name) {
            Some(Kind::Directory) => rustix::fs::unlinkat(&self.handle, name, AtFlags::REMOVEDIR),
            Some(Kind::Link | Kind::Other) | None => Ok(()),
        };
        let moved =
            empty.and_then(|()| rustix::fs::renameat(&self.handle, beside.as_str(), &self.handle, name));
        moved.map_err(|errno| {
            let _ = rustix::fs::unlinkat(&self.handle, beside.as_str(), AtFlags::empty());
            failed("put in place", &path)(errno.into())
        })?;
        self.sync()
    }

    /// Removes the directory of this name, which must be empty.
    ///
    /// # Errors
    /// Where it is not empty, or the system refuses.
    pub fn remove_empty(&self, name: &OsStr) -> Result<(), DiskError> {
        rustix::fs::unlinkat(&self.handle, name, AtFlags::REMOVEDIR)
            .map_err(|errno| failed("removed", &self.path.join(name))(errno.into()))
    }

    /// Removes the directory of this name and all that is in it.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn remove_below(&self, name: &OsStr) -> Result<(), DiskError> {
        let Some(directory) = self.below(name)? else {
            return Ok(());
        };
        for inner in directory.names()?.collect::<Vec<_>>() {
            match directory.kind(&inner) {
                Some(Kind::Directory) => directory.remove_below(&inner)?,
                Some(Kind::Link | Kind::Other) | None => {
                    rustix::fs::unlinkat(&directory.handle, &inner, AtFlags::empty())
                        .map_err(|errno| failed("removed", &directory.path.join(&inner))(errno.into()))?;
                }
            }
        }
        self.remove_empty(name)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;
    use crate::disk::Ground;

    fn found(path: &Path) -> Directory {
        Ground::find(path, 0).unwrap().directory().unwrap().clone()
    }

    #[test]
    fn a_link_moves_over_a_link_or_an_empty_directory_and_over_nothing_else() {
        let top = tempfile::tempdir().unwrap();
        let here = found(top.path());
        for version in ["one", "two"] {
            fs::create_dir(top.path().join(version)).unwrap();
        }
        fs::create_dir(top.path().join("out")).unwrap();
        for version in ["one", "two"] {
            here.lead(OsStr::new("out"), OsStr::new(version)).unwrap();
            assert_eq!(
                here.leads_to(OsStr::new("out")).unwrap().unwrap(),
                Path::new(version)
            );
        }
        fs::create_dir_all(top.path().join("full/inner")).unwrap();
        assert!(here.lead(OsStr::new("full"), OsStr::new("one")).is_err());
        assert!(top.path().join("full/inner").is_dir());
        assert_eq!(
            fs::read_dir(top.path()).unwrap().count(),
            4,
            "nothing is left beside"
        );
    }

    #[test]
    fn what_is_removed_is_removed_without_following_links() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("version/crl")).unwrap();
        fs::create_dir(top.path().join("elsewhere")).unwrap();
        fs::write(top.path().join("elsewhere/file"), "x").unwrap();
        fs::write(top.path().join("version/crl/file"), "x").unwrap();
        symlink("../../elsewhere", top.path().join("version/crl/link")).unwrap();
        let here = found(top.path());
        here.remove_below(OsStr::new("version")).unwrap();
        assert!(!top.path().join("version").exists() && top.path().join("elsewhere/file").exists());
    }

    #[test]
    fn two_handles_of_one_directory_do_not_both_have_its_lock() {
        let top = tempfile::tempdir().unwrap();
        let [one, other] = [found(top.path()), found(top.path())];
        assert!(one.try_lock().unwrap() && !other.try_lock().unwrap());
        drop(one);
        assert!(other.try_lock().unwrap());
    }
}
