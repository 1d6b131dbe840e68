//! `pki serve`: the service by which devices enroll themselves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::ca::{self, CaError, NotFound, Published};
use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::secrets::{IssuingSecret, Keyring};
use crate::home::Home;
use crate::home::config::Serve;
use crate::issuer::Servers;
use crate::key::Passphrase;
use crate::model::Clock;
use crate::serve::{Aftermath, OwnKey, Service};

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
        (Some(_), Some(servers)) => own_key(&home, &serve, servers, &passphrase)?,
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
    let listens = |face: &str, address: SocketAddr| eprintln!("pki: the {face} listens on {address}");
    let context = context.apart();
    service.run(&listens, Box::new(Telling { context }))?;
    Ok(Exit::Done)
}

/// The active key of the host that devices know the service by.
fn own_key(
    home: &Home,
    serve: &Serve,
    servers: Servers,
    passphrase: &Passphrase,
) -> Result<Option<OwnKey>, Failure> {
    let Some(authority) = serve.device_host.as_ref().or(serve.host.as_ref()) else {
        return Ok(None);
    };
    let host = authority.host.clone();
    let Some(server) = home.read()?.server(&host)? else {
        return Err(NotFound::Server(host).into());
    };
    let key = ca::open_key(home, &host, server.active.pin, passphrase)?;
    Ok(Some(OwnKey {
        host,
        key: Arc::new(key),
        servers,
    }))
}

/// Tells as every other command does, and runs the commands of `pki.toml`.
struct Telling {
    context: Context,
}

impl Aftermath for Telling {
    fn published(&mut self, published: &Published, clock: Clock) {
        self.context.tell_published(published, clock);
        self.context.run_commands();
    }

    fn failed(&mut self, what: &str, why: CaError) {
        let failure = Failure::from(why);
        self.context.ui.warn(format!("{what}: {}", failure.message));
        if let Some(hint) = failure.hint {
            self.context.ui.hint(hint);
        }
    }
}
