//! The publication of a home that was killed between its lists and their manifest, and that came back from an
//! older backup: nobody has signed what those lists say. It is not believed, and not forgotten.

use crate::ground::under_strace;
use crate::support::{Home, copy_of, finish, need};

/// A home that publishes both halves, and the table for it.
fn publishing(home: Home) -> Home {
    let place = home.path("web");
    home.configure_table(&format!(
        "[[publish]]\npublic = '{0}/public'\nserver = '{0}/server'\n",
        place.display()
    ));
    home.run(&["publish", "-q"]);
    home
}

fn restore(home: &Home, backup: &Home) {
    std::fs::remove_dir_all(home.home()).unwrap();
    std::fs::rename(backup.home(), home.home()).unwrap();
}

fn read(home: &Home, file: &str) -> String {
    std::fs::read_to_string(home.path(file)).unwrap_or_default()
}

/// What `doctor` says of lists that nobody has signed.
fn unsigned(home: &Home) -> Vec<String> {
    findings(home, "unsigned-list")
}

/// The messages of what `doctor` finds with this code.
fn findings(home: &Home, code: &str) -> Vec<String> {
    let said = finish(&mut home.pki(&["doctor", "--json"]), b"").json();
    let findings = said["findings"].as_array().unwrap().iter();
    let of = findings.filter(|finding| finding["code"] == code);
    of.map(|finding| finding["message"].as_str().unwrap().to_owned())
        .collect()
}

/// The serial numbers of certificates that the ledger knows with this status.
fn known(home: &Home, status: &str) -> Vec<String> {
    let listed = home.run(&["list", "--status", status, "--json"]).json();
    let devices = listed["devices"].as_array().unwrap().iter();
    devices
        .map(|device| device["serial"].as_str().unwrap().to_owned())
        .collect()
}

/// After every kill between two files: whoever servers were told of is in the ledger of the restored home, or
/// named as somebody whom it does not know.
#[test]
fn what_a_dead_home_told_servers_is_known_or_named_after_a_kill_between_any_two_files() {
    if !need(&["strace", "openssl"]) {
        return;
    }
    let before = Home::new();
    before.run(&["issue", "alice", "--bundle-passphrase-out", "first", "-q"]);
    let (mut told, mut named) = ([0; 2], [0; 2]);
    for (which, verb, map) in [
        (
            0,
            &["issue", "late", "--bundle-passphrase-out", "second"][..],
            "allowed.map",
        ),
        (1, &["revoke", "alice", "--yes"], "revoked.map"),
    ] {
        // What a reader finds changes by these alone.
        for call in ["rename", "renameat", "renameat2"] {
            for n in 1.. {
                let home = publishing(copy_of(&before));
                let backup = copy_of(&home);
                let command = home.pki(verb);
                let ended = under_strace(&command, call, &format!("{call}:signal=SIGKILL:when={n}"));
                if ended.code.is_some() {
                    ended.ok();
                    break;
                }
                let step = format!("{verb:?} killed at {call} {n}");
                let list = read(&home, &format!("web/server/{map}"));
                let lines = list.lines().filter(|line| which == 1 || line.contains("late/"));
                let serials: Vec<&str> = lines.filter_map(|line| line.split(' ').next()).collect();
                restore(&home, &backup);
                // A revocation may be in the CRL, which is signed.
                home.run(&["publish", "-q"]);
                let known = known(&home, ["valid", "revoked"][which]);
                let said = unsigned(&home);
                for serial in serials {
                    told[which] += 1;
                    let is_named = said.iter().any(|said| said.contains(serial));
                    named[which] += usize::from(is_named);
                    let is_known = known.iter().any(|known| known == serial);
                    assert!(is_named != is_known, "{step}: {serial}: {said:?}");
                }
            }
        }
    }
    assert!(
        named[0] > 0 && named[1] > 0 && told[1] > named[1],
        "{told:?} {named:?}"
    );
}

/// A home whose web server has the lists of its last publication under the manifest of the one before; its
/// backup from before both; and the serial number of the certificate that only those lists know.
fn cut_off() -> (Home, Home, String) {
    let home = publishing(Home::new());
    let backup = copy_of(&home);
    let manifests = ["manifest.json", "manifest.jws"].map(|name| home.path("web/server").join(name));
    let before = manifests.clone().map(|path| std::fs::read(path).unwrap());
    home.run(&["issue", "late", "--bundle-passphrase-out", "late", "-q"]);
    let serial = home.serial_of("late/phone");
    for (path, octets) in manifests.iter().zip(before) {
        std::fs::write(path, octets).unwrap();
    }
    (home, backup, serial)
}

#[test]
fn what_nobody_signed_is_told_until_it_is_locked_out_or_the_ledger_confirmed() {
    if !need(&["openssl"]) {
        return;
    }
    for settle in [
        &["revoke", "SERIAL", "--confirm", "SERIAL"][..],
        &["publish", "--confirm", "LEDGER"],
    ] {
        let (home, backup, serial) = cut_off();
        restore(&home, &backup);
        for _ in 0..2 {
            // It is written over the first time, for servers must not let in on the word of nobody.
            let said = home.run(&["publish", "-q"]);
            assert!(
                said.stderr.contains(&format!("accepted {serial} of late/")),
                "{said}"
            );
            assert!(said.stderr.contains("pki revoke SERIAL"), "{said}");
            assert!(!read(&home, "web/server/allowed.map").contains(&serial));
            assert_eq!(unsigned(&home).len(), 1);
        }
        let settle: Vec<&str> = settle
            .iter()
            .map(|word| word.replace("SERIAL", &serial))
            .map(|word| &*word.leak())
            .collect();
        finish(&mut home.pki(&settle), b"").ok();
        home.run(&["publish", "-q"]);
        assert_eq!(unsigned(&home), [""; 0], "{settle:?}");
        assert!(!home.home().join("doubts.json").exists());
    }
}

#[test]
fn a_home_that_knows_what_it_had_begun_has_nothing_to_tell() {
    let (home, _, serial) = cut_off();
    home.run(&["publish", "-q"]);
    assert!(read(&home, "web/server/allowed.map").contains(&serial));
    assert_eq!(unsigned(&home), [""; 0]);
}

/// Whoever may write to a place may make up what they like: it is told in one piece, and changes nothing.
#[test]
fn what_somebody_has_made_up_is_told_in_short_and_believed_by_nobody() {
    if !need(&["openssl"]) {
        return;
    }
    let home = publishing(Home::new());
    let made_up = (1..5_000).map(|n| format!("{n:032X} \"eve/phone\";\n").replacen("00", "11", 1));
    std::fs::write(home.path("web/server/allowed.map"), made_up.collect::<String>()).unwrap();
    let said = home.run(&["publish", "-q"]);
    assert!(said.stderr.lines().count() < 40, "{said}");
    let [finding] = unsigned(&home).try_into().unwrap();
    assert!(finding.contains("; and 4996 more"), "{finding}");
    assert_eq!(known(&home, "valid"), [""; 0]);
    assert_eq!(read(&home, "web/server/allowed.map"), "");
}

/// What was found is noted before it is recorded: afterwards nothing would show it any more.
#[test]
fn an_offboarding_that_was_lost_is_told_after_a_kill_of_the_first_publication() {
    if !need(&["strace", "openssl"]) {
        return;
    }
    let before = Home::new();
    before.run(&["issue", "alice", "--bundle-passphrase-out", "first", "-q"]);
    let mut steps = 0;
    for call in ["fdatasync", "rename", "renameat"] {
        for n in 1.. {
            let home = publishing(copy_of(&before));
            let backup = copy_of(&home);
            home.run(&["offboard", "alice", "--confirm", "alice", "-q"]);
            restore(&home, &backup);
            let command = home.pki(&["publish", "-q"]);
            let ended = under_strace(&command, call, &format!("{call}:signal=SIGKILL:when={n}"));
            if ended.code.is_some() {
                ended.ok();
                break;
            }
            home.run(&["publish", "-q"]);
            assert_eq!(
                findings(&home, "offboarding-lost").len(),
                1,
                "killed at {call} {n}"
            );
            steps += 1;
        }
    }
    assert!(steps > 5, "{steps}");
}
