//! Checks the devices' certificates: those that expire soon or have expired, those that were never delivered,
//! canaries (see `pki check`) that are still valid, and recovered certificates (known from a published list
//! alone) that nobody has revoked or kept.

use std::fmt;

use super::ledger::unreadable;
use super::{Finding, Severity};
use crate::ca::{self, RenewalDue, is_undecided};
use crate::model::{Record, Span, Status, Time};
use crate::store::Store;

/// The time before the expiry of a device's certificate from which on it is a warning.
const DEVICE: Span = Span::days(14);

pub(super) fn examine(store: &Store, now: Time, findings: &mut Vec<Finding>) {
    let mut recovered = Names::default();
    let (mut undelivered, mut last_undelivered) = (Names::default(), None);
    let mut ending = Names::default();
    let mut lapsed = Names::default();
    let looked = store.records(&mut |record| {
        let is_undecided = is_undecided(&record);
        if is_undecided && record.status(now).accepted() {
            recovered.add(format!("{} ({})", record.address, record.serial));
        }
        match record.status(now) {
            Status::Valid if record.address.is_reserved() => findings.push(canary(&record)),
            Status::Undelivered if ca::waits_to_be_fetched(store, &record, now)? => {}
            Status::Undelivered => {
                undelivered.add(record.address.to_string());
                last_undelivered = Some(record.clone());
            }
            Status::Valid | Status::Superseded | Status::Revoked | Status::Expired => {}
        }
        // Of one that a list has told of and nobody has decided on, it is told what is to be decided.
        if is_undecided {
            return Ok(());
        }
        match ca::renewal_due(store, &record, now, DEVICE)? {
            Some(RenewalDue::Soon) => ending.add(record.address.to_string()),
            Some(RenewalDue::Lapsed) => lapsed.add(record.address.to_string()),
            None => {}
        }
        Ok(())
    });
    match looked {
        Ok(()) => findings.extend(soon(&ending).into_iter().chain(ended(&lapsed))),
        Err(error) => findings.push(unreadable(&error)),
    }
    findings.extend(never_delivered(&undelivered, last_undelivered.as_ref()));
    if recovered.count > 0 {
        findings.push(Finding::new(
            "recovered",
            Severity::Error,
            format!(
                "{} of the certificates that servers accept came to the ledger from a published list (it was restored from an \
                 older backup), and nobody has said whether they are to stay: {recovered}",
                recovered.count
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
fn never_delivered(undelivered: &Names, last: Option<&Record>) -> Option<Finding> {
    let (message, remedy) = match (undelivered.count, last?) {
        (1, one) => (
            format!(
                "the bundle of {} ({}) was never delivered",
                one.address, one.serial
            ),
            format!("pki issue {}", one.address),
        ),
        (count, _) => (
            format!("the bundles of {count} certificates were never delivered: {undelivered}"),
            "the command that was cut off, once more: `pki issue --from LIST` or `pki renew`; of one device, \
             `pki issue EMPLOYEE/DEVICE`"
                .to_owned(),
        ),
    };
    Some(Finding::new("undelivered", Severity::Warning, message, remedy))
}

/// Devices that will soon be locked out because nobody renews.
fn soon(ending: &Names) -> Option<Finding> {
    let message = match ending.count {
        0 => return None,
        1 => format!("1 certificate ends within {DEVICE}: {ending}"),
        count => format!("{count} certificates end within {DEVICE}: {ending}"),
    };
    let remedy = "pki renew --expiring 14d --out DIR --bundle-passphrase-out FILE";
    Some(Finding::new(
        "certificates-ending",
        Severity::Warning,
        message,
        remedy,
    ))
}

/// Devices that are locked out because nobody has renewed.
fn ended(lapsed: &Names) -> Option<Finding> {
    let devices = match lapsed.count {
        0 => return None,
        1 => "1 device has".to_owned(),
        count => format!("{count} devices have"),
    };
    Some(Finding::new(
        "certificates-ended",
        Severity::Warning,
        format!("{devices} no certificate any more, for the last one has ended: {lapsed}"),
        "pki renew --expired --out DIR --bundle-passphrase-out FILE; what is used no more: pki revoke EMPLOYEE/DEVICE",
    ))
}

/// How many there are, and the first of them by name: the others are not kept.
#[derive(Debug, Default)]
struct Names {
    count: usize,
    first: Vec<String>,
}

impl Names {
    const SHOWN: usize = 5;

    fn add(&mut self, name: String) {
        self.count += 1;
        let place = self.first.partition_point(|before| *before <= name);
        if place < Self::SHOWN {
            self.first.insert(place, name);
            self.first.truncate(Self::SHOWN);
        }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.count > Self::SHOWN { ", …" } else { "" };
        write!(f, "{}{more}", self.first.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_are_counted_and_the_first_are_told() {
        let told = |names: &[&str]| {
            let mut all = Names::default();
            names.iter().for_each(|name| all.add((*name).to_owned()));
            (all.count, all.to_string())
        };
        assert_eq!(told(&["B", "A"]), (2, "A, B".to_owned()));
        assert_eq!(told(&["B", "E", "D", "C", "A"]), (5, "A, B, C, D, E".to_owned()));
        assert_eq!(
            told(&["G", "B", "B", "F", "D", "C", "A"]),
            (7, "A, B, B, C, D, …".to_owned())
        );
    }
}
