//! Which events are about a person, a device or a server. Some are so by what came before them: a
//! certificate, an invite or an account that is hers.

use std::collections::BTreeSet;

use crate::cli::named::Addressee;
use crate::model::{AccountId, Address, Employee, Event, Fact, Host, InviteId, Serial};

/// Whom or what events are to be about.
#[derive(Debug)]
pub enum Subject {
    /// All of them are meant.
    Everything,
    /// A person, or a device.
    Of(Addressee),
    /// A server.
    Server(Host),
}

impl Subject {
    /// The message where the ledger has nothing of it.
    pub fn unknown(&self) -> Option<String> {
        match self {
            Self::Everything => None,
            Self::Of(whom) => Some(whom.unknown()),
            Self::Server(host) => Some(format!("the ledger knows no server {host}")),
        }
    }
}

/// What was seen of the events, which come in their order.
pub struct Seen {
    subject: Subject,
    /// Its certificates that have been issued so far.
    serials: BTreeSet<Serial>,
    /// Its invites.
    invites: BTreeSet<InviteId>,
    /// Its accounts.
    accounts: BTreeSet<AccountId>,
}

impl Seen {
    /// Nothing yet.
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            serials: BTreeSet::new(),
            invites: BTreeSet::new(),
            accounts: BTreeSet::new(),
        }
    }

    /// Whom or what the events are to be about.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whether an event is about whom or what is meant.
    pub fn shows(&mut self, event: &Event) -> bool {
        match &self.subject {
            Subject::Everything => true,
            Subject::Of(whom) => {
                let whom = whom.clone();
                self.is_of(&whom, &event.fact)
            }
            Subject::Server(host) => {
                let host = host.clone();
                self.is_of_server(&host, &event.fact)
            }
        }
    }

    fn is_of(&mut self, whom: &Addressee, fact: &Fact) -> bool {
        let of = |address: &Address| match whom {
            Addressee::Employee(employee) => address.employee == *employee,
            Addressee::Device(device) => address == device,
        };
        let who = match whom {
            Addressee::Employee(employee) => employee,
            Addressee::Device(device) => &device.employee,
        };
        let is_hers = |employee: &Employee| employee == who;
        match fact {
            Fact::Issued(issued) if of(&issued.address) => self.serials.insert(issued.serial),
            Fact::Recovered(recovered) if of(&recovered.address) => self.serials.insert(recovered.serial),
            Fact::Delivered { serial, .. } | Fact::Kept { serial } | Fact::Revoked { serial, .. } => {
                self.serials.contains(serial)
            }
            Fact::Offboarded { employee } | Fact::Reinstated { employee } => is_hers(employee),
            Fact::HmacHandedOut {
                address: Some(address),
                ..
            }
            | Fact::HmacFirst { address, .. } => of(address),
            Fact::InviteCreated(created) if of(&created.invite.address) => {
                self.invites.insert(created.invite.id)
            }
            Fact::InviteAsked { id, .. }
            | Fact::InviteApproved { id, .. }
            | Fact::InviteRedeemed { id, .. }
            | Fact::InviteFetchedAgain { id, .. }
            | Fact::InviteRefused { id, .. }
            | Fact::InviteSuspended { id }
            | Fact::InviteCancelled { id } => self.invites.contains(id),
            Fact::Initialized { .. }
            | Fact::Issued(_)
            | Fact::Recovered(_)
            | Fact::InviteCreated(_)
            | Fact::CrlSigned { .. }
            | Fact::Published { .. }
            | Fact::ServersCa { .. }
            | Fact::ServerAdded { .. }
            | Fact::ServerCertified(_)
            | Fact::ServerImported { .. }
            | Fact::ServerRotated { .. }
            | Fact::ServerRemoved { .. }
            | Fact::ServerRevoked { .. }
            | Fact::PinsSigned { .. }
            | Fact::HmacRotated { .. }
            | Fact::HmacHandedOut { .. }
            | Fact::AcmeGranted(_)
            | Fact::AcmeBound { .. }
            | Fact::AcmeCancelled { .. }
            | Fact::AcmeDeactivated { .. }
            | Fact::Restored { .. }
            | Fact::Reconciled { .. }
            | Fact::PassphraseChanged { .. }
            | Fact::ClockConfirmed { .. } => false,
        }
    }

    fn is_of_server(&mut self, meant: &Host, fact: &Fact) -> bool {
        match fact {
            Fact::ServerCertified(certified)
                if certified.host == *meant || certified.others.contains(meant) =>
            {
                self.serials.insert(certified.serial)
            }
            Fact::ServerRevoked { serial, host, .. } => {
                host.as_ref() == Some(meant) || self.serials.contains(serial)
            }
            Fact::AcmeGranted(grant) if grant.names.contains(meant) => self.accounts.insert(grant.account),
            Fact::AcmeBound { account, .. }
            | Fact::AcmeCancelled { account, .. }
            | Fact::AcmeDeactivated { account } => self.accounts.contains(account),
            Fact::ServerAdded { host, .. }
            | Fact::ServerImported { host, .. }
            | Fact::ServerRotated { host, .. }
            | Fact::ServerRemoved { host, .. }
            | Fact::HmacRotated { host, .. }
            | Fact::HmacHandedOut { host, .. } => host == meant,
            Fact::Initialized { .. }
            | Fact::Issued(_)
            | Fact::Delivered { .. }
            | Fact::Revoked { .. }
            | Fact::Recovered(_)
            | Fact::Kept { .. }
            | Fact::Offboarded { .. }
            | Fact::Reinstated { .. }
            | Fact::CrlSigned { .. }
            | Fact::Published { .. }
            | Fact::ServersCa { .. }
            | Fact::ServerCertified(_)
            | Fact::PinsSigned { .. }
            | Fact::HmacFirst { .. }
            | Fact::AcmeGranted(_)
            | Fact::InviteCreated(_)
            | Fact::InviteAsked { .. }
            | Fact::InviteApproved { .. }
            | Fact::InviteRedeemed { .. }
            | Fact::InviteFetchedAgain { .. }
            | Fact::InviteRefused { .. }
            | Fact::InviteSuspended { .. }
            | Fact::InviteCancelled { .. }
            | Fact::Restored { .. }
            | Fact::Reconciled { .. }
            | Fact::PassphraseChanged { .. }
            | Fact::ClockConfirmed { .. } => false,
        }
    }
}
