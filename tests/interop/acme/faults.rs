//! Faults of this machine: a client is told to come again, and whoever looks after the service reads why.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::jose::{Client, Key, base64url, register};
use super::{Given, NAMES, Ordering};
use crate::support::{finish, wait_until};

impl Ordering {
    /// The file with the secret of an account.
    fn secret(&self, given: &Given) -> PathBuf {
        self.home.home().join("acme").join(format!("{}.key", given.kid))
    }

    /// The status of `/readyz`, and the troubles that it tells.
    fn readiness(&self) -> (u16, Vec<Value>) {
        let answer = self.send("/readyz", "");
        let troubles = answer.json()["troubles"].as_array().unwrap().clone();
        (answer.status, troubles)
    }

    /// The lines of the log that have this in them, once there is one.
    fn told(&self, what: &str) -> Vec<String> {
        wait_until(&format!("{what} in the log"), || {
            let log = self.log();
            let lines: Vec<String> = log
                .lines()
                .filter(|line| line.contains(what))
                .map(str::to_owned)
                .collect();
            (!lines.is_empty()).then_some(lines)
        })
    }
}

#[test]
fn a_secret_that_is_gone_is_told_once_and_stops_nobody_else() {
    let Some(at) = Ordering::start() else { return };
    let [given, other] = [at.account(), at.account()];
    let secret = at.secret(&given);
    let kept = std::fs::read(&secret).unwrap();
    std::fs::remove_file(&secret).unwrap();
    for _ in 0..5 {
        register(&at, &Key::new(), &given).refused(503, "serverInternal");
    }
    let name = secret.file_name().unwrap().to_str().unwrap();
    let told = at.told(name);
    assert_eq!(told.len(), 1, "{told:?}");
    let about = format!("the account {} of {} gets nothing", given.kid, NAMES[0]);
    assert!(told[0].contains(&about), "{told:?}");
    // It is trouble, and the service is ready for everybody else.
    let (status, troubles) = at.readiness();
    assert_eq!((status, troubles.len()), (200, 1), "{troubles:?}");
    assert_eq!(troubles[0]["part"], "accounts");
    assert_eq!(troubles[0]["stops"], false);
    Client::bound(&at, &other).order(&NAMES).is(201);
    // Nobody knows which MAC key is the right one, so that all count as wrong ones.
    let wrong = Given {
        kid: given.kid.clone(),
        mac_key: base64url([7; 32]),
    };
    let key = Key::new();
    let last = (0..60)
        .map(|_| register(&at, &key, &wrong))
        .find(|answer| answer.status != 503);
    last.unwrap().refused(429, "rateLimited");
    std::fs::write(&secret, kept).unwrap();
}

#[test]
fn a_secret_that_others_can_read_is_opened_for_nobody() {
    let Some(at) = Ordering::start() else { return };
    let given = at.account();
    let secret = at.secret(&given);
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o644)).unwrap();
    register(&at, &Key::new(), &given).refused(503, "serverInternal");
    let told = at.told("can be read or changed by others");
    assert!(told[0].contains(&given.kid), "{told:?}");
    let chmod = format!("run `chmod go= {}`", secret.display());
    at.told(&chmod);
    let said = finish(&mut at.home.pki(&["doctor", "--json"]), b"").json();
    let findings = said["findings"].as_array().unwrap();
    let finding = findings
        .iter()
        .find(|one| one["code"] == "acme-secret")
        .unwrap_or_else(|| panic!("{said}"));
    assert_eq!(finding["remedy"], json!(chmod));
}

#[test]
fn a_ledger_that_cannot_be_read_makes_the_service_unready() {
    let Some(at) = Ordering::start() else { return };
    let client = Client::bound(&at, &at.account());
    let ledger = at.home.home().join("ledger.jsonl");
    let away = at.home.path("away.jsonl");
    std::fs::rename(&ledger, &away).unwrap();
    for _ in 0..5 {
        client.order(&NAMES).refused(503, "serverInternal");
    }
    let told = at.told("servers do not get what they ask for");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("ledger.jsonl"), "{told:?}");
    let (status, troubles) = at.readiness();
    assert_eq!(status, 503, "{troubles:?}");
    assert_eq!(troubles[0]["part"], "enrolling");
    // It is over when somebody got what he asked for.
    std::fs::rename(&away, &ledger).unwrap();
    Client::bound(&at, &at.account()).order(&NAMES).is(201);
    assert_eq!(at.readiness().0, 200);
}
