//! Checks that the secrets of ACME accounts lie in the home as they should.

use super::ledger::unreadable;
use super::{Finding, Severity};
use crate::ca::{self, Session};
use crate::home::private;
use crate::key::Secret;

pub(super) fn examine(session: &Session<'_>, findings: &mut Vec<Finding>) {
    let accounts = match session.store.acme_accounts() {
        Ok(accounts) => accounts,
        Err(error) => {
            findings.push(unreadable(&error));
            return;
        }
    };
    let open = accounts.iter().filter(|account| account.ended.is_none());
    findings.extend(open.filter_map(|account| {
        let id = account.grant.account;
        let path = ca::acme_secret_path(&session.desk.home, id);
        let why = match private(&path) {
            Ok(pem) => Secret::examine(&pem).err()?.to_string(),
            Err(error) => error.to_string(),
        };
        let host = account.host();
        Some(Finding::new(
            "acme-secret",
            Severity::Error,
            format!("the secret of the account {id} of {host}: {}: {why}", path.display()),
            format!(
                "restore the file from a backup; if there is none: `pki server acme {host} --cancel {id}`, then `pki server acme {host}`"
            ),
        ))
    }));
}
