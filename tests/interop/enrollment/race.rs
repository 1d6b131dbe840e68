//! Many keys and one invite: one certificate, whoever comes at the same moment.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::Serving;
use super::phone::{Answer, Phone};
use crate::support::{ISSUING_PASSPHRASE, Invited, Server, invite_many, requests};

/// How many ask at the same moment.
const CONNECTIONS: usize = 50;
/// How many invites there are.
const INVITES: usize = 100;
/// How often somebody asks by each of them.
const KEYS: usize = 100;

/// Sends all of these by many connections at once, and says what came of each: a path and a body.
fn ask_all(serving: &Serving, port: u16, asked: Vec<(String, String)>) -> Vec<Answer> {
    let config = serving.at_page();
    let (asked, next) = (Arc::new(asked), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (config, asked, next) = (config.clone(), asked.clone(), next.clone());
            std::thread::spawn(move || {
                let mut phone = Phone::connect(&config, port).unwrap();
                let mut answers = Vec::new();
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some((path, body)) = asked.get(place) else {
                        return answers;
                    };
                    answers.push((place, phone.post(path, "application/json", body).unwrap()));
                }
            })
        })
        .collect();
    let answers: BTreeMap<usize, Answer> = workers
        .into_iter()
        .flat_map(|worker| worker.join().unwrap())
        .collect();
    answers.into_values().collect()
}

fn body(invite: &Invited, csr: &str) -> (String, String) {
    let body = json!({ "secret": invite.secret, "csr": csr });
    (format!("/i/{}", invite.id), body.to_string())
}

/// The events of this kind.
fn events(serving: &Serving, kind: &str) -> Vec<Value> {
    let events = serving.ledger();
    let events = events.lines().map(|line| serde_json::from_str(line).unwrap());
    events.filter(|event: &Value| event["event"] == kind).collect()
}

#[test]
fn a_hundred_keys_at_once_for_each_of_many_invites_get_one_certificate_each() {
    let Some(serving) = Serving::start() else { return };
    let invites = invite_many(&serving.home.home(), ISSUING_PASSPHRASE, INVITES, false);
    let requests = requests(KEYS);
    // A key that has a certificate gets no other: each invite is left one that has none, whoever was faster.
    let asked = invites
        .iter()
        .flat_map(|invite| requests.iter().map(|csr| body(invite, csr)))
        .collect();
    let answers = ask_all(&serving, serving.server.port, asked);
    for (invite, answers) in invites.iter().zip(answers.chunks(KEYS)) {
        let told: BTreeSet<u16> = answers.iter().map(|answer| answer.status).collect();
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((won, told), (1, BTreeSet::from([200, 409])), "{}", invite.id);
    }
    let issued = events(&serving, "issued");
    let of = |key: &str| -> BTreeSet<String> { issued.iter().map(|event| event[key].to_string()).collect() };
    assert_eq!(issued.len(), INVITES);
    assert_eq!(
        (of("serial").len(), of("address").len(), of("enrolled_by").len()),
        (INVITES, INVITES, INVITES)
    );
    assert!(events(&serving, "invite_refused").len() <= 3 * INVITES);
    let said = serving.home.run(&["audit", "verify", "--json"]).json();
    assert_eq!(said["good"], true);
    assert!(!serving.log.text().contains("panicked"));
}

#[test]
fn one_key_that_asks_a_hundred_times_at_once_gets_the_same_certificate() {
    let Some(serving) = Serving::start() else { return };
    let invites = invite_many(&serving.home.home(), ISSUING_PASSPHRASE, INVITES, false);
    let requests = requests(INVITES);
    let each = invites.iter().zip(&requests);
    let asked = each
        .flat_map(|(invite, csr)| vec![body(invite, csr); KEYS])
        .collect();
    let answers = ask_all(&serving, serving.server.port, asked);
    for answers in answers.chunks(KEYS) {
        assert_eq!(answers[0].status, 200, "{}", answers[0].body);
        assert!(answers.iter().all(|answer| *answer == answers[0]));
    }
    assert_eq!(events(&serving, "issued").len(), INVITES);
    assert!(events(&serving, "invite_refused").is_empty());
}

#[test]
fn two_services_of_one_home_issue_one_certificate_an_invite() {
    let Some(serving) = Serving::start() else { return };
    let other = Server::on_free_port(|port| {
        let mut command = serving
            .home
            .pki(&["serve", "--page", &format!("127.0.0.1:{port}")]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    });
    let other = other.expect("the other service ended at once");
    let invites = invite_many(&serving.home.home(), ISSUING_PASSPHRASE, 10, false);
    let (ours, theirs) = (requests(20), requests(20));
    let asked = |requests: &[String]| -> Vec<(String, String)> {
        let each = invites
            .iter()
            .flat_map(|invite| requests.iter().map(|csr| body(invite, csr)));
        each.collect()
    };
    let (ours, theirs) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| ask_all(&serving, other.port, asked(&theirs)));
        let ours = ask_all(&serving, serving.server.port, asked(&ours));
        (ours, theirs.join().unwrap())
    });
    for (invite, (ours, theirs)) in invites.iter().zip(ours.chunks(20).zip(theirs.chunks(20))) {
        let told: Vec<u16> = ours.iter().chain(theirs).map(|answer| answer.status).collect();
        assert_eq!(
            told.iter().filter(|status| **status == 200).count(),
            1,
            "{}: {told:?}",
            invite.id
        );
        assert!(
            told.iter().all(|status| [200, 409].contains(status)),
            "{}: {told:?}",
            invite.id
        );
    }
    assert_eq!(events(&serving, "issued").len(), 10);
    assert_eq!(
        serving.home.run(&["audit", "verify", "--json"]).json()["good"],
        true
    );
}
