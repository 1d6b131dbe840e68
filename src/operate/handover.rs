//! Where the passphrases of bundles come from, and how generated ones reach their owner before anything is recorded.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::OperateError;
use super::issue::Plan;
use super::outbox::with_extension;
use super::workshop::Secret;
use crate::disk::{self, Shown, Staged};
use crate::key::Passphrase;
use crate::model::{Address, Signed};

/// Where the passphrases of bundles come from, and where they go.
pub enum Handover<'a> {
    /// A person chose it; she knows it already.
    Chosen(Passphrase),
    /// Generated, and shown before the bundle counts as delivered.
    Shown(&'a mut dyn FnMut(&Address, &Passphrase) -> std::io::Result<()>),
    /// Generated, into a new private file of its own.
    File(PathBuf),
    /// Generated, a line `ADDRESS<TAB>PASSPHRASE` each, appended to a private file before the commit.
    List(PathBuf),
}

/// A passphrase that lies on disk beside its final name.
pub(super) struct Stored {
    staged: Staged,
    /// Where the file goes that an earlier try left under the final name, for a certificate that was never delivered. It is not
    /// overwritten: it may be another bundle's.
    aside: Option<PathBuf>,
}

/// Puts generated passphrases where they were asked for, durably, before the commit.
pub(super) fn store_passphrases(
    handover: &Handover<'_>,
    plans: &[Plan],
    signed: &[(Signed, Option<Secret>)],
) -> Result<Option<Stored>, OperateError> {
    let lines = || {
        let pairs = plans.iter().zip(signed);
        pairs.filter_map(|(plan, (_, secret))| Some((plan.address(), secret.as_ref()?.passphrase.as_ref()?)))
    };
    // Room for all of it from the start: a text that grows leaves copies behind that nobody wipes.
    let room = |line: &dyn Fn(&Address, &Passphrase) -> usize| {
        let length = lines()
            .map(|(address, passphrase)| line(address, passphrase))
            .sum();
        Zeroizing::new(String::with_capacity(length))
    };
    match handover {
        Handover::Chosen(_) | Handover::Shown(_) => Ok(None),
        Handover::File(path) => {
            let again = plans.iter().any(|plan| !plan.lost.is_empty());
            if disk::is_taken(path) && !again {
                return Err(OperateError::Exists(Shown(path.clone())));
            }
            let mut text = room(&|_, passphrase| passphrase.expose().len() + 1);
            for (_, passphrase) in lines() {
                text.push_str(passphrase.expose());
                text.push('\n');
            }
            disk::sweep(path)?;
            let staged = Staged::write(path, disk::PRIVATE_FILE, &[text.as_bytes()])?;
            staged.sync()?;
            Ok(Some(Stored {
                staged,
                aside: disk::is_taken(path).then(|| aside(path, signed)),
            }))
        }
        Handover::List(path) => {
            let mut text =
                room(&|address, passphrase| address.to_string().len() + passphrase.expose().len() + 2);
            for (address, passphrase) in lines() {
                text.push_str(&address.to_string());
                text.push('\t');
                text.push_str(passphrase.expose());
                text.push('\n');
            }
            append_private(path, text.as_bytes())?;
            Ok(None)
        }
    }
}

impl Stored {
    /// Gives it its final name.
    ///
    /// # Errors
    /// Where something has taken that name meanwhile, or the system refuses.
    pub(super) fn place(self) -> Result<(), OperateError> {
        let place = self.staged.place().to_owned();
        if let Some(aside) = self.aside {
            std::fs::rename(&place, &aside).map_err(disk::failed("moved aside", &place))?;
        }
        self.staged.place_new()?;
        Ok(disk::sync_directory(place.parent().unwrap_or(Path::new(".")))?)
    }
}

/// The name for a passphrase file that is in the way: its own and the beginning of the new certificate's serial.
fn aside(path: &Path, signed: &[(Signed, Option<Secret>)]) -> PathBuf {
    let serial = signed
        .first()
        .map(|(signed, _)| signed.serial().short())
        .unwrap_or_default();
    with_extension(path, &format!("before-{serial}"))
}

/// Appends to a private file, made where it is missing, and makes that durable.
fn append_private(path: &Path, octets: &[u8]) -> Result<(), OperateError> {
    let new = !path.exists();
    let mut file: File = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(disk::PRIVATE_FILE)
        .open(path)
        .map_err(disk::failed("opened", path))?;
    // Looked at by its handle: what is written to is what was looked at.
    let there = file.metadata().map_err(disk::failed("examined", path))?;
    if there.mode() & 0o077 != 0 {
        let (path, mode) = (Shown(path.to_owned()), there.mode() & 0o7777);
        return Err(crate::home::HomeError::Exposed(crate::home::Exposed { path, mode }).into());
    }
    if !there.is_file() || there.uid() != rustix::process::geteuid().as_raw() {
        return Err(OperateError::NotOwn(Shown(path.to_owned())));
    }
    file.write_all(octets)
        .and_then(|()| file.sync_all())
        .map_err(disk::failed("written", path))?;
    if new {
        disk::sync_directory(path.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(())
}
