//! Completes names that the home knows, for a shell: the scripts of `pki completions` ask for them at each
//! TAB.
//!
//! The name of an argument's value decides what it is completed with: a new command whose argument is a HOST
//! is completed as the others are. It needs no key and no lock, and a home that cannot be read, or not at
//! once, has nothing to offer.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, Command};

use super::context::{earliest, home_path};
use super::error::{Exit, Failure};
use super::streams;
use crate::ca;
use crate::home::Home;
use crate::model::{Address, Record, Status};
use crate::store::Store;

/// What a home can tell the names of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Devices by their addresses; of people, where these are meant by a name alone.
    Devices,
    /// Employees.
    People,
    /// Servers.
    Hosts,
    /// Profiles.
    Profiles,
}

/// Whether the value of this argument is a name that the home knows.
pub fn is_known(arg: &Arg) -> bool {
    kind(arg).is_some()
}

fn kind(arg: &Arg) -> Option<Kind> {
    // What is typed once more in confirmation is typed.
    if !arg.get_action().takes_values() || arg.get_id() == "confirm" {
        return None;
    }
    let id = arg.get_id().as_str().to_uppercase();
    let names = arg.get_value_names().unwrap_or_default();
    let name = names.first().map_or(id.as_str(), |name| name.as_str());
    name.split('|').find_map(|name| match name {
        "ADDRESS" => Some(Kind::Devices),
        "EMPLOYEE" => Some(Kind::People),
        "HOST" => Some(Kind::Hosts),
        "PROFILE" => Some(Kind::Profiles),
        _ => None,
    })
}

/// What is being typed.
struct Typed<'a> {
    /// The command that it belongs to, as it stands.
    command: Command,
    /// The verbs that led there.
    verbs: Vec<&'a str>,
    /// Its argument there.
    arg: Arg,
    /// Its beginning.
    begins: &'a str,
    /// The home, where the line names one.
    home: Option<&'a str>,
    /// Whether the name of a command could stand there, too.
    may_be_verb: bool,
}

impl<'a> Typed<'a> {
    /// Reads a command line as far as it goes. None where its last word is a flag, or nothing that there is.
    fn read(root: Command, words: &'a [String]) -> Option<Self> {
        let (last, before) = words.split_last()?;
        let mut command = root;
        let (mut verbs, mut home, mut place, mut owed) = (Vec::new(), None, 0, None::<Arg>);
        for word in before {
            // bash makes a word of its own of each =.
            if owed.is_some() && word == "=" {
                continue;
            }
            if let Some(arg) = owed.take() {
                if arg.get_id() == "home" {
                    home = Some(word.as_str());
                }
            } else if let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty()) {
                let (name, value) = flag.split_once('=').map_or((flag, None), |(n, v)| (n, Some(v)));
                let arg = flag_of(&command, name).filter(|arg| arg.get_action().takes_values());
                match (arg, value) {
                    (Some(arg), Some(value)) if arg.get_id() == "home" => home = Some(value),
                    (arg, None) => owed = arg.cloned(),
                    (_, Some(_)) => {}
                }
            } else if let Some(verb) = command.find_subcommand(word).filter(|_| place == 0) {
                verbs.push(word.as_str());
                command = verb.clone();
            } else {
                place += 1;
            }
        }
        let last = last.as_str();
        let (arg, begins) = match (owed, last.split_once('=')) {
            (Some(arg), _) => (arg, last.trim_start_matches('=')),
            (None, Some((flag, begins))) if flag.starts_with('-') => {
                (flag_of(&command, &flag[1..])?.clone(), begins)
            }
            _ if last.starts_with('-') => return None,
            _ => {
                let places: Vec<&Arg> = command.get_positionals().collect();
                let several = |arg: &&&Arg| arg.get_num_args().is_some_and(|n| n.max_values() > 1);
                let arg = places.get(place).or(places.last().filter(several))?;
                ((*arg).clone(), last)
            }
        };
        let may_be_verb = place == 0 && arg.is_positional() && command.has_subcommands();
        Some(Self {
            command,
            verbs,
            arg,
            begins,
            home,
            may_be_verb,
        })
    }
}

/// The argument of a flag, without its first hyphen.
fn flag_of<'a>(command: &'a Command, flag: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| match flag.strip_prefix('-') {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short() == flag.chars().last(),
    })
}

/// Prints what the home knows for the last of these words, which stand behind `pki` in a command line. Exit
/// code 0: there is what is printed, and nothing else. 1: the home has nothing to do with this word.
pub fn run(words: &[OsString]) -> Exit {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut root = super::command();
    root.build();
    let Some((typed, kind)) =
        Typed::read(root, &words).and_then(|typed| kind(&typed.arg).map(|kind| (typed, kind)))
    else {
        return Exit::Refused;
    };
    // A line that is being typed is no place for messages: the command itself will say what is wrong.
    let mut names = known(&typed, kind).unwrap_or_default();
    if typed.may_be_verb {
        names.extend(
            typed
                .command
                .get_subcommands()
                .map(|verb| verb.get_name().to_owned()),
        );
    }
    names.retain(|name| name.starts_with(typed.begins));
    // A file's name may stand there as well.
    let mut takes = typed.arg.get_value_names().unwrap_or_default().iter();
    if names.is_empty() && takes.any(|name| name.split('|').any(|name| name == "FILE")) {
        return Exit::Refused;
    }
    let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
    // A shell that has gone away wants nothing more.
    let _ = streams::write_out(&lines);
    Exit::Done
}

fn known(typed: &Typed<'_>, kind: Kind) -> Result<BTreeSet<String>, Failure> {
    let home = match typed.home {
        Some(path) => Home::open(&expanded(path))?,
        None => Home::open(&home_path(None)?)?,
    };
    if kind == Kind::Profiles {
        return Ok(home.profiles().into_iter().collect());
    }
    let Some(store) = home.glance()? else {
        return Ok(BTreeSet::new());
    };
    let verb = *typed.verbs.first().unwrap_or(&"");
    let by_name = ["list", "audit"].contains(&verb) && !typed.begins.contains('/');
    let words = |addresses: BTreeSet<Address>| addresses.iter().map(ToString::to_string).collect();
    let people = |addresses: BTreeSet<Address>| addresses.iter().map(|a| a.employee.to_string()).collect();
    Ok(match kind {
        // A server that is taken in has a name that nobody knows yet.
        Kind::Hosts if typed.verbs == ["server", "add"] => BTreeSet::new(),
        Kind::Hosts => store
            .servers()?
            .iter()
            .map(|server| server.host.to_string())
            .collect(),
        Kind::People => people(devices(typed, &store)?),
        Kind::Devices if by_name => people(devices(typed, &store)?),
        Kind::Devices | Kind::Profiles => words(devices(typed, &store)?),
    })
}

/// The devices with which this command has something to do, of those that begin so.
fn devices(typed: &Typed<'_>, store: &Store) -> Result<BTreeSet<Address>, Failure> {
    let now = earliest(store)?;
    let mut records = store.beginning(typed.begins)?;
    records.retain(|record| !record.address.is_reserved());
    let of = |is_meant: &dyn Fn(&Record) -> bool| -> BTreeSet<Address> {
        let meant = records.iter().filter(|record| is_meant(record));
        meant.map(|record| record.address.clone()).collect()
    };
    Ok(match *typed.verbs.first().unwrap_or(&"") {
        "revoke" | "offboard" => of(&|record| record.status(now).accepted()),
        "renew" => of(&|record| record.status(now) != Status::Revoked),
        "publish" => of(&ca::is_undecided),
        // Who has a good certificate gets no second one.
        "issue" => &of(&|_| true) - &of(&|record| record.status(now) == Status::Valid),
        _ => of(&|_| true),
    })
}

/// A path as a shell would hand it over.
fn expanded(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}
