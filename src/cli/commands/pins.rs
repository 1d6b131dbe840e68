//! `pki pins`: shows the pin sets of the servers, and plans a change of keys.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use clap::Subcommand;
use serde::Serialize;

use crate::ca::{self, CaError, NotFound, ServersError};
use crate::consumer::PinFormat;
use crate::home::Home;
use crate::model::text::quoted;
use crate::model::{Host, Pin, PinSet, Role, Server, Span, Time, counted};
use crate::publish::Pins;

use super::config;
use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::report::key_line;
use crate::cli::words::Words;

/// The pin sets that apps hold the servers to
#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[command(after_help = "\
Examples:
  pki pins show                                 what is published
  pki pins show api.acme.example --format json
  pki pins plan                                 what a rotation today would break, and from when on it would not")]
pub enum Verb {
    Show(ShowArgs),
    Plan(PlanArgs),
}

/// Show the published pin sets, or one of them in the form that an app wants
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki pins show
  pki pins show api.acme.example --format json
  pki pins show --format android > app/src/main/res/xml/network_security_config.xml")]
pub struct ShowArgs {
    /// Which server [default: all of them]
    host: Option<Host>,
    /// The form
    #[arg(long, value_parser = Words::new(&Format::ALL, Format::word))]
    format: Option<Format>,
}

/// Tell what a rotation today would break, from when on it would not, and what apps must have before
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki pins plan
  pki pins plan api.acme.example --json")]
pub struct PlanArgs {
    /// Which server [default: all of them]
    host: Option<Host>,
}

/// The forms of a pin set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Our own, as published.
    Json,
    /// As an app reads it.
    App(PinFormat),
}

impl Format {
    const ALL: [Self; 6] = [
        Self::Json,
        Self::App(PinFormat::Android),
        Self::App(PinFormat::Ios),
        Self::App(PinFormat::Okhttp),
        Self::App(PinFormat::Trustkit),
        Self::App(PinFormat::Curl),
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::App(format) => format.word(),
        }
    }
}

/// Not a form of a pin set.
#[derive(Debug, thiserror::Error)]
#[error("{} is none of {}", quoted(.0), Format::ALL.map(Format::word).join(", "))]
struct InvalidFormat(String);

impl FromStr for Format {
    type Err = InvalidFormat;

    fn from_str(text: &str) -> Result<Self, InvalidFormat> {
        let named = Self::ALL.into_iter().find(|format| format.word() == text);
        named.ok_or_else(|| InvalidFormat(text.to_owned()))
    }
}

pub fn run(verb: Verb, context: &Context) -> Result<Exit, Failure> {
    match verb {
        Verb::Show(args) => show(args, context),
        Verb::Plan(args) => plan(args, context),
    }
}

/// The published pin sets, all or those of one host.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    pins: Pins,
    /// The servers among them that are removed, and when their pins leave.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    removed: BTreeMap<Host, Time>,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for set in &self.pins.sets {
            let below = if set.include_subdomains {
                " and the hosts below"
            } else {
                ""
            };
            let leaves = self.removed.get(&set.host);
            match leaves {
                None => writeln!(f, "{}{below}, until {}", set.host, set.expires.date())?,
                Some(end) => {
                    writeln!(
                        f,
                        "{}{below}, removed: its pins leave on {}",
                        set.host,
                        end.date()
                    )?;
                }
            }
            for pinned in &set.pins {
                // Verifiers want a set to name a key in use and one in reserve, so a removed server's does.
                let role = leaves.map_or(pinned.role, |_| Role::Retiring);
                writeln!(f, "{}", key_line(role, pinned.pin, pinned.since))?;
            }
        }
        Ok(())
    }
}

/// The pin sets in the home's own publication, or the one of `host`.
fn published(home: &Home, host: Option<&Host>) -> Result<Pins, Failure> {
    let mut pins = ca::published_pins(home)?.ok_or_else(|| {
        Failure::new(Exit::Refused, "unpublished", "no pin sets are published")
            .hint("`pki server add HOST` takes a server in, `pki server import HOST --cert FILE` one that has its key already")
    })?;
    if let Some(host) = host {
        pins.sets.retain(|set| set.host == *host);
        if pins.sets.is_empty() {
            return Err(NotFound::Server(host.clone()).into());
        }
    }
    Ok(pins)
}

/// The servers that are removed and whose pins are still published, and when these leave.
fn removed(context: &Context) -> Result<BTreeMap<Host, Time>, Failure> {
    let home = context.open()?;
    let overlap = home.config().pin_overlap;
    let known = context.read(&home)?.known_servers()?;
    let staying = known.into_iter().filter_map(|server| {
        let until = server.stays_until(system_clock(), overlap)?;
        Some((server.host, until))
    });
    Ok(staying.collect())
}

fn show(args: ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let host = args.host.as_ref();
    let of_home = || -> Result<Pins, Failure> {
        let pins = published(&context.open()?, host)?;
        if pins.expires() < system_clock() {
            ui.warn(format!("the pin sets ended on {}", pins.expires()));
            ui.hint("run `pki publish`");
        }
        Ok(pins)
    };
    match args.format {
        Some(Format::App(format)) => drop(ui.out(config::app(format, host, false, context)?)?),
        Some(Format::Json) => drop(ui.out(String::from_utf8_lossy(&of_home()?.text()))?),
        None => {
            let pins = of_home()?;
            let until = pins.expires().date();
            ui.say(format!("pin sets {}, until {until}", pins.number));
            let removed = removed(context)?;
            ui.report(&Shown { pins, removed })?;
        }
    }
    Ok(Exit::Done)
}

/// What a rotation of each server would do.
#[derive(Debug, Serialize)]
struct Plan {
    now: Time,
    overlap_days: i64,
    servers: Vec<Outlook>,
}

/// What a rotation of one server would do.
#[derive(Debug, Serialize)]
struct Outlook {
    host: Host,
    active: Pin,
    active_since: Time,
    backup: Pin,
    /// Since when apps can know the backup key's pin, in whatever place they read.
    backup_published: Option<Time>,
    /// A place in which they cannot, because it could not be written since.
    #[serde(skip_serializing_if = "Option::is_none")]
    lacking: Option<String>,
    /// From when on a rotation locks out no app that has taken a pin set within the overlap.
    ready_from: Option<Time>,
    ready: bool,
    retiring: Vec<Leaving>,
    /// The end of the pin sets that are published.
    expires: Option<Time>,
}

#[derive(Debug, Serialize)]
struct Leaving {
    pin: Pin,
    leaves: Time,
}

impl Outlook {
    fn of(
        home: &Home,
        server: &Server,
        published: Option<&PinSet>,
        overlap: Span,
        now: Time,
    ) -> Result<Self, CaError> {
        let (known, lacking) = match ca::reserve_known(home, server) {
            Ok(known) => (known, None),
            Err(ServersError::PinNotEverywhere { place, .. }) => (None, Some(place.to_string())),
            Err(error) => return Err(error.into()),
        };
        let ready_from = known.map(|known| known + overlap);
        let retiring = server.keys().filter(|(role, _)| *role == Role::Retiring);
        Ok(Self {
            host: server.host.clone(),
            active: server.active.pin,
            active_since: server.active.since,
            backup: server.backup.pin,
            backup_published: known,
            lacking,
            ready_from,
            ready: ready_from.is_some_and(|from| from <= now),
            retiring: retiring
                .map(|(_, key)| Leaving {
                    pin: key.pin,
                    leaves: Server::leaves(key, overlap),
                })
                .filter(|leaving| now < leaving.leaves)
                .collect(),
            expires: published.map(|set| set.expires),
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let overlap = self.overlap_days;
        for outlook in &self.servers {
            let Outlook {
                host,
                active,
                active_since,
                backup,
                ..
            } = outlook;
            writeln!(f, "{host}")?;
            writeln!(f, "{}", key_line(Role::Active, *active, *active_since))?;
            let since = match (outlook.backup_published, &outlook.lacking) {
                (Some(at), _) => format!("published {}", at.date()),
                (None, Some(place)) => format!("not in {place}"),
                (None, None) => "never published".into(),
            };
            writeln!(f, "  {:<9} {backup}  {since}", Role::Backup.to_string())?;
            for Leaving { pin, leaves } in &outlook.retiring {
                let retiring = Role::Retiring.to_string();
                writeln!(f, "  {retiring:<9} {pin}  until {}", moment(*leaves, self.now))?;
            }
            match (outlook.backup_published, outlook.ready_from) {
                (Some(published), Some(from)) if outlook.ready => {
                    let oldest = self.now - Span::days(overlap);
                    writeln!(
                        f,
                        "  A rotation today breaks no app whose pins are of {} or later; it has\n  been safe since {}.",
                        oldest.date(),
                        moment(from, self.now)
                    )?;
                    writeln!(
                        f,
                        "  An app with the pins compiled in must have been built after {}.",
                        moment(published, self.now)
                    )?;
                }
                (Some(published), Some(from)) => {
                    let published = moment(published, self.now);
                    writeln!(
                        f,
                        "  A rotation today locks out every app whose pins are older than\n  {published}, and is refused before {}.",
                        moment(from, self.now)
                    )?;
                    writeln!(
                        f,
                        "  Until then every app must take a pin set made after {published}:\n  over the air, or built in (`pki pins show {host} --format …`) and shipped."
                    )?;
                }
                (None, _) | (_, None) if outlook.lacking.is_some() => {
                    writeln!(
                        f,
                        "  A rotation today locks out every app that reads there: that place could not\n  be written. `pki publish` tells what is wrong."
                    )?;
                }
                (None, _) | (_, None) => {
                    writeln!(
                        f,
                        "  A rotation today locks out every app: none can know the backup key.\n  Run `pki publish` first."
                    )?;
                }
            }
            writeln!(
                f,
                "  After a rotation the old pin stays in the set for {}: for that long\n  the server may still use the old key.",
                counted(overlap, "day")
            )?;
            if let Some(expires) = outlook.expires {
                writeln!(
                    f,
                    "  The published set ends on {}: apps that have no later one by then go\n  without pins, or refuse.",
                    expires.date()
                )?;
            }
        }
        Ok(())
    }
}

/// The day, and the time as well where that is today: on one day there is an earlier and a later.
fn moment(at: Time, now: Time) -> String {
    if at.date() == now.date() {
        at.to_string()
    } else {
        at.date()
    }
}

fn plan(args: PlanArgs, context: &Context) -> Result<Exit, Failure> {
    let home = context.open()?;
    let now = system_clock();
    let overlap = home.config().pin_overlap;
    let mut servers = context.read(&home)?.servers()?;
    if let Some(host) = &args.host {
        servers.retain(|server| server.host == *host);
        if servers.is_empty() {
            return Err(NotFound::Server(host.clone()).into());
        }
    }
    if servers.is_empty() {
        context.ui.say("there is no server");
        context.ui.hint("`pki server add HOST` takes one in, `pki server import HOST --cert FILE` one that has its key already");
    }
    let published = ca::published_pins(&home)?;
    let set = |host: &Host| {
        let mut sets = published.iter().flat_map(|pins| &pins.sets);
        sets.find(|set| set.host == *host)
    };
    let plan = Plan {
        now,
        overlap_days: overlap.as_seconds() / 86_400,
        servers: servers
            .iter()
            .map(|server| Outlook::of(&home, server, set(&server.host), overlap, now))
            .collect::<Result<_, _>>()?,
    };
    context.ui.report(&plan)?;
    Ok(Exit::Done)
}
