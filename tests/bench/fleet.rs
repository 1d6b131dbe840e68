//! Adds many certificates to a home's ledger, for measuring: `fleet HOME COUNT valid|revoked` copies of
//! one, where neither keys nor signatures matter, and `fleet HOME COUNT signed PASSPHRASE-FILE` real ones,
//! each with a key of its own, as the lists of servers say it. And holds a store open as a service would,
//! which catches up ten times a second: `fleet HOME SECONDS hold`.

use std::path::Path;
use std::time::{Duration, Instant};

use pki::home::Home;
use pki::issuer::{Devices, Order};
use pki::key::{Passphrase, SoftwareKey, os_rng};
use pki::model::draft::Holder;
use pki::model::event::KeySource;
use pki::model::profile::Names;
use pki::model::{Authority, Form, Platform};
use pki::store::{Paths, Store};
use zeroize::Zeroizing;

#[path = "../support/fleet.rs"]
mod support;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, home, number, what, passphrase @ ..] = arguments.as_slice() else {
        return Err("usage: fleet HOME COUNT valid|revoked|signed, or fleet HOME SECONDS hold".into());
    };
    let (home, number) = (Path::new(home), number.parse()?);
    match (what.as_str(), passphrase) {
        ("hold", _) => hold(home, Duration::from_secs(number)),
        ("signed", [file]) => signed(home, number, Path::new(file)),
        _ => support::fill(home, number, what == "revoked"),
    }
}

/// Adds devices with keys and certificates of their own.
fn signed(home: &Path, count: u64, passphrase: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let home = Home::open(home)?;
    let word = Zeroizing::new(std::fs::read(passphrase)?);
    let word = word.strip_suffix(b"\n").unwrap_or(&word).to_vec();
    let key = SoftwareKey::decrypt(
        &home.key(Authority::Issuing)?,
        &Passphrase::from_octets(Zeroizing::new(word))?,
    )?;
    let devices = Devices::open(home.chain().clone(), key, None)?;
    let profile = home.profile("device")?;
    let mut rng = os_rng();
    support::fill_with(&home, count, false, |address, now| {
        let holder = Holder {
            address,
            name: None,
            email: None,
            platform: Platform::Any,
        };
        let key = SoftwareKey::generate(&mut rng);
        let order = Order {
            draft: profile.draft(holder, None, Names::Shown, devices.chain().issuer(), now)?,
            public_key: key.public_key(),
            source: KeySource::Bundle { p12: Form::Legacy },
            supersedes: Vec::new(),
            enrolled_by: None,
        };
        Ok(devices.sign(order, &mut rng)?.into_issued())
    })
}

fn hold(home: &Path, time: Duration) -> Result<(), Box<dyn std::error::Error>> {
    let mut store = Store::resident(&Paths::in_home(home))?;
    println!("open");
    let begun = Instant::now();
    while begun.elapsed() < time {
        store.catch_up()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
