//! A fetch that is killed at any step leaves the old publication or the new one, whole, and the next fetch
//! finishes the work.

use std::path::Path;

use crate::ground::killed_at_every_step;
use crate::support::{Home, files_below, finish, need};

const FETCH: [&str; 8] = [
    "fetch",
    "home/public",
    "--root",
    "home/root/root.crt",
    "--out",
    "out",
    "--exec",
    "echo run >> runs",
];

/// Every file of a publication with its octets.
fn content(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| {
        let octets = std::fs::read(directory.join(&name)).unwrap();
        (name, octets)
    };
    files_below(directory).into_iter().map(read).collect()
}

fn runs(home: &Home) -> usize {
    std::fs::read_to_string(home.path("runs"))
        .unwrap_or_default()
        .lines()
        .count()
}

#[test]
fn a_fetch_leaves_the_old_publication_or_the_new_one() {
    if !need(&["strace", "openssl"]) {
        return;
    }
    let before = Home::new();
    before.run(&["issue", "alice", "--bundle-passphrase-out", "first", "-q"]);
    before.run(&FETCH);
    let old = content(&before.path("out"));
    before.run(&["revoke", "alice", "--yes", "-q"]);
    let (mut swapped, mut ran_again) = (0, 0);
    let steps = killed_at_every_step(&before, &FETCH, |home, step| {
        let new = content(&home.public(""));
        let out = content(&home.path("out"));
        assert!(out == old || out == new, "{step}: neither the old nor the new");
        swapped += usize::from(out == new);
        let runs_before = runs(home);
        let said = finish(&mut home.pki(&FETCH), b"").ok();
        assert!(content(&home.path("out")) == new, "{step}: {said}");
        // The command has followed the change at least once, by whichever of the two.
        assert!(runs(home) >= 2, "{step}");
        ran_again += usize::from(runs(home) > runs_before);
        // Nothing is left but the two versions, and no command is left to be run.
        let kept = std::fs::read_dir(home.path(".out.pki-fetch")).unwrap().count();
        assert_eq!(kept, 3, "{step}");
        let beside = std::fs::read_dir(home.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        assert!(
            !beside
                .into_iter()
                .any(|name| name.to_str().unwrap().ends_with(".tmp")),
            "{step}"
        );
        finish(&mut home.pki(&FETCH), b"").ok();
        assert_eq!(
            runs(home),
            runs_before + usize::from(runs_before < runs(home)),
            "{step}"
        );
    });
    assert!(steps > 30, "only {steps} steps");
    assert!(swapped > 3, "killed only {swapped} times after the swap");
    assert!(ran_again > 20, "only {ran_again}");
}

#[test]
fn a_first_fetch_leaves_nothing_or_a_whole_publication() {
    if !need(&["strace", "openssl"]) {
        return;
    }
    let before = Home::new();
    let steps = killed_at_every_step(&before, &FETCH, |home, step| {
        let new = content(&home.public(""));
        let out = home.path("out");
        assert!(!out.exists() || content(&out) == new, "{step}");
        finish(&mut home.pki(&FETCH), b"").ok();
        assert!(content(&out) == new, "{step}");
        assert!(runs(home) >= 1, "{step}");
    });
    assert!(steps > 30, "only {steps} steps");
}
