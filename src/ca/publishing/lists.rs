//! Makes the lists of accepted certificates for a publication: complete ones, or short ones with the changes
//! since the complete ones were written.
//!
//! Up to [`FEW`] certificates, the lists are written complete each time. Above that number, a change writes
//! only what has changed since the lists were last written complete, and the next `pki publish` writes them
//! complete again. What the index remembers of the complete lists is trusted only where each place has
//! exactly those.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::targets::{Place, Role, destinations};
use crate::ca::CaError;
use crate::ca::expiry::Near;
use crate::ca::session::Session;
use crate::home::Home;
use crate::model::{Address, DeviceKey, Record, Serial, Time};
use crate::publish::{
    ALLOWED, Accepted, AcceptedLists, Area, DEVICES, FEW, File, Hashes, Publication, RECENT_DEVICES,
};
use crate::store::{Content, LastLists, Store, StoreError};
use crate::x509::Certificate;

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
        Extent::Changes => match changes(session, &places, purpose)? {
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

/// What lists say of a certificate besides its record.
struct Besides<'a> {
    store: &'a Store,
    /// The CA that has signed devices' certificates.
    ca: &'a Certificate,
    /// Whether the home has shared keys.
    has_shared_keys: bool,
    /// What the standing lists say of keys under their signed manifest; none where keys need not be proven.
    proven: Option<HashSet<Saying>>,
}

/// A few octets that stand for what a list says: which device's certificate has which key.
type Saying = [u8; 16];

fn saying(serial: Serial, address: &Address, certificate_sha256: &[u8; 32], key: &DeviceKey) -> Saying {
    let mut hash = Sha256::new();
    hash.update(serial.octets());
    hash.update(certificate_sha256);
    hash.update(key.spki());
    hash.update(address.to_string());
    let (mut few, whole) = ([0; 16], hash.finalize());
    few.copy_from_slice(&whole[..16]);
    few
}

impl<'a> Besides<'a> {
    /// `standing` are the home's own lists that are read for what they say of keys.
    fn of(
        session: &'a Session<'_>,
        places: &[&Place],
        purpose: Purpose,
        standing: &[&str],
    ) -> Result<Self, CaError> {
        let own = places.iter().find(|place| place.is_staging());
        // Lists that cannot be read prove nothing: each certificate is looked at instead.
        let told = || {
            own.and_then(|place| place.to.told_in(standing).ok())
                .unwrap_or_default()
        };
        let proven = (purpose == Purpose::Write).then(|| {
            let told = told().into_iter();
            let said = told.filter_map(|told| {
                let key = told.spki?;
                Some(saying(told.serial, &told.address, &told.certificate_sha256, &key))
            });
            said.collect()
        });
        Ok(Self {
            store: &session.store,
            ca: session.desk.home.chain().ca(),
            has_shared_keys: !session.store.hmac_hosts()?.is_empty(),
            proven,
        })
    }

    /// The record with its key, where that is proven: servers take what it signs for the device's, and the
    /// ledger alone proves nothing, because whoever can write to the home can write to it. What was listed
    /// under the CA's signature before was proven then.
    fn proven(&self, mut record: Record) -> Record {
        let (Some(proven), Some(key)) = (&self.proven, record.key) else {
            return record;
        };
        let said = saying(record.serial, &record.address, &record.certificate_sha256, &key);
        if !proven.contains(&said) && !self.is_certified(&record) {
            record.key = None;
        }
        record
    }

    /// Whether the CA has certified this key for this device by this certificate.
    fn is_certified(&self, record: &Record) -> bool {
        let issued = self.store.issued(record).ok().flatten();
        let certificate = issued.and_then(|issued| Certificate::from_der(&issued.certificate).ok());
        certificate.is_some_and(|certificate| {
            certificate.sha256() == record.certificate_sha256
                && certificate.serial() == record.serial.octets()
                && certificate.user_id() == Some(&record.address.to_string())
                && DeviceKey::from_spki(certificate.public_key().spki()) == record.key
                // What takes longest comes last.
                && certificate.is_issued_by(self.ca)
        })
    }

    /// What the device's shared keys follow from.
    fn first(&self, record: &Record) -> Result<Option<Serial>, StoreError> {
        match self.has_shared_keys {
            true => self.store.first_since_revocation(&record.address),
            false => Ok(None),
        }
    }
}

fn changes(
    session: &Session<'_>,
    places: &[&Place],
    purpose: Purpose,
) -> Result<Option<AcceptedLists>, CaError> {
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
    let besides = Besides::of(session, places, purpose, &[RECENT_DEVICES])?;
    let mut accepted = Accepted::new(session.now);
    for mut one in changed {
        one.record = besides.proven(one.record);
        let first = besides.first(&one.record)?;
        accepted.take_changed(&one, first);
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
    let besides = Besides::of(session, places, purpose, &[DEVICES, RECENT_DEVICES])?;
    session.store.unrevoked(&mut |record| {
        let record = besides.proven(record);
        accepted.take(&record, besides.first(&record)?);
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
