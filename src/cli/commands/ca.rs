//! `pki ca`: takes in the certificate of the servers' CA that the root has signed elsewhere; the everyday
//! passphrase.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use crate::ca::{self, ClockPolicy, Keys};
use crate::disk;
use crate::home::Home;
use crate::issuer::Chain;
use crate::model::{Authority, Contents, Time};
use crate::x509::{Certificate, X509Error};

use super::passphrase::{self, EverydayArgs};
use crate::cli::clock::clock_policy;
use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::handed_in;
use crate::cli::secrets::IssuingSecret;

/// The CAs that the root makes
#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[command(after_help = "\
Examples:
  pki ca install servers-ca.crt      the servers' CA, as the root has signed it elsewhere
  pki ca passphrase                  another passphrase for every day")]
pub enum Verb {
    Install(InstallArgs),
    Passphrase(EverydayArgs),
}

/// Take in the certificate of the servers' CA that the root has signed elsewhere
///
/// The answer to the request that `pki server issue` writes where the root's key is away.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki ca install servers-ca.crt")]
pub struct InstallArgs {
    /// The certificate
    file: PathBuf,
    /// CLOCK: go on although the clock stands before the last event or far after it. The serial number of
    /// a servers' CA that is published and that this home has not: make another one all the same
    #[arg(long, value_name = "NAME")]
    confirm: Vec<String>,
    #[command(flatten)]
    issuing: IssuingSecret,
}

#[derive(Debug, Serialize)]
struct Installed {
    subject: String,
    not_after: Time,
}

impl std::fmt::Display for Installed {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What a person reads was said while it happened.
        Ok(())
    }
}

pub fn run(verb: Verb, context: &Context) -> Result<Exit, Failure> {
    match verb {
        Verb::Install(args) => install(args, context),
        Verb::Passphrase(args) => passphrase::everyday(&args, context),
    }
}

/// Reads the names of `--confirm`: the clock, and servers' CAs that are given up, by their serial numbers.
///
/// # Errors
/// Another word.
pub(in crate::cli) fn confirmed(names: &[String]) -> Result<(ClockPolicy, Vec<String>), Failure> {
    let is_number = |name: &&String| !name.is_empty() && name.chars().all(|c| c.is_ascii_hexdigit());
    let (numbers, words): (Vec<&String>, Vec<&String>) = names.iter().partition(is_number);
    let mut policy = ClockPolicy::Strict;
    for word in words {
        policy = clock_policy(Some(word))?;
    }
    let numbers = numbers.into_iter().map(|number| number.to_ascii_uppercase());
    Ok((policy, numbers.collect()))
}

/// The options of `pki root sign` that say what the root does not say itself.
pub(in crate::cli) fn permitted(chain: &Chain) -> String {
    let permitted = chain.permitted();
    if chain.root().name_constraints() == Some(permitted) {
        return String::new();
    }
    let domains = permitted
        .domains
        .iter()
        .map(|domain| format!(" --domain {domain}"));
    let mail = permitted
        .email_domains
        .iter()
        .map(|domain| format!(" --email-domain {domain}"));
    let ranges = permitted
        .ip_ranges
        .iter()
        .map(|range| format!(" --ip-range {range}"));
    domains.chain(mail).chain(ranges).collect()
}

/// Makes sure that no other servers' CA of this root is published, but one that is given up.
///
/// # Errors
/// Where there is one, or the places cannot be looked for.
pub(in crate::cli) fn demand_first(home: &Home, given_up: &[String]) -> Result<(), Failure> {
    match ca::published_servers_ca(home)? {
        Some((place, serial)) if !given_up.contains(&serial) => {
            let message = format!(
                "a servers' CA of this root is published at {place} ({serial}), and this home does not know it (restored from an older \
                 backup?): what it has revoked would be on no list of another one"
            );
            Err(Failure::refused(message).hint(format!(
                "restore the newest home: its servers/ and ledger.jsonl; only where the key of that CA is lost, repeat with --confirm {serial}"
            )))
        }
        Some(_) | None => Ok(()),
    }
}

fn install(args: InstallArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let (mut policy, given_up) = confirmed(&args.confirm)?;
    let desk = context.desk()?;
    demand_first(&desk.home, &given_up)?;
    let unfit = |home: &Home, why: String| {
        Failure::refused(format!("{}: {why}", args.file.display())).hint(format!(
            "`pki root sign servers-ca.csr --root DIR{}` makes the certificate that belongs here",
            permitted(home.chain())
        ))
    };
    let text = disk::read_given(&args.file, 1 << 20)?;
    let certificate = Certificate::only_in(&text).map_err(|why| {
        if let X509Error::Unwanted(why) = &why {
            return handed_in::no_certificate(&args.file, &Contents::of(&text), why);
        }
        unfit(&desk.home, why.to_string())
    })?;
    let chain =
        ca::servers_chain(&desk.home, certificate).map_err(|why| unfit(&desk.home, why.to_string()))?;
    if !desk.home.key_path(Authority::Servers).exists() {
        return Err(unfit(
            &desk.home,
            "nobody has asked for it here: there is no servers/servers.key".into(),
        ));
    }
    let keyring = args.issuing.unlock_all(&desk.home, ui)?;
    let key = ca::servers_key(&desk.home, &keyring.passphrase)?;
    let chain = {
        let mut session = context.session(&desk, &mut policy)?;
        ca::install_servers(&mut session, chain, &key).map_err(|why| unfit(&desk.home, why.to_string()))?
    };
    let installed = Installed {
        subject: chain.ca().subject_text().to_owned(),
        not_after: chain.ca().validity().not_after,
    };
    ui.say(format!(
        "{} is installed, until {}",
        installed.subject,
        installed.not_after.date()
    ));
    // The home knows it from now on.
    let desk = context.desk()?;
    let servers = ca::open_servers(&desk.home, chain, key)?;
    let mut session = context.session(&desk, &mut policy)?;
    let keys = Keys {
        issuing: Some(&keyring.issuing),
        servers: Some(&servers),
    };
    let exit = context.publish_change(&mut session, keys);
    ui.hint("`pki server issue HOST` certifies the first server");
    ui.report_done(&installed, exit)
}
