//! The trial of a revocation: one device is revoked while it is in use, and another one stays good. A server
//! that refuses both has not acted on the revocation.

pub mod phone;
pub mod open_connections;

use std::time::{Duration, Instant};

use rand_core::CryptoRng;

use crate::check::client::wire::RESTART;
use crate::check::client::{Client, Identity, Outcome, Refusal, Sessions};
use crate::check::findings::{Acted, NewestCrl};
use crate::check::question::insist;
use crate::check::question::who::Who;
use crate::check::question::{come_as, learn, tell_valid};
use crate::check::{Met, Question, Verdict, findings};
use open_connections::{Patience, STEP};
use phone::{Phone, settled};

/// The caller's side of waiting: it is told what is waited for, and can interrupt.
pub struct Watch<'a> {
    /// Told again and again while it is waited.
    pub waiting: &'a dyn Fn(&str),
    /// Whether the caller wants to stop.
    pub is_interrupted: &'a dyn Fn() -> bool,
    /// The time that the server is waited for.
    pub patience: Duration,
}

/// Somebody had enough of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

/// The extent to which a revoked phone tries to get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// New connections, resumed sessions, and connections from before.
    Everything,
    /// New connections alone.
    NewConnections,
}

/// The clients of the trial.
#[derive(Debug, Clone)]
pub struct Identities {
    /// The client that will be revoked.
    pub canary: Identity,
    /// The client that will not be revoked.
    pub control: Identity,
    /// Clients that must be refused, and can only be made by the holder of a valid certificate.
    pub impostors: Vec<(Who, Identity)>,
    /// The client that must be refused from the given time on, because its certificate has expired.
    pub ended: Option<(Identity, Instant)>,
}

/// Two devices with valid certificates, and what the one that will be revoked holds on to.
#[derive(Debug)]
pub struct Trial {
    canary: Client,
    control: Client,
    phones: Vec<Phone>,
    /// The client that comes by every way once it is revoked, and once its certificate has expired.
    late: Option<Late>,
}

#[derive(Debug)]
struct Late {
    revoked: Identity,
    ended: Option<(Identity, Instant)>,
}

/// How much longer an ended certificate may be let in: a server's clock may be behind this one.
const CLOCKS: Duration = Duration::from_secs(5);

/// How often each of the two comes until it is believed that the server acts. Behind one address there may be
/// several servers, which take their turns: of twelve connections in a row no two servers leave one to four
/// controls alone. And who stands between and breaks connections cannot tell whose they are.
const CANARIES: usize = 8;
const CONTROLS: usize = 4;

/// How long after the first refusal the rest of the server may take to follow: while nginx reloads, old
/// workers answer beside new ones.
const GRACE: Duration = Duration::from_millis(1500);

/// How long an old process may go on with what it has open: ten seconds by `worker_shutdown_timeout` of nginx
/// and `hard-stop-after` of HAProxy, as their configurations and pages have them, and one to go.
const OLD_PROCESS: Duration = Duration::from_secs(11);

impl Trial {
    /// Comes with valid certificates until they are let in: an application with a list of its own must read
    /// that first. None: they are not let in, which is a finding.
    ///
    /// # Errors
    /// Where it was interrupted.
    pub fn begin(
        met: &mut Met,
        identities: &Identities,
        depth: Depth,
        watch: &Watch<'_>,
    ) -> Result<Option<Self>, Interrupted> {
        let client =
            |identity| Client::new(&met.versions, Some(identity), Some(&met.leaves), Sessions::Fresh);
        let (canary, control) = (client(&identities.canary), client(&identities.control));
        let begun = Instant::now();
        let mut pause = Pause::default();
        let outcome = loop {
            let outcome = match canary.ask(&met.server) {
                Outcome::LetIn(_) => control.ask(&met.server),
                outside @ (Outcome::Refused(_) | Outcome::Unknown(_)) => outside,
            };
            let waited = begun.elapsed();
            let may_change = match outcome {
                // Whoever says so knows the certificate, and may come to know that it is good.
                Outcome::Refused(Refusal::Status(401 | 403)) => true,
                // A server that is restarted by each publication answers nobody for a moment, and one that is
                // being replaced sends its clients to a new connection (RFC 9110 §15.5.20).
                Outcome::Refused(Refusal::Closed | Refusal::Status(421)) | Outcome::Unknown(_) => {
                    waited < RESTART
                }
                Outcome::LetIn(_) | Outcome::Refused(Refusal::Status(_) | Refusal::Alert(_)) => false,
            };
            if !may_change || waited >= watch.patience || met.server.is_over() {
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
        let mut late = None;
        if depth == Depth::Everything {
            learn(met, &identities.control);
            for (who, identity) in &identities.impostors {
                come_as(met, *who, identity);
            }
            late = Some(Late {
                revoked: identities.canary.clone(),
                ended: identities.ended.clone(),
            });
            for version in met.versions.clone() {
                phones.push(Phone::prepare(met, &identities.canary, version));
                if (watch.is_interrupted)() {
                    return Err(Interrupted);
                }
            }
        }
        Ok(Some(Self {
            canary,
            control,
            phones,
            late,
        }))
    }

    /// Comes again once the canary is revoked and `crl`, which says so, is published.
    ///
    /// # Errors
    /// Where it was interrupted.
    pub fn end(
        mut self,
        met: &mut Met,
        crl: &NewestCrl,
        watch: &Watch<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<Acted, Interrupted> {
        let published = Instant::now();
        let mut pause = Pause::default();
        let took = loop {
            let asked = published.elapsed();
            let seen = self.look(met, rng);
            if matches!(seen, Seen::Acted) {
                break asked;
            }
            let waited = published.elapsed();
            if waited >= watch.patience {
                return Ok(seen.at_the_end(met, crl, waited));
            }
            // It was not waited for as long as it may take, or not asked at all: that says nothing of it.
            if met.server.is_over() {
                return Ok(tell_no_time(met, crl));
            }
            (watch.waiting)(&seen.so_far(crl));
            // A phone that is in use keeps its connections open.
            for phone in &mut self.phones {
                phone.ask_kept(met);
            }
            pause.sleep(watch)?;
        };
        let told = format!("CRL {} acted on after {:.1} s", crl.number, took.as_secs_f64());
        met.report.answer(Question::NewCrl, told, Verdict::Good);
        let acted = Instant::now();
        let until = acted + GRACE;
        let patience = Patience {
            until,
            old_process: acted + OLD_PROCESS,
        };
        for phone in &mut self.phones {
            phone.revoked(met, patience);
            if (watch.is_interrupted)() {
                return Err(Interrupted);
            }
        }
        if let Some(late) = self.late.take() {
            come_as(met, Who::Revoked, &late.revoked);
            insist::learn(met, &self.control);
            if let Some((identity, ends)) = late.ended {
                come_ended(met, &identity, ends, watch)?;
            }
        }
        // All that was refused since may have been a server that goes down.
        let control = settled(until, || self.control.ask(&met.server), is_let_in);
        Ok(tell_control(met, &control, took))
    }

    /// Who of the two is let in on new connections. Who is refused beside somebody who is let in was refused
    /// for himself.
    fn look(&self, met: &Met, rng: &mut impl CryptoRng) -> Seen {
        match self.canary.ask(&met.server) {
            Outcome::LetIn(_) => return Seen::LetIn,
            unclear @ Outcome::Unknown(_) => return Seen::Unclear(unclear),
            Outcome::Refused(_) => {}
        }
        let mut order = [[true; CANARIES].as_slice(), &[false; CONTROLS]].concat();
        shuffle(&mut order, rng);
        let (mut let_in, mut unclear, mut shut) = (false, None, None);
        for is_canary in order {
            let client = if is_canary { &self.canary } else { &self.control };
            match (is_canary, client.ask(&met.server)) {
                (true, Outcome::LetIn(_)) => let_in = true,
                (true, Outcome::Refused(_)) | (false, Outcome::LetIn(_)) => {}
                (true, outcome @ Outcome::Unknown(_)) => unclear = Some(outcome),
                (false, outcome @ (Outcome::Refused(_) | Outcome::Unknown(_))) => shut = Some(outcome),
            }
        }
        match (let_in, unclear, shut) {
            (true, ..) => Seen::Partly,
            (false, Some(outcome), _) => Seen::Unclear(outcome),
            (false, None, Some(outcome)) => Seen::Shut(outcome),
            (false, None, None) => Seen::Acted,
        }
    }
}

/// Waits until a certificate has ended, and comes with it.
fn come_ended(
    met: &mut Met,
    identity: &Identity,
    ends: Instant,
    watch: &Watch<'_>,
) -> Result<(), Interrupted> {
    if ends > met.server.until {
        met.report.add([findings::no_time(
            "whether who shows a certificate that has ended is let in",
        )]);
        return Ok(());
    }
    (watch.waiting)("waiting for a certificate to end");
    while Instant::now() < ends {
        if (watch.is_interrupted)() {
            return Err(Interrupted);
        }
        std::thread::sleep(ends.saturating_duration_since(Instant::now()).min(STEP));
    }
    let client = Client::new(&met.versions, Some(identity), Some(&met.leaves), Sessions::Fresh);
    settled(
        ends + CLOCKS,
        || client.ask(&met.server),
        |outcome| !is_let_in(outcome),
    );
    come_as(met, Who::Ended, identity);
    Ok(())
}

/// Fisher and Yates' shuffle.
fn shuffle<T>(all: &mut [T], rng: &mut impl CryptoRng) {
    for last in (1..all.len()).rev() {
        all.swap(last, rng.next_u32() as usize % (last + 1));
    }
}

/// The treatment of the two clients by the server.
#[derive(Debug)]
enum Seen {
    /// The revoked client is refused, and the other one is let in.
    Acted,
    /// The revoked client is let in.
    LetIn,
    /// The revoked client is let in on some connections, and refused on others.
    Partly,
    /// The treatment is not known.
    Unclear(Outcome),
    /// The client that is not revoked is not let in either.
    Shut(Outcome),
}

impl Seen {
    /// While there is patience left.
    fn so_far(&self, crl: &NewestCrl) -> String {
        match self {
            Self::Acted | Self::LetIn => format!("the server has not acted on CRL {} yet", crl.number),
            Self::Partly => format!("not all that answers here has acted on CRL {} yet", crl.number),
            Self::Unclear(outcome) => format!("the server gives no clear answer: {outcome}"),
            Self::Shut(outcome) => format!("the server lets in nobody; who is valid is {outcome}"),
        }
    }

    /// When there is none left.
    fn at_the_end(self, met: &mut Met, crl: &NewestCrl, waited: Duration) -> Acted {
        let report = &mut met.report;
        let told = format!("CRL {} not acted on within {} s", crl.number, waited.as_secs());
        report.answer(Question::NewCrl, told, Verdict::Bad);
        match self {
            Self::Acted | Self::LetIn => {
                report.answer(Question::RevokedFresh, "let in", Verdict::Bad);
                report.add([findings::not_acted(crl, waited)]);
                Acted::NotWithin(waited)
            }
            Self::Partly => {
                let told = "let in on some connections, refused on others";
                report.answer(Question::RevokedFresh, told, Verdict::Bad);
                report.add([findings::revoked_partly("new connections")]);
                Acted::NotWithin(waited)
            }
            Self::Unclear(outcome) => {
                report.answer(Question::RevokedFresh, &outcome, Verdict::Open);
                report.add([findings::unclear("who is revoked", &outcome)]);
                Acted::NotWithin(waited)
            }
            Self::Shut(outcome) => tell_control(met, &outcome, waited),
        }
    }
}

/// Says that the time was up before the server had as long as it may take.
fn tell_no_time(met: &mut Met, crl: &NewestCrl) -> Acted {
    let told = format!(
        "whether CRL {} is acted on: not seen, the time was up",
        crl.number
    );
    met.report.answer(Question::NewCrl, told, Verdict::Open);
    met.report
        .add([findings::no_time("whether a revoked device is refused")]);
    Acted::NotSeen
}

/// Says how the one who is not revoked was met at the end.
fn tell_control(met: &mut Met, control: &Outcome, took: Duration) -> Acted {
    let report = &mut met.report;
    if is_let_in(control) {
        report.answer(Question::StillValid, control, Verdict::Good);
        return Acted::After(took);
    }
    report.answer(Question::StillValid, control, Verdict::Bad);
    report.add([findings::shut(control)]);
    Acted::Shut(control.clone())
}

fn is_let_in(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::LetIn(_))
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
