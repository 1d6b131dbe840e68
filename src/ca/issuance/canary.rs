//! Issues the canary of `pki check` and its control. They take the same path as any device's certificate, are
//! delivered into memory, and are revoked by the same command.

use super::issue;
use super::plan::Plan;
use crate::ca::CaError;
use crate::ca::delivery::in_memory::InMemory;
use crate::ca::session::Session;
use crate::issuer::Devices;
use crate::key::SoftwareKey;
use crate::model::{Address, Draft, Serial, Validity};

/// A certificate that is made to be shown to a server and revoked. Its key is in memory alone.
#[derive(Debug)]
pub struct Canary {
    /// Its serial number.
    pub serial: Serial,
    /// Its validity period.
    pub validity: Validity,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: SoftwareKey,
}

/// A canary, and the control that stays good while the canary is revoked.
#[derive(Debug)]
pub struct Canaries {
    /// The canary, which is revoked and must be refused then.
    pub canary: Canary,
    /// The control, which must be let in all the same.
    pub control: Canary,
    /// A certificate to be shown once it has expired, which is a second later.
    pub ended: Option<Canary>,
}

/// Whether a certificate is wanted that expires at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is wanted.
    Wanted,
    /// It is not wanted.
    Unwanted,
}

/// Issues a canary and its control, and records both at once. They need no bundles: who has the key has the
/// certificate, and nobody else ever will.
///
/// # Errors
/// Where policy refuses, or it cannot be recorded.
pub fn issue_canaries(
    session: &mut Session<'_>,
    devices: &Devices,
    ending: Ending,
) -> Result<Canaries, CaError> {
    let names = session.desk.home.config().names;
    let issuer = devices.chain().issuer();
    let mut plans = Vec::new();
    for address in [Address::canary(), Address::control()] {
        plans.push(Plan::canary(Draft::canary(address, issuer, names, session.now)?));
    }
    if ending == Ending::Wanted {
        plans.push(Plan::canary(Draft::ended_canary(issuer, names, session.now)?));
    }
    let mut delivery = InMemory::default();
    issue(session, devices, plans, &mut delivery)?;
    let mut taken = delivery.taken.into_iter().map(|(issued, key)| Canary {
        serial: issued.serial,
        validity: issued.validity,
        certificate: issued.certificate,
        key: key.expect("a key is made for a canary"),
    });
    let mut next = || taken.next().expect("a delivery takes what was issued");
    Ok(Canaries {
        canary: next(),
        control: next(),
        ended: taken.next(),
    })
}
