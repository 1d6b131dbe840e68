use std::fmt;

use serde::Serialize;

use crate::consumer::{self, PinContext, PinFormat, ServerTrust, Target, Template};
use crate::home::Home;
use crate::model::server::Certifier;
use crate::model::{Host, PinSet, Server};
use crate::operate;

use super::config_server::{self, ServerArgs};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::words::Words;

/// Print a configuration: of a server that lets in devices only, or of an app that knows its server by its key
///
/// It is complete and right for this home: host, paths, pins, the header with the device's name (X-Client-Device), the networks of
/// allowed_networks in pki.toml. Comments say what a person must decide. A file of the home, templates/config/…, takes the place of
/// the template that is built in.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Servers:    nginx, haproxy, apache, envoy, node, caddy, aws-alb, aws-api-gateway
Apps:       android, ios, okhttp, trustkit, curl: the keys of their servers (pins)
Verifiers:  verify-node, verify-kotlin, verify-swift: of pins.jws, for pins over the air

Examples:
  pki config nginx api.acme.example > /etc/nginx/conf.d/api.conf
  pki config nginx api.acme.example chat.acme.example > /etc/nginx/conf.d/api.conf
  pki config node api.acme.example --cert $PWD/server.crt --key $PWD/server.key > server.mjs
  pki config haproxy api.acme.example --upstream http://127.0.0.1:8000
  pki config android > app/src/main/res/xml/network_security_config.xml")]
pub struct Args {
    /// Whom it is for
    #[arg(value_parser = Words::new(&Target::ALL, Target::word))]
    target: Target,
    /// Which server [default: the only one that there is]; of nginx, apache, haproxy, envoy, node and caddy
    /// also several
    #[arg(value_name = "HOST")]
    hosts: Vec<Host>,
    /// Print the template that is built in, to change it and put it into the home
    #[arg(long)]
    template: bool,
    /// The servers' certificates are of this PKI, and not of a public CA (apps) [default: as the ledger has it]
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
        Target::Verifier(verifier) => {
            let text = consumer::render_verifier(verifier, &template(&home, verifier.template())?)?;
            Ok((Vec::new(), text))
        }
    }
}

/// The text of a template: the home's own, or the one built in.
pub(super) fn template(home: &Home, built_in: Template) -> Result<String, Failure> {
    Ok(home.template(built_in.name, built_in.text)?)
}

/// The pins of one host, or of all, in the form that an app reads.
pub(super) fn app(
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
    let given = match target {
        Target::Server(_) => private_ca,
        Target::Pins(_) => args.server.given(),
        Target::Verifier(_) => args.server.given().or(private_ca),
    };
    if let Some(flag) = given {
        return Err(Failure::usage(format!("{flag} has no meaning for {target}")));
    }
    match target {
        Target::Server(server) => {
            config_server::refuse_what_makes_no_sense(server, &args.hosts, &args.server)
        }
        Target::Pins(_) | Target::Verifier(_) if args.hosts.len() > 1 => Err(Failure::usage(format!(
            "{target} takes one host, and {} are named",
            args.hosts.len()
        ))
        .hint("name one of them")),
        Target::Pins(_) | Target::Verifier(_) => Ok(()),
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

/// One of several hosts: a person chooses, a script is told what to do.
pub(super) fn choose_host(sets: &[PinSet], hint: &str, context: &Context) -> Result<Host, Failure> {
    let names: Vec<String> = sets.iter().map(|set| set.host.to_string()).collect();
    if context.ui.can_ask() {
        let choice = context.ui.choose("Which server?", &names)?;
        return Ok(sets[choice].host.clone());
    }
    Err(Failure::refused(format!("there are several servers: {}", names.join(", "))).hint(hint))
}

/// The pins of every host, as they were published last.
pub(super) fn published_pins(home: &Home) -> Result<Vec<PinSet>, Failure> {
    Ok(operate::published_pins(home)?.map_or(Vec::new(), |pins| pins.sets))
}
