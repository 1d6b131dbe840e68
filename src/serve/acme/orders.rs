//! Orders (RFC 8555 §7.1.3) while they last: in memory, for an hour, so many of an account. What was
//! certified is in the ledger; a client whose order was lost with the process orders again.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use data_encoding::HEXLOWER;
use rand_core::Rng;

use super::budget::Budget;
use crate::key::os_rng;
use crate::model::{AccountId, Host, Serial, Span, Time};

/// How long an order can be finalized.
const LIFE: Span = Span::seconds(3600);
/// How many an account has at once.
const MOST: usize = 1000;

/// The name of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OrderId([u8; 16]);

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for OrderId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let octets = HEXLOWER.decode(text.as_bytes()).map_err(drop)?;
        octets.try_into().map(Self).map_err(drop)
    }
}

/// What has become of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It can be finalized: nothing is to be proved.
    Ready,
    /// It is being finalized.
    Processing,
    /// This certificate was issued.
    Valid(Serial),
}

/// An order.
#[derive(Debug, Clone)]
pub struct Order {
    /// Its name.
    pub id: OrderId,
    /// The names that it is for.
    pub names: Vec<Host>,
    /// When it ends.
    pub expires: Time,
    /// What has become of it.
    pub state: State,
    /// The certificate that it replaces, where the client said so (RFC 9773 §5).
    pub replaces: Option<Serial>,
}

/// How many certificates an account gets in a day: far more than servers need, and few enough that whoever
/// breaks into one fills no disk.
const MOST_IN_A_DAY: u32 = 20_000;

/// The orders of all accounts.
pub struct Orders {
    all: Mutex<HashMap<AccountId, VecDeque<Order>>>,
    certified: Budget,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            all: Mutex::default(),
            certified: Budget::new(MOST_IN_A_DAY, Span::days(1)),
        }
    }
}

impl Orders {
    /// A new order. None where the account has too many that it has not finalized.
    pub fn add(
        &self,
        account: AccountId,
        names: Vec<Host>,
        replaces: Option<Serial>,
        now: Time,
    ) -> Option<Order> {
        let mut random = [0; 16];
        os_rng().fill_bytes(&mut random);
        let order = Order {
            id: OrderId(random),
            names,
            expires: now + LIFE,
            state: State::Ready,
            replaces,
        };
        if self.certified.is_spent(account, now) {
            return None;
        }
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let orders = all.entry(account).or_default();
        orders.retain(|order| now < order.expires);
        if orders.len() >= MOST {
            let is_finished = |order: &Order| matches!(order.state, State::Valid(_));
            orders.remove(orders.iter().position(is_finished)?);
        }
        orders.push_back(order.clone());
        Some(order)
    }

    /// An order of an account.
    pub fn find(&self, account: AccountId, id: OrderId, now: Time) -> Option<Order> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = all.get(&account)?.iter();
        own.find(|order| order.id == id && now < order.expires).cloned()
    }

    /// All orders of an account.
    pub fn of(&self, account: AccountId, now: Time) -> Vec<OrderId> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.get(&account).into_iter().flatten();
        own.filter(|order| now < order.expires)
            .map(|order| order.id)
            .collect()
    }

    /// Whether a certificate was replaced already, by an order that was not given up.
    pub fn replaces(&self, account: AccountId, serial: Serial, now: Time) -> bool {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = all.get(&account).into_iter().flatten();
        own.any(|order| order.replaces == Some(serial) && now < order.expires && order.state != State::Ready)
    }

    /// Goes over from one state to another. False where it is in neither, or gone.
    pub fn go_over(&self, account: AccountId, id: OrderId, from: State, to: State, now: Time) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = all.get_mut(&account) else {
            return false;
        };
        if let State::Valid(_) = to {
            // What has come is counted, and refused before: where it is ordered.
            self.certified.spend(account, now);
        }
        let mut orders = own.iter_mut();
        match orders.find(|order| order.id == id && order.state == from) {
            Some(order) => {
                order.state = to;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_gets_so_many_certificates_in_a_day() {
        let (orders, now) = (Orders::default(), Time::from_unix(1_800_000_000));
        let account = AccountId::from_random([7; AccountId::LENGTH]);
        let serial = Serial::from_random([7; 16]);
        let order = |now| orders.add(account, Vec::new(), None, now);
        for _ in 0..MOST_IN_A_DAY {
            let id = order(now).unwrap().id;
            assert!(orders.go_over(account, id, State::Ready, State::Valid(serial), now));
        }
        assert!(order(now + Span::seconds(86_399)).is_none());
        assert!(order(now + Span::days(1)).is_some());
        let other = AccountId::from_random([8; AccountId::LENGTH]);
        assert!(orders.add(other, Vec::new(), None, now).is_some());
    }
}
