//! Pin sets that follow on others: whoever has a key that was given up is believed by no app again.

use pki::model::{Pin, PinSet, Pinned, Role, Span, Time};
use pki::publish::Pins;

use crate::forge::{Forge, Publication, now};
use crate::support::Finished;

const HOST: &str = "api.acme.example";

/// A key by its letter, what it is, and for how many days.
type Key = (char, Role, i64);

fn at(days: i64) -> Time {
    now() - Span::days(days)
}

fn pin(letter: char) -> Pin {
    Pin([u8::try_from(letter).unwrap(); 32])
}

fn set(host: &str, keys: &[Key]) -> PinSet {
    let pinned = |&(letter, role, days): &Key| Pinned {
        pin: pin(letter),
        role,
        since: at(days),
    };
    PinSet {
        host: host.parse().unwrap(),
        include_subdomains: false,
        expires: now() + Span::days(300),
        pins: keys.iter().map(pinned).collect(),
    }
}

/// The public half of this number, with these pin sets of the same number, made so many days ago.
fn public(forge: &Forge, number: u64, made: i64, sets: Vec<PinSet>) -> Publication {
    let pins = Pins {
        version: 1,
        number,
        iat: at(made).unix(),
        exp: (now() + Span::days(300)).unix(),
        sets,
    };
    let text = pins.text();
    let jws = forge.issuing.state(Pins::TYPE, &text);
    let publication = forge.public(number).with(Pins::JSON, text);
    publication.with(Pins::JWS, jws)
}

fn fetch(forge: &Forge, publication: &Publication, more: &[&str]) -> Finished {
    forge.publish(publication);
    forge.fetch(more)
}

const BEFORE: [Key; 2] = [('A', Role::Active, 90), ('B', Role::Backup, 90)];
/// A was given up 60 days ago.
const AFTER: [Key; 2] = [('B', Role::Active, 60), ('C', Role::Backup, 60)];

#[test]
fn a_key_that_was_given_up_comes_back_by_no_later_number() {
    let retiring = [&AFTER[..], &[('A', Role::Retiring, 60)]].concat();
    for standing in [&AFTER[..], &retiring] {
        let forge = Forge::new();
        fetch(&forge, &public(&forge, 5, 59, vec![set(HOST, standing)]), &[]).ok();
        let before = forge.traces();
        let back = public(&forge, 6, 1, vec![set(HOST, &BEFORE)]);
        let said = fetch(&forge, &back, &[]).exits(1);
        for word in [
            HOST,
            &pin('A').to_string(),
            "as active since",
            "pki server rotate api.acme.example",
            "--confirm 6",
        ] {
            assert!(said.stderr.contains(word), "{word}: {said}");
        }
        assert_eq!(forge.traces(), before, "{said}");
        fetch(&forge, &back, &["--confirm", "6"]).ok();
        assert!(forge.holds(&back));
    }
}

#[test]
fn what_honest_servers_do_with_their_keys_is_taken() {
    use Role::{Active, Backup, Retiring};
    let forge = Forge::new();
    let mut number = 4;
    let mut take = |made: i64, sets: Vec<PinSet>| {
        number += 1;
        fetch(&forge, &public(&forge, number, made, sets), &[]).ok();
    };
    take(90, vec![set(HOST, &BEFORE)]);
    // Signed anew for its end alone.
    take(70, vec![set(HOST, &BEFORE)]);
    // A retires.
    let rotated = [AFTER[0], AFTER[1], ('A', Retiring, 60)];
    take(60, vec![set(HOST, &rotated)]);
    take(30, vec![set(HOST, &AFTER)]);
    // The overlap was made longer.
    take(29, vec![set(HOST, &rotated)]);
    // B is out, and another server is taken in.
    let third = [('C', Active, 20), ('D', Backup, 20)];
    let other = set("www.acme.example", &[('X', Active, 10), ('Y', Backup, 10)]);
    take(20, vec![set(HOST, &third)]);
    take(10, vec![set(HOST, &third), other.clone()]);
    // Twice in the second in which the last sets were made.
    let fifth = [('E', Active, 10), ('F', Backup, 10), ('D', Retiring, 10)];
    take(2, vec![set(HOST, &fifth), other]);
}

#[test]
fn a_server_whose_pins_are_gone_is_told() {
    let other = "www.acme.example";
    let both = || vec![set(HOST, &AFTER), set(other, &AFTER)];
    let forge = Forge::new();
    fetch(&forge, &public(&forge, 5, 9, both()), &[]).ok();
    let said = fetch(&forge, &public(&forge, 6, 8, vec![set(HOST, &AFTER)]), &[]).exits(3);
    assert!(
        said.stderr.contains(other) && !said.stderr.contains(HOST),
        "{said}"
    );
    let said = fetch(&forge, &forge.public(7), &[]).exits(3);
    assert!(said.stderr.contains(HOST), "{said}");
    // What has ended holds no app to anything.
    let mut ended = set(HOST, &AFTER);
    ended.expires = now();
    let forge = Forge::new();
    fetch(&forge, &public(&forge, 5, 9, vec![ended]), &[]).ok();
    fetch(&forge, &forge.public(6), &[]).ok();
}

#[test]
fn pins_in_place_that_cannot_be_read_are_told() {
    let forge = Forge::new();
    fetch(&forge, &public(&forge, 5, 9, vec![set(HOST, &AFTER)]), &[]).ok();
    std::fs::write(forge.path("out").join(Pins::JSON), "damaged").unwrap();
    let said = fetch(&forge, &public(&forge, 6, 8, vec![set(HOST, &AFTER)]), &[]).exits(3);
    assert!(said.stderr.contains(Pins::JSON), "{said}");
}
