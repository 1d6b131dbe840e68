//! Checks the CAs themselves: their keys, and the expiry of their certificates.

use super::ownership::{GIVE_BACK, is_denied};
use super::{Finding, Severity};
use crate::ca::{self, EndingAuthority};
use crate::home::Home;
use crate::key::SoftwareKey;
use crate::model::{Authority, Time};

/// The remedy for a CA that expires.
pub const ROTATE: &str = "found a new PKI with `pki --home NEW init …` in good time, and issue to the devices from there: this version \
                          replaces no CA";

pub(super) fn keys(home: &Home, findings: &mut Vec<Finding>) {
    let root = home.key_path(Authority::Root);
    if root.exists() && root.starts_with(home.path()) {
        findings.push(Finding::new(
            "root-key-here",
            Severity::Note,
            format!("the root's key is on this machine: {}", root.display()),
            "move it to a medium in a safe, and name its place as root_key in pki.toml",
        ));
    }
    if !root.exists() {
        findings.push(Finding::new(
            "root-key-away",
            Severity::Note,
            format!("the root's key is not at {} now", root.display()),
            "good, if it is in a safe; once a year `pki root crl` needs it there (root_key in pki.toml names its place)",
        ));
    }
    for authority in [Authority::Root, Authority::Issuing, Authority::Servers] {
        let path = home.key_path(authority);
        let may_be_away = match authority {
            Authority::Root => true,
            Authority::Issuing => false,
            Authority::Servers => home.servers().is_none(),
        };
        if may_be_away && !path.exists() {
            continue;
        }
        let restore = || format!("restore {} from a backup", path.display());
        let examined = match home.key(authority) {
            Ok(pem) => {
                SoftwareKey::examine(&pem).map_err(|why| (format!("{} {why}", path.display()), restore()))
            }
            Err(error) if is_denied(&error) => Err((error.to_string(), GIVE_BACK.to_owned())),
            Err(error) => Err((error.to_string(), restore())),
        };
        if let Err((why, remedy)) = examined {
            let code = match authority {
                Authority::Root => "root-key",
                Authority::Issuing => "issuing-key",
                Authority::Servers => "servers-key",
            };
            findings.push(Finding::new(code, Severity::Error, why, remedy));
        }
    }
}

/// Finds the CAs that expire soon or have expired.
pub(super) fn certificates(home: &Home, now: Time, findings: &mut Vec<Finding>) {
    for EndingAuthority { what, end } in ca::ending_authorities(home, now) {
        let (code, severity, ends) = match end < now {
            true => ("ca-ended", Severity::Error, "ended"),
            false => ("ca-ending", Severity::Warning, "ends"),
        };
        let message = format!("the certificate of the {what} {ends} on {}", end.date());
        findings.push(Finding::new(code, severity, message, ROTATE));
    }
}
