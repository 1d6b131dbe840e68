//! `pki config` for a server: the hosts that are configured, and the paths of the files that the server reads
//! on its machine.

use std::path::{Path, PathBuf};

use crate::ca;
use crate::consumer::{self, HostContext, Part, ServerContext, ServerTarget, Upstream};
use crate::home::Home;
use crate::home::config::PublishTo;
use crate::model::{Host, PinSet};
use crate::publish::Location;

use super::config_material::{choose_host, published_pins, template, whereabouts};
use crate::cli::context::Context;
use crate::cli::error::Failure;

/// Where the halves of the publication are where nothing is said: as in the comments of `pki.toml`.
const PUBLIC: &str = "/etc/nginx/pki/public";
const SERVER: &str = "/etc/nginx/pki/server";

/// What the configuration of a server says beside its hosts.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Servers")]
pub struct ServerArgs {
    /// The port that it listens on [default: 443; of mosquitto 8883, of openvpn 1194]; of requests-node the
    /// one that clients ask for
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// A host's certificate, with the CA's below it; for several hosts once for each, in their order
    /// [default: /etc/pki/HOST.crt]
    #[arg(long, value_name = "FILE")]
    cert: Vec<PathBuf>,
    /// A host's key; for several hosts once for each, in their order [default: /etc/pki/HOST.key]
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Where the public half of the publication is there [default: as the first [[publish]] says, else
    /// /etc/nginx/pki/public]
    #[arg(long, value_name = "DIR")]
    public: Option<PathBuf>,
    /// Where the servers' half is there [default: as the first [[publish]] says, else
    /// /etc/nginx/pki/server]
    #[arg(long, value_name = "DIR")]
    server_dir: Option<PathBuf>,
    /// The application behind it; for several hosts one for all, or once for each, in their order [default:
    /// http://127.0.0.1:3000]
    #[arg(long, value_name = "URL")]
    upstream: Vec<Upstream>,
    /// Print what may be said once for all hosts of a server, and need not be said (nginx)
    #[arg(long)]
    shared: bool,
}

impl ServerArgs {
    /// The flags that were given.
    pub fn given(&self) -> impl Iterator<Item = &'static str> {
        let flags = [
            ("--port", self.port.is_some()),
            ("--cert", !self.cert.is_empty()),
            ("--key", !self.key.is_empty()),
            ("--public", self.public.is_some()),
            ("--server-dir", self.server_dir.is_some()),
            ("--upstream", !self.upstream.is_empty()),
            ("--shared", self.shared),
        ];
        flags
            .into_iter()
            .filter_map(|(flag, given)| given.then_some(flag))
    }
}

/// Refuses flags that have no meaning for this kind of server. It is called before there is a home.
pub fn refuse_what_makes_no_sense(
    target: ServerTarget,
    hosts: &[Host],
    args: &ServerArgs,
) -> Result<(), Failure> {
    let word = target.word();
    if let Some(flag) = args
        .given()
        .find(|flag| target.meaningless_flags().contains(flag))
    {
        return Err(Failure::usage(format!("{flag} has no meaning for {word}")));
    }
    if args.shared {
        if !target.has_shared_part() {
            return Err(Failure::usage(format!("--shared has no meaning for {word}"))
                .hint("the configuration of its hosts is the whole"));
        }
        let of_a_host = [
            ("--cert", args.cert.is_empty()),
            ("--key", args.key.is_empty()),
            ("--upstream", args.upstream.is_empty()),
        ];
        if let Some((flag, _)) = of_a_host.iter().find(|(_, absent)| !absent) {
            return Err(Failure::usage(format!(
                "{flag} is a host's, and --shared is no host's"
            )));
        }
        if !hosts.is_empty() {
            return Err(Failure::usage("--shared is no host's").hint(format!(
                "print the hosts without it, and beside them `pki config {word} --shared`"
            )));
        }
    }
    if hosts.len() > 1 && !target.takes_several_hosts() {
        return Err(Failure::usage(format!(
            "{word} is told of one host at a time, and {} are named",
            hosts.len()
        ))
        .hint("run the command once for each"));
    }
    // The other one would be a file that nobody has named, and that goes with another certificate.
    let alone = match (&args.cert[..], &args.key[..]) {
        ([_, ..], []) => Some(("--cert", "--key")),
        ([], [_, ..]) => Some(("--key", "--cert")),
        _ => None,
    };
    if let Some((given, missing)) = alone {
        return Err(
            Failure::usage(format!("{given} is given without {missing}")).hint(format!(
                "say where both are, with {missing} FILE; without either each host has /etc/pki/HOST.crt and \
                 /etc/pki/HOST.key"
            )),
        );
    }
    match hosts
        .iter()
        .enumerate()
        .find(|(at, host)| hosts[..*at].contains(host))
    {
        Some((_, twice)) => {
            Err(Failure::usage(format!("{twice} is named twice")).hint("name each host once"))
        }
        None => Ok(()),
    }
}

/// The hosts that a configuration was printed for, and its text.
pub fn configuration(
    target: ServerTarget,
    hosts: Vec<Host>,
    args: ServerArgs,
    home: &Home,
    context: &Context,
) -> Result<(Vec<Host>, String), Failure> {
    let hosts = match hosts {
        some if !some.is_empty() || args.shared => some,
        _none => vec![only_host(target, &published_pins(home)?, context)?],
    };
    let own = own_values(&hosts, &args)?;
    let contexts: Vec<HostContext<'_>> = hosts
        .iter()
        .zip(&own)
        .map(|(host, own)| HostContext {
            host,
            certificate: &own.certificate,
            key: &own.key,
            upstream: &own.upstream,
        })
        .collect();
    let config = home.config();
    // What a server reads is a directory; a bucket is for those who fetch.
    let first = |place: fn(&PublishTo) -> Option<&Location>| {
        let mut places = config.publish.iter().filter_map(place);
        places.find_map(|place| place.directory().map(Path::to_owned))
    };
    let public = args.public.or_else(|| first(|target| target.public.as_ref()));
    let server = args.server_dir.or_else(|| first(|target| target.server.as_ref()));
    let mut supposed: Vec<&str> = [(&public, PUBLIC), (&server, SERVER)]
        .into_iter()
        .filter_map(|(known, usual)| known.is_none().then_some(usual))
        .collect();
    let (program, place) = whereabouts(home)?;
    let text = consumer::render_server(
        target,
        &template(home, target.template())?,
        &ServerContext {
            part: if args.shared {
                Part::Shared
            } else {
                Part::Hosts(&contexts)
            },
            port: args.port.unwrap_or(target.default_port()),
            public: &public.unwrap_or_else(|| PUBLIC.into()),
            server: &server.unwrap_or_else(|| SERVER.into()),
            short_lists: ca::has_short_lists(home)?,
            networks: &config.allowed_networks,
            program: &program,
            home: &place,
        },
    )?;
    // Not every server reads both.
    supposed.retain(|directory| text.contains(directory));
    tell_supposed(target, &supposed, context);
    Ok((hosts, text))
}

/// Warns of the directories that the configuration names and nothing is known to write to: a server would not
/// start with them, or not see who is locked out.
fn tell_supposed(target: ServerTarget, supposed: &[&str], context: &Context) {
    if supposed.is_empty() {
        return;
    }
    context.ui.warn(format!(
        "no [[publish]] in pki.toml names a directory for what it reads: it says {}, where perhaps nothing is",
        supposed.join(" and ")
    ));
    let (halves, flags) = match target.meaningless_flags().contains(&"--server-dir") {
        true => ("`public`", "--public DIR"),
        false => ("`public` and `server`", "--public DIR --server-dir DIR"),
    };
    context.ui.hint(format!(
        "add a [[publish]] with {halves} to pki.toml, then run `pki publish`; for a machine that runs `pki fetch`, or has them elsewhere, \
         say where: {flags}"
    ));
}

/// What one host has for itself.
struct Own {
    certificate: PathBuf,
    key: PathBuf,
    upstream: Upstream,
}

fn own_values(hosts: &[Host], args: &ServerArgs) -> Result<Vec<Own>, Failure> {
    let counted = |flag: &str, given: usize, without: &str| {
        if [0, hosts.len()].contains(&given) {
            return Ok(());
        }
        let times = match given {
            1 => "once".to_owned(),
            more => format!("{more} times"),
        };
        let there = match hosts.len() {
            1 => "there is 1 host".to_owned(),
            more => format!("there are {more} hosts"),
        };
        Err(
            Failure::usage(format!("{flag} is given {times}, and {there}")).hint(format!(
                "give it once for each host, in the order of the hosts; without it, {without}"
            )),
        )
    };
    counted("--cert", args.cert.len(), "each host has /etc/pki/HOST.crt")?;
    counted("--key", args.key.len(), "each host has /etc/pki/HOST.key")?;
    // One application may well answer for all.
    if args.upstream.len() != 1 {
        counted(
            "--upstream",
            args.upstream.len(),
            "it is http://127.0.0.1:3000 for all",
        )?;
    }
    let default: Upstream = "http://127.0.0.1:3000".parse().map_err(Failure::usage)?;
    let own = hosts.iter().enumerate().map(|(at, host)| {
        let file = |ending: &str| PathBuf::from(format!("/etc/pki/{}.{ending}", host.file_stem()));
        let upstream = args.upstream.get(at).or(args.upstream.first());
        Own {
            certificate: args.cert.get(at).cloned().unwrap_or_else(|| file("crt")),
            key: args.key.get(at).cloned().unwrap_or_else(|| file("key")),
            upstream: upstream.unwrap_or(&default).clone(),
        }
    });
    Ok(own.collect())
}

/// The host that is meant where none is named.
fn only_host(target: ServerTarget, sets: &[PinSet], context: &Context) -> Result<Host, Failure> {
    let word = target.word();
    match sets {
        [one] => Ok(one.host.clone()),
        [] => Err(Failure::refused("it is not known which server this is for").hint(format!(
            "name it: `pki config {word} api.acme.example`; one that `pki server add` knows need not be named"
        ))),
        [first, second, ..] if target.takes_several_hosts() => choose_host(
            sets,
            &format!(
                "name one of them, or several: `pki config {word} {} {}`",
                first.host, second.host
            ),
            context,
        ),
        several => choose_host(several, "name one of them", context),
    }
}
