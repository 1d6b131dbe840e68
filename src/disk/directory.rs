//! Directories that are held open and used by their handles, for places where another account may write, too:
//! whoever exchanges names there cannot redirect what this program does elsewhere, and no link in them is
//! followed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::account::{TO_GROUP, is_member};
use super::{DiskError, PRIVATE_DIRECTORY, Staged, failed, staged_for};

/// A directory that is held open: operations on it happen in that directory, wherever its path leads by now.
#[derive(Debug, Clone)]
pub struct Directory {
    pub(super) handle: Arc<File>,
    /// Its path when it was opened, for messages.
    pub(super) path: PathBuf,
}

/// The location of a directory that may not exist yet: the lowest existing directory on the way to it, and
/// the names below that are missing.
#[derive(Debug)]
pub struct Ground {
    directory: Directory,
    spot: Spot,
}

/// The identity of a directory that may not exist yet, whatever path it was found by, and without holding it
/// open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The lowest existing directory on the way to it, and those above that, up to the root.
    lineage: Vec<Identity>,
    /// The names below that are missing.
    missing: Vec<OsString>,
}

/// Device and inode: what a directory is, by whatever path.
type Identity = (u64, u64);

/// The kinds of entries in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A file, or something stranger.
    Other,
}

impl Ground {
    /// Looks for a directory by its path, of which at most the last `new` names may be missing.
    ///
    /// Links on the way are followed where they are root's or this account's own. Another account's, in a
    /// directory that is its own, could lead what we write into any directory that it may not write to
    /// itself.
    ///
    /// # Errors
    /// Where more is missing, another account's link is on the way, or the system refuses.
    pub fn find(path: &Path, new: usize) -> Result<Self, DiskError> {
        /// As many as Linux follows.
        const MOST_LINKS: usize = 40;
        let path = std::path::absolute(path).map_err(failed("located", path))?;
        let refused = |errno: Errno| failed("opened", &path)(errno.into());
        let root = || step(CWD, OsStr::new("/"));
        let mut here = root().map_err(refused)?;
        let mut way = PathBuf::from("/");
        let mut ahead = steps(&path);
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            match step(&here, &name) {
                Ok(next) => {
                    here = next;
                    way.push(name);
                }
                Err(Errno::NOENT) => {
                    ahead.push(name);
                    if ahead.len() > new || ahead.iter().any(|name| name == "..") {
                        let needed = path.ancestors().nth(new).unwrap_or(&path).display();
                        let why = format!("{needed} does not exist (is it not mounted?)");
                        return Err(failed("opened", &path)(io::Error::new(
                            io::ErrorKind::NotFound,
                            why,
                        )));
                    }
                    break;
                }
                Err(errno @ (Errno::NOTDIR | Errno::LOOP | Errno::MLINK)) => {
                    links += 1;
                    let target = match link(&here, &name).map_err(refused)? {
                        Some(_) if links > MOST_LINKS => return Err(refused(Errno::LOOP)),
                        Some((owner, target)) if is_trusted(owner) => target,
                        Some((owner, _)) => {
                            let whose = super::account_name(owner);
                            let why = format!(
                                "a link on the way is {whose}'s, and only root's and your own are followed"
                            );
                            return Err(failed("opened", &path)(io::Error::other(why)));
                        }
                        None => return Err(refused(errno)),
                    };
                    if target.is_absolute() {
                        here = root().map_err(refused)?;
                        way = PathBuf::from("/");
                    }
                    ahead.extend(steps(&target));
                }
                Err(errno) => return Err(refused(errno)),
            }
        }
        ahead.reverse();
        // By a handle that only leads through a directory nothing can be read or synced.
        let here = rustix::fs::openat(&here, ".", DIRECTORY, Mode::empty()).map_err(refused)?;
        let directory = Directory {
            handle: Arc::new(here.into()),
            path: way,
        };
        let spot = Spot {
            lineage: directory.lineage()?,
            missing: ahead,
        };
        Ok(Self { directory, spot })
    }

    /// The lowest existing directory on the way to it.
    pub fn lowest(&self) -> &Directory {
        &self.directory
    }

    /// The directory, if it is there.
    pub fn directory(&self) -> Option<&Directory> {
        self.spot.missing.is_empty().then_some(&self.directory)
    }

    /// Makes what is missing, the directory itself with `mode` and those above it with `above`, and opens it.
    ///
    /// # Errors
    /// Where the system refuses, or something else has the name by now.
    pub fn ensure(&self, above: u32, mode: u32) -> Result<Directory, DiskError> {
        let mut directory = self.directory.clone();
        for (i, name) in self.spot.missing.iter().enumerate() {
            let is_itself = i + 1 == self.spot.missing.len();
            let below = directory.ensure_below(name, if is_itself { mode } else { above })?;
            directory.sync()?;
            directory = below;
        }
        Ok(directory)
    }

    /// The identity of the directory, whatever path it was found by.
    pub fn spot(&self) -> &Spot {
        &self.spot
    }
}

impl Spot {
    /// Whether this directory is the other one, or lies in it.
    pub fn is_within(&self, other: &Self) -> bool {
        let Some(itself) = other.lineage.first() else {
            return false;
        };
        if other.missing.is_empty() {
            self.lineage.contains(itself)
        } else {
            self.lineage.first() == Some(itself) && self.missing.starts_with(&other.missing)
        }
    }

    /// Whether this is the same location as `before`, except that some of the missing directories were made
    /// since.
    pub fn continues(&self, before: &Self) -> bool {
        let made = self.lineage.len().checked_sub(before.lineage.len());
        self.lineage.ends_with(&before.lineage)
            && made.is_some_and(|made| before.missing.get(made..) == Some(&self.missing[..]))
    }
}

impl Directory {
    /// The directory of this name in it, if there is one.
    ///
    /// # Errors
    /// Where something else has the name, or the system refuses.
    pub fn below(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>, DiskError> {
        let name = name.as_ref();
        match rustix::fs::openat(&self.handle, name, DIRECTORY, Mode::empty()) {
            Ok(handle) => Ok(Some(Self {
                handle: Arc::new(handle.into()),
                path: self.path.join(name),
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.refused("opened", name, errno)),
        }
    }

    /// The directory of this name in it, which is made with this mode where it is missing.
    ///
    /// # Errors
    /// Where something else has the name, or the system refuses.
    pub fn ensure_below(&self, name: impl AsRef<OsStr>, mode: u32) -> Result<Self, DiskError> {
        let name = name.as_ref();
        let made = rustix::fs::mkdirat(&self.handle, name, Mode::from_raw_mode(PRIVATE_DIRECTORY));
        if let Err(errno) = made
            && errno != Errno::EXIST
        {
            return Err(self.refused("created", name, errno));
        }
        let below = self.below(name)?;
        let below = below.ok_or_else(|| self.refused("opened", name, Errno::NOENT))?;
        if made.is_ok() {
            let permissions = fs::Permissions::from_mode(mode);
            let given = below.handle.set_permissions(permissions);
            given.map_err(failed("given its mode", &below.path))?;
        }
        Ok(below)
    }

    /// Opens the regular file of this name in it, if there is one. A pipe would keep whoever opens it waiting
    /// for ever.
    ///
    /// # Errors
    /// Where something else has the name, or the system refuses.
    pub fn file(&self, name: impl AsRef<OsStr>) -> Result<Option<File>, DiskError> {
        let name = name.as_ref();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.refused("read", name, errno)),
        };
        let path = self.path.join(name);
        if file.metadata().map_err(failed("examined", &path))?.is_file() {
            Ok(Some(file))
        } else {
            Err(failed("read", &path)(io::Error::other("it is no regular file")))
        }
    }

    /// Reads the file of this name, if there is one and it has at most `max` octets.
    ///
    /// # Errors
    /// Where something else has the name, or the system refuses.
    pub fn read(&self, name: impl AsRef<OsStr>, max: u64) -> Result<Option<Vec<u8>>, DiskError> {
        let path = self.path.join(name.as_ref());
        let Some(file) = self.file(name)? else {
            return Ok(None);
        };
        if file.metadata().map_err(failed("examined", &path))?.len() > max {
            return Ok(None);
        }
        let mut octets = Vec::new();
        // It may grow while it is read.
        file.take(max + 1)
            .read_to_end(&mut octets)
            .map_err(failed("read", &path))?;
        Ok((octets.len() as u64 <= max).then_some(octets))
    }

    /// The names of the entries of the directory.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn names(&self) -> Result<impl Iterator<Item = OsString>, DiskError> {
        let entries =
            Dir::read_from(&self.handle).map_err(|errno| failed("read", &self.path)(errno.into()))?;
        let names = entries.map_while(Result::ok);
        let names = names.map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned());
        Ok(names.filter(|name| name != "." && name != ".."))
    }

    /// The kind of the entry of this name, where there is one and that can be seen.
    pub fn kind(&self, name: impl AsRef<OsStr>) -> Option<Kind> {
        let stat = rustix::fs::statat(&self.handle, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW);
        let file_type = FileType::from_raw_mode(stat.ok()?.st_mode);
        Some(if file_type.is_symlink() {
            Kind::Link
        } else if file_type.is_dir() {
            Kind::Directory
        } else {
            Kind::Other
        })
    }

    /// Writes `pieces` beside where a file of this name will be.
    ///
    /// # Errors
    /// Where the file cannot be made or written.
    pub fn stage(
        &self,
        name: &str,
        mode: u32,
        pieces: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Staged, DiskError> {
        Staged::write_within(Some(self.handle.clone()), &self.path.join(name), mode, pieces)
    }

    /// Removes what writes of these files that were cut off left in it. What cannot be removed stays.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn sweep(&self, names: &[&str]) -> Result<(), DiskError> {
        for found in self.names()? {
            if staged_for(&found).is_some_and(|name| names.contains(&name)) {
                let _ = rustix::fs::unlinkat(&self.handle, &found, AtFlags::empty());
            }
        }
        Ok(())
    }

    /// Makes sure that files can be put into it, by what its owner and mode say.
    ///
    /// # Errors
    /// Where they cannot.
    pub fn demand_writable(&self) -> Result<(), DiskError> {
        use rustix::fs::Access;
        let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::accessat(&self.handle, ".", access, AtFlags::EACCESS)
            .map_err(|errno| failed("written", &self.path)(errno.into()))
    }

    /// The number of the group that owns it.
    ///
    /// # Errors
    /// Where the system cannot tell.
    pub fn group(&self) -> Result<u32, DiskError> {
        let metadata = self.handle.metadata().map_err(failed("examined", &self.path))?;
        Ok(metadata.gid())
    }

    /// Whether it has this mode and, where one is named, this group.
    ///
    /// # Errors
    /// Where the system cannot tell.
    pub fn is_open_to(&self, mode: u32, group: Option<u32>) -> Result<bool, DiskError> {
        let metadata = self.handle.metadata().map_err(failed("examined", &self.path))?;
        Ok(metadata.mode() & 0o7777 == mode && group.is_none_or(|group| metadata.gid() == group))
    }

    /// Makes sure that what is made in it can be of this group: this account is a member, or the directory
    /// hands its group on (setgid).
    ///
    /// # Errors
    /// Where it is neither, or the system cannot tell.
    pub fn demand_group(&self, group: u32) -> Result<(), DiskError> {
        let metadata = self.handle.metadata().map_err(failed("examined", &self.path))?;
        let is_handed_on = metadata.mode() & 0o2000 != 0 && metadata.gid() == group;
        if is_handed_on || is_member(group).map_err(failed("examined", &self.path))? {
            return Ok(());
        }
        let refused = io::Error::from_raw_os_error(nix::libc::EPERM);
        Err(failed(TO_GROUP, &self.path)(refused))
    }

    /// Gives it to a group.
    ///
    /// # Errors
    /// Where the system refuses (the caller is not a member).
    pub fn set_group(&self, group: u32) -> Result<(), DiskError> {
        std::os::unix::fs::fchown(&*self.handle, None, Some(group)).map_err(failed(TO_GROUP, &self.path))
    }

    /// Makes its entries durable.
    ///
    /// # Errors
    /// Where the system cannot.
    pub fn sync(&self) -> Result<(), DiskError> {
        self.handle.sync_all().map_err(failed("synced", &self.path))
    }

    /// What it is and those above it are, up to the root.
    fn lineage(&self) -> Result<Vec<Identity>, DiskError> {
        let refused = |errno: Errno| failed("located", &self.path)(errno.into());
        let mut lineage = Vec::new();
        let mut here = step(&self.handle, OsStr::new(".")).map_err(refused)?;
        loop {
            let metadata = here.metadata().map_err(failed("located", &self.path))?;
            let identity = (metadata.dev(), metadata.ino());
            if lineage.last() == Some(&identity) {
                return Ok(lineage);
            }
            lineage.push(identity);
            here = step(&here, OsStr::new("..")).map_err(refused)?;
        }
    }

    pub(super) fn refused(&self, deed: &'static str, name: &OsStr, errno: Errno) -> DiskError {
        let why = match self.kind(name) {
            Some(Kind::Link) => io::Error::other("it is a link, and none is followed here"),
            Some(Kind::Directory | Kind::Other) | None => errno.into(),
        };
        failed(deed, &self.path.join(name))(why)
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The names on a path, the first one last.
fn steps(path: &Path) -> Vec<OsString> {
    let steps = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    steps.collect()
}

/// Opens a directory on the way to another: one that may not be read may be gone through all the same.
fn step(here: impl AsFd, name: &OsStr) -> rustix::io::Result<File> {
    let here = here.as_fd();
    let opened = rustix::fs::openat(here, name, DIRECTORY, Mode::empty());
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let opened = match opened {
        Err(Errno::ACCESS) => rustix::fs::openat(here, name, DIRECTORY | OFlags::PATH, Mode::empty()),
        opened => opened,
    };
    opened.map(File::from)
}

/// Whether links of this account may lead us.
fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == rustix::process::geteuid().as_raw()
}

/// Whose link this is and where it leads, if it is one: of the same link, whatever has its name by now.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn link(here: &File, name: &OsStr) -> rustix::io::Result<Option<(u32, PathBuf)>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let link = rustix::fs::openat(here, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&link)?;
    if !FileType::from_raw_mode(stat.st_mode).is_symlink() {
        return Ok(None);
    }
    let target = rustix::fs::readlinkat(&link, "", Vec::new())?;
    Ok(Some((
        stat.st_uid,
        PathBuf::from(OsStr::from_bytes(target.as_bytes())),
    )))
}

/// Whose link this is and where it leads, if it is one.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn link(here: &File, name: &OsStr) -> rustix::io::Result<Option<(u32, PathBuf)>> {
    let stat = rustix::fs::statat(here, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if !FileType::from_raw_mode(stat.st_mode).is_symlink() {
        return Ok(None);
    }
    let target = rustix::fs::readlinkat(here, name, Vec::new())?;
    Ok(Some((
        stat.st_uid,
        PathBuf::from(OsStr::from_bytes(target.as_bytes())),
    )))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const MANY: usize = 50;

    fn found(path: &Path) -> Directory {
        Ground::find(path, 0).unwrap().directory().unwrap().clone()
    }

    #[test]
    fn at_most_so_many_directories_are_made() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        let ground = Ground::find(&top.join("a/b"), 2).unwrap();
        assert!(ground.directory().is_none() && !top.join("a").exists());
        ground.ensure(0o755, 0o750).unwrap();
        for (made, mode) in [("a", 0o755), ("a/b", 0o750)] {
            assert_eq!(fs::metadata(top.join(made)).unwrap().mode() & 0o7777, mode);
        }
        let refused = Ground::find(&top.join("c/d/e"), 2).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("{} does not exist", top.join("c").display())),
            "{refused}"
        );
        assert!(Ground::find(&top.join("c/../d"), 2).is_err());
    }

    #[test]
    fn one_directory_by_two_paths_is_one() {
        let top = tempfile::tempdir().unwrap();
        let at = |path: &str| Ground::find(&top.path().join(path), 2).unwrap().spot;
        fs::create_dir_all(top.path().join("a/b")).unwrap();
        symlink("a", top.path().join("link")).unwrap();
        assert!(at("link").is_within(&at("a")) && at("a").is_within(&at("link")));
        assert!(at("link/b").is_within(&at("a")) && !at("a").is_within(&at("link/b")));
        assert!(at("link/new/c").is_within(&at("a/new")) && !at("a/new").is_within(&at("a/other")));
        assert!(!at("new").is_within(&at("a/new")));
    }

    #[test]
    fn what_is_made_of_a_place_leaves_it_the_same_place() {
        let top = tempfile::tempdir().unwrap();
        let at = |path: &str| Ground::find(&top.path().join(path), 2).unwrap();
        let before = at("a/b");
        assert!(at("a/b").spot.continues(&before.spot));
        fs::create_dir(top.path().join("a")).unwrap();
        assert!(at("a/b").spot.continues(&before.spot));
        before.ensure(0o755, 0o755).unwrap();
        assert!(at("a/b").spot.continues(&before.spot));
        assert!(!at("a").spot.continues(&before.spot) && !at("c/d").spot.continues(&before.spot));
        let made = at("a/b").spot;
        fs::rename(top.path().join("a/b"), top.path().join("a/old")).unwrap();
        assert!(!at("a/b").spot.continues(&made));
        fs::create_dir(top.path().join("a/b")).unwrap();
        assert!(!at("a/b").spot.continues(&made));
    }

    #[test]
    fn no_link_in_a_directory_is_followed() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("elsewhere")).unwrap();
        fs::write(top.path().join("elsewhere/file"), "x").unwrap();
        fs::create_dir(top.path().join("here")).unwrap();
        for (name, target) in [("directory", "../elsewhere"), ("file", "../elsewhere/file")] {
            symlink(target, top.path().join("here").join(name)).unwrap();
        }
        let here = found(&top.path().join("here"));
        for refused in [
            here.below("directory").err(),
            here.ensure_below("directory", 0o755).err(),
            here.file("file").err(),
        ] {
            let said = refused.unwrap().to_string();
            assert!(said.contains("it is a link"), "{said}");
        }
        let staged = here.stage("file", 0o644, ["y"]).unwrap();
        staged.replace().unwrap();
        assert_eq!(fs::read(top.path().join("elsewhere/file")).unwrap(), b"x");
        assert_eq!(fs::read(top.path().join("here/file")).unwrap(), b"y");
    }

    #[test]
    fn what_is_done_is_done_in_the_directory_that_was_opened() {
        let top = tempfile::tempdir().unwrap();
        let [here, away, elsewhere] = ["here", "away", "elsewhere"].map(|name| top.path().join(name));
        fs::create_dir(&here).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        let opened = found(&here);
        fs::rename(&here, &away).unwrap();
        symlink(&elsewhere, &here).unwrap();
        opened.ensure_below("below", 0o700).unwrap();
        opened.stage("file", 0o600, ["x"]).unwrap().replace().unwrap();
        assert!(away.join("below").is_dir() && away.join("file").is_file());
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn what_is_longer_than_it_may_be_is_as_if_it_were_not_there() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("file"), "12345").unwrap();
        let here = found(top.path());
        assert_eq!(here.read("file", 5).unwrap().unwrap(), b"12345");
        assert_eq!(here.read("file", 4).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_swept_stands_in_nobodys_way() {
        let top = tempfile::tempdir().unwrap();
        let here = found(top.path());
        // Whatever the order in which a directory is read: one of many files comes after the first that
        // cannot be swept.
        for _ in 0..MANY {
            std::mem::forget(here.stage("a", 0o600, ["x"]).unwrap());
        }
        std::mem::forget(here.stage("b", 0o600, ["x"]).unwrap());
        let stuck: Vec<PathBuf> = (0..MANY)
            .map(|number| top.path().join(format!(".a.{number:012}.tmp")))
            .collect();
        stuck.iter().for_each(|path| fs::create_dir(path).unwrap());
        here.sweep(&["a"]).unwrap();
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), MANY + 1);
        assert!(stuck.iter().all(|path| path.is_dir()));
    }

    #[test]
    fn an_endless_chain_of_links_ends() {
        let top = tempfile::tempdir().unwrap();
        symlink("link", top.path().join("link")).unwrap();
        assert!(Ground::find(&top.path().join("link"), 2).is_err());
    }
}
