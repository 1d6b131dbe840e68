//! Delivery to the program itself: the caller gets the certificates and their keys in memory, and nothing is
//! written to a file.

use super::{Delivery, Receipt, Uncommitted, Undelivered};
use crate::ca::CaError;
use crate::ca::session::Session;
use crate::issuer::Chain;
use crate::key::SoftwareKey;
use crate::model::event::Issued;

/// Takes what is issued, with the keys that were made for it, in the order of the requests.
#[derive(Debug, Default)]
pub struct InMemory {
    /// The certificates that were delivered, each with its key where that was made here.
    pub taken: Vec<(Issued, Option<SoftwareKey>)>,
}

impl Delivery for InMemory {
    fn prepare(&mut self, _: &Session<'_>, _: &Chain, batch: &[Uncommitted]) -> Result<(), CaError> {
        self.taken.reserve(batch.len());
        Ok(())
    }

    fn deliver(
        &mut self,
        _: &Session<'_>,
        _: &Chain,
        batch: Vec<Undelivered>,
    ) -> Result<Vec<Receipt>, CaError> {
        let receipts = batch.iter().map(|_| Receipt::default()).collect();
        let taken = batch
            .into_iter()
            .map(|one| (one.committed.issued().clone(), one.key));
        self.taken.extend(taken);
        Ok(receipts)
    }
}
