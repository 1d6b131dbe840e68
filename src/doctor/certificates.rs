//! What is wrong with the devices' certificates.

use super::ledger::unreadable;
use super::{Finding, Severity};
use crate::ca::{self, is_undecided};
use crate::model::{Record, Span, Status, Time};
use crate::store::{Store, StoreError};

/// From when on the end of a device's certificate is a warning.
const DEVICE: Span = Span::days(14);

pub(super) fn examine(store: &Store, now: Time, findings: &mut Vec<Finding>) {
    let mut recovered = Vec::new();
    let mut undelivered = Vec::new();
    let looked = store.records(&mut |record| {
        if is_undecided(&record) && record.status(now).accepted() {
            recovered.push(format!("{} ({})", record.address, record.serial));
        }
        match record.status(now) {
            Status::Valid if record.address.is_reserved() => findings.push(canary(&record)),
            Status::Undelivered => undelivered.push(record),
            Status::Valid | Status::Superseded | Status::Revoked | Status::Expired => {}
        }
        Ok(())
    });
    if let Err(error) = looked.and_then(|()| ends(store, now, findings)) {
        findings.push(unreadable(&error));
    }
    findings.extend(never_delivered(&undelivered));
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
}

fn canary(record: &Record) -> Finding {
    Finding::new(
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
    )
}

/// Certificates whose bundles were lost with the process that made them.
fn never_delivered(records: &[Record]) -> Option<Finding> {
    let (message, remedy) = match records {
        [] => return None,
        [one] => (
            format!(
                "the bundle of {} ({}) was never delivered",
                one.address, one.serial
            ),
            format!("pki issue {}", one.address),
        ),
        several => {
            let (count, names) = first(addresses(several));
            (
                format!("the bundles of {count} certificates were never delivered: {names}"),
                "the command that was cut off, once more: `pki issue --from LIST` or `pki renew`; of one device, \
                 `pki issue EMPLOYEE/DEVICE`"
                    .to_owned(),
            )
        }
    };
    Some(Finding::new("undelivered", Severity::Warning, message, remedy))
}

/// Devices that will soon be locked out because nobody renews, and those that are.
fn ends(store: &Store, now: Time, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    let (mut ending, mut lapsed) = ca::ends(store, now, DEVICE)?;
    // Of one that a list has told of and nobody has decided on, it is told what is to be decided.
    for records in [&mut ending, &mut lapsed] {
        records.retain(|record| !is_undecided(record));
    }
    if !ending.is_empty() {
        let (count, names) = first(addresses(&ending));
        findings.push(Finding::new(
            "certificates-ending",
            Severity::Warning,
            match count {
                1 => format!("1 certificate ends within {DEVICE}: {names}"),
                _ => format!("{count} certificates end within {DEVICE}: {names}"),
            },
            "pki renew --expiring 14d --out DIR --bundle-passphrase-out FILE",
        ));
    }
    if !lapsed.is_empty() {
        let (count, names) = first(addresses(&lapsed));
        findings.push(Finding::new(
            "certificates-ended",
            Severity::Warning,
            format!(
                "{count} {} no certificate any more, for the last one has ended: {names}",
                if count == 1 { "device has" } else { "devices have" }
            ),
            "pki renew --expired --out DIR --bundle-passphrase-out FILE; what is used no more: pki revoke EMPLOYEE/DEVICE",
        ));
    }
    Ok(())
}

fn addresses(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.address.to_string()).collect()
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
