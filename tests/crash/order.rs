//! What a kill cannot show and a power cut would: a file is synced before it gets its name, its directory
//! afterwards, and the ledger before anything is done on the strength of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::ground::strace_of;
use crate::support::{Home, copy_of, need};

/// What has reached the disk for good, as far as the program has asked for it.
#[derive(Default)]
struct Disk {
    synced: BTreeSet<PathBuf>,
    unsynced_names: BTreeSet<PathBuf>,
    ledger_behind: bool,
    names: usize,
    appends: usize,
}

/// The text between the first pair of these after `from`.
fn between<'a>(line: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(open)?;
    rest.split_once(close).map(|(text, _)| text)
}

impl Disk {
    /// Takes in one line of strace's log: `fsync(7</home/x>) = 0`, `renameat(7</home>, "a", 7</home>, "b") =
    /// 0`.
    fn take(&mut self, line: &str, directory: &Path) {
        let Some((call, _)) = line.split_once('(') else {
            return;
        };
        if line.contains(" = -1 EEXIST") {
            return;
        }
        assert!(!line.contains(" = -1 "), "{line}");
        let file = || directory.join(between(line, "<", ">").unwrap_or_else(|| panic!("{line}")));
        match call {
            "write" | "pwrite64" => {
                let file = file();
                if file.ends_with("ledger.jsonl") {
                    self.ledger_behind = true;
                    self.appends += 1;
                }
                self.synced.remove(&file);
            }
            "fsync" | "fdatasync" => {
                let file = file();
                if file.ends_with("ledger.jsonl") {
                    self.ledger_behind = false;
                }
                self.unsynced_names.retain(|name| name.parent() != Some(&file));
                self.synced.insert(file);
            }
            "rename" | "renameat" | "renameat2" => {
                let parts: Vec<&str> = line.split('"').collect();
                let name = |pair: &[&str]| {
                    let within = between(pair[0], "<", ">").map_or(directory, Path::new);
                    within.join(pair[1])
                };
                let names: Vec<PathBuf> = parts.chunks_exact(2).map(name).collect();
                // A home is renamed as a whole: what is in it was synced file by file.
                let synced = self.synced.contains(&normal(&names[0]));
                // A trial has no content, and is gone a moment later.
                let is_trial = names[1].extension().is_some_and(|extension| extension == "tmp");
                assert!(synced || is_trial, "named before it was synced: {line}");
                assert!(!self.ledger_behind, "named before the ledger was synced: {line}");
                self.unsynced_names.insert(normal(&names[1]));
                self.names += 1;
            }
            // A directory of the publication: what is put in place in it is nowhere without its own name.
            "mkdirat" => {
                let below = between(line, "\"", "\"").unwrap_or_else(|| panic!("{line}"));
                self.unsynced_names.insert(normal(&file().join(below)));
            }
            other => panic!("{other}: {line}"),
        }
    }
}

/// The path without its dots, as the system names it.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|part| part.as_os_str() != ".").collect()
}

/// Runs a command and follows it on its way to the disk. Says how many files got their names and how often
/// the ledger grew.
fn followed(home: &Home, arguments: &[&str]) -> (usize, usize) {
    let directory = home.path(".").canonicalize().unwrap();
    let calls = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,mkdirat";
    let mut disk = Disk::default();
    for line in strace_of(home, calls, arguments)
        .lines()
        .filter(|line| !line.starts_with("write(2<"))
    {
        disk.take(line, &directory);
    }
    assert!(!disk.ledger_behind, "{arguments:?}: the ledger was left unsynced");
    let left = disk.unsynced_names;
    assert!(
        left.is_empty(),
        "{arguments:?}: their directories were never synced: {left:?}"
    );
    (disk.names, disk.appends)
}

#[test]
fn a_file_is_synced_before_it_gets_its_name_and_its_directory_after() {
    if !need(&["strace", "openssl"]) {
        return;
    }
    let home = Home::new();
    home.configure_table(&format!("[[publish]]\npublic = {:?}\n", home.path("new/public")));
    let (names, _) = followed(&home, &["publish"]);
    // What the timer told is among them, and that nobody has servers read the place.
    assert_eq!(names, 14);
    let issue = [
        "issue",
        "alice",
        "--bundle-passphrase-out",
        "secret",
        "--qr",
        "bundle",
        "--for",
        "ios",
    ];
    let (names, appends) = followed(&home, &issue);
    // What was tried out, the bundle, its profile, two codes, the passphrase; two lists, the history and a
    // manifest twice. Issued, delivered, published.
    assert_eq!((names, appends), (11, 3));
    home.write_private("people.csv", "employee,device\nbob,phone\ncarol,phone\n");
    let list = [
        "issue",
        "--from",
        "people.csv",
        "--out",
        "out",
        "--bundle-passphrase-out",
        "secrets",
    ];
    let (names, appends) = followed(&home, &list);
    // With what was tried out, and what is noted of the list until its bundles are delivered, and that no
    // more.
    assert_eq!((names, appends), (10, 3));
    let again = copy_of(&home);
    for arguments in [&["revoke", "alice", "--yes"][..], &["root", "crl"]] {
        let (names, appends) = followed(&again, arguments);
        assert!(
            names > 5 && appends > 1,
            "{arguments:?}: {names} names, {appends} appends"
        );
    }
}

#[test]
fn a_new_home_is_synced_before_it_gets_its_name() {
    if !need(&["strace"]) {
        return;
    }
    let home = Home::unfounded();
    let (names, appends) = followed(&home, &["init", "--org", "Acme Ltd", "--domain", "acme.example"]);
    assert!(names > 20 && appends > 3, "{names} names, {appends} appends");
}

#[test]
fn an_offline_root_gets_its_names_right_before_the_home_and_after_what_proves_whose_it_is() {
    if !need(&["strace"]) {
        return;
    }
    let home = Home::unfounded();
    let mut arguments = vec!["init", "--org", "Acme Ltd", "--domain", "acme.example"];
    arguments.extend(["--offline-root", "usb"]);
    let log = strace_of(&home, "fsync,rename,renameat2", &arguments);
    let lines: Vec<&str> = log.lines().collect();
    let at = |what: &str| lines.iter().position(|line| line.contains(what)).unwrap();
    let [certificate, key] = ["\"usb/root.crt\"", "\"usb/root.key\""].map(at);
    let named = at(".init\", \"");
    assert!(certificate < key && key < named, "{log}");
    let above = format!("<{}>)", home.path(".").canonicalize().unwrap().display());
    let synced = |lines: &[&str], what: &str| {
        lines
            .iter()
            .any(|line| line.starts_with("fsync") && line.contains(what))
    };
    assert!(synced(&lines[..certificate], &above), "{log}");
    assert!(synced(&lines[certificate..key], "/usb>)"), "{log}");
    assert!(synced(&lines[key..named], "/usb>)"), "{log}");
    assert!(synced(&lines[named..], &above), "{log}");
}
