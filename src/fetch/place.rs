//! The directory where a publication is installed: `DIR` is a link to one of the versions in `.DIR.pki-fetch`
//! beside it, and moves from one to the next in one step. Whoever opens the link has one whole version, and
//! keeps it while the next one comes.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::FetchError;
use super::state::{Stamp, State};
use crate::disk::{self, Directory, DiskError, Ground, Kind, Shown};
use crate::home;
use crate::publish::{Area, Manifest};

/// A place, and its lock. What was made for a first fetch that comes to nothing is gone with it: the fields
/// are dropped in this order, so that the workspace is removed while it is still locked, and what it lies in
/// after it.
pub(super) struct Place {
    _workspace: GoneIfEmpty,
    _made: Option<GoneIfEmpty>,
    out: PathBuf,
    parent: Directory,
    name: OsString,
    workspace: Directory,
    workspace_name: OsString,
}

/// A directory that is removed when this is dropped, if nothing is in it.
struct GoneIfEmpty {
    above: Directory,
    name: OsString,
}

impl Drop for GoneIfEmpty {
    fn drop(&mut self) {
        // What is not empty stays, and nothing can be done about what cannot be removed.
        let _ = self.above.remove_empty(&self.name);
    }
}

/// One publication in a directory of its own, before or after the link leads to it.
pub(super) struct Version {
    pub name: String,
    path: PathBuf,
    directory: Directory,
    below: BTreeMap<String, Directory>,
}

impl Place {
    /// Opens the place and takes its lock. Where there is none yet its directory is made, unless that is all
    /// that would be done.
    pub(super) fn open(out: &Path, wait: Duration, is_trial: bool) -> Result<Self, FetchError> {
        let path = std::path::absolute(out).map_err(disk::failed("located", out))?;
        let (Some(name), Some(above)) = (path.file_name(), path.parent()) else {
            return Err(FetchError::NoName(Shown(out.to_owned())));
        };
        let ground = Ground::find(above, usize::from(!is_trial))?;
        if let Some(home) = home_above(above)? {
            return Err(FetchError::InHome {
                out: Shown(out.to_owned()),
                home: Shown(home),
            });
        }
        let made = match (ground.directory(), above.file_name()) {
            (None, Some(name)) => Some(GoneIfEmpty {
                above: ground.lowest().clone(),
                name: name.to_owned(),
            }),
            (Some(_), _) | (None, None) => None,
        };
        let parent = ground.ensure(0o755, 0o755)?;
        let workspace_name: OsString = [OsStr::new("."), name, OsStr::new(".pki-fetch")]
            .into_iter()
            .collect();
        let begun = Instant::now();
        let workspace = loop {
            let workspace = parent.ensure_below(&workspace_name, disk::PRIVATE_DIRECTORY)?;
            workspace.demand_own()?;
            // A first fetch that came to nothing takes it away again: then it is not the one of that name any
            // more.
            if workspace.try_lock()? && parent.has(&workspace_name, &workspace) {
                break workspace;
            }
            if begun.elapsed() >= wait {
                return Err(FetchError::Busy {
                    out: Shown(out.to_owned()),
                    waited: wait,
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let place = Self {
            _workspace: GoneIfEmpty {
                above: parent.clone(),
                name: workspace_name.clone(),
            },
            _made: made,
            out: out.to_owned(),
            name: name.to_owned(),
            parent,
            workspace,
            workspace_name,
        };
        match home_below(&place.workspace_path())? {
            Some(home) => Err(FetchError::HomeInside {
                out: Shown(out.to_owned()),
                home: Shown(home),
            }),
            None => Ok(place),
        }
    }

    /// The path of the directory beside the link, for messages.
    fn workspace_path(&self) -> PathBuf {
        self.out.with_file_name(&self.workspace_name)
    }

    /// Reads the state. A link of ours without it means that it was lost, and one to a later version that it
    /// was restored from an older backup: it is written before the link moves.
    pub(super) fn state(&self) -> Result<Option<State>, FetchError> {
        let path = self.workspace_path();
        let state = State::load(&self.workspace, &path)?;
        let current = self.current()?;
        let why = match (&state, current.as_deref().and_then(number_of)) {
            (None, Some(_)) => "is missing",
            (Some(state), Some(number)) if state.manifest.number < number => "is older than what is in place",
            (Some(_), Some(_)) | (_, None) => return Ok(state),
        };
        Err(FetchError::Forgotten {
            state: Shown(path.join(State::FILE)),
            why: why.into(),
        })
    }

    pub(super) fn save(&self, state: &State) -> Result<(), DiskError> {
        state.save(&self.workspace)
    }

    /// The version that the link leads to.
    pub(super) fn current(&self) -> Result<Option<String>, FetchError> {
        let taken = |what| FetchError::Taken {
            out: Shown(self.out.clone()),
            what,
        };
        match self.parent.kind(&self.name) {
            None => Ok(None),
            Some(Kind::Link) => {
                let target = self.parent.leads_to(&self.name)?.unwrap_or_default();
                let version = target.strip_prefix(&self.workspace_name).ok();
                let version = version.and_then(Path::to_str).filter(|name| is_version(name));
                match version {
                    Some(version) => Ok(Some(version.to_owned())),
                    None => Err(taken("a link that `pki fetch` did not make")),
                }
            }
            Some(Kind::Directory) => {
                let directory = self.parent.below(&self.name)?;
                let is_empty =
                    directory.map(|directory| directory.names().map(|mut names| names.next().is_none()));
                match is_empty.transpose()? {
                    Some(false) => Err(taken(
                        "a directory with something in it that `pki fetch` did not put there",
                    )),
                    Some(true) | None => Ok(None),
                }
            }
            Some(Kind::Other) => Err(taken("no directory")),
        }
    }

    /// Opens a version that is there.
    pub(super) fn version(&self, name: &str) -> Result<Option<Version>, DiskError> {
        let directory = self.workspace.below(name)?;
        Ok(directory.map(|directory| Version::new(name, self.path_of(name), directory)))
    }

    /// A new version, empty so far.
    pub(super) fn begin(&self, number: u64, area: Area, group: Option<u32>) -> Result<Version, DiskError> {
        let random = disk::random_name().map_err(disk::failed("named", &self.out))?;
        let name = format!("{number}-{random}");
        let directory = self.workspace.ensure_below(&name, area.modes().0)?;
        if let Some(group) = group {
            directory.set_group(group)?;
        }
        Ok(Version::new(&name, self.path_of(&name), directory))
    }

    /// Removes a version that the link does not lead to.
    pub(super) fn discard(&self, version: &Version) -> Result<(), DiskError> {
        self.workspace.remove_below(OsStr::new(&version.name))
    }

    /// Whether whoever is to read the area can get at these files of a version: it may be wished for later
    /// than they came.
    pub(super) fn is_open<'p>(
        &self,
        version: &Version,
        mut files: impl Iterator<Item = &'p String>,
        area: Area,
        group: Option<u32>,
    ) -> bool {
        let is_open = |directory: &Directory| directory.is_open_to(area.modes().0, group).unwrap_or(false);
        is_open(&self.workspace)
            && is_open(&version.directory)
            && files.all(|path| version.has_readers(path, area, group).unwrap_or(false))
    }

    /// The path of the directory of a version, for messages.
    pub(super) fn path_of(&self, version: &str) -> PathBuf {
        self.workspace_path().join(version)
    }

    /// Makes the link point to this version. Whoever may read the area can get through to it then.
    pub(super) fn switch(&self, version: &Version, area: Area, group: Option<u32>) -> Result<(), DiskError> {
        if let Some(group) = group {
            self.workspace.set_group(group)?;
        }
        self.workspace.set_mode(area.modes().0)?;
        self.workspace.sync()?;
        let target = Path::new(&self.workspace_name).join(&version.name);
        self.parent.lead(&self.name, target.as_os_str())
    }

    /// The versions that lie there, each with its number.
    pub(super) fn versions(&self) -> Result<Vec<(u64, String)>, DiskError> {
        let names = self.workspace.names()?;
        let versions = names.filter_map(|name| {
            let name = name.into_string().ok()?;
            Some((number_of(&name)?, name))
        });
        Ok(versions.collect())
    }

    /// Removes every version but these and what a kill has left. What cannot be removed is tried again the
    /// next time. A whole version that is later than what was seen stays: what is remembered may be lost, or
    /// from a backup.
    pub(super) fn sweep(&self, keep: &[&str], seen: Option<u64>) -> Result<(), DiskError> {
        for (number, name) in self.versions()? {
            let is_later = seen.is_none_or(|seen| seen < number);
            let is_whole = |version: Option<Version>| version.is_some_and(|version| version.is_whole());
            if keep.contains(&&*name) || (is_later && self.version(&name).is_ok_and(is_whole)) {
                continue;
            }
            let _ = self.workspace.remove_below(OsStr::new(&name));
        }
        self.workspace.sweep(&[State::FILE])?;
        self.parent.sweep(&[&*self.name.to_string_lossy()])
    }
}

/// The PKI's home in which a directory lies, or will.
fn home_above(directory: &Path) -> Result<Option<PathBuf>, DiskError> {
    let there = directory.ancestors().find(|above| above.exists());
    let there = there.unwrap_or(directory);
    let there = there.canonicalize().map_err(disk::failed("located", there))?;
    let home = there.ancestors().find(|above| home::is_home(above));
    Ok(home.map(Path::to_owned))
}

/// A PKI's home in a directory of versions: it would be swept away with the version that it lies in.
fn home_below(directory: &Path) -> Result<Option<PathBuf>, DiskError> {
    if home::is_home(directory) {
        return Ok(Some(directory.to_owned()));
    }
    let failed = || disk::failed("read", directory);
    for entry in fs::read_dir(directory).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        if entry.file_type().map_err(failed())?.is_dir()
            && let Some(home) = home_below(&entry.path())?
        {
            return Ok(Some(home));
        }
    }
    Ok(None)
}

/// Whether this is the name of a version: its manifest's number and what makes it its own.
fn is_version(name: &str) -> bool {
    number_of(name).is_some()
}

/// The number of the manifest of the version of this name.
fn number_of(version: &str) -> Option<u64> {
    let (number, random) = version.split_once('-')?;
    let is_number = number.bytes().all(|octet| octet.is_ascii_digit()) && disk::is_random_name(random);
    number.parse().ok().filter(|_| is_number)
}

impl Version {
    fn new(name: &str, path: PathBuf, directory: Directory) -> Self {
        Self {
            name: name.to_owned(),
            path,
            below: BTreeMap::from([(String::new(), directory.clone())]),
            directory,
        }
    }

    /// The path of a file of it, for messages.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }

    /// The file at this path, if there is one.
    pub(super) fn file(&self, path: &str) -> Result<Option<File>, DiskError> {
        let (below, name) = split(path);
        match self.below.get(below) {
            Some(directory) => directory.file(name),
            None => match self.directory.below(below)? {
                Some(directory) => directory.file(name),
                None => Ok(None),
            },
        }
    }

    /// Whether all of it had come and held: the signed manifest is written after that, and the other form of
    /// it at last.
    pub(super) fn is_whole(&self) -> bool {
        let is_written = |file: File| file.metadata().map_or(true, |metadata| metadata.len() != 0);
        let has = |path| self.file(path).map_or(true, |file| file.is_some());
        let is_signed = self
            .file(Manifest::JWS)
            .map_or(true, |file| file.is_some_and(is_written));
        is_signed || has(Manifest::JSON)
    }

    /// The stamp of the file at this path, if there is one.
    pub(super) fn stamp(&self, path: &str) -> Option<Stamp> {
        let file = self.file(path).ok().flatten()?;
        Stamp::of(&file).ok()
    }

    /// Whether the file at this path, and the directory that it is in, are open to the readers of the area.
    fn has_readers(&self, path: &str, area: Area, group: Option<u32>) -> Result<bool, DiskError> {
        let Some(file) = self.file(path)? else {
            return Ok(false);
        };
        let shown = self.path(path);
        let metadata = file.metadata().map_err(disk::failed("examined", &shown))?;
        let is_below = match split(path).0 {
            "" => true,
            below => match self.directory.below(below)? {
                Some(directory) => directory.is_open_to(area.modes().0, group)?,
                None => false,
            },
        };
        let is_ours = group.is_none_or(|group| metadata.gid() == group);
        Ok(is_below && is_ours && metadata.mode() & 0o7777 == area.modes().1)
    }

    /// The directory of a file, made where it is missing.
    fn ensure(&mut self, below: &str, area: Area, group: Option<u32>) -> Result<Directory, DiskError> {
        if let Some(directory) = self.below.get(below) {
            return Ok(directory.clone());
        }
        let made = self.directory.ensure_below(below, area.modes().0)?;
        if let Some(group) = group {
            made.set_group(group)?;
        }
        self.below.insert(below.to_owned(), made.clone());
        Ok(made)
    }

    /// Makes a new file at this path, for its area's readers.
    pub(super) fn create(
        &mut self,
        path: &str,
        area: Area,
        group: Option<u32>,
    ) -> Result<NewFile, DiskError> {
        let (below, name) = split(path);
        let file = self.ensure(below, area, group)?.create(name)?;
        let path = self.path(path);
        let mode = file.set_permissions(Permissions::from_mode(area.modes().1));
        mode.map_err(disk::failed("given its mode", &path))?;
        if let Some(group) = group {
            let given = std::os::unix::fs::fchown(&file, None, Some(group));
            given.map_err(disk::failed("given to its group", &path))?;
        }
        Ok(NewFile { file, path })
    }

    /// Takes a file over from another version, as it is: one whose readers are to be others is needed as a
    /// copy of its own. Says whether that could be done.
    pub(super) fn take(
        &mut self,
        path: &str,
        other: &Self,
        area: Area,
        group: Option<u32>,
    ) -> Result<bool, DiskError> {
        if !other.has_readers(path, area, group)? {
            return Ok(false);
        }
        let (below, name) = split(path);
        let here = self.ensure(below, area, group)?;
        let there = match below {
            "" => Some(other.directory.clone()),
            below => other.directory.below(below)?,
        };
        Ok(there.is_some_and(|there| here.share(name, &there).is_ok()))
    }

    /// Makes its names durable.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        self.below.values().try_for_each(Directory::sync)
    }
}

/// A file that is being written.
pub(super) struct NewFile {
    file: File,
    path: PathBuf,
}

impl NewFile {
    pub(super) fn write(&mut self, octets: &[u8]) -> Result<(), DiskError> {
        self.file
            .write_all(octets)
            .map_err(disk::failed("written", &self.path))
    }

    pub(super) fn finish(self) -> Result<(), DiskError> {
        self.file.sync_all().map_err(disk::failed("synced", &self.path))
    }
}

/// The directory in an area in which a file is, and its name there.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
