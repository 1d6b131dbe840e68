//! A place that was away gets what was signed meanwhile also where something else waits for a signature and
//! nobody opens the key, as a timer without the passphrase does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Finished, HOST, Home, files_below, finish, need, program};

/// A home that publishes to `a` and `b` beside it, each with both halves. The command of `b` fails until
/// there is a file `mended`.
fn publishing(home: Home) -> Home {
    for (place, command) in [("a", "echo >> told"), ("b", "test -e mended && echo >> ran")] {
        std::fs::create_dir(home.path(place)).unwrap();
        let path = home.path(place).display().to_string();
        home.configure_table(&format!(
            "[[publish]]\npublic = '{path}/public'\nserver = '{path}/server'\ncommand = ['sh', '-c', '{command}']\n"
        ));
    }
    finish(&mut home.pki(&["publish"]), b"").exits(5);
    home
}

/// Takes a place away, does something, and brings the place back as it was.
fn while_away(home: &Home, place: &str, deed: impl FnOnce()) {
    let (here, elsewhere) = (home.path(place), home.path("elsewhere"));
    std::fs::rename(&here, &elsewhere).unwrap();
    std::fs::write(&here, "").unwrap();
    deed();
    std::fs::remove_file(&here).unwrap();
    std::fs::rename(&elsewhere, &here).unwrap();
}

/// Takes a device back while `a` is away. The home's own halves and `b` know it then.
fn revoked_while_a_is_away(home: &Home, device: &str) {
    while_away(home, "a", || {
        finish(&mut home.pki(&["revoke", device, "--yes"]), b"").exits(5);
    });
}

/// Runs a command without the passphrase of any key.
fn without_the_key(mut command: Command) -> Finished {
    finish(command.env_remove("PKI_PASSPHRASE_FILE"), b"")
}

/// Every file in a directory, with its content.
fn content(directory: PathBuf) -> BTreeMap<String, Vec<u8>> {
    let files = files_below(&directory).into_iter();
    files
        .map(|file| (file.clone(), std::fs::read(directory.join(&file)).unwrap()))
        .collect()
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

fn is_revoked(home: &Home, place: &str, serial: &str) -> bool {
    let map = std::fs::read_to_string(home.path(place).join("server/revoked.map")).unwrap();
    map.contains(serial)
}

/// What is due, beside the place that was away.
#[derive(Debug, Clone, Copy)]
enum Due {
    Issuance,
    Revocation,
    HalfLife,
    EndedCertificate,
    Nothing,
    LongListsElsewhere,
    OtherListElsewhere,
    Index,
}

impl Due {
    fn home(self) -> Home {
        match self {
            Self::LongListsElsewhere | Self::OtherListElsewhere | Self::Index => Home::crowded(),
            Self::EndedCertificate => {
                let home = Home::staffed();
                home.issue("carol", &["--days", "1"]);
                home
            }
            Self::Nothing => {
                let home = Home::staffed();
                home.run(&["server", "add", HOST, "--out", "tls"]);
                home
            }
            Self::Issuance | Self::Revocation | Self::HalfLife => Home::staffed(),
        }
    }

    fn comes(self, home: &Home) {
        let issue = ["issue", "dora", "--no-publish", "--bundle-passphrase-out", "dora"];
        match self {
            Self::Issuance => drop(home.run(&issue)),
            Self::Revocation => drop(home.run(&["revoke", "alice", "--yes", "--no-publish"])),
            Self::LongListsElsewhere => std::fs::remove_dir_all(home.path("b/server")).unwrap(),
            Self::OtherListElsewhere => std::fs::write(home.path("b/server/devices.json"), "{}").unwrap(),
            Self::Index => std::fs::remove_dir_all(home.home().join("index")).unwrap(),
            // These come with time alone.
            Self::HalfLife | Self::EndedCertificate | Self::Nothing => {}
        }
    }

    /// The timer, with a passphrase that does not open the key, or without one.
    fn timer(self, home: &Home) -> Finished {
        let publish = ["publish", "--no-input"];
        match self {
            Self::HalfLife => without_the_key(home.pki_at("+16d", &publish)),
            Self::EndedCertificate => without_the_key(home.pki_at("+2d", &publish)),
            Self::Nothing => {
                let wrong = home.write_private("wrong", "none of this opens it");
                let mut command = home.pki(&["publish", "--no-input", "--unlock"]);
                finish(command.env("PKI_PASSPHRASE_FILE", wrong), b"")
            }
            Self::Issuance
            | Self::Revocation
            | Self::LongListsElsewhere
            | Self::OtherListElsewhere
            | Self::Index => without_the_key(home.pki(&publish)),
        }
    }
}

fn reaches_a_place_that_was_away(due: Due) {
    if !need(&["faketime", "openssl"]) {
        return;
    }
    let home = publishing(due.home());
    let bob = home.bob().serial;
    revoked_while_a_is_away(&home, "bob");
    due.comes(&home);
    let signed = ["public", "server"].map(|half| content(home.home().join(half)));
    let before = content(home.path("b"));
    std::fs::write(home.path("mended"), "").unwrap();
    let told = lines(&home.path("told"));
    assert!(!is_revoked(&home, "a", &bob), "{due:?}");

    let said = due.timer(&home).exits(4);
    let refused = if let Due::Nothing = due {
        "does not open with the passphrase"
    } else {
        "the passphrase of the issuing key is missing"
    };
    assert!(said.stderr.contains(refused), "{said}");
    assert!(is_revoked(&home, "a", &bob), "{due:?}: {said}");
    let reached = ["public", "server"].map(|half| content(home.path("a").join(half)));
    assert!(reached == signed, "{due:?}: {said}");
    assert_eq!(lines(&home.path("told")), told + 1, "{due:?}: {said}");
    assert_eq!(lines(&home.path("ran")), 1, "{due:?}: {said}");
    let own = ["public", "server"].map(|half| content(home.home().join(half)));
    assert!(own == signed, "{due:?}: {said}");
    // Nobody can tell what the place has lost.
    if let Due::LongListsElsewhere = due {
        assert!(content(home.path("b")) == before, "{said}");
        assert!(said.stderr.contains("it waits for the issuing key"), "{said}");
    }
    // It is done once.
    let again = due.timer(&home).exits(4);
    assert!(!again.stderr.contains("has what was signed before"), "{again}");
    assert_eq!(lines(&home.path("told")), told + 1, "{due:?}: {again}");
}

#[test]
fn what_is_signed_reaches_a_place_that_was_away_whatever_waits_for_the_key() {
    for due in [
        Due::Issuance,
        Due::Revocation,
        Due::HalfLife,
        Due::EndedCertificate,
        Due::Nothing,
    ] {
        reaches_a_place_that_was_away(due);
    }
}

#[test]
fn what_is_signed_reaches_a_place_that_was_away_whatever_long_lists_wait_for_the_key() {
    for due in [Due::LongListsElsewhere, Due::OtherListElsewhere, Due::Index] {
        reaches_a_place_that_was_away(due);
    }
}

#[test]
fn one_half_is_brought_where_the_other_cannot_be() {
    for (half, other, file) in [
        ("public", "server", "devices.json"),
        ("server", "public", "ca/root.crt"),
    ] {
        for is_own in [true, false] {
            let home = publishing(Home::staffed());
            revoked_while_a_is_away(&home, "bob");
            home.run(&["revoke", "alice", "--yes", "--no-publish"]);
            if is_own {
                std::fs::write(home.home().join(other).join(file), "damaged").unwrap();
            } else {
                std::fs::remove_dir_all(home.path("a").join(other)).unwrap();
                std::fs::write(home.path("a").join(other), "").unwrap();
            }
            let before = home.path("a").join(other);
            let read = || {
                if is_own {
                    content(before.clone())
                } else {
                    BTreeMap::new()
                }
            };
            let kept = read();
            without_the_key(home.pki(&["publish"])).exits(4);
            let (signed, brought) = (home.home().join(half), home.path("a").join(half));
            assert!(content(brought) == content(signed), "{half} {is_own}");
            assert!(read() == kept, "{half} {is_own}");
        }
    }
}

/// What was signed lets her in, and the place never knew her.
#[test]
fn a_place_that_never_knew_a_device_does_not_learn_of_it_once_it_is_revoked() {
    let home = publishing(Home::staffed());
    while_away(&home, "a", || {
        finish(
            &mut home.pki(&["issue", "dora", "--bundle-passphrase-out", "dora"]),
            b"",
        )
        .exits(5);
        finish(&mut home.pki(&["revoke", "bob", "--yes"]), b"").exits(5);
    });
    home.run(&["revoke", "dora", "--yes", "--no-publish"]);
    let before = content(home.path("a/server"));
    let said = without_the_key(home.pki(&["publish"])).exits(4);
    assert!(content(home.path("a/server")) == before, "{said}");
    assert!(said.stderr.contains("it waits for the issuing key"), "{said}");
    // Its CRL says that bob is locked out.
    assert!(content(home.path("a/public")) == content(home.home().join("public")));
}

/// The home was restored from a backup and signed with a higher number while the place was away.
#[test]
fn a_place_that_keeps_out_more_than_a_later_number_waits_for_the_key() {
    if !need(&["faketime", "openssl", "cp"]) {
        return;
    }
    for bob_is_known in [false, true] {
        let home = publishing(Home::staffed());
        let mut copy = program("cp");
        finish(copy.arg("-a").arg(home.home()).arg(home.path("backup")), b"").ok();
        while_away(&home, "b", || {
            finish(&mut home.pki(&["revoke", "bob", "--yes"]), b"").exits(5);
        });
        std::fs::remove_dir_all(home.home()).unwrap();
        std::fs::rename(home.path("backup"), home.home()).unwrap();
        while_away(&home, "a", || {
            finish(&mut home.pki_at("+1h", &["revoke", "alice", "--yes"]), b"").exits(5);
        });
        if bob_is_known {
            let revoke = ["revoke", "bob", "--yes", "--no-publish"];
            finish(&mut home.pki_at("+1h", &revoke), b"").ok();
        }
        let (alice, bob) = (home.alice().serial, home.bob().serial);
        let before = content(home.path("a"));
        let said = without_the_key(home.pki_at("+1h", &["publish"])).exits(4);
        assert!(content(home.path("a")) == before, "{said}");
        finish(&mut home.pki_at("+1h", &["publish"]), b"").exits(5);
        for place in ["a", "b"] {
            for serial in [&alice, &bob] {
                assert!(is_revoked(&home, place, serial), "{place} {bob_is_known}");
            }
        }
    }
}

#[test]
fn a_place_of_a_later_number_stays_as_it_is_without_the_key() {
    if !need(&["cp"]) {
        return;
    }
    let home = publishing(Home::staffed());
    let mut copy = program("cp");
    finish(copy.arg("-a").arg(home.home()).arg(home.path("backup")), b"").ok();
    std::fs::write(home.path("mended"), "").unwrap();
    home.issue("carol", &[]);
    std::fs::remove_dir_all(home.home()).unwrap();
    std::fs::rename(home.path("backup"), home.home()).unwrap();
    let before = ["a", "b"].map(|place| content(home.path(place)));
    let said = without_the_key(home.pki(&["publish", "--unlock"])).exits(4);
    let after = ["a", "b"].map(|place| content(home.path(place)));
    assert!(after == before, "{said}");
}
