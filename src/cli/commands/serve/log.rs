//! The log of the service, on stderr: a line for each event, in words or, with `--json`, in JSON. No secret
//! is in it, and no name of a person or device unless pki.toml asks for that.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use serde_json::json;

use crate::ca::{CaError, Published};
use crate::cli::context::Context;
use crate::cli::error::Failure;
use crate::cli::streams::{Level, entry, line};
use crate::model::{Clock, counted};
use crate::serve::{Aftermath, Outcome};

/// How many events wait to be written at most. Whoever reads the log may stop to do so, and a command of
/// `pki.toml` may take its time, while clients go on to ask.
const MOST_WAITING: usize = 100_000;

/// The log: what is told is written by a thread of its own, which runs the commands of `pki.toml` as well.
/// These may take their time.
#[derive(Clone)]
pub struct Log {
    sender: Sender<Told>,
    waiting: Arc<Waiting>,
    is_json: bool,
}

/// The events that are not written yet.
#[derive(Default)]
struct Waiting {
    count: AtomicUsize,
    /// How many more there were than may wait.
    lost: AtomicUsize,
}

impl Waiting {
    /// Whether one more may wait. Where it may not, it is counted as lost.
    fn admits(&self) -> bool {
        let more = |count| (count < MOST_WAITING).then_some(count + 1);
        let admitted = self
            .count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if admitted.is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        admitted.is_ok()
    }

    /// One less waits. How many were lost since this was asked for.
    fn taken(&self) -> usize {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.lost.swap(0, Ordering::Relaxed)
    }
}

/// What is to be told.
enum Told {
    Published(Box<Published>, Clock),
    Happened(Outcome),
    Failed(String, CaError),
    Warned(String),
}

impl Log {
    /// Begins.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub fn start(context: &Context, has_names: bool) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let is_json = context.ui.json;
        let waiting = Arc::new(Waiting::default());
        let writer = Writer {
            context: context.apart(),
            waiting: waiting.clone(),
            has_names,
        };
        std::thread::Builder::new().name("log".into()).spawn(move || {
            for told in receiver {
                writer.tell(told);
            }
        })?;
        Ok(Self {
            sender,
            waiting,
            is_json,
        })
    }

    /// A face is there.
    pub fn listens(&self, face: &str, address: SocketAddr) {
        match self.is_json {
            true => entry(
                Level::Info,
                "listens",
                json!({ "face": face, "address": address.to_string() }),
            ),
            false => line(&format!("pki: the {face} listens on {address}")),
        }
    }

    /// The service has ended, as it was told to.
    pub fn ended(&self) {
        match self.is_json {
            true => entry(Level::Info, "ended", json!({})),
            false => line("pki: the service has ended, as it was told to"),
        }
    }

    /// What came of telling systemd that the service is ready.
    pub fn tell_systemd(&self, told: io::Result<()>) {
        if let Err(why) = told {
            let message = format!("systemd could not be told that the service is ready: {why}");
            match self.is_json {
                true => entry(Level::Warning, "systemd", json!({ "message": message })),
                false => line(&format!("pki: {message}")),
            }
        }
    }
}

impl Aftermath for Log {
    fn published(&mut self, published: Box<Published>, clock: Clock) {
        // Where that thread has ended there is nobody to tell; so below.
        let _ = self.sender.send(Told::Published(published, clock));
    }

    fn happened(&mut self, outcome: Outcome) {
        if self.waiting.admits() {
            let _ = self.sender.send(Told::Happened(outcome));
        }
    }

    fn failed(&mut self, what: &str, why: CaError) {
        let _ = self.sender.send(Told::Failed(what.to_owned(), why));
    }

    fn warned(&mut self, message: &str) {
        let _ = self.sender.send(Told::Warned(message.to_owned()));
    }
}

struct Writer {
    context: Context,
    waiting: Arc<Waiting>,
    has_names: bool,
}

impl Writer {
    fn tell(&self, told: Told) {
        let ui = &self.context.ui;
        match told {
            Told::Published(published, clock) => {
                if ui.json {
                    entry(Level::Info, "published", json!({}));
                }
                self.context.tell_published(&published, clock);
                self.context.run_commands();
            }
            Told::Happened(mut outcome) => {
                let lost = self.waiting.taken();
                if lost > 0 {
                    ui.warn(format!(
                        "the log lacks {}, which came faster than they could be written; what was done is in the ledger",
                        counted(lost, "event")
                    ));
                }
                if !self.has_names {
                    outcome.device = None;
                    outcome.message = outcome.message.filter(|_| !outcome.has_names);
                }
                match ui.json {
                    true => entry(level_of(&outcome), outcome.event, &outcome),
                    false => ui.say(in_words(&outcome)),
                }
            }
            Told::Failed(what, why) => {
                let failure = Failure::from(why);
                ui.warn(format!("{what}: {}", failure.message));
                if let Some(hint) = failure.hint {
                    ui.hint(hint);
                }
            }
            Told::Warned(message) => ui.warn(message),
        }
    }
}

/// A second key for what was used may be a thief's, and so may be a second network.
fn level_of(outcome: &Outcome) -> Level {
    match outcome.event {
        "another-key" | "another-network" | "wrong-code" => Level::Warning,
        _ => Level::Info,
    }
}

fn of_server(outcome: &Outcome) -> String {
    let who = match (&outcome.host, &outcome.account) {
        (Some(host), Some(account)) => format!("{host} (account {account})"),
        _ => "a server".to_owned(),
    };
    let from = outcome.from.as_deref().unwrap_or("an unknown network");
    let serial = outcome
        .serial
        .map(|serial| serial.to_string())
        .unwrap_or_default();
    match (outcome.event, &outcome.message) {
        ("acme-bound", _) => format!("{who} from {from} is bound to its account"),
        ("acme-key-changed", _) => format!("{who} from {from} has changed the key of its account"),
        ("acme-deactivated", _) => format!("{who} from {from} has given its account up"),
        ("acme-certified", _) => format!("{who} from {from} is certified: {serial}"),
        ("acme-revoked", _) => format!("{who} from {from} has revoked {serial}"),
        (_, Some(message)) => format!("{who} from {from} was refused: {message}"),
        ("acme-refused", None) => {
            format!("{who} from {from} was refused: the key is a device's, or was one's")
        }
        (event, None) => format!("{who} from {from}: {event}"),
    }
}

fn in_words(outcome: &Outcome) -> String {
    if outcome.event.starts_with("acme-") {
        return of_server(outcome);
    }
    let who = match (&outcome.device, &outcome.invite, &outcome.shown) {
        (Some(device), _, _) => device.to_string(),
        (None, Some(invite), _) => format!("the device of the invite {invite}"),
        (None, None, Some(serial)) => format!("the device of the certificate {serial}"),
        (None, None, None) => "a device".to_owned(),
    };
    let from = outcome
        .from
        .as_ref()
        .map(|from| format!(" from {from}"))
        .unwrap_or_default();
    match (&outcome.serial, &outcome.message) {
        (Some(serial), _) if outcome.is_new() => format!("{who}{from} {}: {serial}", outcome.event),
        (Some(serial), _) if outcome.event == "another-network" => {
            format!("{who}{from} got the file that another network had got before: {serial}")
        }
        (Some(serial), _) => format!("{who}{from} got what it had got before: {serial}"),
        (None, Some(message)) => format!("{who}{from} got no certificate: {message}"),
        (None, None) => format!("{who}{from}: {}", outcome.event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_nobody_reads_takes_no_more_memory_and_says_what_it_lacks() {
        let waiting = Waiting::default();
        let admitted = (0..MOST_WAITING + 3).filter(|_| waiting.admits()).count();
        assert_eq!(admitted, MOST_WAITING);
        assert_eq!([waiting.taken(), waiting.taken()], [3, 0]);
        assert!(waiting.admits() && waiting.admits());
        assert!(!waiting.admits());
        assert_eq!(waiting.taken(), 1);
    }
}
