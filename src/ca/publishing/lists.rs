//! Makes the lists of accepted certificates for a publication: complete ones, or short ones with the changes
//! since the complete ones were written.
//!
//! Up to [`FEW`] certificates, the lists are written complete each time. Above that number, a change writes
//! only what has changed since the lists were last written complete, and the next `pki publish` writes them
//! complete again. What the index remembers of the complete lists is trusted only where each place has
//! exactly those.

use super::targets::{Place, Role, destinations};
use crate::ca::CaError;
use crate::ca::expiry::Near;
use crate::ca::session::Session;
use crate::home::Home;
use crate::model::{Record, Serial, Time};
use crate::publish::{ALLOWED, Accepted, AcceptedLists, Area, DEVICES, FEW, File, Hashes, Publication};
use crate::store::{Content, LastLists, Store, StoreError};

/// The extent to which a publication writes the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extent {
    /// Only what has changed, where the lists are long.
    #[default]
    Changes,
    /// The complete lists. Every file that is installed in a place is read.
    Whole,
}

impl Extent {
    /// The hashes of files that are trusted without reading the files.
    pub(super) fn hashes(self, session: &Session<'_>) -> Result<Hashes, CaError> {
        let now: Time = (session.desk.clock)();
        Ok(match self {
            Self::Changes => Hashes::remembered(now, session.store.file_hashes()?),
            Self::Whole => Hashes::unknown(now),
        })
    }
}

/// What lists are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// They are written where others stand.
    Write,
    /// They are compared with those that stand: whatever there is of them, it takes no memory.
    Compare,
}

/// The lists of certificates that servers are to accept; and, where all records were read for it, those of
/// them that expire soon.
///
/// # Errors
/// Where the ledger or the home cannot be read.
pub(super) fn accepted<'p>(
    session: &Session<'_>,
    places: impl IntoIterator<Item = &'p Place>,
    extent: Extent,
    purpose: Purpose,
) -> Result<(AcceptedLists, Option<Near>), CaError> {
    let lists = places.into_iter().filter(|place| place.to.area == Area::Server);
    let places: Vec<&Place> = lists.filter(|place| place.role != Role::Source).collect();
    match extent {
        Extent::Changes => match changes(session, &places)? {
            Some(changes) => Ok((changes, None)),
            None => whole(session, &places, purpose),
        },
        Extent::Whole => whole(session, &places, purpose),
    }
}

/// Whether the home's own publication has short lists beside long ones.
///
/// # Errors
/// Where it cannot be read.
pub fn has_short_lists(home: &Home) -> Result<bool, CaError> {
    let (places, _) = destinations(home, &Hashes::default())?;
    staging_has_short_lists(&places)
}

/// Whether the home's own publication, one of these places, has short lists beside long ones.
pub(super) fn staging_has_short_lists(places: &[Place]) -> Result<bool, CaError> {
    let mut own = places.iter().filter(|place| place.is_staging());
    let own = own.find(|place| place.to.area == Area::Server);
    let has = own.map(|place| place.to.has_short_lists()).transpose()?;
    Ok(has.unwrap_or(false))
}

/// What the shared keys of devices follow from, where the home has such keys.
struct Firsts<'a>(Option<&'a Store>);

impl<'a> Firsts<'a> {
    fn of(session: &'a Session<'_>) -> Result<Self, CaError> {
        let has_some = !session.store.hmac_hosts()?.is_empty();
        Ok(Self(has_some.then_some(&session.store)))
    }

    fn of_device(&self, record: &Record) -> Result<Option<Serial>, StoreError> {
        match self.0 {
            Some(store) => store.first_since_revocation(&record.address),
            None => Ok(None),
        }
    }
}

fn changes(session: &Session<'_>, places: &[&Place]) -> Result<Option<AcceptedLists>, CaError> {
    let Some(last) = session.store.last_lists()? else {
        return Ok(None);
    };
    for place in places {
        match place.to.holds_lists(&last) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            // A place that cannot be read is told when it cannot be written.
            Err(_) => {}
        }
    }
    let Some(changed) = session.store.changed_since_lists(FEW)? else {
        return Ok(None);
    };
    let firsts = Firsts::of(session)?;
    let mut accepted = Accepted::new(session.now);
    for one in &changed {
        accepted.take_changed(one, firsts.of_device(&one.record)?);
    }
    Ok(Some(AcceptedLists::Recent(last, accepted)))
}

fn whole(
    session: &Session<'_>,
    places: &[&Place],
    purpose: Purpose,
) -> Result<(AcceptedLists, Option<Near>), CaError> {
    let mut accepted = match purpose {
        Purpose::Write => Accepted::new(session.now),
        Purpose::Compare => Accepted::compared(session.now),
    };
    let mut near = Near::new(session.desk.home.config().warn_before);
    let firsts = Firsts::of(session)?;
    session.store.unrevoked(&mut |record| {
        accepted.take(&record, firsts.of_device(&record)?);
        near.see(&record, session.now);
        Ok(())
    })?;
    // Servers look for short lists wherever there were some, by whatever this home knows of that. A place
    // that cannot be read is told when it cannot be written.
    let had_recent = session.store.had_long_lists()?
        || places
            .iter()
            .any(|place| place.to.has_short_lists().unwrap_or_default());
    Ok((AcceptedLists::whole(accepted, had_recent), Some(near)))
}

/// Remembers the hashes of long files that are installed; and the lists of a publication that was written
/// complete, where these are long.
pub(super) fn remember(
    session: &mut Session<'_>,
    publication: &Publication,
    is_long: Option<bool>,
    hashes: &Hashes,
) {
    let content = |path| {
        let file: &File = publication
            .files(Area::Server)
            .iter()
            .find(|file| file.path == path)?;
        let (size, sha256) = (file.size, file.sha256);
        Some(Content { size, sha256 })
    };
    if let Some(is_long) = is_long {
        let lists = content(ALLOWED).zip(content(DEVICES)).filter(|_| is_long);
        let lists = lists.map(|(allowed, devices)| LastLists { allowed, devices });
        session.store.remember_lists(lists.as_ref());
    }
    session.store.remember_file_hashes(&hashes.asked());
}
