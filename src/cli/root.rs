use clap::Subcommand;

use crate::model::Time;
use crate::operate::{self, ClockPolicy};

use super::context::Context;
use super::failure::{Exit, Failure};
use super::report::DryRun;
use super::secrets::{IssuingSecret, RootSecret};

/// The root: what needs its key
#[derive(Debug, Subcommand)]
pub enum Verb {
    Crl(CrlArgs),
}

/// Sign the root's CRL anew, and publish it
///
/// Needed before the old one ends, about once a year: servers that check the whole chain let nobody in without it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki root crl
  pki root crl --root-passphrase-file root.txt --passphrase-file issuing.txt")]
pub struct CrlArgs {
    /// Sign and keep it, and leave publishing to the next `pki publish`
    #[arg(long)]
    no_publish: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on although the clock stands before the last event or far after it: --confirm CLOCK
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    root: RootSecret,
    #[command(flatten)]
    issuing: IssuingSecret,
}

pub fn run(verb: Verb, context: &Context) -> Result<Exit, Failure> {
    match verb {
        Verb::Crl(args) => crl(args, context),
    }
}

fn crl(args: CrlArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let desk = context.desk()?;
    if args.dry_run {
        ui.say(format!(
            "would sign the root's CRL for {}",
            desk.home.config().root_crl_life
        ));
        ui.report(&DryRun::new(vec!["sign the root's CRL".into()]))?;
        return Ok(Exit::Done);
    }
    let root = args.root.unlock(&desk.home, ui)?;
    let issuing = if args.no_publish {
        None
    } else {
        Some(args.issuing.unlock(&desk.home, ui)?)
    };
    let mut session = context.session(&desk, &mut clock_policy(args.confirm.as_deref())?)?;
    let terms = operate::sign_root_crl(&mut session, &root)?;
    ui.say(format!(
        "the root's CRL {} is good until {}",
        terms.number,
        terms.next_update.date()
    ));
    let exit = match issuing {
        None => {
            ui.hint("run `pki publish`: servers still have the old one");
            Ok(Exit::Done)
        }
        Some(issuing) => context
            .publish_change(&mut session, &issuing)
            .map(|published| context.tell_published(&published, session.clock)),
    };
    ui.report_done(
        &Signed {
            number: terms.number,
            this_update: terms.this_update,
            next_update: terms.next_update,
        },
        exit,
    )
}

/// The CRL that was signed, for scripts.
#[derive(Debug, serde::Serialize)]
struct Signed {
    number: u64,
    this_update: Time,
    next_update: Time,
}

impl std::fmt::Display for Signed {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What a person reads was said while it happened.
        Ok(())
    }
}

/// `--confirm CLOCK` lets a change go on although the clock stands before the last event or far after it.
///
/// # Errors
/// Another name.
pub fn clock_policy(confirm: Option<&str>) -> Result<ClockPolicy, Failure> {
    match confirm {
        None => Ok(ClockPolicy::Strict),
        Some("CLOCK") => Ok(ClockPolicy::Confirmed),
        Some(other) => Err(Failure::usage(format!(
            "--confirm {other}: here only --confirm CLOCK has a meaning"
        ))),
    }
}
