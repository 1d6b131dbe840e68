//! Checks what devices enroll by: their invites, and the certificate of the page.

use super::ledger::unreadable;
use super::{Finding, Severity};
use crate::ca::{self, Other, SecondUse};
use crate::disk;
use crate::home::Home;
use crate::model::{InviteState, Time};
use crate::store::Store;
use crate::x509::foreign::ForeignCertificate;

/// The longest file of certificates, in octets.
const LONGEST: u64 = 1 << 20;

pub(super) fn examine(home: &Home, store: &Store, now: Time, findings: &mut Vec<Finding>) {
    findings.extend(page(home, now));
    invites(store, now, findings);
}

/// What to do about a second use of an invite.
pub fn whose_is_it(second: &SecondUse) -> String {
    let address = &second.address;
    match second.by {
        Other::Key => format!(
            "ask whether the phone works; if not, a thief has its certificate: `pki revoke {address}`, and invite it anew"
        ),
        Other::Network => format!(
            "ask whether that was the device; if not, `pki revoke {address}`, and invite it anew: without the passphrase nobody opens the file"
        ),
    }
}

fn invites(store: &Store, now: Time, findings: &mut Vec<Finding>) {
    match ca::second_uses(store, now) {
        Ok(uses) => findings.extend(uses.iter().map(|second| {
            let code = match second.by {
                Other::Key => "second-key",
                Other::Network => "second-network",
            };
            Finding::new(code, Severity::Warning, second, whose_is_it(second))
        })),
        Err(error) => {
            findings.push(unreadable(&error));
            return;
        }
    }
    let mut waiting = Vec::new();
    let looked = store.invites(&mut |invited| {
        if invited.state(now) == InviteState::Asked {
            waiting.push((invited.invite.id, invited.invite.address));
        }
        Ok(())
    });
    if let Err(error) = looked {
        findings.push(unreadable(&error));
        return;
    }
    waiting.sort();
    findings.extend(waiting.into_iter().map(|(id, address)| {
        Finding::new(
            "invite-waits",
            Severity::Note,
            format!("{address} waits for approval by the invite {id}"),
            format!("compare its words with the phone's: pki invite approve {id}"),
        )
    }));
}

/// The certificate of the page, where pki.toml names one.
fn page(home: &Home, now: Time) -> Option<Finding> {
    let path = home.config().serve.page_certificate.as_ref()?;
    let remedy =
        "renew it where it comes from (certbot, your host's panel); `pki serve` takes the new file by itself";
    let found = |severity, message: String| Some(Finding::new("page-certificate", severity, message, remedy));
    let shown = path.display();
    let read = disk::read(path, LONGEST).map_err(|why| why.to_string());
    let read = read
        .and_then(|octets| ForeignCertificate::first_in(&octets).map_err(|why| format!("{shown}: {why}")));
    let certificate = match read {
        Ok(certificate) => certificate,
        Err(why) => {
            return found(
                Severity::Error,
                format!("the certificate of the page cannot be read: {why}"),
            );
        }
    };
    let validity = certificate.validity;
    let serve = &home.config().serve;
    if let Some(authority) = serve.host.as_ref().filter(|one| !certificate.names(&one.host)) {
        return found(
            Severity::Error,
            format!(
                "the certificate of the page, {shown}, is not for {}: browsers warn of it",
                authority.host
            ),
        );
    }
    let ends = validity.not_after;
    if validity.ended(now) {
        found(
            Severity::Error,
            format!("the certificate of the page, {shown}, ended on {ends}: browsers refuse it"),
        )
    } else if validity.overdue() <= now {
        found(
            Severity::Warning,
            format!("the certificate of the page, {shown}, ends on {ends}"),
        )
    } else {
        None
    }
}
