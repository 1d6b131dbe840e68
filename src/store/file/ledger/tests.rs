//! What a ledger gives back of what was appended, and what of what is damaged.

use super::*;

fn fact(name: &str) -> Fact {
    Fact::Offboarded {
        employee: name.parse().unwrap(),
    }
}

/// A ledger of a batch of one and a batch of two.
fn ledger(directory: &Path) -> (Ledger, Vec<Entry>) {
    let ledger = Ledger::create(&directory.join("ledger.jsonl")).unwrap();
    let time = Time::from_unix(1_800_000_000);
    let mut entries = ledger
        .append(Position::START, time, "root", vec![fact("a")])
        .unwrap();
    let at = entries[0].after;
    entries.extend(
        ledger
            .append(at, time, "root", vec![fact("b"), fact("c")])
            .unwrap(),
    );
    (ledger, entries)
}

/// Whoever reads takes no lock, and may see half of what is being written: that is not damage.
#[test]
fn whoever_reads_while_another_appends_finds_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, entries) = ledger(directory.path());
    let path = directory.path().join("ledger.jsonl");
    let done = std::sync::atomic::AtomicBool::new(false);
    let time = Time::from_unix(1_800_000_000);
    let long = || (0..200).map(|_| fact(&"a".repeat(60))).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = entries.last().unwrap().after;
            for _ in 0..300 {
                at = ledger
                    .append(at, time, "root", long())
                    .unwrap()
                    .pop()
                    .unwrap()
                    .after;
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let (reader, mut from) = (Ledger::read(&path).unwrap(), Position::START);
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            (from, _) = reader.replay(from, |_| Ok(())).unwrap();
        }
    });
}

#[test]
fn what_nobody_could_read_again_is_not_appended() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, entries) = ledger(directory.path());
    let before = ledger.len().unwrap();
    let time = Time::from_unix(1_800_000_000);
    let long = Fact::Published {
        public: 1,
        server: 1,
        targets: vec!["a".repeat(1 << 20)],
        server_manifest: None,
    };
    let refused = ledger.append(entries.last().unwrap().after, time, "root", vec![long]);
    assert!(matches!(refused, Err(StoreError::Encoding(_))));
    assert_eq!(ledger.len().unwrap(), before);
}

fn replayed(ledger: &Ledger) -> Result<(Vec<Entry>, Position, Tail), StoreError> {
    let mut all = Vec::new();
    let (last, tail) = ledger.replay(Position::START, |batch| {
        all.extend(batch);
        Ok(())
    })?;
    Ok((all, last, tail))
}

fn damage(ledger: &Ledger, change: impl FnOnce(&mut Vec<u8>)) {
    let mut octets = std::fs::read(&ledger.path).unwrap();
    change(&mut octets);
    std::fs::write(&ledger.path, octets).unwrap();
}

#[test]
fn what_was_appended_is_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, entries) = ledger(directory.path());
    let (all, last, tail) = replayed(&ledger).unwrap();
    assert_eq!((&all, last, tail), (&entries, entries[2].after, Tail::Clean));
    assert_eq!(ledger.event_at(entries[1].offset).unwrap(), entries[1].event);
    assert!(ledger.holds(last).unwrap());
    assert!(!ledger.holds(Position { sha: [1; 32], ..last }).unwrap());
    assert!(
        !ledger
            .holds(Position {
                offset: last.offset + 1,
                ..last
            })
            .unwrap()
    );
}

#[test]
fn a_tail_cut_anywhere_is_torn_and_takes_its_whole_batch_along() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, entries) = ledger(directory.path());
    let whole = std::fs::read(&ledger.path).unwrap();
    let begin = entries[0].after.offset;
    for length in begin + 1..whole.len() as u64 {
        std::fs::write(&ledger.path, &whole[..usize::try_from(length).unwrap()]).unwrap();
        let (all, last, tail) = replayed(&ledger).unwrap();
        assert_eq!(
            (all.len(), last, tail),
            (1, entries[0].after, Tail::Torn),
            "cut at {length}"
        );
    }
    let aside = ledger.cut(entries[0].after, Time::from_unix(0)).unwrap();
    assert_eq!(
        std::fs::read(aside).unwrap(),
        whole[usize::try_from(begin).unwrap()..whole.len() - 1]
    );
    assert_eq!(replayed(&ledger).unwrap().2, Tail::Clean);
}

#[test]
fn zeros_after_a_power_cut_are_a_torn_tail() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, entries) = ledger(directory.path());
    damage(&ledger, |octets| octets.extend([0; 4096]));
    assert_eq!(
        replayed(&ledger).unwrap(),
        (entries.clone(), entries[2].after, Tail::Torn)
    );
}

#[test]
fn damage_before_an_acknowledged_batch_stops_and_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, entries) = ledger(directory.path());
    let whole = std::fs::read(&ledger.path).unwrap();
    let first = usize::try_from(entries[0].after.offset).unwrap();
    for at in (0..first).step_by(7) {
        std::fs::write(&ledger.path, &whole).unwrap();
        damage(&ledger, |octets| octets[at] ^= 1);
        assert!(
            matches!(
                replayed(&ledger),
                Err(StoreError::Damaged {
                    seq: 1,
                    offset: 0,
                    ..
                })
            ),
            "octet {at}"
        );
    }
}

#[test]
fn a_line_that_was_left_out_breaks_the_chain() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, entries) = ledger(directory.path());
    damage(&ledger, |octets| {
        drop(octets.drain(..usize::try_from(entries[0].after.offset).unwrap()))
    });
    assert!(matches!(
        replayed(&ledger),
        Err(StoreError::Damaged { seq: 1, .. })
    ));
}

#[test]
fn an_append_at_a_place_that_moved_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, entries) = ledger(directory.path());
    let again = ledger.append(entries[0].after, Time::from_unix(0), "root", vec![fact("d")]);
    assert!(matches!(again, Err(StoreError::Moved { .. })));
}
