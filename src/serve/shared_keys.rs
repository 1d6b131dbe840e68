//! Hands out shared keys to devices that show their certificates: what the keys follow from, opened once, and
//! which hand-outs are recorded already.

use std::collections::BTreeSet;

use super::clerk::AskedKey;
use super::own::Own;
use crate::ca::{CaError, ClockPolicy, Denial, Desk, KeyName, KeysToHandOut, ShownKey};
use crate::store::Store;

/// The secrets of the hosts that profiles name, and whom keys were handed out to since the service began.
#[derive(Default)]
pub(super) struct SharedKeys {
    keys: KeysToHandOut,
    handed_out: BTreeSet<KeyName>,
}

impl SharedKeys {
    /// The key of the device that shows a certificate. That it was handed out is recorded once.
    ///
    /// # Errors
    /// Where a secret does not open, or nothing can be recorded.
    pub(super) fn hand_out(
        &mut self,
        desk: &Desk,
        store: &mut Store,
        own: Option<&Own>,
        asked: &AskedKey,
    ) -> Result<Result<ShownKey, Denial>, CaError> {
        let (Some(own), hosts) = (own, desk.home.hmac_hosts()) else {
            return Ok(Err(Denial::NoSharedKey));
        };
        if !hosts.contains(&asked.host) {
            return Ok(Err(Denial::NoSharedKey));
        }
        store.catch_up()?;
        // Not under the lock: it takes its time.
        let host = std::slice::from_ref(&asked.host);
        if !self.keys.is_current(store, &asked.host)? {
            self.keys.open(&desk.home, store, host, own.passphrase());
        }
        let mut session = desk.turn(store, ClockPolicy::Strict)?;
        self.keys.demand(&session.store, host)?;
        let is_known = |key: &KeyName| self.handed_out.contains(key);
        let shown = self
            .keys
            .show(&mut session, &asked.certificate, &asked.host, &is_known)?;
        drop(session);
        if let Ok(shown) = &shown {
            self.handed_out.insert(shown.key.clone());
        }
        Ok(shown)
    }
}
