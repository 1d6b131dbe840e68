//! Brings the publication up to date with the ledger.

pub mod areas;
pub mod crl;
pub mod doubt;
pub mod lists;
pub mod error;
mod firsts;
mod history;
pub mod owed;
pub mod pending;
pub mod pin_sets;
pub mod published;
pub mod reached;
pub mod reconcile;
mod refresh;
mod restored;
pub mod root_crl;
pub mod signed_before;
pub mod targets;

use std::path::{Path, PathBuf};

use super::expiry::Near;
use super::residence::Copied;
use super::session::Session;
use super::{CaError, PublishingError};
use crate::disk::{DiskError, Shown};
use crate::home::Home;
use crate::home::config::{Config, PublishTo};
use crate::issuer::{self, Devices};
use crate::model::{Fact, Host, InviteId, Serial, Time};
use crate::publish::{Area, Hashes, Rejected, TargetError, Told};
use crl::SignedCrl;
use doubt::Doubts;
use lists::Extent;
use owed::{Following, Owed};
use reconcile::Sources;
use refresh::refresh_once;
use targets::{Failed, Place, destinations};

/// The outcome of a refresh.
#[derive(Debug)]
pub enum Refresh {
    /// Something must be signed, and no key was given. Nothing was published.
    NeedsKey,
    /// Every place has the publication, or is named with what went wrong there.
    Done(Box<Published>),
}

/// The result of a publication.
#[derive(Debug, Default)]
pub struct Published {
    /// The areas that were written, each with its manifest's number.
    pub written: Vec<(Area, u64)>,
    /// The CRL that was signed.
    pub crl: Option<SignedCrl>,
    /// Certificates that only a published CRL knew as revoked, and that are recorded as such now.
    pub adopted: usize,
    /// Servers' certificates whose keys are given up, which only a published CRL knew, each with its server
    /// where the ledger knows it.
    pub given_up: Vec<(Serial, Option<Host>)>,
    /// Certificates that only a published list knew, and that are recorded now.
    pub recovered: Vec<Told>,
    /// The invites that were open, and are cancelled because the ledger has lost what has become of them.
    pub invites: Vec<InviteId>,
    /// The information that places had and the ledger may not have. It is reported until the operator says
    /// what it means.
    pub doubts: Doubts,
    /// Whether the operator has said by now that it means nothing.
    pub is_confirmed: bool,
    /// The reason for which nothing was published outside of the home, where it may be a copy of one that is
    /// in use.
    pub withheld: Option<Copied>,
    /// The certificates that expire soon or have expired, as far as `pki.toml` wants them reported. They are
    /// known where all records were read.
    pub(super) near: Option<Near>,
    /// The work that is still owed, from before as well.
    pub(super) owed: Owed,
    /// The places beside the home that were written.
    pub changed: Vec<PathBuf>,
    /// The commands of pki.toml to run now that these places were written, or that failed after an earlier
    /// write.
    pub commands: Vec<Following>,
    /// The places that could not be written.
    pub failed: Vec<(Shown, TargetError)>,
    /// Whether the lists of devices have become long: from now on there are short ones beside them.
    pub has_long_lists_now: bool,
    /// Whether the long lists of devices stay as they are until the next `pki publish`.
    pub leaves_long_lists: bool,
    /// The reason for which servers do not accept the root's CRL, where they do not.
    pub root_crl_unfit: Option<Rejected>,
    /// The end of the root's CRL.
    pub root_crl_end: Option<Time>,
    /// The validity of the issuing CA's CRL: its start and its end.
    pub issuing_crl: Option<(Time, Time)>,
    /// The number of the pin sets that were signed.
    pub pins: Option<u64>,
    /// The error for which it could not be noted which places have the pins.
    pub unnoted: Option<DiskError>,
    /// Whether the published pin sets are later than what the ledger knows. They are left as they are.
    pub pins_ahead: bool,
    /// When the backup was made that this home was restored from, where it is not reconciled: then nothing
    /// was published.
    pub unreconciled: Option<Time>,
    /// That a restored home was reconciled, with what.
    pub reconciled: Option<Fact>,
}

impl Published {
    /// This and what a first try had done before it, which is told as well.
    fn after(self, first: Self) -> Self {
        Self {
            written: [first.written, self.written].concat(),
            crl: first.crl.or(self.crl),
            adopted: first.adopted + self.adopted,
            given_up: [first.given_up, self.given_up].concat(),
            recovered: [first.recovered, self.recovered].concat(),
            invites: [first.invites, self.invites].concat(),
            changed: [first.changed, self.changed].concat(),
            pins: first.pins.or(self.pins),
            reconciled: first.reconciled.or(self.reconciled),
            ..self
        }
    }
}

/// The keys that are at hand to sign a publication with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keys<'a> {
    /// The issuing CA: its CRL, the manifests, the pin sets.
    pub issuing: Option<&'a Devices>,
    /// The servers' CA: its CRL.
    pub servers: Option<&'a issuer::Servers>,
}

impl<'a> From<&'a Devices> for Keys<'a> {
    fn from(issuing: &'a Devices) -> Self {
        Self {
            issuing: Some(issuing),
            servers: None,
        }
    }
}

/// Brings every place of the publication up to date. Signs a new CRL where an entry was added or removed or
/// half of the last one's life is over, and only then; what has not changed is not written. A CRL of the
/// servers' CA that is due waits until that CA's key is at hand: until then its last one stands.
///
/// # Errors
/// Where the publication cannot be made or does not pass its checks. A place that cannot be written is
/// reported in the outcome.
pub fn refresh(session: &mut Session<'_>, keys: Keys<'_>) -> Result<Refresh, CaError> {
    refresh_within(session, keys, Scope::default())
}

/// The scope of a refresh, beside the ledger and the places.
#[derive(Default)]
pub struct Scope<'a> {
    /// The one place to write, beside the home's own; none: all of them.
    pub only: Option<&'a Path>,
    /// The publications and CRLs that the operator hands in to be taken in.
    pub sources: Sources,
    /// Whether the operator says that places which have lost their publication do not mean that the home is
    /// from an older backup.
    pub is_current: bool,
    /// What a restored home need not know.
    pub given_up: &'a [String],
    /// The extent to which the lists of devices are written.
    pub extent: Extent,
}

/// Like [`refresh`], limited to `scope`. Places outside of it are still read, so that no number that is
/// published anywhere is used again.
///
/// # Errors Where the publication cannot be made or does not pass its checks, and where pki.toml does not
/// name the place of `scope.only`.
pub fn refresh_within(
    session: &mut Session<'_>,
    keys: Keys<'_>,
    scope: Scope<'_>,
) -> Result<Refresh, CaError> {
    let Scope {
        only,
        is_current,
        given_up,
        ..
    } = scope;
    let first = match refresh_once(session, keys, scope) {
        Ok(Refresh::Done(first)) if first.failed.iter().any(|(_, why)| why.is_gone()) => first,
        Err(CaError::Target(why)) if why.is_gone() => Box::default(),
        other => return other,
    };
    // A long list that was there a moment ago is written again, with all others: nobody who is locked out
    // waits for the next `pki publish`.
    let whole = Scope {
        only,
        is_current,
        given_up,
        extent: Extent::Whole,
        sources: Sources::default(),
    };
    Ok(match refresh_once(session, keys, whole)? {
        Refresh::Done(second) => Refresh::Done(Box::new(second.after(*first))),
        // What the first try has written is owed by now: whoever comes with the key, or without, runs it.
        Refresh::NeedsKey => Refresh::NeedsKey,
    })
}

/// The places of the publication. One that holds the publication of another devices' CA, or the other area of
/// this one, is not among them.
pub(super) fn own_places(home: &Home, hashes: &Hashes) -> Result<(Vec<Place>, Vec<Failed>), CaError> {
    let (places, mut failed) = destinations(home, hashes)?;
    let mut own = Vec::new();
    for place in places {
        match place.to.demand_own() {
            Ok(()) => own.push(place),
            Err(error) => failed.push((Shown(place.to.path), error)),
        }
    }
    Ok((own, failed))
}

fn demand_target(config: &Config, directory: &Path) -> Result<(), CaError> {
    let mut named = config.publish.iter().flat_map(PublishTo::places);
    if named.any(|named| named.name() == directory) {
        Ok(())
    } else {
        Err(PublishingError::NoTarget(Shown(directory.to_owned())).into())
    }
}
