//! A phone of one protocol version: the sessions and connections that it has before it is revoked, and what
//! it gets with them afterwards.

use std::time::Instant;

use super::open_connections::{self, Patience, STEP, Standing};
use crate::check::client::version::Version;
use crate::check::client::{Client, Identity, Outcome, Sessions};
use crate::check::question::verdict;
use crate::check::{Met, Question, Verdict, findings};

/// The sessions and connections that it holds of one protocol version.
#[derive(Debug)]
pub struct Phone {
    version: Version,
    /// Each has a session that the server would resume, and that was not used yet: a ticket serves once (RFC
    /// 8446 §C.4), and not every server gives another when it is used.
    sessions: Vec<Client>,
    /// As many again.
    spare: Vec<Client>,
    fresh: Client,
    standing: Vec<Standing>,
}

impl Phone {
    /// Gets sessions and connections, and tests whether they can be used again.
    pub fn prepare(met: &mut Met, identity: &Identity, version: Version) -> Self {
        let client = |sessions| Client::new(&[version], Some(identity), Some(&met.leaves), sessions);
        let fresh = client(Sessions::Fresh);
        let server = met.server.clone();
        // The answer brings the ticket for the next time (RFC 8446 §4.6.1).
        let with_sessions = || -> Vec<Client> {
            let clients = (0..TRIES).map(|_| client(Sessions::Kept));
            clients.inspect(|client| drop(client.ask(&server))).collect()
        };
        let mut unlearnt = None;
        // As many as servers that take turns need to see their own again.
        let mut resumes = false;
        for client in with_sessions() {
            match client.connect(&server) {
                Ok(connection) => resumes |= connection.is_resumed(),
                Err(error) => unlearnt = Some(error),
            }
        }
        let [sessions, spare] = if resumes {
            [with_sessions(), with_sessions()]
        } else {
            Default::default()
        };
        let (standing, not_standing) = open_connections::prepare(met, identity, version);
        let keeps = standing.iter().any(Standing::is_open);
        // Who has nothing to come back with, because he could not get it, has proved nothing.
        if let Some(why) = not_standing.or(unlearnt.filter(|_| !resumes || !keeps)) {
            let what = format!("sessions and connections of {version} that are kept");
            met.report.add([findings::not_learnt(&what, &why.to_string())]);
        }
        let told = match (resumes, keeps) {
            (true, true) => "resumed, and connections kept alive",
            (true, false) => "resumed, connections not kept alive",
            (false, true) => "not resumed, connections kept alive",
            (false, false) => "not resumed, connections not kept alive",
        };
        met.report
            .answer(Question::Resumption, format!("{version}: {told}"), Verdict::Open);
        Self {
            version,
            sessions,
            spare,
            fresh,
            standing,
        }
    }

    /// Sends one more request on each of the open connections.
    pub fn ask_kept(&mut self, met: &Met) {
        open_connections::ask_all(&mut self.standing, met);
    }

    /// Tries to get in with every session and connection that it has.
    pub fn revoked(&mut self, met: &mut Met, patience: Patience) {
        let (version, until) = (self.version, patience.until);
        let fresh = settled(until, || self.fresh.ask(&met.server), is_turned_away);
        met.report.answer(
            Question::RevokedFresh,
            format!("{version}: {fresh}"),
            verdict(&fresh),
        );
        match &fresh {
            Outcome::LetIn(_) => {
                let connections = format!("new connections of {version}");
                met.report.add([findings::revoked_partly(&connections)]);
            }
            Outcome::Unknown(_) => met.report.add([findings::unclear("who is revoked", &fresh)]),
            Outcome::Refused(_) => {}
        }
        self.resume(met, until);
        open_connections::revoked(&mut self.standing, met, self.version, patience);
    }

    fn resume(&self, met: &mut Met, until: Instant) {
        let version = self.version;
        if self.sessions.is_empty() {
            met.report.answer(
                Question::RevokedResumed,
                format!("{version}: nothing to resume"),
                Verdict::Good,
            );
            return;
        }
        let mut resumed = self.try_sessions(&self.sessions, met);
        if resumed.is_let_in() {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            resumed = self.try_sessions(&self.spare, met);
        }
        let Resumed { outcome, how } = resumed;
        let told = format!("{version}: {}, {outcome}", how.words());
        met.report
            .answer(Question::RevokedResumed, told, verdict(&outcome));
        match (&outcome, how) {
            (Outcome::LetIn(_), How::Resumed) => met.report.add([findings::resumed(version)]),
            (Outcome::LetIn(_), How::Anew) => {
                let connections = format!("connections of {version}");
                met.report.add([findings::revoked_partly(&connections)]);
            }
            (Outcome::Unknown(_), _) => met
                .report
                .add([findings::unclear("who is revoked and resumes", &outcome)]),
            (Outcome::Refused(_), _) => {}
        }
    }

    /// Comes with each of these sessions, and tells the worst of it: let in, then unclear, then refused on a
    /// resumed session. Servers that take turns are put out of step, so that each meets a session of its own.
    fn try_sessions(&self, sessions: &[Client], met: &Met) -> Resumed {
        let server = &met.server;
        let tried = sessions.iter().enumerate().map(|(i, client)| {
            if i % 2 == 1 {
                drop(self.fresh.connect(server));
            }
            match client.connect(server) {
                Ok(mut connection) => Resumed {
                    outcome: connection.ask_once(server),
                    how: if connection.is_resumed() {
                        How::Resumed
                    } else {
                        How::Anew
                    },
                },
                Err(error) => Resumed {
                    outcome: Outcome::failed(&error),
                    how: How::Anew,
                },
            }
        });
        tried.max_by_key(Resumed::badness).unwrap_or(Resumed {
            outcome: Outcome::Unknown("nothing was asked".into()),
            how: How::Anew,
        })
    }
}

/// How somebody came back with a session, and how that was met.
#[derive(Debug)]
struct Resumed {
    outcome: Outcome,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    /// The server made a new handshake of it.
    Anew,
    /// The server took the session up again.
    Resumed,
}

impl How {
    fn words(self) -> &'static str {
        match self {
            Self::Anew => "not resumed",
            Self::Resumed => "resumed",
        }
    }
}

impl Resumed {
    fn is_let_in(&self) -> bool {
        matches!(self.outcome, Outcome::LetIn(_))
    }

    fn badness(&self) -> (u8, How) {
        let outcome = match self.outcome {
            Outcome::LetIn(_) => 2,
            Outcome::Unknown(_) => 1,
            Outcome::Refused(_) => 0,
        };
        (outcome, self.how)
    }
}

/// How many sessions a phone has for one round of tries: a multiple of two and of three servers that take
/// turns.
const TRIES: usize = 6;

fn is_turned_away(outcome: &Outcome) -> bool {
    !matches!(outcome, Outcome::LetIn(_))
}

/// Repeats the request until the outcome is the expected one, or time is up.
pub fn settled(
    until: Instant,
    mut ask: impl FnMut() -> Outcome,
    is_settled: impl Fn(&Outcome) -> bool,
) -> Outcome {
    loop {
        let outcome = ask();
        if is_settled(&outcome) || Instant::now() >= until {
            return outcome;
        }
        std::thread::sleep(STEP);
    }
}
