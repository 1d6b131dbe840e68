//! `pki check` and `pki revoke --verify` against real servers, good ones and each kind of bad one.

mod apache;
mod bad_input;
mod certificates;
mod kept;
mod nginx;
mod node;
mod openssl;
mod requests;
mod several;
mod slow;
mod verify;
mod ways;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Finished, HOST, Home, finish};

/// A server's operator who has it read every publication at once.
struct Follower {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Sends the process SIGHUP whenever the home's publication is another.
    fn of(home: &Home, pid: u32) -> Self {
        Self::reading(
            vec![home.public("manifest.json"), home.server("manifest.json")],
            pid,
        )
    }

    /// As [`of`](Self::of), of what is for everybody: to a server that loses a second signal while it follows
    /// the first.
    fn of_public(home: &Home, pid: u32) -> Self {
        Self::reading(vec![home.public("manifest.json")], pid)
    }

    /// As [`of`](Self::of), of these manifests.
    fn reading(manifests: Vec<PathBuf>, pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let all = move || -> Vec<_> {
            manifests
                .iter()
                .map(|manifest| std::fs::read(manifest).ok())
                .collect()
        };
        let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
        let thread = std::thread::spawn(move || {
            let mut read = all();
            while !stopped.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
                let now = all();
                if now != read && now.iter().all(Option::is_some) {
                    read = now;
                    let _ = kill_process(pid, Signal::HUP);
                }
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// How the test's server is found and believed.
fn arguments(port: u16) -> Vec<String> {
    let resolve = format!("{HOST}:{port}:127.0.0.1");
    ["--resolve", &resolve, "--ca", "server.crt"]
        .map(str::to_owned)
        .to_vec()
}

fn url(port: u16, path: &str) -> String {
    format!("https://{HOST}:{port}{path}")
}

/// What `check --json` says of the server at this port.
#[track_caller]
pub fn check(home: &Home, port: u16, more: &[&str]) -> Finished {
    check_path(home, port, "/", more)
}

#[track_caller]
fn check_path(home: &Home, port: u16, path: &str, more: &[&str]) -> Finished {
    let mut command = home.pki(&["check", &url(port, path), "--json"]);
    finish(command.args(arguments(port)).args(more), b"")
}

/// What `check` says with a device's own certificate, so that it is known what a device gets.
#[track_caller]
pub fn check_as_device(home: &Home, port: u16) -> Finished {
    let cert = home.path("alice.pem");
    if !cert.exists() {
        let [leaf, chain, key] = home.opened(&home.alice());
        let both = [leaf, chain]
            .map(|file| std::fs::read_to_string(file).unwrap())
            .concat();
        home.write_private("alice.pem", &both);
        home.write_private("alice.key", &std::fs::read_to_string(key).unwrap());
    }
    let mut command = home.pki(&[
        "check",
        &url(port, "/"),
        "--json",
        "--cert",
        "alice.pem",
        "--key",
        "alice.key",
    ]);
    finish(command.args(arguments(port)), b"")
}

/// The codes that were found, notes apart.
#[track_caller]
pub fn codes(said: &Finished) -> Vec<String> {
    let said = said.json();
    let findings = said["findings"].as_array().unwrap().iter();
    let serious = findings.filter(|finding| finding["severity"] != "note");
    let mut codes: Vec<String> = serious
        .map(|finding| finding["code"].as_str().unwrap().to_owned())
        .collect();
    codes.sort();
    codes
}

/// The messages of the findings with this code.
fn messages(said: &Finished, code: &str) -> Vec<String> {
    let said = said.json();
    let findings = said["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["code"] == code)
        .map(|finding| finding["message"].as_str().unwrap().to_owned())
        .collect()
}

/// What was answered to a question, each time it was asked.
#[track_caller]
pub fn answers(said: &Finished, question: &str) -> Vec<String> {
    let said: Value = said.json();
    let answers = said["answers"].as_array().unwrap().iter();
    let asked = answers.filter(|answer| answer["question"] == question);
    asked
        .map(|answer| answer["answer"].as_str().unwrap().to_owned())
        .collect()
}

/// The statuses of the ledger's canaries and controls, sorted. What was made to end is told apart.
#[track_caller]
fn canaries(home: &Home) -> Vec<String> {
    let said = home.run(&["list", "--employee", "pki-check", "--json"]).json();
    let devices = said["devices"].as_array().unwrap().iter();
    let devices = devices.filter(|device| device["address"] != "pki-check/ended");
    let mut statuses: Vec<String> = devices
        .map(|device| device["status"].as_str().unwrap().to_owned())
        .collect();
    statuses.sort();
    statuses
}
