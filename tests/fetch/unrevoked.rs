//! What is revoked stays revoked: a newer number is no proof that a publication knows more.

use pki::model::{Serial, Span, Time};
use pki::publish::Ended;
use pki::x509::pem;

use crate::forge::{Forge, Publication, now, root_terms, terms};
use crate::support::Finished;

fn serial(octet: u8) -> Serial {
    Serial::from_random([octet; 16])
}

/// The CRLs of a publication, by what they are called.
const CRLS: [&str; 3] = ["root", "issuing", "servers"];

/// The public half, in which one CRL revokes these and the others nobody.
fn public(forge: &Forge, number: u64, of: &str, revoked: &[Serial]) -> Publication {
    let entries = |name: &str| if name == of { revoked } else { &[] };
    let root_crl = forge.root.crl(root_terms(number), entries("root"));
    let issuing_crl = forge.issuing.crl(terms(number), entries("issuing"));
    let servers_crl = forge.servers.crl(terms(number), entries("servers"));
    forge
        .public_with(number, &root_crl, &issuing_crl)
        .with("ca/servers.der", forge.servers.certificate.der())
        .with("ca/servers.crt", forge.servers.certificate.pem())
        .with("crl/servers.pem", pem::encode(pem::CRL, &servers_crl))
        .with("crl/servers.crl", servers_crl)
}

/// The servers' half with these lists.
fn server(forge: &Forge, number: u64, revoked: &[Serial], allowed: &[Serial]) -> Publication {
    let revoked: String = revoked.iter().map(|serial| format!("{serial} 1;\n")).collect();
    let lines: String = allowed
        .iter()
        .map(|serial| format!("{serial} \"alice/phone\";\n"))
        .collect();
    let device = |serial: &Serial| serde_json::json!({ "serial": serial, "address": "alice/phone", "not_after": now() + Span::days(9), "status": "valid" });
    let devices: Vec<_> = allowed.iter().map(device).collect();
    let devices = serde_json::json!({ "version": 1, "devices": devices });
    forge
        .server(number)
        .with("revoked.map", revoked)
        .with("allowed.map", lines)
        .with("devices.json", devices.to_string())
}

fn ended(publication: Publication, of: &[(Serial, Time)]) -> Publication {
    let all = of.iter().map(|(serial, not_after)| Ended {
        serial: *serial,
        not_after: *not_after,
    });
    publication.saying(|manifest| manifest.ended = Some(all.collect()))
}

/// Publishes and fetches.
fn fetch(forge: &Forge, publication: &Publication, more: &[&str]) -> Finished {
    forge.publish(publication);
    forge.fetch(more)
}

/// The publication is refused, names the certificate, and changes nothing.
#[track_caller]
fn refused(forge: &Forge, publication: &Publication, more: &[&str], serial: Serial) {
    let before = forge.traces();
    let said = fetch(forge, publication, more).exits(1);
    assert!(
        said.stderr.contains(&format!("does not revoke {serial}")),
        "{said}"
    );
    assert!(said.stderr.contains("pki publish --reconcile"), "{said}");
    assert_eq!(forge.traces(), before, "{said}");
}

#[test]
fn a_certificate_leaves_no_crl_without_having_ended() {
    for of in CRLS {
        let forge = Forge::new();
        fetch(&forge, &public(&forge, 5, of, &[serial(7), serial(8)]), &[]).ok();
        let without = |number| public(&forge, number, of, &[serial(8)]);
        refused(&forge, &without(6), &[], serial(7));
        // One that will end tomorrow has not ended, and the end of another is not its own.
        let (yesterday, tomorrow) = (now() - Span::days(1), now() + Span::days(1));
        for wrong in [(serial(7), tomorrow), (serial(8), yesterday)] {
            refused(&forge, &ended(without(6), &[wrong]), &[], serial(7));
        }
        let right = ended(without(6), &[(serial(7), yesterday)]);
        fetch(&forge, &right, &[]).ok();
        assert!(forge.holds(&right), "{of}");
        // More may be revoked at any time.
        fetch(&forge, &public(&forge, 7, of, &[serial(8), serial(9)]), &[]).ok();
    }
}

#[test]
fn a_crl_that_is_gone_revokes_nobody() {
    let forge = Forge::new();
    fetch(&forge, &public(&forge, 5, "servers", &[serial(7)]), &[]).ok();
    let gone = [
        "ca/servers.der",
        "ca/servers.crt",
        "crl/servers.pem",
        "crl/servers.crl",
    ]
    .into_iter()
    .fold(public(&forge, 6, "servers", &[]), |publication, path| {
        publication.without(path)
    });
    refused(&forge, &gone, &[], serial(7));
}

/// The successor of a CA revokes what it has issued itself; nobody is let in by the other one's certificates any more.
#[test]
fn a_successor_begins_a_list_of_its_own() {
    let mut forge = Forge::new();
    fetch(&forge, &public(&forge, 5, "issuing", &[serial(7)]), &[]).ok();
    forge.issuing = forge.root.certify(forge.issuing.params.clone());
    fetch(&forge, &public(&forge, 6, "issuing", &[]), &[]).ok();
}

#[test]
fn the_operator_of_the_server_can_let_it_in_again() {
    let both = [serial(7), serial(8)];
    let begun = || {
        let forge = Forge::new();
        fetch(&forge, &public(&forge, 5, "issuing", &both), &[]).ok();
        forge
    };
    let [seven, eight] = both.map(|serial| serial.to_string());
    let forge = begun();
    let none = public(&forge, 6, "issuing", &[]);
    refused(&forge, &none, &["--confirm", &seven], serial(8));
    refused(&forge, &none, &["--confirm", "5"], serial(7));
    fetch(&forge, &none, &["--confirm", &seven, "--confirm", &eight]).ok();
    let forge = begun();
    fetch(&forge, &public(&forge, 6, "issuing", &[]), &["--confirm", "6"]).ok();
    let said = fetch(&forge, &public(&forge, 7, "issuing", &[]), &["--confirm", "yes"]).exits(2);
    assert!(said.stderr.contains("--confirm"), "{said}");
}

#[test]
fn a_manifest_that_tells_no_ends_is_taken_and_what_has_left_is_told() {
    let old = |publication: Publication| publication.saying(|manifest| manifest.ended = None);
    let forge = Forge::new();
    fetch(&forge, &public(&forge, 5, "issuing", &[serial(7)]), &[]).ok();
    // Where nobody has left there is nothing to tell.
    fetch(&forge, &old(public(&forge, 6, "issuing", &[serial(7)])), &[]).ok();
    let said = fetch(&forge, &old(public(&forge, 7, "issuing", &[])), &[]).exits(3);
    assert!(said.stderr.contains(&serial(7).to_string()), "{said}");
    let forge = Forge::new();
    fetch(&forge, &server(&forge, 5, &[serial(7)], &[]), &[]).ok();
    let said = fetch(&forge, &old(server(&forge, 6, &[], &[])), &[]).exits(3);
    assert!(said.stderr.contains(&serial(7).to_string()), "{said}");
}

#[test]
fn the_servers_half_neither_forgets_nor_lets_in_again_who_was_locked_out() {
    let yesterday = [(serial(7), now() - Span::days(1))];
    let forge = Forge::new();
    fetch(&forge, &server(&forge, 5, &[serial(7)], &[serial(9)]), &[]).ok();
    refused(&forge, &server(&forge, 6, &[], &[serial(9)]), &[], serial(7));
    let back = server(&forge, 6, &[], &[serial(7), serial(9)]);
    refused(&forge, &back, &[], serial(7));
    // Whatever is said of its end: who is on the list of those who are let in has none.
    refused(&forge, &ended(back.clone(), &yesterday), &[], serial(7));
    let old = back.clone().saying(|manifest| manifest.ended = None);
    refused(&forge, &old, &[], serial(7));
    fetch(
        &forge,
        &ended(server(&forge, 6, &[], &[serial(9)]), &yesterday),
        &[],
    )
    .ok();

    let forge = Forge::new();
    fetch(&forge, &server(&forge, 5, &[serial(7)], &[]), &[]).ok();
    fetch(&forge, &back, &["--confirm", &serial(7).to_string()]).ok();
}

/// The directory that the link led to is still there, and says what was revoked.
#[test]
fn a_link_that_somebody_has_removed_is_no_first_time() {
    let forge = Forge::new();
    fetch(&forge, &public(&forge, 5, "issuing", &[serial(7)]), &[]).ok();
    std::fs::remove_file(forge.path("out")).unwrap();
    refused(&forge, &public(&forge, 6, "issuing", &[]), &[], serial(7));
}

/// How a half publishes that these are revoked, and by which file.
type Half = (fn(&Forge, u64, &[Serial]) -> Publication, &'static str);
const HALVES: [Half; 2] = [
    (
        |forge, number, revoked| public(forge, number, "issuing", revoked),
        "crl/issuing.crl",
    ),
    (
        |forge, number, revoked| server(forge, number, revoked, &[]),
        "revoked.map",
    ),
];

#[test]
fn what_cannot_be_read_in_place_is_told() {
    for (publication, file) in HALVES {
        for damage in [
            (|out, file| std::fs::remove_file(out.join(file)).unwrap()) as fn(std::path::PathBuf, &str),
            |out, file| std::fs::write(out.join(file), "damaged").unwrap(),
            |out, file| std::fs::write(out.join(file), "").unwrap(),
            |out, _| std::fs::remove_file(out.join("manifest.jws")).unwrap(),
            |out, _| std::fs::remove_dir_all(out.canonicalize().unwrap()).unwrap(),
        ] {
            let forge = Forge::new();
            fetch(&forge, &publication(&forge, 5, &[serial(7)]), &[]).ok();
            damage(forge.path("out"), file);
            let said = fetch(&forge, &publication(&forge, 6, &[]), &[]).exits(3);
            assert!(said.stderr.contains(file), "{said}");
        }
    }
}

#[test]
fn the_version_before_knows_what_the_last_one_has_lost() {
    for (publication, file) in HALVES {
        let forge = Forge::new();
        fetch(&forge, &publication(&forge, 5, &[serial(7)]), &[]).ok();
        fetch(&forge, &publication(&forge, 6, &[serial(7), serial(8)]), &[]).ok();
        std::fs::write(forge.path("out").join(file), "damaged").unwrap();
        let before = forge.traces();
        let said = fetch(&forge, &publication(&forge, 7, &[serial(8)]), &[]).exits(1);
        assert!(said.stderr.contains(&serial(7).to_string()), "{said}");
        assert_eq!(forge.traces(), before);
    }
}

/// A home that has lost a certificate cannot revoke it by name: whoever has the list that names it is told.
#[test]
fn who_is_accepted_no_more_and_has_not_ended_is_told() {
    let forge = Forge::new();
    fetch(&forge, &server(&forge, 5, &[], &[serial(7), serial(8)]), &[]).ok();
    // One is revoked, which is told by the list; the other is nowhere.
    let said = fetch(&forge, &server(&forge, 6, &[serial(7)], &[]), &[]).exits(3);
    assert!(said.stderr.contains(&serial(8).to_string()), "{said}");
    assert!(!said.stderr.contains(&serial(7).to_string()), "{said}");
    // Whose certificate has ended is on no list.
    let forge = Forge::new();
    let list = serde_json::json!({ "version": 1, "devices": [
        { "serial": serial(8), "address": "alice/phone", "not_after": now() - Span::minutes(10), "status": "valid" }
    ]});
    let ended = server(&forge, 5, &[], &[serial(8)]).with("devices.json", list.to_string());
    fetch(&forge, &ended, &[]).ok();
    fetch(&forge, &server(&forge, 6, &[], &[]), &[]).ok();
}
