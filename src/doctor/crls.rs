//! Checks the CRLs for their expiry: once one has expired, servers let nobody in.

use super::ledger::unreadable;
use super::{Finding, Severity};
use crate::ca;
use crate::home::Home;
use crate::model::{Authority, Span, Time};
use crate::store::Store;

/// The time before the end of the root's CRL from which on it is a warning.
const ROOT_CRL: Span = Span::days(120);

/// Finds the CRLs that are missing, have expired or will expire soon, by the ledger.
pub fn crls(home: &Home, store: &Store, now: Time, findings: &mut Vec<Finding>) {
    let locked = "servers let nobody in";
    let servers = home.servers().map(|_| {
        (
            Authority::Servers,
            "pki publish",
            "who checks it trusts no server of this CA",
        )
    });
    let standing = [
        (Authority::Root, "pki root crl", locked),
        (Authority::Issuing, "pki publish", locked),
    ];
    for (authority, remedy, then) in standing.into_iter().chain(servers) {
        let crl = match store.last_crl(authority) {
            Ok(Some(crl)) => crl,
            Ok(None) => {
                let message = format!("the {authority} CA has no CRL");
                findings.push(Finding::new("crl-missing", Severity::Error, message, remedy));
                continue;
            }
            Err(error) => {
                findings.push(unreadable(&error));
                continue;
            }
        };
        let copy = ca::own_copy(home, authority).filter(|copy| copy.number > crl.number);
        let (this_update, next_update) = match copy {
            Some(copy) => (copy.this_update, copy.next_update),
            None => (crl.this_update, crl.next_update),
        };
        let left = next_update - now;
        let life = next_update - this_update;
        let near = match authority {
            Authority::Root => left < ROOT_CRL,
            Authority::Issuing | Authority::Servers => left.as_seconds() * 3 < life.as_seconds(),
        };
        let (ended, ending) = match authority {
            Authority::Root => ("root-crl-ended", "root-crl-ending"),
            Authority::Issuing => ("issuing-crl-ended", "issuing-crl-ending"),
            Authority::Servers => ("servers-crl-ended", "servers-crl-ending"),
        };
        if left < Span::seconds(0) {
            let message = format!("the CRL of the {authority} CA ended on {next_update}: {then}");
            findings.push(Finding::new(ended, Severity::Error, message, remedy));
        } else if near {
            let message = format!("the CRL of the {authority} CA ends in {left}; then {then}");
            findings.push(Finding::new(ending, Severity::Warning, message, remedy));
        }
    }
}
