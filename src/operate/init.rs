//! Founding a home: root, issuing CA, their CRLs and the first publication, all or nothing.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::publication::{Refresh, refresh};
use super::session::{ClockPolicy, Desk};
use super::whereabouts::real;
use super::{OperateError, root_crl};
use crate::authority::{Issuing, Root};
use crate::bundle;
use crate::config::{self, Config};
use crate::disk::{self, Shown, Staged};
use crate::home::{Home, HomeError};
use crate::key::{Passphrase, SoftwareKey, os_rng};
use crate::model::{Authority, Fact, NameConstraints, Time};
use crate::store::{Paths, Store};
use data_encoding::HEXLOWER;

/// What a PKI is founded on.
#[derive(Debug)]
pub struct Founding {
    /// Where the home will be.
    pub home: PathBuf,
    /// O of every subject, at most 48 characters.
    pub organization: String,
    /// Whom its CAs can vouch for.
    pub constraints: NameConstraints,
    /// Where the public half of a publication will be served.
    pub base_url: Option<String>,
    /// The medium that the root's key goes to, instead of the home.
    pub offline_root: Option<PathBuf>,
}

/// The two new passphrases.
#[derive(Debug)]
pub struct Passphrases {
    /// The root key's.
    pub root: Passphrase,
    /// The issuing key's.
    pub issuing: Passphrase,
}

/// What was founded.
#[derive(Debug)]
pub struct Founded {
    /// The home.
    pub home: Home,
    /// Where the root's key is.
    pub root_key: PathBuf,
    /// Ends of root and issuing CA, of the root's CRL and of the issuing CA's.
    pub ends: [(&'static str, Time); 4],
}

/// Founds a PKI. Everything is made in a directory beside the home, which is renamed into its place at the end.
///
/// # Errors
/// Where there is something at the home's place already, or anything fails: then there is still nothing, on the root's medium either.
pub fn found(
    founding: &Founding,
    passphrases: &Passphrases,
    clock: fn() -> Time,
    by: &str,
) -> Result<Founded, OperateError> {
    let place = examine(founding)?;
    let now = clock();
    let staging = Staging::beside(&place)?;
    let rng = &mut os_rng();
    let root = Root::create(&founding.organization, &founding.constraints, now, rng)?;
    let key = SoftwareKey::generate(rng);
    let chain = root.sign_issuing(key.public_key(), founding.base_url.as_deref(), now, rng)?;
    let sealed_root = seal(root.key(), &passphrases.root)?;
    let offline = founding.offline_root.as_deref();
    let medium = offline
        .map(|medium| Medium::write(medium, &sealed_root, &root))
        .transpose()?;
    let sealed_issuing = seal(&key, &passphrases.issuing)?;

    let at = |file: &str| staging.path.join(file);
    for directory in ["root", "issuing"] {
        disk::create_private_directory(&at(directory))?;
    }
    if medium.is_none() {
        disk::create_private(&at(config::ROOT_KEY), sealed_root.as_bytes())?;
    }
    disk::create_private(&at("root/root.crt"), chain.root().pem().as_bytes())?;
    disk::create_private(&at("issuing/issuing.key"), sealed_issuing.as_bytes())?;
    disk::create_private(&at("issuing/issuing.crt"), chain.issuing().pem().as_bytes())?;
    disk::create_private(&at("pki.toml"), configuration(founding)?.as_bytes())?;
    let first = Fact::Initialized {
        organization: founding.organization.clone(),
        root: HEXLOWER.encode(&chain.root().sha256()),
        issuing: HEXLOWER.encode(&chain.issuing().sha256()),
    };
    Store::create(&Paths::in_home(&staging.path), first, now, by).map_err(HomeError::Store)?;
    first_publication(
        &staging.path,
        &root,
        Issuing::open(chain, key, founding.base_url.clone())?,
        clock,
        by,
    )?;

    staging.become_home(&place, medium)?;
    let root_key = offline.map_or_else(|| place.join(config::ROOT_KEY), |medium| medium.join(ROOT_KEY));
    let home = Home::open(&place)?;
    let ends = ends(&home)?;
    Ok(Founded { home, root_key, ends })
}

/// Looks whether a home can be founded so, before anybody chooses a passphrase: where it will be, without links and dots.
///
/// # Errors
/// Where its place is taken, cannot be written, or is none for a home.
pub fn examine(founding: &Founding) -> Result<PathBuf, OperateError> {
    let place = free_place(&founding.home)?;
    demand_room(&place)?;
    // What an init that was killed left on the medium is not in the way of the next.
    Staging::sweep(&place);
    if let Some(medium) = &founding.offline_root {
        check_medium(medium, &place)?;
    }
    Ok(place)
}

/// The home is made beside its place and gets it in one step: also where its own empty directory is there already, the one above must be
/// writable.
fn demand_room(place: &Path) -> Result<(), OperateError> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    let above = place.ancestors().skip(1).find(|above| above.exists());
    let above = above.unwrap_or(Path::new("/"));
    accessat(CWD, above, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).map_err(|errno| {
        OperateError::NoRoomBeside {
            above: Shown(above.to_owned()),
            why: errno.into(),
        }
    })
}

/// Where the home will be, without links and dots.
///
/// # Errors
/// Where something is there that rename(2) does not take the place of: it replaces an empty directory, and no mount point.
fn free_place(home: &Path) -> Result<PathBuf, OperateError> {
    let place = real(home);
    if is_mount_point(&place) {
        return Err(OperateError::MountPoint(Shown(home.to_owned())));
    }
    let empty = || std::fs::read_dir(&place).is_ok_and(|mut entries| entries.next().is_none());
    if disk::is_taken(&place) && !empty() {
        return Err(OperateError::Exists(Shown(home.to_owned())));
    }
    Ok(place)
}

/// Whether a file system is mounted there. Where the system does not say so itself, a device of its own tells.
fn is_mount_point(place: &Path) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
        const ROOT: StatxAttributes = StatxAttributes::MOUNT_ROOT;
        let found = statx(CWD, place, AtFlags::empty(), StatxFlags::empty());
        if let Some(found) = found
            .ok()
            .filter(|found| found.stx_attributes_mask.contains(ROOT))
        {
            return found.stx_attributes.contains(ROOT);
        }
    }
    let device = |path: &Path| std::fs::metadata(path).ok().map(|there| there.dev());
    let above = place.parent().and_then(device);
    device(place)
        .zip(above)
        .is_some_and(|(here, above)| here != above)
}

/// Checks what can be checked about the root's medium before anything is made.
fn check_medium(medium: &Path, home: &Path) -> Result<(), OperateError> {
    if real(medium).starts_with(home) {
        return Err(OperateError::MediumInHome(Shown(medium.to_owned())));
    }
    let mut places = [ROOT_CERTIFICATE, ROOT_KEY]
        .map(|file| medium.join(file))
        .into_iter();
    match places.find(|place| disk::is_taken(place)) {
        Some(place) => Err(OperateError::Exists(Shown(place))),
        None => Ok(()),
    }
}

/// Encrypts a key, and opens it once more: a key that does not open is no key.
fn seal(key: &SoftwareKey, passphrase: &Passphrase) -> Result<String, OperateError> {
    let failed = |why| OperateError::Key {
        path: Shown("the new key".into()),
        why,
    };
    let sealed = key.encrypt(passphrase, &mut os_rng()).map_err(failed)?;
    let opened = SoftwareKey::decrypt(&sealed, passphrase).map_err(failed)?;
    if opened.public_key() == key.public_key() {
        Ok(sealed)
    } else {
        Err(OperateError::ReadBack(Shown("the new key".into())))
    }
}

fn configuration(founding: &Founding) -> Result<String, OperateError> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let root_key = founding.offline_root.as_ref().map(|medium| {
        let absolute = std::path::absolute(medium.join(ROOT_KEY)).unwrap_or_else(|_| medium.join(ROOT_KEY));
        quoted(&absolute.display().to_string())
    });
    let context = minijinja::context! {
        base_url => founding.base_url.as_deref().map(quoted),
        domain => founding.constraints.domains.first().map(ToString::to_string),
        root_key => root_key,
    };
    let text = minijinja::Environment::new()
        .render_str(include_str!("../../templates/pki.toml"), context)
        .map_err(bundle::BundleError::from)?;
    // Templates lose their last newline, and whoever appends a line to the file must not append it to a comment.
    Ok(text + "\n")
}

fn first_publication(
    staging: &Path,
    root: &Root,
    issuing: Issuing,
    clock: fn() -> Time,
    by: &str,
) -> Result<(), OperateError> {
    let home = Home::open(staging)?;
    let desk = Desk {
        home,
        by: by.to_owned(),
        holder: "init".into(),
        patience: Duration::from_secs(5),
        clock,
    };
    let mut session = desk.session(ClockPolicy::Strict)?;
    root_crl::sign_root_crl(&mut session, root)?;
    match refresh(&mut session, Some(&issuing))? {
        Refresh::NeedsKey | Refresh::Done(_) => Ok(()),
    }
}

fn ends(home: &Home) -> Result<[(&'static str, Time); 4], OperateError> {
    let store = home.read()?;
    let crl = |authority| -> Result<Time, OperateError> {
        Ok(store
            .last_crl(authority)?
            .map_or(Time::from_unix(0), |crl| crl.next_update))
    };
    Ok([
        ("root CA", home.chain().root().validity().not_after),
        ("issuing CA", home.chain().issuing().validity().not_after),
        ("root CRL", crl(Authority::Root)?),
        ("issuing CRL", crl(Authority::Issuing)?),
    ])
}

/// The root on its medium. Dropped before there is a home, it takes everything away again.
///
/// Its files get their names there after everything else is done and synced, and before the home gets its own, which is the last
/// step. So a home never is without its root's key; and a kill between the two leaves the home in the making, whose certificate of the
/// root proves that the key on the medium has never been a home's. The next try sees that, and takes both away.
struct Medium {
    directory: PathBuf,
    /// Whether there was no such directory.
    made: bool,
    staged: Vec<Staged>,
    placed: Vec<PathBuf>,
}

/// The root's files on its medium, the key last.
const ROOT_CERTIFICATE: &str = "root.crt";
const ROOT_KEY: &str = "root.key";

impl Medium {
    /// Writes the root there beside its places, as early as it can be: a medium that is full or takes no files is found out first.
    fn write(directory: &Path, sealed: &str, root: &Root) -> Result<Self, OperateError> {
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
            // What a kill left; what cannot be removed is in nobody's way.
            let _ = disk::sweep(&place);
            let staged = Staged::write(&place, disk::PRIVATE_FILE, &[text.as_bytes()])?;
            staged.sync()?;
            medium.staged.push(staged);
        }
        Ok(medium)
    }

    /// Gives its files their names, one after the other on disk as well.
    fn place(&mut self) -> Result<(), OperateError> {
        for staged in std::mem::take(&mut self.staged) {
            let place = staged.place().to_owned();
            staged.place_new()?;
            self.placed.push(place);
            disk::sync_directory(&self.directory)?;
        }
        Ok(())
    }

    /// There is a home that uses it: it stays.
    fn keep(mut self) {
        self.placed.clear();
        self.made = false;
    }

    /// Takes away what a founding that was killed had put on its medium: where the root's certificate there is the one of this home in
    /// the making. Anything else is another's, and left alone.
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
        // The key comes after the certificate. While it is staged still, a key in its place would be somebody else's.
        let unplaced = std::fs::read_dir(directory).is_ok_and(|entries| {
            let mut names = entries.flatten().map(|entry| entry.file_name());
            names.any(|name| disk::staged_for(&name) == Some("root.key"))
        });
        // The key first: once the certificate is gone, it could not be told any more. What stays is told as in the way.
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

/// The home in the making: removed unless it becomes the home. Locked, so that nobody takes it for one that a kill left behind.
struct Staging {
    path: PathBuf,
    done: bool,
    _lock: File,
}

impl Staging {
    fn beside(home: &Path) -> Result<Self, OperateError> {
        let above = home.parent().unwrap_or(Path::new("/"));
        disk::ensure_directory(above, disk::PRIVATE_DIRECTORY)?;
        let mut random = [0; 6];
        getrandom::fill(&mut random)
            .map_err(|e| disk::failed("named", above)(std::io::Error::other(e.to_string())))?;
        Self::sweep(home);
        let path = above.join(format!("{}{}.init", Self::prefix(home), HEXLOWER.encode(&random)));
        disk::create_private_directory(&path)?;
        let lock = disk::lock(&path)?.ok_or(OperateError::Exists(Shown(path.clone())))?;
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

    /// Removes what was in the making here when its process was killed. Its keys have signed nothing that anybody has seen. What is
    /// somebody else's, or cannot be removed, is in nobody's way: no two have the same name.
    fn sweep(home: &Path) {
        let above = home.parent().unwrap_or(Path::new("/"));
        for entry in std::fs::read_dir(above).into_iter().flatten().flatten() {
            let found = entry.file_name().to_string_lossy().into_owned();
            let random = found
                .strip_prefix(&Self::prefix(home))
                .and_then(|rest| rest.strip_suffix(".init"));
            let path = entry.path();
            if random.is_some_and(|r| r.len() == 12 && HEXLOWER.decode(r.as_bytes()).is_ok())
                && let Some(_lock) = Self::abandoned(&path)
            {
                Medium::take_back(&path);
                let _ = std::fs::remove_dir_all(&path);
            }
        }
    }

    /// The lock of a directory of this account that nobody is at work in. Anything may have the name of one: a pipe would keep whoever
    /// opens it waiting, a link leads elsewhere.
    fn abandoned(path: &Path) -> Option<File> {
        use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let directory = File::from(open(path, flags, Mode::empty()).ok()?);
        let owner = directory.metadata().ok()?.uid();
        flock(&directory, FlockOperation::NonBlockingLockExclusive).ok()?;
        (owner == rustix::process::geteuid().as_raw()).then_some(directory)
    }

    fn become_home(mut self, home: &Path, mut medium: Option<Medium>) -> Result<(), OperateError> {
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
        let staging = Staging::beside(&above.path().join("home")).unwrap();
        assert!(!left.exists() && making.exists() && others.iter().all(|other| other.exists()));
        // Ours is locked, too.
        assert!(disk::lock(&staging.path).unwrap().is_none());
        drop(lock);
        drop(Staging::beside(&above.path().join("home")).unwrap());
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
        drop(Staging::beside(&path("home")).unwrap());
        assert!(planted.iter().all(|planted| disk::is_taken(planted)));
        assert!(precious.join("file").exists());
        // Another account's is none of ours; only root can make one here.
        let foreign = path(".home.444444444444.init");
        std::fs::create_dir(&foreign).unwrap();
        if std::os::unix::fs::chown(&foreign, Some(12345), None).is_ok() {
            drop(Staging::beside(&path("home")).unwrap());
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
        drop(Staging::beside(&above.path().join("home")).unwrap());
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
            drop(Staging::beside(&above.path().join("home")).unwrap());
            assert!(!making.exists());
            assert!(medium.join(ROOT_KEY).exists(), "{file}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_mount_point_is_known_for_one() {
        assert!(is_mount_point(Path::new("/proc")));
        assert!(!is_mount_point(tempfile::tempdir().unwrap().path()));
        assert!(!is_mount_point(Path::new("/nowhere/at/all")));
    }
}
