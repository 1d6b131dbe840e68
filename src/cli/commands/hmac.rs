//! `pki hmac`: shared keys for devices that cannot sign their requests.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::ca::{self, CaError, ClockPolicy, NewSecret};
use crate::disk;
use crate::home::Home;
use crate::key::{HmacSecret, Passphrase};
use crate::model::{Address, HmacEpoch, HmacHost, Host, Span};

use super::server::dry_run;
use crate::cli::clock::ClockArgs;
use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::named::Addressee;
use crate::cli::place::new_file;
use crate::cli::secrets::IssuingSecret;

/// Shared keys for devices that cannot sign: an HMAC in the place of the device's own signature
///
/// Off until a host has keys. Who can sign should: `pki sign-request`, `pki config requests-kotlin`. The
/// server holds what all keys follow from, so whoever reads that there can be any device.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[command(after_help = "\
Examples:
  pki hmac rotate api.acme.example                              the first keys, and each later epoch
  pki hmac show api.acme.example --out hmac.json                for the server: what its keys follow from
  pki hmac show api.acme.example alice/scanner --out key.json   for one device: its key
  pki hmac show                                                 hosts and epochs")]
pub enum Verb {
    Show(ShowArgs),
    Rotate(RotateArgs),
}

/// Show which hosts have shared keys; with --out, write secrets into a file
///
/// For the server, the secrets of all epochs that are good; with ADDRESS, the key of that device. The file
/// has mode 0600, and that it was made is an event of the ledger.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki hmac show
  pki hmac show api.acme.example --out hmac.json
  pki hmac show api.acme.example alice/scanner --out key.json")]
pub struct ShowArgs {
    /// Which host [default: all of them]
    host: Option<Host>,
    /// The device whose key is written
    #[arg(value_name = "ADDRESS", requires = "out")]
    device: Option<Addressee>,
    /// The new file for the secrets
    #[arg(long, value_name = "FILE", value_parser = new_file(), requires = "host")]
    out: Option<PathBuf>,
    #[command(flatten)]
    issuing: IssuingSecret,
}

/// Make the keys of a host, or the next ones: an epoch with a new secret
///
/// All keys from before are good for --overlap longer at most: give the server the new secrets, and the
/// devices their new keys, in that time.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki hmac rotate api.acme.example
  pki hmac rotate api.acme.example --overlap 0s     a secret is out: the old keys end now")]
pub struct RotateArgs {
    /// Which host
    host: Host,
    /// How long the keys from before are good at most
    #[arg(long, value_name = "DURATION", default_value = "30d")]
    overlap: Span,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    clock: ClockArgs,
    #[command(flatten)]
    issuing: IssuingSecret,
}

/// The hosts with shared keys, and the files that were written.
#[derive(Debug, Serialize)]
struct Hosts {
    hosts: Vec<HmacHost>,
    files: Vec<PathBuf>,
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [file] = &self.files[..] {
            return writeln!(f, "{}", file.display());
        }
        for HmacHost { host, epochs } in &self.hosts {
            for HmacEpoch {
                number, from, until, ..
            } in epochs
            {
                match until {
                    None => writeln!(f, "{host}  epoch {number}, since {from}")?,
                    Some(until) => writeln!(f, "{host}  epoch {number}, since {from}, good until {until}")?,
                }
            }
        }
        Ok(())
    }
}

pub fn run(verb: Verb, context: &Context) -> Result<Exit, Failure> {
    match verb {
        Verb::Show(args) => show(args, context),
        Verb::Rotate(args) => rotate(&args, context),
    }
}

fn rotate(args: &RotateArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let host = &args.host;
    let mut policy = args.clock.policy()?;
    let desk = context.desk()?;
    let is_new = context.read(&desk.home)?.hmac_host(host)?.is_none();
    if args.dry_run {
        args.issuing.try_out(&desk.home, ui);
        return dry_run(
            context,
            match is_new {
                true => format!("make shared keys for {host}"),
                false => format!(
                    "begin the next epoch of the keys of {host}; the current ones would be good for {}",
                    args.overlap
                ),
            },
        );
    }
    let keyring = args.issuing.unlock_all(&desk.home, ui)?;
    let new = NewSecret::make(&keyring.passphrase)?;
    let mut session = context.session(&desk, &mut policy)?;
    let known = ca::rotate_hmac(&mut session, host, &new, args.overlap)?;
    let number = known.current().map_or(0, |epoch| epoch.number);
    ui.say(match number {
        1 => format!("{host} has shared keys"),
        _ => format!(
            "{host} has epoch {number} of its keys; those before are good for {}",
            args.overlap
        ),
    });
    let exit = context.publish_change(&mut session, keyring.keys());
    if number > 1 {
        ui.more("the server goes by the file that it has until it is given a new one and started anew");
    }
    ui.hint(format!(
        "next, for the server: `pki hmac show {host} --out hmac-{number}.json`; for each device: `pki hmac show {host} ADDRESS --out key.json`"
    ));
    let done = Hosts {
        hosts: vec![known],
        files: Vec::new(),
    };
    // What was made is told, and is no list.
    ui.report_done(&Told(done), exit)
}

/// A document for programs; a person is told otherwise.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Told(Hosts);

impl fmt::Display for Told {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

fn show(args: ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let desk = context.desk()?;
    let store = context.read(&desk.home)?;
    let hosts = match &args.host {
        Some(host) => vec![ca::hmac_host(&store, host)?],
        None => store.hmac_hosts()?,
    };
    let (Some(out), [known]) = (&args.out, &hosts[..]) else {
        if hosts.is_empty() {
            context.ui.say("no host has shared keys");
        }
        let files = Vec::new();
        context.ui.report(&Hosts { hosts, files })?;
        return Ok(Exit::Done);
    };
    demand_no_file(out)?;
    ca::demand_new_file(out, None, &desk.home)?;
    // An open index keeps others out while somebody types.
    drop(store);
    let device = args.device.as_ref();
    let address = device
        .map(|device| context.existing(&desk.home, device))
        .transpose()?;
    let passphrase = args.issuing.passphrase(&desk.home, &context.ui)?;
    let opened = opened(&desk.home, known, address.as_ref(), &passphrase)?;
    let mut session = context.session(&desk, &mut ClockPolicy::Strict)?;
    // Others may have begun an epoch while a passphrase was typed.
    if session.store.hmac_host(&known.host)?.as_ref() != Some(known) {
        return Err(CaError::from(ca::HmacError::Rotated(known.host.clone())).into());
    }
    let text = match (&address, &opened[..]) {
        (Some(address), [.., (epoch, secret)]) => {
            ca::device_file(&session.store, &known.host, epoch, secret, address, session.now)?
        }
        (_, all) => ca::server_file(&known.host, all),
    };
    ca::record_hand_out(&mut session, &known.host, address.as_ref())?;
    disk::create_private(out, text.as_bytes())?;
    context.ui.hint(match &address {
        None => "whoever reads this file can be any device: give it to the server by a safe way, readable by the application's account alone",
        Some(_) => "give it to the device by a safe way, and remove it here",
    });
    let files = vec![out.clone()];
    context.ui.report(&Hosts { hosts, files })?;
    Ok(Exit::Done)
}

fn demand_no_file(out: &Path) -> Result<(), Failure> {
    match disk::is_taken(out) {
        true => Err(CaError::Exists(disk::Shown(out.to_owned())).into()),
        false => Ok(()),
    }
}

/// The secrets of the epochs that are wanted: of all that are good, for the server; of the current one, for a
/// device.
fn opened<'a>(
    home: &Home,
    known: &'a HmacHost,
    address: Option<&Address>,
    passphrase: &Passphrase,
) -> Result<Vec<(&'a HmacEpoch, HmacSecret)>, Failure> {
    let wanted: Vec<&HmacEpoch> = match address {
        None => known.good(system_clock()).collect(),
        Some(_) => known.current().into_iter().collect(),
    };
    let opened = wanted.into_iter().map(|epoch| {
        let secret = ca::open_secret(home, &known.host, epoch, passphrase)?;
        Ok((epoch, secret))
    });
    opened.collect()
}
