//! The history of the ledger in the servers' half: the one that stands, and the checkpoint that comes to it
//! whenever that half is signed.
//!
//! A checkpoint is of the ledger as it was before the publication is recorded in it. One that stands under a
//! manifest which the ledger has recorded is this ledger's, and is taken as it is. Where it is not there, or
//! the manifest is another, the history is made anew from the ledger: what stands, as far as the ledger has
//! it, and a checkpoint for each publication that is recorded.
//!
//! Where a place has a history of what this ledger has lost, that one stays, and the checkpoint that comes to
//! it cites its last one: whoever has seen either goes on from there.

use std::collections::BTreeMap;

use super::targets::Place;
use crate::ca::CaError;
use crate::ca::session::Session;
use crate::issuer::Devices;
use crate::model::{Fact, Time};
use crate::publish::{Area, Checkpoint, End, HISTORY, History, Line};
use crate::store::Extent;

/// The history that stands in the home's own servers' half, octet by octet, where its manifest has one.
pub(super) fn standing(places: &[Place]) -> Option<Vec<u8>> {
    // A place that cannot be read is told when it cannot be written.
    own(places)?.to.history().ok().flatten()
}

/// The history with a checkpoint of the ledger as it stands now.
///
/// # Errors
/// Where the ledger cannot be read, or the checkpoint cannot be signed.
pub(super) fn grown(session: &Session<'_>, places: &[Place], issuing: &Devices) -> Result<Vec<u8>, CaError> {
    let standing = standing(places).and_then(|octets| History::read(&octets).ok());
    let own = own(places);
    let manifest = own.and_then(|place| place.to.manifest_sha256().ok().flatten());
    let recorded = session.store.last_publication()?.server_manifest;
    let signing = Signing { session, issuing };
    let history = match standing {
        Some(history) if manifest == recorded => history,
        // A version that kept none has published this one: the history begins now.
        None if manifest.is_some() && manifest == recorded && lists_none(own) => History::default(),
        standing => signing.anew(standing.unwrap_or_default())?,
    };
    let Extent { events, head, .. } = session.store.extent();
    let end = End { events, head };
    let Some(lost) = signing.lost(places, &history, recorded) else {
        return Ok(history.and(signing.checkpoint(end, session.now, None)?).text());
    };
    // Servers have seen what stands in either: the first of this ledger's that the other lacks cites it.
    let cites = lost.last().map(|last| last.end);
    let known = history.since(&lost).iter();
    let mut ends: Vec<(End, Time)> = known
        .map(|line| (line.checkpoint.end, line.checkpoint.made))
        .collect();
    ends.push((end, session.now));
    let mut whole = lost;
    for (i, (end, made)) in ends.into_iter().enumerate() {
        whole = whole.and(signing.checkpoint(end, made, cites.filter(|_| i == 0))?);
    }
    Ok(whole.text())
}

/// The home's own servers' half.
fn own(places: &[Place]) -> Option<&Place> {
    let mut own = places.iter().filter(|place| place.is_staging());
    own.find(|place| place.to.area == Area::Server)
}

/// Whether a place has a manifest that lists no history.
fn lists_none(place: Option<&Place>) -> bool {
    let manifest = place.and_then(|place| place.to.manifest().ok().flatten());
    manifest.is_some_and(|manifest| manifest.listed(HISTORY).is_none())
}

struct Signing<'a> {
    session: &'a Session<'a>,
    issuing: &'a Devices,
}

impl Signing<'_> {
    /// The history in a place that knows of a later ledger than this one, or of another: this home was
    /// restored from an older backup. What the lists say that stand beside it was taken in by now.
    fn lost(&self, places: &[Place], own: &History, recorded: Option<[u8; 32]>) -> Option<History> {
        let signer = self.issuing.chain().ca().public_key();
        let home = self.session.store.home().ok()?;
        let others = places.iter().filter(|place| place.to.area == Area::Server);
        let others =
            others.filter(|place| !matches!(place.to.manifest_sha256(), Ok(sha256) if sha256 == recorded));
        // A place that cannot be read is told when it cannot be written.
        let histories = others.filter_map(|place| History::read(&place.to.history().ok()??).ok());
        let lost = histories.filter(|history| {
            let last = history.last().filter(|last| last.home == home);
            last.is_some_and(|last| !own.continues(last.end))
                && history.lines().iter().all(|line| line.is_signed_by(signer))
        });
        lost.max_by_key(|history| history.last().map(|last| last.end.events))
    }

    fn checkpoint(&self, end: End, made: Time, cites: Option<End>) -> Result<Line, CaError> {
        let checkpoint = Checkpoint {
            version: 1,
            home: self.session.store.home()?,
            end,
            made,
            cites,
        };
        Ok(Line {
            jws: self
                .issuing
                .sign_statement(Checkpoint::TYPE, &checkpoint.text())?,
            checkpoint,
        })
    }

    /// The history by the ledger: the lines of `before` that it has and the CA has signed, and a checkpoint
    /// before each publication.
    fn anew(&self, before: History) -> Result<History, CaError> {
        let signer = self.issuing.chain().ca().public_key();
        let mut before: BTreeMap<u64, Line> = before
            .lines()
            .iter()
            .filter(|line| line.is_signed_by(signer))
            .map(|line| (line.checkpoint.end.events, line.clone()))
            .collect();
        let mut ends: Vec<(End, Time)> = Vec::new();
        let mut lines = Vec::new();
        let mut last: Option<(End, Time)> = None;
        self.session.store.chain(&mut |linked| {
            let event = linked.event;
            if let (Fact::Published { .. }, Some(last)) = (&event.fact, last) {
                ends.push(last);
            }
            let end = End {
                events: event.seq,
                head: linked.sha256,
            };
            let line = before.remove(&event.seq);
            lines.extend(line.filter(|line| line.checkpoint.end == end));
            last = Some((end, event.time));
            Ok(())
        })?;
        // Only as many are signed as stay.
        let newest = ends.len().saturating_sub(History::KEPT);
        for (end, made) in ends.into_iter().skip(newest) {
            if lines.iter().all(|line: &Line| line.checkpoint.end != end) {
                lines.push(self.checkpoint(end, made, None)?);
            }
        }
        Ok(History::of(lines).thinned())
    }
}
