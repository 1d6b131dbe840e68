//! Says of servers' keys that were given up what is to be done about them.

use super::context::Context;
use super::error::Failure;
use crate::store::Store;
use crate::{ca, doctor};

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
}
