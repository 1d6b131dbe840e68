//! `pki server list`: lists the servers, their pins and their certificates.

use std::fmt;

use serde::Serialize;

use crate::ca::NotFound;
use crate::model::server::{Certifier, ServerCertificate};
use crate::model::{AccountId, AcmeAccount, Host, Pin, Revocation, Role, Server, Time, counted};

use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::report::key_line;
use crate::store::Store;

/// Show the servers with their keys
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki server list
  pki server list api.acme.example
  pki server list --json")]
pub struct ListArgs {
    /// Which server [default: all of them]
    host: Option<Host>,
}

/// Every server.
#[derive(Debug, Serialize)]
struct List {
    servers: Vec<Row>,
    /// By which servers order certificates themselves, and those that have ended and left something that
    /// could be taken back.
    accounts: Vec<AccountRow>,
}

#[derive(Debug, Serialize)]
struct AccountRow {
    kid: AccountId,
    names: Vec<Host>,
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<i64>,
    granted: Time,
    /// Since when nothing is ordered by it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Time>,
    /// Whether a client is bound to it.
    bound: bool,
    certificates: Vec<OrderedRow>,
}

/// A certificate that an account has ordered.
#[derive(Debug, Serialize)]
struct OrderedRow {
    #[serde(flatten)]
    certificate: CertificateRow,
    host: Option<Host>,
}

/// How many certificates of an account are shown, the newest ones.
const SHOWN: usize = 100;

/// The account with the certificates that have not ended; none where nothing is left of it that could be
/// taken back.
fn account_row(account: AcmeAccount, store: &Store) -> Result<Option<AccountRow>, Failure> {
    let now = system_clock();
    let mut ordered = store.ordered_of(account.grant.account)?;
    ordered.retain(|(_, end)| now <= *end);
    let mut certificates = Vec::new();
    let mut has_good = false;
    for (place, (serial, not_after)) in ordered.iter().enumerate() {
        let (host, revocation) = store.certified(serial)?.unzip();
        let revoked = revocation.flatten().map(|revocation| revocation.at);
        has_good |= revoked.is_none();
        if ordered.len() - place <= SHOWN {
            certificates.push(OrderedRow {
                certificate: CertificateRow {
                    serial: serial.to_string(),
                    not_after: *not_after,
                    issuer: Certifier::Own,
                    revoked,
                },
                host,
            });
        }
    }
    // Whoever broke in may have ended it, and revoked all: its keys are still to be given up.
    let may_be_meant = !account.given_up && !certificates.is_empty();
    let is_shown = account.ended.is_none() || has_good || may_be_meant;
    Ok(is_shown.then_some(AccountRow {
        kid: account.grant.account,
        names: account.grant.names,
        days: account.grant.days,
        granted: account.granted,
        ended: account.ended,
        bound: account.key.is_some(),
        certificates,
    }))
}

#[derive(Debug, Serialize)]
struct Row {
    host: Host,
    include_subdomains: bool,
    keys: Vec<KeyRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<CertificateRow>,
}

#[derive(Debug, Serialize)]
struct KeyRow {
    role: Role,
    pin: Pin,
    since: Time,
    published: Option<Time>,
}

#[derive(Debug, Serialize)]
struct CertificateRow {
    serial: String,
    not_after: Time,
    issuer: Certifier,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<Time>,
}

impl CertificateRow {
    fn of(certificate: &ServerCertificate, store: &Store) -> Result<Self, Failure> {
        let revocation = certified(certificate, store)?.and_then(|(_, revocation)| revocation);
        Ok(Self {
            serial: certificate.serial.clone(),
            not_after: certificate.validity.not_after,
            issuer: certificate.issuer,
            revoked: revocation.map(|revocation| revocation.at),
        })
    }

    /// Its end, and since when it is revoked, in words.
    fn standing(&self) -> String {
        let revoked = self
            .revoked
            .map_or(String::new(), |at| format!(", revoked on {}", at.date()));
        format!("until {}{revoked}", self.not_after.date())
    }
}

/// What is known of a certificate of our own CA: the server, and its revocation.
fn certified(
    certificate: &ServerCertificate,
    store: &Store,
) -> Result<Option<(Host, Option<Revocation>)>, Failure> {
    match (certificate.issuer, certificate.serial.parse()) {
        (Certifier::Own, Ok(serial)) => Ok(store.certified(&serial)?),
        (Certifier::Own, Err(_)) | (Certifier::Other, _) => Ok(None),
    }
}

impl Row {
    fn of(server: &Server, store: &Store) -> Result<Self, Failure> {
        let certificate = server.certificate();
        Ok(Self {
            host: server.host.clone(),
            include_subdomains: server.include_subdomains,
            keys: server
                .keys()
                .map(|(role, key)| KeyRow {
                    role,
                    pin: key.pin,
                    since: key.since,
                    published: key.published,
                })
                .collect(),
            certificate: certificate
                .map(|certificate| CertificateRow::of(certificate, store))
                .transpose()?,
        })
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.servers {
            match &row.certificate {
                Some(certificate) => writeln!(f, "{}, certificate {}", row.host, certificate.standing())?,
                None => writeln!(f, "{}, no certificate known", row.host)?,
            }
            for key in &row.keys {
                let published = if key.published.is_none() {
                    ", never published"
                } else {
                    ""
                };
                writeln!(f, "{}{published}", key_line(key.role, key.pin, key.since))?;
            }
        }
        for account in &self.accounts {
            let names: Vec<String> = account.names.iter().map(ToString::to_string).collect();
            let standing = match (account.ended, account.bound) {
                (Some(ended), _) => format!(", ended on {}", ended.date()),
                (None, false) => ", no client yet".into(),
                (None, true) => String::new(),
            };
            writeln!(
                f,
                "{}, by ACME, account {}{standing}",
                names.join(", "),
                account.kid
            )?;
            for row in &account.certificates {
                let certificate = &row.certificate;
                let host = row.host.as_ref().map(|host| format!(" of {host}"));
                writeln!(
                    f,
                    "  certificate {}{} {}",
                    certificate.serial,
                    host.unwrap_or_default(),
                    certificate.standing()
                )?;
            }
        }
        Ok(())
    }
}

pub fn list(args: ListArgs, context: &Context) -> Result<Exit, Failure> {
    let home = context.open()?;
    let store = context.read(&home)?;
    let mut accounts = Vec::new();
    for account in store.acme_accounts()? {
        accounts.extend(account_row(account, &store)?);
    }
    let known = match &args.host {
        Some(host) => {
            accounts.retain(|account| account.names.contains(host));
            match store.server(host)? {
                None if accounts.is_empty() => return Err(NotFound::Server(host.clone()).into()),
                known => known.into_iter().collect(),
            }
        }
        None => store.servers()?,
    };
    let mut servers: Vec<Row> = Vec::new();
    for server in known {
        let stays = |key: &KeyRow, now: Time| match key.role {
            Role::Active | Role::Backup => true,
            Role::Retiring => now < key.since + home.config().pin_overlap,
        };
        let mut row = Row::of(&server, &store)?;
        row.keys.retain(|key| stays(key, system_clock()));
        servers.push(row);
    }
    drop(store);
    if !servers.is_empty() || accounts.is_empty() {
        context.ui.say(counted(servers.len(), "server"));
    }
    if servers.is_empty() && accounts.is_empty() {
        context.ui.hint("`pki server add HOST` takes one in, `pki server import HOST --cert FILE` one that has its key already");
    }
    context.ui.report(&List { servers, accounts })?;
    Ok(Exit::Done)
}
