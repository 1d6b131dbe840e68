//! What is wrong with the CAs themselves: their keys, and the ends of their certificates.

use super::{Finding, Severity};
use crate::home::Home;
use crate::key::SoftwareKey;
use crate::model::{Authority, Span, Time};

/// What to do about a CA that ends.
const ROTATE: &str = "found a new PKI with `pki init --home DIR` in good time, and issue to the devices from there \
                      (`pki ca rotate`, which spares that, is not in this version yet)";
/// From when on the end of an issuing CA is a warning: its devices' certificates would be cut.
const ISSUING_CA: Span = Span::days(180);

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
        let examined = match home.key(authority) {
            Ok(pem) => SoftwareKey::examine(&pem).map_err(|why| format!("{} {why}", path.display())),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = examined {
            let code = match authority {
                Authority::Root => "root-key",
                Authority::Issuing => "issuing-key",
                Authority::Servers => "servers-key",
            };
            let remedy = format!("restore {} from a backup", path.display());
            findings.push(Finding::new(code, Severity::Error, why, remedy));
        }
    }
}

/// Which CA ends.
pub(super) fn certificates(home: &Home, now: Time, findings: &mut Vec<Finding>) {
    let servers = home.servers().map(|chain| ("servers' CA", chain.issuing()));
    let standing = [
        ("root", home.chain().root()),
        ("issuing CA", home.chain().issuing()),
    ];
    for (who, certificate) in standing.into_iter().chain(servers) {
        let end = certificate.validity().not_after;
        if end < now {
            let message = format!("the certificate of the {who} ended on {}", end.date());
            findings.push(Finding::new("ca-ended", Severity::Error, message, ROTATE));
        } else if end - now < ISSUING_CA {
            let message = format!("the certificate of the {who} ends on {}", end.date());
            findings.push(Finding::new("ca-ending", Severity::Warning, message, ROTATE));
        }
    }
}
