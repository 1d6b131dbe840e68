//! Issues certificates for a list of devices. All requests are checked before the first is carried out, and
//! some hundred share one commit; after a kill, the same command finishes the rest.

use std::collections::VecDeque;
use std::slice::Chunks;

use super::plan::{Intent, Plan, Request, plan};
use super::{Issuance, issue};
use crate::ca::delivery::Delivery;
use crate::ca::session::{ClockPolicy, Desk, Session};
use crate::ca::{CaError, IssuanceError};
use crate::issuer::Devices;
use crate::model::{Address, Form};

/// The number of devices that share one commit.
pub const BATCH: usize = 256;

/// The outcome of issuing a list.
#[derive(Debug, Default)]
pub struct Tally {
    /// The certificates that were issued.
    pub issued: Vec<Issuance>,
    /// The devices that have a valid certificate already, or another one than the one that was to be renewed.
    pub already: Vec<Address>,
    /// The devices that were refused or failed, and the reasons.
    pub failed: Vec<(Address, String)>,
    /// The error that stopped the work before its end: of the home, the ledger or the disk. The batches
    /// before it are recorded and delivered; the same command again goes on from there.
    pub stopped: Option<CaError>,
}

/// Issues a certificate for each request, in their order, until something stops the work. `progress` is told
/// how many are done.
pub fn issue_all(
    desk: &Desk,
    policy: ClockPolicy,
    devices: &Devices,
    requests: &[(Request, Intent)],
    delivery: &mut dyn Delivery,
    progress: &mut dyn FnMut(usize),
) -> Tally {
    let mut tally = Tally::default();
    let session = || desk.session(policy);
    tally.stopped = issue_batches(&session, devices, requests, delivery, &mut tally, progress).err();
    tally
}

fn issue_batches<'a>(
    session: &dyn Fn() -> Result<Session<'a>, CaError>,
    devices: &Devices,
    requests: &[(Request, Intent)],
    delivery: &mut dyn Delivery,
    tally: &mut Tally,
    progress: &mut dyn FnMut(usize),
) -> Result<(), CaError> {
    let mut ahead = Ahead::of(requests);
    while !ahead.is_done() {
        ahead.look(&session()?)?;
        while let Some((chunk, found)) = ahead.seen.pop_front() {
            match found {
                FirstLook::Nothing(outcome) => {
                    tally.already.extend(outcome.already);
                    tally.failed.extend(outcome.failed);
                }
                FirstLook::Bundles(forms) => {
                    delivery.warm_up(&forms)?;
                    if let Some((_, FirstLook::Bundles(next))) = ahead.seen.front() {
                        delivery.expect(next)?;
                    }
                    let mut session = session()?;
                    let plans = look_at(&session, chunk, tally)?;
                    ahead.look(&session)?;
                    tally
                        .issued
                        .extend(issue(&mut session, devices, plans, delivery)?);
                }
            }
            progress(chunk.len());
        }
    }
    Ok(())
}

/// What a first look at the requests of a batch has found.
enum FirstLook {
    /// There is nothing to issue: this is the outcome.
    Nothing(Tally),
    /// There will be bundles of these forms.
    Bundles(Vec<Form>),
}

/// How many batches are looked at before the first of them is carried out: while one is signed and written,
/// the passphrases of the next are stretched.
const AHEAD: usize = 2;

/// The first look at the requests of a batch says which bundles there will be, the second decides: nobody
/// waits for the lock while passphrases are stretched. Where the first finds nothing to issue it has decided.
struct Ahead<'r> {
    chunks: Chunks<'r, (Request, Intent)>,
    /// The batches that were looked at and not carried out yet.
    seen: VecDeque<(&'r [(Request, Intent)], FirstLook)>,
}

impl<'r> Ahead<'r> {
    fn of(requests: &'r [(Request, Intent)]) -> Self {
        Self {
            chunks: requests.chunks(BATCH),
            seen: VecDeque::new(),
        }
    }

    /// Whether every batch was carried out.
    fn is_done(&self) -> bool {
        self.chunks.len() == 0 && self.seen.is_empty()
    }

    /// Looks at batches until enough of them wait.
    fn look(&mut self, session: &Session<'_>) -> Result<(), CaError> {
        while self.seen.len() < AHEAD
            && let Some(chunk) = self.chunks.next()
        {
            self.seen.push_back((chunk, first_look(session, chunk)?));
        }
        Ok(())
    }
}

fn first_look(session: &Session<'_>, requests: &[(Request, Intent)]) -> Result<FirstLook, CaError> {
    let mut outcome = Tally::default();
    let plans = look_at(session, requests, &mut outcome)?;
    Ok(if plans.is_empty() {
        FirstLook::Nothing(outcome)
    } else {
        FirstLook::Bundles(plans.iter().filter_map(Plan::form).collect())
    })
}

/// The plan for each request, as far as nothing is in its way.
fn look_at(
    session: &Session<'_>,
    requests: &[(Request, Intent)],
    tally: &mut Tally,
) -> Result<Vec<Plan>, CaError> {
    let mut plans = Vec::new();
    for (request, intent) in requests {
        let address = &request.holder.address;
        match plan(&session.store, &session.desk.home, request, *intent, session.now) {
            Ok(plan) => plans.push(plan),
            Err(CaError::Issuance(IssuanceError::AlreadyValid { .. })) => tally.already.push(address.clone()),
            Err(error @ (CaError::Store(_) | CaError::Home(_))) => return Err(error),
            Err(refused) => tally.failed.push((address.clone(), refused.to_string())),
        }
    }
    Ok(plans)
}
