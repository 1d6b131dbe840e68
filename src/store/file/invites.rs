//! The invites in the index: each with what has become of it, and where the ledger has what was signed.

use serde::{Deserialize, Serialize};

use super::codec::corrupt;
use super::index::{Index, key};
use super::pending::Pending;
use crate::model::invite::{Fate, Invited, RefusedKey};
use crate::model::{Event, Fact, InviteId};
use crate::store::StoreError;

const INVITE: u8 = b'j';
const OF_DEVICE: u8 = b'e';

/// An invite as the index has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct Placed {
    #[serde(flatten)]
    pub(in crate::store) invited: Invited,
    /// The offset of the event that created it.
    pub(in crate::store) offset: u64,
    /// The offset of the event that approved a key.
    pub(in crate::store) approval: Option<u64>,
}

impl Index {
    /// The invite of this name.
    pub(in crate::store) fn invite(&self, id: &InviteId) -> Result<Option<Placed>, StoreError> {
        let value = self.map.value(&place_of(id))?;
        value.map(|value| read(&value)).transpose()
    }

    /// The invites of the devices whose addresses begin so, a NUL behind a whole one.
    pub(in crate::store) fn invites_beginning(&self, prefix: &str) -> Result<Vec<Invited>, StoreError> {
        let mut ids = Vec::new();
        self.map.scan(&key(OF_DEVICE, prefix.as_bytes()), &mut |key, _| {
            let id = key
                .iter()
                .rposition(|octet| *octet == 0)
                .map(|nul| &key[nul + 1..]);
            let id = id.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
            ids.push(id.ok_or_else(|| corrupt("an invite of a device"))?);
            Ok(true)
        })?;
        let found = ids.iter().map(|id: &InviteId| {
            let placed = self.invite(id)?;
            placed
                .map(|placed| placed.invited)
                .ok_or_else(|| corrupt("an invite"))
        });
        found.collect()
    }

    /// Every invite, in no order that means anything.
    pub(in crate::store) fn invites(
        &self,
        visit: &mut dyn FnMut(Invited) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.map.scan(&[INVITE], &mut |_, value| {
            visit(read(value)?.invited)?;
            Ok(true)
        })
    }
}

impl Pending<'_> {
    /// Applies an event of an invite.
    pub(in crate::store) fn take_invite(&mut self, event: &Event, offset: u64) -> Result<(), StoreError> {
        match &event.fact {
            Fact::InviteCreated(created) => {
                let id = created.invite.id;
                // What has become of one is not undone by saying once more that it was made.
                if self.value(&place_of(&id))?.is_some() {
                    return Ok(());
                }
                let of_device = format!("{}\0{id}", created.invite.address);
                self.put(key(OF_DEVICE, of_device.as_bytes()), Vec::new());
                let invited = Invited {
                    invite: created.invite.clone(),
                    created: event.time,
                    fate: Fate::Open,
                    refused: 0,
                    wrong_codes: 0,
                    suspended: None,
                    fetched_from: Vec::new(),
                };
                self.put_invite(&Placed {
                    invited,
                    offset,
                    approval: None,
                })
            }
            Fact::InviteAsked { id, spki } => self.change_invite(id, |placed| {
                placed.invited.fate = Fate::Asked { spki: *spki };
            }),
            Fact::InviteApproved { id, spki, .. } => self.change_invite(id, |placed| {
                placed.invited.fate = Fate::Approved { spki: *spki };
                placed.approval = Some(offset);
            }),
            Fact::InviteRedeemed {
                id,
                serial,
                spki,
                from,
            } => self.change_invite(id, |placed| {
                placed.invited.fate = Fate::Redeemed {
                    serial: *serial,
                    spki: *spki,
                    at: event.time,
                };
                placed.invited.fetched_from.extend(from.clone());
            }),
            Fact::InviteFetchedAgain { id, from } => self.change_invite(id, |placed| {
                placed.invited.fetched_from.push(from.clone());
            }),
            Fact::InviteRefused { id, why, .. } => self.change_invite(id, |placed| match why {
                RefusedKey::AnotherKey => placed.invited.refused += 1,
                RefusedKey::WrongCode => placed.invited.wrong_codes += 1,
            }),
            Fact::InviteSuspended { id } => {
                self.change_invite(id, |placed| placed.invited.suspended = Some(event.time))
            }
            Fact::InviteCancelled { id } => self.change_invite(id, |placed| {
                placed.invited.fate = Fate::Cancelled { at: event.time };
            }),
            Fact::Initialized { .. }
            | Fact::Issued(_)
            | Fact::Delivered { .. }
            | Fact::Revoked { .. }
            | Fact::Recovered(_)
            | Fact::Kept { .. }
            | Fact::Offboarded { .. }
            | Fact::Reinstated { .. }
            | Fact::CrlSigned { .. }
            | Fact::Published { .. }
            | Fact::ServersCa { .. }
            | Fact::ServerAdded { .. }
            | Fact::ServerCertified(_)
            | Fact::ServerImported { .. }
            | Fact::ServerRotated { .. }
            | Fact::ServerRemoved { .. }
            | Fact::ServerRevoked { .. }
            | Fact::PinsSigned { .. }
            | Fact::AcmeGranted(_)
            | Fact::AcmeBound { .. }
            | Fact::AcmeCancelled { .. }
            | Fact::AcmeDeactivated { .. }
            | Fact::HmacRotated { .. }
            | Fact::HmacHandedOut { .. }
            | Fact::HmacFirst { .. }
            | Fact::Restored { .. }
            | Fact::Reconciled { .. }
            | Fact::PassphraseChanged { .. }
            | Fact::ClockConfirmed { .. } => Ok(()),
        }
    }

    /// Changes an invite that can still change: from redeemed or cancelled there is no way back.
    fn change_invite(&mut self, id: &InviteId, change: impl FnOnce(&mut Placed)) -> Result<(), StoreError> {
        let Some(value) = self.value(&place_of(id))? else {
            return Ok(());
        };
        let mut placed = read(&value)?;
        let before = placed.invited.fate.clone();
        change(&mut placed);
        match before {
            Fate::Redeemed { .. } | Fate::Cancelled { .. } => placed.invited.fate = before,
            Fate::Open | Fate::Asked { .. } | Fate::Approved { .. } => {}
        }
        self.put_invite(&placed)
    }

    fn put_invite(&mut self, placed: &Placed) -> Result<(), StoreError> {
        let value = serde_json::to_vec(placed).map_err(|_| corrupt("an invite"))?;
        self.put(place_of(&placed.invited.invite.id), value);
        Ok(())
    }
}

fn place_of(id: &InviteId) -> Vec<u8> {
    key(INVITE, id.to_string().as_bytes())
}

fn read(value: &[u8]) -> Result<Placed, StoreError> {
    serde_json::from_slice(value).map_err(|_| corrupt("an invite"))
}
