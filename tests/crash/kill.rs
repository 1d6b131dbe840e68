//! Killed at every step that reaches the disk, then the same command again.

use crate::ground::{DURABLE, WRITES, count_of, killed_at_every, killed_at_every_step, under_strace};
use crate::state::{Certificate, certificates, demand_one_valid, is_sound, is_whole, kind, recorded, status};
use crate::support::{Finished, Home, copy_of, files_below, finish, need, soak};

const TOOLS: [&str; 2] = ["strace", "openssl"];

fn text(home: &Home, file: &str) -> String {
    std::fs::read_to_string(home.path(file))
        .unwrap()
        .trim_end()
        .to_owned()
}

fn again(home: &Home, arguments: &[&str]) -> Finished {
    finish(&mut home.pki(arguments), b"")
}

/// The command was run again and did its work, or said with this kind of error that it was done.
#[track_caller]
fn done_or(finished: &Finished, done: &str, step: &str) -> bool {
    match finished.code {
        Some(0) => true,
        Some(1) => {
            assert_eq!(kind(finished), done, "{step}: {finished}");
            false
        }
        _ => panic!("{step}: {finished}"),
    }
}

#[test]
fn init_leaves_nothing_or_a_whole_home_wherever_files_got_their_names() {
    init_leaves_nothing_or_a_whole_home(&["rename", "renameat"]);
}

#[test]
fn init_leaves_nothing_or_a_whole_home_wherever_files_were_synced() {
    let founded = init_leaves_nothing_or_a_whole_home(&["fsync", "fdatasync"]);
    assert!(founded > 0, "never killed after the home was in its place");
}

/// Kills `init` at these calls, and says how often there was a home by then.
fn init_leaves_nothing_or_a_whole_home(calls: &[&str]) -> usize {
    if !need(&TOOLS) {
        return 1;
    }
    let before = Home::unfounded();
    let files = ["issuing-passphrase", "root-passphrase"].map(|file| before.path(file).display().to_string());
    let mut arguments = vec![
        "init",
        "--org",
        "Acme Ltd",
        "--domain",
        "acme.example",
        "--json",
        "-q",
    ];
    arguments.extend([
        "--passphrase-file",
        &files[0],
        "--root-passphrase-file",
        &files[1],
    ]);
    let (mut steps, mut founded) = (0, 0);
    // Scrypt is dear here, and cannot be had for less. Until the home is renamed into its place nobody sees
    // it: of the steps before that every tenth stands for the others where this is no soak, and one of each
    // kind is followed by the same command.
    for call in calls {
        let count = count_of(&copy_of(&before), call, &arguments);
        for n in (1..=count).filter(|n| soak() || n % 10 == 1 || n + 1 >= count) {
            let home = copy_of(&before);
            let ended = under_strace(
                &home.pki(&arguments),
                call,
                &format!("{call}:signal=SIGKILL:when={n}"),
            );
            assert_eq!(ended.code, None, "{ended}");
            steps += 1;
            let step = format!("killed at {call} {n} of {count}");
            if home.home().exists() {
                founded += 1;
                is_whole(&home, &step);
                assert_eq!(kind(&again(&home, &arguments).exits(1)), "exists", "{step}");
                is_sound(&home, &step);
            } else if n + 1 == count {
                assert_eq!(in_the_making(&home), 1, "{step}");
                again(&home, &arguments).ok();
                assert_eq!(in_the_making(&home), 0, "{step}");
                is_sound(&home, &step);
            }
        }
    }
    assert!(steps >= 4, "only {steps} steps");
    founded
}

/// The root's key and certificate are on the medium, belong together, and are those of the home.
#[track_caller]
fn demand_offline_root(home: &Home, step: &str) {
    let there = files_below(&home.path("usb"));
    assert_eq!(there, ["acme/root.crt", "acme/root.key"], "{step}");
    let key = [
        "pkey",
        "-in",
        "usb/acme/root.key",
        "-passin",
        "file:root-passphrase",
        "-pubout",
    ];
    let certificate = ["x509", "-in", "home/root/root.crt", "-noout", "-pubkey"];
    let [key, certificate] =
        [&key[..], &certificate].map(|arguments| home.foreign("openssl", arguments).ok().stdout);
    assert_eq!(key, certificate, "{step}");
    assert_eq!(
        text(home, "usb/acme/root.crt"),
        text(home, "home/root/root.crt"),
        "{step}"
    );
    assert!(!home.path("home/root/root.key").exists(), "{step}");
}

const OFFLINE: [&str; 9] = [
    "init",
    "--org",
    "Acme Ltd",
    "--domain",
    "acme.example",
    "--json",
    "-q",
    "--offline-root",
    "usb/acme",
];

/// The last steps of it: a call, how many of its last are tried, and how it fails.
const OFFLINE_NAMES: [(&str, usize, &str); 2] = [("rename", 1, "EBUSY"), ("renameat2", 2, "EIO")];
const OFFLINE_SYNCS: [(&str, usize, &str); 1] = [("fsync", 4, "EIO")];

/// Founds a home whose root lies on a medium once for each of these last steps, in which the medium's files
/// and the home get their names, and each time lets a kill or an error befall it there.
fn at_the_last_steps_of_an_offline_root(
    calls: &[(&str, usize, &str)],
    kill: bool,
    mut after: impl FnMut(&Home, Finished, &str),
) {
    let before = Home::unfounded();
    std::fs::create_dir(before.path("usb")).unwrap();
    for (call, last, error) in calls.iter().copied() {
        let what = if kill {
            "signal=SIGKILL".to_owned()
        } else {
            format!("error={error}")
        };
        let count = count_of(&copy_of(&before), call, &OFFLINE);
        assert!(count >= last, "{call} is made {count} times");
        for n in count - last + 1..=count {
            let home = copy_of(&before);
            let ended = under_strace(&home.pki(&OFFLINE), call, &format!("{call}:{what}:when={n}"));
            after(&home, ended, &format!("{what} at {call} {n} of {count}"));
        }
    }
}

#[test]
fn an_offline_root_is_on_its_medium_where_there_is_a_home_and_in_the_way_of_none() {
    an_offline_root_is_whole_or_in_the_way_of_none(&OFFLINE_NAMES);
}

#[test]
fn an_offline_root_is_on_its_medium_and_synced_where_there_is_a_home() {
    an_offline_root_is_whole_or_in_the_way_of_none(&OFFLINE_SYNCS);
}

fn an_offline_root_is_whole_or_in_the_way_of_none(calls: &[(&str, usize, &str)]) {
    if !need(&TOOLS) {
        return;
    }
    let mut steps = 0;
    at_the_last_steps_of_an_offline_root(calls, true, |home, ended, step| {
        assert_eq!(ended.code, None, "{step}: {ended}");
        if !home.home().exists() {
            steps += 1;
            again(home, &OFFLINE).ok();
            assert_eq!(in_the_making(home), 0, "{step}");
        }
        demand_offline_root(home, step);
    });
    assert!(steps >= 2, "only {steps} steps");
}

#[test]
fn an_offline_root_that_fails_takes_away_what_it_has_put_on_its_medium() {
    if !need(&TOOLS) {
        return;
    }
    let mut steps = 0;
    let calls = [&OFFLINE_NAMES[..], &OFFLINE_SYNCS].concat();
    at_the_last_steps_of_an_offline_root(&calls, false, |home, ended, step| {
        if home.home().exists() {
            demand_offline_root(home, step);
            return;
        }
        steps += 1;
        assert_eq!(ended.code, Some(1), "{step}: {ended}");
        assert_eq!(std::fs::read_dir(home.path("usb")).unwrap().count(), 0, "{step}");
        assert_eq!(in_the_making(home), 0, "{step}");
    });
    assert!(steps >= 4, "only {steps} steps");
}

/// How many homes in the making lie beside the home.
fn in_the_making(home: &Home) -> usize {
    let entries = std::fs::read_dir(home.path(".")).unwrap().map(Result::unwrap);
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with(".home.") && name.ends_with(".init"))
        .count()
}

#[test]
fn issue_ends_with_a_bundle_that_opens_and_no_certificate_that_nobody_has() {
    if !need(&TOOLS) {
        return;
    }
    let before = Home::new();
    let arguments = [
        "issue",
        "alice",
        "--bundle-passphrase-out",
        "secret",
        "--json",
        "-q",
    ];
    let mut cut_off = 0;
    let steps = killed_at_every_step(&before, &arguments, |home, step| {
        is_whole(home, step);
        let rerun = again(home, &arguments);
        if !done_or(&rerun, "already-valid", step) {
            let behind = !home.run(&["publish", "-q"]).stdout.is_empty();
            let told = rerun
                .stderr
                .contains("the publication is older than the ledger: run `pki publish`");
            assert_eq!(told, behind, "{step}: {rerun}");
            cut_off += usize::from(behind);
        }
        let all = is_sound(home, step);
        let serial = demand_one_valid(home, &all, "alice/phone", &text(home, "secret"), step);
        if rerun.code == Some(0) {
            assert_eq!(rerun.json()["serial"], serial, "{step}");
        }
    });
    assert!(cut_off > 3, "killed only {cut_off} times before it was published");
    assert!(steps > 30, "only {steps} steps");
}

/// The invite names the certificate, and the bundle is kept for it: the same command again leaves one of
/// each.
#[test]
fn an_invite_with_a_bundle_is_whole_after_the_same_command_again() {
    if !need(&TOOLS) {
        return;
    }
    let before = Home::with_server();
    before.configure("host", "\"api.acme.example\"");
    let arguments = ["invite", "create", "alice", "--server-key", "--json", "-q"];
    let calls = ["write", "fdatasync", "renameat2", "renameat", "unlink", "mkdir"];
    let steps = killed_at_every(&calls, &before, &arguments, |home, step| {
        is_whole(home, step);
        let told = again(home, &arguments).ok().json();
        home.run(&["publish", "-q"]);
        let all = is_sound(home, step);
        let (last, others) = all.split_last().unwrap();
        let waits = |one: &Certificate| one.status == "undelivered" && told["serial"] == one.serial.as_str();
        assert!(all.iter().any(waits), "{step}: {all:?}");
        let revoked = all.iter().filter(|one| one.status == "revoked").count();
        assert_eq!(revoked, others.len(), "{step}: {last:?} {others:?}");
        let kept: Vec<String> = files_below(&home.home().join("handout"));
        assert_eq!(kept, [format!("{}.p12", told["id"].as_str().unwrap())], "{step}");
        let word = home.write_private("word", told["passphrase"].as_str().unwrap());
        let bundle = format!("home/handout/{}", kept[0]);
        let open = [
            "pkcs12",
            "-in",
            &bundle,
            "-noout",
            "-passin",
            &format!("file:{}", word.display()),
        ];
        home.foreign("openssl", &open).ok();
    });
    assert!(steps > 10, "only {steps} steps");
}

#[test]
fn a_list_is_finished_by_the_same_command_wherever_a_write_was_cut_off() {
    a_list_is_finished_by_the_same_command(&DURABLE[..WRITES]);
}

#[test]
fn a_list_is_finished_by_the_same_command_wherever_anything_else_was_cut_off() {
    a_list_is_finished_by_the_same_command(&DURABLE[WRITES..]);
}

fn a_list_is_finished_by_the_same_command(calls: &[&str]) {
    if !need(&TOOLS) {
        return;
    }
    let before = Home::new();
    before.write_private(
        "people.csv",
        "employee,device\nalice,phone\nbob,phone\ncarol,tablet\n",
    );
    let mut arguments = vec![
        "issue",
        "--from",
        "people.csv",
        "--out",
        "bundles",
        "--json",
        "-q",
    ];
    arguments.extend(["--bundle-passphrase-out", "secrets"]);
    let steps = killed_at_every(calls, &before, &arguments, |home, step| {
        is_whole(home, step);
        again(home, &arguments).ok();
        let all = is_sound(home, step);
        let secrets = text(home, "secrets");
        assert_eq!(secrets.lines().count(), 3, "{step}: {secrets}");
        for address in ["alice/phone", "bob/phone", "carol/tablet"] {
            let mut lines = secrets.lines().filter_map(|line| line.split_once('\t'));
            let (_, secret) = lines.rfind(|(whose, _)| *whose == address).unwrap();
            demand_one_valid(home, &all, address, secret, step);
        }
    });
    assert!(steps > 15, "only {steps} steps");
}

/// A home with a bundle for alice, and its passphrase in `first`.
fn with_alice() -> Home {
    let home = Home::new();
    home.run(&["issue", "alice", "--bundle-passphrase-out", "first", "-q"]);
    home
}

#[test]
fn renew_leaves_the_device_a_certificate_that_it_has() {
    if !need(&TOOLS) {
        return;
    }
    let before = with_alice();
    let arguments = [
        "renew",
        "alice",
        "--bundle-passphrase-out",
        "secret",
        "--json",
        "-q",
    ];
    let steps = killed_at_every_step(&before, &arguments, |home, step| {
        is_whole(home, step);
        if !done_or(&again(home, &arguments), "exists", step) {
            home.run(&["publish"]);
        }
        let all = is_sound(home, step);
        demand_one_valid(home, &all, "alice/phone", &text(home, "secret"), step);
    });
    assert!(steps > 30, "only {steps} steps");
}

#[test]
fn renew_revokes_the_old_certificate_no_sooner_than_the_new_one_is_there() {
    if !need(&TOOLS) {
        return;
    }
    let before = with_alice();
    let old = before.serial_of("alice/phone");
    let arguments = [
        "renew",
        "alice",
        "--revoke-old",
        "--bundle-passphrase-out",
        "secret",
        "--json",
        "-q",
    ];
    let steps = killed_at_every_step(&before, &arguments, |home, step| {
        is_whole(home, step);
        // Wherever it was killed: where the old one is gone, the new one is there.
        if recorded(home, &old) {
            let all = certificates(home);
            demand_one_valid(home, &all, "alice/phone", &text(home, "secret"), step);
        }
        if !done_or(&again(home, &arguments), "exists", step) {
            home.run(&["publish"]);
        }
        let all = is_sound(home, step);
        demand_one_valid(home, &all, "alice/phone", &text(home, "secret"), step);
        assert!(recorded(home, &old), "{step}");
    });
    assert!(steps > 30, "only {steps} steps");
}

#[test]
fn revoke_is_never_taken_back_and_is_published_by_the_same_command() {
    if !need(&TOOLS) {
        return;
    }
    let before = with_alice();
    let serial = before.serial_of("alice/phone");
    let arguments = ["revoke", "alice", "--yes", "--json", "-q"];
    let mut recorded_first = 0;
    let steps = killed_at_every_step(&before, &arguments, |home, step| {
        is_whole(home, step);
        if recorded(home, &serial) {
            recorded_first += 1;
            assert_eq!(status(home, &serial), "revoked", "{step}");
        }
        again(home, &arguments).ok();
        assert!(recorded(home, &serial), "{step}");
        assert_eq!(is_sound(home, step)[0].status, "revoked", "{step}");
    });
    assert!(steps > 20, "only {steps} steps");
    assert!(
        recorded_first > 10,
        "killed only {recorded_first} times after it was recorded"
    );
}

#[test]
fn offboard_is_published_by_the_same_command() {
    if !need(&TOOLS) {
        return;
    }
    let before = with_alice();
    let serial = before.serial_of("alice/phone");
    let arguments = ["offboard", "alice", "--confirm", "alice", "--json", "-q"];
    // It is `revoke` with one more event: the steps of the ledger and of the publication.
    let calls = ["fdatasync", "renameat"];
    let steps = killed_at_every(&calls, &before, &arguments, |home, step| {
        again(home, &arguments).ok();
        assert!(recorded(home, &serial), "{step}");
        is_sound(home, step);
    });
    assert!(steps > 8, "only {steps} steps");
}

#[test]
fn publish_is_finished_by_the_same_command() {
    if !need(&TOOLS) {
        return;
    }
    let before = with_alice();
    before.run(&["revoke", "alice", "--yes", "--no-publish"]);
    let steps = killed_at_every_step(&before, &["publish", "--json", "-q"], |home, step| {
        is_whole(home, step);
        again(home, &["publish", "--json", "-q"]).ok();
        is_sound(home, step);
    });
    assert!(steps > 20, "only {steps} steps");
}

#[test]
fn the_roots_crl_is_signed_by_the_same_command() {
    if !need(&TOOLS) {
        return;
    }
    let before = with_alice();
    let arguments = ["root", "crl", "--json", "-q"];
    let steps = killed_at_every_step(&before, &arguments, |home, step| {
        is_whole(home, step);
        again(home, &arguments).ok();
        is_sound(home, step);
    });
    assert!(steps > 20, "only {steps} steps");
}
