//! `pki audit verify`: the links of the ledger, and what publications have said of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::disk;
use crate::home::Home;
use crate::model::counted;
use crate::publish::{Checkpoint, End, History, Statement};
use crate::store::{Cursor, Reached, StoreError};
use crate::x509::Certificate;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Hold the ledger against these checkpoints: history.jsonl of a servers' half, or one of its lines.
    /// Given twice, the second must go on from the first
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// The root's certificate: verify the checkpoints by it, and look into no home but one that is named
    #[arg(long, value_name = "FILE", requires = "checkpoint")]
    root: Option<PathBuf>,
}

/// The longest certificate of a root, in octets.
const LONGEST_ROOT: u64 = 64 << 10;

pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    match args.checkpoint.as_slice() {
        [] => ledger(context),
        [file] => checkpoints(file, None, args.root.as_deref(), context),
        [older, newer] => checkpoints(older, Some(newer), args.root.as_deref(), context),
        _ => Err(Failure::usage(
            "--checkpoint is for one file, or for two of which the second goes on from the first",
        )),
    }
}

#[derive(Debug, Serialize)]
struct Verified {
    good: bool,
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            None => writeln!(f, "{}, every link holds", counted(self.events, "event")),
            Some(problem) => writeln!(f, "{problem}"),
        }
    }
}

/// Verifies the ledger link by link.
fn ledger(context: &Context) -> Result<Exit, Failure> {
    let home = context.open_despite_config()?;
    let mut events = 0;
    let outcome = home.read().map_err(Failure::from).and_then(|store| {
        Ok(store.events(Cursor::START, &mut |_| {
            events += 1;
            Ok::<(), StoreError>(())
        })?)
    });
    let problem = match outcome {
        Ok(Reached { is_torn: false, .. }) => None,
        Ok(Reached { is_torn: true, .. }) => Some(format!(
            "{} good; what follows was never acknowledged (the next command that changes something moves it aside)",
            match events {
                1 => "1 event is".to_owned(),
                more => format!("{more} events are"),
            }
        )),
        Err(failure) => Some(finding(failure)?),
    };
    let exit = if problem.is_none() {
        Exit::Done
    } else {
        Exit::Found
    };
    if problem.is_some() {
        context
            .ui
            .hint("restore ledger.jsonl from a backup, unless this is a torn end");
    }
    context.ui.report(&Verified {
        good: problem.is_none(),
        events,
        problem,
    })?;
    Ok(exit)
}

/// What a failure says that is a finding of the ledger.
fn finding(failure: Failure) -> Result<String, Failure> {
    match failure.code {
        "ledger-damaged" | "events-missing" | "mixed" => Ok(failure.message),
        _ => Err(failure),
    }
}

#[derive(Debug, Serialize)]
struct Held {
    good: bool,
    /// How many checkpoints there are in all files.
    checkpoints: usize,
    /// The events that the last one stands for.
    events: u64,
    /// Whether a ledger was held against them.
    ledger: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(problem) = &self.problem else {
            let count = counted(self.checkpoints, "checkpoint");
            let events = counted(self.events, "event");
            let held = if self.ledger {
                ", and the ledger has what each says"
            } else {
                ""
            };
            return writeln!(f, "{count} of {events}, signed and in order{held}");
        };
        writeln!(f, "{problem}")
    }
}

/// Verifies checkpoints by their signatures, against each other, and against a ledger where one is at hand.
fn checkpoints(
    file: &Path,
    newer: Option<&PathBuf>,
    root: Option<&Path>,
    context: &Context,
) -> Result<Exit, Failure> {
    let is_named =
        context.home.is_some() || std::env::var_os("PKI_HOME").is_some_and(|home| !home.is_empty());
    let home = match root {
        Some(_) if !is_named => None,
        Some(_) | None => Some(context.open_despite_config()?),
    };
    let root = match (root, &home) {
        (Some(path), _) => read_root(path)?,
        (None, Some(home)) => home.chain().root().clone(),
        (None, None) => {
            return Err(Failure::usage(
                "--root FILE says by which root the checkpoints are verified",
            ));
        }
    };
    let mut held = Held {
        good: true,
        checkpoints: 0,
        events: 0,
        ledger: home.is_some(),
        problem: None,
    };
    let files = std::iter::once(file).chain(newer.map(PathBuf::as_path));
    let mut histories: Vec<(&Path, History)> = Vec::new();
    for path in files {
        match signed(path, &root)? {
            Ok(history) => histories.push((path, history)),
            Err(problem) => held.problem = held.problem.or(Some(problem)),
        }
    }
    held.checkpoints = histories.iter().map(|(_, history)| history.lines().len()).sum();
    held.events = histories
        .iter()
        .filter_map(|(_, history)| Some(history.last()?.end.events))
        .max()
        .unwrap_or(0);
    if let (None, [(older, before), (newer, after)]) = (&held.problem, histories.as_slice()) {
        held.problem = gap((older, before), (newer, after));
    }
    if let (None, Some(home)) = (&held.problem, &home) {
        held.problem = difference(home, &histories).or_else(|failure| finding(failure).map(Some))?;
    }
    held.good = held.problem.is_none();
    let exit = if held.good { Exit::Done } else { Exit::Found };
    context.ui.report(&held)?;
    Ok(exit)
}

fn read_root(path: &Path) -> Result<Certificate, Failure> {
    let text = disk::read_given(path, LONGEST_ROOT)?;
    Certificate::only_in(&text).map_err(|why| {
        Failure::refused(format!("{}: {why}", path.display()))
            .hint("name the root's certificate: ca/root.crt of a publication")
    })
}

/// The checkpoints in a file, where each is signed by a CA of the root; or in words why not.
fn signed(path: &Path, root: &Certificate) -> Result<Result<History, String>, Failure> {
    let octets = disk::read_given(path, History::LONGEST)?;
    let place = path.display();
    let history = match History::read(&octets) {
        Ok(history) => history,
        Err(why) => return Ok(Err(format!("{place}: {why}"))),
    };
    for (i, line) in history.lines().iter().enumerate() {
        if let Err(why) = Statement::of_root(Checkpoint::TYPE, line.jws.as_bytes(), root) {
            return Ok(Err(format!("{place}: line {}: {why}", i + 1)));
        }
    }
    Ok(Ok(history))
}

/// Why the later history does not go on from the earlier one, where it does not.
fn gap((older, before): (&Path, &History), (newer, after): (&Path, &History)) -> Option<String> {
    let (Some(last), Some(latest)) = (before.last(), after.last()) else {
        return None;
    };
    let (older, newer) = (older.display(), newer.display());
    if last.home != latest.home {
        return Some(format!("{newer} is of another PKI's ledger than {older}"));
    }
    (!after.continues(last.end)).then(|| {
        format!("{newer} does not go on from event {}, with which {older} ends: the ledger was set back, or is another", last.end.events)
    })
}

/// What a ledger has otherwise than the checkpoints say, where there is something.
fn difference(home: &Home, histories: &[(&Path, History)]) -> Result<Option<String>, Failure> {
    let mut ends: BTreeMap<u64, Vec<(&Path, &Checkpoint)>> = BTreeMap::new();
    for (path, history) in histories {
        // What was cited is of a ledger that this one has taken the place of.
        let lines = history.lines();
        let settled = lines.iter().rposition(|line| line.checkpoint.cites.is_some());
        for line in lines.iter().skip(settled.unwrap_or(0)) {
            let Checkpoint {
                end: End { events, .. },
                ..
            } = line.checkpoint;
            ends.entry(events).or_default().push((path, &line.checkpoint));
        }
    }
    let (mut first, mut last, mut problem) = (None, 0, None);
    home.follow_chain(Cursor::START, &mut |linked| {
        last = linked.event.seq;
        let first = *first.get_or_insert(linked.sha256);
        for (path, checkpoint) in ends.remove(&last).unwrap_or_default() {
            let place = path.display();
            if checkpoint.home != first {
                problem.get_or_insert_with(|| format!("{place} is of another PKI's ledger"));
            } else if checkpoint.end.head != linked.sha256 {
                problem.get_or_insert_with(|| {
                    let [was, is] = [checkpoint.end.head, linked.sha256].map(|hash| HEXLOWER.encode(&hash));
                    format!("event {last} is not what it was by {place}: its hash was {was}, and is {is}")
                });
            }
        }
        Ok(())
    })?;
    let beyond = ends
        .into_iter()
        .next()
        .and_then(|(events, files)| Some((events, *files.first()?)));
    Ok(problem.or_else(|| {
        let (events, (path, _)) = beyond?;
        let place = path.display();
        Some(format!(
            "the ledger ends at event {last}, and {place} tells of event {events}: events are missing"
        ))
    }))
}
