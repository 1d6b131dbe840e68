//! Reads a passphrase from the first source that is there, and opens a key with it: a descriptor, a file, a
//! variable that names one, a systemd credential, a command, or the terminal.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use crate::ca::CaError;
use crate::cli::context::path_variable;
use crate::cli::descriptor;
use crate::cli::error::{Exit, Failure};
use crate::cli::ui::Ui;
use crate::disk::{Exposed, Shown};
use crate::home::Home;
use crate::key::{KeyError, Passphrase, SoftwareKey};
use crate::model::Authority;

/// Which secret is wanted, and what can give it.
pub struct Wanted<'a> {
    /// `""`, `root-` or `bundle-`.
    pub prefix: &'static str,
    pub what: &'static str,
    pub fd: Option<u32>,
    pub file: Option<&'a Path>,
    pub command: Option<&'a [String]>,
    pub mounted: bool,
}

/// A passphrase that nobody typed.
pub struct Given {
    pub passphrase: Passphrase,
    /// What gave it, as an error names it.
    pub source: String,
}

/// How many times a passphrase may be typed wrongly.
const TRIES: usize = 3;

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

    pub fn is_typed(&self) -> bool {
        self.fd.is_none()
            && self.file.is_none()
            && self.file_from_environment().is_ok_and(|file| file.is_none())
            && self.credential().is_none()
            && self.command.is_none()
    }

    /// The passphrase from the first source that is there, the terminal apart.
    pub fn given(&self) -> Result<Option<Given>, Failure> {
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

    pub fn missing(&self) -> Failure {
        let flag = format!("--{}passphrase-file", self.prefix);
        Failure::secret(format!("the passphrase of the {} is missing", self.what)).hint(format!(
            "give it with {flag} PATH or {}, or run the command at a terminal",
            self.variable()
        ))
    }

    /// Says of a dry run that nobody would give it here.
    pub fn try_out(&self, ui: &Ui) {
        if self.is_typed() && !ui.can_ask() {
            ui.would_be_refused(&self.missing());
        }
    }

    /// A new one that is strong, and not the one of another key.
    pub fn new_passphrase(&self, other: Option<&Passphrase>, ui: &Ui) -> Result<Passphrase, Failure> {
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
    pub fn unlock(
        &self,
        home: &Home,
        authority: Authority,
        ui: &Ui,
    ) -> Result<(SoftwareKey, Passphrase), Failure> {
        self.open(&home.key(authority)?, &home.key_path(authority), ui)
    }

    pub fn open(&self, pem: &str, path: &Path, ui: &Ui) -> Result<(SoftwareKey, Passphrase), Failure> {
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
