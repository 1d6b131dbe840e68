//! Checks that the secrets of shared keys lie in the home as they should.

use super::ledger::unreadable;
use super::{Finding, Severity};
use crate::ca::{self, Session};
use crate::home::private;
use crate::key::Secret;
use crate::model::Time;

pub(super) fn examine(session: &Session<'_>, now: Time, findings: &mut Vec<Finding>) {
    let hosts = match session.store.hmac_hosts() {
        Ok(hosts) => hosts,
        Err(error) => {
            findings.push(unreadable(&error));
            return;
        }
    };
    for known in &hosts {
        let missing = known.good(now).filter_map(|epoch| {
            let path = ca::hmac_secret_path(&session.desk.home, &known.host, epoch);
            let why = match private(&path) {
                Ok(pem) => Secret::examine(&pem).err()?.to_string(),
                Err(error) => error.to_string(),
            };
            Some(Finding::new(
                "hmac-secret",
                Severity::Error,
                format!(
                    "the secret of {}, epoch {}: {}: {why}",
                    known.host,
                    epoch.number,
                    path.display()
                ),
                format!(
                    "restore the file from a backup; if there is none: `pki hmac rotate {}`",
                    known.host
                ),
            ))
        });
        findings.extend(missing);
    }
}
