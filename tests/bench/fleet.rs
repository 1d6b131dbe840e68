//! Adds many certificates to a home's ledger, for measuring: `fleet HOME COUNT valid|revoked`. What is
//! measured with them is the ledger, the index and the publication, not signing. And holds a store open as a
//! service would, which catches up ten times a second: `fleet HOME SECONDS hold`.

use std::path::Path;
use std::time::{Duration, Instant};

use pki::store::{Paths, Store};

#[path = "../support/fleet.rs"]
mod support;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, home, number, what] = arguments.as_slice() else {
        return Err("usage: fleet HOME COUNT valid|revoked, or fleet HOME SECONDS hold".into());
    };
    let (home, number) = (Path::new(home), number.parse()?);
    match what.as_str() {
        "hold" => hold(home, Duration::from_secs(number)),
        _ => support::fill(home, number, what == "revoked"),
    }
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
