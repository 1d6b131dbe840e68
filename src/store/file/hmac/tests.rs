//! What shared keys follow from, by every history of a device, and the epochs of a host.

use std::collections::BTreeMap;

use super::super::lists::{Content, LastLists};
use super::super::samples::{BUNDLE, entries, issued, phone, revoked, serial};
use super::*;
use crate::fuzz::seeds;
use crate::model::CheckValue;
use crate::model::event::{KeySource, Recovered};

/// What keys follow from; the same however many events are written at once.
fn first(facts: Vec<Fact>) -> Option<Serial> {
    let entries = entries(facts);
    let apply = |each: usize| {
        let mut index = Index::new(Box::new(BTreeMap::new()));
        entries.chunks(each).for_each(|some| index.apply(some).unwrap());
        index.first_since_revocation(&phone()).unwrap()
    };
    assert_eq!(apply(entries.len()), apply(1));
    apply(1)
}

/// Long lists that were published before a host has keys do not say what these follow from.
#[test]
fn the_first_keys_of_a_host_have_the_lists_written_whole() {
    let mut index = Index::new(Box::new(BTreeMap::new()));
    let content = Content {
        size: 1,
        sha256: [1; 32],
    };
    let lists = LastLists {
        allowed: content,
        devices: content,
    };
    let rotated = |epoch| Fact::HmacRotated {
        host: "api.acme.example".parse().unwrap(),
        epoch,
        check: CheckValue([1; 16]),
        previous_until: seeds::now(),
    };
    for (epoch, left) in [(1, None), (2, Some(lists))] {
        index.put_lists(Some(&lists)).unwrap();
        index.apply(&entries(vec![rotated(epoch)])).unwrap();
        assert_eq!(index.last_lists().unwrap(), left);
    }
}

/// Nobody but a forger leaves an epoch out, or begins one again.
#[test]
fn epochs_are_numbered_without_a_gap() {
    let host = || "api.acme.example".parse().unwrap();
    let rotated = |epoch, check| Fact::HmacRotated {
        host: host(),
        epoch,
        check: CheckValue([check; 16]),
        previous_until: seeds::now(),
    };
    let mut index = Index::new(Box::new(BTreeMap::new()));
    let facts = vec![rotated(1, 1), rotated(3, 3), rotated(1, 7), rotated(2, 2)];
    index.apply(&entries(facts)).unwrap();
    let epochs = index.hmac_host(&host()).unwrap().unwrap().epochs;
    let known: Vec<_> = epochs
        .iter()
        .map(|epoch| (epoch.number, epoch.check.0[0]))
        .collect();
    assert_eq!(known, [(1, 1), (2, 2)]);
}

/// What keys follow from changes where a device was lost, and nowhere else.
#[test]
fn keys_follow_from_the_first_certificate_after_a_loss() {
    let csr = |number| issued(number, KeySource::Request, &[]);
    let bundle = |number| issued(number, BUNDLE, &[]);
    let lost = |number| revoked(number, Reason::Lost);
    let replaced = |number| revoked(number, Reason::Replaced);
    let dropped = |number| revoked(number, Reason::Unspecified);
    let told = |number| Fact::HmacFirst {
        address: phone(),
        first: serial(number),
    };
    let listed = |number| {
        Fact::Recovered(Recovered {
            serial: serial(number),
            address: phone(),
            not_after: seeds::now(),
            superseded: false,
            supersedes: Vec::new(),
            spki_sha256: [number; 32],
            certificate_sha256: [number; 32],
        })
    };
    for (what, facts, right) in [
        ("one", vec![csr(1)], Some(1)),
        ("renewed", vec![csr(1), csr(2)], Some(1)),
        (
            "renewed, and the old one revoked",
            vec![csr(1), csr(2), replaced(1)],
            Some(1),
        ),
        (
            "renewed, the old one replaced, and then known to be lost",
            vec![csr(1), csr(2), replaced(1), lost(1)],
            Some(2),
        ),
        (
            "replaced, another one, and then the first known to be lost",
            vec![csr(1), replaced(1), csr(2), lost(1)],
            Some(2),
        ),
        ("replaced by nothing", vec![csr(1), replaced(1)], None),
        ("lost", vec![csr(1), lost(1)], None),
        ("lost, and another one", vec![csr(1), lost(1), csr(2)], Some(2)),
        (
            "renewed, and the old one lost",
            vec![csr(1), csr(2), lost(1)],
            Some(2),
        ),
        (
            "renewed, and both lost",
            vec![csr(1), csr(2), lost(1), lost(2)],
            None,
        ),
        (
            "renewed, and both lost, the new one first",
            vec![csr(1), csr(2), lost(2), lost(1)],
            None,
        ),
        ("what nobody got", vec![csr(1), bundle(2), dropped(2)], Some(1)),
        (
            "lost, and the last one never got there",
            vec![csr(1), bundle(2), lost(2)],
            None,
        ),
        (
            "an old one again",
            vec![csr(1), lost(1), csr(2), lost(1)],
            Some(2),
        ),
        ("a later one in a list", vec![csr(1), csr(2), told(2)], Some(2)),
        (
            "a lost one in a list",
            vec![csr(1), lost(1), csr(2), told(1)],
            Some(2),
        ),
        ("one of a lost home", vec![csr(1), told(9)], Some(9)),
        (
            "that, and renewed",
            vec![csr(1), told(9), csr(2), replaced(1)],
            Some(9),
        ),
        ("that, and an old one lost", vec![csr(1), told(9), lost(1)], None),
        (
            "that, and another one",
            vec![csr(1), told(9), lost(1), csr(2)],
            Some(2),
        ),
        (
            "the same told again",
            vec![csr(1), told(9), lost(1), told(9)],
            None,
        ),
        ("a list alone", vec![listed(1)], None),
        ("a list, and issued", vec![listed(1), csr(2)], Some(2)),
        ("a list that tells a first one", vec![listed(1), told(9)], Some(9)),
        ("that, and lost", vec![listed(1), told(9), lost(1)], None),
        (
            "that, and another one",
            vec![listed(1), told(9), lost(1), csr(2)],
            Some(2),
        ),
        (
            "that, revoked as replaced",
            vec![listed(1), told(9), replaced(1)],
            None,
        ),
        (
            "two of a list, in any order",
            vec![listed(3), listed(2), told(2), lost(3), csr(4)],
            Some(4),
        ),
        (
            "lost before it is known",
            vec![lost(1), listed(1), csr(2)],
            Some(2),
        ),
        (
            "issued, and an older one listed and lost",
            vec![csr(2), listed(1), lost(1), csr(3)],
            Some(3),
        ),
    ] {
        assert_eq!(first(facts), right.map(serial), "{what}");
    }
}
