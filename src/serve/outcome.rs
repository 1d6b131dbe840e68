//! What has become of a device that asked for a certificate, as the log tells it: no secret is in it.

use data_encoding::HEXUPPER;
use serde::Serialize;

use super::clerk::AskedKey;
use crate::ca::{Attempt, Denial, Granted, How, ShownKey};
use crate::model::{Address, InviteId, Serial};
use crate::x509::Certificate;

/// What has become of a device that asked for a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// `enrolled`, `renewed`, `again` where it got what it had got before, `another-network` where the file
    /// that one network had got went to another, `asks-code` where digits are still to come, or the word of
    /// the denial.
    #[serde(skip)]
    pub event: &'static str,
    /// The invite, of whoever has its secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite: Option<InviteId>,
    /// The device that has a certificate now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Address>,
    /// The certificate's serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<Serial>,
    /// The serial number of the certificate that it showed, as it says itself, where it got no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// The network that it asked from, as the ledger records it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Why there is no certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether the message may name devices.
    #[serde(skip)]
    pub has_names: bool,
}

impl Outcome {
    /// What has become of an attempt.
    pub fn of(attempt: &Attempt, answer: &Result<Granted, Denial>) -> Self {
        let is_stranger = matches!(answer, Err(Denial::NoRight));
        let none = Self {
            event: "",
            // Whoever lacks the secret may name any invite.
            invite: attempt.invite().filter(|_| !is_stranger),
            device: None,
            serial: None,
            shown: None,
            from: attempt.from().map(str::to_owned),
            message: None,
            has_names: false,
        };
        match answer {
            Ok(Granted { issued, how }) => Self {
                event: match (how, attempt) {
                    (How::New, Attempt::Redeem(_) | Attempt::Fetch(_) | Attempt::Show(_)) => "enrolled",
                    (How::New, Attempt::Renew(_)) => "renewed",
                    (How::Again, _) => "again",
                    (How::Elsewhere, _) => "another-network",
                },
                device: Some(issued.address.clone()),
                serial: Some(issued.serial),
                ..none
            },
            Err(denial) => Self {
                // The page asks for the digits by this.
                event: match matches!(denial, Denial::WrongCode) && !has_code(attempt) {
                    true => "asks-code",
                    false => denial.code(),
                },
                shown: match attempt {
                    Attempt::Renew(renewing) => shown(&renewing.certificate),
                    Attempt::Redeem(_) | Attempt::Fetch(_) | Attempt::Show(_) => None,
                },
                message: Some(denial.to_string()),
                has_names: matches!(denial, Denial::Refused(_)),
                ..none
            },
        }
    }

    /// What has become of a device that asked for a shared key.
    pub(super) fn of_key(asked: &AskedKey, answer: &Result<ShownKey, Denial>) -> Self {
        let (event, device, message) = match answer {
            Ok(known) => ("shared-key", Some(known.key.address.clone()), None),
            Err(denial) => (denial.code(), None, Some(denial.to_string())),
        };
        Self {
            event,
            invite: None,
            device,
            serial: None,
            shown: shown(&asked.certificate),
            from: Some(asked.from.clone()),
            message,
            has_names: false,
        }
    }

    /// Whether a device has a certificate now that it did not have before.
    pub fn is_new(&self) -> bool {
        matches!(self.event, "enrolled" | "renewed")
    }
}

fn shown(der: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(der).ok()?;
    Some(HEXUPPER.encode(certificate.serial()))
}

/// Whether digits came with an attempt.
fn has_code(attempt: &Attempt) -> bool {
    let code = match attempt {
        Attempt::Redeem(redeeming) => redeeming.code.as_ref(),
        Attempt::Fetch(fetching) => fetching.code.as_ref(),
        Attempt::Renew(_) | Attempt::Show(_) => None,
    };
    code.is_some_and(|code| !code.trim().is_empty())
}
