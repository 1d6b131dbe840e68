//! A disk that is full, fails or may not be written: a clear error, the right exit code, and the same command
//! works afterwards.

use std::fs::OpenOptions;
use std::process::Stdio;

use crate::ground::{at_some_steps, refused_at_every_step, strace_of, under_strace};
use crate::state::{certificates, demand_one_valid, events, is_sound, is_whole, ledger, recorded};
use crate::support::{Finished, Home, fill, finish, need};

const TOOLS: [&str; 2] = ["strace", "openssl"];

fn issued(home: &Home) -> usize {
    events(home)
        .iter()
        .filter(|event| event["event"] == "issued")
        .count()
}

/// The exit code says what became of it: 0 done, 1 nothing recorded, 5 recorded and not delivered or
/// published.
#[track_caller]
fn demand_truth(before: &[u8], home: &Home, ended: &Finished, step: &str) {
    assert!(
        !ended.stderr.contains("panicked") && ended.code != Some(70),
        "{step}: {ended}"
    );
    let unchanged = ledger(home) == before;
    match ended.code {
        Some(0) => {}
        // 4: the file with the passphrase is one of those that cannot be read.
        Some(1 | 4) => {
            assert!(unchanged, "{step}: exit 1, and something was recorded: {ended}");
            assert!(!ended.stderr.is_empty(), "{step}: {ended}");
        }
        Some(5) => {
            assert!(!unchanged, "{step}: exit 5, and nothing was recorded: {ended}");
            assert!(
                ended.stderr.contains('→'),
                "{step}: exit 5 without a remedy: {ended}"
            );
            assert!(!ended.stderr.contains("nothing was recorded"), "{step}: {ended}");
        }
        _ => panic!("{step}: {ended}"),
    }
}

fn issue_survives(calls: &[&str], error: &str, at_least: usize, expected: &[i32]) {
    if !need(&TOOLS) {
        return;
    }
    let before = Home::new();
    let recorded = ledger(&before);
    let arguments = ["issue", "alice", "--bundle-passphrase-out", "secret"];
    let mut codes = Vec::new();
    let steps = refused_at_every_step(&before, calls, error, &arguments, |home, ended, step| {
        demand_truth(&recorded, home, &ended, step);
        is_whole(home, step);
        codes.push(ended.code.unwrap());
        if ended.code == Some(1) {
            assert!(
                !home.path("secret").exists() && !home.path("alice-phone.p12").exists(),
                "{step}: {ended}"
            );
        }
        let again = finish(&mut home.pki(&arguments), b"");
        match again.code {
            Some(0) => {}
            Some(1) => assert!(
                again.stderr.contains("has a valid certificate"),
                "{step}: {again}"
            ),
            _ => panic!("{step}: {again}"),
        }
        home.run(&["publish"]);
        let all = is_sound(home, step);
        let secret = std::fs::read_to_string(home.path("secret")).unwrap();
        demand_one_valid(home, &all, "alice/phone", secret.trim_end(), step);
    });
    assert!(steps >= at_least, "only {steps} steps");
    assert!(expected.iter().all(|code| codes.contains(code)), "{codes:?}");
}

#[test]
fn issue_on_a_full_disk() {
    issue_survives(&["write"], "ENOSPC", 20, &[1, 5]);
}

#[test]
fn issue_on_a_disk_that_fails_to_sync() {
    issue_survives(&["fsync", "fdatasync"], "EIO", 10, &[1, 5]);
}

#[test]
fn issue_where_names_cannot_be_changed() {
    issue_survives(&["renameat", "renameat2"], "EROFS", 5, &[5]);
}

#[test]
fn a_list_of_passphrases_is_whole_or_as_it_was() {
    if !need(&TOOLS) {
        return;
    }
    let before = Home::new();
    let old = "bob/phone\tsomething-of-before\n";
    before.write_private("secrets", old);
    before.write_private("people.csv", "employee,device\nalice,phone\n");
    let arguments = [
        "issue",
        "--from",
        "people.csv",
        "--bundle-passphrase-out",
        "secrets",
    ];
    let (mut as_it_was, mut longer) = (0, 0);
    refused_at_every_step(
        &before,
        &["write", "fsync"],
        "EIO",
        &arguments,
        |home, ended, step| {
            let text = std::fs::read_to_string(home.path("secrets")).unwrap();
            let added = text.strip_prefix(old).unwrap();
            assert!(added.is_empty() || added.ends_with('\n'), "{step}: {added:?}");
            match added.is_empty() {
                true => as_it_was += 1,
                false => longer += 1,
            }
            if ended.stderr.contains("secrets could not be written") {
                assert!(added.is_empty(), "{step}: {added:?}");
            }
            // Nothing keeps the same command from finishing the work.
            finish(&mut home.pki(&arguments), b"").ok();
        },
    );
    assert!(as_it_was > 1 && longer > 1, "{as_it_was} and {longer} steps");
}

#[test]
fn revoke_on_a_disk_that_fails_says_whether_it_was_recorded() {
    if !need(&TOOLS) {
        return;
    }
    let before = Home::new();
    before.run(&["issue", "alice", "--bundle-passphrase-out", "first", "-q"]);
    let serial = before.serial_of("alice/phone");
    let octets = ledger(&before);
    let arguments = ["revoke", "alice", "--yes"];
    for (calls, error) in [
        (&["write"][..], "ENOSPC"),
        (&["fsync", "fdatasync", "renameat"], "EIO"),
    ] {
        let mut said = String::new();
        let steps = refused_at_every_step(&before, calls, error, &arguments, |home, ended, step| {
            demand_truth(&octets, home, &ended, step);
            is_whole(home, step);
            said += &ended.stderr;
            assert_eq!(recorded(home, &serial), ended.code != Some(1), "{step}: {ended}");
            finish(&mut home.pki(&arguments), b"").ok();
            let all = is_sound(home, step);
            assert_eq!(all[0].status, "revoked", "{step}");
        });
        assert!(steps > 10, "only {steps} steps of {error}");
        if error == "ENOSPC" {
            let crl = "it is recorded, but not published: no room to record the CRL: ";
            let last = "it is recorded and published, but the work is not done: no room to record that it was published: ";
            for words in [
                crl,
                last,
                "nothing was recorded: ",
                "free some room, then run `pki publish`",
            ] {
                assert!(said.contains(words), "{words}: {said}");
            }
        }
    }
}

#[test]
fn files_that_may_not_be_written() {
    if !need(&TOOLS) {
        return;
    }
    let before = Home::new();
    let octets = ledger(&before);
    let arguments = ["issue", "alice", "--bundle-passphrase-out", "secret"];
    let mut codes = Vec::new();
    // Most are of a directory on the way to a file: one of three stands for its neighbours.
    at_some_steps(
        &before,
        &[("openat", 3)],
        "error=EACCES",
        &arguments,
        |home, ended, step| {
            // The first ones belong to the loader and the system's libraries, which start no program without
            // them.
            if ended.code == Some(127) {
                return;
            }
            demand_truth(&octets, home, &ended, step);
            codes.push(ended.code.unwrap());
            if !matches!(ended.code, Some(0)) {
                let again = finish(&mut home.pki(&arguments), b"");
                assert!(
                    again.code == Some(0) || again.stderr.contains("has a valid certificate"),
                    "{step}: {again}"
                );
            }
            assert_eq!(
                certificates(home)
                    .iter()
                    .filter(|one| one.status == "valid")
                    .count(),
                1,
                "{step}: {ended}"
            );
        },
    );
    assert!(codes.contains(&1) && codes.contains(&5), "{codes:?}");
}

#[test]
fn a_system_that_starts_no_threads_is_named_and_nothing_is_recorded() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::new();
    let before = ledger(&home);
    let arguments = ["issue", "alice", "--bundle-passphrase-out", "secret"];
    let threads = "clone,clone3";
    let refused = format!("{threads}:error=EAGAIN");
    let said = under_strace(&home.pki(&arguments), threads, &refused).exits(1);
    assert!(said.stderr.contains("starts no more threads"), "{said}");
    assert!(said.stderr.contains("ulimit -u"), "{said}");
    assert_eq!(ledger(&home), before, "{said}");
    home.run(&arguments);
    // So does whatever opens a key, and whatever needs an index: a ledger that is read whole needs none.
    let add = ["server", "add", "api.acme.example", "--out", "server"];
    let before = ledger(&home);
    for arguments in [&["revoke", "alice", "--yes"][..], &add] {
        let said = under_strace(&home.pki(arguments), threads, &refused).exits(1);
        assert!(said.stderr.contains("starts no more threads"), "{said}");
        assert!(said.stderr.contains("ulimit -u"), "{said}");
        assert_eq!(ledger(&home), before, "{said}");
    }
    let said = under_strace(&home.pki(&["doctor", "--unlock"]), threads, &refused).exits(3);
    assert!(said.stdout.contains("starts no more threads"), "{said}");
    let crowded = Home::new();
    fill(&crowded.home(), 1_500, false).unwrap();
    let revoke = ["revoke", "fleet0000001", "--yes"];
    let said = under_strace(&crowded.pki(&revoke), threads, &refused).exits(1);
    assert!(said.stderr.contains("starts no more threads"), "{said}");
    // Whoever only reads needs no index.
    let said = under_strace(&crowded.pki(&["list"]), threads, &refused).exits(0);
    assert!(said.stdout.contains("fleet0000001/phone"), "{said}");
    crowded.run(&revoke);
}

#[test]
fn a_full_stdout_does_not_stop_what_was_asked_for() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let mut issue = home.pki(&["issue", "alice", "--bundle-passphrase-out", "secret"]);
    let ended = issue.stdout(full()).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(5), "{said}");
    assert!(
        said.contains("the output could not be written: No space left on device"),
        "{said}"
    );
    assert_eq!(issued(&home), 1);
    let all = is_sound(&home, "issue > /dev/full");
    assert_eq!(all[0].status, "valid");

    let ended = home
        .pki(&["revoke", "alice", "--yes"])
        .stdout(full())
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(5));
    assert_eq!(is_sound(&home, "revoke > /dev/full")[0].status, "revoked");
}

#[test]
fn a_link_that_leads_nowhere_has_its_name_all_the_same() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let link = |name: &str| std::os::unix::fs::symlink("/nowhere", home.path(name)).unwrap();
    link("alice-phone.p12");
    link("second");
    home.run(&["issue", "alice", "--bundle-passphrase-out", "first", "-q"]);
    let before = ledger(&home);
    let arguments = ["issue", "bob", "--bundle-passphrase-out", "second", "-q"];
    finish(&mut home.pki(&arguments), b"").exits(1);
    assert_eq!(ledger(&home), before);
    is_sound(&home, "links");
}

#[test]
fn a_files_mode_is_given_to_the_file_and_not_to_its_name() {
    if !need(&["strace"]) {
        return;
    }
    // Whoever owns the directory of a target could put a link in the place of the name.
    let home = Home::new();
    let group = home.foreign("id", &["-gn"]).ok().stdout;
    let [public, server] = ["public", "server"].map(|area| home.path("target").join(area));
    home.configure_table(&format!(
        "[[publish]]\npublic = {public:?}\nserver = {server:?}\ngroup = {:?}",
        group.trim_end()
    ));
    let traced = "chmod,fchmod,fchmodat,chown,lchown,fchownat,mkdir,rename,unlink";
    let calls = strace_of(&home, traced, &["publish", "-q"]);
    // In the home nobody else can.
    let own = format!("\"{}/", home.home().display());
    let others = calls
        .lines()
        .find(|line| !line.starts_with("fchmod(") && !line.contains(&own));
    assert!(
        calls.contains("fchmod(") && others.is_none(),
        "{others:?}: {calls}"
    );
}
