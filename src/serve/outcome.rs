//! What has become of a device that asked for a certificate, as the log tells it: no secret is in it.

use data_encoding::HEXUPPER;
use serde::Serialize;

use super::clerk::AskedKey;
use crate::ca::{
    AcmeDenial, AcmeDone, AcmeRequest, Attempt, CaError, Denial, Granted, How, Revoker, ShownKey, UnfitKey,
};
use crate::model::{AccountId, AcmeGrant, Address, Host, InviteId, Serial};
use crate::x509::Certificate;

/// What has become of a device that asked for a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// `enrolled`, `renewed`, `again` where it got what it had got before, `another-network` where the file
    /// that one network had got went to another, `asks-code` where digits are still to come, or the word of
    /// the denial.
    #[serde(skip)]
    pub event: &'static str,
    /// The invite, of whoever has its secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite: Option<InviteId>,
    /// The server that asked by ACME.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// Its account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
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
            // Whoever lacks the secret may name any invite.
            invite: attempt.invite().filter(|_| !is_stranger),
            from: attempt.from().map(str::to_owned),
            ..Self::default()
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
            device,
            shown: shown(&asked.certificate),
            from: Some(asked.from.clone()),
            message,
            ..Self::default()
        }
    }

    /// What has become of what a server asked for by ACME.
    pub(super) fn of_acme(request: &AcmeRequest, from: &str, answer: &Result<AcmeDone, AcmeDenial>) -> Self {
        let (done, grant): (_, Option<&AcmeGrant>) = match request {
            AcmeRequest::Bind(grant, _) => ("acme-bound", Some(grant)),
            AcmeRequest::ChangeKey(grant, ..) => ("acme-key-changed", Some(grant)),
            AcmeRequest::Deactivate(grant, _) => ("acme-deactivated", Some(grant)),
            AcmeRequest::Certify(ordering) => ("acme-certified", Some(&ordering.grant)),
            AcmeRequest::Revoke(Revoker::Account(grant, _), ..) => ("acme-revoked", Some(grant)),
            AcmeRequest::Revoke(Revoker::Holder, ..) => ("acme-revoked", None),
        };
        Self {
            event: match answer {
                Ok(_) => done,
                Err(_) => "acme-refused",
            },
            host: if let AcmeRequest::Certify(ordering) = request {
                ordering.names.first().cloned()
            } else {
                grant.and_then(|grant| grant.names.first().cloned())
            },
            account: grant.map(|grant| grant.account),
            serial: match (answer, request) {
                (Ok(AcmeDone::Certified(certified)), _) => Some(certified.serial),
                (_, AcmeRequest::Revoke(_, serial, _)) => Some(*serial),
                _ => None,
            },
            from: Some(from.to_owned()),
            message: answer.as_ref().err().map(ToString::to_string),
            has_names: matches!(
                answer,
                Err(AcmeDenial::Refused(CaError::UnfitKey(
                    UnfitKey::OfAnother(_) | UnfitKey::Revoked { .. }
                )))
            ),
            ..Self::default()
        }
    }

    /// What has become of what a server asked for and the door refused.
    pub(super) fn of_refused_acme(grant: Option<&AcmeGrant>, from: &str, message: &str) -> Self {
        Self {
            event: "acme-refused",
            host: grant.and_then(|grant| grant.names.first().cloned()),
            account: grant.map(|grant| grant.account),
            from: Some(from.to_owned()),
            message: Some(message.to_owned()),
            ..Self::default()
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
