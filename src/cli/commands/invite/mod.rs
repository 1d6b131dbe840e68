//! `pki invite`: lets devices enroll themselves.

mod create;
mod files;
mod hand_over;
mod link;
mod list;
mod many;

use clap::Subcommand;

use crate::ca::{self, CaError, EnrollmentError, NotFound};
use crate::cli::clock::ClockArgs;
use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::invited::and_its_bundle;
use crate::cli::secrets::IssuingSecret;
use crate::model::InviteId;

use create::{CreateArgs, create};
use list::{ListArgs, Row, ShowArgs, list, show};
use many::many;

/// Invites: a device makes its key itself, and gets its certificate for a code that it scans
#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[command(after_help = "\
Examples:
  pki invite create alice                 a code on the screen for alice's phone to scan
  pki invite create alice --out sheets    a sheet to print, and the code as a picture
  pki invite create --from people.csv --out sheets
  pki invite list                         who has used hers, and whose are open
  pki invite approve 7K2M9XQ4             the phone of an invite with --approve asks
  pki invite cancel 7K2M9XQ4              the sheet was lost")]
pub enum Verb {
    Create(Box<CreateArgs>),
    List(ListArgs),
    Show(ShowArgs),
    Cancel(CancelArgs),
    Approve(ApproveArgs),
}

/// Approve the phone that asks by an invite of `--approve`, once its four words are the same
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki invite approve 7K2M9XQ4
  pki invite approve 7K2M9XQ4 --words 'lusab babad gutih tugad'     in a script: what the phone showed")]
pub struct ApproveArgs {
    /// The invite, as `pki invite list` names it
    #[arg(value_name = "ID")]
    id: InviteId,
    /// The words that the phone shows: approve that phone, and ask nothing
    #[arg(long, value_name = "WORDS")]
    words: Option<String>,
    #[command(flatten)]
    clock: ClockArgs,
    #[command(flatten)]
    issuing: IssuingSecret,
}

/// Take an invite back: nobody enrolls by it any more
///
/// A certificate that it brought already stays: `pki revoke` takes that back. One of `--server-key` that
/// nobody has fetched is revoked with it.
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
        Verb::Create(args) => match &args.from {
            Some(list) => many(&args, list, context),
            None => create(&args, context),
        },
        Verb::List(args) => list(args, context),
        Verb::Show(args) => show(&args, context),
        Verb::Cancel(args) => cancel(&args, context),
        Verb::Approve(args) => approve(&args, context),
    }
}

fn approve(args: &ApproveArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let home = context.open()?;
    let waiting = {
        let store = context.read(&home)?;
        let invited = store.invite(&args.id)?.ok_or(NotFound::Invite(args.id))?;
        let (id, state) = (args.id, invited.state(system_clock()));
        if !state.is_open() {
            return Err(CaError::from(EnrollmentError::Ended { id, state }).into());
        }
        invited
            .words()
            .ok_or_else(|| CaError::from(EnrollmentError::NothingToApprove(args.id)))?
    };
    let words = match &args.words {
        Some(words) => words
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase(),
        None => {
            ui.say(format!("the phone that asks must show: {waiting}"));
            ui.confirm_seen(
                "Does it show exactly these words?",
                "repeat with --words '...', what the phone shows, or at a terminal",
            )
            .map_err(|refused| match ui.can_ask() {
                true => refused.hint(format!(
                    "if it shows others, somebody else has the code: `pki invite cancel {}`, and invite anew",
                    args.id
                )),
                false => refused,
            })?;
            waiting
        }
    };
    let devices = args.issuing.unlock(&home, ui)?;
    let desk = context.desk_of(home);
    let mut session = context.session(&desk, &mut args.clock.policy()?)?;
    let invite = ca::approve_invite(&mut session, &devices, &args.id, &words)?;
    ui.say(format!(
        "{} is approved: it gets its certificate when it asks again",
        invite.address
    ));
    told(&args.id, session, context)
}

/// Shows what has become of an invite.
fn told(id: &InviteId, session: ca::Session<'_>, context: &Context) -> Result<Exit, Failure> {
    let invited = session.store.invite(id)?;
    let row = invited.map(|one| Row::new(&one, session.now));
    drop(session);
    match row {
        Some(row) => context.ui.report_done(&row, Ok(Exit::Done)),
        None => Ok(Exit::Done),
    }
}

fn cancel(args: &CancelArgs, context: &Context) -> Result<Exit, Failure> {
    let desk = context.desk_to_revoke()?;
    // Taking back is refused for no clock.
    let mut session = context.session(&desk, &mut ca::ClockPolicy::Lenient)?;
    let invite = ca::cancel_invite(&mut session, &args.id)?;
    context.ui.say(format!(
        "the invite {} for {} is cancelled{}",
        invite.id,
        invite.address,
        and_its_bundle(&invite)
    ));
    context
        .ui
        .hint("destroy its sheet and pictures: who scans them is told that they have ended");
    told(&args.id, session, context)
}
