//! `pki restore`: a home from a backup.

use std::fmt;
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::ca::{self, Purpose, Unpacked};
use crate::home::Home;
use crate::home::config::Config;
use crate::model::{Time, counted};

use crate::cli::account::account;
use crate::cli::context::{Context, system_clock};
use crate::cli::decrypted::{self, Decrypted};
use crate::cli::error::{Exit, Failure};
use crate::cli::published::in_words;
use crate::cli::secrets::{BackupSecret, IssuingSecret};

/// Restore the home from a backup: verified whole, then put in its place
///
/// What happened after the backup is not in it. So a restored home signs nothing until `pki publish` has read
/// every place that it was published to, or what a server has fetched (--published); revocations are recorded
/// all the same. A home that is there already is replaced only where the backup has all that it has; it is
/// kept beside.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki restore /mnt/backups/pki-20261201T020000Z.age --identity backup-identity.txt
  pki restore acme.age                                    its passphrase is asked for
  pki restore acme.age --home /srv/pki                    into another place
  ssh store 'cat acme.age' | pki restore - --identity backup-identity.txt
  pki restore --rehearse acme.age                         would it work? Nothing is changed")]
pub struct Args {
    /// The backup; `-` is stdin
    #[arg(value_name = "FILE|-")]
    backup: PathBuf,
    /// The identity of one of its recipients, as `age-keygen` made it, or an SSH key; may be repeated
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// Do all of it in a temporary place, open the issuing key, sign a CRL that nobody sees, and report
    #[arg(long)]
    rehearse: bool,
    #[command(flatten)]
    secret: BackupSecret,
    #[command(flatten)]
    issuing: IssuingSecret,
}

#[derive(Debug, Serialize)]
struct Report {
    /// Where it is, or would be.
    home: PathBuf,
    organization: String,
    /// When the backup was made.
    made: Time,
    events: u64,
    /// The SHA-256 of the last event.
    head: String,
    with_root: bool,
    rehearsed: bool,
    /// How many certificates the CRL of a rehearsal revokes.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<u64>,
    /// Where the home is now that was there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    aside: Option<PathBuf>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rehearsed {
            true => Ok(()),
            false => writeln!(f, "{}", self.home.display()),
        }
    }
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let place = context.home_path()?;
    let Decrypted {
        content,
        is_authentic,
    } = decrypted::open(&args.backup, &args.identity, &args.secret, ui)?;
    let purpose = match args.rehearse {
        true => Purpose::Rehearse,
        false => Purpose::Restore,
    };
    let unpacked = ca::unpack(content, &args.backup, &place, purpose, account(), system_clock)?;
    let header = unpacked.header.clone();
    ui.say(format!(
        "the backup of {} is whole: {} up to {}, made by {}",
        header.organization,
        counted(header.ledger.events, "event"),
        header.made,
        header.program
    ));
    let mut report = Report {
        home: place,
        organization: header.organization,
        made: header.made,
        events: header.ledger.events,
        head: HEXLOWER.encode(&header.ledger.head),
        with_root: header.with_root,
        rehearsed: args.rehearse,
        revoked: None,
        aside: None,
    };
    if args.rehearse {
        report.revoked = Some(rehearse(&unpacked, args, context)?);
        return ui.report_once(&report);
    }
    confirm_commands(&unpacked.home, is_authentic, context)?;
    let restored = unpacked.put_in_place(context.wait)?;
    if let Some(aside) = &restored.aside {
        ui.say(format!("the home that was there is in {} now", aside.display()));
    }
    if !restored.has_root_key {
        ui.say("the root's key is not in its place: it is on its medium, or in a backup --with-root; root_key in pki.toml names the place");
    }
    ui.say(format!(
        "what happened after {} is not known here: nothing is signed until `pki publish` has read what was published since",
        header.made
    ));
    ui.hint("run `pki publish` now; with what a server has fetched: `pki publish --published DIR`");
    report.aside = restored.aside;
    ui.report_once(&report)
}

fn rehearse(unpacked: &Unpacked, args: &Args, context: &Context) -> Result<u64, Failure> {
    let ui = &context.ui;
    let issuing = args.issuing.unlock_unpacked(&unpacked.home, ui)?;
    ui.say("the issuing key in it opens");
    let revoked = unpacked.rehearse(&issuing, context.wait)?;
    ui.say(format!(
        "a CRL was signed with it, which revokes {}, and thrown away",
        counted(revoked, "certificate")
    ));
    ui.say(match unpacked.header.with_root {
        true => "the root's key is in it",
        false => "the root's key is not in it: that is kept elsewhere",
    });
    Ok(revoked)
}

/// Anybody can encrypt to a recipient: what the `pki.toml` of such a backup has run is looked at by a person.
fn confirm_commands(home: &Home, is_authentic: bool, context: &Context) -> Result<(), Failure> {
    let commands = commands(home.config());
    if is_authentic || commands.is_empty() {
        return Ok(());
    }
    context.ui.say("its pki.toml has these commands run:");
    for command in &commands {
        context.ui.more(command);
    }
    context
        .ui
        .confirm("Whoever knows a recipient can make such a backup. Are these commands yours?")
}

fn commands(config: &Config) -> Vec<String> {
    let secrets = [&config.passphrase_command, &config.root_passphrase_command];
    let published = config.publish.iter().map(|target| &target.command);
    let all = secrets.into_iter().chain(published).flatten();
    all.map(|command| in_words(command)).collect()
}
