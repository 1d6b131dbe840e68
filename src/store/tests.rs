//! Whoever follows the ledger reads on, and an index of another version is made anew.

use super::file::index::VERSION;
use super::*;

fn store(directory: &Path) -> (Paths, Store) {
    let paths = Paths::in_home(directory);
    let now = Time::from_unix(1_800_000_000);
    let first = Fact::Initialized {
        organization: "Acme Ltd".into(),
        root: String::new(),
        issuing: String::new(),
        permitted: None,
    };
    Store::create(&paths, first, now, "test").unwrap();
    let store = Store::open(&paths, Duration::ZERO, now).unwrap();
    (paths, store)
}

fn fact(employee: &str) -> Fact {
    Fact::Offboarded {
        employee: employee.parse().unwrap(),
    }
}

fn read(paths: &Paths, after: Cursor) -> Result<(Vec<u64>, Reached), StoreError> {
    let mut seen = Vec::new();
    let reached = Store::follow(paths, after, &mut |event| {
        seen.push(event.seq);
        Ok(())
    })?;
    Ok((seen, reached))
}

/// sled lets go of its files a moment after it was dropped.
const PATIENCE: Duration = Duration::from_secs(30);

/// What reading tells, once the index is free.
fn read_when_free(paths: &Paths) -> Vec<Notice> {
    let begun = std::time::Instant::now();
    loop {
        let notices = Store::read(paths).unwrap().notices().to_vec();
        if notices != [Notice::IndexNotUsed("in use".into())] || begun.elapsed() > PATIENCE {
            return notices;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An index in sled, of a ledger that is too long to be read whole at each start, with one change to it.
fn reopened(change: impl FnOnce(&mut Index, u64)) -> (Vec<Notice>, Vec<Notice>) {
    let directory = tempfile::tempdir().unwrap();
    let (paths, mut store) = store(directory.path());
    let now = store.last_time();
    while store.ledger.len().unwrap() <= WHOLE {
        let facts = (0..500).map(|number| fact(&format!("employee{number}")));
        store.commit(facts.collect(), now, "test").unwrap();
    }
    drop(store);
    let mut store = Store::open(&paths, PATIENCE, now).unwrap();
    assert!(
        !Store::read(&paths).unwrap().notices().is_empty(),
        "one process at a time"
    );
    let seq = store.seq();
    change(&mut store.index, seq);
    drop(store);
    let read = read_when_free(&paths);
    let opened = Store::open(&paths, PATIENCE, now).unwrap();
    assert!(
        opened
            .offboarded(&"employee7".parse().unwrap())
            .unwrap()
            .is_some()
    );
    assert!(opened.index.is_of_this_version().unwrap());
    let notices = opened.notices().to_vec();
    drop(opened);
    assert_eq!(Store::open(&paths, PATIENCE, now).unwrap().notices(), []);
    (read, notices)
}

#[test]
fn an_index_that_another_version_has_kept_is_made_anew_and_said_to_be() {
    let version = |value: Option<Vec<u8>>| {
        move |index: &mut Index, _: u64| index.map.write([(b"f".to_vec(), value)].into()).unwrap()
    };
    assert_eq!(reopened(|_, _| ()), (vec![], vec![]));
    let other = "it was kept by another version of pki".to_owned();
    let expected = (
        vec![Notice::IndexNotUsed(other.clone())],
        vec![Notice::Rebuilt(other)],
    );
    // Of a version before, which says nothing; of one to come; and of one before that has gone on with
    // this one's, and left out what only this one keeps.
    assert_eq!(reopened(version(None)), expected);
    assert_eq!(
        reopened(version(Some([&[VERSION + 1][..], &[0; 8]].concat()))),
        expected
    );
    let gone_on = |index: &mut Index, seq: u64| {
        let before = [&[VERSION][..], &(seq - 1).to_be_bytes()].concat();
        index.map.write([(b"f".to_vec(), Some(before))].into()).unwrap();
    };
    assert_eq!(reopened(gone_on), expected);
}

#[test]
fn whoever_follows_the_ledger_reads_on_from_where_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let (paths, mut store) = store(directory.path());
    let (seen, first) = read(&paths, Cursor::START).unwrap();
    assert_eq!((seen, first.is_torn), (vec![1], false));
    assert_eq!(read(&paths, first.cursor).unwrap(), (vec![], first));
    let now = store.last_time();
    store
        .commit(vec![fact("alice"), fact("bob")], now, "test")
        .unwrap();
    let (seen, second) = read(&paths, first.cursor).unwrap();
    assert_eq!(seen, [2, 3]);
    // What lies before is not read again: damage there is for `audit verify` to find.
    let whole = std::fs::read(&paths.ledger).unwrap();
    let mut damaged = whole.clone();
    damaged[10] ^= 1;
    std::fs::write(&paths.ledger, &damaged).unwrap();
    store.commit(vec![fact("carol")], now, "test").unwrap();
    assert_eq!(read(&paths, second.cursor).unwrap().0, [4]);
    assert!(read(&paths, Cursor::START).is_err());
    // A half of a batch was never acknowledged.
    let torn = [&whole[..], br#"{"seq":4"#].concat();
    std::fs::write(&paths.ledger, torn).unwrap();
    let (seen, reached) = read(&paths, second.cursor).unwrap();
    assert_eq!((seen, reached.is_torn), (vec![], true));
    // Nor is what was read before taken for what is there now.
    std::fs::write(&paths.ledger, &whole[..whole.len() - 300]).unwrap();
    assert!(matches!(
        read(&paths, second.cursor),
        Err(StoreError::Ahead { .. })
    ));
}
