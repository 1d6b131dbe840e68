//! Keeps a list of what is owed: work outside of the home that was begun and is not done yet, namely commands
//! of `[[publish]]` tables, and files of servers.
//!
//! An entry is written before the first step and struck out after the last, so that a failure or a kill in
//! between leaves it to the next `pki publish`, and to `pki doctor`. The list is no part of the ledger, which
//! says what is true and not what somebody was told: a home from an older backup has an old list, and at
//! worst does something once more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ca::note;
use crate::ca::session::{Desk, Session};
use crate::ca::{CaError, ServersError};
use crate::disk::{self, DiskError, Shown};
use crate::home::Home;
use crate::home::config::{Config, PublishTo};
use crate::model::Host;
use crate::publish::Location;

/// The file in the home. Where nothing is owed there is none.
const FILE: &str = "owed.json";

/// The list of what is owed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ca) struct Owed {
    version: u32,
    /// Places that were written, or begun, since a command of their table has last succeeded, if ever. Each
    /// has a mark of the last time, so that a command that ends does not strike out what another process has
    /// written meanwhile.
    #[serde(default)]
    places: BTreeMap<PathBuf, String>,
    /// Servers whose recorded key or certificate has not reached its file.
    #[serde(default)]
    servers: BTreeSet<Host>,
    /// The list of passphrases that was begun to be appended to, until its bundles are delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    list: Option<BegunList>,
}

/// The lines that were appended to a list of passphrases for bundles that are not delivered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ca) struct BegunList {
    path: String,
    /// The place in the list where they begin.
    pub from: u64,
    /// Their length in octets. An older version has noted neither this nor the hash.
    #[serde(default)]
    pub length: u64,
    /// Their SHA-256.
    #[serde(default)]
    sha256: String,
    /// The last event before them: what was delivered later than that is not void.
    pub seq: u64,
}

impl BegunList {
    /// Whether these are the lines. Nobody can tell where an older version has noted no hash.
    pub fn are_these(&self, lines: &[u8]) -> bool {
        self.sha256 == hash(lines)
    }
}

fn hash(lines: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(lines))
}

/// A command that is to follow what was published, and for which places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Following {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The places, each with the mark of when it was last written.
    places: BTreeMap<PathBuf, String>,
}

impl Following {
    /// The first of the places.
    pub fn place(&self) -> &Path {
        self.places.keys().next().map_or(Path::new(""), PathBuf::as_path)
    }

    /// Whether it is of the table that another one is of: no place is in two.
    pub fn takes_the_place_of(&self, other: &Self) -> bool {
        other.places.keys().any(|place| self.places.contains_key(place))
    }
}

impl Owed {
    /// The work that this home owes. Where the list cannot be read, every place is owed its command: running
    /// it once more does no harm, never running it does.
    pub fn by(home: &Home) -> Self {
        match note::read(home, FILE) {
            Ok(owed) => owed.unwrap_or_default(),
            Err(note::Unreadable) => Self::all(home.config()),
        }
    }

    fn all(config: &Config) -> Self {
        let places = config.publish.iter().flat_map(PublishTo::places);
        Self {
            places: places.map(|place| (place.name(), String::new())).collect(),
            ..Self::default()
        }
    }

    /// Writes down that these places are about to be written. Nothing is owed to a place whose servers are
    /// made to read it by something else. A place without a command is owed the command that is configured
    /// for it later: that command has never told anybody what was written before.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn begin<'a>(
        &mut self,
        home: &Home,
        places: impl Iterator<Item = &'a Path>,
    ) -> Result<(), DiskError> {
        let config = home.config();
        let is_news = |place: &&Path| match table_of(config, place) {
            Some(target) => target.command.is_some() || !self.places.contains_key(*place),
            None => false,
        };
        let owed: Vec<&Path> = places.filter(is_news).collect();
        if owed.is_empty() {
            return Ok(());
        }
        let mark = disk::random_name().map_err(disk::failed("named", home.path()))?;
        let marked = owed.into_iter().map(|place| (place.to_owned(), mark.clone()));
        self.places.extend(marked);
        self.save(home)
    }

    /// The commands that are owed, in the order of their tables: for the places that are `meant`, and were
    /// written for all that is known.
    pub fn commands(&self, config: &Config, is_meant: impl Fn(&Path) -> bool) -> Vec<Following> {
        let following = |target: &PublishTo| {
            let command = target.command.clone()?;
            let places = target.places().filter_map(|place| {
                let place = place.name();
                let mark = self.places.get(&place).filter(|_| is_meant(&place))?;
                Some((place, mark.clone()))
            });
            let places: BTreeMap<_, _> = places.collect();
            (!places.is_empty()).then_some(Following { command, places })
        };
        config.publish.iter().filter_map(following).collect()
    }

    /// Writes the list, without what pki.toml does not have any more.
    fn save(&mut self, home: &Home) -> Result<(), DiskError> {
        self.version = 1;
        // Where nobody can tell what it says, what was owed is owed on.
        if home.unread().is_none() {
            self.places
                .retain(|place, _| table_of(home.config(), place).is_some());
        }
        let is_empty = self.places.is_empty() && self.servers.is_empty() && self.list.is_none();
        note::write(home, FILE, (!is_empty).then_some(self))
    }
}

/// The table that has this place, unless something else has servers read there.
fn table_of<'a>(config: &'a Config, place: &Path) -> Option<&'a PublishTo> {
    let is_elsewhere = |target: &&PublishTo| target.command.is_none() && target.reload.is_some();
    let has = |target: &&PublishTo| target.places().any(|location| location.name() == place);
    config
        .publish
        .iter()
        .find(|target| has(target) && !is_elsewhere(target))
}

/// The commands that are owed for what was published before.
pub fn owed_commands(home: &Home) -> Vec<Following> {
    Owed::by(home).commands(home.config(), |_| true)
}

/// The places of whose publication nothing tells the servers: their table has no command and no
/// `reload = "elsewhere"`, or the command has not succeeded since they were written. Their readers must be
/// told by hand.
pub fn untold_places(home: &Home) -> Vec<Shown> {
    let owed = Owed::by(home);
    let untold = |target: &PublishTo| {
        let is_followed = target.is_followed();
        let places = target.places().map(Location::name);
        let untold = places.filter(|place| !is_followed || owed.places.contains_key(place));
        untold.map(Shown).collect::<Vec<_>>()
    };
    home.config().publish.iter().flat_map(untold).collect()
}

/// The lines in this list of passphrases whose bundles were not delivered, as far as is known: a command was
/// cut off. Another file may have got the path since.
pub(in crate::ca) fn list_begun(home: &Home, list: &Path) -> Option<BegunList> {
    let path = std::path::absolute(list).ok()?;
    let begun = Owed::by(home).list?;
    (Path::new(&begun.path) == path).then_some(begun)
}

/// Writes down that these lines are about to be appended to a list of passphrases that is `from` octets long.
/// For the holder of the lock.
///
/// # Errors
/// Where it cannot be written.
pub(in crate::ca) fn begin_list(
    session: &Session<'_>,
    list: &Path,
    from: u64,
    lines: &[u8],
) -> Result<(), DiskError> {
    let home = &session.desk.home;
    let path = std::path::absolute(list).map_err(disk::failed("located", list))?;
    let mut owed = Owed::by(home);
    // A path that is not text is not remembered: what is void then stays in its list.
    owed.list = path.to_str().map(|path| BegunList {
        path: path.to_owned(),
        from,
        length: lines.len() as u64,
        sha256: hash(lines),
        seq: session.store.seq(),
    });
    owed.save(home)
}

/// Strikes out the list: its bundles are delivered. For the holder of the lock. Where that fails, its lines
/// are looked at once more.
pub(in crate::ca) fn end_list(home: &Home) {
    let mut owed = Owed::by(home);
    if owed.list.take().is_some() {
        let _ = owed.save(home);
    }
}

/// The servers whose recorded key or certificate has not reached its file.
pub fn owed_files(home: &Home) -> Vec<Host> {
    Owed::by(home).servers.into_iter().collect()
}

/// Strikes out a command that has succeeded. What was written since it began stays: another command follows
/// that.
///
/// # Errors
/// Where the home is busy for too long, or the list cannot be written. Then the command is run once more.
pub fn settle(desk: &Desk, done: &Following) -> Result<(), CaError> {
    let home = &desk.home;
    let _lock = home.lock(desk.patience, &desk.holder)?;
    let mut owed = Owed::by(home);
    owed.places
        .retain(|place, mark| done.places.get(place) != Some(mark));
    Ok(owed.save(home)?)
}

/// Records a change of a server, and then writes its files that depend on it. Where they are not written the
/// home knows it.
///
/// # Errors
/// Where the change cannot be recorded; and [`ServersError::KeyUndelivered`] where the files cannot be
/// written.
pub(in crate::ca) fn record_and_deliver<'a, R, T>(
    session: &mut Session<'a>,
    host: &Host,
    record: impl FnOnce(&mut Session<'a>) -> Result<R, CaError>,
    write: impl FnOnce(&R) -> Result<T, CaError>,
) -> Result<(R, T), CaError> {
    let home = &session.desk.home;
    let mut owed = Owed::by(home);
    let is_new = owed.servers.insert(host.clone());
    let begun = owed.save(home).map_err(CaError::from);
    let recorded = begun.and_then(|()| record(session));
    if recorded.is_err() && is_new {
        strike_out(home, host);
    }
    let recorded = recorded?;
    let written =
        write(&recorded).map_err(|why| ServersError::KeyUndelivered(host.clone(), Box::new(why)))?;
    strike_out(home, host);
    Ok((recorded, written))
}

/// The files of a server that was recorded before are written now.
///
/// # Errors
/// Where the home is busy for too long.
pub(in crate::ca) fn delivered_at_last(desk: &Desk, host: &Host) -> Result<(), CaError> {
    if Owed::by(&desk.home).servers.contains(host) {
        let _lock = desk.home.lock(desk.patience, &desk.holder)?;
        strike_out(&desk.home, host);
    }
    Ok(())
}

/// For the holder of the lock. What cannot be struck out is told once more.
pub(in crate::ca) fn strike_out(home: &Home, host: &Host) {
    let mut owed = Owed::by(home);
    if owed.servers.remove(host) {
        let _ = owed.save(home);
    }
}
