//! Which refusals of servers the log tells: so many of an account, or of a network, in a minute. Whoever
//! broke into a server may be refused as often as it likes, and the disk is to last.

use std::collections::HashMap;

use crate::model::AccountId;
use crate::serve::outcome::Outcome;

/// How many refusals of one account, or one network, are told in a minute.
const MOST: u32 = 10;
/// Of how many accounts and networks. What others are refused in that minute is counted together.
const KEPT: usize = 1024;

/// Who is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Account(AccountId),
    /// The network that the ledger would record, of who has shown no account.
    Network(Option<String>),
}

/// The refusals of this minute.
#[derive(Default)]
pub(super) struct Refusals {
    told: HashMap<Who, u32>,
    untold: u64,
}

impl Refusals {
    /// Whether the log tells what has become of an attempt. Only refusals may be too many.
    pub(super) fn admits(&mut self, outcome: &Outcome) -> bool {
        if outcome.event != "acme-refused" {
            return true;
        }
        let who = match outcome.account {
            Some(account) => Who::Account(account),
            None => Who::Network(outcome.from.clone()),
        };
        let is_known = self.told.contains_key(&who);
        let has_room = is_known || self.told.len() < KEPT;
        let is_told = has_room && {
            let count = self.told.entry(who).or_insert(0);
            *count = count.saturating_add(1);
            *count <= MOST
        };
        if !is_told {
            self.untold += 1;
        }
        is_told
    }

    /// Begins the next minute. How many refusals of the last one were not told.
    pub(super) fn begin_anew(&mut self) -> u64 {
        self.told.clear();
        std::mem::take(&mut self.untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(account: Option<u8>, from: &str) -> Outcome {
        Outcome {
            event: "acme-refused",
            account: account.map(|octet| AccountId::from_random([octet; AccountId::LENGTH])),
            from: Some(from.to_owned()),
            ..Outcome::default()
        }
    }

    #[test]
    fn so_many_refusals_of_an_account_or_a_network_are_told_in_a_minute_and_the_others_counted() {
        let mut refusals = Refusals::default();
        for who in [
            refused(Some(7), "192.0.2.0/24"),
            refused(Some(8), "192.0.2.0/24"),
            refused(None, "192.0.2.0/24"),
        ] {
            let told = (0..100).filter(|_| refusals.admits(&who)).count();
            assert_eq!(told, 10);
        }
        // What was done is told.
        let done = Outcome {
            event: "acme-certified",
            ..refused(Some(7), "192.0.2.0/24")
        };
        assert!((0..100).all(|_| refusals.admits(&done)));
        assert_eq!(refusals.begin_anew(), 270);
        assert!(refusals.admits(&refused(Some(7), "192.0.2.0/24")));
        assert_eq!(refusals.begin_anew(), 0);
    }

    #[test]
    fn networks_without_end_take_no_more_memory() {
        let mut refusals = Refusals::default();
        let networks = 0..3 * KEPT;
        let told = networks.filter(|n| refusals.admits(&refused(None, &format!("2001:db8:{n:x}::/48"))));
        assert_eq!(told.count(), KEPT);
        assert_eq!(refusals.begin_anew(), 2 * KEPT as u64);
    }
}
