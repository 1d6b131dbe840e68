//! What is wrong with the devices' certificates.

use super::ledger::unreadable;
use super::{Finding, Severity};
use crate::model::{Span, Status, Time};
use crate::store::Store;

/// From when on the end of a device's certificate is a warning.
const DEVICE: Span = Span::days(14);

pub(super) fn examine(store: &Store, now: Time, findings: &mut Vec<Finding>) {
    let mut ending = Vec::new();
    let looked = store.records(&mut |record| {
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
            Status::Valid if record.validity.not_after - now < DEVICE => {
                ending.push(record.address.to_string())
            }
            Status::Valid | Status::Superseded | Status::Revoked | Status::Expired => {}
        }
        Ok(())
    });
    if let Err(error) = looked {
        findings.push(unreadable(&error));
    }
    if !ending.is_empty() {
        ending.sort_unstable();
        let count = ending.len();
        ending.truncate(5);
        let more = if count > 5 { ", …" } else { "" };
        findings.push(Finding::new(
            "certificates-ending",
            Severity::Warning,
            format!(
                "{count} certificates end within {DEVICE}: {}{more}",
                ending.join(", ")
            ),
            "pki renew --expiring 14d --out DIR",
        ));
    }
}
