//! The index is derived: whatever becomes of it, the next command makes it anew and says so.

use std::path::{Path, PathBuf};

use crate::state::{findings, is_sound, kind};
use crate::support::{Finished, Home, copy_of, files_below, finish, need};

/// A home with alice, valid, and bob, revoked.
fn lived_in() -> Home {
    let home = Home::new();
    for who in ["alice", "bob"] {
        home.run(&["issue", who, "--bundle-passphrase-out", who, "-q"]);
    }
    home.run(&["revoke", "bob", "--yes", "-q"]);
    home
}

/// The same, and so many others that the ledger is not read whole any more.
fn crowded() -> Home {
    let home = lived_in();
    let rows: String = (0..400).map(|i| format!("person{i},phone\n")).collect();
    home.write_private("people.csv", &format!("employee,device\n{rows}"));
    home.run(&[
        "issue",
        "--from",
        "people.csv",
        "--out",
        "bundles",
        "--bundle-passphrase-out",
        "secrets",
        "-q",
    ]);
    std::fs::remove_dir_all(home.path("bundles")).unwrap();
    home
}

fn damaged(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut octets = std::fs::read(file).unwrap();
    change(&mut octets);
    std::fs::write(file, octets).unwrap();
}

fn index(home: &Home, file: &str) -> PathBuf {
    home.home().join("index").join(file)
}

/// Every way in which an index is damaged here, by name.
/// What is done to a home, by name.
type Damage = (String, Box<dyn Fn(&Home)>);

fn damages(before: &Home) -> Vec<Damage> {
    let mut all: Vec<Damage> = Vec::new();
    all.push((
        "removed".into(),
        Box::new(|home| std::fs::remove_dir_all(home.home().join("index")).unwrap()),
    ));
    all.push((
        "emptied".into(),
        Box::new(|home| {
            for file in files_below(&home.home().join("index")) {
                std::fs::remove_file(index(home, &file)).unwrap();
            }
        }),
    ));
    let files = files_below(&before.home().join("index"));
    for file in files {
        let (gone, short, garbage, flipped) = (file.clone(), file.clone(), file.clone(), file.clone());
        all.push((
            format!("without {file}"),
            Box::new(move |home| std::fs::remove_file(index(home, &gone)).unwrap()),
        ));
        all.push((
            format!("{file} cut short"),
            Box::new(move |home| damaged(&index(home, &short), |octets| octets.truncate(octets.len() / 2))),
        ));
        all.push((
            format!("{file} overwritten"),
            Box::new(move |home| damaged(&index(home, &garbage), |octets| octets.fill(0xA5))),
        ));
        all.push((
            format!("{file} with garbage at its beginning"),
            Box::new(move |home| {
                damaged(&index(home, &flipped), |octets| {
                    octets.iter_mut().take(64).for_each(|o| *o ^= 0x5A)
                });
            }),
        ));
    }
    all
}

fn quiet(finished: &Finished, what: &str) {
    assert!(!finished.stderr.contains("panicked"), "{what}: {finished}");
}

/// Damages the index in every way, each time before the next command. Says how often that command told that
/// it made it anew.
fn rebuilt_from(before: &Home) -> usize {
    let inventory = before.run(&["list", "--json"]).json();
    let count = inventory["devices"].as_array().unwrap().len();
    let mut rebuilt = 0;
    for (what, damage) in damages(before) {
        let home = copy_of(before);
        damage(&home);
        // To read, no index is needed.
        let listed = home.run(&["list", "--json"]);
        quiet(&listed, &what);
        assert_eq!(listed.json(), inventory, "{what}");
        let issued = finish(
            &mut home.pki(&["issue", "carol", "--bundle-passphrase-out", "carol"]),
            b"",
        )
        .ok();
        quiet(&issued, &what);
        // Some damage costs it nothing: then there is nothing to tell.
        if issued
            .stderr
            .contains("pki: the index was made anew from the ledger")
        {
            rebuilt += 1;
        }
        // Who is valid is known, and who is revoked.
        let again = finish(
            &mut home.pki(&["issue", "alice", "--bundle-passphrase-out", "x", "--json"]),
            b"",
        )
        .exits(1);
        assert_eq!(kind(&again), "already-valid", "{what}");
        let all = is_sound(&home, &what);
        assert_eq!(all.len(), count + 1, "{what}");
        assert!(
            all.iter()
                .any(|one| one.address == "bob/phone" && one.status == "revoked"),
            "{what}: {all:?}"
        );
    }
    rebuilt
}

#[test]
fn a_damaged_head_is_made_anew_and_told() {
    if !need(&["openssl"]) {
        return;
    }
    let before = lived_in();
    assert_eq!(files_below(&before.home().join("index")), ["head"]);
    // Removed, emptied, without the head, and the head cut, overwritten and begun with garbage.
    assert_eq!(rebuilt_from(&before), 6);
}

#[test]
fn a_damaged_index_is_made_anew_and_told() {
    if !need(&["openssl"]) {
        return;
    }
    let before = crowded();
    let files = files_below(&before.home().join("index"));
    assert!(
        ["conf", "db", "head"]
            .iter()
            .all(|file| files.contains(&(*file).to_owned())),
        "{files:?}"
    );
    let rebuilt = rebuilt_from(&before);
    assert!(rebuilt >= 6, "only {rebuilt} were made anew");
}

#[test]
fn doctor_tells_that_the_index_was_made_anew() {
    if !need(&["openssl"]) {
        return;
    }
    let home = crowded();
    damaged(&index(&home, "conf"), |octets| octets.fill(0xA5));
    let found = findings(&home);
    let rebuilt = found
        .iter()
        .find(|finding| finding["code"] == "index-rebuilt")
        .unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!(rebuilt["severity"], "warning");
    is_sound(&home, "after doctor");
}

#[test]
fn an_index_behind_the_ledger_catches_up() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    let old = home.path("old-index");
    let mut copy = crate::support::program("cp");
    copy.arg("-a").arg(home.home().join("index")).arg(&old);
    finish(&mut copy, b"").ok();
    home.run(&["issue", "carol", "--bundle-passphrase-out", "carol", "-q"]);
    std::fs::remove_dir_all(home.home().join("index")).unwrap();
    std::fs::rename(&old, home.home().join("index")).unwrap();
    let again = finish(
        &mut home.pki(&["issue", "carol", "--bundle-passphrase-out", "x", "--json"]),
        b"",
    )
    .exits(1);
    assert_eq!(kind(&again), "already-valid");
    is_sound(&home, "caught up");
}
