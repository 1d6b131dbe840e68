//! Checks that the secrets of shared keys lie in the home as they should.

use super::ledger::unreadable;
use super::{Finding, Severity, private_files};
use crate::ca::{self, Session};
use crate::key::Secret;
use crate::model::Time;

/// Checks that each profile can be read, and that there are keys where it says that devices get some.
pub(super) fn examine_profiles(session: &Session<'_>, findings: &mut Vec<Finding>) {
    let home = &session.desk.home;
    for name in home.profiles() {
        let profile = match home.profile(&name) {
            Ok(profile) => profile,
            Err(error) => {
                let remedy = format!("correct the file; `pki issue --profile {name}` is refused until then");
                findings.push(Finding::new(
                    "profile",
                    Severity::Error,
                    error.to_string(),
                    remedy,
                ));
                continue;
            }
        };
        for host in profile.hmac() {
            match session.store.hmac_host(host) {
                Ok(Some(_)) => {}
                Ok(None) => findings.push(Finding::new(
                    "hmac-host",
                    Severity::Error,
                    format!("the profile {name} gives devices a shared key for {host}, which has none"),
                    format!("`pki hmac rotate {host}` makes its keys; or correct `hmac` in the profile"),
                )),
                Err(error) => findings.push(unreadable(&error)),
            }
        }
    }
}

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
            let restore = || {
                format!(
                    "restore the file from a backup; if there is none: `pki hmac rotate {}`",
                    known.host
                )
            };
            let (why, remedy) = private_files::examine(&path, Secret::examine, restore)?;
            let message = format!("the secret of {}, epoch {}: {why}", known.host, epoch.number);
            Some(Finding::new("hmac-secret", Severity::Error, message, remedy))
        });
        findings.extend(missing);
    }
}
