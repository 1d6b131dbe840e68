//! The clerk: the one thread that changes the home. He takes what waits, takes the home's lock, decides, has
//! it signed and recorded at once, and answers. So many phones cost one wait for the disk, and nothing is
//! decided by what another is about to change.

mod acme;
mod faults;
mod refusals;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::health::Part;
use super::metrics::Counted;
use super::monitor::Monitor;
use super::outcome::Outcome;
use super::own::{Configs, Own, OwnHost};
use super::pace::Pace;
use super::shared_keys::SharedKeys;
use super::{Aftermath, ServeError};
use crate::ca::{
    self, AcmeDenial, AcmeDone, AcmeRequest, Attempt, CaError, ClockPolicy, Denial, Desk, Keys, Refresh,
};
use crate::issuer::Devices;
use crate::model::Host;
use crate::model::counted;
use crate::model::event::Issued;
use crate::model::fault::{Fault, Kind};
use crate::store::Store;
use faults::Faults;
use refusals::Refusals;

pub use faults::Found;

/// How many may wait at once; more are told to come again.
const WAITING: usize = 1024;
/// How many are taken at once: not all that 64 connections can bring, so that the doors read the next ones
/// while these are signed, and the threads that sign verify them while these are written down.
const BATCH: usize = 32;
/// How long new certificates wait for their publication, so that one publication does for many.
const GATHERING: Duration = Duration::from_secs(2);
/// How long until a publication that failed is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// How long he is waited for in the end.
const ENDED: Duration = Duration::from_secs(10);
/// How long anybody waits for an answer.
const ANSWERED: Duration = Duration::from_secs(30);
/// How often it is looked whether something follows from the time alone.
const UPKEEP: Duration = Duration::from_secs(60);

/// The answer to an attempt: a certificate, or why there is none.
pub type Answer = Result<Issued, Refusal>;

/// The reason for which there is no certificate.
#[derive(Debug)]
pub enum Refusal<D = Denial> {
    /// Whoever asks may not have one.
    Denied(D),
    /// The service cannot do it now: come again.
    Unavailable,
    /// Nothing is issued on this machine.
    Elsewhere,
}

/// What somebody waits for at the counter.
enum Waiting {
    /// A certificate.
    Certificate(Attempt, oneshot::Sender<Answer>),
    /// The shared key of the device that has shown a certificate.
    SharedKey(AskedKey, oneshot::Sender<KeyAnswer>),
    /// What a server asks for by ACME.
    Acme(AskedAcme, oneshot::Sender<AcmeAnswer>),
    /// Nothing: a door has refused somebody, and that is to be told.
    Refused(Box<Outcome>, Told),
    /// Nothing: a door has found a fault of this machine, and that is to be told.
    Found(Box<Found>, Told),
}

/// A refusal or fault that waits to be told; it makes room for another one when it is dropped.
struct Told(Arc<AtomicUsize>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many refusals and faults wait to be told at most: they take no place from whoever waits for an answer.
const REFUSALS: usize = 64;

/// What a server asks for by ACME.
pub struct AskedAcme {
    /// What it asks for, verified by the door.
    pub request: AcmeRequest,
    /// The network that it asks from.
    pub from: String,
}

/// The answer to that.
pub type AcmeAnswer = Result<AcmeDone, Refusal<AcmeDenial>>;

/// A shared key that is asked for.
pub struct AskedKey {
    /// The certificate, DER, whose key the device has proved to have.
    pub certificate: Vec<u8>,
    /// The host that the key is for.
    pub host: Host,
    /// The network that it asks from.
    pub from: String,
}

/// The answer to that: the file with the key, or why there is none.
pub type KeyAnswer = Result<Zeroizing<String>, Refusal>;

/// The clerk at work.
pub struct Clerk {
    thread: JoinHandle<()>,
    counter: Counter,
    own_tls: Option<Configs>,
    gone: Option<oneshot::Receiver<()>>,
}

/// A way to the clerk, for a door.
#[derive(Clone)]
pub struct Counter {
    sender: SyncSender<Waiting>,
    monitor: Arc<Monitor>,
    /// The refusals and faults that wait to be told.
    refusals: Arc<AtomicUsize>,
}

impl Counter {
    /// Hands in what a device asks for, and waits for the answer.
    pub async fn enroll(&self, attempt: Attempt) -> Answer {
        let _inside = self.monitor.metrics.waiting.enter();
        self.ask(|answer| Waiting::Certificate(attempt, answer)).await
    }

    /// Asks for a shared key, and waits for the answer.
    pub async fn shared_key(&self, asked: AskedKey) -> KeyAnswer {
        let _inside = self.monitor.metrics.waiting.enter();
        self.ask(|answer| Waiting::SharedKey(asked, answer)).await
    }

    /// Hands in what a server asks for by ACME, and waits for the answer.
    pub async fn acme(&self, asked: AskedAcme) -> AcmeAnswer {
        let _inside = self.monitor.metrics.waiting.enter();
        self.ask(|answer| Waiting::Acme(asked, answer)).await
    }

    /// Has it told that a door has refused somebody. Where the clerk has too much to do that is not told.
    pub fn tell(&self, refused: Outcome) {
        self.hand_over(|told| Waiting::Refused(Box::new(refused), told));
    }

    /// Has it told that a door has found a fault of this machine. Where the clerk has too much to do that is
    /// not told, until somebody asks again.
    pub fn found(&self, found: Found) {
        self.hand_over(|told| Waiting::Found(Box::new(found), told));
    }

    fn hand_over(&self, made: impl FnOnce(Told) -> Waiting) {
        let told = Told(self.refusals.clone());
        if self.refusals.fetch_add(1, Ordering::Relaxed) < REFUSALS {
            let _ = self.sender.try_send(made(told));
        }
    }

    async fn ask<T, D>(
        &self,
        made: impl FnOnce(oneshot::Sender<Result<T, Refusal<D>>>) -> Waiting,
    ) -> Result<T, Refusal<D>> {
        let (answer, answered) = oneshot::channel();
        match self.sender.try_send(made(answer)) {
            Ok(()) => match tokio::time::timeout(ANSWERED, answered).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) | Err(_) => Err(Refusal::Unavailable),
            },
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Refusal::Unavailable),
        }
    }
}

impl Clerk {
    /// Reads the whole ledger, and begins.
    ///
    /// # Errors
    /// Where the ledger cannot be read, or there is no thread to be had.
    pub fn start(
        desk: Arc<Desk>,
        devices: Option<Arc<Devices>>,
        own: Option<OwnHost>,
        monitor: Arc<Monitor>,
        aftermath: Box<dyn Aftermath>,
    ) -> Result<Self, ServeError> {
        let store = desk.home.resident().map_err(CaError::from)?;
        let own = own.map(|own| Own::open(own, &desk, &store)).transpose()?;
        let (sender, receiver) = sync_channel(WAITING);
        let mut work = Work {
            desk,
            devices,
            store,
            own,
            monitor: monitor.clone(),
            aftermath,
            shared_keys: SharedKeys::default(),
            refusals: Refusals::default(),
            faults: Faults::default(),
            due: None,
            tended: Instant::now(),
            pace: Pace::begin(monitor.now()),
        };
        // What servers know and this ledger has lost is taken in before anybody is answered, and a home that
        // may be a copy, or a clock in doubt, is refused here.
        work.refresh()?;
        if work.certifies_servers_alone() {
            work.look()?;
        }
        let own_tls = work.certify()?;
        work.tell_what_ends();
        let (here, gone) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("clerk".into())
            .spawn(move || {
                // Dropped when he ends, however that comes.
                let _here: oneshot::Sender<()> = here;
                work.until_all_is_done(&receiver);
            })
            .map_err(ServeError::Runtime)?;
        Ok(Self {
            thread,
            counter: Counter {
                sender,
                monitor,
                refusals: Arc::default(),
            },
            own_tls,
            gone: Some(gone),
        })
    }

    /// Resolves when he has ended, which he does before the service only by a fault of ours.
    pub fn gone(&mut self) -> impl Future<Output = ()> + use<> {
        let gone = self.gone.take();
        async move {
            match gone {
                Some(gone) => {
                    let _ = gone.await;
                }
                None => std::future::pending().await,
            }
        }
    }

    /// How the faces are encrypted that show the home's own certificate, where there is to be one. He keeps
    /// it up to date.
    pub fn own_tls(&self) -> Option<Configs> {
        self.own_tls.clone()
    }

    /// A way to him, for a door.
    pub fn counter(&self) -> Counter {
        self.counter.clone()
    }

    /// Waits until he has answered everybody who can still ask, and published what he issued.
    pub fn finish(self) {
        drop(self.counter);
        let begun = Instant::now();
        while !self.thread.is_finished() && begun.elapsed() < ENDED {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

struct Work {
    desk: Arc<Desk>,
    /// What signs; none where nothing is issued on this machine.
    devices: Option<Arc<Devices>>,
    store: Store,
    own: Option<Own>,
    monitor: Arc<Monitor>,
    aftermath: Box<dyn Aftermath>,
    /// What shared keys are made of, where any is asked for.
    shared_keys: SharedKeys,
    /// What the log was told in this minute.
    refusals: Refusals,
    faults: Faults,
    /// When new certificates are to be published, where there are any.
    due: Option<Instant>,
    /// When it was last looked whether something follows from the time alone.
    tended: Instant,
    /// How the clock goes.
    pace: Pace,
}

impl Work {
    fn until_all_is_done(mut self, receiver: &Receiver<Waiting>) {
        loop {
            let soon = self.due.unwrap_or_else(|| self.tended + UPKEEP);
            let patience = soon.saturating_duration_since(Instant::now());
            match receiver.recv_timeout(patience) {
                Ok(first) => {
                    let rest = std::iter::from_fn(|| receiver.try_recv().ok());
                    let batch = std::iter::once(first).chain(rest.take(BATCH - 1)).collect();
                    self.serve(batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.due.is_some_and(|due| due <= Instant::now()) {
                match self.is_steady() {
                    true => self.publish(),
                    false => self.due = Some(Instant::now() + AGAIN),
                }
            }
            if self.tended.elapsed() >= UPKEEP {
                self.tend();
            }
            self.desk.home.give_way();
        }
        if self.due.is_some() && self.is_steady() {
            self.publish();
        }
    }

    /// Whether the clock can be believed. Nobody is here who would notice that it was moved, and what is
    /// signed or recorded by a wrong one stands in the way of the right time.
    fn is_steady(&mut self) -> bool {
        // The machine may have slept between two looks at its clocks, so that one look proves nothing.
        let is_steady = (0..2).any(|_| self.pace.is_steady(self.monitor.now()));
        match is_steady {
            true => self.monitor.health.well(Part::Clock),
            false => {
                let message = "the clock was moved by more than ten minutes: nothing is signed until it is right again, or has gone on for an hour, or the service is started anew";
                self.monitor.health.troubled(Part::Clock, true, message);
            }
        }
        is_steady
    }

    /// Decides about all of them in one session, and answers.
    fn serve(&mut self, batch: Vec<Waiting>) {
        let (mut attempts, mut ways, mut orders) = (Vec::new(), Vec::new(), Vec::new());
        for waiting in batch {
            match waiting {
                Waiting::Certificate(attempt, way) => {
                    attempts.push(attempt);
                    ways.push(way);
                }
                Waiting::SharedKey(asked, way) => {
                    let answer = self.hand_out(&asked);
                    let _ = way.send(answer);
                }
                Waiting::Acme(asked, way) => orders.push((asked, way)),
                Waiting::Refused(outcome, _told) => {
                    self.monitor.metrics.count(Counted::Attempt(outcome.event));
                    if self.refusals.admits(&outcome) {
                        self.aftermath.happened(*outcome);
                    }
                }
                Waiting::Found(found, _told) => self.found(*found),
            }
        }
        if !orders.is_empty() {
            self.serve_acme(orders);
        }
        if attempts.is_empty() {
            return;
        }
        let answers = match self.devices.clone() {
            Some(devices) if self.is_steady() => self.decide_all(&devices, &attempts),
            Some(_) => attempts.iter().map(|_| Err(Refusal::Unavailable)).collect(),
            None => attempts.iter().map(|_| Err(Refusal::Elsewhere)).collect(),
        };
        for (way, answer) in ways.into_iter().zip(answers) {
            // Who has hung up asks again, and gets the same.
            let _ = way.send(answer);
        }
    }

    /// Hands out a shared key, where this machine issues.
    fn hand_out(&mut self, asked: &AskedKey) -> KeyAnswer {
        if self.devices.is_none() {
            return Err(Refusal::Elsewhere);
        }
        if !self.is_steady() {
            return Err(Refusal::Unavailable);
        }
        match self
            .shared_keys
            .hand_out(&self.desk, &mut self.store, self.own.as_ref(), asked)
        {
            Ok(answer) => {
                self.aftermath.happened(Outcome::of_key(asked, &answer));
                answer.map(|shown| shown.file).map_err(Refusal::Denied)
            }
            Err(why) => {
                self.aftermath.failed("no shared key was handed out", why);
                Err(Refusal::Unavailable)
            }
        }
    }

    fn decide_all(&mut self, devices: &Devices, attempts: &[Attempt]) -> Vec<Answer> {
        match self.decide(devices, attempts) {
            Ok(answers) => answers,
            // What one of them asks for may be what cannot be done; the others are not to pay for it.
            // A home that is busy is busy for each of them.
            Err(why) if attempts.len() > 1 && why.kind() != Kind::Busy => {
                let each = attempts.iter().map(std::slice::from_ref);
                each.flat_map(|one| {
                    self.desk.home.give_way();
                    match self.decide(devices, one) {
                        Ok(answers) => answers,
                        Err(why) => self.unable(why, one),
                    }
                })
                .collect()
            }
            Err(why) => self.unable(why, attempts),
        }
    }

    fn unable(&mut self, why: CaError, attempts: &[Attempt]) -> Vec<Answer> {
        self.monitor
            .health
            .troubled(Part::Enrolling, true, why.to_string());
        self.aftermath.failed("nobody was enrolled", why);
        attempts.iter().map(|_| Err(Refusal::Unavailable)).collect()
    }

    fn decide(&mut self, devices: &Devices, attempts: &[Attempt]) -> Result<Vec<Answer>, CaError> {
        let mut session = self.desk.turn(&mut self.store, ClockPolicy::Strict)?;
        let before = session.store.seq();
        let answers = ca::enroll(&mut session, devices, attempts);
        if session.store.seq() != before && self.desk.home.config().publish_on_issue {
            self.due.get_or_insert_with(|| Instant::now() + GATHERING);
        }
        drop(session);
        let answers = answers?;
        self.monitor.health.well(Part::Enrolling);
        for (attempt, answer) in attempts.iter().zip(&answers) {
            let outcome = Outcome::of(attempt, answer);
            self.monitor.metrics.count(Counted::Attempt(outcome.event));
            self.aftermath.happened(outcome);
        }
        let answers = answers.into_iter();
        Ok(answers
            .map(|answer| answer.map(|granted| granted.issued).map_err(Refusal::Denied))
            .collect())
    }

    /// Does what follows from the time alone: a CRL that is due, the service's own certificate, a key that an
    /// operator has taken into use.
    fn tend(&mut self) {
        self.tended = Instant::now();
        self.tell_what_was_too_much();
        if !self.is_steady() {
            return self.tell_what_ends();
        }
        if let Err(why) = self.certify() {
            self.aftermath
                .failed("the service goes on with the certificate that it has", why);
        }
        if self.devices.is_some() {
            self.tend_home();
        } else if self.certifies_servers_alone() {
            self.judge_home();
        }
        self.tell_what_ends();
    }

    /// Says how many refusals the log has not been told of, and begins the next minute.
    fn tell_what_was_too_much(&mut self) {
        self.faults.begin_anew();
        let untold = self.refusals.begin_anew();
        if untold > 0 {
            self.aftermath.warned(&format!(
                "the log lacks {} of servers in the last minute: it tells ten of each account and network, and the metrics count all",
                counted(untold, "refusal")
            ));
        }
    }

    /// Whether servers are certified here, and no device is.
    fn certifies_servers_alone(&self) -> bool {
        self.devices.is_none() && self.own.as_ref().and_then(Own::servers).is_some()
    }

    /// Says whether the home can be changed now.
    fn judge_home(&mut self) {
        match self.look() {
            Ok(()) => self.monitor.health.well(Part::Enrolling),
            Err(why) => self
                .monitor
                .health
                .troubled(Part::Enrolling, true, why.to_string()),
        }
    }

    /// Does what the issuing CA's key is needed for.
    fn tend_home(&mut self) {
        self.judge_home();
        if let Err(why) = self.end_handouts() {
            self.aftermath
                .failed("a bundle that nobody has fetched in time is not taken back", why);
        }
        // Who leaves publishing to `pki publish` has it run by a timer.
        if self.desk.home.config().publish_on_issue {
            self.publish();
        }
    }

    /// Tells of certificates that end before long.
    fn tell_what_ends(&mut self) {
        for message in self.monitor.health.to_tell(self.monitor.now()) {
            self.aftermath.warned(&message);
        }
    }

    /// Looks whether the home could be changed now.
    fn look(&mut self) -> Result<(), CaError> {
        self.desk.turn(&mut self.store, ClockPolicy::Strict).map(drop)
    }

    /// Sees to it that the service's own key, where it has one, has a certificate that is good for long.
    fn certify(&mut self) -> Result<Option<Configs>, CaError> {
        let Some(own) = &mut self.own else {
            return Ok(None);
        };
        self.store.catch_up()?;
        own.follow(&self.desk, &self.store)?;
        let current = own.certify(&self.desk, &mut self.store)?;
        if let Some(validity) = own.validity() {
            self.monitor.health.shows(Part::DeviceCertificate, validity);
        }
        Ok(Some(current))
    }

    /// Ends what nobody has fetched in time, also where somebody else publishes.
    fn end_handouts(&mut self) -> Result<(), CaError> {
        let mut session = self.desk.turn(&mut self.store, ClockPolicy::Strict)?;
        ca::end_handouts(&mut session)
    }

    /// Brings what was issued to the servers.
    fn publish(&mut self) {
        self.due = None;
        let trouble = match self.refresh() {
            Ok(true) => {
                self.monitor.health.well(Part::Publishing);
                return;
            }
            Ok(false) => "a place of the publication could not be written".to_owned(),
            Err(why) => {
                let message = why.to_string();
                self.aftermath.failed("what was issued is not published", why);
                message
            }
        };
        self.monitor.health.troubled(Part::Publishing, false, trouble);
        // It is tried again before long.
        self.due = Some(Instant::now() + AGAIN);
    }

    /// Publishes what has changed, and says whether all of it went out.
    fn refresh(&mut self) -> Result<bool, CaError> {
        let Some(devices) = &self.devices else {
            return Ok(true);
        };
        let mut session = self.desk.turn(&mut self.store, ClockPolicy::Strict)?;
        let clock = session.clock;
        let keys = Keys {
            issuing: Some(devices),
            servers: self.own.as_ref().and_then(Own::servers),
        };
        let refreshed = ca::refresh(&mut session, keys)?;
        drop(session);
        let Refresh::Done(published) = refreshed else {
            return Ok(true);
        };
        let is_whole = published.failed.is_empty();
        self.aftermath.published(published, clock);
        Ok(is_whole)
    }
}
