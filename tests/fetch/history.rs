//! The history of the ledger in a servers' half: who has signed it, and whether it goes on from what was
//! seen.

use pki::model::Time;
use pki::publish::{Checkpoint, End, Manifest};

use crate::forge::{Forge, Holder, Publication, now};

/// A checkpoint of the ledger of a home, where an event's hash is this octet.
fn checkpoint(events: u64, octet: u8) -> Checkpoint {
    Checkpoint {
        version: 1,
        home: [1; 32],
        end: End {
            events,
            head: [octet; 32],
        },
        made: now(),
        cites: None,
    }
}

fn line(checkpoint: &Checkpoint, signer: &Holder) -> String {
    let jws = signer.state(Checkpoint::TYPE, &checkpoint.text());
    String::from_utf8(jws).unwrap() + "\n"
}

fn history(forge: &Forge, checkpoints: &[Checkpoint]) -> String {
    checkpoints.iter().map(|one| line(one, &forge.issuing)).collect()
}

/// A publication with this history; none where it is empty.
fn with(forge: &Forge, number: u64, history: &str) -> Publication {
    let publication = forge.server(number);
    if history.is_empty() {
        return publication;
    }
    publication.with("history.jsonl", history)
}

#[track_caller]
fn accepted(forge: &Forge, publication: &Publication, more: &[&str]) {
    forge.publish(publication);
    forge.fetch(more).ok();
    assert!(forge.holds(publication));
}

#[track_caller]
fn refused(forge: &Forge, publication: &Publication, more: &[&str], word: &str) {
    let before = forge.traces();
    forge.publish(publication);
    let said = forge.fetch(more).exits(1);
    assert!(said.stderr.contains(word), "{word}: {said}");
    assert_eq!(forge.traces(), before, "{said}");
}

#[test]
fn a_ledger_that_was_set_back_or_is_another_is_taken_only_where_that_is_confirmed() {
    let seen = [checkpoint(5, 5), checkpoint(9, 9)];
    let cites = Checkpoint {
        cites: Some(seen[1].end),
        ..checkpoint(7, 77)
    };
    let cites_another = Checkpoint {
        cites: Some(End {
            events: 9,
            head: [99; 32],
        }),
        ..checkpoint(7, 77)
    };
    let other = |events, octet| Checkpoint {
        home: [2; 32],
        ..checkpoint(events, octet)
    };
    let cases: [(&str, Vec<Checkpoint>, Option<&str>); 10] = [
        ("the same", seen.to_vec(), None),
        ("more", [&seen[..], &[checkpoint(12, 12)]].concat(), None),
        ("thinned before it", vec![seen[1], checkpoint(12, 12)], None),
        ("reconciled", vec![seen[0], cites], None),
        ("shorter", vec![seen[0]], Some("was set back")),
        (
            "set back and grown",
            vec![seen[0], checkpoint(12, 12)],
            Some("was set back"),
        ),
        (
            "changed",
            vec![seen[0], checkpoint(9, 8), checkpoint(12, 12)],
            Some("was set back"),
        ),
        (
            "reconciled with another",
            vec![seen[0], cites_another],
            Some("was set back"),
        ),
        (
            "another's",
            vec![other(5, 5), other(12, 12)],
            Some("another ledger"),
        ),
        ("none", vec![], Some("no history of the ledger any more")),
    ];
    for (what, checkpoints, why) in cases {
        // Where what was remembered is lost, what is in place is as good.
        for forgets in [false, true] {
            let forge = Forge::new();
            accepted(&forge, &with(&forge, 7, &history(&forge, &seen)), &[]);
            if forgets {
                let state = forge.path(".out.pki-fetch/state.json");
                let mut said: serde_json::Value =
                    serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
                assert!(
                    said.as_object_mut().unwrap().remove("history").is_some(),
                    "{said}"
                );
                std::fs::write(&state, said.to_string()).unwrap();
            }
            let next = with(&forge, 8, &history(&forge, &checkpoints));
            let Some(why) = why else {
                accepted(&forge, &next, &[]);
                continue;
            };
            refused(&forge, &next, &[], why);
            refused(&forge, &next, &["--confirm", "8"], why);
            refused(&forge, &next, &[], "--confirm HISTORY");
            accepted(&forge, &next, &["--confirm", "HISTORY"]);
            // What is confirmed is what later ones go on from.
            let grown = [&checkpoints[..], &[other(20, 20)]].concat();
            if what == "another's" {
                accepted(&forge, &with(&forge, 9, &history(&forge, &grown)), &[]);
            }
        }
    }
}

#[test]
fn what_no_ca_of_the_root_has_signed_is_no_checkpoint() {
    let forge = Forge::new();
    let stranger = Forge::new();
    let good = history(&forge, &[checkpoint(5, 5), checkpoint(9, 9)]);
    let last = |line: String| history(&forge, &[checkpoint(5, 5)]) + &line;
    let first = |line: String| line + &history(&forge, &[checkpoint(9, 9)]);
    let mut damaged = good.clone().into_bytes();
    let middle = good.len() / 2 - 20;
    damaged[middle] = if damaged[middle] == b'A' { b'B' } else { b'A' };
    let as_pins = String::from_utf8(forge.issuing.state("pki-pins+jws", &checkpoint(9, 9).text())).unwrap();
    let newer = Checkpoint {
        version: 2,
        ..checkpoint(9, 9)
    };
    let cases = [
        last(line(&checkpoint(9, 9), &stranger.issuing)),
        first(line(&checkpoint(5, 5), &stranger.issuing)),
        last(line(&checkpoint(9, 9), &forge.servers)),
        first(line(&checkpoint(5, 5), &forge.root)),
        String::from_utf8(damaged).unwrap(),
        last(as_pins + "\n"),
        last(line(&newer, &forge.issuing)),
        history(&forge, &[checkpoint(9, 9), checkpoint(5, 5)]),
        history(&forge, &[checkpoint(9, 9), checkpoint(9, 9)]),
        "\n".to_owned(),
        good.clone() + "{}\n",
    ];
    for history in cases {
        refused(&forge, &with(&forge, 7, &history), &[], "history.jsonl");
        refused(
            &forge,
            &with(&forge, 7, &history),
            &["--confirm", "HISTORY"],
            "history.jsonl",
        );
    }
    accepted(&forge, &with(&forge, 7, &good), &[]);
}

/// What a later version lists there, a server of this one does not need.
#[test]
fn an_optional_file_that_is_not_known_is_left_out() {
    let forge = Forge::new();
    let good = with(&forge, 7, &history(&forge, &[checkpoint(5, 5)]));
    let later = good.clone().with("later.jsonl", "of another version\n");
    forge.publish(&later);
    forge.fetch(&[]).ok();
    let installed = std::fs::read(forge.path("out").join(Manifest::JSON)).unwrap();
    assert_eq!(installed, later.manifest.text());
    assert!(forge.path("out/history.jsonl").exists() && !forge.path("out/later.jsonl").exists());
    // The public half has no history.
    let forge = Forge::new();
    let public = forge.public(7).with("history.jsonl", "no history\n");
    forge.publish(&public);
    forge.fetch(&[]).ok();
    assert!(!forge.path("out/history.jsonl").exists());
}

/// Who was away for so long that what was seen may be gone goes on.
#[test]
fn a_checkpoint_that_may_have_been_thinned_need_not_be_there() {
    let forge = Forge::new();
    accepted(
        &forge,
        &with(&forge, 7, &history(&forge, &[checkpoint(3, 3)])),
        &[],
    );
    let many = |count: u64| -> Vec<Checkpoint> {
        let later = |events: u64| Checkpoint {
            made: Time::from_unix(now().unix() + i64::try_from(events).unwrap()),
            ..checkpoint(events, 4)
        };
        (4..4 + count).map(later).collect()
    };
    let few = history(&forge, &many(499));
    refused(&forge, &with(&forge, 8, &few), &[], "was set back");
    let enough = history(&forge, &many(500));
    accepted(&forge, &with(&forge, 8, &enough), &[]);
}
