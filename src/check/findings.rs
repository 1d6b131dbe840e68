//! The findings of `pki check`: a function for each makes its text and its remedy.

use std::net::SocketAddr;
use std::time::Duration;

use super::client::Outcome;
use super::client::version::Version;
use super::offers::suites::{self, Weakness};
use super::remedies;
use crate::doctor::{Finding, Severity};
use crate::model::{Span, Time};

/// The time before the expiry of a server's certificate from which on it is a warning.
pub const ENDING: Span = Span::days(14);

/// The CRL that a server should act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewestCrl {
    /// Its cRLNumber.
    pub number: u64,
    /// The time when it was published.
    pub published: Time,
    /// The end (nextUpdate) of the CRL before it, the newest that a server can have that does not have this
    /// one.
    pub before_ends: Option<Time>,
}

/// Whether a server acted on a CRL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acted {
    /// So long after its publication.
    After(Duration),
    /// It did not within the time that it was waited for.
    NotWithin(Duration),
    /// Nobody can say: the time for asking was up.
    NotSeen,
    /// Nobody can say: it lets in nobody, also not who is valid.
    Shut(Outcome),
}

/// `to` says to whom, where that is not everybody.
pub fn old_versions(versions: &[Version], to: &str) -> Finding {
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
            "the server offers {}{to}, which is broken or forbidden; whom it lets in there was not asked",
            names.join(", ")
        ),
        remedies::VERSIONS,
    )
}

pub fn no_modern_tls() -> Finding {
    Finding::new(
        "no-modern-protocol",
        Severity::Error,
        "the server offers neither TLS 1.2 nor TLS 1.3: nothing else can be asked of it",
        format!("bring its TLS library up to date; {}", remedies::VERSIONS),
    )
}

pub fn no_tls13() -> Finding {
    Finding::new(
        "no-tls13",
        Severity::Note,
        "the server does not offer TLS 1.3, which hides clients' certificates from who listens",
        remedies::VERSIONS,
    )
}

pub fn weak_suites(weakness: Weakness, taken: &[u16]) -> Finding {
    let (code, severity) = match weakness {
        Weakness::Broken => ("suites-broken", Severity::Error),
        Weakness::OtherDoor | Weakness::Outdated | Weakness::NoForwardSecrecy => {
            ("suites-weak", Severity::Warning)
        }
        Weakness::ShortTag => ("suites-short-tag", Severity::Note),
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
        remedies::SUITES,
    )
}

pub fn weak_curves(names: &[String]) -> Finding {
    Finding::new(
        "groups-weak",
        Severity::Warning,
        format!(
            "the server agrees upon keys on {}: too small, or of its own making",
            names.join(", ")
        ),
        remedies::GROUPS,
    )
}

pub fn short_prime(bits: usize) -> Finding {
    Finding::new(
        "groups-weak",
        Severity::Warning,
        format!(
            "the server agrees upon keys (DHE) below a prime of {bits} bits: 2,048 are the least (RFC 9325)"
        ),
        remedies::GROUPS,
    )
}

pub fn compression() -> Finding {
    Finding::new(
        "tls-compression",
        Severity::Error,
        "the server compresses what it encrypts: secrets can be guessed by the length (CRIME, RFC 7525 §3.3)",
        "turn it off: OpenSSL `SSL_OP_NO_COMPRESSION`; Apache: `SSLCompression off`",
    )
}

pub fn unsafe_renegotiation() -> Finding {
    Finding::new(
        "renegotiation-unsafe",
        Severity::Warning,
        "the server knows nothing of safe renegotiation (RFC 5746): who stands between may put words before a client's",
        "bring its TLS library up to date, or offer TLS 1.3 alone",
    )
}

pub fn renegotiates() -> Finding {
    Finding::new(
        "client-renegotiation",
        Severity::Note,
        "a client can have the server begin a new handshake on a connection that stands: one who does so over and over keeps it busy",
        "OpenSSL from 3.0 on, nginx and Apache refuse it where nobody has told them otherwise; Node.js bounds it \
         (`tls.CLIENT_RENEG_LIMIT`); TLS 1.3 does not have it",
    )
}

/// Something of which the server gave no answer.
pub fn not_learnt(what: &str, why: &str) -> Finding {
    Finding::new(
        "unclear",
        Severity::Warning,
        format!("{what}: could not be asked for ({why})"),
        "check again, with more time by --patience 2m where it is slow or far away; where it stays so, see the server's log",
    )
}

/// The server took so long that this was not asked at all.
pub fn no_time(what: &str) -> Finding {
    Finding::new(
        "unclear",
        Severity::Warning,
        format!("{what} was not asked: the server took too long over the rest"),
        "see why it answers so slowly; --patience 2m gives it more time",
    )
}

pub fn cannot_judge(why: &str) -> Finding {
    Finding::new(
        "cannot-judge",
        Severity::Warning,
        format!("this server cannot be judged: {why}"),
        "give it a key that every client takes, ECDSA on P-256 or RSA of 2,048 bits and more, with X25519 or P-256 to agree upon keys",
    )
}

/// The certificate has faults in itself, whoever vouches for it.
pub fn faulty(faults: &[String]) -> Finding {
    Finding::new(
        "chain-untrusted",
        Severity::Error,
        format!("clients refuse the server's certificate: {}", faults.join("; ")),
        "issue it anew: version 3, with subjectAltName, keyUsage digitalSignature and extendedKeyUsage serverAuth, and no other \
         critical extension; openssl x509 -req does so with -extfile; `pki server issue` always",
    )
}

pub fn refused_by_apple(why: &str) -> Finding {
    Finding::new(
        "apple-refuses",
        Severity::Warning,
        format!("iPhones refuse the server's certificate: {why}"),
        "issue it anew for 825 days at most, with subjectAltName and extendedKeyUsage serverAuth, an ECDSA key or RSA of 2,048 bits and \
         more, signed with SHA-256; `pki server issue` does so",
    )
}

pub fn surplus_ended(end: Time) -> Finding {
    Finding::new(
        "certificate-surplus",
        Severity::Warning,
        format!("a CA's certificate that the server sends ended on {end}; no phone needs it"),
        "leave it out of the file with the server's chain: some old clients stumble over it",
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
            "before that give it the key in use with its certificate: `pki server issue {host} --out DIR`, where its key is, or `pki server csr {host}` for a public CA"
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
        "renew it and have the server read it, by a reload or a restart",
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
        "renew it with the same key, so that pins hold, and have the server read it, by a reload or a restart",
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
        remedies::DEMAND,
    )
}

/// `place` says by which ways, where it is not all.
pub fn not_demanded(outcome: &Outcome, place: &str) -> Finding {
    Finding::new(
        "certificate-not-demanded",
        Severity::Error,
        format!("who shows no certificate is {outcome}{place}"),
        remedies::DEMAND,
    )
}

/// A client that must be refused gets the same answer to OPTIONS as a device.
pub fn options_answered(who: &str, outcome: &Outcome, place: &str) -> Finding {
    Finding::new(
        "options-answered",
        Severity::Warning,
        format!(
            "OPTIONS of who shows {who} is answered as a device's{place} ({outcome}): whatever answers it can be reached without a \
             certificate"
        ),
        remedies::PREFLIGHT,
    )
}

pub fn impostor_accepted(who: &str, outcome: &Outcome, place: &str) -> Finding {
    Finding::new(
        "impostor-accepted",
        Severity::Error,
        format!("who shows {who} is {outcome}{place}: anybody can make one"),
        remedies::BELIEVE,
    )
}

pub fn device_as_authority(outcome: &Outcome, place: &str) -> Finding {
    Finding::new(
        "device-as-ca",
        Severity::Error,
        format!(
            "who shows a certificate that a device's key has signed is {outcome}{place}: every device can make people up"
        ),
        format!(
            "have the server hold each issuer to basicConstraints, and the chain to the depth of two; {}",
            remedies::BELIEVE
        ),
    )
}

pub fn server_accepted(outcome: &Outcome, place: &str) -> Finding {
    Finding::new(
        "server-as-client",
        Severity::Error,
        format!(
            "who shows a server's certificate is {outcome}{place}: every server of this PKI can come as a device"
        ),
        "have the server demand extendedKeyUsage clientAuth, as TLS libraries do where nobody has told them otherwise, \
         or ask devices.json at each request",
    )
}

pub fn ended_accepted(outcome: &Outcome, place: &str) -> Finding {
    Finding::new(
        "ended-accepted",
        Severity::Error,
        format!("who shows a certificate that has ended is {outcome}{place}"),
        format!("see whether the server's clock is right; {}", remedies::BELIEVE),
    )
}

pub fn revoked_accepted(outcome: &Outcome, place: &str) -> Finding {
    Finding::new(
        "revoked-accepted",
        Severity::Error,
        format!("who shows a revoked certificate is {outcome}{place}, though refused by the usual way"),
        format!(
            "every virtual host of the port needs the CRL, the default one as well; {}",
            remedies::READ
        ),
    )
}

/// `manner` says by which request.
pub fn revoked_by_manner(outcome: &Outcome, manner: &str) -> Finding {
    Finding::new(
        "revoked-accepted",
        Severity::Error,
        format!("who shows a revoked certificate is {outcome}{manner}, though refused by the usual way"),
        format!("whatever is asked: {}", remedies::ASK),
    )
}

pub fn valid_refused(outcome: &Outcome) -> Finding {
    Finding::new(
        "valid-refused",
        Severity::Error,
        format!("who shows a valid certificate is {outcome}"),
        "see the server's log. It may lack a CRL, have one that has ended or another CA's: have it read the newest publication, by a reload or a restart. \
         Where the application itself refuses, check a path that any device may read",
    )
}

pub fn shut(control: &Outcome) -> Finding {
    Finding::new(
        "shut-for-everyone",
        Severity::Error,
        format!("since the revocation the server lets in nobody: who shows a valid certificate is {control}"),
        "see the server's log: it may have stopped, or have read a CRL that has ended, another CA's, or not all of the chain's; `pki doctor` tells what is wrong with the publication",
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
        format!("{}. It may need longer: --patience 10m", remedies::READ),
    )
}

pub fn resumed(version: Version) -> Finding {
    Finding::new(
        "revoked-resumed",
        Severity::Error,
        format!(
            "a revoked certificate is let in on a resumed session of {version}: resumption skips the CRL"
        ),
        remedies::RESUME,
    )
}

/// `place` says on which connections, where it is not all.
pub fn kept_alive(version: Version, place: &str) -> Finding {
    Finding::new(
        "revoked-kept-alive",
        Severity::Error,
        format!(
            "a revoked certificate is let in on a {version} connection{place} that was open before: the CRL is asked at its beginning alone"
        ),
        remedies::ASK,
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
        "check again, with more time by --patience 2m where it is slow or far away; where it stays so, see the server's log",
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
