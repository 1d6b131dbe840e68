//! What is wrong with the devices' certificates.

use super::ledger::unreadable;
use super::{Finding, Severity};
use crate::model::{KnownBy, Span, Status, Time};
use crate::operate::is_undecided;
use crate::store::Store;

/// From when on the end of a device's certificate is a warning.
const DEVICE: Span = Span::days(14);

pub(super) fn examine(store: &Store, now: Time, findings: &mut Vec<Finding>) {
    let mut ending = Vec::new();
    let mut recovered = Vec::new();
    let looked = store.records(&mut |record| {
        if is_undecided(&record) && record.status(now).accepted() {
            recovered.push(format!("{} ({})", record.address, record.serial));
        }
        match record.status(now) {
            Status::Valid if record.address.is_reserved() => findings.push(Finding::new(
                "canary",
                Severity::Note,
                format!(
                    "canary {} is not revoked: `pki check` is at work or was killed, and its key with it",
                    record.serial
                ),
                format!(
                    "pki revoke {} (it ends by itself at {})",
                    record.serial, record.validity.not_after
                ),
            )),
            Status::Undelivered => findings.push(Finding::new(
                "undelivered",
                Severity::Warning,
                format!(
                    "the bundle of {} ({}) was never delivered",
                    record.address, record.serial
                ),
                format!("pki issue {}", record.address),
            )),
            // One that was recovered from a list cannot be renewed: what is to be done about it is told above.
            Status::Valid
                if record.validity.not_after - now < DEVICE && record.known_by == KnownBy::Issuance =>
            {
                ending.push(record.address.to_string())
            }
            Status::Valid | Status::Superseded | Status::Revoked | Status::Expired => {}
        }
        Ok(())
    });
    if let Err(error) = looked {
        findings.push(unreadable(&error));
    }
    if !recovered.is_empty() {
        let (count, names) = first(recovered);
        findings.push(Finding::new(
            "recovered",
            Severity::Error,
            format!(
                "{count} of the certificates that servers accept came to the ledger from a published list (it was restored from an \
                 older backup), and nobody has said whether they are to stay: {names}"
            ),
            "pki revoke SERIAL, or pki publish --keep SERIAL where the device is its holder's",
        ));
    }
    if !ending.is_empty() {
        let (count, names) = first(ending);
        findings.push(Finding::new(
            "certificates-ending",
            Severity::Warning,
            format!("{count} certificates end within {DEVICE}: {names}"),
            "pki renew --expiring 14d --out DIR",
        ));
    }
}

/// How many there are, and the first of them.
fn first(mut names: Vec<String>) -> (usize, String) {
    const SHOWN: usize = 5;
    names.sort_unstable();
    let count = names.len();
    let more = if count > SHOWN { ", …" } else { "" };
    names.truncate(SHOWN);
    (count, names.join(", ") + more)
}
