//! `pki server list`: lists the servers, their pins and their certificates.

use std::fmt;

use serde::Serialize;

use crate::ca::NotFound;
use crate::model::server::{Certifier, ServerCertificate};
use crate::model::{AccountId, AcmeAccount, Host, Pin, Role, Server, Time, counted};

use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::report::key_line;

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
    /// By which servers order certificates themselves, and that have not ended.
    accounts: Vec<AccountRow>,
}

#[derive(Debug, Serialize)]
struct AccountRow {
    kid: AccountId,
    names: Vec<Host>,
    granted: Time,
    /// Whether a client is bound to it.
    bound: bool,
    certificates: Vec<CertificateRow>,
}

impl From<&AcmeAccount> for AccountRow {
    fn from(account: &AcmeAccount) -> Self {
        Self {
            kid: account.grant.account,
            names: account.grant.names.clone(),
            granted: account.granted,
            bound: account.key.is_some(),
            certificates: account.certificates.iter().map(CertificateRow::from).collect(),
        }
    }
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
}

impl From<&ServerCertificate> for CertificateRow {
    fn from(certificate: &ServerCertificate) -> Self {
        Self {
            serial: certificate.serial.clone(),
            not_after: certificate.validity.not_after,
            issuer: certificate.issuer,
        }
    }
}

impl From<&Server> for Row {
    fn from(server: &Server) -> Self {
        Self {
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
            certificate: server.certificate().map(CertificateRow::from),
        }
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.servers {
            match &row.certificate {
                Some(certificate) => {
                    writeln!(
                        f,
                        "{}, certificate until {}",
                        row.host,
                        certificate.not_after.date()
                    )?;
                }
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
            let bound = if account.bound { "" } else { ", no client yet" };
            writeln!(f, "{}, by ACME, account {}{bound}", names.join(", "), account.kid)?;
            for certificate in &account.certificates {
                writeln!(
                    f,
                    "  certificate {} until {}",
                    certificate.serial,
                    certificate.not_after.date()
                )?;
            }
        }
        Ok(())
    }
}

pub fn list(args: ListArgs, context: &Context) -> Result<Exit, Failure> {
    let home = context.open()?;
    let store = context.read(&home)?;
    let mut accounts = store.acme_accounts()?;
    accounts.retain(|account| account.ended.is_none());
    let known = match &args.host {
        Some(host) => {
            accounts.retain(|account| account.grant.names.contains(host));
            match store.server(host)? {
                None if accounts.is_empty() => return Err(NotFound::Server(host.clone()).into()),
                known => known.into_iter().collect(),
            }
        }
        None => store.servers()?,
    };
    drop(store);
    let mut servers: Vec<Row> = Vec::new();
    for server in known {
        let stays = |key: &KeyRow, now: Time| match key.role {
            Role::Active | Role::Backup => true,
            Role::Retiring => now < key.since + home.config().pin_overlap,
        };
        let mut row = Row::from(&server);
        row.keys.retain(|key| stays(key, system_clock()));
        servers.push(row);
    }
    context.ui.say(counted(servers.len(), "server"));
    if servers.is_empty() && accounts.is_empty() {
        context.ui.hint("`pki server add HOST` takes one in, `pki server import HOST --cert FILE` one that has its key already");
    }
    let accounts: Vec<AccountRow> = accounts.iter().map(AccountRow::from).collect();
    context.ui.report(&List { servers, accounts })?;
    Ok(Exit::Done)
}
