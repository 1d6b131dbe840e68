//! The canary of `check`: issued like any device's certificate, by the one path, and revoked by the same command.

use super::OperateError;
use super::session::Session;
use crate::authority::{Issuing, Order};
use crate::key::{SoftwareKey, os_rng};
use crate::model::event::KeySource;
use crate::model::{Draft, Serial, Validity};

/// A certificate that is made to be revoked. Its key is in memory alone.
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

/// Issues a canary and records it. It needs no bundle: who has the key has the certificate, and nobody else ever will.
///
/// # Errors
/// Where policy refuses, or it cannot be recorded.
pub fn issue_canary(session: &mut Session<'_>, issuing: &Issuing) -> Result<Canary, OperateError> {
    let rng = &mut os_rng();
    let names = session.desk.home.config().names;
    let draft = Draft::canary(issuing.chain().issuer(), names, session.now)?;
    let validity = draft.validity();
    let key = SoftwareKey::generate(rng);
    let order = Order {
        draft,
        public_key: key.public_key(),
        source: KeySource::Request,
        supersedes: Vec::new(),
    };
    let signed = issuing.sign(order, rng)?;
    let committed = session.commit_signed(Vec::new(), vec![signed])?;
    let issued = committed
        .into_iter()
        .next()
        .expect("a commit gives back what it took")
        .issued()
        .clone();
    Ok(Canary {
        serial: issued.serial,
        validity,
        certificate: issued.certificate,
        key,
    })
}
