//! `pki audit export`: the events for whoever collects those of many systems.

use serde_json::Value;

use crate::support::{Home, finish};

fn export(home: &Home, format: &str, since: usize) -> Vec<String> {
    let since = since.to_string();
    let said = home.run(&["audit", "export", "--format", format, "--since", &since]);
    said.stdout.lines().map(str::to_owned).collect()
}

/// The number of the event that a line tells.
pub fn number(format: &str, line: &str) -> u64 {
    let json = || -> Value { serde_json::from_str(line).unwrap() };
    let number = match format {
        "jsonl" => json()["number"].as_u64(),
        "ocsf" => json()["metadata"]["sequence"].as_u64(),
        _ => {
            let (_, rest) = line.split_once(" externalId=").unwrap();
            rest.split(' ').next().unwrap().parse().ok()
        }
    };
    number.unwrap()
}

/// A home in which something has happened to people, servers and invites.
fn lived_in() -> Home {
    let home = Home::staffed();
    home.run(&["revoke", "alice/phone", "--yes", "--reason", "lost"]);
    home.run(&["offboard", "bob", "--confirm", "bob"]);
    home.run(&["server", "add", "api.acme.example", "-q"]);
    home
}

fn ledger(home: &Home) -> Vec<Value> {
    let text = std::fs::read_to_string(home.home().join("ledger.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_event_is_a_line_and_who_has_seen_some_gets_the_rest() {
    let home = lived_in();
    let count = ledger(&home).len();
    for format in ["jsonl", "ocsf", "cef"] {
        let all = export(&home, format, 0);
        let numbers: Vec<u64> = all.iter().map(|line| number(format, line)).collect();
        assert_eq!(numbers, (1..=count as u64).collect::<Vec<_>>(), "{format}");
        for seen in 0..=count {
            assert_eq!(export(&home, format, seen), all[seen..], "{format} after {seen}");
        }
        // Who has seen more than there is has seen another ledger, or this one before it was set back.
        let beyond = (count + 1).to_string();
        let refused = finish(
            &mut home.pki(&["audit", "export", "--format", format, "--since", &beyond]),
            b"",
        )
        .exits(1);
        assert_eq!(refused.stdout, "");
        assert!(refused.stderr.contains("events are missing"), "{refused}");
    }
    let before = std::fs::read(home.home().join("ledger.jsonl")).unwrap();
    home.run(&["audit", "export"]);
    assert_eq!(std::fs::read(home.home().join("ledger.jsonl")).unwrap(), before);
    finish(&mut home.pki(&["audit", "export", "--json"]), b"").exits(2);
    finish(&mut home.pki(&["audit", "export", "--since", "-1"]), b"").exits(2);
    home.run(&["audit", "alice"]);
}

#[test]
fn a_line_says_what_the_ledger_does_and_has_its_place_in_the_chain() {
    let home = lived_in();
    let exported = export(&home, "jsonl", 0);
    for (line, event) in exported.iter().zip(ledger(&home)) {
        let line: Value = serde_json::from_str(line).unwrap();
        for (ours, theirs) in [
            ("number", "seq"),
            ("time", "time"),
            ("kind", "event"),
            ("actor", "by"),
            ("hash", "sha"),
            ("previous", "prev"),
        ] {
            assert_eq!(line[ours], event[theirs], "{line}");
        }
        let chain = ["seq", "prev", "batch", "time", "by", "event", "sha"];
        let mut rest = event.as_object().unwrap().clone();
        rest.retain(|name, _| !chain.contains(&name.as_str()));
        assert_eq!(line["details"], Value::Object(rest), "{line}");
    }
    let about = |kind: &str| -> Value {
        let lines = exported
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.into_iter().find(|line| line["kind"] == kind).unwrap()["subject"].clone()
    };
    assert_eq!(about("issued")["name"], "alice/phone");
    assert_eq!(about("issued")["type"], "certificate");
    assert_eq!(about("offboarded")["name"], "bob");
    assert_eq!(about("server_added")["name"], "api.acme.example");
}

#[test]
fn an_event_of_ocsf_has_all_that_its_class_requires() {
    let home = lived_in();
    for (line, event) in export(&home, "ocsf", 0).iter().zip(ledger(&home)) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["category_uid"], &line["class_uid"]),
            (&3.into(), &3004.into()),
            "{line}"
        );
        let activity = line["activity_id"].as_u64().unwrap();
        // The class has these, from Create to Resume.
        assert!((1..=13).contains(&activity), "{line}");
        assert_eq!(line["type_uid"], 300_400 + activity, "{line}");
        assert!((1..=6).contains(&line["severity_id"].as_u64().unwrap()), "{line}");
        assert_eq!(line["metadata"]["version"], "1.4.0");
        assert!(line["metadata"]["product"]["name"].is_string());
        assert_eq!(line["metadata"]["uid"], event["sha"]);
        assert_eq!(line["metadata"]["event_code"], event["event"]);
        assert!(line["entity"]["name"].is_string(), "{line}");
        assert!(line["actor"]["user"]["name"].is_string(), "{line}");
        // Milliseconds: a time of this century has thirteen digits.
        assert_eq!(line["time"].as_u64().unwrap().to_string().len(), 13, "{line}");
        assert!(line["unmapped"]["details"].is_object());
    }
}
