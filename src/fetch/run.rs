//! Runs a fetch from its beginning to its end: takes the lock, reads, verifies, installs, and runs the
//! command that follows a change.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::answer::{Answer, SourceError, Validator};
use super::continuity::still_lost;
use super::error::{Attempt, FetchError, Unfit};
use super::expiry;
use super::order::{Command, Fetched, Order, Stopped};
use super::place::{Place, Version};
use super::receive::{Announced, Received, whole};
use super::source::Source;
use super::state::{Seen, State};
use crate::disk::{self, Shown};
use crate::model::{Serial, Time};
use crate::publish::{LONGEST_MANIFEST, Manifest};
use crate::x509::Certificate;

/// How long a publication that is between two states is read again.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first pause before it is; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest root certificate.
const LONGEST_ROOT: u64 = 64 << 10;

/// Fetches a publication: what is installed afterwards has passed every check, or is what was installed
/// before.
///
/// # Errors
/// Where it cannot be read or breaks a rule. The command that an earlier change still waits for is run all
/// the same.
pub fn fetch(order: &Order<'_>) -> Result<Fetched, Stopped> {
    let root = root(order)?;
    let place = Place::open(order.out, order.wait, order.is_trial)?;
    let state = place.state()?;
    let mut run = Run {
        order,
        root,
        place,
        state,
        deadline: Instant::now() + order.timeout,
    };
    let outcome = run.bring();
    let endings = run.state.as_ref().map(|state| expiry::near(state, order.now));
    if let (Err(_), Some(mut state)) = (&outcome, run.state.clone().filter(|_| !order.is_trial))
        && run.is_settled(&state)
    {
        // The error is told; whether this worked is known by what is remembered.
        run.settle(&mut state);
    }
    outcome.map_err(|error| Stopped {
        error,
        endings: endings.unwrap_or_default(),
    })
}

/// A fetch at work.
pub(super) struct Run<'a> {
    pub order: &'a Order<'a>,
    pub root: Certificate,
    pub(super) place: Place,
    pub state: Option<State>,
    deadline: Instant,
}

impl Run<'_> {
    fn bring(&mut self) -> Result<Fetched, FetchError> {
        let out = || Shown(self.order.out.to_owned());
        if let Some(state) = &self.state {
            if state.root != HEXLOWER.encode(&self.root.sha256()) {
                return Err(FetchError::OtherRoot(out()));
            }
            if let Some(area) = self.order.area.filter(|area| *area != state.area) {
                return Err(FetchError::OtherArea {
                    out: out(),
                    holds: state.area,
                    wanted: area,
                });
            }
        }
        let Order {
            source, ca, resolve, ..
        } = self.order;
        let source =
            Source::open(source, *ca, resolve, self.deadline).map_err(|why| self.unavailable("", why))?;
        if !self.order.is_trial {
            let current = self.place.current()?;
            self.sweep(current.as_deref())?;
        }
        let begun = Instant::now();
        let mut pause = PAUSE;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.attempt(&source) {
                Ok(fetched) => return Ok(fetched),
                Err(Attempt::Over(error)) => return Err(error),
                Err(Attempt::Torn { file, why }) => {
                    let end = (begun + PATIENCE).min(self.deadline);
                    if Instant::now() + pause >= end {
                        return Err(FetchError::Torn { file, why, tries });
                    }
                    std::thread::sleep(pause);
                    pause *= 2;
                }
            }
        }
    }

    fn attempt(&mut self, source: &Source) -> Result<Fetched, Attempt> {
        let current = self.place.current()?;
        let current = current
            .map(|name| self.place.version(&name))
            .transpose()?
            .flatten();
        let intact = self
            .state
            .clone()
            .filter(|state| is_intact(state, current.as_ref()) && self.is_open(state, current.as_ref()));
        let at = self.order.source.to_string();
        let asked = intact.as_ref().filter(|state| state.source == at);
        let known = asked.and_then(|state| state.validator.clone());
        let answer = source.ask(Manifest::JWS, known.as_ref(), LONGEST_MANIFEST);
        let (jws, validator) = match answer.map_err(|why| self.unavailable(Manifest::JWS, why))? {
            Answer::Same => match intact {
                Some(state) => return Ok(self.same(current.as_ref(), state, known)?),
                None => return Err(self.unavailable(Manifest::JWS, SourceError::Status(304)).into()),
            },
            Answer::File {
                mut octets,
                validator,
            } => {
                let jws = whole(&mut *octets, LONGEST_MANIFEST);
                (
                    jws.map_err(|why| self.unavailable(Manifest::JWS, why))?,
                    validator,
                )
            }
        };
        let is_known = |current| has(current, Manifest::JWS, &jws);
        if let Some(state) = intact.filter(|_| current.as_ref().is_some_and(is_known)) {
            return Ok(self.same(current.as_ref(), state, validator)?);
        }
        let announced = self.announced(jws, validator)?;
        let group = self.order.group;
        let mut version = self
            .place
            .begin(announced.manifest.number, announced.manifest.area, group)?;
        let outcome = self.receive(source, current.as_ref(), &announced, &mut version);
        match outcome {
            Ok(received) => Ok(self.put(announced, &version, received)?),
            Err(error) => {
                // What stays is swept by the next fetch.
                let _ = self.place.discard(&version);
                Err(error)
            }
        }
    }

    /// Whether the installed files are open to their readers by now.
    fn is_open(&self, state: &State, current: Option<&Version>) -> bool {
        let (files, group) = (state.files.keys(), self.order.group);
        current.is_some_and(|current| self.place.is_open(current, files, state.area, group))
    }

    /// Puts a version in its place. First it is remembered, so that no older one is taken from then on,
    /// whenever this is killed.
    fn put(
        &mut self,
        announced: Announced,
        version: &Version,
        received: Received,
    ) -> Result<Fetched, FetchError> {
        let Received {
            changed,
            content,
            unproven,
            history,
        } = received;
        let manifest = &announced.manifest;
        let mut stamps = BTreeMap::new();
        for path in announced
            .files
            .iter()
            .copied()
            .chain([Manifest::JSON, Manifest::JWS])
        {
            stamps.extend(version.stamp(path).map(|stamp| (path.to_owned(), stamp)));
        }
        let old = self.state.as_ref();
        // What is gone from the publication may come back: the numbers that it had stay known.
        let mut gone = old.map(|old| old.gone.clone()).unwrap_or_default();
        for (name, crl) in old.iter().flat_map(|old| &old.crls) {
            gone.insert(name.clone(), crl.seen());
        }
        gone.retain(|name, _| !content.crls.contains_key(name));
        let since = old.filter(|old| old.valid_until == manifest.valid_until);
        let state = State {
            version: 1,
            area: manifest.area,
            root: HEXLOWER.encode(&self.root.sha256()),
            manifest: Seen {
                number: manifest.number,
                sha256: HEXLOWER.encode(&Sha256::digest(announced.statement.payload())),
            },
            crls: content.crls,
            gone,
            pins: content.pins.or_else(|| old?.pins.clone()),
            valid_until: manifest.valid_until,
            valid_since: since.map_or(manifest.made, |old| old.valid_since),
            directory: version.name.clone(),
            previous: self.previous(&announced)?,
            files: stamps,
            source: self.order.source.to_string(),
            validator: announced.validator,
            // Also where there is no command this time: whoever reads the files has not been told of them.
            exec_pending: !changed.is_empty() || old.is_some_and(|old| old.exec_pending),
            lost: unproven.lost.clone(),
            history,
        };
        if self.order.is_trial {
            self.place.discard(version)?;
            let fetched = Fetched::new(&state, changed, Command::NotRun, self.order.now);
            return Ok(Fetched { unproven, ..fetched });
        }
        self.place.save(&state)?;
        self.state = Some(state.clone());
        self.place.switch(version, manifest.area, self.order.group)?;
        // The new one is in place, whatever cannot be removed.
        let _ = self.sweep(Some(&version.name));
        let fetched = self.done(state, changed);
        Ok(Fetched { unproven, ..fetched })
    }

    /// Nothing has come since. What is in place may have ended meanwhile all the same.
    fn same(
        &mut self,
        current: Option<&Version>,
        mut state: State,
        validator: Option<Validator>,
    ) -> Result<Fetched, FetchError> {
        self.demand_signer(current)?;
        let end = expiry::first(&state);
        if end < self.order.now {
            return Err(self.refused(Manifest::JWS, Unfit::Ended(end)));
        }
        let was = state.clone();
        state.source = self.order.source.to_string();
        state.validator = validator;
        state.lost = self.lost();
        if state != was && !self.order.is_trial {
            self.place.save(&state)?;
        }
        Ok(self.done(state, Vec::new()))
    }

    fn done(&mut self, mut state: State, changed: Vec<String>) -> Fetched {
        let command = if self.order.is_trial {
            Command::NotRun
        } else {
            self.settle(&mut state)
        };
        Fetched::new(&state, changed, command, self.order.now)
    }

    /// Runs the command that follows a change, where that is still to be done.
    fn settle(&self, state: &mut State) -> Command {
        let Some(exec) = self.order.exec.filter(|_| state.exec_pending) else {
            return Command::NotRun;
        };
        let done = run_command(exec).and_then(|()| {
            state.exec_pending = false;
            self.place.save(state).map_err(|error| error.to_string())
        });
        match done {
            Ok(()) => Command::Done,
            Err(why) => Command::Failed(why),
        }
    }

    /// Whether what is remembered is what is in place.
    fn is_settled(&self, state: &State) -> bool {
        self.place
            .current()
            .is_ok_and(|current| current.as_ref() == Some(&state.directory))
    }

    /// The certificates that the home has lost, as far as is remembered: neither ended nor confirmed since.
    pub(super) fn lost(&self) -> BTreeMap<Serial, Time> {
        let mut lost = self
            .state
            .as_ref()
            .map(|state| state.lost.clone())
            .unwrap_or_default();
        lost.retain(|serial, end| still_lost(serial, *end, self.order.confirmed, self.order.now));
        lost
    }

    /// The name of the version that becomes the previous one: the one that the link leads to, if it exists,
    /// or else the last of the earlier versions that the new one was compared with.
    fn previous(&self, announced: &Announced) -> Result<Option<String>, FetchError> {
        if let Some(current) = self.place.current()?
            && self.place.version(&current)?.is_some()
        {
            return Ok(Some(current));
        }
        Ok(announced.old.last().map(str::to_owned))
    }

    fn sweep(&self, current: Option<&str>) -> Result<(), FetchError> {
        let state = self.state.as_ref();
        let last = state.map(|state| state.directory.as_str());
        let previous = state.and_then(|state| state.previous.as_deref());
        let keep: Vec<&str> = current.into_iter().chain(last).chain(previous).collect();
        Ok(self
            .place
            .sweep(&keep, state.map(|state| state.manifest.number))?)
    }

    pub(super) fn refused(&self, path: &str, why: Unfit) -> FetchError {
        FetchError::Refused {
            file: self.order.source.file(path),
            why,
        }
    }

    pub(super) fn unavailable(&self, path: &str, why: SourceError) -> FetchError {
        if let SourceError::Disk(error) = why {
            return FetchError::Directory(error);
        }
        FetchError::Source {
            file: self.order.source.file(path),
            why,
        }
    }
}

/// The root that was given: a CA's certificate that it signed itself, in date.
fn root(order: &Order<'_>) -> Result<Certificate, FetchError> {
    let path = || Shown(order.root.to_owned());
    let text = disk::read_given(order.root, LONGEST_ROOT)?;
    let root = Certificate::only_in(&text).map_err(|why| FetchError::Root { path: path(), why })?;
    let no_root = |why: String| FetchError::NoRoot { path: path(), why };
    if !root.is_ca() || !root.is_issued_by(&root) {
        return Err(no_root("no root: a root is a CA that has signed itself".into()));
    }
    let validity = root.validity();
    if order.now < validity.not_before || validity.not_after < order.now {
        return Err(no_root(format!(
            "good from {} to {}, and it is {}",
            validity.not_before, validity.not_after, order.now
        )));
    }
    Ok(root)
}

/// Whether the version that was installed last is still as it was then.
fn is_intact(state: &State, current: Option<&Version>) -> bool {
    current.is_some_and(|current| {
        current.name == state.directory
            && state
                .files
                .iter()
                .all(|(path, stamp)| current.stamp(path).as_ref() == Some(stamp))
    })
}

/// Whether a version has these octets as the file at this path.
fn has(version: &Version, path: &str, octets: &[u8]) -> bool {
    let mut there = Vec::new();
    let file = version.file(path).ok().flatten();
    let read = file.map(|file| file.take(LONGEST_MANIFEST).read_to_end(&mut there));
    read.is_some_and(|read| read.is_ok()) && there == octets
}

/// Has a shell run a command. What it says goes to stderr: stdout is for what was asked for.
///
/// # Errors
/// Where it cannot be started, or fails: in words.
pub fn run_command(command: &str) -> Result<(), String> {
    let status = std::process::Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::io::stderr()))
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(format!("sh could not be started: {error}")),
    }
}
