//! Keeps a note of the unattended runs of `pki publish`, such as a timer's: the time of the last one, and the
//! expiring certificates that it reported. The note is no part of the ledger, which says what is true and not
//! what somebody was told: where the file is lost, something is reported once more.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::CaError;
use super::note;
use super::publishing::Published;
use super::publishing::reconcile::is_undecided;
use super::session::Session;
use crate::home::Home;
use crate::model::server::Certifier;
use crate::model::{Host, Record, Server, Span, Time};

/// The name of the file in the home.
const FILE: &str = "timer.json";
/// The time after which an unchanged list is reported again.
const AGAIN: Span = Span::days(7);

/// The time before its expiry from which on a server's certificate is reported that another CA renews: most
/// do so when a third of its life is left.
const OTHERS: Span = Span::days(14);

/// The certificates that have ended or end soon, as a timer reports them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// The time before their expiry from which on they are reported.
    pub within: Span,
    /// Certificates in use that expire within that time, the earliest first.
    pub ending: Vec<Record>,
    /// The last ones of devices that have let all of theirs end.
    pub ended: Vec<Record>,
    /// The servers whose certificate expires soon, or has expired.
    pub servers: Vec<EndingServer>,
    /// The CAs that end soon, or have ended.
    pub authorities: Vec<EndingAuthority>,
}

/// A CA whose certificate expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndingAuthority {
    /// `root`, `issuing CA` or `servers' CA`.
    pub what: &'static str,
    /// The expiry (notAfter) of its certificate.
    pub end: Time,
}

/// A server whose certificate expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndingServer {
    /// The host of the server.
    pub host: Host,
    /// The expiry (notAfter) of its certificate.
    pub end: Time,
    /// The CA that certifies the server.
    pub certifier: Certifier,
    serial: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    version: u32,
    /// The time of the last unattended run of `pki publish`.
    #[serde(default)]
    ran: Option<Time>,
    /// The last report.
    #[serde(default)]
    told: Option<Told>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    at: Time,
    /// SHA-256 of the serial numbers that were reported.
    list: String,
}

impl Ends {
    /// The expiring certificates to report after a publication at the session's time, by `warn_days` of
    /// `pki.toml`.
    ///
    /// # Errors
    /// A damaged index.
    pub fn of(session: &Session<'_>, published: &Published) -> Result<Self, CaError> {
        let within = session.desk.home.config().warn_before;
        let mut ends = Self {
            within,
            ending: Vec::new(),
            ended: Vec::new(),
            servers: Vec::new(),
            authorities: ending_authorities(&session.desk.home, session.now),
        };
        if within > Span::days(0) {
            if let Some(near) = published.near.clone() {
                (ends.ending, ends.ended) = near.settle(&session.store, session.now)?;
            }
            // Of one that a list has told of and nobody has decided on, it is told what is to be decided.
            ends.ending.retain(|record| !is_undecided(record));
            ends.ended.retain(|record| !is_undecided(record));
            ends.ending.sort_by_key(|record| record.validity.not_after);
            let servers = session.store.servers()?;
            let all = servers.iter().filter_map(EndingServer::of);
            ends.servers = all
                .filter(|server| server.end < session.now + server.told(within))
                .collect();
        }
        Ok(ends)
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.ending.is_empty()
            && self.ended.is_empty()
            && self.servers.is_empty()
            && self.authorities.is_empty()
    }

    /// A digest that tells this list from another. A certificate that has expired meanwhile makes it another
    /// one.
    fn digest(&self) -> String {
        let serials = |records: &[Record]| {
            let mut serials: Vec<String> = records.iter().map(|record| record.serial.to_string()).collect();
            serials.sort_unstable();
            serials.join(" ")
        };
        let mut list = format!("{}\n{}", serials(&self.ending), serials(&self.ended));
        for server in &self.servers {
            list.push_str(&format!("\n{} {}", server.host, server.serial));
        }
        for authority in &self.authorities {
            list.push_str(&format!("\n{} {}", authority.what, authority.end));
        }
        HEXLOWER.encode(&Sha256::digest(list))
    }
}

/// The time before its expiry from which on a CA's certificate is reported: certificates are cut by it, and a
/// new PKI takes its time.
const AUTHORITIES: Span = Span::days(180);

/// The CAs of this home that expire within half a year, or have expired.
pub fn ending_authorities(home: &Home, now: Time) -> Vec<EndingAuthority> {
    let servers = home.servers().map(|chain| ("servers' CA", chain.ca()));
    let all = [("root", home.chain().root()), ("issuing CA", home.chain().ca())];
    let all = all
        .into_iter()
        .chain(servers)
        .map(|(what, certificate)| EndingAuthority {
            what,
            end: certificate.validity().not_after,
        });
    all.filter(|authority| authority.end < now + AUTHORITIES)
        .collect()
}

impl EndingServer {
    fn of(server: &Server) -> Option<Self> {
        let certificate = server.certificate()?;
        Some(Self {
            host: server.host.clone(),
            end: certificate.validity.not_after,
            certifier: certificate.issuer,
            serial: certificate.serial.clone(),
        })
    }

    /// The time before its expiry from which on it is reported.
    fn told(&self, within: Span) -> Span {
        match self.certifier {
            Certifier::Own => within,
            Certifier::Other => within.min(OTHERS),
        }
    }
}

impl Memory {
    /// Reads the note. Where it cannot be read, nothing counts as reported.
    fn of(home: &Home) -> Self {
        note::read(home, FILE).ok().flatten().unwrap_or_default()
    }

    /// Whether this list is to be reported now: once a day at most, where it differs from the last report, or
    /// that was long ago.
    fn lacks(&self, list: &str, now: Time) -> bool {
        self.told
            .as_ref()
            .is_none_or(|told| told.at.date() != now.date() && (told.list != list || now - told.at >= AGAIN))
    }
}

/// Notes an unattended run of `pki publish`, and says whether these certificates are to be reported by it.
///
/// # Errors
/// Where the note cannot be written.
pub fn note_timer(session: &Session<'_>, ends: &Ends) -> Result<bool, CaError> {
    let home = &session.desk.home;
    let mut memory = Memory::of(home);
    let list = ends.digest();
    let is_news = !ends.is_empty() && memory.lacks(&list, session.now);
    if is_news {
        memory.told = Some(Told {
            at: session.now,
            list,
        });
    }
    memory.version = 1;
    memory.ran = Some(session.now);
    note::write(home, FILE, Some(&memory))?;
    Ok(is_news)
}

/// The time of the last unattended run of `pki publish`, as far as the home remembers.
pub fn last_timer(home: &Home) -> Option<Time> {
    Memory::of(home).ran
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_told_once_a_day_and_where_it_is_another_one_or_a_week_is_over() {
        let noon = Time::from_unix(1_800_014_400);
        let memory = Memory {
            told: Some(Told {
                at: noon,
                list: "one".into(),
            }),
            ..Memory::default()
        };
        let lacks = |list: &str, later: Span| memory.lacks(list, noon + later);
        assert!(Memory::default().lacks("one", noon));
        assert!(!lacks("one", Span::days(1)) && !lacks("two", Span::minutes(60)));
        assert!(lacks("two", Span::days(1)) && !lacks("one", Span::days(6)));
        assert!(lacks("one", Span::days(7)));
        // By a clock that was set back, nothing is held back for good.
        assert!(memory.lacks("two", noon - Span::days(3)));
    }
}
