use std::fmt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::disk;
use crate::model::server::{Certifier, OldPin};
use crate::model::{Encoding, Host, Pin, Role, Server, Time};
use crate::operate::{self, ClockPolicy, Haste, Imported, NewKey, OperateError, Outbox, Subdomains};
use crate::x509::foreign::ForeignCertificate;

use super::context::{Context, system_clock};
use super::failure::{Exit, Failure};
use super::form;
use super::report::{DryRun, counted, lines, table};
use super::root::clock_policy;
use super::secrets::IssuingSecret;
use super::server_certificate::{CsrArgs, IssueArgs, csr, issue};

/// The company's servers: their keys, in use and in reserve, and their certificates
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  pki server add api.acme.example --out /etc/nginx/tls      its key, and one in reserve; both are pinned
  pki server csr api.acme.example                           a request for a public CA, for the same key
  pki server issue api.acme.example --out /etc/nginx/tls    or a certificate of this PKI's own servers' CA
  pki server list                                           keys and pins, since when, certificates
  pki server rotate api.acme.example                        once a year: the key in reserve takes over")]
pub enum Verb {
    Add(AddArgs),
    Csr(CsrArgs),
    Issue(Box<IssueArgs>),
    Import(ImportArgs),
    Rotate(RotateArgs),
    List(ListArgs),
}

/// Take in a server: a key for it, and one in reserve, whose pins are published from now on
///
/// HOST.key goes to --out, mode 0600, for the server. The key in reserve stays in the home, encrypted with the issuing key's
/// passphrase.
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
    /// Go on although the clock stands before the last event or far after it: --confirm CLOCK
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
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
    /// Its certificate, PEM; issuers may follow
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Hold apps to the same pins for the hosts below it
    #[arg(long)]
    include_subdomains: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on although the clock stands before the last event or far after it: --confirm CLOCK
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    issuing: IssuingSecret,
}

/// Take the key in reserve into use, and make the next one
///
/// Refused until its pin has been published for `overlap_days` of pki.toml: an app that does not know it would be locked out.
/// `pki pins plan` tells when that is.
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
    /// The name once more: rotate although apps may not know the pin yet. CLOCK: go on although the clock stands before the last event
    /// or far after it
    #[arg(long, value_name = "HOST")]
    confirm: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// Show the servers with their keys
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki server list
  pki server list --json")]
pub struct ListArgs {}

/// What both take that write a key.
#[derive(Debug, clap::Args)]
struct Common {
    /// Where the server's files go
    #[arg(long, value_name = "DIR", default_value = ".")]
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
        Verb::Import(args) => import(args, context),
        Verb::Rotate(args) => rotate(args, context),
        Verb::List(ListArgs {}) => list(context),
    }
}

fn add(args: AddArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let AddArgs {
        host,
        include_subdomains,
        confirm,
        common,
    } = args;
    let mut policy = clock_policy(confirm.as_deref())?;
    let desk = context.desk()?;
    if context.read(&desk.home)?.server(&host)?.is_some() {
        return Err(OperateError::ServerExists(host).into());
    }
    Outbox::try_out(&common.out, &desk.home)?;
    if common.dry_run {
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
    let outbox = Outbox::open(&common.out, &desk.home)?;
    let mut session = context.session(&desk, &mut policy)?;
    let file = operate::add(
        &mut session,
        &host,
        subdomains(include_subdomains),
        &keys,
        &outbox,
    )?;
    ui.say(format!("{host} is taken in: its key is {}", file.display()));
    let exit = context
        .publish_change(&mut session, keyring.keys())
        .map(|published| context.tell_published(&published, session.clock));
    if desk
        .home
        .chain()
        .issuer()
        .constraints
        .iter()
        .all(|c| c.permit_host(&host))
    {
        ui.hint(format!(
            "next, a certificate for it: `pki server issue {host}`, or of a public CA with `pki server csr {host}`"
        ));
    } else {
        ui.hint(format!(
            "{host} is outside of what this PKI's own CAs may vouch for: a public CA certifies it, with `pki server csr {host}`"
        ));
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
    let mut policy = clock_policy(args.confirm.as_deref())?;
    let certificate = read_certificate(&args.cert)?;
    let desk = context.desk()?;
    let known = context.read(&desk.home)?.server(&host)?;
    operate::demand_for(&host, &certificate, system_clock())?;
    if let Some(server) = &known {
        operate::demand_active(server, certificate.pin)?;
    }
    if args.dry_run {
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
    match operate::import(&mut session, &host, subdomains, &certificate, backup.as_ref())? {
        Imported::Added => ui.say(format!(
            "{host} is taken in: the key of its certificate is pinned"
        )),
        Imported::Renewed => ui.say(format!("{host} has a certificate of the same key until {until}")),
    }
    let exit = context
        .publish_change(&mut session, keyring.keys())
        .map(|published| context.tell_published(&published, session.clock));
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
    let server = known.ok_or_else(|| OperateError::NoServer(host.clone()))?;
    operate::demand_overlap(&desk.home, &server, haste, system_clock())?;
    Outbox::try_out(&common.out, &desk.home)?;
    if common.dry_run {
        return dry_run(
            context,
            format!("take the key {} of {host} into use", server.backup.pin),
        );
    }
    let keyring = common.issuing.unlock_all(&desk.home, ui)?;
    let backup = operate::open_key(&desk.home, &host, server.backup.pin, &keyring.passphrase)?;
    let next = NewKey::make(&keyring.passphrase)?;
    let outbox = Outbox::open(&common.out, &desk.home)?;
    let old = if compromised {
        OldPin::Dropped
    } else {
        OldPin::Retires
    };
    let mut session = context.session(&desk, &mut policy)?;
    let file = operate::rotate(&mut session, &host, &backup, &next, (old, haste), &outbox)?;
    ui.say(format!("the key of {host} is now {}", file.display()));
    match old {
        OldPin::Retires => ui.more(format!(
            "the old key's pin stays published for {}",
            desk.home.config().pin_overlap
        )),
        OldPin::Dropped => ui.more("the old key's pin is in no pin set any more"),
    }
    let exit = context
        .publish_change(&mut session, keyring.keys())
        .map(|published| context.tell_published(&published, session.clock));
    ui.hint(format!(
        "get a certificate for the new key (`pki server issue {host}`, or `pki server csr {host}`), then give both to the server"
    ));
    let done = Done {
        host,
        active: server.backup.pin,
        backup: next.pin(),
        files: vec![file],
    };
    ui.report_done(&done, exit)
}

fn subdomains(included: bool) -> Subdomains {
    if included {
        Subdomains::Included
    } else {
        Subdomains::Excluded
    }
}

fn dry_run(context: &Context, would: String) -> Result<Exit, Failure> {
    context.ui.say(format!("would {would}"));
    context.ui.report(&DryRun::new(vec![would]))?;
    Ok(Exit::Done)
}

/// A server's certificate is some kilobytes, with its issuers.
const LONGEST: u64 = 1 << 20;

fn read_certificate(path: &Path) -> Result<ForeignCertificate, Failure> {
    let text = disk::read_given(path, LONGEST)?;
    ForeignCertificate::from_pem(&text).map_err(|why| {
        if Encoding::of(&text) != Encoding::Pem {
            return form::no_certificate(path, &text);
        }
        Failure::refused(format!("{}: {why}", path.display()))
            .hint("give the server's certificate in PEM, as in fullchain.pem")
    })
}

/// Every server.
#[derive(Debug, Serialize)]
struct List {
    servers: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    host: Host,
    include_subdomains: bool,
    keys: Vec<KeyRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<CertificateRow>,
}

#[derive(Debug, Serialize)]
struct KeyRow {
    role: Role,
    pin: Pin,
    since: Time,
    published: Option<Time>,
}

#[derive(Debug, Serialize)]
struct CertificateRow {
    serial: String,
    not_after: Time,
    issuer: Certifier,
}

impl From<&Server> for Row {
    fn from(server: &Server) -> Self {
        Self {
            host: server.host.clone(),
            include_subdomains: server.include_subdomains,
            keys: server
                .keys()
                .map(|(role, key)| KeyRow {
                    role,
                    pin: key.pin,
                    since: key.since,
                    published: key.published,
                })
                .collect(),
            certificate: server.certificate().map(|certificate| CertificateRow {
                serial: certificate.serial.clone(),
                not_after: certificate.validity.not_after,
                issuer: certificate.issuer,
            }),
        }
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.servers.is_empty() {
            return Ok(());
        }
        let mut table = table(&["HOST", "KEY", "PIN", "SINCE", "PUBLISHED", "CERTIFICATE UNTIL"]);
        for row in &self.servers {
            let until = row.certificate.as_ref().map(|c| c.not_after.date());
            for (i, key) in row.keys.iter().enumerate() {
                let first = i == 0;
                table.add_row([
                    if first {
                        row.host.to_string()
                    } else {
                        String::new()
                    },
                    key.role.to_string(),
                    key.pin.to_string(),
                    key.since.date(),
                    key.published.map_or("never".into(), Time::date),
                    until.clone().filter(|_| first).unwrap_or_default(),
                ]);
            }
        }
        f.write_str(&lines(&table))
    }
}

fn list(context: &Context) -> Result<Exit, Failure> {
    let home = context.open()?;
    let mut servers: Vec<Row> = Vec::new();
    for server in context.read(&home)?.servers()? {
        let stays = |key: &KeyRow, now: Time| match key.role {
            Role::Active | Role::Backup => true,
            Role::Retiring => now < key.since + home.config().pin_overlap,
        };
        let mut row = Row::from(&server);
        row.keys.retain(|key| stays(key, system_clock()));
        servers.push(row);
    }
    context.ui.say(counted(servers.len(), "server"));
    if servers.is_empty() {
        context.ui.hint("`pki server add HOST` takes one in");
    }
    context.ui.report(&List { servers })?;
    Ok(Exit::Done)
}
