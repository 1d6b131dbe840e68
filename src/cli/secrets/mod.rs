//! The passphrases that commands take, and what each opens: they come from a descriptor, a file, a command or
//! the terminal, and never from argv or the value of a variable.

mod keyring;
mod wanted;

pub use keyring::{Keyring, open_servers};

use std::path::{Path, PathBuf};

use clap::Args;

use super::error::Failure;
use super::ui::Ui;
use crate::home::Home;
use crate::issuer::{Devices, Root};
use crate::key::Passphrase;
use crate::model::Authority;
use crate::x509::Certificate;
use wanted::{Given, Wanted};

/// The issuing key's passphrase: the everyday one.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = Self::HEADING)]
pub struct IssuingSecret {
    /// Read it from this descriptor
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<u32>,
    /// Read it from this file (mode 0600)
    #[arg(long, value_name = "PATH")]
    passphrase_file: Option<PathBuf>,
    /// Accept secrets under /run/secrets that others can read, as container hosts mount them
    #[arg(long)]
    allow_mounted_secrets: bool,
}

/// The root key's passphrase.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Passphrase of the root key")]
pub struct RootSecret {
    /// Read it from this descriptor
    #[arg(long, value_name = "N")]
    root_passphrase_fd: Option<u32>,
    /// Read it from this file (mode 0600)
    #[arg(long, value_name = "PATH")]
    root_passphrase_file: Option<PathBuf>,
}

/// A bundle's passphrase, where it shall not be generated.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Passphrase of the bundle")]
pub struct BundleSecret {
    /// Read it from this descriptor instead of generating one
    #[arg(long, value_name = "N")]
    bundle_passphrase_fd: Option<u32>,
    /// Read it from this file (mode 0600) instead of generating one
    #[arg(long, value_name = "PATH")]
    bundle_passphrase_file: Option<PathBuf>,
}

/// The passphrase that takes the place of another one.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "New passphrase")]
pub struct NewSecret {
    /// Read it from this descriptor
    #[arg(long, value_name = "N")]
    new_passphrase_fd: Option<u32>,
    /// Read it from this file (mode 0600)
    #[arg(long, value_name = "PATH")]
    new_passphrase_file: Option<PathBuf>,
}

impl NewSecret {
    /// The new passphrase of what is named, strong enough, and not the one that it has.
    ///
    /// # Errors
    /// Where none is given, it is weak, or the one that it has.
    pub fn choose(&self, what: &'static str, old: &Passphrase, ui: &Ui) -> Result<Passphrase, Failure> {
        let wanted = Wanted {
            prefix: "new-",
            what,
            fd: self.new_passphrase_fd,
            file: self.new_passphrase_file.as_deref(),
            command: None,
            mounted: false,
        };
        let new = wanted.new_passphrase(None, ui)?;
        if new.same_as(old) {
            return Err(
                Failure::refused(format!("that is the passphrase that the {what} has already"))
                    .hint("choose another one"),
            );
        }
        Ok(new)
    }
}

/// A backup's passphrase.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Passphrase of the backup")]
pub struct BackupSecret {
    /// Read it from this descriptor
    #[arg(long, value_name = "N")]
    backup_passphrase_fd: Option<u32>,
    /// Read it from this file (mode 0600)
    #[arg(long, value_name = "PATH")]
    backup_passphrase_file: Option<PathBuf>,
}

impl BackupSecret {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            prefix: "backup-",
            what: "backup",
            fd: self.backup_passphrase_fd,
            file: self.backup_passphrase_file.as_deref(),
            command: None,
            mounted: false,
        }
    }

    /// Whether it was said where the passphrase is to be read.
    pub fn is_named(&self) -> bool {
        self.backup_passphrase_fd.is_some() || self.backup_passphrase_file.is_some()
    }

    /// Whether the passphrase will have to be typed.
    pub fn is_typed(&self) -> bool {
        self.wanted().is_typed()
    }

    /// A new passphrase, strong enough.
    ///
    /// # Errors
    /// Where none is given, or it is weak.
    pub fn new_passphrase(&self, ui: &Ui) -> Result<Passphrase, Failure> {
        self.wanted().new_passphrase(None, ui)
    }

    /// The passphrase of a backup that there is.
    ///
    /// # Errors
    /// Where it is missing, or cannot be read.
    pub fn passphrase(&self, ui: &Ui) -> Result<Passphrase, Failure> {
        let wanted = self.wanted();
        match wanted.given()? {
            Some(given) => Ok(given.passphrase),
            None if ui.can_ask() => ui.ask_passphrase(wanted.what),
            None => Err(wanted.missing()),
        }
    }
}

impl IssuingSecret {
    /// Above its flags in a command's help.
    pub const HEADING: &str = "Passphrase of the issuing key";

    fn wanted<'a>(&'a self, command: Option<&'a [String]>) -> Wanted<'a> {
        Wanted {
            prefix: "",
            what: "issuing key",
            fd: self.passphrase_fd,
            file: self.passphrase_file.as_deref(),
            command,
            mounted: self.allow_mounted_secrets,
        }
    }

    /// Whether the passphrase will have to be typed.
    pub fn is_typed(&self, home: &Home) -> bool {
        self.wanted(home.config().passphrase_command.as_deref())
            .is_typed()
    }

    /// Says of a dry run that nobody would give the passphrase here.
    pub fn try_out(&self, home: &Home, ui: &Ui) {
        self.wanted(home.config().passphrase_command.as_deref())
            .try_out(ui);
    }

    /// Says so of one that a home is to have which there is not yet.
    pub fn try_out_new(&self, ui: &Ui) {
        self.wanted(None).try_out(ui);
    }

    /// A new passphrase, strong enough and not the root's.
    ///
    /// # Errors
    /// Where none is given, it is weak, or the root's.
    pub fn new_passphrase(&self, root: &Passphrase, ui: &Ui) -> Result<Passphrase, Failure> {
        self.wanted(None).new_passphrase(Some(root), ui)
    }

    /// Opens the issuing CA. Takes as long as the key's scrypt.
    ///
    /// # Errors
    /// Where the passphrase is missing or wrong, or the key is damaged.
    pub fn unlock(&self, home: &Home, ui: &Ui) -> Result<Devices, Failure> {
        Ok(self.open_issuing(home, ui)?.0)
    }

    /// Opens the issuing CA of a home that was just unpacked from a backup. What its `pki.toml` has run is
    /// not: nobody has looked at it yet.
    ///
    /// # Errors
    /// As [`Self::unlock`].
    pub fn unlock_unpacked(&self, home: &Home, ui: &Ui) -> Result<Devices, Failure> {
        let (key, _) = self.wanted(None).unlock(home, Authority::Issuing, ui)?;
        Ok(Devices::open(home.chain().clone(), key, None)?)
    }

    /// The everyday passphrase, without opening anything with it.
    ///
    /// # Errors
    /// Where it is missing, or cannot be read.
    pub fn passphrase(&self, home: &Home, ui: &Ui) -> Result<Passphrase, Failure> {
        let wanted = self.wanted(own_command(home, home.config().passphrase_command.as_deref())?);
        match wanted.given()? {
            Some(given) => Ok(given.passphrase),
            None if ui.can_ask() => ui.ask_passphrase(wanted.what),
            None => Err(wanted.missing()),
        }
    }

    /// The passphrase of a device's key, which lies in no home.
    ///
    /// # Errors
    /// Where it is missing, or cannot be read.
    pub fn of_device(&self, ui: &Ui) -> Result<Passphrase, Failure> {
        let wanted = Wanted {
            what: "key",
            ..self.wanted(None)
        };
        match wanted.given()? {
            Some(given) => Ok(given.passphrase),
            None if ui.can_ask() => ui.ask_passphrase(wanted.what),
            None => Err(wanted.missing()),
        }
    }

    /// Opens everything that the everyday passphrase opens: the issuing CA and, once there is one, the
    /// servers' CA.
    ///
    /// # Errors
    /// Where the passphrase is missing or wrong, or a key is damaged.
    pub fn unlock_all(&self, home: &Home, ui: &Ui) -> Result<Keyring, Failure> {
        match self.unlock_what_opens(home, ui)? {
            (keyring, None) => Ok(keyring),
            (_, Some(failed)) => Err(failed),
        }
    }

    /// As [`Self::unlock_all`], for a publication, which goes out without the servers' part where that CA's
    /// key does not open: why that is so is told as well.
    ///
    /// # Errors
    /// As [`Self::unlock`].
    pub fn unlock_what_opens(&self, home: &Home, ui: &Ui) -> Result<(Keyring, Option<Failure>), Failure> {
        let (issuing, passphrase) = self.open_issuing(home, ui)?;
        let chain = home.servers().cloned();
        let (servers, failed) = match chain.map(|chain| open_servers(home, chain, &passphrase)) {
            None => (None, None),
            Some(Ok(servers)) => (Some(servers), None),
            Some(Err(failed)) => (None, Some(failed)),
        };
        let keyring = Keyring {
            issuing,
            servers,
            passphrase,
        };
        Ok((keyring, failed))
    }

    /// Opens the issuing CA, and hands on the passphrase that opens servers' keys as well.
    ///
    /// # Errors
    /// As [`Self::unlock`].
    pub fn open_issuing(&self, home: &Home, ui: &Ui) -> Result<(Devices, Passphrase), Failure> {
        let wanted = self.wanted(own_command(home, home.config().passphrase_command.as_deref())?);
        let (key, passphrase) = wanted.unlock(home, Authority::Issuing, ui)?;
        let (base_url, ocsp_url) = (home.config().base_url.clone(), home.config().ocsp_url.clone());
        let devices = Devices::open(home.chain().clone(), key, base_url)?;
        Ok((devices.asked_at(ocsp_url), passphrase))
    }
}

impl RootSecret {
    fn wanted<'a>(&'a self, command: Option<&'a [String]>) -> Wanted<'a> {
        Wanted {
            prefix: "root-",
            what: "root key",
            fd: self.root_passphrase_fd,
            file: self.root_passphrase_file.as_deref(),
            command,
            mounted: false,
        }
    }

    /// Says of a dry run that nobody would give the passphrase here.
    pub fn try_out(&self, home: &Home, ui: &Ui) {
        self.wanted(home.config().root_passphrase_command.as_deref())
            .try_out(ui);
    }

    /// Says so of one that a home is to have which there is not yet.
    pub fn try_out_new(&self, ui: &Ui) {
        self.wanted(None).try_out(ui);
    }

    /// A new passphrase, strong enough.
    ///
    /// # Errors
    /// Where none is given, or it is weak.
    pub fn new_passphrase(&self, ui: &Ui) -> Result<Passphrase, Failure> {
        self.wanted(None).new_passphrase(None, ui)
    }

    /// The root's passphrase, which opens its key.
    ///
    /// # Errors
    /// As [`Self::unlock`].
    pub fn opening(&self, home: &Home, ui: &Ui) -> Result<Passphrase, Failure> {
        let command = own_command(home, home.config().root_passphrase_command.as_deref())?;
        Ok(self.wanted(command).unlock(home, Authority::Root, ui)?.1)
    }

    /// Opens the root. Takes as long as the key's scrypt.
    ///
    /// # Errors
    /// Where the key is away, the passphrase is missing or wrong, or the key is damaged.
    pub fn unlock(&self, home: &Home, ui: &Ui) -> Result<Root, Failure> {
        let place = home.key_path(Authority::Root);
        if !place.exists() {
            return Err(
                Failure::refused(format!("the root's key is not at {}", place.display()))
                    .hint("attach the medium that it is on, or correct root_key in pki.toml"),
            );
        }
        let wanted = self.wanted(own_command(
            home,
            home.config().root_passphrase_command.as_deref(),
        )?);
        let (key, _) = wanted.unlock(home, Authority::Root, ui)?;
        Ok(Root::open(home.chain().root().clone(), key)?)
    }

    /// Opens the root of this certificate with the key at `place`: there is no home.
    ///
    /// # Errors
    /// As [`Self::unlock`], and where others can read the key.
    pub fn unlock_at(&self, place: &Path, certificate: Certificate, ui: &Ui) -> Result<Root, Failure> {
        let pem = crate::home::private(place)?;
        let (key, _) = self.wanted(None).open(&pem, place, ui)?;
        Ok(Root::open(certificate, key)?)
    }
}

impl BundleSecret {
    /// The passphrase that somebody chose for the bundle, if any.
    ///
    /// # Errors
    /// Where it cannot be read, is weak, or not ASCII.
    pub fn chosen(&self) -> Result<Option<Passphrase>, Failure> {
        let wanted = Wanted {
            prefix: "bundle-",
            what: "bundle",
            fd: self.bundle_passphrase_fd,
            file: self.bundle_passphrase_file.as_deref(),
            command: None,
            mounted: false,
        };
        let Some(Given { passphrase, .. }) = wanted.given()? else {
            return Ok(None);
        };
        let fits = passphrase
            .demand_strength()
            .and_then(|()| passphrase.demand_ascii());
        fits.map_err(|why| Failure::refused(format!("the passphrase of the bundle {why}")))?;
        Ok(Some(passphrase))
    }
}

/// A command of pki.toml, of a home of this account's: another's would run what that other likes.
fn own_command<'a>(home: &Home, command: Option<&'a [String]>) -> Result<Option<&'a [String]>, Failure> {
    if command.is_some() {
        home.demand_own()?;
    }
    Ok(command)
}
