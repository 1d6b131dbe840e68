//! `pki serve`: the service by which devices enroll themselves.

mod log;
mod systemd;

use std::net::SocketAddr;
use std::time::Duration;

use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::secrets::{IssuingSecret, Keyring};
use crate::home::Home;
use crate::home::config::Serve;
use crate::issuer::Devices;
use crate::model::Host;
use crate::serve::{OwnHost, Place, Places, ServeError, Service};
use log::Log;

/// How long the service waits for another pki on the same home: a phone waits for it meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serve the page by which devices enroll themselves, and EST by which they renew
///
/// Goes on until it is told to end (SIGTERM), with the issuing key open. Where it listens and what it is
/// called stands under [serve] in pki.toml. Sockets of systemd are taken by their names: page, device,
/// status.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki serve
  pki serve --json                              a log for programs, a line of JSON for each event
  pki serve --page 127.0.0.1:8443 --device 0.0.0.0:8444 --passphrase-file /etc/pki/passphrase
  pki serve --no-issue --status 0.0.0.0:8080    on a machine that has no issuing key")]
pub struct Args {
    /// Where the page listens [default: `page` under [serve] in pki.toml]
    #[arg(long, value_name = "ADDR")]
    page: Option<SocketAddr>,
    /// Where devices enroll and renew by EST [default: `device` under [serve] in pki.toml]
    #[arg(long, value_name = "ADDR")]
    device: Option<SocketAddr>,
    /// Where CRLs, CA certificates, pins and OCSP are served, plain http [default: `status` under [serve]]
    #[arg(long, value_name = "ADDR")]
    status: Option<SocketAddr>,
    /// Open no CA's key and sign nothing: what would need one is answered with 503, OCSP with tryLater
    #[arg(long)]
    no_issue: bool,
    #[command(flatten)]
    issuing: IssuingSecret,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let home = context.open()?;
    let places = places(&args, &home.config().serve)?;
    // Looked at before anybody types a passphrase for what cannot be served.
    let host = match &places.device {
        Some(_) => Some(device_host(&home, &args, context)?),
        None => None,
    };
    let (devices, own) = unlock(&args, host, &home, context)?;
    let log = Log::start(context, home.config().serve.log_names).map_err(ServeError::Runtime)?;
    let mut desk = context.desk_of(home);
    desk.patience = PATIENCE;
    let service = Service {
        desk,
        devices,
        own,
        places,
    };
    let listens = |face: &str, address: SocketAddr| log.listens(face, address);
    let is_ready = || log.tell_systemd(systemd::ready());
    service.run(&listens, &is_ready, Box::new(log.clone()))?;
    log.ended();
    Ok(Exit::Done)
}

/// Where each face is served: on the socket that systemd has handed over, or where it is said.
fn places(args: &Args, serve: &Serve) -> Result<Places, ServeError> {
    let mut sockets = systemd::sockets()?;
    let mut place = |face: &str, given: Option<SocketAddr>, configured: Option<SocketAddr>| {
        let socket = sockets.remove(face).map(Place::Socket);
        socket.or(given.or(configured).map(Place::Address))
    };
    let places = Places {
        page: place("page", args.page, serve.page),
        device: place("device", args.device, serve.device),
        status: place("status", args.status, serve.status),
    };
    match sockets.into_keys().next() {
        Some(name) => Err(ServeError::ForeignSocket(name)),
        None if places.are_none() => Err(ServeError::NoFace),
        None => Ok(places),
    }
}

/// The host that devices know the service by: a server of the home that has, or can get, a certificate.
fn device_host(home: &Home, args: &Args, context: &Context) -> Result<Host, Failure> {
    let serve = &home.config().serve;
    let authority = serve.device_host.as_ref().or(serve.host.as_ref());
    let host = authority.ok_or(ServeError::NoDeviceHost)?.host.clone();
    if home.servers().is_none() && !args.no_issue {
        let is_known = context.read(home)?.server(&host)?.is_some();
        return Err(ServeError::NoServersCa { host, is_known }.into());
    }
    Ok(host)
}

/// Opens what is served with.
fn unlock(
    args: &Args,
    host: Option<Host>,
    home: &Home,
    context: &Context,
) -> Result<(Option<Devices>, Option<OwnHost>), Failure> {
    if !args.no_issue {
        let Keyring {
            issuing,
            servers,
            passphrase,
        } = args.issuing.unlock_all(home, &context.ui)?;
        let own = host.map(|host| OwnHost {
            host,
            servers,
            passphrase,
        });
        return Ok((Some(issuing), own));
    }
    let own = match host {
        None => None,
        // The key of the face of devices is the home's, as all keys of servers.
        Some(host) => Some(OwnHost {
            host,
            servers: None,
            passphrase: args.issuing.passphrase(home, &context.ui)?,
        }),
    };
    Ok((None, own))
}
