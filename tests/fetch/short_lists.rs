//! Short lists of devices beside long ones: all of them together are held against what was in place.

use pki::model::{Serial, Span};
use pki::publish::Manifest;

use crate::forge::{Forge, Publication, now};

fn serial(octet: u8) -> Serial {
    Serial::from_random([octet; 16])
}

/// The lists of a servers' half: whom each of them names.
#[derive(Debug, Clone, Default)]
struct Lists {
    revoked: Vec<u8>,
    allowed: Vec<u8>,
    devices: Vec<u8>,
    recent_allowed: Vec<u8>,
    recent_devices: Vec<u8>,
}

impl Lists {
    /// Lists that belong together: these are revoked, these in the long lists, and of what has changed since
    /// some are new.
    fn of(revoked: &[u8], long: &[u8], changed: &[u8]) -> Self {
        let new = changed.iter().filter(|octet| !long.contains(octet));
        Self {
            revoked: revoked.into(),
            allowed: long.into(),
            devices: long.into(),
            recent_allowed: new.copied().collect(),
            recent_devices: changed.into(),
        }
    }

    fn published(&self, forge: &Forge, number: u64) -> Publication {
        self.long(forge, number)
            .with("allowed-recent.map", map(&self.recent_allowed))
            .with("devices-recent.json", devices(&self.recent_devices))
    }

    /// Without the short ones.
    fn long(&self, forge: &Forge, number: u64) -> Publication {
        let revoked: String = self
            .revoked
            .iter()
            .map(|one| format!("{} 1;\n", serial(*one)))
            .collect();
        forge
            .server(number)
            .with("revoked.map", revoked)
            .with("allowed.map", map(&self.allowed))
            .with("devices.json", devices(&self.devices))
    }
}

fn map(octets: &[u8]) -> String {
    let line = |octet: &u8| format!("{} \"alice/phone\";\n", serial(*octet));
    octets.iter().map(line).collect()
}

fn devices(octets: &[u8]) -> String {
    let device = |octet: &u8| {
        serde_json::json!({
            "serial": serial(*octet), "address": "alice/phone", "not_after": now() + Span::days(9), "status": "valid",
        })
    };
    let devices: Vec<_> = octets.iter().map(device).collect();
    serde_json::json!({ "version": 1, "devices": devices }).to_string()
}

#[track_caller]
fn accepted(forge: &Forge, publication: &Publication) {
    forge.publish(publication);
    forge.fetch(&[]).ok();
    assert!(forge.holds(publication));
}

#[track_caller]
fn refused(forge: &Forge, publication: &Publication, word: &str) {
    let before = forge.traces();
    forge.publish(publication);
    let said = forge.fetch(&[]).exits(1);
    assert!(said.stderr.contains(word), "{word}: {said}");
    assert_eq!(forge.traces(), before, "{said}");
}

/// Revocations one after the other, while the long lists stand.
#[test]
fn a_long_list_may_name_whom_the_list_of_the_revoked_locks_out() {
    let forge = Forge::new();
    accepted(&forge, &Lists::of(&[], &[1, 2, 3, 4], &[]).published(&forge, 1));
    accepted(&forge, &Lists::of(&[1], &[1, 2, 3, 4], &[5]).published(&forge, 2));
    accepted(
        &forge,
        &Lists::of(&[1, 2], &[1, 2, 3, 4], &[5, 3]).published(&forge, 3),
    );
    accepted(
        &forge,
        &Lists::of(&[1, 2, 5], &[1, 2, 3, 4], &[3]).published(&forge, 4),
    );
    // Without short lists beside it, the long one is the last word.
    let alone = Lists::of(&[1, 2, 4, 5], &[1, 2, 3], &[]);
    refused(&forge, &alone.long(&forge, 5), "allowed.map");
    accepted(&forge, &Lists::of(&[1, 2, 4, 5], &[3], &[]).published(&forge, 5));
}

#[test]
fn nobody_who_was_revoked_comes_back_by_a_short_list() {
    let forge = Forge::new();
    accepted(&forge, &Lists::of(&[1], &[2], &[]).published(&forge, 1));
    let back = Lists::of(&[], &[2], &[1]).published(&forge, 2);
    refused(&forge, &back, "does not revoke");
    // Not with an end that its manifest makes up, either.
    let ended = back.saying(|manifest| {
        let not_after = now() - Span::days(1);
        manifest.ended = Some(vec![pki::publish::Ended {
            serial: serial(1),
            not_after,
        }]);
    });
    refused(&forge, &ended, "allowed.map");
}

/// Long lists name whoever is revoked, too: nobody can tell from them who was.
#[test]
fn where_the_list_of_the_revoked_is_damaged_no_fewer_may_be_revoked_than_were() {
    let forge = Forge::new();
    accepted(&forge, &Lists::of(&[1, 2], &[1, 2, 3], &[]).published(&forge, 1));
    std::fs::write(forge.path("out/revoked.map"), "").unwrap();
    refused(
        &forge,
        &Lists::of(&[2], &[1, 2, 3], &[4]).published(&forge, 2),
        "revokes 1, and what is in place has revoked 2",
    );
    let confirmed = Lists::of(&[2], &[1, 2, 3], &[4]).published(&forge, 3);
    forge.publish(&confirmed);
    forge.fetch(&["--confirm", "3"]).ok();
    // As many, and more, are taken, and it is said that nobody can tell.
    let forge = Forge::new();
    accepted(&forge, &Lists::of(&[1, 2], &[1, 2, 3], &[]).published(&forge, 1));
    std::fs::write(forge.path("out/revoked.map"), "").unwrap();
    forge.publish(&Lists::of(&[1, 2, 3], &[1, 2, 3], &[4]).published(&forge, 2));
    let said = forge.fetch(&[]);
    assert!(said.stderr.contains("revoked.map"), "{said}");
}

#[test]
fn who_is_in_no_list_any_more_is_lost_and_told_of() {
    let forge = Forge::new();
    accepted(&forge, &Lists::of(&[], &[1], &[2]).published(&forge, 1));
    forge.publish(&Lists::of(&[], &[1], &[]).published(&forge, 2));
    let said = forge.fetch(&[]);
    assert!(said.stderr.contains(&serial(2).to_string()), "{said}");
    // One that has moved from the short list into the long one is not.
    let forge = Forge::new();
    accepted(&forge, &Lists::of(&[], &[1], &[2]).published(&forge, 1));
    forge.publish(&Lists::of(&[], &[1, 2], &[]).published(&forge, 2));
    let said = forge.fetch(&[]).ok();
    assert!(!said.stderr.contains(&serial(2).to_string()), "{said}");
}

#[test]
fn lists_that_do_not_belong_together_are_refused() {
    let forge = Forge::new();
    let good = Lists::of(&[], &[1], &[1, 2]);
    for (lists, word) in [
        // nginx takes no line twice.
        (
            Lists {
                recent_allowed: vec![1, 2],
                ..good.clone()
            },
            "allowed-recent.map: line 1",
        ),
        (
            Lists {
                recent_allowed: vec![2, 3],
                ..good.clone()
            },
            "allowed-recent.map: line 2",
        ),
        (
            Lists {
                recent_allowed: vec![],
                ..good.clone()
            },
            "what allowed-recent.map says",
        ),
        (
            Lists {
                recent_devices: vec![1, 2, 3],
                ..good.clone()
            },
            "what allowed-recent.map says",
        ),
        (
            Lists {
                recent_devices: vec![1],
                ..good.clone()
            },
            "allowed-recent.map: line 1",
        ),
    ] {
        refused(&forge, &lists.published(&forge, 1), word);
    }
    let published = good.published(&forge, 1);
    refused(
        &forge,
        &published.clone().without("devices-recent.json"),
        "devices-recent.json",
    );
    refused(
        &forge,
        &published.clone().with("other-recent.map", ""),
        "other-recent.map",
    );
    let public = forge
        .public(1)
        .with("allowed-recent.map", "")
        .with("devices-recent.json", devices(&[]));
    refused(&forge, &public, "allowed-recent.map");
    let among_the_others = published.clone().saying(|manifest: &mut Manifest| {
        let short = manifest.recent.take().unwrap();
        manifest.files.extend(short);
    });
    refused(&forge, &among_the_others, "-recent.");
    accepted(&forge, &published);
}
