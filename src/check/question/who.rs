//! The clients that a server must refuse, and the question of the report that each of them answers.

use crate::check::Question;

/// A client that must be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// It shows no certificate.
    Nobody,
    /// It shows a certificate of another CA with our names.
    OtherAuthority,
    /// It shows a self-signed certificate.
    SelfSigned,
    /// It shows a certificate with the contents and serial number of a device's, which no CA has signed.
    Copy,
    /// It shows a certificate that a device's key has signed, as if the device were a CA.
    BelowDevice,
    /// It shows a server's certificate.
    Server,
    /// It shows a certificate that was valid and has expired.
    Ended,
    /// It shows a certificate that is revoked.
    Revoked,
}

impl Who {
    /// All of these clients.
    pub const ALL: [Self; 8] = [
        Self::Nobody,
        Self::OtherAuthority,
        Self::SelfSigned,
        Self::Copy,
        Self::BelowDevice,
        Self::Server,
        Self::Ended,
        Self::Revoked,
    ];

    /// The question of the report that this client answers.
    pub fn question(self) -> Question {
        match self {
            Self::Nobody => Question::NoCertificate,
            Self::OtherAuthority => Question::OtherAuthority,
            Self::SelfSigned => Question::SelfSigned,
            Self::Copy => Question::Copy,
            Self::BelowDevice => Question::BelowDevice,
            Self::Server => Question::ServersCertificate,
            Self::Ended => Question::Ended,
            Self::Revoked => Question::RevokedEveryWay,
        }
    }

    /// The words that follow "who shows" in a report.
    pub fn words(self) -> &'static str {
        match self {
            Self::Nobody => "no certificate",
            Self::OtherAuthority => "a certificate of another CA of the same names",
            Self::SelfSigned => "a self-signed certificate with the root's name",
            Self::Copy => "a stranger's certificate with a device's name and serial number",
            Self::BelowDevice => "a certificate that a device's key has signed",
            Self::Server => "a server's certificate",
            Self::Ended => "a certificate that has ended",
            Self::Revoked => "a revoked certificate",
        }
    }
}
