//! `pki ca passphrase`, `pki root passphrase`: another passphrase for the keys that one opens.

use std::fmt;

use serde::Serialize;

use crate::ca::{self, CaError, CustodyError};
use crate::disk::Shown;
use crate::model::Authority;

use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::secrets::{IssuingSecret, NewSecret, RootSecret};

/// Change the everyday passphrase: of the issuing CA, the servers' CA, servers' keys and all that goes with
/// them
///
/// Everything is encrypted anew and opened once more before any of it counts, and then all of it counts at
/// once: interrupted anywhere, one of the two passphrases opens all keys. What was copied before, a backup
/// too, opens with the old one as long as it exists.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki ca passphrase
  pki ca passphrase --passphrase-file old.txt --new-passphrase-file new.txt")]
pub struct EverydayArgs {
    #[command(flatten)]
    issuing: IssuingSecret,
    #[command(flatten)]
    new: NewSecret,
}

/// Change the passphrase of the root's key
///
/// What was copied before, a backup --with-root too, opens with the old one as long as it exists.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki root passphrase
  pki root passphrase --root-passphrase-file old.txt --new-passphrase-file new.txt")]
pub struct RootArgs {
    #[command(flatten)]
    root: RootSecret,
    #[command(flatten)]
    new: NewSecret,
}

#[derive(Debug, Serialize)]
struct Changed {
    /// `issuing` or `root`.
    of: Authority,
    /// How many files were encrypted anew.
    files: usize,
}

impl fmt::Display for Changed {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What a person reads was said while it happened.
        Ok(())
    }
}

pub fn everyday(args: &EverydayArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let desk = context.desk()?;
    let (_, old) = args.issuing.open_issuing(&desk.home, ui)?;
    let new = args.new.choose("issuing key", &old, ui)?;
    let files = ca::change_everyday_passphrase(&desk, &old, &new)?;
    ui.say(format!(
        "{} opened by the new passphrase",
        match files {
            1 => "1 key is".to_owned(),
            more => format!("{more} keys are"),
        }
    ));
    ui.hint(match desk.home.config().passphrase_command {
        Some(_) => "have the passphrase_command of pki.toml give it; backups of before open with the old one",
        None => "put it where a timer or a service reads it; backups of before open with the old one",
    });
    ui.report_once(&Changed {
        of: Authority::Issuing,
        files,
    })
}

pub fn root(args: &RootArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let desk = context.desk()?;
    let place = desk.home.key_path(Authority::Root);
    if !place.exists() {
        return Err(CaError::from(CustodyError::RootAway(Shown(place))).into());
    }
    let old = args.root.opening(&desk.home, ui)?;
    let new = args.new.choose("root key", &old, ui)?;
    ca::change_root_passphrase(&desk, &old, &new)?;
    ui.say("the root's key is opened by the new passphrase");
    ui.hint(
        "copies of the root's key in other places, and backups --with-root of before, open with the old one",
    );
    ui.report_once(&Changed {
        of: Authority::Root,
        files: 1,
    })
}
