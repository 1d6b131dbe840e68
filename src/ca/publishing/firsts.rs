//! Finds what a home that was restored is to derive shared keys from: the newest published list alone tells
//! it.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::ca::CaError;
use crate::ca::session::Session;
use crate::model::{Address, Fact, Reason, Serial, Time};
use crate::publish::Lists;

/// What the newest of the lists says that shared keys follow from: an older one may name what was lost since.
pub(super) struct Newest {
    /// The number of its publication, or of the last one that this home knows, which knew no less.
    number: u64,
    /// Of each certificate that it accepts and tells it of: its serial, its end, the device, the first
    /// certificate.
    told: Vec<(Serial, Time, Address, Serial)>,
    /// The certificates that it locks out.
    revoked: HashSet<Serial>,
}

impl Newest {
    /// Those are meant that were published after this number.
    pub fn after(number: u64) -> Self {
        Self {
            number,
            told: Vec::new(),
            revoked: HashSet::new(),
        }
    }

    /// Takes in the lists of a place, where they are newer.
    pub fn see(&mut self, lists: &Lists) {
        if lists.number <= self.number {
            return;
        }
        let told = lists.accepted.iter().filter_map(|told| {
            let first = told.first?;
            Some((told.serial, told.not_after, told.address.clone(), first))
        });
        self.number = lists.number;
        self.told = told.collect();
        self.revoked = lists.revoked.iter().copied().collect();
    }

    /// What the keys of each device follow from, where the ledger says otherwise, or will once it has these
    /// revocations; of no device that has lost something that the list does not know of.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn firsts(
        self,
        session: &Session<'_>,
        revocations: &[Fact],
    ) -> Result<BTreeMap<Address, Serial>, CaError> {
        let (mut reasons, mut touched, mut doubted) = (HashMap::new(), HashSet::new(), HashSet::new());
        for fact in revocations {
            if let Fact::Revoked {
                serial,
                address,
                reason,
                ..
            } = fact
            {
                reasons.insert(*serial, *reason);
                touched.extend(address.clone());
                if *reason != Reason::Replaced && !self.revoked.contains(serial) {
                    doubted.extend(address.clone());
                }
            }
        }
        let is_lost = |serial: &Serial| {
            let known = session.store.revocation(serial)?.map(|known| known.reason);
            let reason = reasons.get(serial).copied().or(known);
            Ok::<_, CaError>(reason.is_some_and(|reason| reason != Reason::Replaced))
        };
        for (serial, _, address, _) in &self.told {
            if is_lost(serial)? {
                doubted.insert(address.clone());
            }
        }
        let mut firsts = BTreeMap::new();
        for (_, not_after, address, first) in self.told {
            if not_after < session.now || doubted.contains(&address) || is_lost(&first)? {
                continue;
            }
            // Of who left, or has lost or got something here since, the ledger knows better.
            let has_left = session.store.offboarded(&address.employee)?.is_some();
            if has_left || !session.store.is_first_published(&address)? {
                continue;
            }
            let is_known = session.store.first_since_revocation(&address)? == Some(first);
            if !is_known || touched.contains(&address) {
                firsts.insert(address, first);
            }
        }
        Ok(firsts)
    }
}
