//! What comes of a damaged ledger, head or index: damage that is named, a torn tail, or what was written.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::codec::{
    read_offset, read_publication, read_record, read_revocation, write_publication, write_record,
};
use super::head::{self, Head};
use super::index::Index;
use super::last::LastPublication;
use super::ledger::{Entry, Ledger, Position};
use super::{kv, samples, servers};
use crate::fuzz::{self, seeds};
use crate::model::{Authority, DeviceKey, Event, KnownBy, Reason, Record, Serial, State, Time, Validity};

fn replayed(ledger: &Ledger) -> Result<(Vec<Vec<Entry>>, Position), super::super::StoreError> {
    let mut batches = Vec::new();
    let (last, _) = ledger.replay(Position::START, |batch| {
        batches.push(batch);
        Ok(())
    })?;
    Ok((batches, last))
}

/// What is told of a damaged ledger is what was appended, from its beginning on, in whole batches.
#[test]
fn ledgers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.jsonl");
    let ledger = Ledger::create(&path).unwrap();
    let mut at = Position::START;
    for facts in seeds::Company::new().facts()[2..9].chunks(2) {
        let entries = ledger.append(at, seeds::now(), "root", facts.to_vec()).unwrap();
        at = entries.last().unwrap().after;
    }
    let whole = std::fs::read(&path).unwrap();
    let (appended, _) = replayed(&ledger).unwrap();
    fuzz::damaged(&[whole], |octets| {
        fuzz::put(&path, octets);
        let length = octets.len() as u64;
        let _ = (
            ledger.event_at(0),
            ledger.event_at(length / 2),
            ledger.event_ending_at(length),
        );
        match replayed(&ledger) {
            Ok((batches, last)) => {
                assert!(appended.starts_with(&batches), "nobody has appended that");
                assert!(last.offset <= length && ledger.holds(last).unwrap());
                batches == appended
            }
            Err(_) => false,
        }
    });
}

/// Lines whose hash holds, whatever they say: as a program of another version might write them.
#[test]
fn sealed_lines() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.jsonl");
    let ledger = Ledger::create(&path).unwrap();
    let lines: Vec<Vec<u8>> = seeds::Company::new()
        .facts()
        .into_iter()
        .map(|fact| {
            std::fs::write(&path, "").unwrap();
            ledger
                .append(Position::START, seeds::now(), "root", vec![fact])
                .unwrap();
            let line = std::fs::read(&path).unwrap();
            let seal = line.windows(7).rposition(|part| part == b",\"sha\":").unwrap();
            line[..seal].to_vec()
        })
        .collect();
    fuzz::damaged(&lines, |line| {
        let sha = HEXLOWER.encode(&Sha256::digest(line));
        fuzz::put(
            &path,
            &[line, format!(",\"sha\":\"{sha}\"}}\n").as_bytes()].concat(),
        );
        let _ = ledger.event_at(0);
        replayed(&ledger).is_ok_and(|(batches, _)| batches.len() == 1)
    });
}

/// Events in an order in which they never come, and more often than once.
#[test]
fn histories() {
    let facts = seeds::Company::new().facts();
    let order = |numbers: std::ops::Range<u8>| numbers.collect::<Vec<u8>>();
    let orders = [order(0..10), order(10..26), order(26..37)];
    assert_eq!(facts.len(), 37);
    fuzz::damaged(&orders, |order| {
        let mut index = Index::new(Box::new(BTreeMap::new()));
        let fact = |number: &u8| facts[usize::from(*number) % facts.len()].clone();
        let entries = samples::entries(order.iter().map(fact));
        let applied = index.apply(&entries);
        let mut told = 0;
        let mut count = |_: Record| {
            told += 1;
            Ok(())
        };
        let read = index.unrevoked(&mut count).and_then(|()| index.known_servers());
        let revoked = index.revocations(Authority::Issuing, &mut |_, _| {});
        let _ = (index.servers_ca(), index.last_pins(), index.last_publication());
        assert!(told <= order.len());
        let mut invited = 0;
        let invites = index.invites(&mut |_| {
            invited += 1;
            Ok(())
        });
        assert!(invited <= 1);
        let accounts = index.acme_accounts();
        let of_device = index.invites_beginning("alice/phone\0");
        applied.is_ok()
            && read.is_ok()
            && revoked.is_ok()
            && invites.is_ok()
            && of_device.is_ok()
            && accounts.is_ok()
    });
}

#[test]
fn heads() {
    let directory = tempfile::tempdir().unwrap();
    let written = Head {
        home: [1; 32],
        position: Position {
            seq: 7,
            offset: 4711,
            sha: [2; 32],
        },
    };
    head::write(directory.path(), &written).unwrap();
    let path = directory.path().join("head");
    fuzz::damaged(&[std::fs::read(&path).unwrap()], |text| {
        fuzz::put(&path, text);
        head::read(directory.path()).is_some_and(|head| {
            head::write(directory.path(), &head).unwrap();
            std::fs::read(&path).unwrap() == text
        })
    });
}

#[test]
fn values_of_the_index() {
    let serial = Serial::from_random([7; 16]);
    let record = |state, known_by| Record {
        serial,
        address: "alice/phone".parse().unwrap(),
        validity: Validity {
            not_before: seeds::now(),
            not_after: Time::MAX,
        },
        state,
        known_by,
        spki_sha256: [1; 32],
        key: Some(DeviceKey([3; 64])),
        certificate_sha256: [2; 32],
        seq: u64::MAX,
    };
    let revoked = State::Revoked {
        at: seeds::now(),
        reason: Reason::Stolen,
    };
    let records = [
        write_record(&record(State::Active, KnownBy::Issuance), 0),
        write_record(&record(revoked, KnownBy::List { kept: true }), u64::MAX),
    ];
    fuzz::damaged(&records, |value| {
        read_record(serial, value).is_ok_and(|record| {
            let offset = read_offset(value).unwrap();
            assert_eq!(read_offset(&write_record(&record, offset)).ok(), Some(offset));
            let again = read_record(serial, &write_record(&record, offset));
            assert_eq!(again.ok(), Some(record));
            true
        })
    });
    let revocation = [
        &seeds::now().unix().to_be_bytes()[..],
        &[2],
        &Time::MAX.unix().to_be_bytes(),
    ]
    .concat();
    fuzz::damaged(&[revocation], |value| read_revocation(serial, value).is_ok());
    let last = LastPublication {
        public: 1,
        server: 2,
        server_manifest: Some([3; 32]),
        targets: vec!["/srv/pki".into(), "s3://acme/a".into()],
    };
    fuzz::damaged(&[write_publication(&last)], |value| {
        read_publication(value).is_some_and(|read| {
            assert_eq!(read_publication(&write_publication(&read)), Some(read));
            true
        })
    });
}

#[test]
fn buckets_and_servers() {
    let pairs = [(&b"r1"[..], &b"one"[..]), (b"r2", b"")];
    fuzz::damaged(&[kv::pack(pairs)], |packed| {
        kv::unpack(packed).is_ok_and(|pairs| {
            assert_eq!(kv::pack(pairs), packed);
            true
        })
    });
    let end = [&seeds::now().unix().to_be_bytes()[..], b"api.acme.example"].concat();
    fuzz::damaged(&[end], |value| servers::read_certified(value).is_ok());
    let mut index = Index::new(Box::new(BTreeMap::new()));
    let added = seeds::Company::new().facts().swap_remove(11);
    let entry = Entry {
        event: Event {
            seq: 1,
            time: seeds::now(),
            by: "root".into(),
            fact: added,
        },
        offset: 0,
        after: Position::START,
    };
    index.apply(&[entry]).unwrap();
    let server = serde_json::to_vec(&index.known_servers().unwrap()[0]).unwrap();
    fuzz::damaged(&[server], |value| {
        servers::read_server(value).is_ok_and(|server| {
            let _ = (
                server.pin_set(seeds::now(), crate::model::Span::days(30), Time::MAX),
                server.certifier(),
            );
            let again = serde_json::to_vec(&server).unwrap();
            assert_eq!(servers::read_server(&again).ok(), Some(server));
            true
        })
    });
}
