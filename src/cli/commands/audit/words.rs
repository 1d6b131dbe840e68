//! What happened, in words for people: a line of `pki audit`.

use crate::model::server::OldPin;
use crate::model::{Authority, Event, Fact, counted};

/// An event in a line for people.
pub fn line(event: &Event) -> String {
    let what = in_words(&event.fact);
    format!("{:>6}  {}  {what}  by {}", event.seq, event.time, event.by)
}

/// What happened, in words: first what kind of thing, then of whom or what.
pub fn in_words(fact: &Fact) -> String {
    match fact {
        Fact::Initialized { organization, .. } => format!("initialized  {organization}"),
        Fact::Issued(issued) => {
            format!(
                "issued       {} {} until {}",
                issued.address,
                issued.serial,
                issued.validity.not_after.date()
            )
        }
        Fact::Delivered { serial, .. } => format!("delivered    {serial}"),
        Fact::Revoked {
            serial,
            address,
            reason,
            ..
        } => {
            let address = address
                .as_ref()
                .map_or("(unknown)".to_owned(), ToString::to_string);
            format!("revoked      {address} {serial} ({reason})")
        }
        Fact::Recovered(recovered) => format!(
            "recovered    {} {} until {}, from a published list",
            recovered.address,
            recovered.serial,
            recovered.not_after.date()
        ),
        Fact::Kept { serial } => format!("kept         {serial}"),
        Fact::Offboarded { employee } => format!("offboarded   {employee}"),
        Fact::Reinstated { employee } => format!("reinstated   {employee}"),
        Fact::CrlSigned {
            authority,
            number,
            entries,
            next_update,
            ..
        } => {
            format!(
                "crl signed   {authority} {number}, {entries} revoked, until {}",
                next_update.date()
            )
        }
        Fact::Published { public, server, .. } => format!("published    public {public}, server {server}"),
        Fact::ServersCa { .. } => "servers' CA  made".into(),
        Fact::ServerAdded { host, active, .. } => format!("server       {host} added, its key is {active}"),
        Fact::ServerCertified(certified) => format!(
            "server       {} certified, {} until {}{}",
            certified.host,
            certified.serial,
            certified.validity.not_after.date(),
            certified
                .account
                .map(|account| format!(", ordered by account {account}"))
                .unwrap_or_default()
        ),
        Fact::ServerImported { host, certificate } => format!(
            "server       {host} has a certificate of another CA until {}",
            certificate.validity.not_after.date()
        ),
        Fact::ServerRotated {
            host,
            backup,
            old_pin,
        } => {
            let old = match old_pin {
                OldPin::Retires => "retires",
                OldPin::Dropped => "is dropped",
            };
            format!("server       {host} rotated, the old key {old}, the new backup key is {backup}")
        }
        Fact::ServerRemoved { host, old_pins } => {
            let old = match old_pins {
                OldPin::Retires => "retire",
                OldPin::Dropped => "are dropped",
            };
            format!("server       {host} removed, its pins {old}")
        }
        Fact::ServerRevoked {
            serial, host, reason, ..
        } => {
            let host = host.as_ref().map_or("(unknown)".to_owned(), ToString::to_string);
            format!("revoked      {host} {serial} ({reason})")
        }
        Fact::PinsSigned {
            number,
            pins,
            expires,
            ..
        } => format!(
            "pins signed  {number}, {}, until {}",
            counted(pins.len(), "pin"),
            expires.date()
        ),
        Fact::HmacRotated {
            host,
            epoch,
            previous_until,
            ..
        } => match epoch {
            1 => format!("hmac         {host} has shared keys"),
            _ => format!(
                "hmac         {host} has epoch {epoch}, the one before is good until {previous_until}"
            ),
        },
        Fact::HmacHandedOut { host, address: None } => format!("hmac         secrets of {host} handed out"),
        Fact::HmacHandedOut {
            host,
            address: Some(address),
        } => format!("hmac         key of {address} for {host} handed out"),
        Fact::HmacFirst { address, first } => {
            format!("hmac         keys of {address} follow from {first}, as a published list knew")
        }
        Fact::AcmeGranted(grant) => {
            let names: Vec<String> = grant.names.iter().map(ToString::to_string).collect();
            format!(
                "acme         account {} granted to {}",
                grant.account,
                names.join(", ")
            )
        }
        Fact::AcmeBound { account, .. } => {
            format!("acme         account {account} has the key of its client")
        }
        Fact::AcmeCancelled { account, .. } => format!("acme         account {account} cancelled"),
        Fact::AcmeDeactivated { account } => format!("acme         account {account} given up by its client"),
        Fact::InviteCreated(created) => {
            let invite = &created.invite;
            let bundle = invite
                .server_key
                .map(|serial| format!(", for the bundle of {serial}"));
            format!(
                "invited      {} by {} until {}{}",
                invite.address,
                invite.id,
                invite.until,
                bundle.unwrap_or_default()
            )
        }
        Fact::InviteAsked { id, .. } => format!("invite       {id}: a key waits for approval"),
        Fact::InviteApproved { id, .. } => format!("invite       {id}: its key is approved"),
        Fact::InviteRedeemed {
            id,
            serial,
            from: Some(from),
            ..
        } => format!("fetched      {serial} by {id}, from {from}"),
        Fact::InviteRedeemed { id, serial, .. } => format!("enrolled     {serial} by {id}"),
        Fact::InviteFetchedAgain { id, from } => format!("invite       {id}: fetched again, from {from}"),
        Fact::InviteRefused { id, why, from, .. } => format!("invite       {id}: {why} refused, from {from}"),
        Fact::InviteSuspended { id } => format!("invite       {id} suspended"),
        Fact::InviteCancelled { id } => format!("invite       {id} cancelled"),
        Fact::Restored { made, events } => {
            format!("restored     from the backup of {made}, with {events} events")
        }
        Fact::Reconciled { read, given_up } => {
            let given_up = match given_up.is_empty() {
                true => String::new(),
                false => format!("; given up: {}", given_up.join(", ")),
            };
            let read = match read.is_empty() {
                true => "with nothing".to_owned(),
                false => format!("with {}", read.join(", ")),
            };
            format!("reconciled   {read}{given_up}")
        }
        Fact::PassphraseChanged {
            authority: Authority::Root,
        } => "passphrase   of the root changed".into(),
        Fact::PassphraseChanged { .. } => {
            "passphrase   of the issuing CA and the servers' keys changed".into()
        }
        Fact::ClockConfirmed { clock, last } => format!("clock        {clock} confirmed, after {last}"),
    }
}
