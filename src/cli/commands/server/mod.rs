//! `pki server`: the register of servers, their keys and their certificates.

pub mod acme;
pub mod certificate;
mod pinned;
pub mod list;
pub mod removal;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::ca::{self, ClockPolicy, Haste, Imported, NewKey, NotFound, OutputDir, ServersError, Subdomains};
use crate::disk;
use crate::model::server::OldPin;
use crate::model::{Contents, Host, Pin};
use crate::x509::X509Error;
use crate::x509::foreign::ForeignCertificate;

use crate::cli::clock::ClockArgs;
use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::handed_in;
use crate::cli::in_shell;
use crate::cli::place::directory;
use crate::cli::report::DryRun;
use crate::cli::secrets::IssuingSecret;
use crate::cli::tips;
use acme::{AcmeArgs, acme};
use certificate::{CsrArgs, IssueArgs, csr, issue};
use list::{ListArgs, list};
use pinned::{is_of_the_service, tell_old_pins};
use removal::{RemoveArgs, VerifyArgs, remove, verify};

/// The company's servers: their keys, in use and in reserve, and their certificates
#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[command(after_help = "\
Examples:
  pki server add api.acme.example --out /etc/nginx/tls      its key, and one in reserve; both are pinned
  pki server csr api.acme.example                           a request for a public CA, for the same key
  pki server issue api.acme.example --out /etc/nginx/tls    or a certificate of this PKI's own servers' CA
  pki server acme api.acme.example                          or let it order them itself, by certbot or Caddy
  pki server list                                           keys and pins, since when, certificates
  pki server rotate api.acme.example                        once a year: the key in reserve takes over")]
pub enum Verb {
    Add(AddArgs),
    Csr(CsrArgs),
    Issue(Box<IssueArgs>),
    Acme(AcmeArgs),
    Import(ImportArgs),
    Verify(VerifyArgs),
    Rotate(RotateArgs),
    Remove(RemoveArgs),
    List(ListArgs),
}

/// Take in a server: a key for it, and one in reserve, whose pins are published from now on
///
/// HOST.key goes to --out, mode 0600, for the server. The key in reserve stays in the home, encrypted with
/// the issuing key's passphrase.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki server add api.acme.example
  pki server add api.acme.example --out /etc/nginx/tls --include-subdomains")]
pub struct AddArgs {
    /// Its name, as the apps call it
    host: Host,
    /// Hold apps to the same pins for the hosts below it
    #[arg(long)]
    include_subdomains: bool,
    #[command(flatten)]
    clock: ClockArgs,
    #[command(flatten)]
    common: Common,
}

/// Take in a certificate that exists already: its key is pinned, and a key in reserve made
///
/// For a server that is new here, or a new certificate of the key that is in use.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki server import api.acme.example --cert /etc/letsencrypt/live/api.acme.example/fullchain.pem")]
pub struct ImportArgs {
    /// Its name, as the apps call it
    host: Host,
    /// Its certificate; issuers may follow
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Hold apps to the same pins for the hosts below it
    #[arg(long)]
    include_subdomains: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    clock: ClockArgs,
    #[command(flatten)]
    issuing: IssuingSecret,
}

/// Take the key in reserve into use, and make the next one
///
/// Refused until its pin has been published for `overlap_days` of pki.toml: an app that does not know it
/// would be locked out. `pki pins plan` tells when that is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki server rotate api.acme.example --out /etc/nginx/tls
  pki server rotate api.acme.example --compromised --confirm api.acme.example     the key is out: now, whatever it costs")]
pub struct RotateArgs {
    /// Which server
    host: Host,
    /// Somebody else may have the old key: its pin leaves the pin set at once
    #[arg(long)]
    compromised: bool,
    /// The name once more: rotate although apps may not know the pin yet. CLOCK: go on although the clock
    /// stands before the last event or far after it
    #[arg(long, value_name = "HOST")]
    confirm: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// What both take that write a key.
#[derive(Debug, clap::Args)]
struct Common {
    /// Where the server's files go
    #[arg(long, value_name = "DIR", value_parser = directory(), default_value = ".")]
    out: PathBuf,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    issuing: IssuingSecret,
}

/// What was done for a server.
#[derive(Debug, Serialize)]
struct Done {
    host: Host,
    active: Pin,
    backup: Pin,
    files: Vec<PathBuf>,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files
            .iter()
            .try_for_each(|file| writeln!(f, "{}", file.display()))
    }
}

pub fn run(verb: Verb, context: &Context) -> Result<Exit, Failure> {
    match verb {
        Verb::Add(args) => add(args, context),
        Verb::Csr(args) => csr(args, context),
        Verb::Issue(args) => issue(*args, context),
        Verb::Acme(args) => acme(args, context),
        Verb::Import(args) => import(args, context),
        Verb::Verify(args) => verify(args, context),
        Verb::Rotate(args) => rotate(args, context),
        Verb::Remove(args) => remove(args, context),
        Verb::List(args) => list(args, context),
    }
}

fn add(args: AddArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let AddArgs {
        host,
        include_subdomains,
        clock,
        common,
    } = args;
    let mut policy = clock.policy()?;
    demand_no_file(&host)?;
    let desk = context.desk()?;
    if context.read(&desk.home)?.server(&host)?.is_some() {
        return Err(ServersError::Exists(host).into());
    }
    OutputDir::try_out(&common.out, &desk.home)?;
    if common.dry_run {
        common.issuing.try_out(&desk.home, ui);
        return dry_run(
            context,
            format!("make two keys for {host} and publish their pins"),
        );
    }
    let keyring = common.issuing.unlock_all(&desk.home, ui)?;
    let keys = [
        NewKey::make(&keyring.passphrase)?,
        NewKey::make(&keyring.passphrase)?,
    ];
    let output = OutputDir::open(&common.out, &desk.home)?;
    let mut session = context.session(&desk, &mut policy)?;
    let file = ca::add(
        &mut session,
        &host,
        subdomains(include_subdomains),
        &keys,
        &output,
    )?;
    ui.say(format!("{host} is taken in: its key is {}", file.display()));
    let beside = beside(&common.out);
    let exit = context.publish_change(&mut session, keyring.keys());
    if desk
        .home
        .chain()
        .issuer()
        .constraints
        .iter()
        .all(|c| c.permit_host(&host))
    {
        ui.hint(format!(
            "next, its certificate: `pki server issue {host}{beside}`, or by a public CA with `pki server csr {host}`"
        ));
    } else {
        ui.hint(format!(
            "{host} is outside of what this PKI's own CAs may vouch for: a public CA certifies it, with `pki server csr {host}{beside}`"
        ));
    }
    for account in session.store.acme_accounts()? {
        if account.orders_for(&host) {
            ui.warn(format!(
                "{host} orders by ACME, account {}: from now on with this key alone (certbot: --csr)",
                account.grant.account
            ));
        }
    }
    let [active, backup] = keys.map(|key| key.pin());
    let done = Done {
        host,
        active,
        backup,
        files: vec![file],
    };
    ui.report_done(&done, exit)
}

fn import(args: ImportArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let host = args.host;
    let mut policy = args.clock.policy()?;
    let certificate = read_certificate(&args.cert)?;
    let desk = context.desk()?;
    // Closed again before anybody is asked: an open index keeps others out.
    let known = {
        let store = context.read(&desk.home)?;
        ca::demand_for(&host, &certificate, system_clock())?;
        ca::demand_nobody_elses(&store, &desk.home, &host, &certificate)?;
        store.server(&host)?
    };
    if known.is_none() {
        demand_no_file(&host)?;
    }
    if let Some(server) = &known {
        ca::demand_active(server, certificate.pin)?;
    }
    if let Some(why) = certificate.kind_of_key.refused_by_clients() {
        ui.warn(format!("the key of {host} is {}: {why}", certificate.kind_of_key));
        ui.hint("have the server make a key that they take, and import the certificate of that one");
    }
    if args.dry_run {
        args.issuing.try_out(&desk.home, ui);
        let what = match known {
            Some(_) => format!("record the certificate of {host}"),
            None => format!("pin the certificate's key for {host}, and make a key in reserve"),
        };
        return dry_run(context, what);
    }
    let keyring = args.issuing.unlock_all(&desk.home, ui)?;
    let backup = match known {
        Some(_) => None,
        None => Some(NewKey::make(&keyring.passphrase)?),
    };
    let mut session = context.session(&desk, &mut policy)?;
    let subdomains = subdomains(args.include_subdomains);
    let until = certificate.validity.not_after.date();
    match ca::import(&mut session, &host, subdomains, &certificate, backup.as_ref())? {
        Imported::Added => {
            ui.say(format!(
                "{host} is taken in: the key of its certificate is pinned, and so is one in reserve, which is in the home"
            ));
            if !certificate.has_our_kind_of_key {
                ui.more("the key in use is not of P-256: other CAs certify it, and not this PKI's own");
            }
        }
        Imported::Renewed => ui.say(format!("{host} has a certificate of the same key until {until}")),
    }
    let exit = context.publish_change(&mut session, keyring.keys());
    if known.is_none() {
        ui.hint(format!(
            "next, give apps its pins: `pki pins show {host} --format android` (ios, okhttp, …); renew its certificate with the same key, \
             and `pki server import {host} --cert FILE` once more"
        ));
    }
    let server = session.store.server(&host)?;
    let done = Done {
        host,
        active: certificate.pin,
        backup: server.map_or(certificate.pin, |server| server.backup.pin),
        files: Vec::new(),
    };
    ui.report_done(&done, exit)
}

fn rotate(args: RotateArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let RotateArgs {
        host,
        compromised,
        confirm,
        common,
    } = args;
    let (mut policy, mut haste) = (ClockPolicy::Strict, Haste::None);
    for name in &confirm {
        if name == "CLOCK" {
            policy = ClockPolicy::Confirmed;
        } else if name.parse().ok().as_ref() == Some(&host) {
            haste = Haste::Confirmed;
        } else {
            return Err(Failure::usage(format!(
                "--confirm {name}: to rotate now, repeat the name {host}"
            )));
        }
    }
    let desk = context.desk()?;
    let known = context.read(&desk.home)?.server(&host)?;
    let server = known.ok_or_else(|| NotFound::Server(host.clone()))?;
    ca::demand_overlap(&desk.home, &server, haste, system_clock())?;
    OutputDir::try_out(&common.out, &desk.home)?;
    if common.dry_run {
        common.issuing.try_out(&desk.home, ui);
        return dry_run(
            context,
            format!("take the key {} of {host} into use", server.backup.pin),
        );
    }
    let keyring = common.issuing.unlock_all(&desk.home, ui)?;
    let backup = ca::open_key(&desk.home, &host, server.backup.pin, &keyring.passphrase)?;
    let next = NewKey::make(&keyring.passphrase)?;
    let output = OutputDir::open(&common.out, &desk.home)?;
    let old = if compromised {
        OldPin::Dropped
    } else {
        OldPin::Retires
    };
    let mut session = context.session(&desk, &mut policy)?;
    let file = ca::rotate(&mut session, &host, &backup, &next, (old, haste), &output)?;
    ui.say(format!("the key of {host} is now {}", file.display()));
    let beside = beside(&common.out);
    match old {
        OldPin::Retires => ui.more(format!(
            "the old key's pin stays published for {}",
            desk.home.config().pin_overlap
        )),
        OldPin::Dropped => {
            ui.more("the old key's pin is in no pin set any more");
            for (serial, until) in removal::good_certificates(&server, &session)? {
                ui.warn(format!(
                    "its certificate {serial}, of the old key, stays good until {}",
                    until.date()
                ));
                ui.hint(format!(
                    "`pki revoke {serial} --reason compromised` takes it back"
                ));
            }
        }
    }
    let exit = context.publish_change(&mut session, keyring.keys());
    if is_of_the_service(&desk.home, &host) {
        tell_old_pins(&session.store, session.now, context)?;
        ui.hint("`pki serve` takes the new key within a minute, and gets itself a certificate for it");
    } else {
        ui.hint(format!(
            "get a certificate for the new key (`pki server issue {host}{beside}`, or `pki server csr {host}{beside}`), then give both to the server"
        ));
    }
    let done = Done {
        host,
        active: server.backup.pin,
        backup: next.pin(),
        files: vec![file],
    };
    ui.report_done(&done, exit)
}

/// A file is no server, although a host could be called so.
fn demand_no_file(host: &Host) -> Result<(), Failure> {
    let text = host.to_string();
    match tips::has_typical_ending(&text) {
        false => Ok(()),
        true => Err(
            Failure::usage(format!("{text} is the name of a file, and of no server"))
                .hint(format!("did you mean `pki server import HOST --cert {text}`?")),
        ),
    }
}

fn subdomains(included: bool) -> Subdomains {
    if included {
        Subdomains::Included
    } else {
        Subdomains::Excluded
    }
}

/// What has a certificate written beside the key that went to `out`.
fn beside(out: &Path) -> String {
    match out.to_str() {
        Some(".") => String::new(),
        Some(out) => format!(" --out {}", in_shell(out)),
        None => " --out DIR".to_owned(),
    }
}

pub fn dry_run(context: &Context, would: String) -> Result<Exit, Failure> {
    context.ui.say(format!("would {would}"));
    context.ui.report(&DryRun::new(vec![would]))?;
    Ok(Exit::Done)
}

/// A server's certificate is some kilobytes, with its issuers.
const LONGEST: u64 = 1 << 20;

pub fn read_certificate(path: &Path) -> Result<ForeignCertificate, Failure> {
    let text = disk::read_given(path, LONGEST)?;
    ForeignCertificate::first_in(&text).map_err(|why| {
        if let X509Error::Unwanted(why) = &why {
            return handed_in::no_certificate(path, &Contents::of(&text), why);
        }
        Failure::refused(format!("{}: {why}", path.display()))
            .hint("give the server's certificate in PEM, as in fullchain.pem")
    })
}
