//! Backups and restores that are killed at every step, or find the disk full.

use crate::ground::killed_at_every_step;
use crate::state::is_sound;
use crate::support::{Home, files_below, finish, need};

/// A home with a phone, and its passphrase for backups.
fn home() -> Home {
    let home = Home::new().opening_at_once();
    home.issue("alice/phone", &[]);
    home.write_private("backup-passphrase", "the passphrase of backups\n");
    home
}

const SECRET: [&str; 2] = ["--backup-passphrase-file", "backup-passphrase"];

fn back_up(home: &Home, name: &str) {
    home.run(&[&["backup", name, "-q"][..], &SECRET].concat());
}

fn named(home: &Home, part: &str) -> Vec<String> {
    let names = std::fs::read_dir(home.path("")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(part)).collect()
}

#[test]
fn a_backup_is_there_whole_or_not_at_all() {
    if !need(&["strace", "openssl"]) {
        return;
    }
    let before = home();
    let command = [&["backup", "one.age", "-q"][..], &SECRET].concat();
    let mut made = 0;
    let steps = killed_at_every_step(&before, &command, |home, step| {
        if home.path("one.age").exists() {
            made += 1;
            let rehearse = ["restore", "--rehearse", "one.age", "-q"];
            home.run(&[&rehearse[..], &SECRET].concat());
        } else {
            home.run(&command);
        }
        assert_eq!(named(home, ".tmp"), [""; 0], "{step}");
        is_sound(home, step);
    });
    assert!(steps > 10 && made > 0, "{steps} steps, {made} made");
}

#[test]
fn a_restore_is_done_whole_or_not_at_all() {
    if !need(&["strace", "openssl"]) {
        return;
    }
    let before = home();
    back_up(&before, "one.age");
    std::fs::remove_dir_all(before.home()).unwrap();
    let command = [&["restore", "one.age", "-q"][..], &SECRET].concat();
    let mut restored = 0;
    let steps = killed_at_every_step(&before, &command, |home, step| {
        if home.home().exists() {
            restored += 1;
        } else {
            home.run(&command);
        }
        // However it came there, it is unreconciled.
        let said = finish(&mut home.pki(&["publish"]), b"").exits(4);
        assert!(
            said.stderr.contains("restored") || said.stderr.contains("what happened since"),
            "{step}: {said}"
        );
        home.run(&["publish", "--confirm", "LEDGER", "-q"]);
        assert_eq!(named(home, ".restore"), [""; 0], "{step}");
        is_sound(home, step);
    });
    assert!(steps > 10 && restored > 0, "{steps} steps, {restored} restored");
}

#[test]
fn a_home_that_is_replaced_is_there_before_and_after() {
    if !need(&["strace", "openssl"]) {
        return;
    }
    let before = home();
    back_up(&before, "old.age");
    before.issue("bob/phone", &[]);
    back_up(&before, "new.age");
    // The home of the older backup, as it was before anything said that it is restored.
    let events = |home: &Home| {
        std::fs::read_to_string(home.home().join("ledger.jsonl"))
            .unwrap()
            .lines()
            .count()
    };
    std::fs::rename(before.home(), before.path("newer")).unwrap();
    before.run(&[&["restore", "old.age", "-q"][..], &SECRET].concat());
    let ledger = std::fs::read_to_string(before.home().join("ledger.jsonl")).unwrap();
    let lines = ledger.lines().count();
    let ledger: String = ledger.split_inclusive('\n').take(lines - 1).collect();
    std::fs::write(before.home().join("ledger.jsonl"), ledger).unwrap();
    std::fs::remove_dir_all(before.home().join("index")).unwrap();
    std::fs::remove_dir_all(before.path("newer")).unwrap();
    let old = events(&before);
    let command = [&["restore", "new.age", "-q"][..], &SECRET].concat();
    let steps = killed_at_every_step(&before, &command, |home, step| {
        assert!(home.home().join("issuing/issuing.key").exists(), "{step}");
        if events(home) == old {
            home.run(&command);
        }
        assert!(events(home) > old + 1, "{step}");
        let aside = named(home, "before-restore");
        assert!(!aside.is_empty(), "{step}");
        for aside in aside {
            assert!(
                files_below(&home.path(aside)).contains(&"ledger.jsonl".to_owned()),
                "{step}"
            );
        }
    });
    assert!(steps > 10, "{steps} steps");
}
