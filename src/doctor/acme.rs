//! Checks that the secrets of ACME accounts lie in the home as they should.

use super::ledger::unreadable;
use super::{Finding, Severity, private_files};
use crate::ca::{self, Session};
use crate::key::Secret;
use crate::model::AcmeAccount;

pub(super) fn examine(session: &Session<'_>, findings: &mut Vec<Finding>) {
    let accounts = match session.store.acme_accounts() {
        Ok(accounts) => accounts,
        Err(error) => {
            findings.push(unreadable(&error));
            return;
        }
    };
    let left = |account: &&AcmeAccount| {
        account.ended.is_some() && ca::acme_secret_path(&session.desk.home, account.grant.account).exists()
    };
    findings.extend(accounts.iter().filter(left).map(|account| {
        let path = ca::acme_secret_path(&session.desk.home, account.grant.account);
        Finding::new(
            "acme-secret",
            Severity::Warning,
            format!(
                "the secret of an account that has ended is still there: {}",
                path.display()
            ),
            "remove the file: with it, an older ledger would bring the account back",
        )
    }));
    let open = accounts.iter().filter(|account| account.ended.is_none());
    findings.extend(open.filter_map(|account| {
        let id = account.grant.account;
        let path = ca::acme_secret_path(&session.desk.home, id);
        let host = account.host();
        let restore = || {
            format!(
                "restore the file from a backup; if there is none: `pki server acme {host} --cancel {id}`, then `pki server acme {host}`"
            )
        };
        let (why, remedy) = private_files::examine(&path, Secret::examine, restore)?;
        let message = format!("the secret of the account {id} of {host}: {why}");
        Some(Finding::new("acme-secret", Severity::Error, message, remedy))
    }));
}
