//! The index says the same however the events came to it.

use std::collections::BTreeMap;

use super::super::ledger::Position;
use super::super::samples::{BUNDLE, entries, issued, revoked, serial};
use super::*;
use crate::model::Reason;

/// The life of three certificates: one replaced, one lost, and one lost while it was never delivered.
fn lives() -> Vec<Entry> {
    let delivered = |number, supersedes: &[u8]| Fact::Delivered {
        serial: serial(number),
        sha256: String::new(),
        supersedes: supersedes.iter().map(|number| serial(*number)).collect(),
    };
    entries([
        issued(1, BUNDLE, &[]),
        delivered(1, &[]),
        issued(2, BUNDLE, &[1]),
        delivered(2, &[1]),
        revoked(2, Reason::Lost),
        issued(3, BUNDLE, &[]),
        revoked(3, Reason::Lost),
    ])
}

type Told = (
    Vec<Record>,
    Vec<Vec<Record>>,
    Vec<Revocation>,
    (Position, Option<Serial>),
);

/// What an index says of them in the end.
fn told(index: &Index) -> Told {
    let (mut unrevoked, mut revocations) = (Vec::new(), Vec::new());
    index
        .unrevoked(&mut |record| {
            unrevoked.push(record);
            Ok(())
        })
        .unwrap();
    index
        .revocations(Authority::Issuing, &mut |revocation, _| {
            revocations.push(revocation)
        })
        .unwrap();
    let mut found = vec![index.device(&"alice/phone".parse().unwrap()).unwrap()];
    found.extend((0..4).map(|octet| index.holders_of_key(&[octet; 32]).unwrap()));
    assert!(index.is_of_this_version().unwrap());
    let first = index.first_since_revocation(&"alice/phone".parse().unwrap());
    (
        unrevoked,
        found,
        revocations,
        (index.position().unwrap(), first.unwrap()),
    )
}

#[test]
fn it_says_the_same_however_many_events_are_written_at_once() {
    let lives = lives();
    let mut index = Index::new(Box::new(BTreeMap::new()));
    index.apply(&lives).unwrap();
    let at_once = told(&index);
    let (device, by_key) = at_once.1.split_first().unwrap();
    let states: Vec<bool> = device.iter().map(|r| r.revocation().is_some()).collect();
    assert_eq!(states, [false, true, true]);
    // Each key has its own certificate, revoked or not; one that differs in its second half has none.
    let [first, second, third] = [0, 1, 2].map(|i| vec![device[i].clone()]);
    assert_eq!(by_key, [vec![], first, second, third]);
    let mut near = [1; 32];
    near[31] = 0;
    assert!(index.holders_of_key(&near).unwrap().is_empty());
    assert_eq!((at_once.0.len(), at_once.2.len()), (1, 2));
    assert_eq!(at_once.0[0].state, State::Superseded);
    for written in 0..=lives.len() {
        let mut index = Index::new(Box::new(BTreeMap::new()));
        let mut pending = index.pending();
        pending.apply(&lives[..written]).unwrap();
        pending.write().unwrap();
        pending.apply(&lives[written..]).unwrap();
        pending.write().unwrap();
        assert_eq!(told(&index), at_once, "written after {written}");
    }
}

#[test]
fn what_waits_to_be_written_has_no_certificates() {
    let mut index = Index::new(Box::new(BTreeMap::new()));
    let mut pending = index.pending();
    pending.apply(&lives()).unwrap();
    let octets = pending
        .writes
        .iter()
        .map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
    assert!(octets.sum::<usize>() < 1500);
}

/// A key that has more certificates than its entry has room for.
#[test]
fn a_key_with_many_certificates_is_found_as_well() {
    let mut entries = lives();
    let first = entries[0].clone();
    for number in 10..90_u8 {
        let mut entry = first.clone();
        let Fact::Issued(issued) = &mut entry.event.fact else {
            panic!("the first is an issue");
        };
        issued.serial = Serial::from_random([number; 16]);
        issued.spki_sha256 = [200; 32];
        entry.event.seq += u64::from(number);
        entries.push(entry);
        let mut index = Index::new(Box::new(BTreeMap::new()));
        index.apply(&entries).unwrap();
        let found = index.holders_of_key(&[200; 32]).unwrap();
        let serials: Vec<Serial> = found.iter().map(|record| record.serial).collect();
        let expected = (10..=number).map(|number| Serial::from_random([number; 16]));
        assert_eq!(serials, expected.collect::<Vec<_>>());
    }
}

#[test]
fn what_changes_after_lists_were_published_is_told_with_whether_they_name_it() {
    let lives = lives();
    let content = |octet| super::super::lists::Content {
        size: 7,
        sha256: [octet; 32],
    };
    let lists = super::super::lists::LastLists {
        allowed: content(1),
        devices: content(2),
    };
    // Published after so many events; then by serial what has changed, and whether the lists name it.
    for (published, expected) in [
        (0, vec![(1, false), (2, false), (3, false)]),
        (2, vec![(1, true), (2, false), (3, false)]),
        (3, vec![(1, true), (2, false), (3, false)]),
        (4, vec![(2, true), (3, false)]),
        (7, vec![]),
    ] {
        let mut index = Index::new(Box::new(BTreeMap::new()));
        index.apply(&lives[..published]).unwrap();
        assert_eq!(index.last_lists().unwrap(), None);
        index.put_lists(Some(&lists)).unwrap();
        assert_eq!(index.last_lists().unwrap(), Some(lists));
        for entry in &lives[published..] {
            index.apply(std::slice::from_ref(entry)).unwrap();
        }
        let changed = index.changed(3).unwrap().unwrap();
        let told: Vec<_> = changed
            .iter()
            .map(|one| (one.record.serial.octets()[0], one.is_listed))
            .collect();
        assert_eq!(told, expected, "published after {published}");
        assert_eq!(
            index.changed(told.len().max(1) - 1).unwrap().is_none(),
            !told.is_empty()
        );
        // Once they are published whole again nothing has changed.
        index.put_lists(None).unwrap();
        assert_eq!(
            (index.last_lists().unwrap(), index.changed(3).unwrap()),
            (None, Some(vec![]))
        );
    }
}
