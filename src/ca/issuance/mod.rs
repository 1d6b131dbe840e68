//! Carrying out plans: keys, signatures, one commit, bundles on disk, and the event that says they are there.
//!
//! Whatever moment a kill comes at, the same command again ends with a bundle that opens: before the commit
//! nothing has happened; after it the certificate is *undelivered* until its bundle lies under its final
//! name, synced and read back, and is revoked and replaced by the next try.

pub mod batch;
pub mod canary;
pub mod plan;
pub mod remembered;
pub mod roster;

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::delivery::bundle_files::{Codes, Ready, RootInProfile, Secret, Workshop};
use super::delivery::output_dir::{Outbox, put_in_place, with_extension};
use super::delivery::passphrases::{Handover, store_passphrases};
use super::delivery::path_policy::demand_elsewhere;
use super::publishing::owed::end_list;
use super::session::Session;
use super::{OperateError, recording};
use crate::bundle::MobileConfig;
use crate::disk;
use crate::issuer::{Devices, Order, Signed};
use crate::key::{Passphrase, PublicKey, SoftwareKey, os_rng};
use crate::model::draft::Remark;
use crate::model::event::{Issued, KeySource};
use crate::model::{Address, Fact, Form, Platform, Reason, Serial, Status, Validity};
use crate::store::Committed;
use crate::x509::pem;
use plan::{KeyRequest, Plan, Request};

/// A certificate that was issued, and where it lies.
#[derive(Debug, Clone)]
pub struct Issuance {
    /// Whose.
    pub address: Address,
    /// Its serial number.
    pub serial: Serial,
    /// When it is good.
    pub validity: Validity,
    /// What it was made for.
    pub platform: Platform,
    /// The bundle's form; none where the device made its own key.
    pub form: Option<Form>,
    /// The files, the bundle or certificate first.
    pub files: Vec<PathBuf>,
    /// What policy changed of what was asked for.
    pub remarks: Vec<Remark>,
    /// What it replaces.
    pub supersedes: Vec<Serial>,
    /// How many certificates of the device were revoked because their bundles were lost.
    pub lost: usize,
}

/// How bundles are handed out.
pub struct Delivery<'a> {
    /// Where the files go.
    pub outbox: &'a mut Outbox,
    /// Where the passphrases come from, and go.
    pub passphrases: Handover<'a>,
    /// Whether QR codes of the bundles are drawn.
    pub codes: Codes,
    /// Whether an Apple profile asks to trust the root.
    pub root: RootInProfile,
}

/// Carries out plans that were made in this session, as one batch.
///
/// # Errors
/// Before the commit: nothing happened. After it: [`OperateError::Undelivered`], and the same command again
/// finishes the work.
pub fn carry_out(
    session: &mut Session<'_>,
    issuing: &Devices,
    plans: Vec<Plan>,
    delivery: &mut Delivery<'_>,
) -> Result<Vec<Issuance>, OperateError> {
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(file) = delivery.passphrases.file() {
        demand_elsewhere(file, &session.desk.home)?;
    }
    let generated = !matches!(delivery.passphrases, Handover::Chosen(_));
    let signed: Vec<(Signed, Option<Secret>)> = plans
        .par_iter()
        .map(|plan| sign(issuing, plan, generated))
        .collect::<Result<_, _>>()?;
    let mut stems = Vec::with_capacity(plans.len());
    for (plan, (signed, _)) in plans.iter().zip(&signed) {
        stems.push(delivery.outbox.stem(plan.address(), signed.serial())?);
    }
    if let Some(file) = delivery.passphrases.file() {
        delivery.outbox.demand_apart(file, &stems)?;
    }
    let _at_work = delivery.outbox.at_work();
    delivery.outbox.prove(plans.len())?;
    delivery.outbox.tidy(&stems);
    let workshop = Workshop {
        chain: issuing.chain(),
        template: session
            .desk
            .home
            .template("mobileconfig.plist", MobileConfig::TEMPLATE)?,
        codes: delivery.codes,
        root: delivery.root,
    };
    signed
        .par_iter()
        .try_for_each(|(signed, _)| workshop.rehearse(signed.issued()))?;
    let stored = store_passphrases(session, &delivery.passphrases, &plans, &signed)?;

    let facts = plans.iter().flat_map(Plan::facts).collect();
    let (signed, secrets): (Vec<Signed>, Vec<Option<Secret>>) = signed.into_iter().unzip();
    let committed = session.commit_signed(facts, signed)?;

    let undelivered = |error| OperateError::Undelivered(Box::new(error));
    let deliver = || -> Result<Vec<Ready>, OperateError> {
        let chosen = match &delivery.passphrases {
            Handover::Chosen(passphrase) => Some(passphrase),
            Handover::Shown(_) | Handover::File(_) | Handover::List(_) => None,
        };
        let ready: Vec<Ready> = committed
            .par_iter()
            .zip(&secrets)
            .zip(&stems)
            .map(|((committed, secret), stem)| workshop.assemble(committed, secret.as_ref(), chosen, stem))
            .collect::<Result<_, _>>()?;
        put_in_place(&delivery.outbox.directory, &ready, stored)?;
        if let Handover::Shown(show) = &mut delivery.passphrases {
            for (plan, secret) in plans.iter().zip(&secrets) {
                if let Some(passphrase) = secret.as_ref().and_then(|secret| secret.passphrase.as_ref()) {
                    // A bundle whose passphrase nobody saw is not delivered.
                    show(plan.address(), passphrase)
                        .map_err(disk::failed("written", Path::new("/dev/tty")))?;
                }
            }
        }
        Ok(ready)
    };
    let ready = deliver().map_err(undelivered)?;
    let events = committed
        .iter()
        .zip(&plans)
        .zip(&ready)
        .flat_map(|((c, plan), ready)| delivered(c, plan, ready));
    session
        .commit(events.collect())
        .map_err(recording("that it was delivered"))
        .map_err(undelivered)?;
    if matches!(delivery.passphrases, Handover::List(_)) {
        end_list(&session.desk.home);
    }
    let issuances = committed.into_iter().zip(plans).zip(ready);
    Ok(issuances
        .map(|((committed, plan), ready)| issuance(committed.issued(), plan, ready))
        .collect())
}

/// Writes the certificate of a device's own key once more, where that key has a valid one: the same request
/// again after a kill, or after the file was lost.
///
/// # Errors
/// Where it cannot be written.
pub fn hand_out_again(
    session: &Session<'_>,
    request: &Request,
    outbox: &mut Outbox,
) -> Result<Option<Issuance>, OperateError> {
    let KeyRequest::Own(public_key) = &request.key else {
        return Ok(None);
    };
    let history = session.store.device(&request.holder.address)?;
    let same = history.iter().rev().find(|record| {
        record.status(session.now) == Status::Valid && record.spki_sha256 == public_key.spki_sha256()
    });
    let Some(record) = same else { return Ok(None) };
    let Some(issued) = session.store.issued(record)? else {
        return Ok(None);
    };
    let chain = session.desk.home.chain();
    let text = pem::encode(pem::CERTIFICATE, &issued.certificate) + &chain.ca().pem();
    let place = with_extension(&outbox.stem(&record.address, record.serial)?, "crt");
    disk::create_private(&place, text.as_bytes())?;
    Ok(Some(Issuance {
        address: issued.address,
        serial: issued.serial,
        validity: issued.validity,
        platform: issued.platform,
        form: None,
        files: vec![place],
        remarks: Vec::new(),
        supersedes: Vec::new(),
        lost: 0,
    }))
}

fn sign(issuing: &Devices, plan: &Plan, generated: bool) -> Result<(Signed, Option<Secret>), OperateError> {
    let rng = &mut os_rng();
    let order = |public_key: &PublicKey, source, rng: &mut _| {
        let order = Order {
            draft: plan.draft.clone(),
            public_key,
            source,
            supersedes: plan.supersedes.clone(),
        };
        issuing.sign(order, rng)
    };
    match &plan.key {
        KeyRequest::Own(public_key) => Ok((order(public_key, KeySource::Request, rng)?, None)),
        KeyRequest::Bundle(form) => {
            let key = SoftwareKey::generate(rng);
            let signed = order(key.public_key(), KeySource::Bundle { p12: *form }, rng)?;
            let passphrase = generated.then(|| Passphrase::generate(rng));
            Ok((signed, Some(Secret { key, passphrase })))
        }
    }
}

/// What is recorded once the files are there.
fn delivered(committed: &Committed, plan: &Plan, ready: &Ready) -> Vec<Fact> {
    let issued = committed.issued();
    let mut facts = Vec::new();
    match (issued.key, ready.files.first()) {
        (KeySource::Bundle { .. }, Some((_, bundle))) => facts.push(Fact::Delivered {
            serial: issued.serial,
            sha256: HEXLOWER.encode(&Sha256::digest(bundle)),
            supersedes: issued.supersedes.clone(),
        }),
        (KeySource::Request, _) | (_, None) => {}
    }
    facts.extend(plan.retires.iter().map(|serial| Fact::Revoked {
        serial: *serial,
        address: Some(issued.address.clone()),
        reason: Reason::Replaced,
        since: None,
    }));
    facts
}

fn issuance(issued: &Issued, plan: Plan, ready: Ready) -> Issuance {
    Issuance {
        address: issued.address.clone(),
        serial: issued.serial,
        validity: issued.validity,
        platform: issued.platform,
        form: match issued.key {
            KeySource::Bundle { p12 } => Some(p12),
            KeySource::Request => None,
        },
        files: ready.files.into_iter().map(|(path, _)| path).collect(),
        remarks: plan.draft.remarks().to_vec(),
        supersedes: plan.supersedes,
        lost: plan.lost.len(),
    }
}
