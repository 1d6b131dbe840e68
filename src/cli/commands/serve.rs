//! `pki serve`: the service by which devices enroll themselves.

use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{self, UnixDatagram};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use crate::ca::{CaError, Published};
use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::secrets::{IssuingSecret, Keyring};
use crate::cli::streams::line;
use crate::home::config::Serve;
use crate::issuer::Servers;
use crate::key::Passphrase;
use crate::model::Clock;
use crate::serve::{Aftermath, OwnHost, ServeError, Service};

/// How long the service waits for another pki on the same home: a phone waits for it meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serve the page by which devices enroll themselves, and EST by which they renew
///
/// Goes on until it is told to end (SIGTERM), with the issuing key open. Where it listens and what it is
/// called stands under [serve] in pki.toml.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki serve
  pki serve --page 127.0.0.1:8443 --device 0.0.0.0:8444 --passphrase-file /etc/pki/passphrase")]
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
    #[command(flatten)]
    issuing: IssuingSecret,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let home = context.open()?;
    let mut serve = home.config().serve.clone();
    serve.page = args.page.or(serve.page);
    serve.device = args.device.or(serve.device);
    serve.status = args.status.or(serve.status);
    let Keyring {
        issuing: devices,
        servers,
        passphrase,
    } = args.issuing.unlock_all(&home, &context.ui)?;
    let own = match (serve.device, servers) {
        (Some(_), Some(servers)) => own_host(&serve, servers, passphrase),
        (_, _) => None,
    };
    let mut desk = context.desk_of(home);
    desk.patience = PATIENCE;
    let service = Service {
        desk,
        devices,
        own,
        serve,
    };
    let listens = |face: &str, address: SocketAddr| line(&format!("pki: the {face} listens on {address}"));
    let telling = Telling::start(context.apart()).map_err(ServeError::Runtime)?;
    service.run(&listens, &notify, Box::new(telling))?;
    Ok(Exit::Done)
}

/// The host that devices know the service by.
fn own_host(serve: &Serve, servers: Servers, passphrase: Passphrase) -> Option<OwnHost> {
    let authority = serve.device_host.as_ref().or(serve.host.as_ref())?;
    Some(OwnHost {
        host: authority.host.clone(),
        servers,
        passphrase,
    })
}

/// Tells systemd that the service is there (sd_notify(3)), where systemd asks for it.
fn notify() {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let told = notify_socket(socket.as_bytes()).and_then(|address| {
        let ours = UnixDatagram::unbound()?;
        ours.send_to_addr(b"READY=1", &address)
    });
    if let Err(error) = told {
        line(&format!(
            "pki: systemd could not be told that the service is ready: {error}"
        ));
    }
}

/// An address of the file system, or, behind an `@`, an abstract one.
fn notify_socket(text: &[u8]) -> io::Result<net::SocketAddr> {
    match text.split_first() {
        #[cfg(target_os = "linux")]
        Some((b'@', name)) => {
            use std::os::linux::net::SocketAddrExt;
            net::SocketAddr::from_abstract_name(name)
        }
        Some(_) | None => net::SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(text)),
    }
}

/// Tells as every other command does, and runs the commands of `pki.toml`, which may take their time: in a
/// thread of its own.
struct Telling(Sender<Told>);

/// What is to be told.
enum Told {
    Published(Box<Published>, Clock),
    Failed(String, CaError),
}

impl Telling {
    fn start(context: Context) -> io::Result<Self> {
        let (sender, receiver) = channel();
        std::thread::Builder::new()
            .name("telling".into())
            .spawn(move || {
                for told in receiver {
                    match told {
                        Told::Published(published, clock) => {
                            context.tell_published(&published, clock);
                            context.run_commands();
                        }
                        Told::Failed(what, why) => {
                            let failure = Failure::from(why);
                            context.ui.warn(format!("{what}: {}", failure.message));
                            if let Some(hint) = failure.hint {
                                context.ui.hint(hint);
                            }
                        }
                    }
                }
            })?;
        Ok(Self(sender))
    }
}

impl Aftermath for Telling {
    fn published(&mut self, published: Box<Published>, clock: Clock) {
        // Where that thread has ended there is nobody to tell.
        let _ = self.0.send(Told::Published(published, clock));
    }

    fn failed(&mut self, what: &str, why: CaError) {
        let _ = self.0.send(Told::Failed(what.to_owned(), why));
    }
}
