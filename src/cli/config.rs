use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::PublishTo;
use crate::consumer::{
    self, PinContext, PinFormat, ServerContext, ServerTarget, ServerTrust, Target, Template, Upstream,
};
use crate::home::Home;
use crate::model::server::Certifier;
use crate::model::{Host, PinSet, Server};
use crate::operate;
use crate::publish::Location;

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
  pki config nginx api.acme.example > /etc/nginx/conf.d/pki.conf
  pki config node api.acme.example --cert $PWD/server.crt --key $PWD/server.key > server.mjs
  pki config haproxy api.acme.example --upstream http://127.0.0.1:8000
  pki config android > app/src/main/res/xml/network_security_config.xml")]
pub struct Args {
    /// Whom it is for
    #[arg(value_parser = Words::new(&Target::ALL, Target::word))]
    target: Target,
    /// Which server [default: the only one that there is]
    #[arg(value_name = "HOST")]
    host: Option<Host>,
    /// Print the template that is built in, to change it and put it into the home
    #[arg(long)]
    template: bool,
    /// The servers' certificates are of this PKI, and not of a public CA (apps) [default: as the ledger has it]
    #[arg(long)]
    private_ca: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// What the configuration of a server says beside its name.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Servers")]
struct ServerArgs {
    /// The port that it listens on [default: 443]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Its certificate, with the CA's below it [default: /etc/pki/HOST.crt]
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Its key [default: /etc/pki/HOST.key]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where the public half of the publication is there [default: as the first [[publish]] says, else /etc/pki/public]
    #[arg(long, value_name = "DIR")]
    public: Option<PathBuf>,
    /// Where the servers' half is there [default: as the first [[publish]] says, else /etc/pki/server]
    #[arg(long, value_name = "DIR")]
    server_dir: Option<PathBuf>,
    /// The application behind it [default: http://127.0.0.1:3000]
    #[arg(long, value_name = "URL")]
    upstream: Option<Upstream>,
}

/// What was asked for.
#[derive(Debug, Serialize)]
struct Configuration {
    target: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Host>,
    configuration: String,
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.configuration)
    }
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let host = args.host;
    refuse_what_has_no_meaning(args.target, &args.server, args.private_ca)?;
    if args.template {
        context.ui.report(&Configuration {
            target: args.target.word(),
            host: None,
            configuration: args.target.template().text.to_owned(),
        })?;
        return Ok(Exit::Done);
    }
    let home = context.open()?;
    let (host, configuration) = match args.target {
        Target::Server(target) => {
            let host = match host {
                Some(host) => host,
                None => only_host(target, &published_pins(&home)?, context)?,
            };
            let text = server(target, &host, args.server, &home)?;
            (Some(host), text)
        }
        Target::Pins(format) => {
            let text = app(format, host.as_ref(), args.private_ca, context)?;
            (host, text)
        }
        Target::Verifier(verifier) => (
            None,
            consumer::render_verifier(verifier, &template(&home, verifier.template())?)?,
        ),
    };
    context.ui.report(&Configuration {
        target: args.target.word(),
        host,
        configuration,
    })?;
    Ok(Exit::Done)
}

/// The text of a template: the home's own, or the one built in.
fn template(home: &Home, built_in: Template) -> Result<String, Failure> {
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

fn server(target: ServerTarget, host: &Host, args: ServerArgs, home: &Home) -> Result<String, Failure> {
    let config = home.config();
    let file = |ending: &str| PathBuf::from(format!("/etc/pki/{}.{ending}", host.file_stem()));
    // What a server reads is a directory; a bucket is for those who fetch.
    let first = |place: fn(&PublishTo) -> Option<&Location>| {
        let mut places = config.publish.iter().filter_map(place);
        places.find_map(|place| place.directory().map(Path::to_owned))
    };
    let public = args.public.or_else(|| first(|target| target.public.as_ref()));
    let server = args.server_dir.or_else(|| first(|target| target.server.as_ref()));
    let upstream = match args.upstream {
        Some(upstream) => upstream,
        None => "http://127.0.0.1:3000".parse().map_err(Failure::usage)?,
    };
    Ok(consumer::render_server(
        target,
        &template(home, target.template())?,
        &ServerContext {
            host,
            port: args.port.unwrap_or(443),
            certificate: &args.cert.unwrap_or_else(|| file("crt")),
            key: &args.key.unwrap_or_else(|| file("key")),
            public: &public.unwrap_or_else(|| "/etc/pki/public".into()),
            server: &server.unwrap_or_else(|| "/etc/pki/server".into()),
            upstream: &upstream,
            networks: &config.allowed_networks,
        },
    )?)
}

/// A flag that would change nothing is a misunderstanding.
fn refuse_what_has_no_meaning(target: Target, server: &ServerArgs, private_ca: bool) -> Result<(), Failure> {
    let of_servers = [
        ("--port", server.port.is_some()),
        ("--cert", server.cert.is_some()),
        ("--key", server.key.is_some()),
        ("--public", server.public.is_some()),
        ("--server-dir", server.server_dir.is_some()),
        ("--upstream", server.upstream.is_some()),
    ];
    let given = match target {
        Target::Server(_) => private_ca.then_some("--private-ca"),
        Target::Pins(_) => of_servers.iter().find(|(_, given)| *given).map(|(flag, _)| *flag),
        Target::Verifier(_) => of_servers
            .iter()
            .find(|(_, given)| *given)
            .map(|(flag, _)| *flag)
            .or(private_ca.then_some("--private-ca")),
    };
    match given {
        Some(flag) => Err(Failure::usage(format!("{flag} has no meaning for {target}"))),
        None => Ok(()),
    }
}

/// The host that is meant where none is named.
fn only_host(target: ServerTarget, sets: &[PinSet], context: &Context) -> Result<Host, Failure> {
    match sets {
        [one] => Ok(one.host.clone()),
        [] => Err(Failure::refused("it is not known which server this is for").hint(format!(
            "name it: `pki config {} api.acme.example`; one that `pki server add` knows need not be named",
            target.word()
        ))),
        several => choose_host(several, context),
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
        (None, PinFormat::Curl) if sets.len() > 1 => choose_host(&sets, context)?,
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

fn choose_host(sets: &[PinSet], context: &Context) -> Result<Host, Failure> {
    let names: Vec<String> = sets.iter().map(|set| set.host.to_string()).collect();
    if context.ui.can_ask() {
        let choice = context.ui.choose("Which server?", &names)?;
        return Ok(sets[choice].host.clone());
    }
    Err(Failure::refused(format!("there are several servers: {}", names.join(", "))).hint("name one of them"))
}

/// The pins of every host, as they were published last.
fn published_pins(home: &Home) -> Result<Vec<PinSet>, Failure> {
    Ok(operate::published_pins(home)?.map_or(Vec::new(), |pins| pins.sets))
}
