//! What the store says of invites.

use super::{Store, StoreError};
use crate::model::event::InviteCreated;
use crate::model::{Address, Employee, Fact, InviteId, Invited};

impl Store {
    /// The invite of this name, with what has become of it.
    ///
    /// # Errors
    /// A damaged index.
    pub fn invite(&self, id: &InviteId) -> Result<Option<Invited>, StoreError> {
        Ok(self.index.invite(id)?.map(|placed| placed.invited))
    }

    /// The invites of one device.
    ///
    /// # Errors
    /// A damaged index.
    pub fn invites_of_device(&self, address: &Address) -> Result<Vec<Invited>, StoreError> {
        self.index.invites_beginning(&format!("{address}\0"))
    }

    /// The invites of all devices of one person.
    ///
    /// # Errors
    /// A damaged index.
    pub fn invites_of_employee(&self, employee: &Employee) -> Result<Vec<Invited>, StoreError> {
        self.index.invites_beginning(&format!("{employee}/"))
    }

    /// Every invite, in no order that means anything.
    ///
    /// # Errors
    /// An error of `visit`, or a damaged index.
    pub fn invites(
        &self,
        visit: &mut dyn FnMut(Invited) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.index.invites(visit)
    }

    /// The event that created an invite, with what the issuing CA signed of it.
    ///
    /// # Errors
    /// Where the ledger does not have it where the index says.
    pub fn invite_created(&self, id: &InviteId) -> Result<Option<InviteCreated>, StoreError> {
        let Some(placed) = self.index.invite(id)? else {
            return Ok(None);
        };
        if let Fact::InviteCreated(created) = self.ledger.event_at(placed.offset)?.fact
            && created.invite.id == *id
        {
            return Ok(Some(*created));
        }
        Err(StoreError::Index(format!("it places the invite {id} wrongly")))
    }

    /// What the issuing CA signed when an operator approved the key of an invite: a JWS in compact form.
    ///
    /// # Errors
    /// Where the ledger does not have it where the index says.
    pub fn invite_approval(&self, id: &InviteId) -> Result<Option<String>, StoreError> {
        let Some(offset) = self.index.invite(id)?.and_then(|placed| placed.approval) else {
            return Ok(None);
        };
        if let Fact::InviteApproved {
            id: of, statement, ..
        } = self.ledger.event_at(offset)?.fact
            && of == *id
        {
            return Ok(Some(statement));
        }
        Err(StoreError::Index(format!(
            "it places the approval of the invite {id} wrongly"
        )))
    }
}
