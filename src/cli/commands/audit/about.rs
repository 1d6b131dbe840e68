//! What an event is about, in the terms of those who collect events of many systems: of what kind it is, what
//! was done with what, whether it was done, and how soon somebody should look.

use serde::Serialize;

use crate::model::{Fact, Host, Serial};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    Create,
    Read,
    Update,
    Delete,
    Enroll,
    Enable,
    Disable,
    Activate,
    Suspend,
}

/// How soon somebody should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is to be done.
    Informational,
    /// Something was taken away, or given to somebody to keep.
    Low,
    /// Something that does not happen where all goes well.
    Medium,
}

/// What it was done with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// The kind of thing, a word.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// By what people call it: a device's address, a host, an employee.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// By what programs know it: a serial number, the identifier of an invite or an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    pub activity: Activity,
    pub severity: Severity,
    /// Whether it was done; else it was refused.
    pub is_done: bool,
    pub subject: Subject,
}

impl About {
    /// What this fact is about. It is told by the fact alone: what came before is not known here.
    pub fn of(fact: &Fact) -> Self {
        use Activity::*;
        use Severity::*;
        let done = |activity, severity, subject| Self {
            activity,
            severity,
            is_done: true,
            subject,
        };
        match fact {
            Fact::Initialized { organization, .. } => {
                done(Create, Informational, named("organization", organization))
            }
            Fact::Issued(issued) => {
                let certificate = certificate(&issued.serial, Some(&issued.address));
                done(Create, Informational, certificate)
            }
            Fact::Delivered { serial, .. } => {
                done(Activate, Informational, certificate(serial, None::<Host>))
            }
            Fact::Revoked { serial, address, .. } => {
                done(Disable, Low, certificate(serial, address.as_ref()))
            }
            Fact::Recovered(recovered) => {
                let certificate = certificate(&recovered.serial, Some(&recovered.address));
                done(Create, Medium, certificate)
            }
            Fact::Kept { serial } => done(Update, Informational, certificate(serial, None::<Host>)),
            Fact::Offboarded { employee } => done(Disable, Low, named("employee", employee)),
            Fact::Reinstated { employee } => done(Enable, Low, named("employee", employee)),
            Fact::CrlSigned { authority, .. } => done(Update, Informational, named("crl", authority)),
            Fact::Published { .. } => done(Update, Informational, alone("publication")),
            Fact::ServersCa { .. } => done(Create, Low, named("authority", "servers")),
            Fact::ServerAdded { host, .. } => done(Create, Informational, named("server", host)),
            Fact::ServerCertified(certified) => {
                let certificate = certificate(&certified.serial, Some(&certified.host));
                done(Create, Informational, certificate)
            }
            Fact::ServerImported { host, .. } => done(Update, Informational, named("server", host)),
            Fact::ServerRotated { host, .. } => done(Update, Low, named("server", host)),
            Fact::ServerRemoved { host, .. } => done(Delete, Low, named("server", host)),
            Fact::ServerRevoked { serial, host, .. } => {
                done(Disable, Low, certificate(serial, host.as_ref()))
            }
            Fact::PinsSigned { .. } => done(Update, Informational, alone("pins")),
            Fact::HmacRotated { host, .. } => done(Update, Low, named("shared_keys", host)),
            Fact::HmacHandedOut { host, address } => {
                let name = address.as_ref().map_or(host.to_string(), ToString::to_string);
                done(Read, Low, named("shared_keys", name))
            }
            Fact::HmacFirst { address, .. } => done(Update, Medium, named("shared_keys", address)),
            Fact::AcmeGranted(grant) => done(Create, Low, known("account", grant.account)),
            Fact::AcmeBound { account, .. } => done(Enroll, Low, known("account", account)),
            Fact::AcmeCancelled { account, .. } => done(Disable, Low, known("account", account)),
            Fact::AcmeDeactivated { account } => done(Disable, Low, known("account", account)),
            Fact::InviteCreated(created) => {
                let invite = Subject {
                    name: Some(created.invite.address.to_string()),
                    ..known("invite", created.invite.id)
                };
                done(Create, Informational, invite)
            }
            Fact::InviteAsked { id, .. } => done(Update, Informational, known("invite", id)),
            Fact::InviteApproved { id, .. } => done(Update, Informational, known("invite", id)),
            Fact::InviteRedeemed { id, .. } => done(Enroll, Informational, known("invite", id)),
            Fact::InviteFetchedAgain { id, .. } => done(Read, Medium, known("invite", id)),
            Fact::InviteRefused { id, .. } => Self {
                is_done: false,
                ..done(Enroll, Medium, known("invite", id))
            },
            Fact::InviteSuspended { id } => done(Suspend, Medium, known("invite", id)),
            Fact::InviteCancelled { id } => done(Delete, Informational, known("invite", id)),
            Fact::Restored { .. } => done(Create, Medium, alone("home")),
            Fact::Reconciled { .. } => done(Update, Medium, alone("home")),
            Fact::PassphraseChanged { authority } => done(Update, Low, named("passphrase", authority)),
            Fact::ClockConfirmed { .. } => done(Update, Medium, alone("clock")),
        }
    }
}

fn alone(kind: &'static str) -> Subject {
    Subject {
        kind,
        name: None,
        id: None,
    }
}

fn named(kind: &'static str, name: impl ToString) -> Subject {
    Subject {
        name: Some(name.to_string()),
        ..alone(kind)
    }
}

fn known(kind: &'static str, id: impl ToString) -> Subject {
    Subject {
        id: Some(id.to_string()),
        ..alone(kind)
    }
}

/// A certificate, of a device or a server where that is known.
fn certificate(serial: &Serial, of: Option<impl ToString>) -> Subject {
    Subject {
        name: of.map(|of| of.to_string()),
        ..known("certificate", serial)
    }
}
