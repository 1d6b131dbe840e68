//! Issuance: the only path to a device's certificate, whichever interface a request came through. A plan is
//! signed, the delivery prepared, all of it recorded in one commit, and then delivered.
//!
//! At whatever moment the process is killed, running the same command again ends with a bundle that opens.
//! Before the commit, nothing has happened. After it, the certificate is *undelivered* until its bundle is on
//! disk under its final name, synced and read back; the next try revokes and replaces an undelivered
//! certificate.

pub mod again;
pub mod batch;
pub mod canary;
pub mod error;
pub mod plan;
pub mod remembered;
pub mod roster;

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use rayon::prelude::*;

use super::delivery::{Delivery, Receipt, Uncommitted, Undelivered};
use super::enrollment::{handout, ids, statement};
use super::session::Session;
use super::{CaError, DeliveryError, recording};
use crate::issuer::{Devices, Order};
use crate::key::{SoftwareKey, demand_threads, os_rng};
use crate::model::draft::Remark;
use crate::model::event::{Issued, KeySource};
use crate::model::invite::{EnrolledBy, Invite};
use crate::model::{Address, Fact, Form, Platform, Reason, Serial, Validity};
use plan::{KeyRequest, Plan};

/// A certificate that was issued, and where it lies.
#[derive(Debug, Clone)]
pub struct Issuance {
    /// The device that it is for.
    pub address: Address,
    /// Its serial number.
    pub serial: Serial,
    /// Its validity period.
    pub validity: Validity,
    /// The platform that it was made for.
    pub platform: Platform,
    /// The bundle's form; none where the device made its own key.
    pub form: Option<Form>,
    /// The files, the bundle or certificate first.
    pub files: Vec<PathBuf>,
    /// The changes that policy made to what was asked for.
    pub remarks: Vec<Remark>,
    /// The certificates that it replaces.
    pub supersedes: Vec<Serial>,
    /// The number of certificates of the device that were revoked because their bundles were lost.
    pub lost: usize,
    /// The invites of the device that were cancelled with it.
    pub cancelled: Vec<Invite>,
}

/// Carries out plans that were made in this session, as one batch: the only use of the devices' CA's key for
/// certificates.
///
/// # Errors
/// Before the commit: nothing happened. After it: [`DeliveryError::Undelivered`], and the same command again
/// finishes the work.
pub fn issue(
    session: &mut Session<'_>,
    devices: &Devices,
    plans: Vec<Plan>,
    delivery: &mut dyn Delivery,
) -> Result<Vec<Issuance>, CaError> {
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    demand_threads().map_err(CaError::NoThreads)?;
    let signed: Vec<Uncommitted> = plans
        .into_par_iter()
        .map(|plan| sign(devices, plan))
        .collect::<Result<_, _>>()?;
    delivery.prepare(session, devices.chain(), &signed)?;
    let ends: Vec<_> = signed.iter().flat_map(|one| ids(&one.plan.cancels)).collect();
    let batch = commit(session, signed)?;
    handout::discard(&session.desk.home, &ends);
    let recorded: Vec<(Plan, Issued)> = batch
        .iter()
        .map(|one| (one.plan.clone(), one.committed.issued().clone()))
        .collect();
    let undelivered = |error| DeliveryError::Undelivered(Box::new(error));
    let receipts = delivery
        .deliver(session, devices.chain(), batch)
        .map_err(undelivered)?;
    let events = recorded.iter().zip(&receipts);
    let events = events.flat_map(|((plan, issued), receipt)| delivered(issued, plan, receipt));
    session
        .commit(events.collect())
        .map_err(recording("that it was delivered"))
        .map_err(undelivered)?;
    delivery.finish(session);
    let issuances = recorded.into_iter().zip(receipts);
    Ok(issuances
        .map(|((plan, issued), receipt)| issuance(&issued, plan, receipt))
        .collect())
}

/// Has the CA sign what was planned, for the device's key or for a new one.
fn sign(devices: &Devices, plan: Plan) -> Result<Uncommitted, CaError> {
    let rng = &mut os_rng();
    let (source, own) = match &plan.key {
        KeyRequest::Own(public_key) => (KeySource::Request, Some(public_key)),
        KeyRequest::InMemory => (KeySource::Request, None),
        KeyRequest::Bundle(form) => (KeySource::Bundle { p12: *form }, None),
    };
    let mut key = None;
    let public_key = match own {
        Some(own) => own,
        None => key.insert(SoftwareKey::generate(rng)).public_key(),
    };
    let order = Order {
        draft: plan.draft.clone(),
        public_key,
        source,
        supersedes: plan.supersedes.clone(),
        enrolled_by: plan.enrolled_by,
    };
    let signed = devices.sign(order, rng)?;
    let invited = match &plan.handed_out {
        Some(handed_out) => {
            let mut invite = Invite::clone(handed_out);
            invite.server_key = Some(signed.serial());
            Some(Box::new(statement::invite(devices, invite)?))
        }
        None => None,
    };
    Ok(Uncommitted {
        plan,
        signed,
        key,
        invited,
    })
}

/// Records all of it at once: only now may anybody see a certificate.
fn commit(session: &mut Session<'_>, batch: Vec<Uncommitted>) -> Result<Vec<Undelivered>, CaError> {
    let facts = batch
        .iter()
        .flat_map(|one| {
            one.plan
                .facts()
                .into_iter()
                .chain(invited(one))
                .chain(redeemed(one))
        })
        .collect();
    let mut signed = Vec::with_capacity(batch.len());
    let mut rest = Vec::with_capacity(batch.len());
    for one in batch {
        signed.push(one.signed);
        rest.push((one.plan, one.key));
    }
    let committed = session.commit_signed(facts, signed)?;
    let whole = committed.into_iter().zip(rest);
    Ok(whole
        .map(|(committed, (plan, key))| Undelivered { plan, committed, key })
        .collect())
}

/// The event that a device is invited to fetch the bundle, where it is: in the same batch, so that no kill
/// leaves one of them alone.
fn invited(one: &Uncommitted) -> Option<Fact> {
    one.invited.clone().map(Fact::InviteCreated)
}

/// The event that an invite is redeemed, where the certificate comes of one: in the same batch, so that no
/// kill leaves one of them alone.
fn redeemed(one: &Uncommitted) -> Option<Fact> {
    match one.plan.enrolled_by? {
        EnrolledBy::Invite(id) => Some(Fact::InviteRedeemed {
            id,
            serial: one.signed.serial(),
            spki: one.signed.issued().spki_sha256,
            from: None,
        }),
        EnrolledBy::Renewal(_) => None,
    }
}

/// The events that are recorded once the certificate is delivered.
fn delivered(issued: &Issued, plan: &Plan, receipt: &Receipt) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(sha256) = receipt.bundle_sha256 {
        facts.push(Fact::Delivered {
            serial: issued.serial,
            sha256: HEXLOWER.encode(&sha256),
            supersedes: issued.supersedes.clone(),
        });
    }
    // What a bundle replaces that is handed out later stays until then.
    if plan.enrolled_by.is_some() || plan.handed_out.is_some() {
        return facts;
    }
    facts.extend(plan.retires.iter().map(|serial| Fact::Revoked {
        serial: *serial,
        address: Some(issued.address.clone()),
        reason: Reason::Replaced,
        since: None,
    }));
    facts
}

fn issuance(issued: &Issued, plan: Plan, receipt: Receipt) -> Issuance {
    Issuance {
        address: issued.address.clone(),
        serial: issued.serial,
        validity: issued.validity,
        platform: issued.platform,
        form: plan.form(),
        files: receipt.files,
        remarks: plan.draft.remarks().to_vec(),
        lost: plan.lost.len(),
        cancelled: plan.cancels,
        supersedes: plan.supersedes,
    }
}
