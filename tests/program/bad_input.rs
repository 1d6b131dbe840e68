//! Bad input, by name: the exact error that each gives, and the proof that nothing was written.

mod handed_in;
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{
    Finished, Home, ISSUING_PASSPHRASE, ROOT_PASSPHRASE, copy_of, files_below, finish, need,
};

/// What is there: the digest of every file of the home and of everything beside it, and every directory and
/// link.
///
/// The lock is the one file that every command may write: it says who has it.
fn snapshot(home: &Home) -> BTreeMap<PathBuf, Option<[u8; 32]>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![home.path(".")];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                found.insert(path, None);
            } else if path.is_dir() {
                waiting.push(path.clone());
                found.insert(path, None);
            } else if path != home.path("./home/lock") {
                let digest = Sha256::digest(std::fs::read(&path).unwrap());
                found.insert(path, Some(digest.into()));
            }
        }
    }
    found
}

/// Puts a file of `tests/data` beside the home, mode 0600.
fn given(home: &Home, folder: &str, name: &str) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(folder)
        .join(name);
    std::fs::write(home.path(name), std::fs::read(&from).unwrap()).unwrap();
    std::fs::set_permissions(home.path(name), Permissions::from_mode(0o600)).unwrap();
}

/// Every file of a folder of `tests/data` is in this table, or is good.
fn demand_complete<'a>(folder: &str, table: impl Iterator<Item = &'a str>) {
    let mut named: Vec<&str> = table.collect();
    named.sort_unstable();
    let there = files_below(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data")
            .join(folder),
    );
    let bad: Vec<&str> = there
        .iter()
        .map(String::as_str)
        .filter(|name| !name.starts_with("good"))
        .collect();
    assert_eq!(bad, named);
}

/// What an error must be.
#[derive(Debug, Clone, Copy)]
struct Wrong<'a> {
    exit: i32,
    kind: &'a str,
    message: &'a str,
}

fn refused<'a>(message: &'a str) -> Wrong<'a> {
    Wrong {
        exit: 1,
        kind: "refused",
        message,
    }
}

fn usage<'a>(message: &'a str) -> Wrong<'a> {
    Wrong {
        exit: 2,
        kind: "usage",
        message,
    }
}

fn place<'a>(message: &'a str) -> Wrong<'a> {
    Wrong {
        exit: 1,
        kind: "place",
        message,
    }
}

fn unknown<'a>(message: &'a str) -> Wrong<'a> {
    Wrong {
        exit: 1,
        kind: "unknown",
        message,
    }
}

fn secret<'a>(message: &'a str) -> Wrong<'a> {
    Wrong {
        exit: 4,
        kind: "secret",
        message,
    }
}

/// Runs a command that must fail in exactly this way, for people and for scripts, and must leave everything
/// as it was.
#[track_caller]
fn fails(home: &Home, arguments: &[&str], wrong: Wrong<'_>) -> Finished {
    let before = snapshot(home);
    let mut command = home.pki(arguments);
    let told = finish(command.arg("--json"), b"");
    let error: Value = serde_json::from_str(&told.stderr).unwrap_or_else(|error| panic!("{error}: {told}"));
    assert_eq!(error["error"]["message"], wrong.message, "{told}");
    assert_eq!(error["error"]["kind"], wrong.kind, "{told}");
    assert_eq!(
        (told.code, told.stdout.as_str()),
        (Some(wrong.exit), ""),
        "{told}"
    );

    let told = finish(&mut home.pki(arguments), b"").exits(wrong.exit);
    assert!(
        told.stderr.starts_with(&format!("pki: {}\n", wrong.message)),
        "{told}"
    );
    assert_eq!(told.stdout, "", "{told}");
    // What a terminal obeys, or what reorders a line, is never repeated as it came.
    let harmless = |c: char| {
        c == '\n' || !(c.is_control() || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'))
    };
    assert!(told.stderr.chars().all(harmless), "{:?}", told.stderr);
    assert!(!told.stderr.contains(ISSUING_PASSPHRASE), "{told}");
    assert_eq!(snapshot(home), before, "something was written: {told}");
    told
}

/// As [`fails`], for a command that gets as far as the work: those end with a table of what was done, which
/// is nothing.
#[track_caller]
fn fails_at_work(home: &Home, arguments: &[&str], wrong: Wrong<'_>) {
    let before = snapshot(home);
    let told = finish(&mut home.pki(arguments), b"").exits(wrong.exit);
    assert!(
        told.stderr.contains(&format!("pki: {}\n", wrong.message)),
        "{told}"
    );
    let told = finish(home.pki(arguments).arg("--json"), b"").exits(wrong.exit);
    let error = told.stderr.lines().find(|line| line.starts_with('{'));
    let error: Value = serde_json::from_str(error.unwrap()).unwrap();
    assert_eq!(error["error"]["kind"], wrong.kind, "{told}");
    assert_eq!(snapshot(home), before, "something was written: {told}");
}

const ONLY: &str = "it may have a-z, 0-9, dot, underscore and hyphen only";

#[test]
fn addresses() {
    let home = Home::new();
    let long = "a".repeat(300);
    let shown = "a".repeat(60);
    for (address, message) in [
        (
            "../x",
            "\"..\" is not an employee's name: it must begin with a letter or a digit".to_owned(),
        ),
        (
            "alice/..",
            "\"..\" is not a device's name: it must begin with a letter or a digit".to_owned(),
        ),
        (
            "Alice",
            "\"Alice\" is not an employee's name: it may not have upper-case letters".to_owned(),
        ),
        (
            "a//b",
            "\"a//b\" is not an address: EMPLOYEE/DEVICE has exactly one slash".to_owned(),
        ),
        ("alice/", "\"\" is not a device's name: it is empty".to_owned()),
        ("/phone", "\"\" is not an employee's name: it is empty".to_owned()),
        ("", "\"\" is not an employee's name: it is empty".to_owned()),
        ("al ice", format!("\"al ice\" is not an employee's name: {ONLY}")),
        (
            "al\u{200F}ice",
            format!("\"al\\u{{200f}}ice\" is not an employee's name: {ONLY}"),
        ),
        (
            "al\u{1b}[2Jice",
            format!("\"al\\u{{1b}}[2Jice\" is not an employee's name: {ONLY}"),
        ),
        (
            "\u{430}lice",
            format!("\"\u{430}lice\" is not an employee's name: {ONLY}"),
        ),
        (
            &long,
            format!("\"{shown}…\" is not an employee's name: it has 300 characters, and may have 64"),
        ),
    ] {
        fails(
            &home,
            &["issue", address, "--out", "out"],
            usage(&format!("[ADDRESS]: {message}")),
        );
        fails(
            &home,
            &["renew", address, "--out", "out"],
            usage(&format!("[ADDRESS]: {message}")),
        );
        fails(
            &home,
            &["revoke", address, "--yes"],
            usage(&format!("<ADDRESS|SERIAL>: {message}")),
        );
    }
}

#[test]
fn a_value_that_is_nearly_right_is_told_how_to_write_it() {
    let home = Home::staffed();
    home.write_private("gina", "");
    std::fs::create_dir(home.path("phones")).unwrap();
    home.write_private("phones/gina-phone", "");
    let to_name = "; the full name goes to `pki issue --name`, the e-mail address to --email";
    for (arguments, tip) in [
        (&["issue", "Alice"][..], format!("write alice{to_name}")),
        (&["issue", "Alice Doe"], format!("write alice{to_name}")),
        (&["revoke", "alice@acme.example"], format!("write alice{to_name}")),
        (&["issue", "alice/Phone"], "write alice/phone".into()),
        (&["issue", "bob", "--for", "iphone"], "that is 'ios'".into()),
        (
            &["issue", "bob", "--for", "andriod"],
            "a similar value exists: 'android'".into(),
        ),
        (&["config", "ngnix"], "a similar value exists: 'nginx'".into()),
        (
            &["revoke", "./phones/gina-phone.p12"],
            "that is a file, and a device goes by its address".into(),
        ),
        (
            &["revoke", "./phones/gina-phone"],
            "that is a file, and a device goes by its address".into(),
        ),
    ] {
        let told = finish(&mut home.pki(arguments), b"").exits(2);
        assert!(
            told.stderr.contains(&format!("\n\n  tip: {tip}")),
            "{tip}: {told}"
        );
        let told = finish(home.pki(arguments).arg("--json"), b"").exits(2);
        let error: Value = serde_json::from_str(&told.stderr).unwrap();
        let hint = error["error"]["hint"].as_str().unwrap();
        assert!(hint.starts_with(&tip), "{tip}: {told}");
    }
    let told = finish(&mut home.pki(&["issue", "bob", "--for", "nokia"]), b"").exits(2);
    assert!(!told.stderr.contains("tip:"), "{told}");
}

#[test]
fn who_is_not_known_is_told_for_what_it_is() {
    let home = Home::staffed();
    home.write_private("gina", "");
    for verb in ["revoke", "renew"] {
        for (named, employee) in [
            ("phones/gina-phone.p12", "phones"),
            ("phones/gina.mobileconfig", "phones"),
            ("gina-phone.crt", "gina-phone.crt"),
            ("gina", "gina"),
        ] {
            let message = format!("there is no employee {employee}");
            let told = fails(&home, &[verb, named, "--yes"], unknown(&message));
            assert!(told.stderr.contains("→ that is a file"), "{told}");
            assert!(!told.stderr.contains("pki issue"), "{told}");
        }
        let message = "there is no employee zoe";
        let told = fails(&home, &[verb, "zoe/phone", "--yes"], unknown(message));
        assert!(!told.stderr.contains("pki issue"), "{told}");
        let message = "there is no device alice/watch";
        let told = fails(&home, &[verb, "alice/watch", "--yes"], unknown(message));
        assert!(told.stderr.contains("`pki list --employee alice`"), "{told}");
    }
}

#[test]
fn serial_numbers() {
    let home = Home::new();
    for (serial, fault) in [
        (
            "0A1B2C3D4E5F60718293A4B5C6D7E8F",
            "it has 31 hexadecimal digits, and must have 32",
        ),
        (
            "0A1B2C3D4E5F60718293A4B5C6D7E8FG",
            "\"G\" is no hexadecimal digit",
        ),
        (
            "8A1B2C3D4E5F60718293A4B5C6D7E8F9",
            "this program makes none that begins with 00, or with 8 to F",
        ),
        (
            "0a:1b:2c:3d:4e:5f:60:71:82:93:a4:b5:c6:d7:e8:f9",
            "write it as 0A1B2C3D4E5F60718293A4B5C6D7E8F9",
        ),
        (
            "0a 1b 2c 3d 4e 5f 60 71 82 93 a4 b5 c6 d7 e8 f9",
            "write it as 0A1B2C3D4E5F60718293A4B5C6D7E8F9",
        ),
        (
            "serial=0A1B2C3D4E5F60718293A4B5C6D7E8F9",
            "write it as 0A1B2C3D4E5F60718293A4B5C6D7E8F9",
        ),
    ] {
        let message = format!("\"{serial}\" is not a serial number: {fault}");
        fails(&home, &["show", serial], usage(&message));
        let message = format!("<ADDRESS|SERIAL>: {message}");
        fails(&home, &["revoke", serial, "--yes"], usage(&message));
    }
    for written in [
        "0a:1b:2c:3d:4e:5f:60:71:82:93:a4:b5:c6:d7:e8:f9",
        "0A1B 2C3D 4E5F 6071 8293 A4B5 C6D7 E8F9",
        "serial=0A1B2C3D4E5F60718293A4B5C6D7E8F9",
        "0X0A1B2C3D4E5F60718293A4B5C6D7E8F9",
    ] {
        let told = finish(
            &mut home.pki(&["revoke", written, "--yes", "--reason", "stolen"]),
            b"",
        );
        let tip = "  tip: pki --no-input revoke 0A1B2C3D4E5F60718293A4B5C6D7E8F9 --yes --reason stolen\n";
        assert!(told.exits(2).stderr.contains(tip), "{written}");
        let told = finish(&mut home.pki(&["show", written]), b"").exits(2);
        let hint = "→ `pki show 0A1B2C3D4E5F60718293A4B5C6D7E8F9`\n";
        assert!(told.stderr.contains(hint), "{told}");
    }
    // In small letters it might be a name, and is nobody's.
    let mut command = std::process::Command::new(crate::support::PKI);
    command
        .args(["revoke", "0x0a1b2c3d4e5f60718293a4b5c6d7e8f9", "--no-input"])
        .env("PKI_HOME", home.home());
    let told = finish(&mut command, b"").exits(1);
    let hint =
        "write it as 0A1B2C3D4E5F60718293A4B5C6D7E8F9: `pki revoke 0A1B2C3D4E5F60718293A4B5C6D7E8F9`\n";
    assert!(told.stderr.contains(hint), "{told}");
    // It might be a name, and is nobody's.
    let lower = "0a1b2c3d4e5f60718293a4b5c6d7e8f";
    let message = format!("there is no employee {lower}");
    let told = fails(&home, &["revoke", lower, "--yes"], unknown(&message));
    let hint =
        format!("→ \"{lower}\" is not a serial number: it has 31 hexadecimal digits, and must have 32");
    assert!(told.stderr.contains(&hint), "{told}");
}

#[test]
fn values_in_argv() {
    let home = Home::new();
    let name = "A".repeat(200);
    let shown = "A".repeat(60);
    let long = format!("--name <NAME>: the name \"{shown}…\" has 200 characters: it must have 1 to 128");
    for (flag, value, message) in [
        ("--name", name.as_str(), long.as_str()),
        (
            "--name",
            "",
            "--name <NAME>: the name \"\" has 0 characters: it must have 1 to 128",
        ),
        (
            "--name",
            "Al\u{1b}[31mice",
            "--name <NAME>: the name \"Al\\u{1b}[31mice\" has the control character U+001B",
        ),
        (
            "--name",
            "Al\u{202E}ice",
            "--name <NAME>: the name \"Al\\u{202e}ice\" has the invisible or text-reordering character U+202E",
        ),
        (
            "--name",
            "\u{2800}\u{2800}",
            "--name <NAME>: the name \"\\u{2800}\\u{2800}\" has the invisible or text-reordering character U+2800",
        ),
        (
            "--name",
            "\u{301}",
            "--name <NAME>: the name \"\u{301}\" has no letter or digit",
        ),
        (
            "--email",
            "alice",
            "--email <EMAIL>: \"alice\" is not an e-mail address such as alice@acme.example",
        ),
        (
            "--for",
            "nokia",
            "--for <TARGET>: \"nokia\" is not one of ios, macos, windows, android, java, linux, any",
        ),
        (
            "--days",
            "ten",
            "invalid value 'ten' for '--days <N>': invalid digit found in string",
        ),
        (
            "--wait",
            "5",
            "--wait <DURATION>: \"5\" is not a duration such as 30d, 12h or 45m",
        ),
    ] {
        fails(
            &home,
            &["issue", "alice", "--out", "out", flag, value],
            usage(message),
        );
    }
}

#[test]
fn the_usage_line_has_what_is_required_and_no_more() {
    let home = Home::unfounded();
    let told = finish(&mut home.pki(&["renew", "--nonsense"]), b"").exits(2);
    assert!(
        told.stderr.contains("\nUsage: pki renew [OPTIONS] [ADDRESS]\n"),
        "{told}"
    );
}

#[test]
fn lives_that_are_too_long() {
    let home = Home::new();
    for days in ["0", "399", "100000"] {
        let message = format!("{days} days is outside what profile device allows (1 to 398)");
        let wrong = Wrong {
            exit: 1,
            kind: "policy",
            message: &message,
        };
        fails(
            &home,
            &[
                "issue",
                "alice",
                "--bundle-passphrase-out",
                "secret",
                "--days",
                days,
            ],
            wrong,
        );
    }
}

const PEOPLE: [(&str, &str); 25] = [
    (
        "300-characters.csv",
        "1 of its rows cannot be used:\n  line 2: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…\" is not an employee's name: it has 300 characters, and may have 64",
    ),
    (
        "climbs-out.csv",
        "1 of its rows cannot be used:\n  line 2: \"../x\" is not an employee's name: it may have a-z, 0-9, dot, underscore and hyphen only",
    ),
    (
        "cell-without-a-title.csv",
        "1 of its rows cannot be used:\n  line 3: \"left\" stands in a column that has no title",
    ),
    ("column-twice.csv", "the column \"device\" is there twice"),
    ("days-over-the-bound.csv", ""),
    (
        "duplicate-device.csv",
        "1 of its rows cannot be used:\n  line 4: alice/phone is in line 2 already",
    ),
    ("empty.csv", "the list is empty"),
    (
        "escape-in-a-name.csv",
        "1 of its rows cannot be used:\n  line 2: the name \"Al\\u{1b}[31mice\" has the control character U+001B",
    ),
    (
        "formula.csv",
        "1 of its rows cannot be used:\n  line 2: name \"=1+1\" begins like a spreadsheet formula",
    ),
    ("header-only.csv", "the list is empty"),
    (
        "latin-1.csv",
        "line 3 is not UTF-8 text (saved as Latin-1 or Windows-1252?)",
    ),
    (
        "missing-column.csv",
        "the column \"device\" is missing in the header",
    ),
    (
        "nul.csv",
        "1 of its rows cannot be used:\n  line 2: \"ali\\u{0}ce\" is not an employee's name: it may have a-z, 0-9, dot, underscore and hyphen only",
    ),
    (
        "right-to-left-mark.csv",
        "1 of its rows cannot be used:\n  line 2: \"al\\u{200f}ice\" is not an employee's name: it may have a-z, 0-9, dot, underscore and hyphen only",
    ),
    (
        "right-to-left-override-in-a-name.csv",
        "1 of its rows cannot be used:\n  line 2: the name \"Al\\u{202e}ice\" has the invisible or text-reordering character U+202E",
    ),
    (
        "semicolons.csv",
        "its cells are separated by semicolons: they must be separated by commas",
    ),
    (
        "semicolons-announced.csv",
        "its cells are separated by semicolons: they must be separated by commas",
    ),
    (
        "several-at-once.csv",
        "3 of its rows cannot be used:\n  line 2: \"nokia\" is not one of ios, macos, windows, android, java, linux, any\n  line 3: days \"ten\" is not a number\n  line 4: \"not an address\" is not an e-mail address such as alice@acme.example",
    ),
    (
        "slashes.csv",
        "1 of its rows cannot be used:\n  line 2: \"a//b\" is not an employee's name: it may have a-z, 0-9, dot, underscore and hyphen only",
    ),
    (
        "tabs.csv",
        "its cells are separated by tabs: they must be separated by commas",
    ),
    (
        "too-many-cells.csv",
        "1 of its rows cannot be used:\n  line 3: it has 3 cells, and the header has 2",
    ),
    (
        "unknown-column.csv",
        "the column \"phone\" is not known (known are employee, device, name, email, for, days)",
    ),
    (
        "upper-case.csv",
        "1 of its rows cannot be used:\n  line 2: \"Alice\" is not an employee's name: it may not have upper-case letters",
    ),
    ("utf-16.csv", "it is in UTF-16: save it as \"CSV UTF-8\""),
    (
        "workbook.csv",
        "it is a workbook of a spreadsheet: save it as \"CSV UTF-8\"",
    ),
];

fn from_list(list: &str) -> [&str; 7] {
    [
        "issue",
        "--from",
        list,
        "--out",
        "out",
        "--bundle-passphrase-out",
        "secrets",
    ]
}

#[test]
fn lists_of_people() {
    let home = Home::new();
    demand_complete("csv", PEOPLE.iter().map(|(file, _)| *file));
    for (file, message) in PEOPLE {
        given(&home, "csv", file);
        if file == "days-over-the-bound.csv" {
            // Policy speaks once every row can be read.
            let message = "nothing was issued; 1 row asks for what policy refuses:\n  \
                           line 3: bob/phone: 399 days is outside what profile device allows (1 to 398)";
            fails(
                &home,
                &from_list(file),
                Wrong {
                    exit: 1,
                    kind: "policy",
                    message,
                },
            );
        } else {
            let told = fails(&home, &from_list(file), refused(&format!("{file}: {message}")));
            assert!(
                told.stderr
                    .contains("→ nothing was issued; the list is UTF-8 CSV with a header"),
                "{told}"
            );
        }
    }
    // What other separators are told makes a list of them.
    for (list, device) in [
        ("employee;device\nzoe;phone\n", "zoe"),
        ("employee\tdevice\nyan\tphone\n", "yan"),
    ] {
        home.write_private("a list.csv", list);
        let said = finish(&mut home.pki(&from_list("a list.csv")), b"").exits(1);
        let told = said.stderr.replace("\n       ", " ");
        let (_, command) = told.trim_end().split_once("no cell has a comma: ").unwrap();
        home.foreign("sh", &["-c", command]).ok();
        let said = finish(
            &mut home.pki(&[&from_list("a list-commas.csv")[..], &["--dry-run"]].concat()),
            b"",
        )
        .ok();
        assert!(said.stderr.contains(&format!("issue {device}/phone")), "{said}");
    }
    let missing = "no-such.csv could not be read: No such file or directory (os error 2)";
    fails(
        &home,
        &from_list("no-such.csv"),
        Wrong {
            exit: 1,
            kind: "disk",
            message: missing,
        },
    );
}

#[test]
fn a_list_that_is_not_there() {
    let home = Home::new();
    let told = finish(&mut home.pki(&from_list("people.csv")), b"").exits(1);
    assert!(
        told.stderr
            .contains("→ there is no people.csv here: name the list, or write one"),
        "{told}"
    );
}

#[test]
fn many_rows_that_policy_refuses_are_counted_and_the_first_are_named() {
    let home = Home::new();
    let mut list = String::from("employee,device,days\r\n\r\n");
    for i in 0..22 {
        list.push_str(&format!("person{i},phone,399\r\n"));
    }
    home.write_private("many.csv", &list);
    let mut message = String::from("nothing was issued; 22 rows ask for what policy refuses:");
    for i in 0..20 {
        let line = i + 3;
        message.push_str(&format!(
            "\n  line {line}: person{i}/phone: 399 days is outside what profile device allows (1 to 398)"
        ));
    }
    message.push_str("\n  and 2 more");
    let wrong = Wrong {
        exit: 1,
        kind: "policy",
        message: &message,
    };
    fails(&home, &from_list("many.csv"), wrong);

    let home = Home::staffed();
    let why = "399 days is outside what profile device allows (1 to 398)";
    let message = format!(
        "nothing was issued; 2 devices ask for what policy refuses:\n  alice/phone: {why}\n  bob/phone: {why}"
    );
    let wrong = Wrong {
        exit: 1,
        kind: "policy",
        message: &message,
    };
    let renew = [
        "renew",
        "--expiring",
        "398d",
        "--days",
        "399",
        "--bundle-passphrase-out",
        "secrets",
    ];
    fails(&home, &renew, wrong);
}

#[test]
fn lists_as_spreadsheets_write_them_are_good() {
    if !need(&["openssl"]) {
        return;
    }
    for (file, devices) in [
        ("good-byte-order-mark.csv", 1),
        ("good-crlf.csv", 2),
        ("good-empty-columns.csv", 2),
        ("good-separator.csv", 2),
    ] {
        let home = Home::new();
        given(&home, "csv", file);
        home.run(&from_list(file));
        let said = home.run(&["list", "--status", "valid", "--json"]).json();
        assert_eq!(
            said["devices"].as_array().unwrap().len(),
            devices,
            "{file}: {said}"
        );
    }
}

#[test]
fn one_bad_row_among_a_hundred_thousand_is_found_soon() {
    let home = Home::new();
    let mut list = String::from("employee,device,name\n");
    for i in 0..99_999 {
        list.push_str(&format!("person{i},phone,Person {i}\n"));
    }
    list.push_str("Last,phone,The Last\n");
    home.write_private("many.csv", &list);
    let message = "many.csv: 1 of its rows cannot be used:\n  \
                   line 100001: \"Last\" is not an employee's name: it may not have upper-case letters";
    let begun = Instant::now();
    fails(&home, &from_list("many.csv"), refused(message));
    // It takes a second or two unoptimised; what compares every row with every other takes hours.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

const REQUESTS: [(&str, &str); 10] = [
    (
        "a-certificate.csr",
        "is a certificate, and no certificate signing request",
    ),
    ("bad-signature.csr", "has a signature that is not by its own key"),
    (
        "changed-subject.csr",
        "has a signature that is not by its own key",
    ),
    (
        "cut-short.csr",
        "is a certificate signing request that cannot be read: ASN.1 DER message is incomplete: expected 206, actual 186 at DER byte 3",
    ),
    (
        "ed25519.csr",
        "has a key of the algorithm Ed25519: only P-256 keys are certified",
    ),
    (
        "garbage.csr",
        "is nothing that this program knows, and no certificate signing request",
    ),
    (
        "p-384.csr",
        "has a key of the algorithm P-384: only P-256 keys are certified",
    ),
    (
        "rsa-512.csr",
        "has a key of the algorithm RSA of 512 bits: only P-256 keys are certified",
    ),
    (
        "signed-with-sha-512.csr",
        "is signed with the algorithm ecdsa-with-SHA512: only ecdsa-with-SHA256 is accepted",
    ),
    (
        "trailing-octets.csr",
        "is a certificate signing request that cannot be read: trailing data at end of DER message: decoded 206 bytes, 2 bytes remaining at DER byte 206",
    ),
];

#[test]
fn requests() {
    let home = Home::new();
    demand_complete(
        "csr",
        REQUESTS
            .iter()
            .map(|(file, _)| *file)
            .chain(["ca-true-and-odd-extensions.csr"]),
    );
    for (file, message) in REQUESTS {
        given(&home, "csr", file);
        let told = fails(
            &home,
            &["issue", "eve", "--out", "out", "--csr", file],
            refused(&format!("{file} {message}")),
        );
        let advice = match file {
            "a-certificate.csr" => "→ give the request that it was made of",
            _ => "→ make one with `openssl req -new",
        };
        assert!(told.stderr.contains(advice), "{told}");
    }
    std::fs::write(home.path("large.csr"), vec![b'A'; 5 << 20]).unwrap();
    fails(
        &home,
        &["issue", "eve", "--csr", "large.csr"],
        refused("large.csr is larger than 64 KiB"),
    );
    let message = "none.csr could not be read: No such file or directory (os error 2)";
    fails(
        &home,
        &["issue", "eve", "--csr", "none.csr"],
        Wrong {
            exit: 1,
            kind: "disk",
            message,
        },
    );
}

#[test]
fn a_key_is_one_devices() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    given(&home, "csr", "good.csr");
    let in_use = |message: &'static str| Wrong {
        exit: 1,
        kind: "key-in-use",
        message,
    };
    home.run(&["issue", "alice", "--csr", "good.csr"]);
    let another = || in_use("this key is the one of alice/phone");
    fails(&home, &["issue", "eve", "--csr", "good.csr"], another());
    fails(&home, &["issue", "alice/tablet", "--csr", "good.csr"], another());
    home.run(&["offboard", "alice", "--confirm", "alice"]);
    fails(&home, &["issue", "eve", "--csr", "good.csr"], another());

    let request = |key: &str, passphrase: &str, to: &str| {
        let secret = format!("pass:{passphrase}");
        let key = home.home().join(key).display().to_string();
        let arguments = [
            "req", "-new", "-key", &key, "-passin", &secret, "-subj", "/CN=x", "-out", to,
        ];
        home.foreign("openssl", &arguments).ok();
    };
    request("issuing/issuing.key", ISSUING_PASSPHRASE, "issuing.csr");
    request("root/root.key", ROOT_PASSPHRASE, "root.csr");
    for file in ["issuing.csr", "root.csr"] {
        fails(
            &home,
            &["issue", "eve", "--csr", file],
            in_use("this key is the one of a CA here"),
        );
    }

    // A renewal may keep the key: taking back one of the two because the key is known to others is told to be
    // half of it.
    home.foreign(
        "openssl",
        &[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-noenc",
            "-keyout",
            "own.key",
            "-out",
            "another.csr",
            "-subj",
            "/CN=x",
        ],
    )
    .ok();
    home.run(&["issue", "bob", "--csr", "another.csr", "-q"]);
    let old = home.serial_of("bob/phone");
    let renewed = home
        .run(&["renew", "bob", "--csr", "another.csr", "--json"])
        .json();
    let said = home.run(&["revoke", &old, "--reason", "compromised", "--yes"]);
    let new = renewed["serial"].as_str().unwrap();
    let warned = format!("certificate {new} of the same device has the same key, and is still good");
    assert!(said.stderr.contains(&warned), "{said}");
    let said = home.run(&["revoke", "bob", "--reason", "compromised", "--yes"]);
    assert!(!said.stderr.contains("the same key"), "{said}");
}

#[test]
fn a_request_gives_its_key_and_nothing_else() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let says = |home: &Home, address: &str, file: &str| {
        given(home, "csr", file);
        home.run(&["issue", address, "--csr", file]);
        let certificate = format!("{}-phone.crt", address);
        let arguments = [
            "x509",
            "-in",
            &certificate,
            "-noout",
            "-text",
            "-nameopt",
            "RFC2253",
        ];
        let text = home.foreign("openssl", &arguments).ok().stdout;
        let verified = [
            "verify",
            "-x509_strict",
            "-CAfile",
            "home/public/ca/bundle.pem",
            &certificate,
        ];
        home.foreign("openssl", &verified).ok();
        text
    };
    // They have one key, which is one device's in a home.
    let other = copy_of(&home);
    let plain = says(&home, "alice", "good.csr");
    let odd = says(&other, "eve", "ca-true-and-odd-extensions.csr");
    // But for serial number, name, times and signature they are the same certificate.
    let body = |text: &str, address: &str| {
        let text = text.replace(address, "NAME");
        let fickle = ["Serial Number", "Not Before", "Not After"];
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let signature = lines
            .iter()
            .rposition(|line| line.contains("Signature Algorithm"))
            .unwrap();
        lines.truncate(signature);
        let serial = lines
            .iter()
            .position(|line| line.contains("Serial Number"))
            .unwrap();
        lines.remove(serial + 1);
        lines.retain(|line| !fickle.iter().any(|word| line.contains(word)));
        lines
    };
    assert_eq!(body(&odd, "eve"), body(&plain, "alice"));
    for smuggled in [
        "CA:TRUE",
        "Certificate Sign",
        "OCSP Signing",
        "DNS:",
        "boss@acme.example",
        "1.2.3.4.5",
        "Other Org",
    ] {
        assert!(!odd.contains(smuggled), "{smuggled}: {odd}");
    }
}

const PASSPHRASES: [(&str, &str); 7] = [
    ("empty", "the passphrase of the issuing key in empty is empty"),
    (
        "not-text",
        "the passphrase of the issuing key in not-text is not text (UTF-8 without NUL)",
    ),
    (
        "only-a-line-end",
        "the passphrase of the issuing key in only-a-line-end is empty",
    ),
    (
        "too-long",
        "the passphrase of the issuing key in too-long is longer than 4,096 octets",
    ),
    (
        "two-lines",
        "the passphrase of the issuing key in two-lines has more than one line",
    ),
    (
        "with-nul",
        "the passphrase of the issuing key in with-nul is not text (UTF-8 without NUL)",
    ),
    ("wrong", ""),
];

/// Files that are good as passphrases, and too weak for a new one.
const WEAK: [(&str, &str); 3] = [
    (
        "monotonous",
        "repeats one or two characters: choose several words",
    ),
    (
        "not-ascii",
        "is not ASCII: several systems cannot open such a bundle",
    ),
    ("short", "has 5 characters: 12 or more are needed"),
];

#[test]
fn passphrase_files() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    demand_complete(
        "passphrase",
        PASSPHRASES.iter().chain(&WEAK).map(|(file, _)| *file),
    );
    let issue = |file| {
        [
            "issue",
            "alice",
            "--bundle-passphrase-out",
            "secret",
            "--passphrase-file",
            file,
        ]
    };
    for (file, message) in PASSPHRASES {
        given(&home, "passphrase", file);
        if file == "wrong" {
            let key = home.home().join("issuing/issuing.key");
            let message = format!(
                "{} does not open with the passphrase from --passphrase-file wrong",
                key.display()
            );
            fails(
                &home,
                &issue(file),
                Wrong {
                    exit: 4,
                    kind: "wrong-passphrase",
                    message: &message,
                },
            );
        } else {
            fails(&home, &issue(file), secret(message));
        }
    }
    let missing = "the passphrase of the issuing key could not be read from none: No such file or directory (os error 2)";
    fails(&home, &issue("none"), secret(missing));
    let directory =
        "the passphrase of the issuing key could not be read from home: Is a directory (os error 21)";
    fails(&home, &issue("home"), secret(directory));
    home.write_private("open", ISSUING_PASSPHRASE);
    for mode in [0o644, 0o640, 0o604, 0o660] {
        std::fs::set_permissions(home.path("open"), Permissions::from_mode(mode)).unwrap();
        let message = format!("the passphrase file open can be read or changed by others (mode {mode:04o})");
        let told = fails(&home, &issue("open"), secret(&message));
        assert!(told.stderr.contains("→ run `chmod go= open`"), "{told}");
    }
    std::fs::set_permissions(home.path("open"), Permissions::from_mode(0o400)).unwrap();
    home.run(&issue("open"));
}

#[test]
fn a_wrong_passphrase_is_told_by_where_it_came_from() {
    if !need(&["openssl", "echo"]) {
        return;
    }
    let home = Home::new();
    home.configure("passphrase_command", "[\"echo\", \"quite another secret\"]");
    home.write_private("wrong", "quite another secret\n");
    std::fs::create_dir(home.path("credentials")).unwrap();
    home.write_private("credentials/pki-passphrase", "quite another secret\n");
    let wrong = home.path("wrong").display().to_string();
    let credentials = home.path("credentials").display().to_string();
    for (variables, flags, source) in [
        (
            &[("PKI_PASSPHRASE_FILE", wrong.as_str())][..],
            &[][..],
            format!("{wrong} (PKI_PASSPHRASE_FILE)"),
        ),
        (
            &[],
            &["--passphrase-file", "wrong"],
            "--passphrase-file wrong".to_owned(),
        ),
        (&[], &["--passphrase-fd", "0"], "--passphrase-fd 0".to_owned()),
        (
            &[("CREDENTIALS_DIRECTORY", &credentials)],
            &[],
            format!("{credentials}/pki-passphrase"),
        ),
        (&[], &[], "the passphrase_command echo".to_owned()),
    ] {
        let mut command = home.pki(&["issue", "alice", "--bundle-passphrase-out", "secret"]);
        command
            .args(flags)
            .env_remove("PKI_PASSPHRASE_FILE")
            .envs(variables.iter().copied());
        let told = finish(&mut command, b"quite another secret\n").exits(4);
        let message = format!("issuing.key does not open with the passphrase from {source}\n");
        assert!(
            told.stderr.contains(&message) && !told.stderr.contains("quite another"),
            "{told}"
        );
        let own = "→ the issuing key has a passphrase of its own, which is not the root's";
        assert!(told.stderr.contains(own), "{told}");
    }
    let mut command = home.pki(&["root", "crl", "--root-passphrase-file", "wrong"]);
    let told = finish(&mut command, b"").exits(4);
    let own = "→ the root's key has a passphrase of its own, which is not the issuing key's";
    assert!(told.stderr.contains(own), "{told}");
    // Revoking without the key is possible: that is told beside.
    let mut command = home.pki(&["revoke", "alice", "--yes", "--passphrase-file", "wrong"]);
    home.issue("alice", &[]);
    let told = finish(&mut command, b"").exits(4);
    assert!(
        told.stderr
            .contains("which is not the root's; nothing is recorded yet: the same with --no-publish"),
        "{told}"
    );
}

#[test]
fn passphrases_of_bundles_that_are_too_weak() {
    let home = Home::new();
    for (file, why) in WEAK {
        given(&home, "passphrase", file);
        let message = format!("the passphrase of the bundle {why}");
        fails(
            &home,
            &["issue", "alice", "--bundle-passphrase-file", file, "--out", "out"],
            refused(&message),
        );
    }
}

/// Whoever is given it could issue anything.
#[test]
fn the_passphrase_of_the_issuing_key_is_none_of_a_bundle() {
    let home = Home::new();
    home.issue("bob", &[]);
    for command in [
        &["issue", "alice", "--bundle-passphrase-file", "issuing-passphrase"][..],
        &["renew", "bob", "--bundle-passphrase-file", "issuing-passphrase"],
    ] {
        let message = "the passphrase of the bundle is the one of the issuing key";
        fails(&home, command, refused(message));
    }
}

const CONFIGURATIONS: [(&str, &str); 17] = [
    (
        "days-beyond-bound.toml",
        "root_crl_days = 5000: it must be 30 to 800 days",
    ),
    (
        "device-with-a-space.toml",
        "default_device = \"My Phone\": \"My Phone\" is not a device's name: it may have a-z, 0-9, dot, underscore and hyphen only",
    ),
    (
        "directory-that-climbs.toml",
        "[[publish]]: the directories must be written without `..`",
    ),
    (
        "https-base-url.toml",
        "base_url = \"https://pki.acme.example\": it must be an http:// URL of a host, perhaps with a path (not https: checking its certificate would need the very CRL)",
    ),
    ("latin-1.toml", "the file is not UTF-8"),
    (
        "negative-days.toml",
        "issuing_crl_days = -30: it must be 2 to 90 days",
    ),
    (
        "network-with-host-bits.toml",
        "allowed_networks = \"192.0.2.7/24\": it must be a network such as 192.0.2.0/24 or 2001:db8::/32, with no bit set beyond the prefix",
    ),
    (
        "no-command.toml",
        "passphrase_command = []: it must name a program",
    ),
    (
        "no-days-at-all.toml",
        "issuing_crl_days = 0: it must be 2 to 90 days",
    ),
    (
        "no-toml.toml",
        "TOML parse error at line 1, column 13\n  |\n1 | base_url = [\n  |             ^\nunclosed array, expected `]`",
    ),
    (
        "one-directory-for-both.toml",
        "[[publish]]: `public` and `server` must be two places: one of them names employees",
    ),
    (
        "profile-that-climbs-out.toml",
        "default_profile = \"../x\": \"../x\" is not a profile's name: use a-z, 0-9 and hyphen",
    ),
    (
        "public-above-server.toml",
        "[[publish]]: each place must be another one, and none may lie in another",
    ),
    (
        "relative-directory.toml",
        "[[publish]]: the directories must be absolute paths",
    ),
    (
        "unknown-key.toml",
        "TOML parse error at line 1, column 1\n  |\n1 | base_ulr = \"http://pki.acme.example\"\n  | ^^^^^^^^\nunknown field `base_ulr`, expected one of `base_url`, `ocsp_url`, `default_device`, `default_profile`, `names_in_certificates`, `publish_on_issue`, `backup`, `backup_to`, `allowed_networks`, `passphrase_command`, `root_passphrase_command`, `root_key`, `lifetimes`, `pins`, `serve`, `publish`",
    ),
    (
        "unknown-lifetime.toml",
        "TOML parse error at line 2, column 1\n  |\n2 | device_days = 90\n  | ^^^^^^^^^^^\nunknown field `device_days`, expected one of `days`, `spread`, `warn_days`, `issuing_crl_days`, `root_crl_days`",
    ),
    (
        "wrong-type.toml",
        "TOML parse error at line 1, column 20\n  |\n1 | publish_on_issue = \"yes\"\n  |                    ^^^^^\ninvalid type: string \"yes\", expected a boolean",
    ),
];

#[test]
fn configurations() {
    let home = Home::new();
    demand_complete("pki.toml", CONFIGURATIONS.iter().map(|(file, _)| *file));
    let place = home.home().join("pki.toml");
    for (file, message) in CONFIGURATIONS {
        given(&home, "pki.toml", file);
        std::fs::copy(home.path(file), &place).unwrap();
        let message = format!("{}: {message}", place.display());
        for arguments in [
            &["issue", "alice", "--bundle-passphrase-out", "secret"][..],
            &["server", "list"],
            &["publish"],
        ] {
            let told = fails(
                &home,
                arguments,
                Wrong {
                    exit: 1,
                    kind: "config",
                    message: &message,
                },
            );
            assert!(
                told.stderr
                    .contains("→ correct the file; its comments explain every key"),
                "{told}"
            );
        }
        let found = finish(&mut home.pki(&["doctor", "--json"]), b"").exits(3).json();
        let finding = &found["findings"][0];
        assert_eq!(
            (&finding["message"], &finding["severity"]),
            (&Value::from(message), &Value::from("error")),
            "{found}"
        );
    }
}

/// As editors save them: a byte-order mark is passed over, and another encoding is named, since half of it
/// read says something else.
#[test]
fn encodings_of_what_an_operator_writes() {
    let home = Home::new();
    let utf16 = |text: &str| -> Vec<u8> {
        let units = format!("\u{FEFF}{text}");
        units.encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let latin1 = |text: &str| [b"# f\xFCr ".as_slice(), text.as_bytes()].concat();
    let marked = |text: &str| format!("\u{FEFF}{text}").into_bytes();
    let nginx = ["config", "nginx", "api.acme.example"];
    let issue = [
        "issue",
        "alice",
        "--profile",
        "short",
        "--bundle-passphrase-out",
        "secret",
    ];
    for (file, text, command, kind) in [
        (
            "templates/config/nginx.conf",
            "{{ host }}\n",
            &nginx[..],
            "template",
        ),
        (
            "templates/profiles/short.toml",
            "days = 7\nmax_days = 30\n",
            &issue,
            "profile",
        ),
        ("pki.toml", "\n", &["server", "list"], "config"),
    ] {
        let path = home.home().join(file);
        let before = std::fs::read(&path).unwrap_or_default();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let shown = match kind {
            "profile" => "profile short".to_owned(),
            _ => path.display().to_string(),
        };
        for (octets, why) in [
            (utf16(text), "the file is UTF-16: save it as UTF-8"),
            (latin1(text), "the file is not UTF-8"),
        ] {
            std::fs::write(&path, octets).unwrap();
            let message = format!("{shown}: {why}");
            fails(
                &home,
                command,
                Wrong {
                    exit: 1,
                    kind,
                    message: &message,
                },
            );
        }
        std::fs::write(&path, marked(text)).unwrap();
        let said = home.run(command);
        assert!(!said.stdout.contains('\u{FEFF}'), "{said}");
        std::fs::write(&path, before).unwrap();
    }
}

#[test]
fn hosts_of_a_configuration() {
    let home = Home::new();
    let (a, b) = ("a.acme.example", "b.acme.example");
    for (arguments, message) in [
        (&["nginx", a, b, a][..], "a.acme.example is named twice"),
        (&["nginx", a, "A.Acme.Example"], "a.acme.example is named twice"),
        (&["haproxy", "::1", "0:0::1"], "::1 is named twice"),
        (
            &["aws-alb", a, b],
            "aws-alb is told of one host at a time, and 2 are named",
        ),
        (
            &["aws-api-gateway", a, b],
            "aws-api-gateway is told of one host at a time, and 2 are named",
        ),
        (&["android", a, b], "android takes one host, and 2 are named"),
        (&["curl", a, b], "curl takes one host, and 2 are named"),
        (
            &["verify-node", a, b],
            "verify-node takes one host, and 2 are named",
        ),
        (
            &["nginx", a, b, "--cert", "/x.crt", "--key", "/x.key"],
            "--cert is given once, and there are 2 hosts",
        ),
        (
            &[
                "apache", a, "--cert", "/x", "--key", "/x", "--key", "/y", "--key", "/z",
            ],
            "--key is given 3 times, and there is 1 host",
        ),
        (
            &[
                "nginx",
                a,
                "--upstream",
                "http://127.0.0.1:1",
                "--upstream",
                "http://127.0.0.1:2",
            ],
            "--upstream is given 2 times, and there is 1 host",
        ),
        (&["node", "--shared"], "--shared has no meaning for node"),
        (&["android", "--shared"], "--shared has no meaning for android"),
        (&["nginx", a, "--shared"], "--shared is no host's"),
        (
            &["nginx", "--shared", "--cert", "/x.crt"],
            "--cert is a host's, and --shared is no host's",
        ),
    ] {
        fails(&home, &[&["config"], arguments].concat(), usage(message));
    }
}

/// What an operator hands in after a restore, and what she says of it.
#[test]
fn what_is_taken_in_and_kept() {
    let home = Home::staffed();
    home.write_private("letter", "dear sirs\n");
    home.write_private("empty", "");
    std::fs::create_dir(home.path("directory")).unwrap();
    let serial = home.serial_of("alice/phone");
    let nothing_of = |name: &str| format!("nothing of {name} was recovered from a published list");
    for (arguments, wrong) in [
        (
            ["--published", "letter"],
            unknown("letter holds no publication and no CRL of this PKI"),
        ),
        (
            ["--published", "empty"],
            unknown("empty holds no publication and no CRL of this PKI"),
        ),
        (
            ["--published", "directory"],
            unknown("directory holds no publication and no CRL of this PKI"),
        ),
        (
            ["--published", "home/root/root.crt"],
            unknown("home/root/root.crt holds no publication and no CRL of this PKI"),
        ),
        (["--keep", "alice"], unknown(&nothing_of("alice/phone"))),
        (["--keep", "bob/phone"], unknown(&nothing_of("bob/phone"))),
        (["--keep", &serial], unknown(&nothing_of(&serial))),
        (["--keep", "eve"], unknown("there is no employee eve")),
        (["--keep", "eve/phone"], unknown("there is no employee eve")),
    ] {
        fails(&home, &[&["publish"], &arguments[..]].concat(), wrong);
    }
    // And where a server is told what may be let in again.
    let fetch = [
        "fetch",
        "home/public",
        "--root",
        "home/root/root.crt",
        "--out",
        "out",
        "--confirm",
    ];
    for text in ["yes", "alice/phone", "0A1B", "99999999999999999999999"] {
        let said = finish(&mut home.pki(&[&fetch[..], &[text]].concat()), b"").exits(2);
        assert!(said.stderr.contains("--confirm"), "{said}");
        assert!(!home.path("out").exists());
    }
}

#[test]
fn a_device_that_renews_itself_names_its_own_files_and_nothing_of_a_home() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    let made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=a -days 1 -keyout a.key -out a.pem
        openssl genpkey -algorithm RSA -out rsa.key 2> /dev/null; chmod 600 rsa.key; cp a.key open.key; chmod 644 open.key
        echo nonsense > text; chmod 600 text";
    home.foreign("sh", &["-e", "-c", made]).ok();
    let (url, own) = (
        ["--est", "https://h.example"],
        ["--cert", "a.pem", "--key", "a.key", "--root", "a.pem"],
    );
    let refused = |arguments: &[&str], code: i32, told: &str| {
        let said = finish(&mut home.pki(&[&["renew"], arguments].concat()), b"").exits(code);
        assert!(said.stderr.contains(told), "{told}: {said}");
    };
    refused(&own, 2, "--est <URL>");
    refused(&[&url[..], &own[..4]].concat(), 2, "--root <FILE>");
    for more in [
        &["alice"][..],
        &["--expiring", "30d"],
        &["--all"],
        &["--out", "there"],
        &["--p12", "modern"],
    ] {
        refused(&[&url[..], &own, more].concat(), 2, "cannot be used with");
    }
    for (url, told) in [
        ("http://h.example", "certificates are renewed over https"),
        ("https://h.example/ca", "its path is another"),
        (
            "https://h.example/.well-known/est/cacerts",
            "what is asked there is not named",
        ),
    ] {
        refused(&[&["--est", url], &own[..]].concat(), 2, told);
    }
    let files = |cert, key| [&url[..], &["--cert", cert, "--key", key, "--root", "a.pem"]].concat();
    refused(&files("none", "a.key"), 1, "none could not be read");
    refused(&files("a.pem", "none"), 1, "none could not be read");
    refused(
        &files("text", "a.key"),
        1,
        "text: it is nothing that this program knows, and no certificate",
    );
    refused(&files("a.pem", "open.key"), 1, "can be read or changed by others");
    refused(
        &files("a.key", "a.key"),
        1,
        "holds the key as well as the certificate",
    );
}

#[test]
fn e_mail_addresses_outside_the_name_constraints_stay_out_of_the_certificate() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    for (who, email, told) in [
        ("inside", "inside@acme.example", None),
        ("below", "below@mail.acme.example", None),
        (
            "outside",
            "outside@evil.example",
            Some("is outside the domains that this CA may vouch for"),
        ),
        (
            "suffix",
            "suffix@notacme.example",
            Some("is outside the domains that this CA may vouch for"),
        ),
        ("unicode", "zoë@acme.example", Some("is not ASCII")),
    ] {
        let secret = format!("{who}.secret");
        let arguments = ["issue", who, "--email", email, "--bundle-passphrase-out", &secret];
        let said = finish(&mut home.pki(&arguments), b"").ok();
        match told {
            Some(told) => assert!(
                said.stderr.contains(&format!("pki: warning: {email} {told}")),
                "{said}"
            ),
            None => assert!(!said.stderr.contains("warning"), "{said}"),
        }
        // The ledger keeps it all the same.
        let shown = home.run(&["show", who, "--json"]);
        assert!(shown.stdout.contains(email), "{shown}");
        let pem = home.run(&["show", who, "--pem"]).stdout;
        let text = home
            .foreign_given("openssl", &["x509", "-noout", "-text"], pem.as_bytes())
            .ok()
            .stdout;
        assert_eq!(text.contains(&format!("email:{email}")), told.is_none(), "{text}");
        assert_eq!(
            text.contains("Subject Alternative Name"),
            told.is_none(),
            "{text}"
        );
        home.write_private("leaf.pem", &pem);
        home.foreign(
            "openssl",
            &[
                "verify",
                "-x509_strict",
                "-CAfile",
                "home/public/ca/bundle.pem",
                "leaf.pem",
            ],
        )
        .ok();
    }
}

#[test]
fn names_that_look_like_hosts_or_fill_the_field_verify() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let longest = "Ä".repeat(128);
    for (who, name) in [
        ("alice.smith", None),
        ("evil.example", None),
        ("www.google.com", Some("www.google.com")),
        ("zoe", Some("Zoë Müller 李")),
        ("long", Some(longest.as_str())),
        ("comma", Some("Doe, Alice + \"A\" <x>; #1\\")),
    ] {
        let secret = format!("{who}.secret");
        let mut arguments = vec!["issue", who, "--bundle-passphrase-out", &secret];
        arguments.extend(name.iter().flat_map(|name| ["--name", *name]));
        home.run(&arguments);
        let pem = home.run(&["show", who, "--pem"]).stdout;
        home.write_private("leaf.pem", &pem);
        let mut verify = vec![
            "verify",
            "-x509_strict",
            "-crl_check_all",
            "-purpose",
            "sslclient",
        ];
        verify.extend([
            "-CAfile",
            "home/public/ca/bundle.pem",
            "-CRLfile",
            "home/public/crl/bundle.pem",
            "leaf.pem",
        ]);
        home.foreign("openssl", &verify).ok();
        let subject = [
            "x509",
            "-in",
            "leaf.pem",
            "-noout",
            "-subject",
            "-nameopt",
            "utf8,sep_multiline,lname",
        ];
        let subject = home.foreign("openssl", &subject).ok().stdout;
        let common_name = subject
            .lines()
            .find_map(|line| line.trim().strip_prefix("commonName="))
            .unwrap();
        assert!(
            common_name.ends_with(" (phone)") && common_name.chars().count() <= 64,
            "{subject}"
        );
        let wanted = name.unwrap_or(who);
        assert!(
            wanted.starts_with(common_name.strip_suffix(" (phone)").unwrap()),
            "{subject}"
        );
        assert!(subject.contains(&format!("{who}/phone")), "{subject}");
    }
}

#[test]
fn directories_that_take_no_bundles() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    home.write_private("file", "no directory");
    let secrets = home.path("secrets").display().to_string();
    let issue = |out: &str| {
        [
            "issue",
            "alice",
            "--bundle-passphrase-out",
            &secrets,
            "--out",
            out,
        ]
        .map(str::to_owned)
    };
    let out = home.path("file/out").display().to_string();
    let message = format!("no file can be put into {out}: File exists (os error 17)");
    let wrong = Wrong {
        exit: 1,
        kind: "disk",
        message: &message,
    };
    let arguments = issue("file/out");
    let told = fails(&home, &arguments.each_ref().map(String::as_str), wrong);
    assert!(
        told.stderr.contains("→ name a directory of yours with --out DIR"),
        "{told}"
    );

    // Nobody can write there, whatever the account; and the directory's name is told.
    if !Path::new("/proc/self").exists() {
        return;
    }
    for (arguments, typed) in [(issue("."), false), (issue("."), true)] {
        let mut command = home.pki(&arguments.each_ref().map(String::as_str));
        if typed {
            // Before a passphrase is asked for, which would be exit 4 here.
            command.env_remove("PKI_PASSPHRASE_FILE");
        }
        let told = finish(command.current_dir("/proc"), b"").exits(1);
        assert!(
            told.stderr.starts_with("pki: no file can be put into /proc: "),
            "{told}"
        );
        assert!(told.stderr.contains("--out DIR"), "{told}");
    }
    assert!(!home.path("secrets").exists());
}

#[test]
fn places_where_no_bundle_and_no_passphrase_may_lie() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let served = home.path("www").display().to_string();
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{served}/public\"\nserver = \"{served}/server\"\n"
    ));
    std::os::unix::fs::symlink("home", home.path("link")).unwrap();
    home.write_private("list", "employee,device\nzed,phone\n");
    let in_home =
        |path: &str| format!("{path} lies in the home, which holds the PKI's own files and nothing else");
    let served = |path: &str| {
        format!("{path} lies in a directory that is published to: others can read what is there")
    };
    for who in [&["alice"][..], &["--from", "list"]] {
        for (out, secrets, message) in [
            ("home", "secrets", in_home("home")),
            ("link/issuing", "secrets", in_home("link/issuing")),
            ("www/public/new", "secrets", served("www/public/new")),
            ("www/server", "secrets", served("www/server")),
            (".", "home/ledger.jsonl", in_home("home/ledger.jsonl")),
            (".", "home/pki.toml", in_home("home/pki.toml")),
            (".", "./link/./new", in_home("./link/./new")),
            (".", "www/public/secrets", served("www/public/secrets")),
        ] {
            let arguments = [
                &["issue"],
                who,
                &["--out", out, "--bundle-passphrase-out", secrets],
            ]
            .concat();
            fails_at_work(&home, &arguments, place(&message));
            fails_at_work(&home, &[&arguments[..], &["--dry-run"]].concat(), place(&message));
        }
    }
    // Where a passphrase is typed, before it is.
    let mut command = home.pki(&[
        "issue",
        "alice",
        "--out",
        "home",
        "--bundle-passphrase-out",
        "secrets",
    ]);
    let told = finish(command.env_remove("PKI_PASSPHRASE_FILE"), b"").exits(1);
    assert!(told.stderr.contains(&in_home("home")), "{told}");
}

#[test]
fn a_dry_run_is_refused_where_the_passphrases_could_not_be_written() {
    let home = Home::new();
    for (name, mode) in [("open", 0o644), ("other", 0o600)] {
        home.write_private(name, "no list\n");
        std::fs::set_permissions(home.path(name), Permissions::from_mode(mode)).unwrap();
    }
    home.write_private("list", "employee,device\nzed,phone\n");
    for who in [&["alice"][..], &["--from", "list"]] {
        for secrets in ["open", "other", "nowhere/new", "list/new", "new/"] {
            let issue = [&["issue", "--bundle-passphrase-out", secrets], who].concat();
            let real = finish(&mut home.pki(&issue), b"").exits(1);
            let dry = finish(&mut home.pki(&[&issue[..], &["--dry-run"]].concat()), b"").exits(1);
            assert!(!dry.stderr.contains("would issue"), "{dry}");
            let exists = [&dry, &real].map(|said| said.stderr.contains("exists already"));
            assert_eq!(exists[0], exists[1], "{dry}{real}");
        }
        for secrets in ["new", "out/new"] {
            let may = [
                "issue",
                "--dry-run",
                "--out",
                "out",
                "--bundle-passphrase-out",
                secrets,
            ];
            home.run(&[&may, who].concat());
            assert!(!home.path(secrets).exists());
        }
    }
}

#[test]
fn a_passphrase_has_no_name_that_its_bundle_has() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    home.write_private("list", "employee,device\nalice,phone\n");
    std::fs::create_dir(home.path("out")).unwrap();
    for who in [&["alice"][..], &["--from", "list"]] {
        for secrets in [
            "out/alice-phone.p12",
            "./out/../out/alice-phone.qr.png",
            "out/Alice-Phone.P12",
        ] {
            let message = format!("{secrets} cannot hold the passphrase: a file of the bundle has that name");
            let wrong = Wrong {
                exit: 1,
                kind: "exists",
                message: &message,
            };
            let arguments = [
                &["issue"],
                who,
                &["--out", "out", "--bundle-passphrase-out", secrets],
            ]
            .concat();
            fails_at_work(&home, &arguments, wrong);
        }
    }
    home.run(&[
        "issue",
        "alice",
        "--out",
        "out",
        "--bundle-passphrase-out",
        "alice-phone.p12",
    ]);
}

#[test]
fn passphrases_are_appended_to_no_other_file() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    home.write_private("list", "employee,device\nalice,phone\n");
    let wrong = Wrong {
        exit: 1,
        kind: "exists",
        message: "issuing-passphrase is no list of passphrases: it must be empty, or begin and end with a line \
                  ADDRESS<TAB>PASSPHRASE",
    };
    let arguments = [
        "issue",
        "--from",
        "list",
        "--out",
        "out",
        "--bundle-passphrase-out",
    ];
    std::fs::create_dir(home.path("out")).unwrap();
    fails_at_work(&home, &[&arguments[..], &["issuing-passphrase"]].concat(), wrong);
    // To one of its own, again and again.
    for name in ["alice", "bob"] {
        home.write_private("list", &format!("employee,device\n{name},phone\n"));
        home.run(&[&arguments[..], &["secrets"]].concat());
    }
    assert_eq!(
        std::fs::read_to_string(home.path("secrets"))
            .unwrap()
            .lines()
            .count(),
        2
    );
}

#[test]
fn names_of_writes_that_were_cut_off_may_be_anybodys() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    for name in ["alice-phone.p12", "pki", "secrets"] {
        std::fs::create_dir_all(home.path(format!("out/.{name}.aaaaaaaaaaaa.tmp/full"))).unwrap();
    }
    home.run(&[
        "issue",
        "alice",
        "--out",
        "out",
        "--bundle-passphrase-out",
        "out/secrets",
    ]);
    // One of our own is swept.
    home.write_private("out/.bob-phone.qr.png.bbbbbbbbbbbb.tmp", "half a file");
    home.run(&[
        "issue",
        "bob",
        "--out",
        "out",
        "--bundle-passphrase-out",
        "out/other",
    ]);
    let there = std::fs::read_dir(home.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let hidden = there
        .filter(|name| name.to_string_lossy().starts_with('.'))
        .count();
    assert_eq!(hidden, 3);
}

#[test]
fn nobody_is_given_the_name_of_a_serial_number() {
    let home = Home::new();
    let name = "1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let message = format!("\"{name}\" is not an employee's name: it would be taken for a serial number");
    fails(&home, &["issue", name], usage(&message));
    fails(&home, &["issue", &format!("{name}/phone")], usage(&message));
    home.write_private("list", &format!("employee,device\n{name},phone\n"));
    let message = format!("list: 1 of its rows cannot be used:\n  line 2: {message}");
    fails(&home, &["issue", "--from", "list"], refused(&message));
}

#[test]
fn files_that_cannot_be_shown() {
    let home = Home::staffed();
    fn unknown<'a>(message: &'a str) -> Wrong<'a> {
        Wrong {
            exit: 1,
            kind: "unknown",
            message,
        }
    }
    for file in ["none.crt", "none/none.crt", "./none", "/none/at/all"] {
        fails(
            &home,
            &["show", file],
            unknown(&format!("there is no file {file}")),
        );
    }
    fails(&home, &["show", "none"], unknown("there is no employee none"));
    for directory in ["home", "home/public", "."] {
        fails(
            &home,
            &["show", directory],
            refused(&format!("{directory} is a directory")),
        );
    }
    let told = fails(
        &home,
        &["show", "alice-phone.p12"],
        refused("alice-phone.p12 is a PKCS#12 bundle: what is in it is encrypted"),
    );
    assert!(
        told.stderr
            .contains("`openssl pkcs12 -nokeys -info -in alice-phone.p12`"),
        "{told}"
    );
    given(&home, "csr", "cut-short.csr");
    let message = "cut-short.csr is a certificate signing request: it cannot be read: \
                   ASN.1 DER message is incomplete: expected 206, actual 186 at DER byte 3";
    fails(&home, &["show", "cut-short.csr"], refused(message));
}

#[test]
fn certificates_and_keys_in_another_form_are_told_for_what_they_are() {
    if !need(&["openssl", "sh"]) {
        return;
    }
    let home = Home::staffed();
    let passphrase = home.alice().passphrase();
    home.write_private("passphrase", &passphrase);
    home.foreign(
        "openssl",
        &[
            "x509",
            "-in",
            "home/root/root.crt",
            "-outform",
            "der",
            "-out",
            "root.der",
        ],
    )
    .ok();
    for (file, text) in [("empty", ""), ("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n")] {
        home.write_private(file, text);
    }
    let url = "https://127.0.0.1:1/";
    let told = |arguments: &[&str], message: &str, hint: &str| {
        let told = finish(&mut home.pki(arguments), b"").exits(1);
        assert!(told.stderr.starts_with(&format!("pki: {message}\n")), "{told}");
        assert!(told.stderr.contains(hint), "{told}");
    };
    let bundle = "openssl pkcs12 -in alice-phone.p12 -nokeys -out certificate.pem";
    let whole = "-----BEGIN CERTIFICATE-----";
    for (file, what, hint) in [
        (
            "alice-phone.p12",
            "is a PKCS#12 bundle, and no certificate",
            bundle,
        ),
        ("cut.pem", "has a certificate in it that is not whole", whole),
        ("empty", "is empty: there is no certificate in it", whole),
    ] {
        let message = format!("{file} {what}");
        told(&["check", url, "--cert", file, "--key", "empty"], &message, hint);
        told(&["check", url, "--no-canary", "--ca", file], &message, hint);
        told(&["ca", "install", file], &message, hint);
        told(
            &["server", "import", "api.acme.example", "--cert", file],
            &message,
            hint,
        );
        let from = [
            "fetch",
            url,
            "--root",
            "home/root/root.crt",
            "--out",
            "out",
            "--ca",
            file,
        ];
        let from = finish(&mut home.pki(&from), b"").exits(1);
        assert!(from.stderr.contains(hint) && from.stderr.contains(file), "{from}");
    }
    // What is advised works.
    let advice = format!("{bundle} -passin file:passphrase");
    home.foreign("sh", &["-c", &advice]).ok();
    for file in ["certificate.pem", "root.der"] {
        let check = ["check", url, "--cert", file, "--key", "empty"];
        let said = finish(&mut home.pki(&check), b"").exits(1);
        assert!(
            said.stderr
                .starts_with("pki: empty is empty: there is no private key in it\n"),
            "{advice}: {said}"
        );
    }
    let [_, _, key] = home.opened(&home.alice());
    let key = key.display().to_string();
    home.foreign("sh", &["-c", &format!("umask 077; cp {key} plain.key")])
        .ok();
    for command in [
        "openssl pkey -in plain.key -outform der -out key.der",
        "openssl pkey -in plain.key -aes256 -passout file:passphrase -out locked.key",
    ] {
        home.foreign("sh", &["-c", &format!("umask 077; {command}")]).ok();
    }
    for (file, what, hint) in [
        (
            "alice-phone.p12",
            "is a PKCS#12 bundle, whose key must be taken out of it",
            "openssl pkcs12 -in alice-phone.p12 -nocerts -nodes -out key.pem",
        ),
        (
            "key.der",
            "is in DER, and must be made PEM",
            "openssl pkey -inform der -in key.der -out key.pem",
        ),
        (
            "locked.key",
            "has a key that is encrypted, and must be opened",
            "openssl pkey -in locked.key -out key.pem",
        ),
        (
            "cut.pem",
            "is a certificate, and no private key",
            "-----BEGIN PRIVATE KEY-----",
        ),
    ] {
        let check = ["check", url, "--cert", "home/root/root.crt", "--key"];
        told(&[&check[..], &[file]].concat(), &format!("{file} {what}"), hint);
        if hint.starts_with("openssl") {
            let command = format!("umask 077; {hint} -passin file:passphrase");
            home.foreign("sh", &["-c", &command]).ok();
            let said = finish(&mut home.pki(&[&check[..], &["key.pem"]].concat()), b"").exits(1);
            let mixed = "pki: key.pem is not the key of home/root/root.crt: ";
            assert!(said.stderr.starts_with(mixed), "{hint}: {said}");
        }
    }
    for (arguments, file) in [
        (
            &["check", url, "--cert", "none.pem", "--key", "none.key"][..],
            "none.pem",
        ),
        (
            &["check", url, "--cert", "home/root/root.crt", "--key", "none.key"],
            "none.key",
        ),
    ] {
        let message = format!("{file} could not be read: No such file or directory (os error 2)");
        told(arguments, &message, "look at how it is written");
    }
}

#[test]
fn pipes_that_nobody_writes_to() {
    if !need(&["mkfifo", "bash"]) {
        return;
    }
    let home = Home::staffed();
    home.foreign("mkfifo", &["-m", "600", "pipe"]).ok();
    let url = "https://127.0.0.1:1/";
    let all = [
        &["show", "pipe"][..],
        &["issue", "--from", "pipe"],
        &["issue", "bob", "--csr", "pipe"],
        &["publish", "--unlock", "--passphrase-file", "pipe"],
        &["check", url, "--cert", "pipe", "--key", "pipe"],
        &["check", url, "--no-canary", "--ca", "pipe"],
        &["fetch", "home/public", "--root", "pipe", "--out", "out"],
        &["root", "sign", "pipe", "--root", "home/root"],
        &["ca", "install", "pipe"],
    ];
    let refused = |arguments: &[&str]| {
        let begun = Instant::now();
        let told = finish(&mut home.pki(arguments), b"");
        let why = "it is a pipe that nobody writes to";
        assert!(
            matches!(told.code, Some(1 | 4)) && told.stderr.contains(why),
            "{arguments:?}: {told}"
        );
        assert!(begun.elapsed() < Duration::from_secs(20), "{arguments:?}: {told}");
        assert!(told.stderr.lines().count() >= 2, "no hint: {told}");
    };
    // At once, for each waits a moment for somebody to come.
    std::thread::scope(|scope| {
        for arguments in all {
            scope.spawn(move || refused(arguments));
        }
    });
    // What a shell hands over is read to its end, be it slow.
    let pki = crate::support::PKI;
    let slow = format!("{pki} show <(sleep 3; cat home/root/root.crt)");
    let quick = format!("{pki} show <(cat home/root/root.crt)");
    let piped = format!("cat home/root/root.crt | {pki} show /dev/stdin");
    for script in [slow, quick, piped] {
        let told = home.foreign("bash", &["-c", &script]).ok();
        assert!(told.stdout.starts_with("certificate of a CA"), "{script}: {told}");
    }
}

#[test]
fn what_is_no_home() {
    let home = Home::new();
    std::fs::create_dir(home.path("empty")).unwrap();
    home.write_private("file", "not a directory");
    let at = |name: &str| home.path(name).display().to_string();
    for (place, message) in [
        ("none", format!("there is no PKI in {}", at("none"))),
        (
            "empty",
            format!("{} is not the home of a PKI: it has no ledger.jsonl", at("empty")),
        ),
        (
            "file",
            format!("{} is not the home of a PKI: it has no ledger.jsonl", at("file")),
        ),
    ] {
        let named = at(place);
        for arguments in [
            &["issue", "alice"][..],
            &["list"],
            &["revoke", "alice", "--yes"],
            &["publish"],
            &["audit"],
        ] {
            let arguments = [arguments, &["--home", &named]].concat();
            fails(
                &home,
                &arguments,
                Wrong {
                    exit: 1,
                    kind: "no-home",
                    message: &message,
                },
            );
        }
    }
    let doctor = finish(&mut home.pki(&["doctor", "--home", &at("empty")]), b"").exits(3);
    assert!(
        doctor
            .stdout
            .contains("name the right directory with --home DIR or PKI_HOME"),
        "{doctor}"
    );
    // An empty variable names no home.
    let told = finish(
        home.pki(&["list"])
            .env("PKI_HOME", "")
            .env_remove("XDG_DATA_HOME"),
        b"",
    )
    .exits(1);
    assert!(
        told.stderr
            .starts_with(&format!("pki: there is no PKI in {}", at(""))),
        "{told}"
    );
    std::fs::remove_file(home.home().join("pki.toml")).unwrap();
    let message = format!(
        "{} is not the home of a PKI: it has no pki.toml",
        home.home().display()
    );
    fails(
        &home,
        &["publish"],
        Wrong {
            exit: 1,
            kind: "no-home",
            message: &message,
        },
    );
}

#[test]
fn files_of_two_homes() {
    if !need(&["openssl", "cp"]) {
        return;
    }
    let (ours, theirs) = (Home::new(), Home::bare());
    let issue = [
        "issue",
        "alice",
        "--bundle-passphrase-out",
        "secret",
        "--out",
        "out",
    ];
    for file in [
        "root/root.crt",
        "issuing/issuing.crt",
        "issuing/issuing.key",
        "ledger.jsonl",
    ] {
        let mixed = copy_of(&ours);
        std::fs::copy(theirs.home().join(file), mixed.home().join(file)).unwrap();
        let root = mixed.home().join("root/root.crt");
        let (kind, message) = match file {
            "ledger.jsonl" => (
                "mixed",
                format!(
                    "{} is not the certificate that this home's ledger has: files of two homes are mixed",
                    root.display()
                ),
            ),
            "issuing/issuing.key" => (
                "mixed",
                "the key of the issuing CA does not belong to its certificate".to_owned(),
            ),
            _ => (
                "damaged",
                "the certificate of the issuing CA is not issued by the root beside it".to_owned(),
            ),
        };
        fails(
            &mixed,
            &issue,
            Wrong {
                exit: 1,
                kind,
                message: &message,
            },
        );
        if file != "issuing/issuing.key" {
            finish(&mut mixed.pki(&["doctor"]), b"").exits(3);
            fails(
                &mixed,
                &["revoke", "alice", "--yes"],
                Wrong {
                    exit: 1,
                    kind,
                    message: &message,
                },
            );
        }
    }
    // A whole CA of another home beside our ledger.
    let mixed = copy_of(&ours);
    for file in ["root/root.crt", "issuing/issuing.crt", "issuing/issuing.key"] {
        std::fs::copy(theirs.home().join(file), mixed.home().join(file)).unwrap();
    }
    let root = mixed.home().join("root/root.crt").display().to_string();
    let message =
        format!("{root} is not the certificate that this home's ledger has: files of two homes are mixed");
    fails(
        &mixed,
        &issue,
        Wrong {
            exit: 1,
            kind: "mixed",
            message: &message,
        },
    );

    // The index is derived: another home's is of no use, and does no harm.
    let mixed = copy_of(&ours);
    std::fs::copy(theirs.home().join("index/head"), mixed.home().join("index/head")).unwrap();
    let said = finish(&mut mixed.pki(&issue), b"").ok();
    assert!(
        said.stderr
            .contains("pki: the index was made anew from the ledger"),
        "{said}"
    );
    mixed.run(&["audit", "verify"]);

    // Where none of ours is published either, the root's CRL of another root holds up the publication until
    // the root signs one, and it is said how.
    let mixed = copy_of(&ours);
    std::fs::remove_file(mixed.public("crl/root.crl")).unwrap();
    std::fs::copy(
        theirs.home().join("root/root.crl"),
        mixed.home().join("root/root.crl"),
    )
    .unwrap();
    let said = finish(&mut mixed.pki(&issue), b"").exits(5);
    assert!(
        said.stderr.contains("the CRL of the root CA is not signed by it"),
        "{said}"
    );
    assert!(
        said.stderr.contains("→ run `pki root crl` to finish the work"),
        "{said}"
    );
    let found = finish(&mut mixed.pki(&["doctor"]), b"").exits(3);
    assert!(found.stdout.contains("→ pki root crl"), "{found}");
    mixed.run(&["root", "crl"]);
    let found = mixed.run(&["doctor"]);
    assert!(!found.stdout.contains("error"), "{found}");
}

#[test]
fn what_init_refuses() {
    let home = Home::unfounded();
    home.write_private("short", "too short\n");
    let init = |more: &[&str]| {
        let mut arguments = vec!["init", "--org", "Acme Ltd", "--domain", "acme.example"];
        arguments.extend(more);
        arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |arguments: &[String], wrong: Wrong<'_>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        fails(&home, &arguments, wrong);
    };
    let message = "the passphrase of the root key has 9 characters: 12 or more are needed";
    run(&init(&["--root-passphrase-file", "short"]), refused(message));
    let message = "the passphrases of root and issuing key are the same";
    run(
        &init(&["--root-passphrase-file", "issuing-passphrase"]),
        refused(message),
    );
    let long = "A".repeat(49);
    fails(
        &home,
        &["init", "--org", &long, "--domain", "acme.example"],
        usage("--org has 49 characters: it must have 1 to 48"),
    );
    fails(
        &home,
        &["init", "--org", "Ac\u{202E}me", "--domain", "acme.example"],
        usage("--org \"Ac\\u{202e}me\" has the invisible or text-reordering character U+202E"),
    );
    for (name, why) in [
        (
            "\u{3164}",
            "\"\\u{3164}\" has the invisible or text-reordering character U+3164",
        ),
        (
            "Ac\u{FE0F}me",
            "\"Ac\\u{fe0f}me\" has the invisible or text-reordering character U+FE0F",
        ),
        ("–", "\"–\" has no letter or digit"),
    ] {
        fails(
            &home,
            &["init", "--org", name, "--domain", "acme.example"],
            usage(&format!("--org {why}")),
        );
    }
    for medium in ["home", "home/usb", "usb/../home/root"] {
        run(
            &init(&["--offline-root", medium]),
            place(&format!(
                "{medium} is no place for an offline root: it lies in the home"
            )),
        );
    }
    if Path::new("/proc/self").exists() {
        let message = "/proc is where a file system is mounted, which cannot be replaced by a home";
        let told = fails(
            &home,
            &[
                "init",
                "--org",
                "Acme Ltd",
                "--domain",
                "acme.example",
                "--home",
                "/proc",
            ],
            place(message),
        );
        assert!(
            told.stderr
                .contains("name a directory below it: --home /proc/pki"),
            "{told}"
        );
    }
    std::os::unix::fs::symlink("nowhere", home.home()).unwrap();
    let message = format!("{} exists already", home.home().display());
    let exists = Wrong {
        exit: 1,
        kind: "exists",
        message: &message,
    };
    run(&init(&[]), exists);
    std::fs::remove_file(home.home()).unwrap();
    std::fs::create_dir(home.home()).unwrap();
    std::fs::write(home.home().join("precious"), "mine").unwrap();
    run(&init(&[]), exists);
}

#[test]
fn a_domain_that_is_named_twice_is_one() {
    let home = Home::unfounded();
    let founded = finish(
        &mut home.pki(&[
            "init",
            "--org",
            "Acme Ltd",
            "--domain",
            "acme.example",
            "--email-domain",
            "acme.example",
        ]),
        b"",
    );
    founded.ok();
}
