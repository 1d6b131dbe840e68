//! The queries of the store for publications: revocations, the CRLs, pin sets and publications that were
//! signed or published last, the lists that were published whole, and the hashes of files.

use super::{
    Changed, Cursor, LastCrl, LastLists, LastPins, LastPublication, Linked, Notice, Store, StoreError,
    events_of,
};
use crate::disk::Identity;
use crate::model::{Authority, Revocation, Serial, Time};

impl Store {
    /// The hash of the first event: whose ledger this is.
    ///
    /// # Errors
    /// A damaged index.
    pub fn home(&self) -> Result<[u8; 32], StoreError> {
        let home = self.index.home()?.and_then(|home| home.try_into().ok());
        home.ok_or_else(|| StoreError::Index("it does not know the first event".into()))
    }

    /// Every event with its link in the chain, in order. Reads the whole ledger.
    ///
    /// # Errors
    /// Damage, or an error of `visit`.
    pub fn chain(&self, visit: &mut dyn FnMut(Linked) -> Result<(), StoreError>) -> Result<(), StoreError> {
        events_of(&self.ledger, Cursor::START, visit).map(drop)
    }

    /// The revocations for a CRL of an authority whose previous CRL was made at `previous`: an entry stays
    /// for one CRL beyond the expiry of its certificate (RFC 5280 §3.3). In the order of the serials.
    ///
    /// # Errors
    /// A damaged index.
    pub fn revoked(
        &self,
        authority: Authority,
        previous: Option<Time>,
    ) -> Result<Vec<Revocation>, StoreError> {
        let mut list = Vec::new();
        self.index.revocations(authority, &mut |revocation, not_after| {
            let gone = match (not_after, previous) {
                (Some(end), Some(previous)) => end < previous,
                (None, _) | (_, None) => false,
            };
            if !gone {
                list.push(revocation);
            }
        })?;
        Ok(list)
    }

    /// The revoked certificates of devices and servers that expired between these two times, each with its
    /// notAfter.
    ///
    /// # Errors
    /// A damaged index.
    pub fn revoked_and_ended(&self, since: Time, before: Time) -> Result<Vec<(Serial, Time)>, StoreError> {
        let mut list = Vec::new();
        for authority in [Authority::Issuing, Authority::Servers] {
            self.index.revocations(authority, &mut |revocation, not_after| {
                let ended = not_after.filter(|end| since <= *end && *end < before);
                list.extend(ended.map(|end| (revocation.serial, end)));
            })?;
        }
        Ok(list)
    }

    /// The revocation of a certificate, also of one that the ledger knows by its revocation alone.
    ///
    /// # Errors
    /// A damaged index.
    pub fn revocation(&self, serial: &Serial) -> Result<Option<Revocation>, StoreError> {
        self.index.revocation(serial)
    }

    /// Whether something was revoked after the issuing CA's last CRL: a new one is due, whatever else holds.
    pub fn revoked_since_crl(&self) -> Result<bool, StoreError> {
        self.index.revoked_since_crl()
    }

    /// The pin sets that were signed last.
    ///
    /// # Errors
    /// A damaged index.
    pub fn last_pins(&self) -> Result<Option<LastPins>, StoreError> {
        self.index.last_pins()
    }

    /// The last CRL of an authority.
    pub fn last_crl(&self, authority: Authority) -> Result<Option<LastCrl>, StoreError> {
        self.index.last_crl(authority)
    }

    /// When the backup was made that this home was restored from, where it was not reconciled since with what
    /// was published after that.
    ///
    /// # Errors
    /// A damaged index.
    pub fn unreconciled(&self) -> Result<Option<Time>, StoreError> {
        self.index.unreconciled()
    }

    /// The numbers of the last publication.
    pub fn last_publication(&self) -> Result<LastPublication, StoreError> {
        self.index.last_publication()
    }

    /// The lists of accepted certificates that were published whole the last time, where the index remembers:
    /// one that was made anew does not.
    ///
    /// # Errors
    /// A damaged index.
    pub fn last_lists(&self) -> Result<Option<LastLists>, StoreError> {
        self.index.last_lists()
    }

    /// Whether lists were long at any time that the index remembers.
    ///
    /// # Errors
    /// A damaged index.
    pub fn had_long_lists(&self) -> Result<bool, StoreError> {
        self.index.had_lists()
    }

    /// The certificates that were issued, superseded or revoked since these lists, by serial; none where they
    /// are more than `most`.
    ///
    /// # Errors
    /// A damaged index.
    pub fn changed_since_lists(&self, most: usize) -> Result<Option<Vec<Changed>>, StoreError> {
        self.index.changed(most)
    }

    /// Stores the lists that were published whole just now; none: the next ones are whole again. An index
    /// that cannot store them still has others, which are published nowhere any more.
    pub fn remember_lists(&mut self, lists: Option<&LastLists>) {
        if let Err(error) = self.index.put_lists(lists) {
            self.notices.push(Notice::IndexNotUsed(error.to_string()));
        }
    }

    /// The hashes of long published files that were remembered.
    ///
    /// # Errors
    /// A damaged index.
    pub fn file_hashes(&self) -> Result<Vec<(Identity, [u8; 32])>, StoreError> {
        self.index.hashes()
    }

    /// Stores the hashes of long published files, in place of those before. A file whose hash the index
    /// cannot store is read once more.
    pub fn remember_file_hashes(&mut self, hashes: &[(Identity, [u8; 32])]) {
        if let Err(error) = self.index.put_hashes(hashes) {
            self.notices.push(Notice::IndexNotUsed(error.to_string()));
        }
    }
}
