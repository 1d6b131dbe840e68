//! Budgets: how often an account does something in a time. Whoever breaks into a server has its account, and
//! fills neither ledger nor disk by it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::model::{AccountId, Span, Time};

/// So much for each account, in a time that begins when it spends first.
pub struct Budget {
    most: u32,
    lasts: Span,
    spent: Mutex<HashMap<AccountId, (u32, Time)>>,
}

impl Budget {
    /// One of `most` in each time of this length.
    pub fn new(most: u32, lasts: Span) -> Self {
        Self {
            most,
            lasts,
            spent: Mutex::default(),
        }
    }

    /// Whether an account has nothing left.
    pub fn is_spent(&self, account: AccountId, now: Time) -> bool {
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent
            .get(&account)
            .is_some_and(|(count, since)| *count >= self.most && now < *since + self.lasts)
    }

    /// Has an account spend one. False where it has nothing left.
    pub fn spend(&self, account: AccountId, now: Time) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, since) = spent.entry(account).or_insert((0, now));
        if now >= *since + self.lasts {
            (*count, *since) = (0, now);
        }
        let is_left = *count < self.most;
        *count = count.saturating_add(1);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_spends_so_much_in_a_time_and_no_other_pays_for_it() {
        let [one, other] = [7, 8].map(|octet| AccountId::from_random([octet; AccountId::LENGTH]));
        let budget = Budget::new(10, Span::days(1));
        let now = Time::from_unix(1_800_000_000);
        for _ in 0..10 {
            assert!(!budget.is_spent(one, now) && budget.spend(one, now));
        }
        let late = now + Span::seconds(86_399);
        assert!(budget.is_spent(one, late) && !budget.spend(one, late));
        assert!(!budget.is_spent(other, late) && budget.spend(other, late));
        let next = now + Span::days(1);
        assert!(!budget.is_spent(one, next) && budget.spend(one, next));
    }
}
