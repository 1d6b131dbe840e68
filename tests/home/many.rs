//! Homes of thousands of devices: what is many is neither held in memory nor kept from others.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::export::number;
use crate::support::{Home, fill, finish};

/// A home of so many devices.
fn crowded(count: u64) -> Home {
    let home = Home::new();
    fill(&home.home(), count, false).unwrap();
    // An index that lies behind is brought up to date: a reader would go by the ledger, all of it in memory.
    home.run(&["publish", "-q"]);
    let said = home.run(&["list", "nobody", "-v"]);
    assert!(!said.stderr.contains("index"), "{said}");
    home
}

fn spawn(command: &mut Command) -> Child {
    let pipes = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    pipes.spawn().unwrap()
}

/// The most memory that a process has had, in KiB.
fn peak(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

/// The most memory that a command has had by the time that all but the end of its document is read, in KiB:
/// until then it is not over, for no pipe takes as much as is left.
fn peak_of(home: &Home, arguments: &[&str], elements: u64) -> u64 {
    const REST: u64 = 1000;
    let mut child = spawn(&mut home.pki(arguments));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    while seen < elements - REST {
        seen += u64::from(lines.next().unwrap().unwrap().contains("\"serial\""));
    }
    let peak = peak(&child);
    assert!(lines.last().unwrap().unwrap().ends_with('}'));
    assert!(child.wait().unwrap().success());
    peak
}

#[test]
fn ten_times_as_many_devices_are_listed_in_the_same_memory_and_in_their_order() {
    const FEW: u64 = 1500;
    const MANY: u64 = 10 * FEW;
    /// In KiB. Where all are collected, it is three times as much.
    const HARDLY: u64 = 12 << 10;
    let (few, many) = (crowded(FEW), crowded(MANY));
    for (arguments, each) in [
        (["list", "--json"], 1),
        (["audit", "--json"], 2),
        (["audit", "export"], 2),
    ] {
        let before = peak_of(&few, &arguments, each * FEW);
        let after = peak_of(&many, &arguments, each * MANY);
        assert!(
            after < before + HARDLY,
            "{arguments:?}: {before} KiB, then {after} KiB"
        );
    }
    let listed = many.run(&["list", "--csv"]).stdout;
    let mut addresses = listed.lines().skip(1).map(|line| line.split(',').next().unwrap());
    for number in 0..MANY {
        assert_eq!(addresses.next(), Some(&*format!("fleet{number:07}/phone")));
    }
    assert_eq!(addresses.next(), None);
}

#[test]
fn who_reads_a_long_list_slowly_keeps_nobody_out() {
    let home = crowded(2000);
    for (verb, address) in [("list", "fleet0000001"), ("audit", "fleet0000002")] {
        let mut child = spawn(&mut home.pki(&[verb, "--json"]));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "{", "{verb} has begun");
        home.run(&["revoke", address, "--yes", "--wait", "2s", "-q"]);
        assert_eq!(lines.last().unwrap().unwrap(), "}");
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn what_breaks_off_at_damage_is_no_document_that_looks_whole() {
    let home = crowded(2000);
    let place = home.home().join("ledger.jsonl");
    let mut ledger = std::fs::read(&place).unwrap();
    let middle = ledger.len() / 2;
    ledger[middle] ^= 1;
    std::fs::write(&place, ledger).unwrap();
    let broken = finish(&mut home.pki(&["audit", "--json"]), b"").exits(1);
    assert!(broken.stderr.contains("ledger-damaged"), "{}", broken.stderr);
    assert!(broken.stdout.starts_with("{\n  \"events\": [\n    {\n"));
    assert!(serde_json::from_str::<Value>(&broken.stdout).is_err());
    let verified = finish(&mut home.pki(&["audit", "verify"]), b"").exits(3);
    assert!(verified.stdout.contains("damaged"), "{verified}");
    // Lines have no end that could be missing: those before the damage are whole, and are all that is good.
    for format in ["jsonl", "ocsf", "cef"] {
        let exported = finish(&mut home.pki(&["audit", "export", "--format", format]), b"").exits(1);
        assert!(
            exported.stderr.contains("is damaged at event"),
            "{}",
            exported.stderr
        );
        assert!(exported.stdout.ends_with('\n'));
        let numbers = exported.stdout.lines().map(|line| number(format, line));
        assert!(numbers.eq(1..=exported.stdout.lines().count() as u64));
        // A batch counts as a whole or not at all: the damage is in the next one.
        let damaged = exported.stderr.split("damaged at event ").nth(1).unwrap();
        let damaged: usize = damaged.split(' ').next().unwrap().parse().unwrap();
        assert!((1..damaged).contains(&exported.stdout.lines().count()));
    }
}
