//! What is revoked stays revoked: a newer number is no proof that a publication knows more.

use pki::fetch::Unproven;
use pki::model::{Serial, Span, Time};
use pki::publish::Ended;
use pki::x509::pem;
use rcgen::{CertificateParams, DistinguishedName, DnType, SerialNumber};

use crate::forge::{Forge, Holder, Publication, ending_in, now, root_terms, terms};
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
    let words = [&format!("does not revoke {serial}"), "pki publish --published"];
    refused_saying(forge, publication, more, &words);
}

/// The publication is refused, says these words, and changes nothing.
#[track_caller]
fn refused_saying(forge: &Forge, publication: &Publication, more: &[&str], words: &[&str]) {
    let before = forge.traces();
    let said = fetch(forge, publication, more).exits(1);
    for word in words {
        assert!(said.stderr.contains(word), "{word}: {said}");
    }
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

/// Without the servers' CA.
fn without_servers(publication: Publication) -> Publication {
    let paths = [
        "ca/servers.der",
        "ca/servers.crt",
        "crl/servers.pem",
        "crl/servers.crl",
    ];
    let without = |publication: Publication, path: &&str| publication.without(path);
    paths.iter().fold(publication, without)
}

/// How a CA leaves the publication: which one it was, whether another takes its place, and by what name.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    Issuing { name: &'static str },
    Servers { name: &'static str },
    ServersAltogether,
}

impl Leaving {
    const ALL: [Self; 5] = [
        Self::Issuing {
            name: "Acme Ltd Issuing CA",
        },
        Self::Issuing {
            name: "Acme Ltd Issuing CA 2",
        },
        Self::Servers {
            name: "Acme Ltd Servers CA",
        },
        Self::Servers {
            name: "Acme Ltd Servers CA 2",
        },
        Self::ServersAltogether,
    ];

    /// The CA's CRL, by what it is called.
    fn of(self) -> &'static str {
        match self {
            Self::Issuing { .. } => "issuing",
            Self::Servers { .. } | Self::ServersAltogether => "servers",
        }
    }

    /// Where the CA has left: it itself, and how a publication is made from then on, in which the root's CRL
    /// revokes these.
    fn leave(self, forge: &mut Forge) -> (Holder, impl Fn(&Forge, u64, &[Serial]) -> Publication + use<>) {
        let (place, name) = match self {
            Self::Issuing { name } => (&mut forge.issuing, name),
            Self::Servers { name } => (&mut forge.servers, name),
            Self::ServersAltogether => (&mut forge.servers, "Acme Ltd Servers CA"),
        };
        let successor = forge.root.certify(named(&place.params, name));
        let old = std::mem::replace(place, successor);
        (old, move |forge, number, by_root| {
            let publication = public(forge, number, "root", by_root);
            match self {
                Self::Issuing { .. } | Self::Servers { .. } => publication,
                Self::ServersAltogether => without_servers(publication),
            }
        })
    }
}

/// What the certificate of a CA of this name says, with a serial number of its own, and else as this one.
fn named(params: &CertificateParams, name: &str) -> CertificateParams {
    let mut params = params.clone();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(serial(0x55).octets()));
    params
}

/// Its certificates chain to the root as before, for a client sends its CA along.
#[test]
fn a_ca_leaves_with_its_list_once_nothing_below_it_is_accepted_any_more() {
    let both = [serial(7), serial(8)];
    let [seven, eight] = both.map(|serial| serial.to_string());
    let yesterday = both.map(|serial| (serial, now() - Span::days(1)));
    for leaving in Leaving::ALL {
        let begun = || {
            let mut forge = Forge::new();
            fetch(&forge, &public(&forge, 5, leaving.of(), &both), &[]).ok();
            let (old, published) = leaving.leave(&mut forge);
            (forge, old, published)
        };
        let (forge, old, published) = begun();
        let said = format!("(serial {})", old.serial());
        let words = [
            &*format!("nothing revokes {seven}, {eight} any more"),
            &said,
            "--confirm 6",
        ];
        let none = published(&forge, 6, &[]);
        refused_saying(&forge, &none, &[], &words);
        // Of another CA it says nothing, nor the end of one certificate about the other.
        refused_saying(&forge, &published(&forge, 6, &[serial(9)]), &[], &words);
        let one = ["nothing revokes", &eight, &*format!("--confirm {eight}")];
        refused_saying(&forge, &ended(none.clone(), &yesterday[..1]), &[], &one);
        refused_saying(&forge, &none, &["--confirm", &seven], &one);
        // A program that does not tell ends makes no other CA either.
        let old_form = none.clone().saying(|manifest| manifest.ended = None);
        refused_saying(&forge, &old_form, &[], &words);
        // All that is below it is out with it.
        let revoked = published(&forge, 6, &[old.serial()]);
        fetch(&forge, &revoked, &[]).ok();
        assert!(forge.holds(&revoked), "{leaving:?}");

        for more in [
            &["--confirm", "6"][..],
            &["--confirm", &seven, "--confirm", &eight],
        ] {
            let (forge, _, published) = begun();
            fetch(&forge, &published(&forge, 6, &[]), more).ok();
        }
        let (forge, _, published) = begun();
        fetch(&forge, &ended(published(&forge, 6, &[]), &yesterday), &[]).ok();
    }
}

#[test]
fn a_ca_that_has_ended_leaves_with_its_list() {
    for of in ["issuing", "servers"] {
        let mut forge = Forge::new();
        let place = match of {
            "issuing" => &mut forge.issuing,
            _ => &mut forge.servers,
        };
        let lasting = place.params.clone();
        *place = forge.root.certify(ending_in(lasting.clone(), Span::days(10)));
        fetch(&forge, &public(&forge, 5, of, &[serial(7)]), &[]).ok();
        let place = match of {
            "issuing" => &mut forge.issuing,
            _ => &mut forge.servers,
        };
        *place = forge.root.certify(named(&lasting, "its successor"));
        forge.publish(&public(&forge, 6, of, &[]));
        let last = now() + Span::days(10);
        let refused = forge.fetch_at(last).unwrap_err();
        assert!(refused.to_string().contains("nothing revokes"), "{refused}");
        let fetched = forge.fetch_at(last + Span::seconds(1)).unwrap();
        assert_eq!(fetched.unproven, Unproven::default());
    }
}

/// A CA is its name and its key: whatever becomes of one of its certificates, what it has issued goes on
/// under the other.
#[test]
fn a_ca_with_a_new_certificate_keeps_its_list() {
    for of in ["issuing", "servers"] {
        let mut forge = Forge::new();
        fetch(&forge, &public(&forge, 5, of, &[serial(7)]), &[]).ok();
        let Forge {
            root,
            issuing,
            servers,
            ..
        } = &mut forge;
        let place = if of == "issuing" { issuing } else { servers };
        let before = place.serial();
        let mut params = place.params.clone();
        params.serial_number = Some(SerialNumber::from_slice(serial(0x55).octets()));
        root.recertify(place, params);
        // The root has revoked the certificate that it had.
        refused(&forge, &public(&forge, 6, "root", &[before]), &[], serial(7));
        fetch(&forge, &public(&forge, 6, of, &[serial(7)]), &[]).ok();
    }
}

/// What it has signed while it was good says what was revoked.
#[test]
fn what_is_in_place_counts_also_where_its_signer_has_ended() {
    type Half = fn(&Forge, u64, &[Serial]) -> Publication;
    let halves: [Half; 3] = [
        |forge, number, revoked| public(forge, number, "root", revoked),
        |forge, number, revoked| public(forge, number, "servers", revoked),
        |forge, number, revoked| server(forge, number, revoked, &[]),
    ];
    for publication in halves {
        let mut forge = Forge::new();
        let lasting = forge.issuing.params.clone();
        forge.issuing = forge.root.certify(ending_in(lasting.clone(), Span::days(10)));
        fetch(&forge, &publication(&forge, 5, &[serial(7)]), &[]).ok();
        forge.issuing = forge.root.certify(lasting);
        let later = now() + Span::days(15);
        forge.publish(&publication(&forge, 6, &[]));
        let refused = forge.fetch_at(later).unwrap_err();
        assert!(refused.to_string().contains("does not revoke"), "{refused}");
        forge.publish(&publication(&forge, 6, &[serial(7)]));
        forge.fetch_at(later).unwrap();
    }
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

fn without_ends(publication: Publication) -> Publication {
    publication.saying(|manifest| manifest.ended = None)
}

#[test]
fn a_manifest_that_tells_no_ends_is_taken_and_what_has_left_is_told() {
    for (publication, _) in HALVES {
        let forge = Forge::new();
        fetch(&forge, &without_ends(publication(&forge, 5, &[serial(7)])), &[]).ok();
        // Where nobody has left there is nothing to tell.
        fetch(&forge, &without_ends(publication(&forge, 6, &[serial(7)])), &[]).ok();
        let said = fetch(&forge, &without_ends(publication(&forge, 7, &[])), &[]).exits(3);
        assert!(said.stderr.contains(&serial(7).to_string()), "{said}");
    }
}

/// A whole machine that was restored has the program of then.
#[test]
fn a_manifest_that_tells_no_ends_follows_on_none_that_does() {
    for (publication, _) in HALVES {
        let forge = Forge::new();
        fetch(&forge, &publication(&forge, 5, &[serial(7)]), &[]).ok();
        fetch(&forge, &without_ends(publication(&forge, 6, &[serial(7)])), &[]).ok();
        // The version before tells them.
        refused(&forge, &without_ends(publication(&forge, 7, &[])), &[], serial(7));
    }
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

/// Removes or overwrites files of what is in place.
type Damage = fn(&Forge);

fn remove(forge: &Forge, files: &[&str]) {
    for file in files {
        std::fs::remove_file(forge.path("out").join(file)).unwrap();
    }
}

fn write(forge: &Forge, file: &str, text: &str) {
    std::fs::write(forge.path("out").join(file), text).unwrap();
}

/// The directory that the link leads to.
fn version(forge: &Forge) -> String {
    let target = forge.path("out").read_link().unwrap();
    target.to_str().unwrap().to_owned()
}

/// Nothing is left that could tell who was revoked.
const LOST: [(usize, &str, Damage); 7] = [
    (0, "crl/issuing.crl", |forge| {
        remove(forge, &["crl/issuing.crl", "crl/issuing.pem"]);
    }),
    (0, "crl/issuing.crl", |forge| {
        write(forge, "crl/issuing.crl", "damaged");
        write(forge, "crl/issuing.pem", "");
    }),
    (1, "revoked.map", |forge| remove(forge, &["revoked.map"])),
    (1, "revoked.map", |forge| write(forge, "revoked.map", "damaged")),
    (1, "revoked.map", |forge| write(forge, "revoked.map", "")),
    (0, "", |forge| {
        std::fs::remove_dir_all(forge.path(version(forge))).unwrap()
    }),
    (1, "", |forge| {
        std::fs::remove_dir_all(forge.path(version(forge))).unwrap()
    }),
];

#[test]
fn what_cannot_be_read_in_place_is_told() {
    for (half, file, damage) in LOST {
        let (publication, _) = HALVES[half];
        let forge = Forge::new();
        fetch(&forge, &publication(&forge, 5, &[serial(7)]), &[]).ok();
        let name = format!("{}/{file}", version(&forge));
        damage(&forge);
        let said = fetch(&forge, &publication(&forge, 6, &[]), &[]).exits(3);
        let name = name.trim_end_matches('/');
        assert!(
            said.stderr.contains(&format!("{name} is damaged or gone")),
            "{said}"
        );
    }
}

/// The version before is compared in its place, and cannot know what the last one alone revoked.
#[test]
fn going_by_the_version_before_is_told() {
    for (half, file, damage) in LOST {
        let (publication, _) = HALVES[half];
        let forge = Forge::new();
        fetch(&forge, &publication(&forge, 5, &[serial(7)]), &[]).ok();
        fetch(&forge, &publication(&forge, 6, &[serial(7), serial(8)]), &[]).ok();
        let name = format!("{}/{file}", version(&forge));
        damage(&forge);
        refused_saying(
            &forge,
            &publication(&forge, 7, &[serial(8)]),
            &[],
            &[&serial(7).to_string()],
        );
        let said = fetch(&forge, &publication(&forge, 7, &[serial(7)]), &[]).exits(3);
        let name = name.trim_end_matches('/');
        assert!(
            said.stderr.contains(&format!("{name} is damaged or gone")),
            "{said}"
        );
        // What is in place by now is whole.
        fetch(&forge, &publication(&forge, 8, &[serial(7)]), &[]).ok();
    }
}

/// Whoever anything of what is in place names as revoked is not let in again.
#[test]
fn a_damaged_version_is_believed_in_what_it_locks_out() {
    let damages: [(usize, Damage); 9] = [
        // The other form of the manifest is remembered by its hash.
        (0, |forge| write(forge, "manifest.jws", "")),
        (1, |forge| write(forge, "manifest.jws", "")),
        (0, |forge| remove(forge, &["manifest.jws"])),
        // So are CRLs; and lists need nobody who vouches for them.
        (0, |forge| remove(forge, &["manifest.jws", "manifest.json"])),
        (1, |forge| remove(forge, &["manifest.jws", "manifest.json"])),
        // A CRL has another form.
        (0, |forge| remove(forge, &["crl/issuing.crl"])),
        (0, |forge| write(forge, "crl/issuing.crl", "damaged")),
        (1, |forge| {
            let old = std::fs::read_to_string(forge.path("out/revoked.map")).unwrap();
            write(forge, "revoked.map", &format!("{old}\n"));
        }),
        // Another CRL of the same CA is one, whoever has put it there.
        (0, |forge| {
            let crl = forge.issuing.crl(terms(6), &[serial(7), serial(8), serial(9)]);
            std::fs::write(forge.path("out/crl/issuing.crl"), crl).unwrap();
            remove(forge, &["crl/issuing.pem"]);
        }),
    ];
    for (half, damage) in damages {
        let (publication, _) = HALVES[half];
        let forge = Forge::new();
        fetch(&forge, &publication(&forge, 5, &[serial(7)]), &[]).ok();
        fetch(&forge, &publication(&forge, 6, &[serial(7), serial(8)]), &[]).ok();
        damage(&forge);
        refused(&forge, &publication(&forge, 7, &[serial(7)]), &[], serial(8));
        let eight = serial(8).to_string();
        let nine = serial(9).to_string();
        let confirmed = ["--confirm", &eight, "--confirm", &nine];
        let said = fetch(&forge, &publication(&forge, 7, &[serial(7)]), &confirmed);
        assert!(matches!(said.code, Some(0 | 3)), "{said}");
    }
}

#[test]
fn who_was_not_let_in_by_a_version_whose_list_of_the_revoked_is_gone_does_not_come_back() {
    let forge = Forge::new();
    let both = [serial(7), serial(8)];
    fetch(&forge, &server(&forge, 5, &[], &both), &[]).ok();
    fetch(&forge, &server(&forge, 6, &[serial(7)], &both[1..]), &[]).ok();
    remove(&forge, &["revoked.map"]);
    let back = server(&forge, 7, &[], &both);
    let seven = serial(7).to_string();
    let words = [&*format!("lets {seven} in again"), "--confirm"];
    refused_saying(&forge, &back, &[], &words);
    fetch(&forge, &back, &["--confirm", &seven]).exits(3);
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

/// It stays a matter of this machine until it is settled: nothing else remembers it.
#[test]
fn what_is_lost_is_told_until_it_is_settled() {
    let eight = serial(8).to_string();
    let begun = || {
        let forge = Forge::new();
        fetch(&forge, &server(&forge, 5, &[], &[serial(8)]), &[]).ok();
        fetch(&forge, &server(&forge, 6, &[], &[]), &[]).exits(3);
        let told = |said: Finished| assert!(said.exits(3).stderr.contains(&serial(8).to_string()));
        told(forge.fetch(&[]));
        told(fetch(&forge, &server(&forge, 7, &[], &[]), &[]));
        told(forge.fetch(&["--dry-run", "--confirm", &serial(9).to_string()]));
        told(forge.fetch(&[]));
        forge
    };
    // It is known again, as accepted or as revoked.
    let forge = begun();
    fetch(&forge, &server(&forge, 8, &[], &[serial(8)]), &[]).ok();
    let forge = begun();
    fetch(&forge, &server(&forge, 8, &[serial(8)], &[]), &[]).ok();
    forge.fetch(&[]).ok();
    // Whoever looks after the server says so, once; a trial settles nothing.
    let forge = begun();
    forge.fetch(&["--dry-run", "--confirm", &eight]).ok();
    forge.fetch(&[]).exits(3);
    forge.fetch(&["--confirm", &eight]).ok();
    forge.fetch(&[]).ok();
    // It has ended: what is forged here is good for nine days.
    let forge = begun();
    let later = forge.fetch_at(now() + Span::days(10)).unwrap();
    assert_eq!(later.unproven, Unproven::default());
}

/// Publications tell of certificates that have ended for 400 days.
#[test]
fn a_server_that_was_off_for_longer_than_ends_are_told_is_told_so() {
    for (days, is_long) in [(540, true), (401, true), (399, false)] {
        for (publication, _) in HALVES {
            let forge = Forge::new();
            let old = publication(&forge, 5, &[serial(7)]);
            let old = old.saying(|manifest| manifest.made = now() - Span::days(days));
            // The servers' half counts its life from when it was made, and is told to be near its end.
            let in_place = |said: Finished| assert!(matches!(said.code, Some(0 | 3)), "{said}");
            in_place(fetch(&forge, &old, &[]));
            let new = publication(&forge, 6, &[]);
            let long = format!("made {days} days before this one");
            let words = [
                "does not revoke",
                "--confirm",
                if is_long { &long } else { "restored" },
            ];
            refused_saying(&forge, &new, &[], &words);
            let said = forge.fetch(&[]).exits(1);
            assert_eq!(said.stderr.contains(&long), is_long, "{said}");
            in_place(forge.fetch(&["--confirm", &serial(7).to_string()]));
            assert!(forge.holds(&new));
        }
    }
}

/// Whoever has lost `state.json`, or restored an old one, removes it with the link, and nothing else.
#[test]
fn without_a_state_the_versions_that_lie_there_count() {
    let begun = |publication: fn(&Forge, u64, &[Serial]) -> Publication| {
        let forge = Forge::new();
        fetch(&forge, &publication(&forge, 5, &[serial(7)]), &[]).ok();
        let old = std::fs::read(forge.path(".out.pki-fetch/state.json")).unwrap();
        fetch(&forge, &publication(&forge, 6, &[serial(7), serial(8)]), &[]).ok();
        (forge, old)
    };
    let state = |forge: &Forge| forge.path(".out.pki-fetch/state.json");
    for (publication, _) in HALVES {
        for is_older in [false, true] {
            let (forge, old) = begun(publication);
            if is_older {
                std::fs::write(state(&forge), old).unwrap();
            } else {
                std::fs::remove_file(state(&forge)).unwrap();
            }
            let said = forge.fetch(&[]).exits(1);
            assert!(said.stderr.contains("remove it and the link"), "{said}");
            std::fs::remove_file(forge.path("out")).unwrap();
            refused(&forge, &publication(&forge, 7, &[serial(7)]), &[], serial(8));
            let earlier = publication(&forge, 5, &[serial(7), serial(8)]);
            refused_saying(&forge, &earlier, &[], &["6 was seen already"]);
            let right = publication(&forge, 7, &[serial(7), serial(8)]);
            fetch(&forge, &right, &[]).ok();
            assert!(forge.holds(&right));
        }
        // What cannot be read there is told.
        let (forge, _) = begun(publication);
        let name = version(&forge);
        write(&forge, "manifest.jws", "");
        std::fs::remove_file(state(&forge)).unwrap();
        std::fs::remove_file(forge.path("out")).unwrap();
        let said = fetch(&forge, &publication(&forge, 7, &[serial(7)]), &[]).exits(3);
        assert!(
            said.stderr.contains(&format!("{name} is damaged or gone")),
            "{said}"
        );
    }
}
