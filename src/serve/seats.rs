//! Who has a place: so many connections a face has at once, and one address so many of them. Whoever comes
//! gets a place; where none is left, the connection that has been longest without an answer loses its own. So
//! nobody keeps others out by holding on.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::limits::network;

/// The places of a face.
pub struct Seats {
    /// How many there are.
    most: usize,
    /// How many of them one address may have.
    share: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    /// By address, those first that have been longest without an answer.
    by_network: HashMap<IpAddr, BTreeMap<u64, Arc<Notify>>>,
    count: usize,
    next: u64,
}

/// The place of a connection, until it is dropped or lost.
pub struct Seat {
    seats: Arc<Seats>,
    network: IpAddr,
    rank: Mutex<u64>,
    lost: Arc<Notify>,
}

impl Seats {
    /// So many places, and so many of them for one address.
    pub fn new(most: usize, share: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            share,
            taken: Mutex::default(),
        })
    }

    /// Takes a place for a connection from this address. Where its address has its share already, another of
    /// its own goes; where no place is left at all, one of the address that has the most.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Seat {
        self.take_of(self.share, address)
    }

    /// As [`Self::take`], for a connection that a proxy passes on: the address is nobody's own, and has no
    /// share.
    pub fn take_for_others(self: &Arc<Self>, address: IpAddr) -> Seat {
        self.take_of(self.most, address)
    }

    fn take_of(self: &Arc<Self>, share: usize, address: IpAddr) -> Seat {
        let network = network(address);
        let lost = Arc::new(Notify::new());
        let mut taken = self.taken();
        if taken.of(network) >= share {
            taken.dismiss(network);
        } else if taken.count >= self.most {
            taken.dismiss_one();
        }
        let rank = taken.seat(network, lost.clone());
        drop(taken);
        Seat {
            seats: self.clone(),
            network,
            rank: Mutex::new(rank),
            lost,
        }
    }

    /// Takes a place away from the address that has the most: the system has no room for more connections.
    pub fn give_way(&self) {
        self.taken().dismiss_one();
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn of(&self, network: IpAddr) -> usize {
        self.by_network.get(&network).map_or(0, BTreeMap::len)
    }

    /// Puts a connection behind all others.
    fn seat(&mut self, network: IpAddr, lost: Arc<Notify>) -> u64 {
        let rank = self.next;
        self.next += 1;
        self.count += 1;
        self.by_network.entry(network).or_default().insert(rank, lost);
        rank
    }

    /// None where it has lost its place.
    fn rise(&mut self, network: IpAddr, rank: u64) -> Option<Arc<Notify>> {
        let seats = self.by_network.get_mut(&network)?;
        let lost = seats.remove(&rank)?;
        if seats.is_empty() {
            self.by_network.remove(&network);
        }
        self.count -= 1;
        Some(lost)
    }

    fn dismiss(&mut self, network: IpAddr) {
        let first = self.by_network.get(&network).and_then(BTreeMap::first_key_value);
        if let Some((rank, _)) = first
            && let Some(lost) = self.rise(network, *rank)
        {
            lost.notify_one();
        }
    }

    fn dismiss_one(&mut self) {
        let largest = self.by_network.iter().max_by_key(|(_, seats)| {
            let first = seats.first_key_value().map(|(rank, _)| *rank);
            (seats.len(), std::cmp::Reverse(first))
        });
        if let Some((network, _)) = largest {
            self.dismiss(*network);
        }
    }
}

impl Seat {
    /// Resolves when another connection has got the place.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }

    /// A request was answered on the connection: it is behind all others now.
    pub fn answered(&self) {
        let mut rank = self.rank.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.seats.taken();
        if let Some(lost) = taken.rise(self.network, *rank) {
            *rank = taken.seat(self.network, lost);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let rank = *self.rank.lock().unwrap_or_else(PoisonError::into_inner);
        self.seats.taken().rise(self.network, rank);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Which of these have lost their places.
    async fn lost(seats: &[Seat]) -> Vec<usize> {
        let mut lost = Vec::new();
        for (place, seat) in seats.iter().enumerate() {
            let now = std::time::Duration::ZERO;
            if tokio::time::timeout(now, seat.lost()).await.is_ok() {
                lost.push(place);
            }
        }
        lost
    }

    #[tokio::test]
    async fn an_address_that_has_its_share_loses_what_is_longest_without_an_answer() {
        let seats = Seats::new(10, 3);
        let mut all: Vec<Seat> = (0..3).map(|_| seats.take(address("192.0.2.1"))).collect();
        all.push(seats.take(address("192.0.2.2")));
        all[0].answered();
        all.push(seats.take(address("::ffff:192.0.2.1")));
        assert_eq!(lost(&all).await, [1]);
        // What has lost its place does not get it back by an answer, and its end takes nothing from others.
        all[1].answered();
        drop(all.remove(1));
        all.push(seats.take(address("192.0.2.1")));
        assert_eq!(lost(&all).await, [1]);
    }

    #[tokio::test]
    async fn where_no_place_is_left_the_address_with_the_most_loses_one() {
        let seats = Seats::new(4, 4);
        let of = ["192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
        let mut all: Vec<Seat> = of.iter().map(|one| seats.take(address(one))).collect();
        assert_eq!(lost(&all).await, [1]);
        // One each: the one that came first, and of a network of IPv6 all are one.
        all.push(seats.take(address("2001:db8:1:2::1")));
        assert_eq!(lost(&all).await, [0]);
        all.push(seats.take(address("2001:db8:1:2::2")));
        assert_eq!(lost(&all).await, [2]);
        all.push(seats.take(address("2001:db8:1:3::1")));
        assert_eq!(lost(&all).await, [5]);
        drop(all);
        assert_eq!(seats.taken().count, 0);
        assert!(seats.taken().by_network.is_empty());
    }
}
