//! What comes of damaged statements, lists and places: a refusal, or what they say.

use super::statement::{said, vouched};
use super::{
    Accepted, Area, Checkpoint, End, History, Location, Manifest, Pins, Statement, Unproven, accepted,
    revoked_serial,
};
use crate::fuzz::{self, seeds};
use crate::model::{KnownBy, PinSet, Pinned, Record, Role, Serial, Span, State, Validity};

/// A statement holds where it is one that was signed, and nowhere else.
#[test]
fn statements() {
    let company = seeds::Company::new();
    let payloads: [&[u8]; 2] = [b"{\"number\":1}\n", b""];
    let made = payloads.map(|payload| company.devices.sign_statement(Manifest::TYPE, payload).unwrap());
    let ca = company.devices.chain().ca();
    fuzz::damaged(&made, |jws| {
        let read = Statement::verify(Manifest::TYPE, jws, company.root.certificate(), seeds::now());
        let unproven = Unproven::read(jws);
        let heard = said(ca.public_key(), jws);
        let _ = vouched(Manifest::TYPE, jws);
        if let Ok(statement) = &read {
            assert!(payloads.contains(&statement.payload()));
            assert_eq!(heard.as_deref(), Some(statement.payload()));
            assert_eq!(unproven.map(|unproven| unproven.payload), heard);
            assert!(
                made.iter().any(|whole| whole.as_bytes() == jws),
                "nobody has signed that"
            );
        }
        read.map_err(|why| why.to_string()).is_ok()
    });
}

/// Their headers, under whatever signature: of a stranger's statement everything is read before it.
#[test]
fn headers_of_statements() {
    let company = seeds::Company::new();
    let made = company.devices.sign_statement(Manifest::TYPE, b"{}").unwrap();
    let (header, rest) = made.split_once('.').unwrap();
    let header = data_encoding::BASE64URL_NOPAD.decode(header.as_bytes()).unwrap();
    fuzz::damaged(std::slice::from_ref(&header), |changed| {
        let jws = format!("{}.{rest}", data_encoding::BASE64URL_NOPAD.encode(changed));
        let root = company.root.certificate();
        let read = Statement::of_root(Manifest::TYPE, jws.as_bytes(), root);
        let _ = Unproven::read(jws.as_bytes());
        assert_eq!(read.is_ok(), changed == header);
        read.map_err(|why| why.to_string()).is_ok()
    });
}

fn manifest() -> Manifest {
    let listed = super::Listed {
        sha256: "0".repeat(64),
        size: 7,
    };
    Manifest {
        version: 1,
        area: Area::Public,
        number: 1_800_000_000,
        made: seeds::now(),
        valid_until: seeds::now() + Span::days(30),
        ended: Some(vec![super::Ended {
            serial: Serial::from_random([7; 16]),
            not_after: seeds::now(),
        }]),
        files: [("crl/root.crl".to_owned(), listed.clone())].into(),
        recent: Some([(super::RECENT_DEVICES.to_owned(), listed.clone())].into()),
        optional: Some([(super::HISTORY.to_owned(), listed)].into()),
    }
}

#[test]
fn manifests() {
    let text = serde_json::to_vec_pretty(&manifest()).unwrap();
    fuzz::damaged(&[text], |text| {
        let Ok(read) = serde_json::from_slice::<Manifest>(text) else {
            return false;
        };
        let again = serde_json::to_vec(&read).unwrap();
        assert_eq!(serde_json::from_slice::<Manifest>(&again).unwrap(), read);
        for listed in read.files.values() {
            let _ = listed.sha256();
        }
        true
    });
}

/// What is read is the same again, and has numbers that rise.
#[test]
fn histories() {
    let company = seeds::Company::new();
    let line = |events: u64| {
        let checkpoint = Checkpoint {
            version: 1,
            home: [1; 32],
            end: End {
                events,
                head: [2; 32],
            },
            made: seeds::now(),
            cites: None,
        };
        let signed = company
            .devices
            .sign_statement(Checkpoint::TYPE, &checkpoint.text());
        signed.unwrap() + "\n"
    };
    fuzz::damaged(&[line(1) + &line(7), line(9)], |text| match History::read(text) {
        Ok(history) => {
            assert_eq!(History::read(&history.text()).as_ref(), Ok(&history));
            let events = history.lines().iter().map(|line| line.checkpoint.end.events);
            assert!(events.is_sorted_by(|one, next| one < next));
            true
        }
        Err(why) => {
            assert!(!why.to_string().is_empty());
            false
        }
    });
}

#[test]
fn pin_sets() {
    let pinned = |octet, role| Pinned {
        pin: crate::model::Pin([octet; 32]),
        role,
        since: seeds::now(),
    };
    let pins = Pins {
        version: 1,
        number: 7,
        iat: seeds::now().unix(),
        exp: seeds::now().unix() + 86_400,
        sets: vec![PinSet {
            host: "api.acme.example".parse().unwrap(),
            include_subdomains: true,
            expires: seeds::now() + Span::days(1),
            pins: vec![pinned(1, Role::Active), pinned(2, Role::Backup)],
        }],
    };
    fuzz::damaged(&[pins.text()], |text| {
        Pins::read(text).is_some_and(|read| {
            assert_eq!(Pins::read(&read.text()).as_ref(), Some(&read));
            let _ = (read.made().to_string(), read.expires().to_string());
            let _ = read.say_the_same_as(&pins.sets);
            true
        })
    });
}

#[test]
fn lists_for_servers() {
    let record = |octet, state| Record {
        serial: Serial::from_random([octet; 16]),
        address: "alice/phone".parse().unwrap(),
        validity: Validity {
            not_before: seeds::now() - Span::days(1),
            not_after: seeds::now() + Span::days(1),
        },
        state,
        known_by: KnownBy::Issuance,
        spki_sha256: [octet; 32],
        key: None,
        certificate_sha256: [octet; 32],
        seq: 1,
    };
    let mut lists = Accepted::new(seeds::now());
    lists.take(&record(1, State::Active), None);
    lists.take(&record(2, State::Superseded), Some(Serial::from_random([1; 16])));
    let files = lists.into_files([super::ALLOWED, super::DEVICES]);
    let [allowed, devices] = files.map(|file| {
        file.body()
            .unwrap()
            .pieces()
            .flat_map(|piece| piece.into_owned())
            .collect::<Vec<u8>>()
    });
    fuzz::damaged(&[devices], |text| {
        accepted::read(text).is_some_and(|told| {
            let again = serde_json::to_vec(&serde_json::json!({ "devices": told })).unwrap();
            assert_eq!(accepted::read(&again).as_ref(), Some(&told));
            true
        })
    });
    let lines: Vec<&[u8]> = allowed
        .split(|octet| *octet == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    fuzz::damaged_texts(&lines, |line| {
        accepted::allowed(line).is_some_and(|(serial, address)| {
            let again = format!("{serial} \"{address}\";");
            assert_eq!(accepted::allowed(&again), Some((serial, address)));
            true
        })
    });
    let line = format!("{} 1;", Serial::from_random([1; 16]));
    fuzz::damaged_texts(&[line], |line| {
        revoked_serial(line).is_some_and(|serial| {
            assert_eq!(revoked_serial(&format!("{serial} 1;")), Some(serial));
            true
        })
    });
}

#[test]
fn places() {
    let places = ["/srv/pki/public", "s3://acme-pki/public/v1/", "s3://acme"];
    fuzz::damaged_texts(&places, |text| {
        Location::try_from(text.to_owned()).is_ok_and(|place| {
            assert_eq!(Location::try_from(place.to_string()).as_ref(), Ok(&place));
            true
        })
    });
}
