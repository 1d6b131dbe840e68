//! Checks that the keys of a home open with its everyday passphrase. One that does not was changed by hand,
//! or a file of another home was put in its place.

use rayon::prelude::*;

use super::ledger::{MORE_THREADS, unreadable};
use super::servers::is_here;
use super::{Finding, Severity};
use crate::ca;
use crate::home::{Home, private};
use crate::key::{Passphrase, SoftwareKey, demand_threads};
use crate::model::{Authority, Pin};

/// A key, and what it must be the key of.
struct Wanted {
    what: String,
    path: std::path::PathBuf,
    pin: Pin,
}

/// Opens every key that the everyday passphrase is for: those of the devices' and the servers' CA, and of
/// servers. That takes about a third of a second for each. Each that does not open is a finding. Missing
/// files, and files that are not encrypted keys, are passed over: the findings that need no passphrase name
/// them.
pub fn unopened(home: &Home, passphrase: &Passphrase) -> Vec<Finding> {
    let wanted = match wanted(home) {
        Ok(wanted) => wanted,
        Err(finding) => return vec![finding],
    };
    if let Err(why) = demand_threads() {
        let message = format!("no key was tried: the system starts no more threads for this account: {why}");
        return vec![Finding::new("threads", Severity::Error, message, MORE_THREADS)];
    }
    let findings = wanted.par_iter().filter_map(|key| {
        let pem = private(&key.path).ok()?;
        SoftwareKey::examine(&pem).ok()?;
        let (code, why) = match SoftwareKey::decrypt(&pem, passphrase) {
            Ok(opened) if Pin(opened.public_key().spki_sha256()) == key.pin => return None,
            Ok(_) => ("key-of-another", "is another key than its certificate or pin is for".to_owned()),
            Err(why) => ("key-unopened", why.to_string()),
        };
        let message = format!("{}: {} {why}", key.what, key.path.display());
        Some(Finding::new(
            code,
            Severity::Error,
            message,
            "restore that file from a backup, or give it the passphrase of the others: openssl pkcs8 -topk8 -scrypt",
        ))
    });
    findings.collect()
}

fn wanted(home: &Home) -> Result<Vec<Wanted>, Finding> {
    let chains = [
        (Authority::Issuing, Some(home.chain())),
        (Authority::Servers, home.servers()),
    ];
    let of_cas = chains.into_iter().filter_map(|(authority, chain)| {
        Some(Wanted {
            what: format!("the key of the {authority} CA"),
            path: home.key_path(authority),
            pin: Pin(chain?.ca().public_key().spki_sha256()),
        })
    });
    let mut wanted: Vec<Wanted> = of_cas.collect();
    let store = home.read();
    let servers = store
        .map_err(|error| Finding::new("home", Severity::Error, error, "run doctor without --unlock"))
        .and_then(|store| store.servers().map_err(|error| unreadable(&error)))?;
    for server in &servers {
        let keys = server.keys().filter(|(role, key)| is_here(*role, key.origin));
        wanted.extend(keys.map(|(role, key)| Wanted {
            what: format!("the {role} key of {}", server.host),
            path: ca::key_path(home, &server.host, key.pin),
            pin: key.pin,
        }));
    }
    Ok(wanted)
}
