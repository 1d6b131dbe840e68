//! `pki invite`: lets devices enroll themselves.

mod create;
mod files;
mod list;

use clap::Subcommand;

use crate::ca;
use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::model::InviteId;

use create::{CreateArgs, create};
use list::{ListArgs, Row, ShowArgs, list, show};

/// Invites: a device makes its key itself, and gets its certificate for a code that it scans
#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[command(after_help = "\
Examples:
  pki invite create alice                 a code on the screen for alice's phone to scan
  pki invite create alice --out sheets    a sheet to print, and the code as a picture
  pki invite list                         who has used hers, and whose are open
  pki invite cancel 7K2M9XQ4              the sheet was lost")]
pub enum Verb {
    Create(Box<CreateArgs>),
    List(ListArgs),
    Show(ShowArgs),
    Cancel(CancelArgs),
}

/// Take an invite back: nobody enrolls by it any more
///
/// A certificate that it brought already stays: `pki revoke` takes that back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki invite cancel 7K2M9XQ4")]
pub struct CancelArgs {
    /// The invite, as `pki invite list` names it
    #[arg(value_name = "ID")]
    id: InviteId,
}

pub fn run(verb: Verb, context: &Context) -> Result<Exit, Failure> {
    match verb {
        Verb::Create(args) => create(*args, context),
        Verb::List(args) => list(args, context),
        Verb::Show(args) => show(&args, context),
        Verb::Cancel(args) => cancel(&args, context),
    }
}

fn cancel(args: &CancelArgs, context: &Context) -> Result<Exit, Failure> {
    let desk = context.desk_to_revoke()?;
    // Taking back is refused for no clock.
    let mut session = context.session(&desk, &mut ca::ClockPolicy::Lenient)?;
    let invite = ca::cancel_invite(&mut session, &args.id)?;
    context.ui.say(format!(
        "the invite {} for {} is cancelled",
        invite.id, invite.address
    ));
    let invited = session.store.invite(&args.id)?;
    let rows: Vec<Row> = invited.iter().map(|one| Row::new(one, session.now)).collect();
    drop(session);
    match rows.first() {
        Some(row) => context.ui.report_done(row, Ok(Exit::Done)),
        None => Ok(Exit::Done),
    }
}
