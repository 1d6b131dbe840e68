//! What can be found, each with what mends it.

use std::net::SocketAddr;
use std::time::Duration;

use super::client::Outcome;
use super::client_hello::Version;
use super::suites::{self, Weakness};
use crate::doctor::{Finding, Severity};
use crate::model::{Span, Time};

/// From when on the end of a server's certificate is a warning.
pub const ENDING: Span = Span::days(14);

/// The CRL that a server should act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewestCrl {
    /// Its cRLNumber.
    pub number: u64,
    /// When it was published.
    pub published: Time,
    /// When the one before it ends, which is the newest that a server can have that does not have this one.
    pub before_ends: Option<Time>,
}

/// Whether a server acted on a CRL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acted {
    /// So long after its publication.
    After(Duration),
    /// Not while it was waited for.
    NotWithin(Duration),
    /// Nobody can say: it lets in nobody, also not who is valid.
    Shut(Outcome),
}

pub fn old_versions(versions: &[Version]) -> Finding {
    let severity = if versions.contains(&Version::Ssl3) {
        Severity::Error
    } else {
        Severity::Warning
    };
    let names: Vec<String> = versions.iter().map(ToString::to_string).collect();
    Finding::new(
        "old-protocol",
        severity,
        format!(
            "the server offers {}, which is broken or forbidden",
            names.join(", ")
        ),
        "offer TLS 1.2 and 1.3 alone; nginx: `ssl_protocols TLSv1.2 TLSv1.3;`",
    )
}

pub fn no_modern_tls() -> Finding {
    Finding::new(
        "no-modern-protocol",
        Severity::Error,
        "the server offers neither TLS 1.2 nor TLS 1.3: nothing else can be asked of it",
        "bring its TLS library up to date; nginx: `ssl_protocols TLSv1.2 TLSv1.3;`",
    )
}

pub fn no_tls13() -> Finding {
    Finding::new(
        "no-tls13",
        Severity::Note,
        "the server does not offer TLS 1.3, which hides clients' certificates from who listens",
        "offer it, too; nginx: `ssl_protocols TLSv1.2 TLSv1.3;`",
    )
}

pub fn weak_suites(weakness: Weakness, taken: &[u16]) -> Finding {
    let (code, severity) = match weakness {
        Weakness::Broken => ("suites-broken", Severity::Error),
        Weakness::Outdated | Weakness::NoForwardSecrecy => ("suites-weak", Severity::Warning),
        Weakness::Cbc => ("suites-cbc", Severity::Note),
    };
    let names: Vec<String> = taken.iter().map(|suite| suites::name(*suite)).collect();
    Finding::new(
        code,
        severity,
        format!(
            "the server takes suites with {}: {}",
            weakness.words(),
            names.join(", ")
        ),
        "take ECDHE with AES-GCM or ChaCha20 alone; nginx: `ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;`",
    )
}

pub fn untrusted(why: &str, issuer: &str) -> Finding {
    Finding::new(
        "chain-untrusted",
        Severity::Error,
        format!("the server's certificate, issued by {issuer:?}, is not trusted: {why}"),
        "have the server send its intermediate certificates, too; for a server of another private CA give that CA with --ca FILE",
    )
}

pub fn self_signed(subject: &str) -> Finding {
    Finding::new(
        "chain-untrusted",
        Severity::Error,
        format!("the server's certificate, of {subject:?}, is self-signed: nobody vouches for it"),
        "if that is meant, copy it from the server's own disk, not over the wire, and give it with --ca FILE; \
         a certificate of the servers' CA (`pki server issue`) needs no --ca",
    )
}

pub fn key_retiring(host: &str, leaves: Time) -> Finding {
    Finding::new(
        "key-retiring",
        Severity::Warning,
        format!(
            "the server still uses a retiring key: its pin leaves the set on {}, and then apps refuse it",
            leaves.date()
        ),
        format!(
            "before that give it the key in use with its certificate: `pki server issue {host}`, or `pki server csr {host}` for a public CA"
        ),
    )
}

pub fn other_host(host: &str, subject: &str) -> Finding {
    Finding::new(
        "host-name",
        Severity::Error,
        format!("the server's certificate, of {subject:?}, does not name {host}"),
        format!(
            "give the server a certificate with {host} as subject alternative name, or check it by the name it has"
        ),
    )
}

pub fn ended(what: &str, end: Time) -> Finding {
    Finding::new(
        "certificate-ended",
        Severity::Error,
        format!("{what} ended on {end}: phones refuse the server"),
        "renew it and reload the server",
    )
}

pub fn not_yet(begin: Time) -> Finding {
    Finding::new(
        "certificate-not-yet",
        Severity::Error,
        format!("the server's certificate is good from {begin} on, and not before"),
        "set the clock, here or where the certificate was made",
    )
}

pub fn ending(what: &str, end: Time, now: Time) -> Finding {
    Finding::new(
        "certificate-ending",
        Severity::Warning,
        format!("{what} ends in {}, on {}", end - now, end.date()),
        "renew it with the same key, so that pins hold, and reload the server",
    )
}

pub fn man_in_the_middle(address: SocketAddr) -> Finding {
    Finding::new(
        "man-in-the-middle",
        Severity::Error,
        format!(
            "the server at {address} has a key that is not pinned: somebody stands between, or the server's key was changed outside of pki"
        ),
        "compare the key on the server itself; where it was changed on purpose, go back to a pinned key: apps refuse any other",
    )
}

pub fn no_pins(host: &str) -> Finding {
    Finding::new(
        "no-pins",
        Severity::Note,
        format!("no pins are published for {host}: whoever can get a certificate for it can stand between"),
        format!(
            "`pki server import {host} --cert FILE` pins the key that it has, and one in reserve; `pki server add {host}` makes both anew"
        ),
    )
}

pub fn not_asked() -> Finding {
    Finding::new(
        "certificate-not-asked",
        Severity::Error,
        "the server does not ask for a client certificate in the handshake",
        "nginx: `ssl_verify_client on;`; Node.js: `requestCert: true, rejectUnauthorized: true`; where a proxy ends TLS, there",
    )
}

pub fn not_demanded(outcome: &Outcome) -> Finding {
    Finding::new(
        "certificate-not-demanded",
        Severity::Error,
        format!("who shows no certificate is {outcome}"),
        "nginx: `ssl_verify_client on;` (not `optional`); Node.js: `rejectUnauthorized: true`",
    )
}

pub fn impostor_accepted(who: &str, outcome: &Outcome) -> Finding {
    Finding::new(
        "impostor-accepted",
        Severity::Error,
        format!("who shows {who} is {outcome}: anybody can make one"),
        "nginx: `ssl_verify_client on;` (not `optional_no_ca`) with `ssl_client_certificate` of this PKI alone; \
         Node.js: `rejectUnauthorized: true` with `ca` of this PKI alone",
    )
}

pub fn valid_refused(outcome: &Outcome) -> Finding {
    Finding::new(
        "valid-refused",
        Severity::Error,
        format!("who shows a valid certificate is {outcome}"),
        "see the server's log. It may lack a CRL, have one that has ended or another CA's: reload it with the newest publication. \
         Where the application itself refuses, check a path that any device may read",
    )
}

pub fn shut(control: &Outcome) -> Finding {
    Finding::new(
        "shut-for-everyone",
        Severity::Error,
        format!("since the revocation the server lets in nobody: who shows a valid certificate is {control}"),
        "see the server's log: it may have stopped, or have read a CRL that has ended, another CA's, or not all of the chain's;          `pki doctor` tells what is wrong with the publication",
    )
}

pub fn not_acted(crl: &NewestCrl, waited: Duration) -> Finding {
    let then = match crl.before_ends {
        Some(end) => format!("; the one before it ends on {end}, and then the server lets nobody in"),
        None => String::new(),
    };
    Finding::new(
        "revoked-accepted",
        Severity::Error,
        format!(
            "a revoked certificate is still let in after {} s: the server has not acted on CRL {}, published at {}{then}",
            waited.as_secs(),
            crl.number,
            crl.published
        ),
        "have the server read each publication: nginx `ssl_crl` with crl/bundle.pem and a reload after it (pki-nginx-reload.path \
         does that), and fetch or copy it there first where it is another machine. It may need longer: --patience 10m",
    )
}

pub fn resumed(version: Version) -> Finding {
    Finding::new(
        "revoked-resumed",
        Severity::Error,
        format!(
            "a revoked certificate is let in on a resumed session of {version}: resumption skips the CRL"
        ),
        "nginx: deny by serial number, `map $ssl_client_serial $revoked { default 0; include revoked.map; }` and \
         `if ($revoked) { return 403; }`; or resume nothing, `ssl_session_cache off; ssl_session_tickets off;`; \
         elsewhere: ask devices.json at each request",
    )
}

pub fn kept_alive(version: Version) -> Finding {
    Finding::new(
        "revoked-kept-alive",
        Severity::Error,
        format!(
            "a revoked certificate is let in on a {version} connection that was open before: the CRL is asked at its beginning alone"
        ),
        "ask devices.json or revoked.map at each request, and close the connection of who is not accepted; \
         nginx: `worker_shutdown_timeout 10s;` ends what a reload leaves open",
    )
}

pub fn revoked_partly(connections: &str) -> Finding {
    Finding::new(
        "revoked-accepted",
        Severity::Error,
        format!("a revoked certificate is let in on some {connections}, and not on others"),
        "several servers or workers answer here: have every one read the publication, and check each by --resolve",
    )
}

pub fn unclear(what: &str, outcome: &Outcome) -> Finding {
    Finding::new(
        "unclear",
        Severity::Warning,
        format!("whether {what} is let in {outcome}"),
        "check again; where it stays so, see the server's log",
    )
}

/// The answer has no end that was reached, and the connection cannot be asked again.
pub fn unread(version: Version) -> Finding {
    Finding::new(
        "unclear",
        Severity::Warning,
        format!(
            "{version}: whether who is revoked and has a connection open is let in cannot be said: the answer is too long"
        ),
        "check with the URL of a short answer, such as /health",
    )
}
