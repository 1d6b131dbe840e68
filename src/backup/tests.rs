//! A backup is read as it was written, and anything else is refused by its name.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use super::*;
use crate::age::{self, AgeError, FileKey, Identity, Sealed};
use crate::key::os_rng;
use crate::model::{Fact, Time};
use crate::store::{Extent, Paths, Store};

/// A ledger of some events, and how far it goes.
fn ledger() -> (Vec<u8>, Extent) {
    let directory = tempfile::tempdir().unwrap();
    let paths = Paths::in_home(directory.path());
    let fact = |name: &str| Fact::Initialized {
        organization: name.to_owned(),
        root: "root".into(),
        issuing: "issuing".into(),
        permitted: None,
    };
    let time = Time::from_unix(1_800_000_000);
    Store::create(&paths, fact("Acme"), time, "by").unwrap();
    let mut store = Store::open(&paths, std::time::Duration::ZERO, time).unwrap();
    let batch = ["1", "2", "3"].map(|name| Fact::Offboarded {
        employee: format!("e{name}").parse().unwrap(),
    });
    store.commit(batch.into(), time, "by").unwrap();
    (std::fs::read(paths.ledger).unwrap(), store.extent())
}

fn header(ledger: Extent) -> Header {
    Header::new(
        "Acme".into(),
        [7; 32],
        Time::from_unix(1_800_000_001),
        ledger,
        false,
    )
}

fn name(path: &str) -> Name {
    Name::new(path).unwrap()
}

type Made = (Vec<u8>, FileKey);

fn encrypted() -> age::Writer<Vec<u8>> {
    let identity = Identity::generate(&mut os_rng());
    age::Writer::to_recipients(Vec::new(), &[identity.recipient()], &mut os_rng()).unwrap()
}

/// A backup with these files, the ledger last.
fn backup(files: &[(&str, &[u8])], ledger: &[u8], extent: Extent) -> Made {
    let mut writer = Writer::begin(encrypted(), &header(extent)).unwrap();
    for (path, octets) in files {
        if path.ends_with('/') {
            writer.directory(&name(path.trim_end_matches('/'))).unwrap();
        } else {
            writer.file(&name(path), octets).unwrap();
        }
    }
    writer
        .stream(&name("ledger.jsonl"), ledger.len() as u64, ledger)
        .unwrap();
    writer.finish().unwrap()
}

/// What a receiver got.
#[derive(Default)]
struct Got(BTreeMap<String, Vec<u8>>);

impl Receiver for Got {
    fn directory(&mut self, name: &Name) -> Result<(), BackupError> {
        self.0.insert(format!("{}/", name.as_str()), Vec::new());
        Ok(())
    }

    fn file(&mut self, name: &Name, content: &mut dyn Read) -> Result<(), BackupError> {
        let mut octets = Vec::new();
        content.read_to_end(&mut octets)?;
        self.0.insert(name.as_str().to_owned(), octets);
        Ok(())
    }
}

fn take((file, key): &Made, receiver: &mut dyn Receiver) -> Result<Header, BackupError> {
    read(Sealed::read(file.as_slice())?.open(key)?, receiver)
}

/// The text of the error by which it is refused, whoever takes it.
fn refused(made: &Made) -> String {
    let error = take(made, &mut Unread).unwrap_err().to_string();
    assert_eq!(take(made, &mut Got::default()).unwrap_err().to_string(), error);
    error
}

/// An archive of these entries, whatever they are.
fn archive(entries: &[(tar::EntryType, &str, &[u8])]) -> Made {
    let mut tar = tar::Builder::new(encrypted());
    for (kind, path, octets) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(octets.len() as u64);
        // As it is, without the checks of the library.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        if kind.is_symlink() {
            header.set_link_name("pki.toml").unwrap();
        }
        header.set_cksum();
        tar.append(&header, *octets).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn what_was_written_is_read() {
    let (ledger, extent) = ledger();
    let long = format!("templates/{}/{}.toml", "a".repeat(90), "ü".repeat(60));
    let files: [(&str, &[u8]); 6] = [
        ("pki.toml", b"days = 7\n"),
        ("root/", b""),
        ("root/root.crt", b""),
        ("owed.json", b"{}"),
        ("hmac/api.acme.example/1-0A.key", &[0, 255, 10]),
        (&long, b"x"),
    ];
    let made = backup(&files, &ledger, extent);
    let mut got = Got::default();
    assert_eq!(take(&made, &mut got).unwrap(), header(extent));
    let mut expected: BTreeMap<String, Vec<u8>> = files
        .iter()
        .map(|(path, octets)| ((*path).to_owned(), octets.to_vec()))
        .collect();
    expected.insert("ledger.jsonl".into(), ledger);
    assert_eq!(got.0, expected);
    assert_eq!(take(&made, &mut Unread).unwrap(), header(extent));
}

#[test]
fn an_octet_that_is_changed_or_missing_anywhere_is_found() {
    let (ledger, extent) = ledger();
    let (file, key) = backup(&[("pki.toml", b"days = 7\n")], &ledger, extent);
    for at in (0..file.len()).step_by(7) {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(
            take(&(changed, key.clone()), &mut Unread).is_err(),
            "{at} of {}",
            file.len()
        );
        assert!(
            take(&(file[..at].to_vec(), key.clone()), &mut Unread).is_err(),
            "cut at {at}"
        );
    }
    let damaged = (file[..file.len() - 1].to_vec(), key);
    let error = take(&damaged, &mut Unread).unwrap_err();
    assert!(matches!(error, BackupError::Age(AgeError::CutOff(_))), "{error}");
}

#[test]
fn a_ledger_that_does_not_hold_is_found_although_it_is_what_was_written() {
    let (ledger, extent) = ledger();
    let broken = |change: &dyn Fn(&mut Vec<u8>), extent: Extent| {
        let mut changed = ledger.clone();
        change(&mut changed);
        refused(&backup(&[], &changed, extent))
    };
    let lines: Vec<usize> = (0..ledger.len()).filter(|i| ledger[*i] == b'\n').collect();
    let behind = |events: u64| format!("holds a ledger that is damaged behind event {events}");
    let second = lines[1] - 100;
    assert_eq!(broken(&|ledger| ledger[second] ^= 1, extent), behind(1));
    // The last batch has three events.
    assert_eq!(broken(&|ledger| ledger.truncate(lines[2] + 1), extent), behind(3));
    assert_eq!(broken(&|ledger| ledger.truncate(lines[3]), extent), behind(3));
    assert_eq!(
        broken(&|ledger| ledger.extend_from_slice(b"{}\n"), extent),
        behind(4)
    );
    assert_eq!(broken(&|ledger| ledger.clear(), extent), behind(0));
    // It holds, and is not the one that the header names.
    assert_eq!(broken(&|ledger| ledger.truncate(lines[0] + 1), extent), behind(1));
    let other = Extent {
        head: [1; 32],
        ..extent
    };
    assert_eq!(broken(&|_| (), other), behind(4));
}

#[test]
fn what_is_no_backup_is_told_from_one() {
    use tar::EntryType::{Directory, Regular, Symlink};
    let (ledger, extent) = ledger();
    let first = header(extent).write();
    let first = |path| (Regular, path, first.as_slice());
    let (begin, events) = (
        first("backup.json"),
        (Regular, "home/ledger.jsonl", ledger.as_slice()),
    );
    let none = "is no backup of a home: backup.json is not the first that it holds";
    assert_eq!(refused(&archive(&[])), none);
    assert_eq!(refused(&archive(&[events, begin])), none);
    assert_eq!(refused(&archive(&[(Directory, "backup.json", b"")])), none);
    for (entries, why) in [
        (vec![begin, events], "it has no SHA256SUMS"),
        (
            vec![begin, events, begin],
            "it holds \"backup.json\", which no backup does",
        ),
        (vec![begin, events, events], "it holds home/ledger.jsonl twice"),
        (
            vec![begin, (Symlink, "home/pki.toml", b"")],
            "home/pki.toml is neither a file nor a directory",
        ),
        (vec![begin, (Regular, "home", b"")], "the home in it is a file"),
        (
            vec![begin, events, (Regular, "SHA256SUMS", b"")],
            "its SHA256SUMS does not name backup.json",
        ),
        (
            vec![begin, (Regular, "SHA256SUMS", b"x"), events],
            "SHA256SUMS is not the last that it holds",
        ),
        (
            vec![begin, (Regular, "SHA256SUMS", b"x")],
            "a line of its SHA256SUMS is none",
        ),
    ] {
        assert_eq!(refused(&archive(&entries)), format!("is no whole backup: {why}"));
    }
    for path in [
        "home/../pki.toml",
        "/home/pki.toml",
        "home//pki.toml",
        "homes/pki.toml",
        "pki.toml",
        "home/index/db",
        "home/public/x",
        "home/lock",
        "home/root/..",
        "home/a\\b.json",
        "home/x.json/y",
        "home/notes.txt",
    ] {
        let error = refused(&archive(&[begin, (Regular, path, b"")]));
        assert!(error.ends_with("which no backup does"), "{path}: {error}");
    }
}

#[test]
fn the_list_is_of_these_files_and_no_others() {
    let (ledger, extent) = ledger();
    let (file, key) = backup(&[("pki.toml", b"days = 7\n")], &ledger, extent);
    let mut content = Vec::new();
    Sealed::read(file.as_slice())
        .unwrap()
        .open(&key)
        .unwrap()
        .read_to_end(&mut content)
        .unwrap();
    let again = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut content = content.clone();
        change(&mut content);
        let mut writer = encrypted();
        writer.write_all(&content).unwrap();
        refused(&writer.finish().unwrap())
    };
    let at = |what: &[u8]| {
        content
            .windows(what.len())
            .position(|window| window == what)
            .unwrap()
    };
    // A file that is not what the list says, and a list that names another.
    let changed = again(&|content| content[at(b"days = 7")] ^= 1);
    assert_eq!(
        changed,
        "is no whole backup: home/pki.toml is not what its SHA256SUMS says"
    );
    let named = again(&|content| content[at(b"  home/pki.toml\n") + 7] = b'q');
    assert_eq!(
        named,
        "is no whole backup: its SHA256SUMS names \"home/qki.toml\", which it does not hold"
    );
    let more = again(&|content| content.extend_from_slice(b"more"));
    assert_eq!(more, "is no whole backup: something follows its end");
}

#[test]
fn a_later_format_is_named_and_a_member_that_is_not_known_is_passed_over() {
    let (ledger, extent) = ledger();
    let text = String::from_utf8(header(extent).write()).unwrap();
    let later = text.replace("\"format\":1", "\"format\":2");
    let made = archive(&[(tar::EntryType::Regular, "backup.json", later.as_bytes())]);
    assert_eq!(
        refused(&made),
        "is a backup of format 2, which only a later version of pki knows"
    );
    let more = text.replace("\"format\":1", "\"format\":1,\"more\":[]");
    assert_eq!(Header::read(more.as_bytes()).unwrap(), header(extent));
    assert!(Header::read(b"{}").is_err());
    drop(ledger);
}

#[test]
fn a_file_that_shrinks_while_it_is_read_makes_no_backup() {
    let (ledger, extent) = ledger();
    let mut writer = Writer::begin(encrypted(), &header(extent)).unwrap();
    let error = writer
        .stream(&name("ledger.jsonl"), ledger.len() as u64 + 1, ledger.as_slice())
        .unwrap_err();
    assert!(matches!(error, BackupError::Moved(path) if path == "ledger.jsonl"));
}

#[test]
fn only_names_that_are_the_same_everywhere_are_kept() {
    for good in [
        "pki.toml",
        "owed.json",
        "root",
        "servers/api.acme.example/active.key",
        "templates/ü ö.conf",
    ] {
        assert_eq!(Name::new(good).unwrap().as_str(), good);
    }
    for bad in [
        "",
        ".",
        "root/",
        "root//x",
        "root/../x",
        "templates/a\nb",
        "templates/a\\b",
        "index",
        "public/x",
    ] {
        assert!(matches!(Name::new(bad), Err(BackupError::Name(_))), "{bad:?}");
    }
}
