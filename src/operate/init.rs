//! Founding a home: root, issuing CA, their CRLs and the first publication, all or nothing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::publication::{Refresh, refresh};
use super::session::{ClockPolicy, Desk};
use super::{OperateError, root_crl};
use crate::authority::{Issuing, Root};
use crate::bundle;
use crate::config;
use crate::disk::{self, Shown};
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
/// Where there is something at the home's place already, or anything fails: then there is still nothing.
pub fn found(
    founding: &Founding,
    passphrases: &Passphrases,
    clock: fn() -> Time,
    by: &str,
) -> Result<Founded, OperateError> {
    check_place(founding)?;
    let now = clock();
    let staging = Staging::beside(&founding.home)?;
    let rng = &mut os_rng();
    let root = Root::create(&founding.organization, &founding.constraints, now, rng)?;
    let key = SoftwareKey::generate(rng);
    let chain = root.sign_issuing(key.public_key(), founding.base_url.as_deref(), now, rng)?;
    let sealed_root = seal(root.key(), &passphrases.root)?;
    let sealed_issuing = seal(&key, &passphrases.issuing)?;

    let at = |file: &str| staging.path.join(file);
    for directory in ["root", "issuing"] {
        disk::create_private_directory(&at(directory))?;
    }
    let root_key = match &founding.offline_root {
        Some(medium) => medium.join("root.key"),
        None => at(config::ROOT_KEY),
    };
    if founding.offline_root.is_none() {
        disk::create_private(&root_key, sealed_root.as_bytes())?;
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

    let root_key = match &founding.offline_root {
        Some(medium) => write_offline(medium, &sealed_root, &root)?,
        None => founding.home.join(config::ROOT_KEY),
    };
    staging.become_home(&founding.home)?;
    let home = Home::open(&founding.home)?;
    let ends = ends(&home)?;
    Ok(Founded { home, root_key, ends })
}

fn check_place(founding: &Founding) -> Result<(), OperateError> {
    let home = &founding.home;
    let taken = home.exists() && std::fs::read_dir(home).map_or(true, |mut entries| entries.next().is_some());
    if taken {
        return Err(OperateError::Exists(Shown(home.clone())));
    }
    for file in ["root.key", "root.crt"] {
        if let Some(place) = founding.offline_root.as_ref().map(|medium| medium.join(file))
            && place.exists()
        {
            return Err(OperateError::Exists(Shown(place)));
        }
    }
    Ok(())
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
        let absolute =
            std::path::absolute(medium.join("root.key")).unwrap_or_else(|_| medium.join("root.key"));
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

/// Puts the root on its medium: key, certificate and, for completeness, nothing else of the home.
fn write_offline(medium: &Path, sealed: &str, root: &Root) -> Result<PathBuf, OperateError> {
    disk::ensure_directory(medium, disk::PRIVATE_DIRECTORY)?;
    disk::create_private(&medium.join("root.crt"), root.certificate().pem().as_bytes())?;
    let place = medium.join("root.key");
    disk::create_private(&place, sealed.as_bytes())?;
    Ok(place)
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

/// The home in the making: removed unless it becomes the home. Locked, so that nobody takes it for one that a kill left behind.
struct Staging {
    path: PathBuf,
    done: bool,
    _lock: File,
}

impl Staging {
    fn beside(home: &Path) -> Result<Self, OperateError> {
        let home = std::path::absolute(home).map_err(disk::failed("located", home))?;
        let above = home.parent().unwrap_or(Path::new("/"));
        disk::ensure_directory(above, disk::PRIVATE_DIRECTORY)?;
        let mut random = [0; 6];
        getrandom::fill(&mut random)
            .map_err(|e| disk::failed("named", above)(std::io::Error::other(e.to_string())))?;
        let name = home
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Self::sweep(above, &name)?;
        let path = above.join(format!(".{name}.{}.init", HEXLOWER.encode(&random)));
        disk::create_private_directory(&path)?;
        let lock = disk::lock(&path)?.ok_or(OperateError::Exists(Shown(path.clone())))?;
        Ok(Self {
            path,
            done: false,
            _lock: lock,
        })
    }

    /// Removes what was in the making here when its process was killed. Its keys have signed nothing that anybody has seen.
    fn sweep(above: &Path, name: &str) -> Result<(), OperateError> {
        let entries = std::fs::read_dir(above).map_err(disk::failed("read", above))?;
        for entry in entries.flatten() {
            let found = entry.file_name().to_string_lossy().into_owned();
            let random = found
                .strip_prefix(&format!(".{name}."))
                .and_then(|rest| rest.strip_suffix(".init"));
            let path = entry.path();
            if random.is_some_and(|r| r.len() == 12 && HEXLOWER.decode(r.as_bytes()).is_ok())
                && let Some(_lock) = disk::lock(&path)?
            {
                std::fs::remove_dir_all(&path).map_err(disk::failed("removed", &path))?;
            }
        }
        Ok(())
    }

    fn become_home(mut self, home: &Path) -> Result<(), OperateError> {
        disk::sync_directory(&self.path)?;
        // rename(2) takes the place of an empty directory and of nothing else.
        std::fs::rename(&self.path, home).map_err(disk::failed("put in place", home))?;
        self.done = true;
        let home = std::path::absolute(home).map_err(disk::failed("located", home))?;
        Ok(disk::sync_directory(home.parent().unwrap_or(Path::new("/")))?)
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
}
