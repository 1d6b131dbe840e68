//! The sources of passphrases: a descriptor, a file, a command, or the terminal; never argv or the value of a
//! variable.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use zeroize::Zeroizing;

use super::context::path_variable;
use super::descriptor;
use super::error::{Exit, Failure};
use super::ui::Ui;
use crate::ca::{CaError, Keys};
use crate::disk::{Exposed, Shown};
use crate::home::Home;
use crate::issuer::{Chain, Devices, Root, Servers};
use crate::key::{KeyError, Passphrase, SoftwareKey};
use crate::model::Authority;
use crate::x509::Certificate;

/// The issuing key's passphrase: the everyday one.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Passphrase of the issuing key")]
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

/// Which secret is wanted, and what can give it.
struct Wanted<'a> {
    /// `""`, `root-` or `bundle-`.
    prefix: &'static str,
    what: &'static str,
    fd: Option<u32>,
    file: Option<&'a Path>,
    command: Option<&'a [String]>,
    mounted: bool,
}

/// A passphrase that nobody typed.
struct Given {
    passphrase: Passphrase,
    /// What gave it, as an error names it.
    source: String,
}

/// How many times a passphrase may be typed wrongly.
const TRIES: usize = 3;

impl IssuingSecret {
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
        let base_url = home.config().base_url.clone();
        Ok((Devices::open(home.chain().clone(), key, base_url)?, passphrase))
    }
}

/// A command of pki.toml, of a home of this account's: another's would run what that other likes.
fn own_command<'a>(home: &Home, command: Option<&'a [String]>) -> Result<Option<&'a [String]>, Failure> {
    if command.is_some() {
        home.demand_own()?;
    }
    Ok(command)
}

/// The keys that the everyday passphrase opens, and the passphrase itself: new keys of servers are encrypted
/// with it.
pub struct Keyring {
    /// The issuing CA.
    pub issuing: Devices,
    /// The servers' CA, once there is one.
    pub servers: Option<Servers>,
    /// The passphrase.
    pub passphrase: Passphrase,
}

impl Keyring {
    /// The keys that a publication can be signed with.
    pub fn keys(&self) -> Keys<'_> {
        Keys {
            issuing: Some(&self.issuing),
            servers: self.servers.as_ref(),
        }
    }
}

/// Opens the servers' CA with the passphrase that has opened the issuing CA.
///
/// # Errors
/// Where it does not, or key and certificate are not of one CA.
fn open_servers(home: &Home, chain: Chain, passphrase: &Passphrase) -> Result<Servers, Failure> {
    let pem = home.key(Authority::Servers)?;
    let key = SoftwareKey::decrypt(&pem, passphrase).map_err(|why| CaError::Key {
        path: Shown(home.key_path(Authority::Servers)),
        why,
    })?;
    Ok(Servers::open(chain, key, home.config().base_url.clone())?)
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

    /// A new passphrase, strong enough.
    ///
    /// # Errors
    /// Where none is given, or it is weak.
    pub fn new_passphrase(&self, ui: &Ui) -> Result<Passphrase, Failure> {
        self.wanted(None).new_passphrase(None, ui)
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

impl Wanted<'_> {
    /// The variable that names a file.
    fn variable(&self) -> String {
        format!(
            "PKI_{}PASSPHRASE_FILE",
            self.prefix.replace('-', "_").to_uppercase()
        )
    }

    /// The systemd credential (`LoadCredential=pki-passphrase:…`).
    fn credential(&self) -> Option<PathBuf> {
        let directory = std::env::var_os("CREDENTIALS_DIRECTORY")?;
        Some(Path::new(&directory).join(format!("pki-{}passphrase", self.prefix)))
            .filter(|path| path.exists())
    }

    fn file_from_environment(&self) -> Result<Option<PathBuf>, Failure> {
        path_variable(&self.variable())
    }

    fn is_typed(&self) -> bool {
        self.fd.is_none()
            && self.file.is_none()
            && self.file_from_environment().is_ok_and(|file| file.is_none())
            && self.credential().is_none()
            && self.command.is_none()
    }

    /// The passphrase from the first source that is there, the terminal apart.
    fn given(&self) -> Result<Option<Given>, Failure> {
        let prefix = self.prefix;
        let given = |passphrase, source| Ok(Some(Given { passphrase, source }));
        if let Some(fd) = self.fd {
            let shown = format!("/dev/fd/{fd}");
            let passphrase = self.read(descriptor::handed_over(fd), &shown, Privacy::Demanded)?;
            return given(passphrase, format!("--{prefix}passphrase-fd {fd}"));
        }
        if let Some(path) = self.file {
            let passphrase = self.read_file(path, Privacy::Demanded)?;
            return given(
                passphrase,
                format!("--{prefix}passphrase-file {}", path.display()),
            );
        }
        if let Some(path) = self.file_from_environment()? {
            let passphrase = self.read_file(&path, Privacy::Demanded)?;
            return given(passphrase, format!("{} ({})", path.display(), self.variable()));
        }
        if let Some(path) = self.credential() {
            let passphrase = self.read_file(&path, Privacy::Given)?;
            return given(passphrase, path.display().to_string());
        }
        match self.command {
            Some(command) => given(self.run(command)?, self.command_name(command)),
            None => Ok(None),
        }
    }

    fn command_name(&self, command: &[String]) -> String {
        let key = self.prefix.replace('-', "_");
        let program = command.first().map_or("", String::as_str);
        format!("the {key}passphrase_command {program}")
    }

    fn read_file(&self, path: &Path, privacy: Privacy) -> Result<Passphrase, Failure> {
        let privacy = if self.mounted && path.starts_with("/run/secrets") {
            Privacy::Given
        } else {
            privacy
        };
        self.read(crate::disk::open_given(path), &path.display(), privacy)
    }

    fn read(
        &self,
        file: std::io::Result<std::fs::File>,
        shown: &dyn std::fmt::Display,
        privacy: Privacy,
    ) -> Result<Passphrase, Failure> {
        let unreadable = |error: std::io::Error| {
            Failure::secret(format!(
                "the passphrase of the {} could not be read from {shown}: {error}",
                self.what
            ))
            .hint("name a file that has it, with mode 0600, or a pipe that somebody writes it to")
        };
        let file = file.map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if privacy == Privacy::Demanded && metadata.is_file() && metadata.mode() & 0o077 != 0 {
            let exposed = Exposed::new(Path::new(&shown.to_string()), metadata.mode() & 0o7777);
            return Err(Failure::secret(format!("the passphrase file {exposed}")).hint(exposed.remedy()));
        }
        let octets = bounded(file).map_err(unreadable)?;
        Passphrase::from_octets(octets)
            .map_err(|why| Failure::secret(format!("the passphrase of the {} in {shown} {why}", self.what)))
    }

    fn run(&self, command: &[String]) -> Result<Passphrase, Failure> {
        let (program, arguments) = command
            .split_first()
            .map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
        let failed = |why: String| Failure::secret(format!("{} {why}", self.command_name(command)));
        let unread = |e: std::io::Error| failed(format!("could not be run: {e}"));
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(unread)?;
        let octets = child.stdout.take().map(bounded).transpose().map_err(unread)?;
        let status = child.wait().map_err(unread)?;
        if !status.success() {
            return Err(failed(format!("failed ({status})")));
        }
        let octets = octets.unwrap_or_default();
        Passphrase::from_octets(octets).map_err(|why| failed(format!("printed a passphrase that {why}")))
    }

    fn missing(&self) -> Failure {
        let flag = format!("--{}passphrase-file", self.prefix);
        Failure::secret(format!("the passphrase of the {} is missing", self.what)).hint(format!(
            "give it with {flag} PATH or {}, or run the command at a terminal",
            self.variable()
        ))
    }

    /// A new one that is strong, and not the one of another key.
    fn new_passphrase(&self, other: Option<&Passphrase>, ui: &Ui) -> Result<Passphrase, Failure> {
        let taken = |passphrase: &Passphrase| other.is_some_and(|other| other.same_as(passphrase));
        let strong = |passphrase: &Passphrase| {
            passphrase
                .demand_strength()
                .map_err(|why| format!("the passphrase of the {} {why}", self.what))
        };
        if let Some(Given { passphrase, .. }) = self.given()? {
            strong(&passphrase).map_err(Failure::refused)?;
            if taken(&passphrase) {
                return Err(
                    Failure::refused("the passphrases of root and issuing key are the same")
                        .hint("the root's is for the safe, the issuing key's for every day: choose two"),
                );
            }
            return Ok(passphrase);
        }
        if ui.can_ask() {
            ui.ask_new_passphrase(self.what, |passphrase| {
                strong(passphrase)?;
                if taken(passphrase) {
                    return Err("that is the root key's passphrase: choose another for every day".into());
                }
                Ok(())
            })
        } else {
            Err(self.missing())
        }
    }

    /// Opens the key of an authority, and gives what opened it.
    fn unlock(
        &self,
        home: &Home,
        authority: Authority,
        ui: &Ui,
    ) -> Result<(SoftwareKey, Passphrase), Failure> {
        self.open(&home.key(authority)?, &home.key_path(authority), ui)
    }

    fn open(&self, pem: &str, path: &Path, ui: &Ui) -> Result<(SoftwareKey, Passphrase), Failure> {
        // The two are taken for each other, and neither opens the other's key.
        let mixed_up = if self.prefix == "root-" {
            "the root's key has a passphrase of its own, which is not the issuing key's"
        } else {
            "the issuing key has a passphrase of its own, which is not the root's"
        };
        let failed = |why| {
            let is_wrong = matches!(why, KeyError::WrongPassphrase);
            let path = Shown(path.to_owned());
            let failure = Failure::from(CaError::Key { path, why });
            if is_wrong { failure.hint(mixed_up) } else { failure }
        };
        let begun = std::time::Instant::now();
        let opened = |passphrase: Passphrase| {
            let key = SoftwareKey::decrypt(pem, &passphrase);
            ui.detail(format!(
                "{} opened in {:.2} s",
                self.what,
                begun.elapsed().as_secs_f64()
            ));
            key.map(|key| (key, passphrase))
        };
        if let Some(Given { passphrase, source }) = self.given()? {
            return opened(passphrase).map_err(|why| {
                if !matches!(why, KeyError::WrongPassphrase) {
                    return failed(why);
                }
                let path = Shown(path.to_owned());
                let message = format!("{path} does not open with the passphrase from {source}");
                Failure::new(Exit::Secret, "wrong-passphrase", message).hint(mixed_up)
            });
        }
        if !ui.can_ask() {
            return Err(self.missing());
        }
        for _ in 1..TRIES {
            match opened(ui.ask_passphrase(self.what)?) {
                Err(KeyError::WrongPassphrase) => ui.say("that is not the passphrase; once more"),
                outcome => return outcome.map_err(failed),
            }
        }
        opened(ui.ask_passphrase(self.what)?).map_err(failed)
    }
}

/// What can be a passphrase, and a little more where it is too long. Read into one piece of memory, which is
/// wiped: what grows leaves copies behind.
fn bounded(source: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // A byte-order mark and a line ending do not count, and one octet more tells that it is too long.
    let most = Passphrase::MAX + 6;
    let mut octets = Zeroizing::new(Vec::with_capacity(most));
    source.take(most as u64).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Whether a file's own mode must keep others out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Privacy {
    /// It must.
    Demanded,
    /// systemd has seen to that for its credentials, and the operator answers for what containers mount.
    Given,
}
