//! `pki audit`: shows the events of the ledger, once or as they come.

mod about;
mod cef;
mod export;
mod exported;
mod ocsf;
mod subject;
mod verify;
mod words;

use std::time::Duration;

use clap::Subcommand;

use crate::model::{Event, Host};
use crate::store::Cursor;

use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::listing::Listing;
use crate::cli::named::Addressee;
use crate::cli::ui::Reader;
use subject::{Seen, Subject};
use words::line;

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
  pki audit export --since 4711     as lines for a SIEM
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
    /// Verify the ledger link by link; with --checkpoint, hold it against what was published of it
    #[command(after_help = "\
Examples:
  pki audit verify
  pki audit verify --json
  pki audit verify --checkpoint /mnt/api-server/pki/server/history.jsonl   has the ledger gone on from there?
  pki audit verify --root root.crt --checkpoint history.jsonl              without the home: who has signed it?
  pki audit verify --root root.crt --checkpoint old.jsonl --checkpoint new.jsonl   does new go on from old?")]
    Verify(verify::Args),
    /// Print events as lines for a SIEM: what collects those of many systems
    ///
    /// Every event is one line, oldest first. Whoever takes them in remembers the last number, and asks with
    /// --since for what came after it.
    #[command(after_help = "\
Examples:
  pki audit export > events.jsonl
  pki audit export --since 4711                  what came after event 4711
  pki audit export --since 4711 --format ocsf    in the Open Cybersecurity Schema Framework
  pki audit export --format cef | logger -t pki")]
    Export(export::Args),
}

/// How often --follow looks.
const INTERVAL: Duration = Duration::from_millis(500);

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    match args.verb {
        Some(Verb::Verify(args)) => verify::run(&args, context),
        Some(Verb::Export(args)) => export::run(&args, context),
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
