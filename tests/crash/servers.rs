//! The keys of servers, killed and refused at the steps that reach the disk. What apps are held to is a key
//! that somebody has, and a key lies in the clear nowhere but where its server gets it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;

use crate::ground::{at_some_steps, killed_at_every};
use crate::state::{events, is_sound, is_whole, kind, ledger};
use crate::support::{Finished, HOST, Home, copy_of, files_below, finish, need};

const TOOLS: [&str; 2] = ["strace", "openssl"];
const ADD: [&str; 7] = ["server", "add", HOST, "--out", "tls", "--json", "-q"];
const ISSUE: [&str; 7] = ["server", "issue", HOST, "--out", "tls", "--json", "-q"];
const CSR: [&str; 6] = ["server", "csr", HOST, "--out", "tls", "-q"];
/// Sealing a key costs scrypt, and cannot be had for less: of the many steps of a kind some stand for the
/// others. Of what is recorded and of new names every step counts.
const NEW_NAMES: (&str, usize) = ("renameat2", 1);
const RECORDED: (&str, usize) = ("fdatasync", 1);
const NAMED: (&str, usize) = ("renameat", 4);
const SYNCED: (&str, usize) = ("fsync", 9);
const WRITTEN: (&str, usize) = ("write", 9);

fn again(home: &Home, arguments: &[&str]) -> Finished {
    finish(&mut home.pki(arguments), b"")
}

fn count(home: &Home, event: &str) -> usize {
    let events = events(home);
    events.iter().filter(|one| one["event"] == event).count()
}

/// The published pins: host, role, hash. None where there are no pin sets yet.
fn published(home: &Home) -> Vec<(String, String, Vec<u8>)> {
    let Ok(text) = std::fs::read(home.public("pins/pins.json")) else {
        return Vec::new();
    };
    let said: Value = serde_json::from_slice(&text).unwrap();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found = Vec::new();
    for set in said["sets"].as_array().unwrap() {
        for pin in set["pins"].as_array().unwrap() {
            let hash = BASE64.decode(word(&pin["pin"]).as_bytes()).unwrap();
            found.push((word(&set["host"]), word(&pin["role"]), hash));
        }
    }
    found
}

/// The hash of the public half of a key file, which OpenSSL opens.
#[track_caller]
fn hash_of(home: &Home, file: &Path, step: &str) -> Vec<u8> {
    let script = "openssl pkey -in \"$1\" -passin file:issuing-passphrase -pubout -outform DER | openssl dgst -sha256 -binary | openssl base64 -A";
    let said = home.foreign("sh", &["-c", script, "sh", file.to_str().unwrap()]);
    assert!(said.stderr.is_empty(), "{step}: {said}");
    BASE64.decode(said.stdout.as_bytes()).unwrap()
}

/// Where the home keeps a key.
fn kept(home: &Home, host: &str, hash: &[u8]) -> PathBuf {
    let directory = home.home().join("servers").join(host);
    directory.join(format!("{}.key", HEXLOWER.encode(hash)))
}

/// Holds at any moment: no key is in the clear in the home, and apps are held to keys that the home has.
#[track_caller]
fn demand_keys(home: &Home, step: &str) {
    for file in files_below(&home.home()) {
        let octets = std::fs::read(home.home().join(&file)).unwrap();
        let clear = b"BEGIN PRIVATE KEY";
        assert!(
            !octets.windows(clear.len()).any(|part| part == clear),
            "{step}: {file}"
        );
    }
    for (host, role, hash) in published(home) {
        let place = kept(home, &host, &hash);
        assert!(
            place.is_file(),
            "{step}: the {role} key is not there: {}",
            place.display()
        );
    }
}

/// Every key that there was is there still, as it was.
#[track_caller]
fn demand_kept(before: &Home, after: &Home, step: &str) {
    for directory in ["home/servers", "tls"] {
        if !before.path(directory).exists() {
            continue;
        }
        for file in files_below(&before.path(directory)) {
            if file.ends_with(".key") {
                let of = |home: &Home| std::fs::read(home.path(directory).join(&file)).ok();
                assert_eq!(of(before), of(after), "{step}: {directory}/{file}");
            }
        }
    }
}

/// Holds once the work is finished: all is sound, the key in use is in `tls`, and nothing half-written beside
/// it.
#[track_caller]
fn demand_finished(home: &Home, step: &str) {
    is_sound(home, step);
    demand_keys(home, step);
    let of = |wanted: &str| {
        let found = published(home).into_iter().find(|(_, role, _)| role == wanted);
        found.unwrap_or_else(|| panic!("{step}: no pins")).2
    };
    let (active, backup) = (of("active"), of("backup"));
    assert_eq!(hash_of(home, &kept(home, HOST, &backup), step), backup, "{step}");
    let there = files_below(&home.path("tls"));
    assert!(
        !there.iter().any(|file| file.ends_with(".tmp")),
        "{step}: {there:?}"
    );
    let mut keys = there.iter().filter(|file| file.ends_with(".key"));
    assert!(
        keys.any(|file| hash_of(home, &home.path("tls").join(file), step) == active),
        "{step}: {there:?}"
    );
}

#[test]
fn a_server_is_taken_in_by_the_same_command_or_is_there_already() {
    let (steps, recorded) = a_server_is_taken_in(RECORDED);
    assert!(recorded > 1, "{recorded} of {steps} steps");
}

#[test]
fn a_server_is_taken_in_wherever_its_files_were_to_be_new() {
    let (steps, _) = a_server_is_taken_in(NEW_NAMES);
    assert!(steps > 1, "only {steps} steps");
}

#[test]
fn a_server_is_taken_in_wherever_its_files_got_their_names() {
    let (steps, _) = a_server_is_taken_in(NAMED);
    assert!(steps > 1, "only {steps} steps");
}

#[test]
fn a_server_is_taken_in_wherever_its_files_were_synced() {
    let (steps, recorded) = a_server_is_taken_in(SYNCED);
    assert!(recorded > 0 && steps > recorded, "{recorded} of {steps} steps");
}

#[test]
fn a_server_is_taken_in_wherever_its_files_were_cut_off() {
    let (steps, recorded) = a_server_is_taken_in(WRITTEN);
    assert!(recorded > 0 && steps > recorded, "{recorded} of {steps} steps");
}

/// Kills the command at this call, and says how often, and how often the server was recorded by then.
fn a_server_is_taken_in(call: (&str, usize)) -> (usize, usize) {
    if !need(&TOOLS) {
        return (3, 1);
    }
    let before = Home::new();
    let mut cut_off = 0;
    let steps = at_some_steps(&before, &[call], "signal=SIGKILL", &ADD, |home, ended, step| {
        assert_eq!(ended.code, None, "{step}: {ended}");
        is_whole(home, step);
        demand_keys(home, step);
        let left = copy_of(home);
        let recorded = count(home, "server_added") == 1;
        let rerun = again(home, &ADD);
        if recorded {
            cut_off += 1;
            assert_eq!(kind(&rerun.exits(1)), "exists", "{step}");
            home.run(&["publish", "-q"]);
            home.run(&CSR);
        } else {
            rerun.ok();
        }
        demand_kept(&left, home, step);
        demand_finished(home, step);
    });
    (steps, cut_off)
}

#[test]
fn a_disk_that_is_full_takes_no_server_in_or_says_what_is_missing() {
    if !need(&TOOLS) {
        return;
    }
    let before = Home::new();
    let recorded = ledger(&before);
    let mut codes = Vec::new();
    let calls = [("write", 9), ("renameat2", 2)];
    at_some_steps(&before, &calls, "error=ENOSPC", &ADD, |home, ended, step| {
        is_whole(home, step);
        demand_keys(home, step);
        let unchanged = ledger(home) == recorded;
        match ended.code {
            Some(0) => {}
            Some(1) => assert!(unchanged, "{step}: exit 1, and it is recorded: {ended}"),
            Some(5) => assert!(!unchanged, "{step}: exit 5, and nothing is recorded: {ended}"),
            _ => panic!("{step}: {ended}"),
        }
        codes.push(ended.code.unwrap());
        let left = copy_of(home);
        if unchanged {
            again(home, &ADD).ok();
        } else {
            home.run(&["publish", "-q"]);
            home.run(&CSR);
        }
        demand_kept(&left, home, step);
        demand_finished(home, step);
    });
    assert!([1, 5].iter().all(|code| codes.contains(code)), "{codes:?}");
}

#[test]
fn the_servers_ca_is_made_once_whenever_its_making_is_cut_off() {
    the_servers_ca_is_made_once(&[("renameat2", 1), ("fdatasync", 1)]);
}

#[test]
fn the_servers_ca_is_made_once_whenever_its_files_get_their_names() {
    the_servers_ca_is_made_once(&[("renameat", 4), ("fsync", 9)]);
}

#[test]
fn the_servers_ca_is_made_once_whenever_its_files_are_cut_off() {
    the_servers_ca_is_made_once(&[("write", 20)]);
}

fn the_servers_ca_is_made_once(calls: &[(&str, usize)]) {
    if !need(&TOOLS) {
        return;
    }
    let before = Home::with_server();
    let check = |home: &Home, ended: Finished, step: &str| {
        assert_eq!(ended.code, None, "{step}: {ended}");
        is_whole(home, step);
        demand_keys(home, step);
        let left = copy_of(home);
        again(home, &ISSUE).ok();
        demand_kept(&left, home, step);
        assert_eq!(count(home, "servers_ca"), 1, "{step}");
        demand_finished(home, step);
        demand_certified(home, step);
    };
    let steps = at_some_steps(&before, calls, "signal=SIGKILL", &ISSUE, check);
    assert!(steps > 2, "only {steps} steps");
}

#[test]
fn a_renewal_for_a_server_is_finished_by_the_same_command() {
    if !need(&TOOLS) {
        return;
    }
    let before = Home::with_certified_server();
    let calls = ["fsync", "fdatasync", "renameat", "unlinkat", "write"];
    let steps = killed_at_every(&calls, &before, &ISSUE, |home, step| {
        is_whole(home, step);
        // What the server has until then is a certificate of its key.
        demand_certified(home, step);
        again(home, &ISSUE).ok();
        demand_kept(&before, home, step);
        demand_finished(home, step);
        demand_certified(home, step);
    });
    assert!(steps > 15, "only {steps} steps");
}

/// The certificate in `tls` verifies by what is published, and is of the key beside it.
#[track_caller]
fn demand_certified(home: &Home, step: &str) {
    let file = format!("tls/{HOST}.crt");
    let mut verify = vec!["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"];
    verify.extend([
        "home/public/ca/root.crt",
        "-untrusted",
        "home/public/ca/servers.crt",
        &file,
    ]);
    let said = home.foreign("openssl", &verify);
    assert_eq!(said.code, Some(0), "{step}: {said}");
    let script = format!("openssl x509 -in {file} -noout -pubkey; openssl pkey -in tls/{HOST}.key -pubout");
    let said = home.foreign("sh", &["-c", &script]).ok().stdout;
    let (first, second) = said.split_at(said.len() / 2);
    assert_eq!(first, second, "{step}");
}

#[test]
fn a_rotation_that_was_cut_off_is_not_done_twice() {
    a_rotation_is_not_done_twice(&[NEW_NAMES, RECORDED]);
}

#[test]
fn a_rotation_whose_files_had_no_names_yet_is_not_done_twice() {
    a_rotation_is_not_done_twice(&[NAMED, SYNCED]);
}

#[test]
fn a_rotation_whose_files_were_cut_off_is_not_done_twice() {
    a_rotation_is_not_done_twice(&[WRITTEN]);
}

fn a_rotation_is_not_done_twice(calls: &[(&str, usize)]) {
    if !need(&TOOLS) {
        return;
    }
    let before = Home::with_server();
    let of = |home: &Home, wanted: &str| {
        let all = published(home).into_iter();
        all.filter(|(_, role, _)| role == wanted)
            .map(|(_, _, hash)| hash)
            .next_back()
    };
    let (active, backup) = (of(&before, "active"), of(&before, "backup"));
    let mut arguments = vec!["server", "rotate", HOST, "--out", "tls", "--json", "-q"];
    arguments.extend(["--confirm", HOST]);
    let mut cut_off = 0;
    let steps = at_some_steps(
        &before,
        calls,
        "signal=SIGKILL",
        &arguments,
        |home, ended, step| {
            assert_eq!(ended.code, None, "{step}: {ended}");
            is_whole(home, step);
            demand_keys(home, step);
            let left = copy_of(home);
            let recorded = count(home, "server_rotated") == 1;
            if recorded && of(home, "active") == active {
                cut_off += 1;
                // Once more, and the key that apps know would be gone again.
                assert_eq!(kind(&again(home, &arguments).exits(1)), "unpublished", "{step}");
            }
            if recorded {
                home.run(&["publish", "-q"]);
                home.run(&CSR);
            } else {
                again(home, &arguments).ok();
            }
            assert_eq!(count(home, "server_rotated"), 1, "{step}");
            demand_kept(&left, home, step);
            demand_finished(home, step);
            assert_eq!(
                (of(home, "active"), of(home, "retiring")),
                (backup.clone(), active.clone()),
                "{step}"
            );
        },
    );
    assert!(cut_off > 0 && steps > 2, "{cut_off} of {steps} steps");
}

#[test]
fn two_servers_are_taken_in_at_once() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::new();
    let hosts = [HOST, "www.acme.example"];
    let started = hosts.map(|host| {
        let mut command = home.pki(&["server", "add", host, "--out", "tls", "--wait", "2m", "-q"]);
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    });
    for child in started {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""));
    }
    is_sound(&home, "two at once");
    demand_keys(&home, "two at once");
    let pins = published(&home);
    assert_eq!(pins.len(), 4);
    for (host, _, hash) in &pins {
        assert_eq!(hash_of(&home, &kept(&home, host, hash), host), *hash);
    }
    for host in hosts {
        let key = hash_of(&home, &home.path(format!("tls/{host}.key")), host);
        assert!(
            pins.contains(&(host.to_owned(), "active".to_owned(), key)),
            "{host}"
        );
    }
}

#[test]
fn two_that_make_the_servers_ca_at_once_make_one() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::new();
    let hosts = [HOST, "www.acme.example"];
    for host in hosts {
        home.run(&["server", "add", host, "--out", "tls", "-q"]);
    }
    let home = home.opening_at_once();
    let issue = |host| home.pki(&["server", "issue", host, "--out", "tls", "--wait", "2m", "-q"]);
    let started = hosts.map(|host| {
        let mut command = issue(host);
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        (host, command.spawn().unwrap())
    });
    for (host, child) in started {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(1) {
            // It had looked before the other one made it, and nothing is lost.
            assert!(said.contains("just made by another process"), "{said}");
            finish(&mut issue(host), b"").ok();
        } else {
            assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""), "{host}");
        }
    }
    is_sound(&home, "two at once");
    assert_eq!(count(&home, "servers_ca"), 1);
    for host in hosts {
        let file = format!("tls/{host}.crt");
        let mut verify = vec![
            "verify",
            "-purpose",
            "sslserver",
            "-CAfile",
            "home/public/ca/root.crt",
        ];
        verify.extend([
            "-untrusted",
            "home/public/ca/servers.crt",
            "-verify_hostname",
            host,
            &file,
        ]);
        home.foreign("openssl", &verify).ok();
    }
}
