//! Adds many certificates to a home's ledger, for measuring: `fleet HOME COUNT valid|revoked`.
//!
//! They have no keys and no signatures of their own: each is a copy of the home's issuing certificate under a
//! serial of its own. What is measured with them is the ledger, the index and the publication, not signing.

use std::time::Duration;

use pki::home::Home;
use pki::key::os_rng;
use pki::model::event::{Issued, KeySource};
use pki::model::{Fact, Form, Platform, Reason, Serial, Span, Time, Validity};
use rand_core::Rng;

/// How many devices share one commit: as many as in a bulk issue.
const BATCH: u64 = 256;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, home, count, state] = arguments.as_slice() else {
        return Err("usage: fleet HOME COUNT valid|revoked".into());
    };
    let (count, revoked): (u64, bool) = (count.parse()?, state == "revoked");
    let home = Home::open(home.as_ref())?;
    let lock = home.lock(Duration::from_secs(30), "fleet")?;
    let mut store = home.store(&lock, Duration::from_secs(30), Time::from_unix(0))?;
    let now = store.last_time();
    let certificate = home.chain().ca().der().to_vec();
    let mut rng = os_rng();
    let mut made = 0;
    while made < count {
        let mut facts = Vec::new();
        for number in made..(made + BATCH).min(count) {
            let mut octets = [0; 16];
            rng.fill_bytes(&mut octets);
            let mut pin = [0; 32];
            rng.fill_bytes(&mut pin);
            let serial = Serial::from_random(octets);
            let address = format!("fleet{number:07}/phone").parse()?;
            facts.push(Fact::Issued(Box::new(Issued {
                serial,
                address,
                name: None,
                email: None,
                platform: Platform::Any,
                profile: "device".into(),
                days: None,
                key: KeySource::Bundle { p12: Form::Legacy },
                supersedes: Vec::new(),
                validity: Validity {
                    not_before: now,
                    not_after: now + Span::days(90),
                },
                spki_sha256: pin,
                certificate: certificate.clone(),
            })));
            facts.push(Fact::Delivered {
                serial,
                sha256: "0".repeat(64),
                supersedes: Vec::new(),
            });
            if revoked {
                let address = format!("fleet{number:07}/phone").parse()?;
                facts.push(Fact::Revoked {
                    serial,
                    address: Some(address),
                    reason: Reason::Lost,
                    since: None,
                });
            }
        }
        made += BATCH;
        store.commit(facts, now, "fleet")?;
    }
    Ok(())
}
