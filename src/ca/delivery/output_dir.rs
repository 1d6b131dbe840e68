//! The directory that bundles are written to. It chooses file names that are not taken, and makes sure that
//! files can be written there before anything is signed. A file is there complete or not at all.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::file_names::{WITH_KEY, names, with_extension};
use super::path_policy::{demand_elsewhere, real};
use crate::bundle;
use crate::ca::{CaError, DeliveryError};
use crate::disk::{self, DiskError, Shown};
use crate::home::Home;
use crate::model::{Address, Serial};

/// The block of a file system: a file takes whole ones.
const BLOCK: usize = 4096;

/// The directory that bundles go to, and the names that are taken.
#[derive(Debug)]
pub struct OutputDir {
    pub(in crate::ca) directory: PathBuf,
    claimed: HashSet<PathBuf>,
}

impl OutputDir {
    /// The directory at `path`, made where it is missing.
    ///
    /// # Errors
    /// Where it cannot be made, or lies in the home or where that publishes to.
    pub fn open(path: &Path, home: &Home) -> Result<Self, DeliveryError> {
        let output = Self::at(path, home)?;
        output.make()?;
        Ok(output)
    }

    /// The directory at `path`, which need not be there yet.
    ///
    /// # Errors
    /// Where it lies in the home or where that publishes to.
    pub fn at(path: &Path, home: &Home) -> Result<Self, DeliveryError> {
        demand_elsewhere(path, home)?;
        Ok(Self {
            directory: path.to_owned(),
            claimed: HashSet::new(),
        })
    }

    /// Makes it where it is missing.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn make(&self) -> Result<(), DeliveryError> {
        disk::ensure_directory(&self.directory, disk::PRIVATE_DIRECTORY).map_err(|error| self.useless(error))
    }

    /// Makes sure that files can be written into the directory at `path`, or into the one in which `open`
    /// would make it.
    ///
    /// # Errors
    /// Where files cannot be written there.
    pub fn try_out(path: &Path, home: &Home) -> Result<(), DeliveryError> {
        demand_elsewhere(path, home)?;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let there = absolute.ancestors().find(|above| above.is_dir());
        let output = Self {
            directory: there.unwrap_or(path).to_owned(),
            claimed: HashSet::new(),
        };
        output.prove()
    }

    /// Makes sure that the files of one server or device can be written there before anything is signed.
    pub(in crate::ca) fn prove(&self) -> Result<(), DeliveryError> {
        disk::try_out(&self.directory, BLOCK).map_err(|error| self.useless(error))
    }

    /// Announces work on the files of these devices, before anything is recorded. What issuing of whatever
    /// device has left there that was cut off is removed, unless another process is at work there: what is
    /// being written looks like what was left. Others are kept from it while what is given back is held.
    /// Where there are no locks, only what was left of these devices is removed.
    pub(in crate::ca) fn begin(&self, stems: &[PathBuf]) -> Option<File> {
        let places: Vec<PathBuf> = stems.iter().flat_map(|stem| names(stem)).collect();
        let own: HashSet<_> = places
            .iter()
            .filter_map(|place| place.file_name()?.to_str())
            .collect();
        let is_left = |name: &str| {
            WITH_KEY.iter().any(|extension| {
                name.strip_suffix(extension)
                    .is_some_and(|stem| stem.ends_with('.'))
            })
        };
        disk::at_work(&self.directory, |name| own.contains(name), is_left)
    }

    /// Makes sure that files of these lengths can be written there, before anything is recorded.
    ///
    /// # Errors
    /// Where they cannot.
    pub(in crate::ca) fn demand_room(&self, lengths: &[usize]) -> Result<(), DeliveryError> {
        let octets = lengths.iter().map(|length| length.next_multiple_of(BLOCK)).sum();
        disk::demand_room(&self.directory, octets, lengths.len()).map_err(|error| self.useless(error))
    }

    /// Makes sure that the file for passphrases is none of these devices' own, in whatever spelling: it would
    /// be in their way, after the commit.
    pub(in crate::ca) fn demand_apart(&self, file: &Path, stems: &[PathBuf]) -> Result<(), DeliveryError> {
        let meant = real(file);
        if meant.parent() != Some(&real(&self.directory)) {
            return Ok(());
        }
        // Some file systems have one name for both cases.
        let same = |name: &Path| {
            let pair = name.file_name().zip(meant.file_name());
            pair.is_some_and(|(name, meant)| name.eq_ignore_ascii_case(meant))
        };
        if stems.iter().flat_map(|stem| names(stem)).any(|name| same(&name)) {
            return Err(DeliveryError::TakenByBundle(Shown(file.to_owned())));
        }
        Ok(())
    }

    fn useless(&self, error: DiskError) -> DeliveryError {
        // "." says little to whoever forgot where she is.
        let path = std::path::absolute(&self.directory).unwrap_or_else(|_| self.directory.clone());
        DeliveryError::OutputDir {
            path: Shown(path),
            why: error.source,
        }
    }

    /// The stem of a device's files: `alice-phone`, or with the serial's first digits where any such name is
    /// taken, and not by what is `void`.
    pub(in crate::ca) fn stem(
        &mut self,
        address: &Address,
        serial: Serial,
        void: &[PathBuf],
    ) -> Result<PathBuf, CaError> {
        let plain = self.directory.join(address.file_stem());
        for stem in [plain.clone(), self.numbered(address, serial)] {
            let taken = !void.contains(&stem) && names(&stem).any(|name| disk::is_taken(&name));
            if !taken && self.claimed.insert(stem.clone()) {
                return Ok(stem);
            }
        }
        Err(CaError::Exists(Shown(plain)))
    }

    /// The stems of the files that a certificate (DER) was delivered in, as far as its bundle is among them.
    pub(in crate::ca) fn stems_of(
        &self,
        address: &Address,
        serial: Serial,
        certificate: &[u8],
    ) -> Result<Vec<PathBuf>, CaError> {
        let mut found = Vec::new();
        for stem in [
            self.directory.join(address.file_stem()),
            self.numbered(address, serial),
        ] {
            let there = disk::read_if_there(&with_extension(&stem, "p12"))?;
            if there.is_some_and(|there| bundle::is_of(&there, certificate)) {
                found.push(stem);
            }
        }
        Ok(found)
    }

    /// Removes the files of such a stem. What cannot be removed keeps its name.
    pub(in crate::ca) fn remove(stem: &Path) {
        for extension in WITH_KEY {
            let _ = disk::remove_if_there(&with_extension(stem, extension));
        }
    }

    /// The stem of a device's files with the serial's first digits.
    pub(in crate::ca) fn numbered(&self, address: &Address, serial: Serial) -> PathBuf {
        let name = format!("{}-{}", address.file_stem(), serial.short());
        self.directory.join(name)
    }
}
