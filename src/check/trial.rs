//! A phone that is revoked while it is in use: what it had before it was, and what it gets afterwards.

use std::time::{Duration, Instant};

use super::client::{Client, Connection, Identity, Outcome, Refusal, Sessions};
use super::client_hello::Version;
use super::findings::{Acted, NewestCrl};
use super::http::Kept;
use super::question::{tell_valid, verdict};
use super::{Met, Question, Verdict, findings};

/// Whoever waits: is told what is waited for, and may have enough of it.
pub struct Watch<'a> {
    /// Told again and again while it is waited.
    pub waiting: &'a dyn Fn(&str),
    /// Whether to stop.
    pub is_interrupted: &'a dyn Fn() -> bool,
    /// How long the server is waited for.
    pub patience: Duration,
}

/// Somebody had enough of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

/// How much a revoked phone tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// New connections, resumed sessions, and connections from before.
    Everything,
    /// New connections alone.
    NewConnections,
}

/// A phone with a valid certificate, and what it holds on to.
#[derive(Debug)]
pub struct Trial {
    fresh: Client,
    phones: Vec<Phone>,
}

/// What it holds of one protocol version.
#[derive(Debug)]
struct Phone {
    version: Version,
    /// Has sessions that the server would resume.
    sessions: Option<Client>,
    fresh: Client,
    kept: Option<Connection>,
    /// Whether an answer had no end that was reached, so that nobody can say whether the connection is kept.
    unread: bool,
}

/// How long after the first refusal the rest of the server may take to follow: while nginx reloads, old workers answer beside new ones.
const GRACE: Duration = Duration::from_millis(1500);

impl Trial {
    /// Comes with a valid certificate until it is let in: an application with a list of its own must read that first. None: it is not let
    /// in, which is a finding.
    ///
    /// # Errors
    /// Where it was interrupted.
    pub fn begin(
        met: &mut Met,
        identity: &Identity,
        depth: Depth,
        watch: &Watch<'_>,
    ) -> Result<Option<Self>, Interrupted> {
        let fresh = Client::new(&met.versions, Some(identity), Some(&met.leaves), Sessions::Fresh);
        let begun = Instant::now();
        let mut pause = Pause::default();
        let outcome = loop {
            let outcome = fresh.ask(&met.server);
            // Whoever says 401 or 403 knows the certificate, and may come to know that it is good.
            let may_change = matches!(outcome, Outcome::Refused(Refusal::Status(401 | 403)));
            if !may_change || begun.elapsed() >= watch.patience {
                break outcome;
            }
            (watch.waiting)(&format!(
                "the server knows the new certificate not yet ({outcome})"
            ));
            pause.sleep(watch)?;
        };
        tell_valid(met, &outcome);
        if !matches!(outcome, Outcome::LetIn(_)) {
            return Ok(None);
        }
        let mut phones = Vec::new();
        if depth == Depth::Everything {
            for version in met.versions.clone() {
                phones.push(Phone::prepare(met, identity, version));
                if (watch.is_interrupted)() {
                    return Err(Interrupted);
                }
            }
        }
        Ok(Some(Self { fresh, phones }))
    }

    /// Comes again once the certificate is revoked and `crl`, which says so, is published.
    ///
    /// # Errors
    /// Where it was interrupted.
    pub fn end(mut self, met: &mut Met, crl: &NewestCrl, watch: &Watch<'_>) -> Result<Acted, Interrupted> {
        let published = Instant::now();
        let mut pause = Pause::default();
        let mut refused_at = None;
        loop {
            match (self.fresh.ask(&met.server), refused_at) {
                // Twice, for of several workers one may have read it before the other.
                (Outcome::Refused(_), Some(_)) => break,
                (Outcome::Refused(_), None) => {
                    refused_at = Some(published.elapsed());
                    continue;
                }
                (Outcome::LetIn(_) | Outcome::Unknown(_), _) => refused_at = None,
            }
            let waited = published.elapsed();
            if waited >= watch.patience {
                return Ok(self.not_acted(met, crl, waited));
            }
            (watch.waiting)(&format!("the server has not acted on CRL {} yet", crl.number));
            // A phone that is in use keeps its connections open.
            for phone in &mut self.phones {
                phone.ask_kept(met);
            }
            pause.sleep(watch)?;
        }
        let took = refused_at.unwrap_or_default();
        let told = format!("CRL {} acted on after {:.1} s", crl.number, took.as_secs_f64());
        met.report.answer(Question::NewCrl, told, Verdict::Good);
        let until = Instant::now() + GRACE;
        for phone in &mut self.phones {
            phone.revoked(met, until);
            if (watch.is_interrupted)() {
                return Err(Interrupted);
            }
        }
        Ok(Acted::After(took))
    }

    fn not_acted(self, met: &mut Met, crl: &NewestCrl, waited: Duration) -> Acted {
        let report = &mut met.report;
        let told = format!("CRL {} not acted on within {} s", crl.number, waited.as_secs());
        report.answer(Question::NewCrl, told, Verdict::Bad);
        report.answer(Question::RevokedFresh, "let in", Verdict::Bad);
        report.add([findings::not_acted(crl, waited)]);
        Acted::NotWithin(waited)
    }
}

impl Phone {
    /// Gets a session and a connection, and sees whether either is of use again.
    fn prepare(met: &mut Met, identity: &Identity, version: Version) -> Self {
        let client = |sessions| Client::new(&[version], Some(identity), Some(&met.leaves), sessions);
        let (fresh, phone) = (client(Sessions::Fresh), client(Sessions::Kept));
        let server = met.server.clone();
        phone.ask(&server);
        let again = phone.connect(&server);
        let resumes = again.as_ref().is_ok_and(Connection::is_resumed);
        // The answer brings the ticket for the next time (RFC 8446 §4.6.1).
        let _ = again.map(|mut connection| connection.ask(&server));
        let mut unread = false;
        let kept = fresh.connect(&server).ok().and_then(|mut connection| {
            let asked = connection.ask(&server);
            unread = asked.kept == Kept::Unread;
            (asked.kept == Kept::Open && matches!(asked.outcome, Outcome::LetIn(_))).then_some(connection)
        });
        let told = match (resumes, kept.is_some()) {
            (true, true) => "resumed, and connections kept alive",
            (true, false) => "resumed, connections not kept alive",
            (false, true) => "not resumed, connections kept alive",
            (false, false) => "not resumed, connections not kept alive",
        };
        met.report
            .answer(Question::Resumption, format!("{version}: {told}"), Verdict::Open);
        Self {
            version,
            sessions: resumes.then_some(phone),
            fresh,
            kept,
            unread,
        }
    }

    /// Asks once more on the connection that stands. Where the server closes it, there is none any more.
    fn ask_kept(&mut self, met: &Met) -> Option<Outcome> {
        let asked = self.kept.as_mut()?.ask(&met.server);
        self.unread |= asked.kept == Kept::Unread;
        if asked.kept != Kept::Open {
            self.kept = None;
        }
        Some(asked.outcome)
    }

    /// Tries everything that it has.
    fn revoked(&mut self, met: &mut Met, until: Instant) {
        let version = self.version;
        let fresh = settled(until, || self.fresh.ask(&met.server));
        met.report.answer(
            Question::RevokedFresh,
            format!("{version}: {fresh}"),
            verdict(&fresh),
        );
        match &fresh {
            Outcome::LetIn(_) => met.report.add([findings::revoked_let_in(version)]),
            Outcome::Unknown(_) => met.report.add([findings::unclear("who is revoked", &fresh)]),
            Outcome::Refused(_) => {}
        }
        self.resume(met, until);
        self.keep(met, until);
    }

    fn resume(&self, met: &mut Met, until: Instant) {
        let version = self.version;
        let Some(client) = &self.sessions else {
            met.report.answer(
                Question::RevokedResumed,
                format!("{version}: nothing to resume"),
                Verdict::Good,
            );
            return;
        };
        let mut resumed = false;
        let outcome = settled(until, || match client.connect(&met.server) {
            Ok(mut connection) => {
                resumed = connection.is_resumed();
                connection.ask(&met.server).outcome
            }
            Err(error) => {
                resumed = false;
                Outcome::failed(&error)
            }
        });
        let how = if resumed { "resumed" } else { "not resumed" };
        let told = format!("{version}: {how}, {outcome}");
        met.report
            .answer(Question::RevokedResumed, told, verdict(&outcome));
        match (&outcome, resumed) {
            (Outcome::LetIn(_), true) => met.report.add([findings::resumed(version)]),
            (Outcome::LetIn(_), false) => met.report.add([findings::revoked_let_in(version)]),
            (Outcome::Unknown(_), _) => met
                .report
                .add([findings::unclear("who is revoked and resumes", &outcome)]),
            (Outcome::Refused(_), _) => {}
        }
    }

    fn keep(&mut self, met: &mut Met, until: Instant) {
        let version = self.version;
        let mut last = None;
        while let Some(outcome) = self.ask_kept(met) {
            let let_in = matches!(outcome, Outcome::LetIn(_));
            last = Some(outcome);
            if !let_in || Instant::now() >= until {
                break;
            }
            std::thread::sleep(STEP);
        }
        let question = Question::RevokedKeptAlive;
        match last {
            // Let in, and closed with that answer or later: no more is to be had on it.
            Some(outcome @ Outcome::LetIn(_)) if self.kept.is_some() => {
                met.report
                    .answer(question, format!("{version}: {outcome}"), Verdict::Bad);
                met.report.add([findings::kept_alive(version)]);
            }
            Some(Outcome::LetIn(_)) | None if self.unread => {
                let told = format!("{version}: not asked, the answer before was too long");
                met.report.answer(question, told, Verdict::Open);
                met.report.add([findings::unread(version)]);
            }
            Some(Outcome::LetIn(_)) | None => {
                met.report.answer(
                    question,
                    format!("{version}: closed by the server"),
                    Verdict::Good,
                );
            }
            Some(outcome) => {
                met.report
                    .answer(question, format!("{version}: {outcome}"), verdict(&outcome));
                if matches!(outcome, Outcome::Unknown(_)) {
                    met.report.add([findings::unclear(
                        "who is revoked and has a connection open",
                        &outcome,
                    )]);
                }
            }
        }
    }
}

/// How long lies between two tries within the grace.
const STEP: Duration = Duration::from_millis(100);

/// What somebody gets who must be turned away, once that has settled.
fn settled(until: Instant, mut ask: impl FnMut() -> Outcome) -> Outcome {
    loop {
        let outcome = ask();
        if !matches!(outcome, Outcome::LetIn(_)) || Instant::now() >= until {
            return outcome;
        }
        std::thread::sleep(STEP);
    }
}

/// The pause between two tries: short at first, for servers that follow at once, and up to a second.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(20))
    }
}

impl Pause {
    fn sleep(&mut self, watch: &Watch<'_>) -> Result<(), Interrupted> {
        let until = Instant::now() + self.0;
        self.0 = (self.0 * 3 / 2).min(Duration::from_secs(1));
        while Instant::now() < until {
            if (watch.is_interrupted)() {
                return Err(Interrupted);
            }
            std::thread::sleep(until.saturating_duration_since(Instant::now()).min(STEP));
        }
        Ok(())
    }
}
