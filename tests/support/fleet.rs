//! A home with many devices, without making keys and signatures for them: each certificate is a copy of the
//! issuing CA's with another serial number in it. The ledger, the index and the publication are as they would
//! be.

use std::path::Path;
use std::time::Duration;

use pki::home::Home;
use pki::key::os_rng;
use pki::model::event::{Issued, KeySource};
use pki::model::{Address, Fact, Form, Platform, Reason, Serial, Span, Time, Validity};
use rand_core::Rng;

/// How many devices share one commit: as many as in a bulk issue.
const BATCH: u64 = 256;

/// Adds so many devices to the home in this directory: `fleet0000000/phone` and so on.
pub fn fill(home: &Path, count: u64, is_revoked: bool) -> Result<(), Box<dyn std::error::Error>> {
    let home = Home::open(home)?;
    let ca = home.chain().ca();
    let mut certificate = ca.der().to_vec();
    let mut places = certificate.windows(Serial::LENGTH);
    let place = places
        .position(|octets| octets == ca.serial())
        .ok_or("the CA's serial number is shorter")?;
    let mut rng = os_rng();
    let mut random = || {
        let mut octets = [0; 32];
        rng.fill_bytes(&mut octets);
        octets
    };
    let make = |address: Address, now: Time| {
        let mut octets = [0; Serial::LENGTH];
        octets.copy_from_slice(&random()[..Serial::LENGTH]);
        let serial = Serial::from_random(octets);
        certificate[place..place + Serial::LENGTH].copy_from_slice(serial.octets());
        Ok(Issued {
            serial,
            address,
            name: None,
            email: None,
            platform: Platform::Any,
            profile: "device".into(),
            days: None,
            key: KeySource::Bundle { p12: Form::Legacy },
            supersedes: Vec::new(),
            enrolled_by: None,
            validity: Validity {
                not_before: now,
                not_after: now + Span::days(90),
            },
            spki_sha256: random(),
            certificate: certificate.clone(),
        })
    };
    fill_with(&home, count, is_revoked, make)
}

/// The same with what `make` issues to an address.
pub fn fill_with(
    home: &Home,
    count: u64,
    is_revoked: bool,
    mut make: impl FnMut(Address, Time) -> Result<Issued, Box<dyn std::error::Error>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let lock = home.lock(Duration::from_secs(30), "fleet")?;
    let mut store = home.store(&lock, Duration::from_secs(30), Time::from_unix(0))?;
    let now = store.last_time();
    let mut made = 0;
    while made < count {
        let mut facts = Vec::new();
        for number in made..(made + BATCH).min(count) {
            let address: Address = format!("fleet{number:07}/phone").parse()?;
            let issued = make(address.clone(), now)?;
            let serial = issued.serial;
            facts.push(Fact::Issued(Box::new(issued)));
            facts.push(Fact::Delivered {
                serial,
                sha256: "0".repeat(64),
                supersedes: Vec::new(),
            });
            if is_revoked {
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
