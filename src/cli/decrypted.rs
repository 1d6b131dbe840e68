//! Opens what was encrypted by the age format: with a passphrase, with an identity of a recipient, or, where
//! only the program `age` knows such identities (SSH keys, plugins), by running that.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use zeroize::Zeroizing;

use super::error::Failure;
use super::secrets::BackupSecret;
use super::ui::Ui;
use crate::age::{AgeError, Identity, Lock, Sealed, UnfitIdentities};
use crate::backup::BackupError;
use crate::ca::CustodyError;
use crate::disk::{self, Shown};

/// The longest file of identities that is read.
const LONGEST: u64 = 1 << 20;
/// How many times a passphrase may be typed wrongly.
const TRIES: usize = 3;

/// The content of an encrypted file, as it is read.
pub struct Decrypted {
    /// The content. It is to be believed when it was read to its end.
    pub content: Box<dyn Read>,
    /// Whether whoever made the file knew its passphrase. To a recipient anybody can encrypt.
    pub is_authentic: bool,
}

/// Opens an encrypted file; `-` is stdin.
///
/// # Errors
/// Where it is no such file, or nothing that was given opens it.
pub fn open(
    path: &Path,
    identities: &[PathBuf],
    secret: &BackupSecret,
    ui: &Ui,
) -> Result<Decrypted, Failure> {
    let input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(disk::open_given(path).map_err(disk::failed("read", path))?)
    };
    let failed = |why: AgeError| -> Failure {
        let path = Shown(path.to_owned());
        CustodyError::Backup {
            path,
            why: BackupError::Age(why),
        }
        .into()
    };
    match read_identities(identities)? {
        Identities::OfAge => by_age(path, identities),
        Identities::Known(known) => {
            let sealed = Sealed::read(input).map_err(failed)?;
            let key = match sealed.lock() {
                Lock::Recipients => sealed.unlock_with_identities(&known),
                Lock::Passphrase if known.is_empty() => return by_passphrase(sealed, secret, ui, failed),
                Lock::Passphrase => Err(AgeError::NotToRecipients),
            };
            let content = sealed.open(&key.map_err(failed)?).map_err(failed)?;
            Ok(Decrypted {
                content: Box::new(content),
                is_authentic: false,
            })
        }
    }
}

fn by_passphrase(
    sealed: Sealed<Box<dyn Read>>,
    secret: &BackupSecret,
    ui: &Ui,
    failed: impl Fn(AgeError) -> Failure,
) -> Result<Decrypted, Failure> {
    let mut tries = 1;
    let key = loop {
        match sealed.unlock_with_passphrase(&secret.passphrase(ui)?) {
            Err(AgeError::WrongPassphrase) if secret.is_typed() && ui.can_ask() && tries < TRIES => {
                tries += 1;
                ui.say("that is not the passphrase; once more");
            }
            outcome => break outcome.map_err(&failed)?,
        }
    };
    let content = sealed.open(&key).map_err(failed)?;
    Ok(Decrypted {
        content: Box::new(content),
        is_authentic: true,
    })
}

enum Identities {
    Known(Vec<Identity>),
    /// One of them is such as only the program `age` opens files with.
    OfAge,
}

fn read_identities(files: &[PathBuf]) -> Result<Identities, Failure> {
    let mut all = Vec::new();
    for file in files {
        let octets = Zeroizing::new(disk::read_given(file, LONGEST)?);
        let text = std::str::from_utf8(&octets);
        let unfit = |why: &dyn std::fmt::Display| {
            let failure = Failure::refused(format!("{}: {why}", file.display()));
            failure.hint(
                "name the file that age-keygen has made, or the SSH key, whose recipient it was encrypted to",
            )
        };
        // What is no text may be encrypted itself: age asks for its passphrase.
        let Ok(text) = text else {
            return Ok(Identities::OfAge);
        };
        match Identity::all_in(text) {
            Ok(identities) => all.extend(identities),
            Err(UnfitIdentities::Line { unfit, .. }) if unfit.is_for_age() => return Ok(Identities::OfAge),
            Err(why) => return Err(unfit(&why)),
        }
    }
    Ok(Identities::Known(all))
}

/// Has the program `age` open it, which asks at the terminal what it needs.
fn by_age(path: &Path, identities: &[PathBuf]) -> Result<Decrypted, Failure> {
    let mut command = Command::new("age");
    command.arg("--decrypt");
    for identity in identities {
        command.arg("--identity").arg(identity);
    }
    let input = if path == Path::new("-") {
        Stdio::inherit()
    } else {
        let file: File = disk::open_given(path).map_err(disk::failed("read", path))?;
        file.into()
    };
    let child = command
        .stdin(input)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| {
            let failure = Failure::refused(format!(
                "only the program age opens files with such an identity, and it could not be run: {error}"
            ));
            failure.hint("install age, and the plugin of the identity where it has one")
        })?;
    Ok(Decrypted {
        content: Box::new(Running { child }),
        is_authentic: false,
    })
}

/// What a program prints, which counts once it has ended well.
struct Running {
    child: Child,
}

impl Read for Running {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(stdout) = &mut self.child.stdout else {
            return Ok(0);
        };
        let count = stdout.read(out)?;
        if count == 0 && !out.is_empty() {
            let status = self.child.wait()?;
            if !status.success() {
                return Err(io::Error::other(format!("age could not open it ({status})")));
            }
        }
        Ok(count)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that was not read to its end has nobody to write to.
        drop(self.child.stdout.take());
        let _ = self.child.wait();
    }
}
