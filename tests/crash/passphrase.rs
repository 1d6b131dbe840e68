//! A change of the everyday passphrase that is killed at every step, or finds the disk full.

use crate::ground::{killed_at_every, refused_at_every_step};
use crate::support::{Home, files_below, need};

/// A home with several keys, all cheap to open.
fn home() -> Home {
    let home = Home::with_server().opening_at_once();
    home.write_private("new", "four other secret words\n");
    home
}

const CHANGE: [&str; 5] = ["ca", "passphrase", "--new-passphrase-file", "new", "-q"];

/// Which of the two passphrases opens all keys. The program is run first, which finishes what was begun.
fn opens_all(home: &Home, step: &str) -> &'static str {
    home.run(&["list", "-q"]);
    let files = files_below(&home.home());
    assert!(!files.iter().any(|file| file.starts_with("rekeyed/")), "{step}");
    let opens = |file: &String, passphrase: &str| {
        let (key, secret) = (
            home.home().join(file),
            format!("file:{}", home.path(passphrase).display()),
        );
        let arguments = [
            "pkcs8",
            "-in",
            key.to_str().unwrap(),
            "-passin",
            &secret,
            "-out",
            "/dev/null",
        ];
        home.foreign("openssl", &arguments).code == Some(0)
    };
    let keys = files.iter().filter(|file| file.ends_with(".key"));
    let keys: Vec<_> = keys
        .filter(|file| file.starts_with("issuing/") || file.starts_with("servers/"))
        .collect();
    assert!(keys.len() > 2, "{keys:?}");
    let count = |passphrase| keys.iter().filter(|file| opens(file, passphrase)).count();
    match (count("issuing-passphrase"), count("new")) {
        (0, new) if new == keys.len() => "new",
        (old, 0) if old == keys.len() => "old",
        other => panic!("{step}: old and new open {other:?} of {}", keys.len()),
    }
}

#[test]
fn one_of_the_two_passphrases_opens_all_keys_wherever_it_is_killed() {
    if !need(&["strace", "openssl"]) {
        return;
    }
    let before = home();
    let mut seen = [0, 0];
    // What is only written counts for nothing: names do.
    let steps = killed_at_every(
        &["mkdir", "rename", "renameat", "unlinkat"],
        &before,
        &CHANGE,
        |home, step| {
            seen[usize::from(opens_all(home, step) == "new")] += 1;
        },
    );
    assert!(steps > 8 && seen[0] > 3 && seen[1] > 1, "{steps} steps: {seen:?}");
}

#[test]
fn a_full_disk_leaves_one_of_the_two_passphrases() {
    if !need(&["strace", "openssl"]) {
        return;
    }
    let before = home();
    let steps = refused_at_every_step(
        &before,
        &["mkdir", "rename"],
        "ENOSPC",
        &CHANGE,
        |home, ended, step| {
            assert!(!ended.stderr.contains("panicked"), "{step}: {ended}");
            let opens = opens_all(home, step);
            if ended.code == Some(0) {
                assert_eq!(opens, "new", "{step}: {ended}");
            }
        },
    );
    assert!(steps > 4, "{steps} steps");
}
