//! Connections that are open while their client is revoked. A server may verify the client only when a
//! connection begins, and may close the connections of one protocol and keep those of another.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::check::client::http::Kept;
use crate::check::client::parallel;
use crate::check::client::version::Version;
use crate::check::client::ways::{Inside, Name, Way};
use crate::check::client::{Client, Connection, Identity, Outcome, Refusal, Sessions};
use crate::check::question::verdict;
use crate::check::{Met, Question, Verdict, findings};

/// The pause between two tries.
pub const STEP: Duration = Duration::from_millis(100);

/// A connection that is open, or was.
#[derive(Debug)]
pub struct Standing {
    inside: Inside,
    /// Whether it began with an earlier session.
    is_resumed: bool,
    connection: Option<Connection>,
    /// Whether it was kept after its first answer.
    was_kept: bool,
    /// Whether an answer had no end that was reached, so that nobody can say whether the connection is kept.
    is_unread: bool,
}

const CLOSED: &str = "closed by the server";

/// How somebody who is revoked was met on a connection.
struct Told {
    words: String,
    verdict: Verdict,
}

/// Opens a connection by each version of HTTP that the server takes, and one more that resumes a session. The
/// error of one that failed is returned as well.
pub fn prepare(met: &Met, identity: &Identity, version: Version) -> (Vec<Standing>, Option<io::Error>) {
    let is_taken = |inside: &Inside| {
        let way = Way {
            version,
            name: Name::Right,
            inside: *inside,
        };
        *inside == Inside::Http11 || met.ways.contains(&way)
    };
    let insides: Vec<Inside> = [Inside::Http11, Inside::Http2]
        .into_iter()
        .filter(is_taken)
        .collect();
    let opened = parallel::each(&insides, |inside| open(met, identity, version, *inside));
    let (mut all, mut failed) = (Vec::new(), None);
    for opened in opened {
        match opened {
            Ok(standing) => all.extend(standing),
            Err(error) => failed = Some(error),
        }
    }
    (all, failed)
}

fn open(met: &Met, identity: &Identity, version: Version, inside: Inside) -> io::Result<Vec<Standing>> {
    let client = Client::new(&[version], Some(identity), Some(&met.leaves), Sessions::Kept).speaking(inside);
    let first = Standing::of(client.connect(&met.server)?, inside, met);
    if !first.is_open() {
        return Ok(vec![first]);
    }
    let second = client.connect(&met.server)?;
    let resumed = second.is_resumed().then(|| Standing::of(second, inside, met));
    Ok([Some(first), resumed].into_iter().flatten().collect())
}

/// Asks once more on each, as a phone that is in use does.
pub fn ask_all(all: &mut [Standing], met: &Met) {
    thread::scope(|scope| {
        for standing in all.iter_mut().filter(|standing| standing.is_open()) {
            scope.spawn(|| standing.ask(met));
        }
    });
}

/// The time that a server may take to act on a new CRL.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The time until which an old process may answer beside a new one.
    pub until: Instant,
    /// The time until which an old process may go on with its open connections, where it is limited as in our
    /// configurations.
    pub old_process: Instant,
}

/// Asks on each until it is refused or closed, and tells how that went.
pub fn revoked(all: &mut [Standing], met: &mut Met, version: Version, patience: Patience) {
    let is_let_in = |told: &Told| told.verdict == Verdict::Bad;
    let mut told = Vec::new();
    for standing in all.iter_mut() {
        told.push((standing.words(), standing.revoked(met, version, patience.until)));
    }
    // Who closed another of these is going, and may be in the midst of this one: nginx 1.22 goes on with a
    // connection of HTTP/2 that is busy at its reload, until its old process ends.
    if all.iter().any(Standing::was_closed) {
        let mut left = all.iter_mut().zip(&mut told);
        for (standing, (_, told)) in left.by_ref().filter(|(_, (_, told))| is_let_in(told)) {
            *told = standing.revoked(met, version, patience.old_process);
        }
    }
    let let_in: Vec<&str> = told
        .iter()
        .filter(|(_, told)| is_let_in(told))
        .map(|(words, _)| words.as_str())
        .collect();
    if !let_in.is_empty() {
        let place = if let_in.len() == told.len() {
            String::new()
        } else {
            let_in.join(" and")
        };
        met.report.add([findings::kept_alive(version, &place)]);
    }
    let worst = [Verdict::Bad, Verdict::Open]
        .into_iter()
        .find(|worst| told.iter().any(|(_, told)| told.verdict == *worst));
    let words = match told.split_first() {
        None => "none stood".to_owned(),
        Some(((_, first), others)) if others.iter().all(|(_, other)| other.words == first.words) => {
            first.words.clone()
        }
        Some(_) => {
            let each = told
                .iter()
                .map(|(place, told)| format!("{} {}", place.trim_start(), told.words));
            each.collect::<Vec<_>>().join("; ")
        }
    };
    met.report.answer(
        Question::RevokedKeptAlive,
        format!("{version}: {words}"),
        worst.unwrap_or(Verdict::Good),
    );
}

impl Standing {
    fn of(connection: Connection, inside: Inside, met: &Met) -> Self {
        let speaks_it = connection.speaks_http2() == (inside == Inside::Http2);
        let mut standing = Self {
            inside,
            is_resumed: connection.is_resumed(),
            connection: speaks_it.then_some(connection),
            was_kept: false,
            is_unread: false,
        };
        if !matches!(standing.ask(met), Some(Outcome::LetIn(_))) {
            standing.connection = None;
        }
        standing.was_kept = standing.is_open();
        standing
    }

    /// Whether the server kept it at first, and has closed it since.
    fn was_closed(&self) -> bool {
        self.was_kept && !self.is_open()
    }

    /// Whether it can be asked again.
    pub fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// Asks once more. Where the server closes the connection, there is none any more.
    fn ask(&mut self, met: &Met) -> Option<Outcome> {
        let asked = self.connection.as_mut()?.ask(&met.server);
        self.is_unread |= asked.kept == Kept::Unread;
        if asked.kept != Kept::Open {
            self.connection = None;
        }
        Some(asked.outcome)
    }

    fn revoked(&mut self, met: &mut Met, version: Version, until: Instant) -> Told {
        let mut last = None;
        while let Some(outcome) = self.ask(met) {
            let let_in = matches!(outcome, Outcome::LetIn(_));
            last = Some(outcome);
            if !let_in || Instant::now() >= until {
                break;
            }
            thread::sleep(STEP);
        }
        match last {
            // Let in, and closed with that answer or later: no more is to be had on it.
            Some(Outcome::LetIn(_)) | None if !self.is_open() && self.is_unread => {
                met.report.add([findings::unread(version)]);
                Told {
                    words: "not asked, the answer before was too long".into(),
                    verdict: Verdict::Open,
                }
            }
            Some(Outcome::Refused(Refusal::Closed)) => Told {
                words: CLOSED.into(),
                verdict: Verdict::Good,
            },
            Some(Outcome::LetIn(_)) | None if !self.is_open() => Told {
                words: CLOSED.into(),
                verdict: Verdict::Good,
            },
            Some(outcome) => {
                if matches!(outcome, Outcome::Unknown(_)) {
                    let who = "who is revoked and has a connection open";
                    met.report.add([findings::unclear(who, &outcome)]);
                }
                Told {
                    words: outcome.to_string(),
                    verdict: verdict(&outcome),
                }
            }
            None => Told {
                words: "not asked".into(),
                verdict: Verdict::Open,
            },
        }
    }

    /// Which one it is.
    fn words(&self) -> String {
        let inside = match self.inside {
            Inside::Http11 => " by http/1.1",
            Inside::Http2 => " by h2",
            Inside::Unsaid => " without ALPN",
        };
        let resumed = if self.is_resumed {
            " on a resumed session"
        } else {
            ""
        };
        format!("{inside}{resumed}")
    }
}
