//! Staging of a new home beside its final path, and of the root's files on their medium: in the end both are
//! complete, or nothing is left of either.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::ca::CaError;
use crate::disk::{self, Shown, Staged};
use crate::home::config::Config;
use crate::issuer::Root;

/// The root on its medium. Dropped before there is a home, it takes everything away again.
///
/// Its files get their names there after everything else is done and synced, and before the home gets its
/// own, which is the last step. So a home never is without its root's key; and a kill between the two leaves
/// the home in the making, whose certificate of the root proves that the key on the medium has never been a
/// home's. The next try sees that, and takes both away.
pub(in crate::ca) struct Medium {
    directory: PathBuf,
    /// Whether there was no such directory.
    made: bool,
    staged: Vec<Staged>,
    placed: Vec<PathBuf>,
}

/// The root's files on its medium, the key last.
pub(in crate::ca) const ROOT_CERTIFICATE: &str = "root.crt";
pub(in crate::ca) const ROOT_KEY: &str = "root.key";

impl Medium {
    /// Writes the root there beside its places, as early as it can be: a medium that is full or takes no
    /// files is found out first.
    pub fn write(directory: &Path, sealed: &str, root: &Root) -> Result<Self, CaError> {
        let made = !directory.exists();
        disk::ensure_directory(directory, disk::PRIVATE_DIRECTORY)?;
        let mut medium = Self {
            directory: directory.to_owned(),
            made,
            staged: Vec::new(),
            placed: Vec::new(),
        };
        let certificate = root.certificate().pem();
        for (file, text) in [(ROOT_CERTIFICATE, certificate.as_str()), (ROOT_KEY, sealed)] {
            let place = directory.join(file);
            disk::sweep(&place);
            let staged = Staged::write(&place, disk::PRIVATE_FILE, &[text.as_bytes()])?;
            staged.sync()?;
            medium.staged.push(staged);
        }
        Ok(medium)
    }

    /// Gives its files their names, one after the other on disk as well.
    fn place(&mut self) -> Result<(), CaError> {
        for staged in std::mem::take(&mut self.staged) {
            let place = staged.place().to_owned();
            staged.place_new()?;
            self.placed.push(place);
            disk::sync_directory(&self.directory)?;
        }
        Ok(())
    }

    /// Keeps the medium, because there is a home that uses it.
    fn keep(mut self) {
        self.placed.clear();
        self.made = false;
    }

    /// Takes away what a founding that was killed had put on its medium: where the root's certificate there
    /// is the one of this home in the making. Anything else is another's, and left alone.
    fn take_back(making: &Path) {
        let read = |path: &Path| disk::read_if_there(path).ok().flatten();
        let config = read(&making.join("pki.toml"))
            .and_then(|text| Config::parse(std::str::from_utf8(&text).ok()?).ok());
        let key = config
            .map(|config| config.root_key)
            .filter(|key| key.is_absolute());
        let Some((directory, key)) = key.as_ref().and_then(|key| Some((key.parent()?, key))) else {
            return;
        };
        let certificate = directory.join(ROOT_CERTIFICATE);
        let ours = read(&making.join("root/root.crt"));
        if ours.is_none() || ours != read(&certificate) {
            return;
        }
        // The key comes after the certificate. While it is staged still, a key in its place would be somebody
        // else's.
        let unplaced = std::fs::read_dir(directory).is_ok_and(|entries| {
            let mut names = entries.flatten().map(|entry| entry.file_name());
            names.any(|name| disk::staged_for(&name) == Some(ROOT_KEY))
        });
        // The key first: once the certificate is gone, it could not be told any more. What stays is told as
        // in the way.
        if unplaced || !disk::is_taken(key) || std::fs::remove_file(key).is_ok() {
            let _ = std::fs::remove_file(&certificate);
        }
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        self.staged.clear();
        // The key, which came last, first. What cannot be removed is told by the next try as in the way.
        for place in self.placed.iter().rev() {
            let _ = std::fs::remove_file(place);
        }
        if self.made {
            let _ = std::fs::remove_dir(&self.directory);
        }
    }
}

/// What makes a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ca) enum Making {
    /// It is founded: its root may lie on a medium.
    Founding,
    /// It is unpacked from a backup: on a medium is nothing of it.
    Restoring,
}

impl Making {
    /// How the names of such homes in the making end.
    fn ending(self) -> &'static str {
        match self {
            Self::Founding => ".init",
            Self::Restoring => ".restore",
        }
    }
}

/// The home in the making: removed unless it becomes the home. Locked, so that nobody takes it for one that a
/// kill left behind.
pub(in crate::ca) struct Staging {
    pub path: PathBuf,
    done: bool,
    _lock: File,
}

impl Staging {
    pub fn beside(home: &Path, making: Making) -> Result<Self, CaError> {
        let above = home.parent().unwrap_or(Path::new("/"));
        disk::ensure_directory(above, disk::PRIVATE_DIRECTORY)?;
        let random = disk::random_name().map_err(disk::failed("named", above))?;
        Self::sweep(home);
        let path = above.join(format!("{}{random}{}", Self::prefix(home), making.ending()));
        disk::create_private_directory(&path)?;
        let lock = disk::lock(&path)?.ok_or(CaError::Exists(Shown(path.clone())))?;
        Ok(Self {
            path,
            done: false,
            _lock: lock,
        })
    }

    /// How the names of homes in the making begin.
    fn prefix(home: &Path) -> String {
        format!(".{}.", home.file_name().unwrap_or_default().to_string_lossy())
    }

    /// Removes what was in the making here when its process was killed. Its keys have signed nothing that
    /// anybody has seen. What is somebody else's, or cannot be removed, is in nobody's way: no two have the
    /// same name.
    pub fn sweep(home: &Path) {
        let above = home.parent().unwrap_or(Path::new("/"));
        for entry in std::fs::read_dir(above).into_iter().flatten().flatten() {
            let found = entry.file_name().to_string_lossy().into_owned();
            let Some(rest) = found.strip_prefix(&Self::prefix(home)) else {
                continue;
            };
            let path = entry.path();
            for making in [Making::Founding, Making::Restoring] {
                let random = rest.strip_suffix(making.ending());
                if random.is_some_and(disk::is_random_name)
                    && let Some(_lock) = Self::abandoned(&path)
                {
                    if making == Making::Founding {
                        Medium::take_back(&path);
                    }
                    let _ = std::fs::remove_dir_all(&path);
                }
            }
        }
    }

    /// The lock of a directory of this account that nobody is at work in.
    fn abandoned(path: &Path) -> Option<File> {
        let directory = disk::lock(path).ok()??;
        let owner = directory.metadata().ok()?.uid();
        (owner == rustix::process::geteuid().as_raw()).then_some(directory)
    }

    pub fn become_home(mut self, home: &Path, mut medium: Option<Medium>) -> Result<(), CaError> {
        let above = home.parent().unwrap_or(Path::new("/"));
        disk::sync_directory(&self.path)?;
        if let Some(medium) = &mut medium {
            // What proves whose the key on the medium is, is there before it.
            disk::sync_directory(above)?;
            medium.place()?;
        }
        // rename(2) takes the place of an empty directory and of nothing else.
        std::fs::rename(&self.path, home).map_err(disk::failed("put in place", home))?;
        self.done = true;
        if let Some(medium) = medium {
            medium.keep();
        }
        Ok(disk::sync_directory(above)?)
    }

    /// Exchanges it for the home that is there, which then is at `aside`. In between both are there: a kill
    /// leaves the old home in its place, and this one aside.
    pub fn replace_home(mut self, home: &Path, aside: &Path) -> Result<(), CaError> {
        let above = home.parent().unwrap_or(Path::new("/"));
        disk::sync_directory(&self.path)?;
        std::fs::rename(&self.path, aside).map_err(disk::failed("put aside", aside))?;
        self.done = true;
        disk::exchange(aside, home)?;
        Ok(disk::sync_directory(above)?)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.done {
            // It holds no key that anything depends on; what cannot be removed is in nobody's way.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kill_left_is_swept_and_what_somebody_is_making_is_not() {
        let above = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = above.path().join(name);
            disk::create_private_directory(&path).unwrap();
            disk::create_private(&path.join("pki.toml"), b"").unwrap();
            path
        };
        let left = make(".home.0123456789ab.init");
        let making = make(".home.ba9876543210.init");
        let others = [
            ".home.init",
            ".home.old.init",
            ".home.0123456789AB.init",
            ".pki.0123456789ab.init",
        ]
        .map(make);
        let lock = disk::lock(&making).unwrap();
        assert!(lock.is_some());
        let staging = Staging::beside(&above.path().join("home"), Making::Founding).unwrap();
        assert!(!left.exists() && making.exists() && others.iter().all(|other| other.exists()));
        // Ours is locked, too.
        assert!(disk::lock(&staging.path).unwrap().is_none());
        drop(lock);
        drop(Staging::beside(&above.path().join("home"), Making::Founding).unwrap());
        assert!(!making.exists() && staging.path.exists());
    }

    #[test]
    fn what_is_no_home_in_the_making_is_passed_over() {
        let above = tempfile::tempdir().unwrap();
        let path = |name: &str| above.path().join(name);
        let planted = ["0", "1", "2", "3"].map(|n| path(&format!(".home.{}.init", n.repeat(12))));
        let precious = path("precious");
        std::fs::create_dir(&precious).unwrap();
        std::fs::write(precious.join("file"), "mine").unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &planted[0], fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        std::fs::write(&planted[1], "a file").unwrap();
        std::os::unix::fs::symlink("nowhere", &planted[2]).unwrap();
        std::os::unix::fs::symlink(&precious, &planted[3]).unwrap();
        drop(Staging::beside(&path("home"), Making::Founding).unwrap());
        assert!(planted.iter().all(|planted| disk::is_taken(planted)));
        assert!(precious.join("file").exists());
        // Another account's is none of ours; only root can make one here.
        let foreign = path(".home.444444444444.init");
        std::fs::create_dir(&foreign).unwrap();
        if std::os::unix::fs::chown(&foreign, Some(12345), None).is_ok() {
            drop(Staging::beside(&path("home"), Making::Founding).unwrap());
            assert!(foreign.exists());
        }
    }

    /// A home in the making that names a medium, and the root that it has put there.
    fn killed(above: &Path, medium: &Path) -> PathBuf {
        let making = above.join(".home.0123456789ab.init");
        std::fs::create_dir_all(making.join("root")).unwrap();
        std::fs::create_dir(medium).unwrap();
        let key = format!("root_key = \"{}\"\n", medium.join(ROOT_KEY).display());
        std::fs::write(making.join("pki.toml"), key).unwrap();
        std::fs::write(making.join("root/root.crt"), "certificate").unwrap();
        std::fs::write(medium.join(ROOT_CERTIFICATE), "certificate").unwrap();
        std::fs::write(medium.join(ROOT_KEY), "key").unwrap();
        making
    }

    #[test]
    fn a_root_that_no_home_has_used_is_taken_off_its_medium() {
        let above = tempfile::tempdir().unwrap();
        let medium = above.path().join("medium");
        let making = killed(above.path(), &medium);
        drop(Staging::beside(&above.path().join("home"), Making::Founding).unwrap());
        assert!(!making.exists());
        assert_eq!(std::fs::read_dir(&medium).unwrap().count(), 0);
    }

    #[test]
    fn a_root_that_may_be_used_is_left_on_its_medium() {
        for (file, text) in [
            // Another root's certificate.
            (ROOT_CERTIFICATE, "another"),
            // The key of this one had not been put in place: what is there is somebody else's.
            (".root.key.0123456789ab.tmp", "key"),
        ] {
            let above = tempfile::tempdir().unwrap();
            let medium = above.path().join("medium");
            let making = killed(above.path(), &medium);
            std::fs::write(medium.join(file), text).unwrap();
            drop(Staging::beside(&above.path().join("home"), Making::Founding).unwrap());
            assert!(!making.exists());
            assert!(medium.join(ROOT_KEY).exists(), "{file}");
        }
    }
}
