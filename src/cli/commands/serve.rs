//! `pki serve`: the service by which devices enroll themselves.

mod log;
mod systemd;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::secrets::{IssuingSecret, Keyring, open_servers};
use crate::home::Home;
use crate::home::config::Serve;
use crate::issuer::Devices;
use crate::model::Host;
use crate::serve::{AcmePlace, OwnHost, Place, Places, ServeError, Service};
use log::Log;

/// How long the service waits for another pki on the same home: a phone waits for it meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serve the page by which devices enroll themselves, EST by which they renew, and ACME for servers
///
/// Goes on until it is told to end (SIGTERM), with the keys open that it needs: the issuing key, that of the
/// servers' CA with --device and --acme, and with --acme alone no other. Where it listens and what it is
/// called stands under [serve] in pki.toml. Sockets of systemd are taken by their names: page, device,
/// status, acme.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki serve
  pki serve --json                              a log for programs, a line of JSON for each event
  pki serve --page 127.0.0.1:8443 --device 0.0.0.0:8444 --passphrase-file /etc/pki/passphrase
  pki serve --acme 0.0.0.0:8446                 where the company's servers order their certificates
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
    /// Where servers order certificates by ACME [default: `acme` under [serve] in pki.toml]
    #[arg(long, value_name = "ADDR", conflicts_with = "no_issue")]
    acme: Option<SocketAddr>,
    /// Open no CA's key and sign nothing: what would need one is answered with 503, OCSP with tryLater, and
    /// ACME is not served
    #[arg(long)]
    no_issue: bool,
    #[command(flatten)]
    issuing: IssuingSecret,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let home = context.open()?;
    let places = places(&args, &home.config().serve)?;
    // Looked at before anybody types a passphrase for what cannot be served.
    let host = own_host(&places, &home, &args, context)?;
    let (devices, own) = unlock(&args, &places, host, &home, context)?;
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
    if args.no_issue && sockets.remove("acme").is_some() {
        return Err(ServeError::AcmeWithoutKey);
    }
    let mut place = |face: &str, given: Option<SocketAddr>, configured: Option<SocketAddr>| {
        let socket = sockets.remove(face).map(Place::Socket);
        socket.or(given.or(configured).map(Place::Address))
    };
    let places = Places {
        page: place("page", args.page, serve.page),
        device: place("device", args.device, serve.device),
        status: place("status", args.status, serve.status),
        acme: place("acme", args.acme, serve.acme.filter(|_| !args.no_issue))
            .map(|place| acme_place(place, serve))
            .transpose()?,
    };
    match sockets.into_keys().next() {
        Some(name) => Err(ServeError::ForeignSocket(name)),
        None if places.are_none() && args.no_issue && serve.acme.is_some() => Err(ServeError::AcmeWithoutKey),
        None if places.are_none() => Err(ServeError::NoFace),
        None => Ok(places),
    }
}

/// Where ACME is served, and how it is called there.
fn acme_place(place: Place, serve: &Serve) -> Result<AcmePlace, ServeError> {
    let port = match &place {
        Place::Address(address) => address.port(),
        Place::Socket(socket) => socket.local_addr().map_or(443, |address| address.port()),
    };
    let authority = serve.acme_authority(port).ok_or(ServeError::NoAcmeHost)?;
    Ok(AcmePlace {
        place,
        origin: format!("https://{authority}"),
    })
}

/// The host that devices and servers know the service by, where it is for them: a server of the home that
/// has, or can get, a certificate.
fn own_host(places: &Places, home: &Home, args: &Args, context: &Context) -> Result<Option<Host>, Failure> {
    let serve = &home.config().serve;
    let of_devices = serve.device_host.as_ref().or(serve.host.as_ref());
    let of_servers = serve.acme_host.as_ref().or(of_devices);
    let authority = match (&places.device, &places.acme) {
        (None, None) => return Ok(None),
        (Some(_), None) => of_devices,
        (None, Some(_)) => of_servers,
        (Some(_), Some(_)) => {
            if let (Some(one), Some(other)) = (of_devices, of_servers)
                && one.host != other.host
            {
                return Err(ServeError::TwoHosts(one.host.clone(), other.host.clone()).into());
            }
            of_devices
        }
    };
    let host = authority.ok_or(ServeError::NoDeviceHost)?.host.clone();
    if home.servers().is_none() && !args.no_issue {
        let is_known = context.read(home)?.server(&host)?.is_some();
        return Err(ServeError::NoServersCa { host, is_known }.into());
    }
    Ok(Some(host))
}

/// Opens what is served with, and nothing else: the issuing key is not needed where servers alone are
/// served, nor that of the servers' CA where nobody is shown a certificate of it.
fn unlock(
    args: &Args,
    places: &Places,
    host: Option<Host>,
    home: &Home,
    context: &Context,
) -> Result<(Option<Devices>, Option<OwnHost>), Failure> {
    let own = |host: Option<Host>, servers, passphrase| {
        host.map(|host| OwnHost {
            host,
            servers,
            passphrase: Arc::new(passphrase),
        })
    };
    let is_for_devices = places.page.is_some() || places.device.is_some() || places.status.is_some();
    if let (false, false, Some(chain)) = (args.no_issue, is_for_devices, home.servers()) {
        let passphrase = args.issuing.passphrase(home, &context.ui)?;
        let servers = open_servers(home, chain.clone(), &passphrase)?;
        return Ok((None, own(host, Some(servers), passphrase)));
    }
    if host.is_none() && !args.no_issue {
        return Ok((Some(args.issuing.unlock(home, &context.ui)?), None));
    }
    if !args.no_issue {
        let Keyring {
            issuing,
            servers,
            passphrase,
        } = args.issuing.unlock_all(home, &context.ui)?;
        return Ok((Some(issuing), own(host, servers, passphrase)));
    }
    match host {
        None => Ok((None, None)),
        // The key of the face of devices is the home's, as all keys of servers.
        Some(host) => {
            let passphrase = args.issuing.passphrase(home, &context.ui)?;
            Ok((None, own(Some(host), None, passphrase)))
        }
    }
}
