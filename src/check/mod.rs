//! Examines a live server as an attacker and as a phone: what it offers, whether it is the one that phones
//! expect, which clients it lets in, and whether it stops letting in those that are revoked.
//!
//! [`meet`] finds the server and judges it. [`question`] connects as each of those who must be refused, over
//! every TLS version, server name and protocol that a server can configure separately. [`Trial`] connects as
//! a phone that is revoked meanwhile, and as one that is not; the caller issues and revokes their
//! certificates. All that a server says is read with bounds in length and time.

mod client;
#[cfg(test)]
mod fuzz_tests;
mod findings;
mod meet;
mod offers;
mod question;
mod remedies;
mod trial;

pub use client::url::{InvalidUrl, Url};
pub use client::wire::{Server, Unreachable};
pub use client::{Identity, Outcome, Refusal};
pub use findings::{Acted, NewestCrl};
pub use meet::chain::Trust;
pub use meet::pins::Published;
pub use meet::{Expected, Met, meet};
pub use question::forgery::{Forged, ForgeryError, below_device, copy_of_device, forge, identity};
pub use question::who::Who;
pub use question::{ask_once, come_as, question};
pub use trial::{Depth, Identities, Interrupted, Trial, Watch};

use std::net::SocketAddr;

use serde::Serialize;

use crate::doctor::Finding;
use crate::model::fault::{Fault, Kind};

/// Why a server cannot be examined.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Nobody is there.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Something else is there.
    #[error("{0} speaks no TLS")]
    NotTls(SocketAddr),
    /// It takes connections, and says nothing.
    #[error("{address} says nothing: {why}")]
    Silent {
        /// Where it is.
        address: SocketAddr,
        /// The system's words.
        why: std::io::Error,
    },
    /// It refuses whatever is offered.
    #[error("{address} refuses every handshake ({how})")]
    RefusesAll {
        /// Where it is.
        address: SocketAddr,
        /// In which way.
        how: Refusal,
    },
    /// The certificates that no server may accept could not be made.
    #[error("no certificate of another CA could be made: {0}")]
    Forgery(#[from] ForgeryError),
}

impl Fault for CheckError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::Unreachable(error) => error.kind_and_code(),
            Self::Silent { .. } => (Kind::Elsewhere, "unreachable"),
            Self::NotTls(_) | Self::RefusesAll { .. } => (Kind::Elsewhere, "not-tls"),
            Self::Forgery(_) => (Kind::Bug, "bug"),
        }
    }
}

/// What was asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Which protocol versions it offers.
    Versions,
    /// Which cipher suites it takes that it should not.
    WeakSuites,
    /// On what curves and below which primes keys are agreed upon, and what else of old versions is not safe.
    KeyAgreement,
    /// Who vouches for it.
    Chain,
    /// Whether its certificate names the host.
    HostName,
    /// Until when its certificate is good.
    GoodUntil,
    /// Whether its key is pinned.
    Pins,
    /// By which ways somebody came who must not get in.
    Ways,
    /// Who shows no certificate.
    NoCertificate,
    /// Who shows a certificate of another CA with our names.
    OtherAuthority,
    /// Who shows a certificate that vouches for itself.
    SelfSigned,
    /// Who shows a stranger's certificate that says what a device's says.
    Copy,
    /// Who shows a certificate that a device's key has signed.
    BelowDevice,
    /// Who shows a server's certificate.
    ServersCertificate,
    /// Who shows a certificate that has ended.
    Ended,
    /// Whether a client that was refused is let in by another request: by another method, with a query, with
    /// a header field that claims to be a device, or with the host written differently.
    OtherRequests,
    /// Who shows a valid certificate.
    Valid,
    /// Whether a client can have a new handshake on a connection that stands.
    Renegotiation,
    /// Whether sessions are resumed.
    Resumption,
    /// How soon it acts on a new CRL.
    NewCrl,
    /// Whether a client with a certificate that is still valid is let in after the new CRL.
    StillValid,
    /// Who is revoked, on a new connection.
    RevokedFresh,
    /// Who is revoked, on a resumed session.
    RevokedResumed,
    /// Who is revoked, on a connection from before.
    RevokedKeptAlive,
    /// Who is revoked, by every way.
    RevokedEveryWay,
}

impl Question {
    /// In few words, for a table.
    pub fn words(self) -> &'static str {
        match self {
            Self::Versions => "protocol versions",
            Self::WeakSuites => "weak cipher suites",
            Self::KeyAgreement => "key agreement",
            Self::Chain => "certificate chain",
            Self::HostName => "host name",
            Self::GoodUntil => "good until",
            Self::Pins => "pins",
            Self::Ways => "ways in",
            Self::NoCertificate => "no certificate",
            Self::OtherAuthority => "certificate of another CA",
            Self::SelfSigned => "self-signed certificate",
            Self::Copy => "copy of a device's",
            Self::BelowDevice => "signed by a device's key",
            Self::ServersCertificate => "a server's certificate",
            Self::Ended => "ended certificate",
            Self::OtherRequests => "other requests",
            Self::Valid => "valid certificate",
            Self::Renegotiation => "renegotiation",
            Self::Resumption => "sessions",
            Self::NewCrl => "new CRL",
            Self::StillValid => "valid, after the new CRL",
            Self::RevokedFresh => "revoked, new connection",
            Self::RevokedResumed => "revoked, resumed session",
            Self::RevokedKeptAlive => "revoked, kept-alive connection",
            Self::RevokedEveryWay => "revoked, by every way",
        }
    }
}

/// Whether an answer is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is.
    Good,
    /// It is not: a finding tells more.
    Bad,
    /// There is nothing to judge, or it could not be told.
    Open,
}

/// A question and what was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What was asked.
    pub question: Question,
    /// What was seen.
    pub answer: String,
    /// Whether that is as it should be.
    pub verdict: Verdict,
}

/// What an examination came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What is wrong or could be better, and what mends it.
    pub findings: Vec<Finding>,
    /// All that was asked.
    pub answers: Vec<Answer>,
}

impl Report {
    fn answer(&mut self, question: Question, answer: impl ToString, verdict: Verdict) {
        self.answers.push(Answer {
            question,
            answer: answer.to_string(),
            verdict,
        });
    }

    /// Adds findings to the report.
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }
}
