//! The service that devices enroll at, killed and hindered while it redeems an invite: either the phone's
//! certificate is recorded or the same request succeeds later, and never are there two.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::ground::DURABLE;
use crate::state::{events, is_sound};
use crate::support::{HOST, Home, Server, ServerCertificate, carry_over, copy_of, need, program, soak};

const TOOLS: [&str; 3] = ["strace", "openssl", "curl"];
const LEDGER: Option<&str> = Some("home/ledger.jsonl");

/// A home in which alice is invited, and two requests for her: of her phone's key, and of another's.
struct Ground {
    home: Home,
    invite: Value,
}

impl Ground {
    fn new() -> Self {
        let home = Home::with_server();
        let page = ServerCertificate::make(&home);
        for (key, value) in [
            ("page_certificate", page.certificate.display().to_string()),
            ("page_key", page.key.display().to_string()),
            ("host", HOST.to_owned()),
        ] {
            home.configure(key, &format!("\"{value}\""));
        }
        let invite = home.run(&["invite", "create", "alice", "--json"]).json();
        for name in ["alice", "mallory"] {
            let (key, csr) = (format!("{name}.key"), format!("{name}.csr"));
            let mut arguments = vec!["req", "-new", "-noenc", "-subj", "/CN=phone", "-keyout", &key];
            arguments.extend(crate::support::EC);
            arguments.extend(["-out", &csr]);
            home.foreign("openssl", &arguments).ok();
            let csr = std::fs::read_to_string(home.path(csr)).unwrap();
            let body = json!({ "secret": invite["secret"], "csr": csr });
            home.write_private(format!("{name}.json"), &body.to_string());
        }
        Self { home, invite }
    }

    /// What is answered to the phone of this name; none where nobody answers.
    fn redeem(&self, home: &Home, server: &Server, name: &str) -> Option<u16> {
        let config = format!("header = \"Content-Type: application/json\"\ndata-binary = \"@{name}.json\"\n");
        let path = format!("/i/{}", self.invite["id"].as_str().unwrap());
        server.curl_with(home, None, &path, &config).0
    }
}

/// The service of this home; none where it does not get as far as that. Something may be injected into the
/// system calls of each of its threads.
fn serve(home: &Home, injected: &[String]) -> Option<Server> {
    Server::on_free_port(|port| {
        let service = home.pki(&["serve", "--page", &format!("127.0.0.1:{port}")]);
        let mut command = program("strace");
        // The service is the child, and strace the one beside it: a signal is the service's.
        command.args(["-D", "-f", "-qq", "-o", "/dev/null"]);
        command.args(injected);
        carry_over(&service, &mut command);
        let mut command = if injected.is_empty() { service } else { command };
        let log = std::fs::File::create(home.path("serve.log")).unwrap();
        command.stdin(Stdio::null()).stderr(log);
        command
    })
}

fn issued(home: &Home) -> usize {
    let all = events(home);
    all.iter().filter(|event| event["event"] == "issued").count()
}

/// Holds whatever came before: the phone has its certificate, or gets it now, and nobody else does.
fn demand_one(ground: &Ground, home: &Home, step: &str) {
    let server = serve(home, &[]).unwrap_or_else(|| panic!("{step}: the service does not start again"));
    assert_eq!(ground.redeem(home, &server, "alice"), Some(200), "{step}");
    assert_eq!(ground.redeem(home, &server, "mallory"), Some(409), "{step}");
    drop(server);
    assert_eq!(issued(home), 1, "{step}");
    let all = is_sound(home, step);
    let states: Vec<_> = all
        .iter()
        .map(|one| (one.address.as_str(), one.status.as_str()))
        .collect();
    assert_eq!(states, [("alice/phone", "valid")], "{step}");
    let said = std::fs::read_to_string(home.path("serve.log")).unwrap();
    assert!(!said.contains("panicked"), "{step}: {said}");
}

/// Kills the service at the n-th of these calls, for each n up to the last that it makes before it answers,
/// and says how often it was killed with nothing recorded, and with the certificate. With a path, at those
/// calls alone that concern it.
fn killed_at_each(ground: &Ground, call: &str, path: Option<&str>) -> (usize, usize) {
    let (mut before, mut after) = (0, 0);
    for n in 1.. {
        let home = copy_of(&ground.home);
        let step = format!("killed at {call} {n} of {path:?}");
        let injected = injected(&home, call, path, &format!("signal=SIGKILL:when={n}"));
        let server = serve(&home, &injected);
        let answer = server
            .as_ref()
            .and_then(|server| ground.redeem(&home, server, "alice"));
        if answer.is_some() {
            // There was no such step. Whoever was answered keeps what she got, too.
            assert_eq!(answer, Some(200), "{step}");
            if let Some(mut server) = server {
                server.signal(rustix::process::Signal::KILL);
                server.end();
            }
            demand_one(ground, &home, &step);
            return (before, after);
        }
        drop(server);
        match issued(&home) {
            0 => before += 1,
            _ => after += 1,
        }
        demand_one(ground, &home, &step);
    }
    unreachable!("the service makes so many calls and no more")
}

/// How strace is told to do this at a call.
fn injected(home: &Home, call: &str, path: Option<&str>, what: &str) -> Vec<String> {
    let mut told = vec!["-e".to_owned(), format!("trace={call}")];
    told.extend(["-e".to_owned(), format!("inject={call}:{what}")]);
    told.extend(path.map(|path| format!("--trace-path={}", home.path(path).display())));
    told
}

#[test]
fn a_service_that_is_killed_while_it_records_has_issued_one_certificate_or_none() {
    if !need(&TOOLS) {
        return;
    }
    let ground = Ground::new();
    let calls: &[(&str, Option<&str>)] = &[("write", LEDGER), ("fdatasync", None), ("renameat", None)];
    let all: Vec<_> = DURABLE.map(|call| (call, None)).into();
    let (mut before, mut after) = (0, 0);
    for (call, path) in if soak() { &all } else { calls } {
        let killed = killed_at_each(&ground, call, *path);
        before += killed.0;
        after += killed.1;
    }
    assert!(
        before > 0 && after > 0,
        "killed {before} times before it was recorded, {after} times after"
    );
}

#[test]
fn what_a_loss_of_power_leaves_of_a_certificate_that_nobody_got_is_none() {
    if !need(&TOOLS) {
        return;
    }
    let ground = Ground::new();
    let home = copy_of(&ground.home);
    let at_sync = injected(&home, "fdatasync", LEDGER, "signal=SIGKILL:when=1");
    let server = serve(&home, &at_sync).unwrap();
    assert_eq!(ground.redeem(&home, &server, "alice"), None);
    drop(server);
    let place = home.home().join("ledger.jsonl");
    let whole = std::fs::read(&place).unwrap();
    let before = std::fs::read(ground.home.home().join("ledger.jsonl")).unwrap();
    assert!(whole.starts_with(&before) && issued(&home) == 1);
    for length in [
        before.len(),
        before.len() + 1,
        (before.len() + whole.len()) / 2,
        whole.len() - 1,
    ] {
        let left = copy_of(&home);
        std::fs::write(left.home().join("ledger.jsonl"), &whole[..length]).unwrap();
        demand_one(&ground, &left, &format!("{length} of {} octets", whole.len()));
    }
}

#[test]
fn a_disk_that_refuses_costs_a_phone_another_try_and_no_invite() {
    if !need(&TOOLS) {
        return;
    }
    let ground = Ground::new();
    let mut refused = 0;
    for (call, error) in [("write", "ENOSPC"), ("fdatasync", "EIO"), ("write", "EIO")] {
        for n in 1.. {
            let home = copy_of(&ground.home);
            let step = format!("{error} at {call} {n} of the ledger");
            let injected = injected(&home, call, LEDGER, &format!("error={error}:when={n}"));
            let server = serve(&home, &injected);
            let Some(server) = server else {
                demand_one(&ground, &home, &step);
                refused += 1;
                continue;
            };
            let answer = ground.redeem(&home, &server, "alice");
            if answer == Some(503) {
                refused += 1;
                // The phone asks again, at the same service.
                assert_eq!(ground.redeem(&home, &server, "alice"), Some(200), "{step}");
            } else {
                assert_eq!(answer, Some(200), "{step}");
            }
            drop(server);
            demand_one(&ground, &home, &step);
            if answer == Some(200) {
                break;
            }
        }
    }
    assert!(refused > 2, "refused only {refused} times");
}
