//! `pki server csr` and `pki server issue`: requests and certificates for servers.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::ca::{
    self, CaError, CertifiedKey, ClockPolicy, Delivered, Desk, Keys, NotFound, OutputDir, ServersError,
};
use crate::disk;
use crate::issuer::Servers;
use crate::key::{Passphrase, PublicKey};
use crate::model::server::{Origin, ServerDraft};
use crate::model::{Authority, Host, Role, Server, Time};

use crate::cli::commands::ca::{confirmed, demand_first, permitted};
use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::handed_in;
use crate::cli::place::directory;
use crate::cli::secrets::{IssuingSecret, Keyring, RootSecret};

/// Write a request for a certificate of a public CA
///
/// HOST.csr, and HOST.key beside it where it is not there yet. Ask again with the same request to renew: the
/// key stays, and so does its pin.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki server csr api.acme.example
  certbot certonly --standalone --csr api.acme.example.csr --fullchain-path fullchain.pem
  pki server import api.acme.example --cert fullchain.pem
  pki server csr api.acme.example --backup        for the key in reserve: its certificate before it is needed")]
pub struct CsrArgs {
    /// Which server
    host: Host,
    /// For the key in reserve
    #[arg(long)]
    backup: bool,
    /// Where the files go
    #[arg(long, value_name = "DIR", value_parser = directory(), default_value = ".")]
    out: PathBuf,
    #[command(flatten)]
    issuing: IssuingSecret,
}

/// Issue a certificate of this PKI's own servers' CA
///
/// HOST.crt (the certificate and the servers' CA) and HOST.key go to --out. Again to renew: the key stays,
/// and so does its pin. The first one makes the servers' CA, which needs the root's key once. Devices'
/// certificates come from another CA: neither can make what the other makes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki server issue api.acme.example --out /etc/nginx/tls
  pki server issue api.acme.example --out /etc/nginx/tls --no-input --passphrase-file /etc/pki/passphrase     from a timer
  pki server issue api.acme.example --csr api.csr        for an imported key, which the home does not have")]
pub struct IssueArgs {
    /// Which server
    host: Host,
    /// How many days it lives, 1 to 398
    #[arg(long, default_value_t = ServerDraft::DAYS, allow_negative_numbers = true)]
    days: i64,
    /// The request of a server that made its own key
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// Where the files go
    #[arg(long, value_name = "DIR", value_parser = directory(), default_value = ".")]
    out: PathBuf,
    /// CLOCK: go on although the clock stands before the last event or far after it. The serial number of
    /// a servers' CA that is published and that this home has not: make another one all the same
    #[arg(long, value_name = "NAME")]
    confirm: Vec<String>,
    #[command(flatten)]
    issuing: IssuingSecret,
    #[command(flatten)]
    root: RootSecret,
}

#[derive(Debug, Serialize)]
struct Report {
    host: Host,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<Time>,
    files: Vec<PathBuf>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files
            .iter()
            .try_for_each(|file| writeln!(f, "{}", file.display()))
    }
}

fn files(delivered: Delivered) -> Vec<PathBuf> {
    [Some(delivered.certificate), delivered.key]
        .into_iter()
        .flatten()
        .collect()
}

fn known(host: &Host, context: &Context, desk: &Desk) -> Result<Server, Failure> {
    let server = context.read(&desk.home)?.server(host)?;
    Ok(server.ok_or_else(|| NotFound::Server(host.clone()))?)
}

pub fn csr(args: CsrArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let desk = context.desk()?;
    let host = args.host;
    let server = known(&host, context, &desk)?;
    let (role, key) = if args.backup {
        (Role::Backup, &server.backup)
    } else {
        (Role::Active, &server.active)
    };
    match key.origin {
        Origin::Made => {}
        Origin::Imported => return Err(ServersError::KeyElsewhere(host).into()),
    }
    OutputDir::try_out(&args.out, &desk.home)?;
    let keyring = args.issuing.unlock_all(&desk.home, ui)?;
    let key = ca::open_key(&desk.home, &host, key.pin, &keyring.passphrase)?;
    let output = OutputDir::open(&args.out, &desk.home)?;
    let delivered = ca::write_request(&desk, &server, (role, &key), &output)?;
    ui.say(format!(
        "the request for {host} is {}",
        delivered.certificate.display()
    ));
    if args.backup {
        ui.hint(format!(
            "keep the certificate until `pki server rotate {host}`, then run `pki server import {host} --cert FILE`"
        ));
    } else {
        ui.hint(format!(
            "have it certified, then run `pki server import {host} --cert FILE`"
        ));
    }
    let report = Report {
        host,
        serial: None,
        not_after: None,
        files: files(delivered),
    };
    ui.report(&report)?;
    Ok(Exit::Done)
}

pub fn issue(args: IssueArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let (mut policy, given_up) = confirmed(&args.confirm)?;
    let desk = context.desk()?;
    if desk.home.servers().is_none() {
        demand_first(&desk.home, &given_up)?;
    }
    let host = args.host.clone();
    let server = known(&host, context, &desk)?;
    // Bounds, before a passphrase is asked for: what is signed is drafted again, under the lock.
    let issuer = desk.home.servers().unwrap_or(desk.home.chain()).issuer();
    ServerDraft::new(&host, Some(args.days), issuer, (desk.clock)()).map_err(CaError::from)?;
    let request = match (&args.csr, server.active.origin) {
        (Some(path), _) => Some(read_request(path, &host)?),
        (None, Origin::Made) => None,
        (None, Origin::Imported) => return Err(ServersError::KeyElsewhere(host).into()),
    };
    OutputDir::try_out(&args.out, &desk.home)?;
    let Keyring {
        issuing,
        servers,
        passphrase,
    } = args.issuing.unlock_all(&desk.home, ui)?;
    let (desk, servers) = match servers {
        Some(servers) => (desk, servers),
        None => found(&args, &passphrase, &mut policy, desk, context)?,
    };
    let own = match request {
        Some(_) => None,
        None => Some(ca::open_key(&desk.home, &host, server.active.pin, &passphrase)?),
    };
    let output = OutputDir::open(&args.out, &desk.home)?;
    let mut session = context.session(&desk, &mut policy)?;
    let key = match (&own, &request) {
        (Some(own), _) => CertifiedKey::Ours(own),
        (None, Some(theirs)) => CertifiedKey::Theirs(theirs),
        (None, None) => return Err(ServersError::KeyElsewhere(host).into()),
    };
    let (certified, delivered) = ca::certify(&mut session, &servers, &host, Some(args.days), &key, &output)?;
    ui.say(format!(
        "{host} is certified until {}: {}",
        certified.validity.not_after.date(),
        delivered.certificate.display()
    ));
    let keys = Keys {
        issuing: Some(&issuing),
        servers: Some(&servers),
    };
    let exit = context.publish_change(&mut session, keys);
    // The files of the first key have the host's name alone.
    let is_first_key = delivered.certificate.file_stem() == Some(host.file_stem().as_ref());
    ui.hint(if is_first_key {
        "have the server read it: most do at a reload, all at a restart; clients trust it by ca/root.crt of the publication, and apps know \
         it by its pins"
    } else {
        "it is for the key in use now, whose files have other names than those of the key before: put both in the place of those that the \
         server reads, or name them in its configuration; then have it read them"
    });
    let report = Report {
        host,
        serial: Some(certified.serial.to_string()),
        not_after: Some(certified.validity.not_after),
        files: files(delivered),
    };
    ui.report_done(&report, exit)
}

fn read_request(path: &Path, host: &Host) -> Result<PublicKey, Failure> {
    let request = handed_in::request(
        path,
        Some(&host.file_stem()),
        "this PKI's own CA certifies keys of P-256; a server with another key has it certified by a public CA",
    )?;
    Ok(request.public_key().clone())
}

/// The request that goes to a root that is elsewhere.
const REQUEST: &str = "servers-ca.csr";

/// Makes the servers' CA, with the root's key. Where that is away, there is a request for it afterwards.
fn found(
    args: &IssueArgs,
    passphrase: &Passphrase,
    policy: &mut ClockPolicy,
    desk: Desk,
    context: &Context,
) -> Result<(Desk, Servers), Failure> {
    let ui = &context.ui;
    let place = desk.home.key_path(Authority::Root);
    if !place.exists() {
        let key = ca::servers_key(&desk.home, passphrase)?;
        let request = args.out.join(REQUEST);
        disk::ensure_directory(&args.out, disk::PRIVATE_DIRECTORY)?;
        disk::replace(&request, 0o644, ca::servers_request(&key)?.as_bytes())?;
        let base_url = desk.home.config().base_url.as_ref();
        let base_url = base_url.map_or(String::new(), |url| format!(" --base-url {url}"));
        let permitted = permitted(desk.home.chain());
        let message = format!(
            "the root's key is not at {}, and has to make the servers' CA: the request for it is {}",
            place.display(),
            request.display()
        );
        return Err(Failure::new(Exit::Incomplete, "root-away", message).hint(format!(
            "attach the root's medium and repeat; or where the root is, run `pki root sign {REQUEST} --root DIR{base_url}{permitted}`, bring its answer here, and run `pki ca install servers-ca.crt`"
        )));
    }
    ui.say(format!(
        "the first certificate for a server: the root makes the servers' CA, for {}, this once",
        desk.home.chain().permitted().of_servers()
    ));
    let root = args.root.unlock(&desk.home, ui)?;
    let key = ca::servers_key(&desk.home, passphrase)?;
    // Another process may have made it in the meantime.
    let desk = context.desk()?;
    let chain = {
        let mut session = context.session(&desk, policy)?;
        ca::found_servers(&mut session, &root, &key)?
    };
    // The home knows it from now on.
    let desk = context.desk()?;
    let servers = ca::open_servers(&desk.home, chain, key)?;
    Ok((desk, servers))
}
