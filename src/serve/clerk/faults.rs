//! Faults of this machine that a door finds: it answers whoever asked, and the clerk tells the log and the
//! health of the service.

use std::collections::BTreeSet;

use super::Work;
use crate::ca::CaError;
use crate::serve::health::Part;

/// How many faults are told in a minute at most.
const MOST: usize = 64;

/// A fault of this machine.
pub struct Found {
    /// What is in trouble.
    pub part: Part,
    /// Whether nobody is served because of it; else it is one server.
    pub stops: bool,
    /// What has not come about, for people.
    pub what: String,
    /// The cause.
    pub why: CaError,
}

/// The faults that were told in this minute: each once, however many ask meanwhile.
#[derive(Default)]
pub(super) struct Faults(BTreeSet<String>);

impl Faults {
    fn admits(&mut self, message: String) -> bool {
        self.0.len() < MOST && self.0.insert(message)
    }

    /// Begins the next minute.
    pub(super) fn begin_anew(&mut self) {
        self.0.clear();
    }
}

impl Work {
    /// Tells of a fault that a door has found.
    pub(super) fn found(&mut self, found: Found) {
        let Found {
            part,
            stops,
            what,
            why,
        } = found;
        let message = format!("{what}: {why}");
        self.monitor.health.troubled(part, stops, message.as_str());
        if self.faults.admits(message) {
            self.aftermath.failed(&what, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_once_in_a_minute_however_many_ask() {
        let mut faults = Faults::default();
        let told = (0..1000).filter(|_| faults.admits("the disk fails".to_owned()));
        assert_eq!(told.count(), 1);
        let others = (0..1000).filter(|n| faults.admits(format!("the file {n} is gone")));
        assert_eq!(others.count(), MOST - 1);
        faults.begin_anew();
        assert!(faults.admits("the disk fails".to_owned()));
    }
}
