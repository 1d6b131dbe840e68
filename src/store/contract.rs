//! The contract of the store: a suite of checks that every store must pass, whatever its index is kept in,
//! and the proof that the suite finds a store that breaks it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use super::file::kv::{Map, Visit, Writes};
use super::file::open::WHOLE;
use super::*;
use crate::model::event::KeySource;
use crate::model::{Form, Platform, Reason, Span, State, Validity};

/// How long sled may take to let go of its files.
const PATIENCE: Duration = Duration::from_secs(30);

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backing {
    /// With an index in sled, which is opened for each change.
    Sled,
    /// With an index in memory, which stays.
    Resident,
}

/// What may be wrong with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Its index forgets revocations.
    Forgets,
    /// It says again what it has said once.
    Stale,
    /// It takes no notice of what others have committed.
    LagsBehind,
}

/// A map with a fault.
struct Faulty {
    map: Box<dyn Map>,
    fault: Fault,
    said: Mutex<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl Map for Faulty {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if self.fault != Fault::Stale {
            return self.map.value(key);
        }
        let mut said = self.said.lock().unwrap();
        if let Some(said) = said.get(key) {
            return Ok(said.clone());
        }
        let value = self.map.value(key)?;
        said.insert(key.to_vec(), value.clone());
        Ok(value)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.map.scan(prefix, visit)
    }

    fn write(&mut self, mut writes: Writes) -> Result<(), StoreError> {
        if self.fault == Fault::Forgets {
            writes.retain(|key, _| !key.starts_with(b"v"));
        }
        self.map.write(writes)
    }
}

/// A store under test, and how others' commits come to it.
struct Subject {
    backing: Backing,
    fault: Fault,
    paths: Paths,
    store: Option<Store>,
}

impl Subject {
    fn new(backing: Backing, fault: Fault, paths: &Paths) -> Self {
        let mut subject = Self {
            backing,
            fault,
            paths: paths.clone(),
            store: None,
        };
        subject.store = Some(subject.opened());
        subject
    }

    fn opened(&self) -> Store {
        let mut store = match self.backing {
            Backing::Sled => Store::open(&self.paths, PATIENCE, now()).unwrap(),
            Backing::Resident => Store::resident(&self.paths).unwrap(),
        };
        let map = std::mem::replace(&mut store.index.map, Box::new(BTreeMap::new()));
        store.index.map = Box::new(Faulty {
            map,
            fault: self.fault,
            said: Mutex::default(),
        });
        store
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    /// Has another process commit this, between two turns of this store.
    fn meanwhile(&mut self, facts: Vec<Fact>) {
        match self.backing {
            // One process at a time has sled.
            Backing::Sled => {
                let mut kept = self.store.take();
                if self.fault != Fault::LagsBehind {
                    drop(kept.take());
                } else if let Some(store) = &mut kept {
                    // What is wrong with it: it goes on with the index that it had.
                    store.index.map = copy(&store.index);
                }
                self.commit_by_another(facts);
                self.store = Some(kept.unwrap_or_else(|| self.opened()));
            }
            Backing::Resident => {
                self.commit_by_another(facts);
                if self.fault != Fault::LagsBehind {
                    let before = self.store().seq();
                    let taken_in = self.store().catch_up().unwrap();
                    assert_eq!(before + taken_in, self.store().seq());
                }
            }
        }
    }

    fn commit_by_another(&self, facts: Vec<Fact>) {
        let mut other = Store::open(&self.paths, PATIENCE, now()).unwrap();
        other.commit(facts, now() + Span::seconds(60), "another").unwrap();
    }

    /// Commits in a turn of this store.
    fn commit(&mut self, facts: Vec<Fact>) {
        let (backing, at) = (self.backing, now());
        let store = self.store();
        if backing == Backing::Resident {
            store.take_turn(at).unwrap();
        }
        store.commit(facts, at, "this").unwrap();
    }
}

/// All that an index says, in memory.
fn copy(index: &Index) -> Box<dyn Map> {
    let mut all = BTreeMap::new();
    for kind in 0..=u8::MAX {
        let mut take = |key: &[u8], value: &[u8]| {
            all.insert(key.to_vec(), value.to_vec());
            Ok(true)
        };
        index.map.scan(&[kind], &mut take).unwrap();
    }
    Box::new(all)
}

fn now() -> Time {
    Time::from_unix(1_800_000_000)
}

fn serial(octet: u8) -> Serial {
    Serial::from_random([octet; 16])
}

fn address(octet: u8) -> Address {
    format!("employee{octet}/phone").parse().unwrap()
}

fn issued(octet: u8, pin: u8) -> Fact {
    Fact::Issued(Box::new(Issued {
        serial: serial(octet),
        address: address(octet),
        name: None,
        email: None,
        platform: Platform::Any,
        profile: "device".into(),
        days: None,
        key: KeySource::Bundle { p12: Form::Legacy },
        supersedes: Vec::new(),
        enrolled_by: None,
        validity: Validity {
            not_before: now(),
            not_after: now() + Span::days(90),
        },
        spki_sha256: [pin; 32],
        certificate: vec![octet; 600],
    }))
}

fn delivered(octet: u8) -> Fact {
    Fact::Delivered {
        serial: serial(octet),
        sha256: "0".repeat(64),
        supersedes: Vec::new(),
    }
}

fn revoked(octet: u8) -> Fact {
    Fact::Revoked {
        serial: serial(octet),
        address: Some(address(octet)),
        reason: Reason::Lost,
        since: None,
    }
}

fn crl(number: u64) -> Fact {
    Fact::CrlSigned {
        authority: Authority::Issuing,
        number,
        this_update: now(),
        next_update: now() + Span::days(30),
        entries: 1,
        sha256: "0".repeat(64),
    }
}

/// A home's ledger that is too long to be read whole at each start.
fn founded(directory: &Path) -> Paths {
    let paths = Paths::in_home(directory);
    let first = Fact::Initialized {
        organization: "Acme Ltd".into(),
        root: String::new(),
        issuing: String::new(),
        permitted: None,
    };
    Store::create(&paths, first, now(), "test").unwrap();
    let mut store = Store::open(&paths, PATIENCE, now()).unwrap();
    while store.ledger.len().unwrap() <= WHOLE {
        let filling = (0..500).map(|number| Fact::Offboarded {
            employee: format!("filling{number}").parse().unwrap(),
        });
        store.commit(filling.collect(), now(), "test").unwrap();
    }
    paths
}

/// Says what does not hold, in a store of this kind with this fault.
fn broken(backing: Backing, fault: Fault) -> Vec<&'static str> {
    let mut broken = Vec::new();
    if story(backing, fault, &mut broken).is_err() {
        broken.push("it answers");
    }
    broken
}

fn story(backing: Backing, fault: Fault, broken: &mut Vec<&'static str>) -> Result<(), StoreError> {
    let directory = tempfile::tempdir().unwrap();
    let paths = founded(directory.path());
    let mut subject = Subject::new(backing, fault, &paths);
    let mut hold = |what: &'static str, holds: bool| {
        if !holds {
            broken.push(what);
        }
    };

    subject.commit(vec![issued(1, 1), issued(2, 2)]);
    subject.commit(vec![delivered(1), delivered(2)]);
    let told = Told::by(subject.store())?;
    hold(
        "a certificate is found by serial, device, employee and key",
        told.is_of(1, 1),
    );
    hold(
        "a delivered one is active",
        told.states == [Some(State::Active), Some(State::Active), None],
    );
    hold(
        "what was issued is in the ledger",
        told.issued == [true, true, false],
    );

    let before = subject.store().seq();
    subject.commit(vec![revoked(1)]);
    let told = Told::by(subject.store())?;
    hold("a change has a number", told.seq == before + 1);
    hold(
        "a revoked one is on the list of revocations",
        told.revoked == [serial(1)],
    );
    hold(
        "a revoked one has its revocation",
        told.has_revocation == [true, false, false],
    );
    hold(
        "a revoked one is not among the others",
        !told.unrevoked.contains(&serial(1)),
    );
    hold("a revocation asks for a CRL", told.is_crl_due);
    subject.commit(vec![crl(7)]);
    let told = Told::by(subject.store())?;
    hold("a signed CRL is the last one", told.crl == Some(7));
    hold("after a CRL none is due", !told.is_crl_due);

    let cursor = subject
        .store()
        .events(Cursor::START, &mut |_| Ok(()))
        .unwrap()
        .cursor;
    subject.meanwhile(vec![issued(3, 2), delivered(3), revoked(2)]);
    let told = Told::by(subject.store())?;
    hold(
        "what another has issued is found",
        told.states[2] == Some(State::Active) && told.is_of(3, 2),
    );
    hold(
        "what another has revoked is revoked",
        told.revoked == [serial(1), serial(2)],
    );
    hold(
        "what another has revoked has its revocation",
        told.has_revocation == [true, true, false],
    );
    hold("what another has revoked asks for a CRL", told.is_crl_due);
    hold(
        "another's time is the last one",
        told.last == now() + Span::seconds(60),
    );
    let mut after = 0;
    let reached = subject.store().events(cursor, &mut |_| {
        after += 1;
        Ok(())
    });
    hold(
        "who follows is told what another has done",
        after == 3 && reached.is_ok(),
    );
    Ok(())
}

/// What a store says.
struct Told {
    seq: u64,
    last: Time,
    states: [Option<State>; 3],
    issued: [bool; 3],
    has_revocation: [bool; 3],
    /// By device, by employee and by key.
    found: Vec<[Vec<Serial>; 3]>,
    unrevoked: Vec<Serial>,
    revoked: Vec<Serial>,
    is_crl_due: bool,
    crl: Option<u64>,
}

impl Told {
    fn by(store: &Store) -> Result<Self, StoreError> {
        let octets = [1, 2, 3];
        let serials = |records: Vec<Record>| records.iter().map(|record| record.serial).collect();
        let (mut found, mut states, mut issued, mut has_revocation) =
            (Vec::new(), [None; 3], [false; 3], [false; 3]);
        for (at, octet) in octets.into_iter().enumerate() {
            found.push([
                serials(store.device(&address(octet))?),
                serials(store.employee(&address(octet).employee)?),
                serials(store.holders_of_key(&[octet; 32])?),
            ]);
            if let Some(record) = store.record(&serial(octet))? {
                states[at] = Some(record.state);
                issued[at] = store
                    .issued(&record)?
                    .is_some_and(|issued| issued.serial == serial(octet));
            }
            has_revocation[at] = store.revocation(&serial(octet))?.is_some();
        }
        let mut unrevoked = Vec::new();
        store.unrevoked(&mut |record| {
            unrevoked.push(record.serial);
            Ok(())
        })?;
        let revoked = store.revoked(Authority::Issuing, None)?;
        Ok(Self {
            seq: store.seq(),
            last: store.last_time(),
            states,
            issued,
            has_revocation,
            found,
            unrevoked,
            revoked: revoked.iter().map(|revocation| revocation.serial).collect(),
            is_crl_due: store.revoked_since_crl()?,
            crl: store.last_crl(Authority::Issuing)?.map(|crl| crl.number),
        })
    }

    /// Whether a certificate is found by all ways, the last of them its key.
    fn is_of(&self, octet: u8, pin: u8) -> bool {
        let (own, key) = (
            &self.found[usize::from(octet) - 1],
            &self.found[usize::from(pin) - 1],
        );
        own[0] == [serial(octet)] && own[1] == [serial(octet)] && key[2].contains(&serial(octet))
    }
}

#[test]
fn every_store_keeps_to_the_contract() {
    for backing in [Backing::Sled, Backing::Resident] {
        assert_eq!(broken(backing, Fault::None), [""; 0], "{backing:?}");
    }
}

#[test]
fn the_contract_finds_out_a_store_that_breaks_it() {
    for backing in [Backing::Sled, Backing::Resident] {
        for (fault, told) in [
            (Fault::Forgets, &["a revoked one has its revocation"][..]),
            // What an index says twice is wrong, or does not go together.
            (Fault::Stale, &["it answers", "a revocation asks for a CRL"][..]),
            (
                Fault::LagsBehind,
                &["what another has revoked has its revocation"][..],
            ),
        ] {
            let broken = broken(backing, fault);
            let is_found_out = told.iter().any(|one| broken.contains(one));
            assert!(is_found_out, "{backing:?} {fault:?}: {broken:?}");
        }
    }
}

/// Another process has the index on disk all the time, and neither keeps the other waiting.
#[test]
fn a_resident_store_lives_beside_one_that_has_the_index_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let paths = founded(directory.path());
    let mut resident = Store::resident(&paths).unwrap();
    let mut other = Store::open(&paths, Duration::ZERO, now()).unwrap();
    other.commit(vec![issued(1, 1)], now(), "other").unwrap();
    assert_eq!(resident.catch_up().unwrap(), 1);
    resident.take_turn(now()).unwrap();
    resident.commit(vec![revoked(1)], now(), "resident").unwrap();
    drop(other);
    let other = Store::open(&paths, PATIENCE, now()).unwrap();
    assert!(other.revocation(&serial(1)).unwrap().is_some());
    assert_eq!(other.notices(), []);
}

#[test]
fn a_resident_store_moves_aside_what_was_never_acknowledged_and_tells_what_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let paths = founded(directory.path());
    let mut resident = Store::resident(&paths).unwrap();
    let whole = std::fs::read(&paths.ledger).unwrap();
    std::fs::write(&paths.ledger, [&whole[..], br#"{"seq":"#].concat()).unwrap();
    assert_eq!(resident.catch_up().unwrap(), 0);
    resident.take_turn(now()).unwrap();
    assert!(matches!(resident.notices(), [Notice::TornTail(_)]));
    resident.commit(vec![issued(1, 1)], now(), "resident").unwrap();
    std::fs::write(&paths.ledger, &whole).unwrap();
    assert!(matches!(resident.catch_up(), Err(StoreError::Ahead { .. })));
}

/// What was acknowledged and is damaged is no end that was cut off.
#[test]
fn a_resident_store_cuts_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let paths = founded(directory.path());
    let mut resident = Store::resident(&paths).unwrap();
    let mut other = Store::open(&paths, PATIENCE, now()).unwrap();
    other.commit(vec![issued(1, 1)], now(), "other").unwrap();
    drop(other);
    let mut ledger = std::fs::read(&paths.ledger).unwrap();
    let last = ledger.len() - 100;
    ledger[last] ^= 1;
    std::fs::write(&paths.ledger, &ledger).unwrap();
    for _ in 0..2 {
        assert!(matches!(resident.catch_up(), Err(StoreError::Damaged { .. })));
        assert!(matches!(
            resident.take_turn(now()),
            Err(StoreError::Damaged { .. })
        ));
    }
    assert_eq!(std::fs::read(&paths.ledger).unwrap(), ledger);
}
