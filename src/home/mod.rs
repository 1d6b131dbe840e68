//! The home: one directory with everything of one PKI, private to its operator.

pub mod config;
mod error;
mod lock;
mod rekeyed;

pub use error::HomeError;
pub use lock::Lock;
pub use rekeyed::{REKEYED, finish_rekeying};

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::config::{Config, InvalidConfig, PublishTo};
use crate::disk::{self, DiskError, Exposed, Shown};
use crate::issuer::Chain;
use crate::model::contents;
use crate::model::profile::InvalidProfile;
use crate::model::{Authority, Event, Fact, Host, NameConstraints, Profile};
use crate::publish::Location;
use crate::store::{self, Cursor, Linked, Reached, Store, StoreError};
use crate::x509::Certificate;

/// A home, its configuration read and its certificates checked.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    config: Config,
    unread: Option<Box<HomeError>>,
    chain: Chain,
    servers: Option<Chain>,
}

/// The file that makes a directory a home.
pub const LEDGER: &str = "ledger.jsonl";
/// The directory of the bundles that the service hands out.
pub const HANDOUT: &str = "handout";
/// The file of its configuration.
const CONFIG: &str = "pki.toml";
/// The longest configuration or certificate that is read.
const SMALL_FILE: u64 = 1 << 20;

impl Home {
    /// Opens the home at `path`.
    ///
    /// # Errors
    /// Where it is not a home, others can read it, or its files are not valid.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        let home = Self::open_despite_config(path)?;
        match home.unread {
            None => Ok(home),
            Some(why) => Err(*why),
        }
    }

    /// As [`Self::open`], for commands that must not wait until `pki.toml` is valid again: locking somebody
    /// out, and finding out whom. Where it is not valid, [`Self::unread`] gives the error, and the
    /// configuration is the defaults: no place beside the home is known, and nothing may be issued by it.
    ///
    /// # Errors
    /// As [`Self::open`], `pki.toml` apart.
    pub fn open_despite_config(path: &Path) -> Result<Self, HomeError> {
        let shown = || Shown(path.to_owned());
        // What may not be entered is there all the same.
        match std::fs::metadata(path.join(LEDGER)) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(disk::failed("opened", path)(error).into());
            }
            Err(_) if !path.exists() => return Err(HomeError::Missing(shown())),
            Ok(_) | Err(_) => {}
        }
        // Where the disk does not let it be finished, the next command tries again: nobody waits for it who
        // locks a phone out.
        let _ = finish_rekeying(path);
        for file in [LEDGER, "issuing/issuing.crt", "root/root.crt"] {
            if !path.join(file).is_file() {
                return Err(HomeError::NotAHome(shown(), file));
            }
        }
        if let Some(exposed) = exposed(path)?.into_iter().next() {
            return Err(exposed.into());
        }
        let (config, unread) = match read_config(path) {
            Ok(config) => (config, None),
            Err(why) => (Config::default(), Some(Box::new(why))),
        };
        let root = read_certificate(path, Authority::Root)?;
        let issuing = read_certificate(path, Authority::Issuing)?;
        let chain = Chain::of_issuing(root.clone(), issuing, recorded(path, &root)?)?;
        // What is wrong with it is told where the ledger is read, which has it as well: it must not keep a
        // phone from being locked out.
        let servers = read_certificate(path, Authority::Servers).ok();
        let servers = servers.and_then(|servers| Chain::of_servers(root, servers).ok());
        Ok(Self {
            path: path.to_owned(),
            config,
            unread,
            chain,
            servers,
        })
    }

    /// The path of the home.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration that the operator has written.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The error of `pki.toml`, in a home that was opened although its configuration is not valid.
    pub fn unread(&self) -> Option<&HomeError> {
        self.unread.as_deref()
    }

    /// The path of `pki.toml`.
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// The chain of the root and the devices' CA.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The chain of the root and the servers' CA, once there is one.
    pub fn servers(&self) -> Option<&Chain> {
        self.servers.as_ref()
    }

    /// Reads the encrypted key of an authority, whose file must be private.
    ///
    /// # Errors
    /// Where it is not there, or others can read it.
    pub fn key(&self, authority: Authority) -> Result<String, HomeError> {
        private(&self.key_path(authority))
    }

    /// The path of the key of an authority: where it is, or was when the home was made.
    pub fn key_path(&self, authority: Authority) -> PathBuf {
        match authority {
            Authority::Root => self.path.join(&self.config.root_key),
            Authority::Issuing => self.path.join("issuing/issuing.key"),
            Authority::Servers => self.path.join("servers/servers.key"),
        }
    }

    /// The path of the root's CRL, in DER.
    pub fn root_crl_path(&self) -> PathBuf {
        self.path.join("root/root.crl")
    }

    /// The profile of this name: the home's own, or the one built in.
    ///
    /// # Errors
    /// Where there is none, or it is not valid.
    pub fn profile(&self, name: &str) -> Result<Profile, HomeError> {
        let invalid = |why| HomeError::Profile {
            name: name.to_owned(),
            why,
        };
        Profile::check_name(name).map_err(invalid)?;
        let own = disk::read_if_there(&self.path.join(format!("templates/profiles/{name}.toml")))?;
        let profile = match (own, name) {
            (Some(own), _) => match contents::utf8(&own) {
                Ok(text) => Profile::parse(name, text),
                Err(why) => Err(InvalidProfile::Syntax(why.to_string())),
            },
            (None, "device") => Profile::parse(name, include_str!("../../templates/profiles/device.toml"))
                .map(|profile| profile.of_days(self.config.days)),
            (None, _) => return Err(HomeError::NoProfile(name.to_owned())),
        };
        Ok(profile.map_err(invalid)?.spread_over(self.config.spread))
    }

    /// The names of the profiles that there are, the one built in among them.
    pub fn profiles(&self) -> Vec<String> {
        let own = std::fs::read_dir(self.path.join("templates/profiles"));
        let files = own.into_iter().flatten().flatten().map(|file| file.file_name());
        let own = files.filter_map(|file| Some(file.to_str()?.strip_suffix(".toml")?.to_owned()));
        own.filter(|name| name != "device" && Profile::check_name(name).is_ok())
            .chain(["device".to_owned()])
            .collect()
    }

    /// The hosts that any profile names for shared keys. A profile that is damaged is told to whoever asks
    /// for it.
    pub fn hmac_hosts(&self) -> Vec<Host> {
        let profiles = self.profiles();
        let profiles = profiles.iter().filter_map(|name| self.profile(name).ok());
        let mut hosts: Vec<Host> = profiles.flat_map(|profile| profile.hmac().to_vec()).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// The text of a template: the home's own, or the one built in.
    ///
    /// # Errors
    /// Where the home's own cannot be read.
    pub fn template(&self, name: &str, built_in: &str) -> Result<String, HomeError> {
        let path = self.path.join("templates").join(name);
        let Some(own) = disk::read_if_there(&path)? else {
            return Ok(built_in.to_owned());
        };
        match contents::utf8(&own) {
            Ok(text) => Ok(text.to_owned()),
            Err(why) => Err(HomeError::Template {
                path: Shown(path),
                why,
            }),
        }
    }

    /// Makes sure that the home is this account's. What another account has written into its `pki.toml` is no
    /// command for this one to run, and what this one would write the other could not read.
    ///
    /// # Errors
    /// Where it is another's.
    pub fn demand_own(&self) -> Result<(), HomeError> {
        let owner = std::fs::metadata(&self.path)
            .map_err(disk::failed("examined", &self.path))?
            .uid();
        let me = rustix::process::geteuid().as_raw();
        if owner != me {
            let [owner, me] = [owner, me].map(disk::account_name);
            return Err(HomeError::OtherAccount {
                path: Shown(self.path.clone()),
                owner,
                me,
            });
        }
        Ok(())
    }

    /// Takes the lock, waiting for it until `patience` is over. `holder` is what others are told while it is
    /// held.
    ///
    /// # Errors
    /// Where somebody else has it for longer than that.
    pub fn lock(&self, patience: Duration, holder: &str) -> Result<Lock, HomeError> {
        self.demand_own()?;
        lock::take(&self.path, patience, holder)
    }

    /// Leaves the lock to whoever waits for it: for those who could take it again and again.
    pub fn give_way(&self) {
        lock::give_way(&self.path);
    }

    /// Opens the ledger for changes. The lock proves that nobody else does.
    ///
    /// # Errors
    /// Where it is damaged, busy, or another home's.
    pub fn store(
        &self,
        _lock: &Lock,
        patience: Duration,
        now: crate::model::Time,
    ) -> Result<Store, HomeError> {
        let paths = store::Paths::in_home(&self.path);
        // Opening writes the index. Another home's ledger is refused before it replaces ours; damage is for
        // opening to tell.
        if let Ok(first) = Store::first_event(&paths) {
            self.demand_ours(first)?;
        }
        let store = self.checked(Store::open(&paths, patience, now)?)?;
        self.restore_servers(&store)?;
        Ok(store)
    }

    /// Opens the ledger for reading, beside whoever is changing it.
    ///
    /// # Errors
    /// Where it is damaged or another home's.
    pub fn read(&self) -> Result<Store, HomeError> {
        self.checked(Store::read(&store::Paths::in_home(&self.path))?)
    }

    /// Reads the whole ledger into memory, for a process that goes on for long.
    ///
    /// # Errors
    /// Where it is damaged or another home's.
    pub fn resident(&self) -> Result<Store, HomeError> {
        self.checked(Store::resident(&store::Paths::in_home(&self.path))?)
    }

    /// The length of the ledger in octets: it only grows.
    ///
    /// # Errors
    /// Where it cannot be examined.
    pub fn ledger_length(&self) -> Result<u64, HomeError> {
        let ledger = store::Paths::in_home(&self.path).ledger;
        let metadata = std::fs::metadata(&ledger).map_err(disk::failed("examined", &ledger))?;
        Ok(metadata.len())
    }

    /// The events of its ledger after a place, without opening the rest of the store.
    ///
    /// # Errors
    /// A damaged ledger, or one that lacks what was read before.
    pub fn follow(
        &self,
        after: Cursor,
        visit: &mut dyn FnMut(Event) -> Result<(), StoreError>,
    ) -> Result<Reached, HomeError> {
        Ok(Store::follow(&store::Paths::in_home(&self.path), after, visit)?)
    }

    /// As [`Self::follow`], with the link of each event in the chain.
    ///
    /// # Errors
    /// A damaged ledger, or one that lacks what was read before.
    pub fn follow_chain(
        &self,
        after: Cursor,
        visit: &mut dyn FnMut(Linked) -> Result<(), StoreError>,
    ) -> Result<Reached, HomeError> {
        Ok(Store::follow_chain(
            &store::Paths::in_home(&self.path),
            after,
            visit,
        )?)
    }

    /// Opens the ledger for reading as [`Self::read`], but only where that takes no longer than somebody
    /// waits who has not asked for anything yet.
    ///
    /// # Errors
    /// Where it is damaged or another home's.
    pub fn glance(&self) -> Result<Option<Store>, HomeError> {
        let store = Store::glance(&store::Paths::in_home(&self.path))?;
        store.map(|store| self.checked(store)).transpose()
    }

    /// Holds the ledger's first event against the certificates beside it.
    fn checked(&self, store: Store) -> Result<Store, HomeError> {
        self.demand_ours(store.initialized()?)?;
        // One that the ledger does not know yet is being made: it is recorded after its file is there.
        if let Some(recorded) = store.servers_ca()? {
            let file = self.path.join("servers/servers.crt");
            match &self.servers {
                Some(chain) if chain.ca().der() != recorded => {
                    return Err(HomeError::Mixed { path: Shown(file) });
                }
                Some(_) | None => {}
            }
        }
        Ok(store)
    }

    /// Puts the certificate of the servers' CA back from the ledger, where its file is missing or damaged.
    fn restore_servers(&self, store: &Store) -> Result<(), HomeError> {
        let recorded = store.servers_ca()?.filter(|_| self.servers.is_none());
        let Some(certificate) = recorded.and_then(|der| Certificate::from_der(&der).ok()) else {
            return Ok(());
        };
        // It was not there when this home was opened.
        if read_certificate(&self.path, Authority::Servers).is_ok_and(|there| there == certificate) {
            return Err(HomeError::ServersMade);
        }
        disk::ensure_directory(&self.path.join("servers"), disk::PRIVATE_DIRECTORY)?;
        let file = self.path.join("servers/servers.crt");
        disk::replace(&file, disk::PRIVATE_FILE, certificate.pem().as_bytes())?;
        Err(HomeError::Restored(Shown(file)))
    }

    fn demand_ours(&self, first: Event) -> Result<(), HomeError> {
        let Fact::Initialized { root, issuing, .. } = first.fact else {
            return Err(HomeError::NotAHome(
                Shown(self.path.clone()),
                "`initialized` event in its ledger",
            ));
        };
        for (recorded, certificate, file) in [
            (root, self.chain.root(), "root/root.crt"),
            (issuing, self.chain.ca(), "issuing/issuing.crt"),
        ] {
            if recorded != data_encoding::HEXLOWER.encode(&certificate.sha256()) {
                return Err(HomeError::Mixed {
                    path: Shown(self.path.join(file)),
                });
            }
        }
        Ok(())
    }
}

/// What the ledger has recorded of what the CAs may vouch for, where the root does not say all of it.
fn recorded(home: &Path, root: &Certificate) -> Result<Option<NameConstraints>, HomeError> {
    if root.name_constraints().is_some_and(|says| !says.any_address) {
        return Ok(None);
    }
    let first = Store::first_event(&store::Paths::in_home(home))?;
    let Fact::Initialized { permitted, .. } = first.fact else {
        return Ok(None);
    };
    Ok(permitted)
}

/// The files and directories of a home, beside its notes (`*.json`). Anything else there (the `lost+found` of
/// a disk) is not this program's.
pub const FILES: [&str; 13] = [
    CONFIG,
    LEDGER,
    lock::LOCK,
    lock::WAITING,
    HANDOUT,
    "index",
    "root",
    "issuing",
    "servers",
    "public",
    "server",
    "templates",
    REKEYED,
];

/// Whether a directory is a home, even a damaged one.
pub fn is_home(directory: &Path) -> bool {
    [LEDGER, CONFIG].iter().all(|file| directory.join(file).is_file())
}

/// Reads the text of a private file.
///
/// # Errors
/// Where it is not there, or others can read it.
pub fn private(path: &Path) -> Result<String, HomeError> {
    let octets = disk::read(path, SMALL_FILE)?;
    if let Some(exposed) = exposure(path)? {
        return Err(exposed.into());
    }
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// What `pki.toml` says.
fn read_config(home: &Path) -> Result<Config, HomeError> {
    let path = home.join(CONFIG);
    if !path.is_file() {
        return Err(HomeError::NotAHome(Shown(home.to_owned()), CONFIG));
    }
    let text = disk::read(&path, SMALL_FILE)?;
    let config = contents::utf8(&text)
        .map_err(|why| InvalidConfig::Syntax(why.to_string()))
        .and_then(Config::parse)
        .map_err(|why| HomeError::Config {
            path: Shown(path),
            why,
        })?;
    demand_outside(home, &config)?;
    Ok(config)
}

/// A home is private to its operator, and what is published is not.
fn demand_outside(home: &Path, config: &Config) -> Result<(), HomeError> {
    let absolute = std::path::absolute(home).map_err(disk::failed("located", home))?;
    let places = config.publish.iter().flat_map(PublishTo::places);
    let mut directories = places.filter_map(Location::directory);
    if directories.any(|directory| directory.starts_with(&absolute)) {
        return Err(HomeError::Config {
            path: Shown(home.join("pki.toml")),
            why: InvalidConfig::Target("a directory must not lie in the home, which is private"),
        });
    }
    Ok(())
}

fn read_certificate(home: &Path, authority: Authority) -> Result<Certificate, HomeError> {
    let path = home.join(format!("{authority}/{authority}.crt"));
    let text = disk::read(&path, SMALL_FILE)?;
    Certificate::from_pem(&text).map_err(|why| HomeError::Certificate {
        path: Shown(path),
        why,
    })
}

/// Every private file or directory of a home that others can read or change.
///
/// # Errors
/// Where the home cannot be looked at.
pub fn exposed(home: &Path) -> Result<Vec<Exposed>, DiskError> {
    let private = [
        "",
        "root",
        "issuing",
        "index",
        LEDGER,
        lock::LOCK,
        lock::WAITING,
        "issuing/issuing.key",
        "root/root.key",
        "servers",
        "servers/servers.key",
        HANDOUT,
    ];
    let mut found = Vec::new();
    for name in private {
        let path = if name.is_empty() {
            home.to_owned()
        } else {
            home.join(name)
        };
        found.extend(exposure(&path)?);
    }
    Ok(found)
}

fn exposure(path: &Path) -> Result<Option<Exposed>, DiskError> {
    if !path.exists() {
        return Ok(None);
    }
    let mode = disk::mode(path)?;
    Ok((mode & 0o077 != 0).then(|| Exposed::new(path, mode)))
}
