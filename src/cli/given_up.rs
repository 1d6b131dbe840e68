//! Says of servers' keys that were given up what is to be done about them.

use super::context::Context;
use super::error::Failure;
use crate::model::{Host, Serial};
use crate::store::Store;
use crate::{ca, doctor};

/// How many certificates are shown one by one.
const SHOWN: usize = 20;

impl Context {
    /// Says of each registered server whose key was given up, by what was just revoked or before, how another
    /// one takes its place.
    ///
    /// # Errors
    /// A damaged index.
    pub(in crate::cli) fn tell_keys_given_up(&self, store: &Store) -> Result<(), Failure> {
        for (host, role) in ca::keys_given_up(store)? {
            self.ui.hint(format!(
                "the {role} key of {host} is certified for nobody any more, and apps go by its pin: {}",
                doctor::rotation_of(&host, role)
            ));
        }
        Ok(())
    }

    /// Says which servers' keys were given up because a published CRL says so, and the ledger did not.
    pub(in crate::cli) fn tell_given_up_by_crl(&self, given_up: &[(Serial, Option<Host>)]) {
        if given_up.is_empty() {
            return;
        }
        self.ui.warn(
            "the published CRL says of servers' keys that they are compromised (`lost` was once written so, too): they are certified for \
             nobody any more",
        );
        for (serial, host) in given_up.iter().take(SHOWN) {
            self.ui.more(match host {
                Some(host) => format!("the key of {serial} of {host}"),
                None => {
                    format!("the key of {serial}, which the ledger does not know: it may be in use still")
                }
            });
        }
        let more = given_up.len().saturating_sub(SHOWN);
        if more > 0 {
            self.ui.more(format!("and {more} more"));
        }
        self.ui.hint(
            "a registered server whose key it is gets the next one: `pki server rotate HOST --compromised --confirm HOST` \
             (`pki doctor` names them); any other makes a new key",
        );
    }
}
