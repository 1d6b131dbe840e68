//! The canary of `check` and its control: issued like any device's certificate, by the one path, and revoked
//! by the same command.

use crate::ca::OperateError;
use crate::ca::session::Session;
use crate::issuer::{Devices, Order};
use crate::key::{SoftwareKey, os_rng};
use crate::model::event::KeySource;
use crate::model::{Address, Draft, Serial, Validity};

/// A certificate that is made to be shown to a server and revoked. Its key is in memory alone.
#[derive(Debug)]
pub struct Canary {
    /// Its serial number.
    pub serial: Serial,
    /// When it is good.
    pub validity: Validity,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: SoftwareKey,
}

/// A canary, and the control that stays good while the canary is revoked.
#[derive(Debug)]
pub struct Canaries {
    /// To be revoked, and refused then.
    pub canary: Canary,
    /// To be let in all the same.
    pub control: Canary,
    /// To be shown once it has ended, which is a second later.
    pub ended: Option<Canary>,
}

/// Whether a certificate is wanted that ends at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is.
    Wanted,
    /// It is not.
    Unwanted,
}

/// Issues a canary and its control, and records both at once. They need no bundles: who has the key has the
/// certificate, and nobody else ever will.
///
/// # Errors
/// Where policy refuses, or it cannot be recorded.
pub fn issue_canaries(
    session: &mut Session<'_>,
    issuing: &Devices,
    ending: Ending,
) -> Result<Canaries, OperateError> {
    let rng = &mut os_rng();
    let names = session.desk.home.config().names;
    let mut keys = Vec::new();
    let mut signed = Vec::new();
    let issuer = issuing.chain().issuer();
    let mut drafts = Vec::new();
    for address in [Address::canary(), Address::control()] {
        drafts.push(Draft::canary(address, issuer, names, session.now)?);
    }
    if ending == Ending::Wanted {
        drafts.push(Draft::ended_canary(issuer, names, session.now)?);
    }
    for draft in drafts {
        let key = SoftwareKey::generate(rng);
        let order = Order {
            draft,
            public_key: key.public_key(),
            source: KeySource::Request,
            supersedes: Vec::new(),
        };
        signed.push(issuing.sign(order, rng)?);
        keys.push(key);
    }
    let committed = session.commit_signed(Vec::new(), signed)?;
    let mut issued = committed.into_iter().zip(keys).map(|(certificate, key)| {
        let issued = certificate.issued().clone();
        Canary {
            serial: issued.serial,
            validity: issued.validity,
            certificate: issued.certificate,
            key,
        }
    });
    let mut next = || issued.next().expect("a commit gives back what it took");
    Ok(Canaries {
        canary: next(),
        control: next(),
        ended: issued.next(),
    })
}
