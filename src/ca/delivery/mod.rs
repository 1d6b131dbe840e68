//! Delivery of issued certificates and bundles to their recipients: into files on the operator's machine, or
//! into memory.
//!
//! Everything that can fail without harm is done before the commit, so that a certificate that is recorded is
//! also delivered.

pub mod bundle_delivery;
pub mod bundle_files;
pub mod error;
pub mod file_names;
pub mod in_memory;
pub mod output_dir;
pub mod passphrases;
pub mod path_policy;
pub mod secrets;
pub mod write;

use std::path::PathBuf;

use super::CaError;
use super::issuance::plan::Plan;
use super::session::Session;
use crate::issuer::{Chain, Signed};
use crate::key::SoftwareKey;
use crate::model::Form;
use crate::model::event::InviteCreated;
use crate::store::Committed;

/// A certificate that is signed, and that nobody has recorded or seen.
pub struct Uncommitted {
    /// The plan by which it was signed.
    pub plan: Plan,
    /// The signed certificate.
    pub signed: Signed,
    /// The device's key, where it was made here.
    pub key: Option<SoftwareKey>,
    /// The invite that hands its bundle out, signed.
    pub invited: Option<Box<InviteCreated>>,
}

/// A certificate that is in the ledger, with what it takes to hand it out.
pub struct Undelivered {
    /// The plan by which it was signed.
    pub plan: Plan,
    /// The recorded certificate.
    pub committed: Committed,
    /// The device's key, where it was made here.
    pub key: Option<SoftwareKey>,
}

/// The proof that a certificate was delivered and is in its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The files, the bundle or certificate first.
    pub files: Vec<PathBuf>,
    /// SHA-256 of the bundle, where there is one: for the ledger.
    pub bundle_sha256: Option<[u8; 32]>,
}

/// Hands certificates, and the keys that were made with them, over to the people they are for.
///
/// For each batch the methods are called in the order in which they stand here, but for `expect`, which is
/// about a later one. The certificates are recorded between `prepare` and `deliver`. If the process is killed
/// after that, and before the ledger has recorded the delivery, they stay undelivered; the same command, run
/// again, issues new ones in their place.
pub trait Delivery {
    /// Does what takes long and needs neither the home nor what will be signed, for bundles of these forms:
    /// before the lock is taken.
    ///
    /// # Errors
    /// Where no bundle can be made so.
    fn warm_up(&mut self, _forms: &[Form]) -> Result<(), CaError> {
        Ok(())
    }

    /// Begins in the background what takes long of bundles of these forms, which are asked for later.
    ///
    /// # Errors
    /// Where what was begun before cannot be made.
    fn expect(&mut self, _forms: &[Form]) -> Result<(), CaError> {
        Ok(())
    }

    /// Does whatever can fail without harm, before anything is recorded. `chain` is the issuing CA's.
    ///
    /// # Errors
    /// Where the batch could not be delivered: nothing is recorded then.
    fn prepare(&mut self, session: &Session<'_>, chain: &Chain, batch: &[Uncommitted])
    -> Result<(), CaError>;

    /// Delivers the batch that was prepared and verifies that it arrived. Returns one receipt for each
    /// certificate, in the order of the batch.
    ///
    /// # Errors
    /// Where any of it is not there: none of it counts as delivered then.
    fn deliver(
        &mut self,
        session: &Session<'_>,
        chain: &Chain,
        batch: Vec<Undelivered>,
    ) -> Result<Vec<Receipt>, CaError>;

    /// Forgets what only a batch under way needs, once the ledger has it that all of it is delivered.
    fn finish(&mut self, _session: &Session<'_>) {}
}
