//! The passphrases of bundles: chosen by a person or generated. Generated ones are shown, or written to a
//! private file; a file is on disk before anything is recorded.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::file_names::with_extension;
use super::path_policy::{demand_elsewhere, demand_new_file};
use crate::ca::publishing::owed::{BegunList, begin_list, list_begun};
use crate::ca::session::Session;
use crate::ca::{CaError, DeliveryError};
use crate::disk::{self, DiskError, Exposed, Shown, Staged};
use crate::home::{Home, HomeError};
use crate::key::Passphrase;
use crate::model::{Address, Record, Serial, State};

/// The source of the passphrases of bundles, and their destination.
pub enum PassphraseDelivery<'a> {
    /// A person chose it; she knows it already.
    Chosen(Arc<Passphrase>),
    /// Generated, and shown before the bundle counts as delivered.
    Shown(&'a mut dyn FnMut(&Address, &Passphrase) -> std::io::Result<()>),
    /// Generated, into a new private file of its own.
    File(PathBuf),
    /// Generated, a line `ADDRESS<TAB>PASSPHRASE` each, appended to a private file before the commit.
    List(PathBuf),
}

impl PassphraseDelivery<'_> {
    /// The passphrase that a person chose.
    pub(in crate::ca) fn chosen(&self) -> Option<&Arc<Passphrase>> {
        match self {
            Self::Chosen(passphrase) => Some(passphrase),
            Self::Shown(_) | Self::File(_) | Self::List(_) => None,
        }
    }

    /// Makes sure that generated passphrases could be put where they are to go, as far as can be said without
    /// doing so; bundles go to `out`. `are_made_again` where a certificate would replace one that was never
    /// delivered.
    ///
    /// # Errors
    /// Where they could not.
    pub fn try_out(&self, home: &Home, out: &Path, are_made_again: bool) -> Result<(), CaError> {
        match self {
            Self::Chosen(_) | Self::Shown(_) => Ok(()),
            Self::File(path) if disk::is_taken(path) && are_made_again => Ok(demand_elsewhere(path, home)?),
            Self::List(path) if path.exists() => {
                demand_elsewhere(path, home)?;
                let mut list = disk::open_regular(path).map_err(disk::failed("opened", path))?;
                demand_own(&list, path)?;
                demand_list(&mut list, path)
            }
            Self::File(path) | Self::List(path) => {
                demand_new_file(path, Some(out), home)?;
                match disk::is_taken(path) {
                    true => Err(CaError::Exists(Shown(path.clone()))),
                    false => Ok(()),
                }
            }
        }
    }

    /// The file that generated passphrases go to.
    pub(in crate::ca) fn file(&self) -> Option<&Path> {
        match self {
            Self::Chosen(_) | Self::Shown(_) => None,
            Self::File(path) | Self::List(path) => Some(path),
        }
    }
}

/// A passphrase that lies on disk beside its final name.
pub(in crate::ca) struct Stored {
    staged: Staged,
    /// The new name of a file that an earlier try left under the final name, for a certificate that was never
    /// delivered. It is not overwritten: it may be another bundle's.
    aside: Option<PathBuf>,
    /// Others leave the file alone while this is held.
    _at_work: Option<File>,
}

/// The generated passphrases of a batch.
pub(in crate::ca) struct Lines<'a> {
    pub passphrases: Vec<(&'a Address, &'a Passphrase)>,
    /// Whether a certificate of the batch replaces one that was never delivered.
    pub are_made_again: bool,
    /// The first certificate of the batch.
    pub first: Option<Serial>,
}

/// Puts generated passphrases where they were asked for, durably, before the commit.
pub(in crate::ca) fn store_passphrases(
    session: &Session<'_>,
    asked: &PassphraseDelivery<'_>,
    batch: &Lines<'_>,
) -> Result<Option<Stored>, CaError> {
    let lines = || batch.passphrases.iter().copied();
    // Room for all of it from the start: a text that grows leaves copies behind that nobody wipes.
    let room = |line: &dyn Fn(&Address, &Passphrase) -> usize| {
        let length = lines()
            .map(|(address, passphrase)| line(address, passphrase))
            .sum();
        Zeroizing::new(String::with_capacity(length))
    };
    match asked {
        PassphraseDelivery::Chosen(_) | PassphraseDelivery::Shown(_) => Ok(None),
        PassphraseDelivery::File(path) => {
            if disk::is_taken(path) && !batch.are_made_again {
                return Err(CaError::Exists(Shown(path.clone())));
            }
            let mut text = room(&|_, passphrase| passphrase.expose().len() + 1);
            for (_, passphrase) in lines() {
                text.push_str(passphrase.expose());
                text.push('\n');
            }
            let at_work = disk::at_work_on(path);
            let staged = Staged::write(path, disk::PRIVATE_FILE, &[text.as_bytes()])?;
            staged.sync()?;
            Ok(Some(Stored {
                staged,
                aside: disk::is_taken(path).then(|| aside(path, batch.first)),
                _at_work: at_work,
            }))
        }
        PassphraseDelivery::List(path) => {
            let mut text =
                room(&|address, passphrase| address.to_string().len() + passphrase.expose().len() + 2);
            for (address, passphrase) in lines() {
                text.push_str(&address.to_string());
                text.push('\t');
                text.push_str(passphrase.expose());
                text.push('\n');
            }
            let patience = session.desk.patience;
            append_private(path, text.as_bytes(), patience, &mut |list| {
                cut_void(session, list, batch)?;
                Ok(begin_list(session, path, list.length, text.as_bytes())?)
            })?;
            Ok(None)
        }
    }
}

impl Stored {
    /// Gives it its final name, and gives the directory that is to be synced then.
    ///
    /// # Errors
    /// Where something has taken that name meanwhile, or the system refuses.
    pub(in crate::ca) fn place(self) -> Result<PathBuf, CaError> {
        let place = self.staged.place().to_owned();
        if let Some(aside) = self.aside {
            std::fs::rename(&place, &aside).map_err(disk::failed("moved aside", &place))?;
        }
        self.staged.place_new()?;
        Ok(place.parent().unwrap_or(Path::new(".")).to_owned())
    }
}

/// The name for a passphrase file that is in the way: its own and the beginning of the new certificate's
/// serial.
fn aside(path: &Path, first: Option<Serial>) -> PathBuf {
    let serial = first.map(|serial| serial.short()).unwrap_or_default();
    with_extension(path, &format!("before-{serial}"))
}

/// A list of passphrases that is open to be appended to.
struct List<'a> {
    path: &'a Path,
    file: File,
    length: u64,
    /// Whether every other `pki` that would append is kept waiting. Where the file system has no locks, what
    /// stands at the end by now may be another's, and nothing is cut off.
    is_locked: bool,
}

impl List<'_> {
    /// The octets from an offset up to the end.
    fn end(&mut self, from: u64) -> Result<Zeroizing<Vec<u8>>, DiskError> {
        let room = usize::try_from(self.length - from).unwrap_or_default();
        let mut end = Zeroizing::new(Vec::with_capacity(room));
        let read = self
            .file
            .seek(SeekFrom::Start(from))
            .and_then(|_| (&self.file).take(self.length - from).read_to_end(&mut end));
        read.map_err(disk::failed("read", self.path))?;
        Ok(end)
    }

    fn cut(&mut self, length: u64) -> Result<(), DiskError> {
        let cut = self.file.set_len(length);
        cut.map_err(disk::failed("written", self.path))?;
        self.length = length;
        Ok(())
    }
}

/// Cuts off what a command of this home left at the end of a list that was cut off before its bundles were
/// delivered: those passphrases open nothing, and all of their devices get others with this batch. Nothing
/// else is ever cut off: where anything was appended or changed since, where it is another file by now, or
/// where one of the bundles was delivered after all, the lines stay, and a device's last line is the one that
/// holds.
fn cut_void(session: &Session<'_>, list: &mut List<'_>, batch: &Lines<'_>) -> Result<(), CaError> {
    let begun = list_begun(&session.desk.home, list.path);
    let is_end = |begun: &BegunList| begun.from.checked_add(begun.length) == Some(list.length);
    let Some(begun) = begun.filter(|begun| list.is_locked && is_end(begun)) else {
        return Ok(());
    };
    let end = list.end(begun.from)?;
    if !begun.are_these(&end) {
        return Ok(());
    }
    let come_again: HashSet<&Address> = batch.passphrases.iter().map(|(address, _)| *address).collect();
    for line in end.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
        let text = std::str::from_utf8(line).unwrap_or_default();
        let address = text
            .split_once('\t')
            .and_then(|(address, _)| address.parse().ok());
        let Some(address) = address.filter(|address| come_again.contains(address)) else {
            return Ok(());
        };
        let history = session.store.device(&address)?;
        let is_later = |record: &Record| record.seq > begun.seq && record.state != State::Undelivered;
        if history.iter().any(is_later) {
            return Ok(());
        }
    }
    Ok(list.cut(begun.from)?)
}

/// Appends to a private list of passphrases, made where it is missing, and makes that durable. `begin` is
/// given the list before that, and may shorten it.
fn append_private(
    path: &Path,
    octets: &[u8],
    patience: Duration,
    begin: &mut dyn FnMut(&mut List<'_>) -> Result<(), CaError>,
) -> Result<(), CaError> {
    let new = !path.exists();
    if new && disk::is_taken(path) {
        // A link that leads nowhere: what it would bring into being is not what was named.
        return Err(CaError::Exists(Shown(path.to_owned())));
    }
    let file: File = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(disk::PRIVATE_FILE)
        .open(path)
        .map_err(disk::failed("opened", path))?;
    // Looked at by its handle: what is written to is what was looked at.
    let own = demand_own(&file, path);
    if new && own.is_err() {
        let _ = std::fs::remove_file(path);
    }
    own?;
    let is_locked = lock(&file, path, patience)?;
    let length = file.metadata().map_err(disk::failed("examined", path))?.len();
    let mut list = List {
        path,
        file,
        length,
        is_locked,
    };
    demand_list(&mut list.file, path)?;
    begin(&mut list)?;
    let written = list.file.write_all(octets).and_then(|()| list.file.sync_all());
    if written.is_err() && list.is_locked {
        // Half a line would keep the next try from the list. Where even this fails, the error says what is
        // wrong with the disk.
        let _ = list.cut(list.length);
    }
    written.map_err(disk::failed("written", path))?;
    if new {
        disk::sync_directory(path.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Keeps every other `pki` from appending to a list until the handle is dropped: another home may have the
/// same list. Gives whether that is so: a file system may have no locks.
fn lock(file: &File, path: &Path, patience: Duration) -> Result<bool, DeliveryError> {
    let begun = Instant::now();
    loop {
        match rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) if begun.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(DeliveryError::ListBusy(Shown(path.to_owned())));
            }
            Err(_) => return Ok(false),
        }
    }
}

/// Makes sure that a file is this account's alone.
fn demand_own(file: &File, path: &Path) -> Result<(), CaError> {
    let there = file.metadata().map_err(disk::failed("examined", path))?;
    if there.mode() & 0o077 != 0 {
        return Err(HomeError::Exposed(Exposed::new(path, there.mode() & 0o7777)).into());
    }
    if !there.is_file() || there.uid() != rustix::process::geteuid().as_raw() {
        return Err(DeliveryError::NotOwn(Shown(path.to_owned())).into());
    }
    Ok(())
}

/// Makes sure that a file is a list of passphrases.
fn demand_list(file: &mut File, path: &Path) -> Result<(), CaError> {
    let length = file.metadata().map_err(disk::failed("examined", path))?.len();
    match is_list(file, length).map_err(disk::failed("read", path))? {
        true => Ok(()),
        false => Err(DeliveryError::NoList(Shown(path.to_owned())).into()),
    }
}

/// How much of a list is looked at from each end. A line is an address of 97 characters at most and a
/// passphrase.
const ENDS: u64 = 4096;

/// Whether passphrases may be appended to a file: it is empty, or begins and ends with a line of them. A key,
/// a ledger or a passphrase with something behind it is one no more. The middle is not read: a list of a
/// hundred thousand is appended to some hundred times.
fn is_list(file: &mut (impl Read + Seek), length: u64) -> std::io::Result<bool> {
    let mut part = |from| -> std::io::Result<Zeroizing<Vec<u8>>> {
        let mut octets = Zeroizing::new(Vec::with_capacity(ENDS as usize));
        file.seek(SeekFrom::Start(from))?;
        file.by_ref().take(ENDS).read_to_end(&mut octets)?;
        Ok(octets)
    };
    let (begin, end) = (part(0)?, part(length.saturating_sub(ENDS))?);
    let Some((b'\n', end)) = end.split_last() else {
        return Ok(length == 0);
    };
    let newline = |octet: &u8| *octet == b'\n';
    let (first, last) = (begin.split(newline).next(), end.rsplit(newline).next());
    Ok([first, last].into_iter().flatten().all(is_line))
}

/// Whether this is `ADDRESS<TAB>PASSPHRASE`.
fn is_line(line: &[u8]) -> bool {
    let text = std::str::from_utf8(line).ok();
    let halves = text.and_then(|line| line.split_once('\t'));
    halves.is_some_and(|(address, passphrase)| address.parse::<Address>().is_ok() && !passphrase.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz;

    fn append(path: &Path, text: &str) -> Result<(), CaError> {
        append_private(path, text.as_bytes(), Duration::ZERO, &mut |_| Ok(()))
    }

    #[test]
    fn passphrases_are_appended_to_passphrases_and_to_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        let line = "alice/phone\tabcd-efgh\n";
        let long = line.repeat(1000);
        append(&path, line).unwrap();
        for good in [line, "", "bob/phone\tijkl-mnop\nalice/phone\tx\n", &long] {
            std::fs::write(&path, good).unwrap();
            append(&path, line).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), good.to_owned() + line);
        }
        for bad in [
            "orbit-velvet-canyon-17",
            "orbit-velvet-canyon-17\n",
            "alice/phone\tabcd",
            "\n",
            "alice/phone abcd\n",
            "alice/phone\t\n",
            "key\nalice/phone\tabcd\n",
            "alice/phone\tabcd\nkey\n",
            &long[..long.len() - 1],
            &format!("{}\n", "x".repeat(10_000)),
        ] {
            std::fs::write(&path, bad).unwrap();
            let refused = append(&path, line);
            assert!(
                matches!(refused, Err(CaError::Delivery(DeliveryError::NoList(_)))),
                "{bad:.40}: {refused:?}"
            );
            assert_eq!(std::fs::read_to_string(&path).unwrap(), bad);
        }
    }

    #[test]
    fn a_link_that_leads_nowhere_brings_no_list_into_being() {
        let directory = tempfile::tempdir().unwrap();
        let [link, nowhere] = ["link", "nowhere"].map(|name| directory.path().join(name));
        std::os::unix::fs::symlink(&nowhere, &link).unwrap();
        let refused = append(&link, "alice/phone\tx\n");
        assert!(matches!(refused, Err(CaError::Exists(_))) && !nowhere.exists());
    }

    #[test]
    fn nothing_is_appended_to_a_list_while_another_process_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        let line = "alice/phone\tabcd-efgh\n";
        append(&path, line).unwrap();
        let other = File::open(&path).unwrap();
        other.lock().unwrap();
        let refused = append(&path, line);
        assert!(
            matches!(refused, Err(CaError::Delivery(DeliveryError::ListBusy(_)))),
            "{refused:?}"
        );
        drop(other);
        append(&path, line).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), line.repeat(2));
    }

    #[test]
    fn a_damaged_list_is_none_or_begins_and_ends_with_a_line_of_one() {
        let long = "alice/phone\tabcd-efgh\n".repeat(300);
        fuzz::damaged(&["bob/phone\tabcd-efgh\nalice/phone\tx\n", &long], |octets| {
            let is_one = is_list(&mut std::io::Cursor::new(octets), octets.len() as u64).unwrap();
            assert!(!is_one || octets.is_empty() || octets.ends_with(b"\n") && octets.contains(&b'\t'));
            is_one
        });
    }
}
