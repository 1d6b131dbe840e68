//! `pki audit`: shows the events of the ledger, once or as they come.

mod subject;

use std::fmt;
use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;

use crate::model::server::OldPin;
use crate::model::{Authority, Event, Fact, Host, counted};
use crate::store::{Cursor, Reached, StoreError};

use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::listing::Listing;
use crate::cli::named::Addressee;
use crate::cli::ui::Reader;
use subject::{Seen, Subject};

/// Show what happened: every event of the ledger, oldest first
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  pki audit
  pki audit alice                   what happened to hers; alice/phone is one device
  pki audit --server api.acme.example
  pki audit --json | jq '.events[] | select(.event == \"revoked\")'
  pki audit --follow
  pki audit verify                  every link of the chain: exit code 3 where one does not hold")]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Only what is about this person or this device: EMPLOYEE or EMPLOYEE/DEVICE [default: all]
    #[arg(value_name = "ADDRESS", value_hint = clap::ValueHint::Other)]
    whom: Option<Addressee>,
    /// Only what is about this server
    #[arg(long, value_name = "HOST", conflicts_with = "whom")]
    server: Option<Host>,
    /// Go on showing what happens, until interrupted
    #[arg(long)]
    follow: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Verify the ledger link by link
    #[command(after_help = "\
Examples:
  pki audit verify
  pki audit verify --json")]
    Verify,
}

/// How often --follow looks.
const INTERVAL: Duration = Duration::from_millis(500);

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    match args.verb {
        Some(Verb::Verify) => verify(context),
        None => {
            let subject = match (args.whom, args.server) {
                (Some(whom), _) => Subject::Of(whom),
                (None, Some(host)) => Subject::Server(host),
                (None, None) => Subject::Everything,
            };
            let mut seen = Seen::new(subject);
            match args.follow {
                true => follow(context, &mut seen),
                false => show(context, &mut seen),
            }
        }
    }
}

fn show(context: &Context, seen: &mut Seen) -> Result<Exit, Failure> {
    let home = context.open_despite_config()?;
    // The ledger is this home's, which reading it once tells. Whoever reads what comes now may take her time,
    // and an open index keeps others out.
    drop(context.read(&home)?);
    let mut listing = Listing::new(&context.ui, "events");
    let mut is_empty = true;
    home.follow(Cursor::START, &mut |event| {
        if seen.shows(&event) {
            is_empty = false;
            listing.add(&event, |event| line(event) + "\n");
        }
        Ok(())
    })?;
    if is_empty && let Some(unknown) = seen.subject().unknown() {
        context.ui.warn(unknown);
    }
    listing.end()?;
    Ok(Exit::Done)
}

fn follow(context: &Context, seen: &mut Seen) -> Result<Exit, Failure> {
    let home = context.open_despite_config()?;
    // The ledger is this home's, which reading it once tells.
    drop(context.read(&home)?);
    let mut cursor = Cursor::START;
    loop {
        let mut told = Ok(Reader::There);
        let reached = home.follow(cursor, &mut |event| {
            if seen.shows(&event) && matches!(told, Ok(Reader::There)) {
                told = tell(&event, context);
            }
            Ok(())
        })?;
        cursor = reached.cursor;
        if told? == Reader::Gone {
            return Ok(Exit::Done);
        }
        std::thread::sleep(INTERVAL);
    }
}

/// An event in a line.
fn tell(event: &Event, context: &Context) -> Result<Reader, Failure> {
    let text = if context.ui.json {
        serde_json::to_string(event).map_err(|e| Failure::new(Exit::Bug, "bug", e))?
    } else {
        line(event)
    };
    context.ui.out(format!("{text}\n"))
}

#[derive(Debug, Serialize)]
struct Verified {
    good: bool,
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            None => writeln!(f, "{}, every link holds", counted(self.events, "event")),
            Some(problem) => writeln!(f, "{problem}"),
        }
    }
}

fn verify(context: &Context) -> Result<Exit, Failure> {
    let home = context.open_despite_config()?;
    let mut events = 0;
    let outcome = home.read().map_err(Failure::from).and_then(|store| {
        Ok(store.events(Cursor::START, &mut |_| {
            events += 1;
            Ok::<(), StoreError>(())
        })?)
    });
    let problem = match outcome {
        Ok(Reached { is_torn: false, .. }) => None,
        Ok(Reached { is_torn: true, .. }) => Some(format!(
            "{} good; what follows was never acknowledged (the next command that changes something moves it aside)",
            match events {
                1 => "1 event is".to_owned(),
                more => format!("{more} events are"),
            }
        )),
        Err(failure) if matches!(failure.code, "ledger-damaged" | "events-missing" | "mixed") => {
            Some(failure.message)
        }
        Err(failure) => return Err(failure),
    };
    let exit = if problem.is_none() {
        Exit::Done
    } else {
        Exit::Found
    };
    if problem.is_some() {
        context
            .ui
            .hint("restore ledger.jsonl from a backup, unless this is a torn end");
    }
    context.ui.report(&Verified {
        good: problem.is_none(),
        events,
        problem,
    })?;
    Ok(exit)
}

/// Formats one event for people.
fn line(event: &Event) -> String {
    let what = match &event.fact {
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
    };
    format!("{:>6}  {}  {what}  by {}", event.seq, event.time, event.by)
}
