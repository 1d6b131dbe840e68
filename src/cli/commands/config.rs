//! `pki config`: prints the configuration of a server, an app or a timer for this home.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::consumer::{self, PinContext, PinFormat, ServerTrust, Target, TimerContext, TimerTarget};
use crate::disk;
use crate::home::Home;
use crate::home::config::PublishTo;
use crate::model::server::Certifier;
use crate::model::{Host, PinSet, Server};
use crate::publish::Location;

use super::config_material::{choose_host, published_pins, template, whereabouts};
use super::config_server::{self, ServerArgs};
use super::init::crontab_line;
use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::in_shell;
use crate::cli::words::Words;

/// Print a configuration: of a server that lets in devices only, an app that knows its server by its key, or
/// the timer
///
/// It is complete and right for this home: host, paths, pins, the header with the device's name
/// (X-Client-Device), the networks of allowed_networks in pki.toml. Comments say what a person must decide. A
/// file of the home, templates/config/…, takes the place of the template that is built in.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Servers:    nginx, haproxy, apache, envoy, node, caddy, aws-alb, aws-api-gateway
Services:   freeradius (or wifi), mosquitto (or mqtt), postgresql (or psql), openvpn (or vpn)
Apps:       android, ios, okhttp, trustkit, curl: the keys of their servers (pins)
Verifiers:  verify-node, verify-kotlin, verify-swift: of pins.jws, for pins over the air
Requests:   requests-node lets in what a device has signed; requests-js, requests-kotlin and
            requests-swift sign, as `pki sign-request` does
Timers:     systemd (a script that writes the units), cron (a file for /etc/cron.d): what renews the CRLs

Examples:
  pki config nginx api.acme.example > /etc/nginx/conf.d/api.conf
  pki config nginx api.acme.example chat.acme.example > /etc/nginx/conf.d/api.conf
  pki config node api.acme.example --cert $PWD/server.crt --key $PWD/server.key > server.mjs
  pki config haproxy api.acme.example --upstream http://127.0.0.1:8000
  pki config requests-node api.acme.example > requests.mjs
  pki config systemd > units.sh && sudo sh units.sh
  pki config android > app/src/main/res/xml/network_security_config.xml")]
pub struct Args {
    /// Whom it is for
    #[arg(value_parser = Words::new(&Target::ALL, Target::word))]
    target: Target,
    /// Which server [default: the only one that there is]; of nginx, apache, haproxy, envoy, node, caddy and
    /// requests-node also several
    #[arg(value_name = "HOST")]
    hosts: Vec<Host>,
    /// Print the template that is built in, to change it and put it into the home
    #[arg(long)]
    template: bool,
    /// A unit that is reloaded after a publication (systemd, cron); several times for several [default:
    /// nginx.service]
    #[arg(long, value_name = "UNIT", value_parser = unit)]
    reload: Vec<String>,
    /// A unit that is restarted after a publication, in place of a reload: FreeRADIUS reads nothing new
    /// otherwise
    #[arg(long, value_name = "UNIT", value_parser = unit)]
    restart: Vec<String>,
    /// The servers' certificates are of this PKI, and not of a public CA (apps) [default: as the ledger has
    /// it]
    #[arg(long)]
    private_ca: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// What was asked for.
#[derive(Debug, Serialize)]
struct Configuration {
    target: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Host>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<Host>,
    configuration: String,
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.configuration)
    }
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    refuse_what_has_no_meaning(&args)?;
    let target = args.target;
    let (hosts, configuration) = if args.template {
        (Vec::new(), target.template().text.to_owned())
    } else {
        printed(args, context)?
    };
    context.ui.report(&Configuration {
        target: target.word(),
        host: match &hosts[..] {
            [one] => Some(one.clone()),
            _ => None,
        },
        hosts,
        configuration,
    })?;
    Ok(Exit::Done)
}

/// The hosts that a configuration is for, and its text.
fn printed(args: Args, context: &Context) -> Result<(Vec<Host>, String), Failure> {
    let home = context.open()?;
    match args.target {
        Target::Server(target) => {
            config_server::configuration(target, args.hosts, args.server, &home, context)
        }
        Target::Pins(format) => {
            let text = app(format, args.hosts.first(), args.private_ca, context)?;
            Ok((args.hosts, text))
        }
        Target::App(code) => {
            let text = consumer::render_app_code(code, &template(&home, code.template())?)?;
            Ok((Vec::new(), text))
        }
        Target::Timer(timer) => Ok((Vec::new(), timer_text(timer, &args, &home)?)),
    }
}

/// The text of the timer that runs `pki publish` for this home, by the account that owns it.
fn timer_text(target: TimerTarget, args: &Args, home: &Home) -> Result<String, Failure> {
    let (program, place) = whereabouts(home)?;
    let owner = std::fs::metadata(&place)
        .map_err(disk::failed("examined", &place))?
        .uid();
    let publish = &home.config().publish;
    let directories = |target: &PublishTo| -> Vec<PathBuf> {
        let directories = target.places().filter_map(Location::directory);
        directories.map(Path::to_owned).collect()
    };
    // The last two directories of a place are made where they are missing.
    let above = |path: PathBuf| match path.parent() {
        Some(above) if above.parent().is_some() => above.to_owned(),
        Some(_) | None => path,
    };
    let mut writable: Vec<PathBuf> = publish.iter().flat_map(directories).map(above).collect();
    writable.sort();
    writable.dedup();
    let told_by_nobody = publish.iter().filter(|target| target.command.is_none());
    let mut read: Vec<PathBuf> = told_by_nobody.flat_map(directories).collect();
    if publish.is_empty() {
        read.extend(["public", "server"].map(|half| place.join(half)));
    }
    let manifests: Vec<PathBuf> = read.iter().map(|half| half.join("manifest.json")).collect();
    let usual = ["nginx.service".to_owned()];
    let about = TimerContext {
        user: &user(owner, target, (&program, &place))?,
        program: &program,
        home: &place,
        writable: &writable.iter().map(PathBuf::as_path).collect::<Vec<_>>(),
        manifests: &manifests.iter().map(PathBuf::as_path).collect::<Vec<_>>(),
        reload: match args.reload.is_empty() && args.restart.is_empty() {
            true => &usual,
            false => &args.reload,
        },
        restart: &args.restart,
        network: publish
            .iter()
            .flat_map(PublishTo::places)
            .any(|place| place.directory().is_none()),
        commands: publish.iter().any(|target| target.command.is_some()),
    };
    Ok(consumer::render_timer(
        target,
        &template(home, target.template())?,
        &about,
    )?)
}

/// How an account is named in a timer: by its number where it has no name, or one that a unit would read as
/// something else.
fn user(uid: u32, target: TimerTarget, (program, home): (&Path, &Path)) -> Result<String, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.@-".contains(c);
    let name = disk::account(uid).filter(|name| !name.starts_with('-') && name.chars().all(plain));
    match (name, target) {
        (Some(name), _) => Ok(name),
        (None, TimerTarget::Systemd) => Ok(uid.to_string()),
        (None, TimerTarget::Cron) => Err(Failure::refused(format!(
            "uid {uid} has no name that a file in /etc/cron.d can say"
        ))
        .hint(format!(
            "`pki config systemd` can; or put this line into that account's own crontab: {}",
            crontab_line(&format!(
                "{} --home {}",
                in_shell(&program.display().to_string()),
                in_shell(&home.display().to_string())
            ))
        ))),
    }
}

/// The name of a unit, with nothing in it that a shell or systemd would take for something else.
fn unit(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ":_.@-".contains(c);
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err("it must be the name of a unit, such as nginx.service".into())
}

/// The pins of one host, or of all, in the form that an app reads.
pub(in crate::cli) fn app(
    format: PinFormat,
    host: Option<&Host>,
    private_ca: bool,
    context: &Context,
) -> Result<String, Failure> {
    let home = context.open()?;
    let sets = chosen_sets(format, host, published_pins(&home)?, context)?;
    let certified_here = |server: &Server| {
        sets.iter().any(|set| set.host == server.host) && server.certifier() == Some(Certifier::Own)
    };
    let private = private_ca || context.read(&home)?.servers()?.iter().any(certified_here);
    let about = PinContext {
        sets: &sets,
        trust: if private {
            ServerTrust::Private
        } else {
            ServerTrust::Public
        },
        root: &home.chain().root().pem(),
    };
    Ok(consumer::render_pins(
        format,
        &template(&home, format.template())?,
        &about,
    )?)
}

/// A flag that would change nothing is a misunderstanding, and so is a host that has no room.
fn refuse_what_has_no_meaning(args: &Args) -> Result<(), Failure> {
    let target = args.target;
    let private_ca = args.private_ca.then_some("--private-ca");
    let reload = (!args.reload.is_empty()).then_some("--reload");
    let reload = reload.or((!args.restart.is_empty()).then_some("--restart"));
    let given = match target {
        Target::Server(_) => private_ca.or(reload),
        Target::Pins(_) => args.server.given().next().or(reload),
        Target::App(_) => args.server.given().next().or(private_ca).or(reload),
        Target::Timer(_) => args.server.given().next().or(private_ca),
    };
    if let Some(flag) = given {
        return Err(Failure::usage(format!("{flag} has no meaning for {target}")));
    }
    match target {
        Target::Server(server) => {
            config_server::refuse_what_makes_no_sense(server, &args.hosts, &args.server)
        }
        Target::Pins(_) | Target::App(_) if args.hosts.len() > 1 => Err(Failure::usage(format!(
            "{target} takes one host, and {} are named",
            args.hosts.len()
        ))
        .hint("name one of them")),
        Target::Timer(_) if !args.hosts.is_empty() => Err(Failure::usage(format!(
            "{target} is for this home, and takes no host"
        ))),
        Target::Pins(_) | Target::App(_) | Target::Timer(_) => Ok(()),
    }
}

/// The pin sets that are meant: those of one host, or, where the form has room for them, of all.
fn chosen_sets(
    format: PinFormat,
    host: Option<&Host>,
    sets: Vec<PinSet>,
    context: &Context,
) -> Result<Vec<PinSet>, Failure> {
    let add = |host: &str| {
        format!(
            "`pki server add {host}` makes its key, one in reserve, and their pins; \
             `pki server import {host} --cert FILE` pins the key that it has"
        )
    };
    let only = match (host, format) {
        (Some(host), _) => host.clone(),
        (None, _) if sets.is_empty() => {
            return Err(Failure::refused("there are no pins: no server is known").hint(add("HOST")));
        }
        (None, PinFormat::Curl) if sets.len() > 1 => choose_host(&sets, "name one of them", context)?,
        (
            None,
            PinFormat::Android | PinFormat::Ios | PinFormat::Okhttp | PinFormat::Trustkit | PinFormat::Curl,
        ) => {
            return Ok(sets);
        }
    };
    let chosen: Vec<PinSet> = sets.into_iter().filter(|set| set.host == only).collect();
    if chosen.is_empty() {
        return Err(
            Failure::new(Exit::Refused, "unknown", format!("there are no pins of {only}"))
                .hint(add(&only.to_string())),
        );
    }
    Ok(chosen)
}
