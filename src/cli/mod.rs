//! The command line interface: argv in, text and exit code out. The only module that knows argv, environment,
//! terminal and stdout.
//!
//! `commands` has a file for each verb; the code that verbs have in common is beside it.

mod account;
mod canary;
mod clock;
mod columns;
mod commands;
mod complete;
mod context;
#[cfg(test)]
mod fuzz_tests;
mod decrypted;
mod delivery_args;
mod descriptor;
mod place;
mod error;
mod foreign_words;
mod given_up;
mod handed_in;
mod interrupts;
mod invited;
mod listing;
mod named;
mod now;
mod pager;
mod people;
mod prompt;
mod published;
mod recording;
mod report;
mod secrets;
mod streams;
mod tips;
mod ui;
mod usage;
mod verify;
mod words;
mod wrap;

use std::cell::{Cell, RefCell};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::disk;
use crate::model::Span;
use crate::model::text::{in_shell, printable};
use commands::{
    audit, backup, ca, check, completions, config, doctor, fetch, hmac, init, invite, issue, list, pins,
    publish, renew, restore, revoke, root, serve, server, show, sign_request,
};
use context::Context;
use error::{Exit, Failure};
use ui::{Color, Ui};
use usage::{unbroken, usage_error};

/// What `pki` alone says: all commands, on one screen of 24 lines.
const OVERVIEW: &str = "\
A private PKI for client certificates

Usage: pki COMMAND [OPTIONS]          `pki help COMMAND`: all of one

Begin     init         make root, issuing CA and first publication
          completions  a script that completes commands and names at TAB
Devices   issue renew  a certificate for a device: pki issue alice; a newer one
          invite serve devices that make their keys: a code to scan; the service
          revoke       the phone is lost: locked out at once
          offboard     the person leaves: all her devices
          list  show   who has what; one certificate, or what a file says
Servers   config       configurations of servers and apps, the timer's, too
          server       servers' keys and certificates
          pins  hmac   which keys apps accept; keys for devices that cannot sign
          fetch        on a server: read a publication, verified
          sign-request on a device: sign a request for curl
          check        is a live server as it should be?
Upkeep    publish      CRLs and lists brought up to date: for a timer
          doctor audit what is wrong or soon will be; what happened
          backup       the home in one encrypted file; restore brings it back
          root  ca     the offline root; the issuing CAs

Everywhere: --home DIR --json --quiet --verbose --yes --no-input --wait --color
";

/// Whether a command line, without the program's name, is one that a home is named in.
fn goes_by_a_home(arguments: &str) -> bool {
    static VERBS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let command = Cli::command();
        let verbs = command.get_subcommands().map(|verb| verb.get_name().to_owned());
        // These run where there is no home.
        verbs
            .filter(|verb| !["fetch", "sign-request"].contains(&verb.as_str()))
            .collect()
    });
    let verb = arguments.split(|c: char| !c.is_ascii_lowercase()).next();
    VERBS.iter().any(|known| Some(&**known) == verb)
}

/// A private PKI for client certificates: issue a phone its certificate, take it back the minute it is lost.
#[derive(Debug, Parser)]
#[command(
    name = "pki",
    version,
    max_term_width = 100,
    override_help = OVERVIEW,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = "\
Examples:
  pki init --org \"Acme Ltd\" --domain acme.example    make root, issuing CA and first publication
  pki issue alice --for ios                          a certificate for alice's phone
  pki revoke alice                                   the phone is lost: locked out at once
  pki list --expiring 30d                            who needs a new certificate soon
  pki doctor                                         what is wrong or soon will be

Exit codes:
  0 done    1 refused    2 wrong usage    3 looked and found something
  4 secret or confirmation missing or wrong    5 recorded, but not all delivered or published
  70 a bug in pki    130 interrupted")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// The flags that every verb takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// The directory of the PKI [default: PKI_HOME, else the platform's data directory + /pki]
    #[arg(long, global = true, value_name = "DIR", overrides_with = "home")]
    home: Option<PathBuf>,
    /// Print one JSON document instead of text; nothing is asked
    #[arg(long, global = true)]
    json: bool,
    /// Print only warnings and errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print every step
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Answer questions with yes (names that must be typed again excepted)
    #[arg(short, long, global = true)]
    yes: bool,
    /// Ask nothing: what is missing is an error
    #[arg(long, global = true)]
    no_input: bool,
    /// How long to wait for another pki on the same home
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s")]
    wait: Span,
    /// When to colour messages
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Verb {
    Init(init::Args),
    Issue(Box<issue::Args>),
    #[command(subcommand)]
    Invite(invite::Verb),
    Renew(Box<renew::Args>),
    Revoke(revoke::Args),
    Offboard(revoke::OffboardArgs),
    List(list::Args),
    Show(show::Args),
    Publish(publish::Args),
    Config(Box<config::Args>),
    Backup(backup::Args),
    Restore(restore::Args),
    Doctor(doctor::Args),
    Check(check::Args),
    Audit(audit::Args),
    #[command(subcommand)]
    Server(server::Verb),
    #[command(subcommand)]
    Hmac(hmac::Verb),
    #[command(subcommand)]
    Pins(pins::Verb),
    #[command(subcommand)]
    Root(root::Verb),
    #[command(subcommand)]
    Ca(ca::Verb),
    Serve(serve::Args),
    Fetch(Box<fetch::Args>),
    SignRequest(Box<sign_request::Args>),
    Completions(completions::Args),
}

/// Makes the process fit to hold secrets: files private unless said otherwise, no core dumps, no other
/// process of the same account reading its memory.
pub fn harden_process() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Where the system refuses, the rest still holds.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
}

/// Runs the program with the command line of this process and says how it went.
pub fn run() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        streams::line(&format!("pki: this is a bug in pki, please report it: {panic}"));
    }));
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let outcome = std::panic::catch_unwind(|| dispatch(arguments));
    let exit = outcome.unwrap_or(Exit::Bug);
    ExitCode::from(u8::try_from(exit as i32).unwrap_or(70))
}

/// The whole command line, for help, completions and man pages. The options of its commands are there once it
/// is built: to parse a line, clap makes those of one command alone (`defer`), which saves a fifth of a
/// process's start.
pub fn command() -> clap::Command {
    Cli::command()
}

fn dispatch(arguments: Vec<OsString>) -> Exit {
    // What a shell asks at a TAB is no command of a person's: it stands in no help, and is not completed
    // itself.
    if let [_, complete, dashes, words @ ..] = arguments.as_slice()
        && complete == "complete"
        && dashes == "--"
    {
        return complete::run(words);
    }
    let json = arguments.iter().any(|argument| argument == "--json");
    let command = shown(&arguments);
    let cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => return usage_error(&error, &arguments, json),
    };
    let Global {
        home,
        json,
        quiet,
        verbose,
        yes,
        no_input,
        wait,
        color,
    } = cli.global;
    let mut ui = Ui::new(json, quiet, verbose, yes, no_input, color);
    if let Some(home) = &home {
        ui.program = format!("pki --home {}", in_shell(&home.display().to_string()));
    }
    if let Some(word) = arguments.iter().find(|word| names_tilde(word)) {
        let failure = Failure::usage(format!("{} is no path", word.to_string_lossy()));
        ui.fail(&failure.hint(context::WHOLE_PATH));
        return Exit::Usage;
    }
    let wait = Duration::from_secs(u64::try_from(wait.as_seconds()).unwrap_or(0));
    let context = Context {
        ui,
        home,
        wait,
        command,
        crl_told: Cell::new(false),
        is_publishing: Cell::new(false),
        clock_told: Cell::new(false),
        following: RefCell::default(),
    };
    let exit = match verb(cli.verb, &context) {
        Ok(exit) => exit,
        Err(failure) => {
            context.ui.fail(&failure);
            failure.exit
        }
    };
    let exit = match (exit, context.run_commands()) {
        (Exit::Done, followed) => followed,
        (exit, _) => exit,
    };
    match context.ui.finish() {
        Ok(()) => exit,
        Err(failure) => {
            context.ui.fail(&failure);
            failure.exit
        }
    }
}

fn verb(verb: Verb, context: &Context) -> Result<Exit, Failure> {
    match verb {
        Verb::Init(args) => init::run(args, context),
        Verb::Issue(args) => issue::run(*args, context),
        Verb::Invite(verb) => invite::run(verb, context),
        Verb::Renew(args) => renew::run(*args, context),
        Verb::Revoke(args) => revoke::run(args, context),
        Verb::Offboard(args) => revoke::run_offboard(args, context),
        Verb::List(args) => list::run(args, context),
        Verb::Show(args) => show::run(args, context),
        Verb::Publish(args) => publish::run(args, context),
        Verb::Config(args) => config::run(*args, context),
        Verb::Backup(args) => backup::run(&args, context),
        Verb::Restore(args) => restore::run(&args, context),
        Verb::Doctor(args) => doctor::run(args, context),
        Verb::Check(args) => check::run(args, context),
        Verb::Audit(args) => audit::run(args, context),
        Verb::Server(verb) => server::run(verb, context),
        Verb::Hmac(verb) => hmac::run(verb, context),
        Verb::Pins(verb) => pins::run(verb, context),
        Verb::Root(verb) => root::run(verb, context),
        Verb::Ca(verb) => ca::run(verb, context),
        Verb::Serve(args) => serve::run(args, context),
        Verb::Fetch(args) => fetch::run(*args, context),
        Verb::SignRequest(args) => sign_request::run(*args, context),
        Verb::Completions(args) => completions::run(args, context),
    }
}

/// Whether a word of the command line is a path with a tilde that no shell has replaced, as in
/// `--out=~/phones`.
fn names_tilde(word: &OsStr) -> bool {
    let word = word.to_string_lossy();
    let value = match word.strip_prefix("--") {
        Some(flag) => flag.split_once('=').map_or("", |(_, value)| value),
        None => &word,
    };
    value.contains('/') && disk::has_tilde(Path::new(value))
}

fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let parsed = Cli::try_parse_from(arguments);
    let shows_examples = |error: &clap::Error| {
        error.kind() == ErrorKind::DisplayHelp
            || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    };
    if !parsed.as_ref().is_err_and(shows_examples) {
        return parsed;
    }
    // Keeping all examples in one piece costs a tenth of a process's start: help alone shows them.
    let mut command = command();
    command.build();
    let mut command = unbroken(command);
    let mut matches = command.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// The beginning of the command line, as others may be shown it.
fn shown(arguments: &[OsString]) -> String {
    let words: Vec<_> = arguments
        .iter()
        .skip(1)
        .take(2)
        .map(|word| word.to_string_lossy())
        .collect();
    words
        .join(" ")
        .chars()
        .map(|c| {
            if printable(c.encode_utf8(&mut [0; 4])).is_ok() {
                c
            } else {
                '?'
            }
        })
        .take(80)
        .collect()
}
