//! A home that was restored from an older backup: nobody gets in again by it, and whoever servers accept can
//! be revoked.

use std::collections::BTreeMap;
use std::path::Path;

use data_encoding::{BASE64, BASE64URL_NOPAD};

use crate::support::{EC, Finished, HOST, Home, copy_of, files_below, finish, need};

/// A home that publishes both halves outside, and whose alice has a phone. None: a program is not installed.
fn published() -> Option<Home> {
    if !need(&["openssl", "cp"]) {
        return None;
    }
    let home = Home::new();
    home.configure_table(&table(&home, "web"));
    home.run(&["publish", "-q"]);
    issue(&home, "alice");
    Some(home)
}

/// As [`published`], restored from a backup that is older than what is done here; and what came of that.
fn restored<T>(done: impl FnOnce(&Home) -> T) -> Option<(Home, T)> {
    let home = published()?;
    let backup = copy_of(&home);
    let came_of_it = done(&home);
    restore(&home, &backup);
    Some((home, came_of_it))
}

fn table(home: &Home, place: &str) -> String {
    let place = home.path(place);
    format!(
        "[[publish]]\npublic = '{0}/public'\nserver = '{0}/server'\n",
        place.display()
    )
}

/// Issues, and gives the serial number.
#[track_caller]
fn issue(home: &Home, address: &str) -> String {
    made(home, ["issue", address])
}

/// The serial number of what a command makes.
#[track_caller]
fn made(home: &Home, command: [&str; 2]) -> String {
    let passphrase = format!("passphrase-{}", std::fs::read_dir(home.path("")).unwrap().count());
    let said = home.run(&[&bundle(command, &passphrase)[..], &["--json"]].concat());
    said.json()["serial"].as_str().unwrap().to_owned()
}

/// The arguments of a command that makes a bundle.
fn bundle<'a>([verb, address]: [&'a str; 2], passphrase: &'a str) -> [&'a str; 6] {
    [
        verb,
        address,
        "--out",
        "out",
        "--bundle-passphrase-out",
        passphrase,
    ]
}

/// Puts the home of a copy into the place of this one's.
fn restore(home: &Home, backup: &Home) {
    std::fs::remove_dir_all(home.home()).unwrap();
    copied(&backup.home(), &home.home());
}

fn copied(from: &Path, to: &Path) {
    finish(crate::support::program("cp").arg("-a").arg(from).arg(to), b"").ok();
}

/// Moves the publication away, as a disk that is not mounted, while this is done.
fn while_away(home: &Home, place: &str, done: impl FnOnce()) {
    std::fs::rename(home.path(place), home.path("away")).unwrap();
    done();
    std::fs::remove_dir_all(home.path(place)).unwrap();
    std::fs::rename(home.path("away"), home.path(place)).unwrap();
}

/// Has a copy of a home publish beside itself, and not where the other one does.
fn own_places(copy: &Home, home: &Home) {
    let [theirs, own] = [home, copy].map(|home| home.path("").display().to_string());
    for file in ["home/pki.toml", "home/doubts.json"] {
        if let Ok(text) = std::fs::read_to_string(copy.path(file)) {
            std::fs::write(copy.path(file), text.replace(&theirs, &own)).unwrap();
        }
    }
}

fn read(home: &Home, file: &str) -> String {
    std::fs::read_to_string(home.path(file)).unwrap()
}

/// Every file below a directory with its content.
fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = files_below(directory);
    let content = |file: String| (file.clone(), std::fs::read(directory.join(&file)).unwrap());
    files.into_iter().map(content).collect()
}

/// What doctor says by this code.
fn found(home: &Home, code: &str) -> Vec<serde_json::Value> {
    let said = finish(&mut home.pki(&["doctor", "--json"]), b"").json();
    let findings = said["findings"].as_array().unwrap().clone();
    findings
        .into_iter()
        .filter(|finding| finding["code"] == code)
        .collect()
}

/// The command is refused, and the ledger as it was.
#[track_caller]
fn refused(home: &Home, arguments: &[&str]) -> Finished {
    let before = read(home, "home/ledger.jsonl");
    let said = finish(&mut home.pki(arguments), b"").exits(1);
    assert_eq!(read(home, "home/ledger.jsonl"), before, "{said}");
    said
}

#[test]
fn what_servers_accept_and_the_ledger_has_lost_is_taken_in_before_it_is_written_over() {
    let Some((home, late)) = restored(|home| issue(home, "late")) else {
        return;
    };
    assert!(
        found(&home, "publication-behind")[0]["message"]
            .as_str()
            .unwrap()
            .contains(&late)
    );

    let said = home.run(&["publish", "--json"]);
    assert_eq!(said.json()["recovered"], serde_json::json!([late]));
    assert!(said.stderr.contains(&format!("{late} of late/phone")), "{said}");
    // Listed as it stood.
    assert!(read(&home, "web/server/allowed.map").contains(&late));
    let listed = home.run(&["list", "--employee", "late", "--json"]).json();
    assert_eq!(listed["devices"][0]["status"], "valid");
    let shown = home.run(&["show", "late", "--json"]).json();
    assert_eq!(
        (&shown["serial"], &shown["kept"]),
        (&late.clone().into(), &false.into())
    );

    // An error until somebody decides, and no basis for another certificate.
    let finding = &found(&home, "recovered")[0];
    assert_eq!(finding["severity"], "error");
    assert!(finding["message"].as_str().unwrap().contains(&late), "{finding}");
    for arguments in [
        &["renew", "late", "--bundle-passphrase-out", "x"][..],
        &["show", "late", "--pem"],
    ] {
        let said = refused(&home, arguments);
        assert!(said.stderr.contains("pki issue late/phone"), "{said}");
    }
    assert!(!home.path("x").exists());

    home.run(&["revoke", "late", "--yes", "-q"]);
    assert!(found(&home, "recovered").is_empty());
    assert!(read(&home, "web/server/revoked.map").contains(&late));
    assert!(!read(&home, "web/server/allowed.map").contains(&late));
}

#[test]
fn a_lost_certificate_is_revoked_by_name_without_a_publication_before_it() {
    let Some(home) = published() else { return };
    let backup = copy_of(&home);
    let phone = issue(&home, "late");
    let tablet = issue(&home, "alice/tablet");
    for (arguments, serial) in [
        (&["revoke", "late", "--yes"][..], &phone),
        (&["revoke", phone.as_str(), "--yes"], &phone),
        (&["offboard", "late", "--confirm", "late"], &phone),
        (&["offboard", "alice", "--confirm", "alice"], &tablet),
    ] {
        let again = copy_of(&home);
        restore(&again, &backup);
        own_places(&again, &home);
        let said = again.run(arguments);
        assert!(read(&again, "web/server/revoked.map").contains(serial), "{said}");
        assert!(!read(&again, "web/server/allowed.map").contains(serial), "{said}");
        assert!(
            read(&again, "web/public/crl/issuing.pem").contains("X509 CRL"),
            "{said}"
        );
    }
}

#[test]
fn a_recovered_certificate_is_kept_by_name_or_replaced() {
    let Some((home, late)) = restored(|home| issue(home, "late")) else {
        return;
    };
    home.run(&["publish", "-q"]);
    let kept = copy_of(&home);
    kept.run(&["publish", "--keep", "late", "-q"]);
    assert!(found(&kept, "recovered").is_empty());
    assert_eq!(kept.run(&["show", &late, "--json"]).json()["kept"], true);
    kept.run(&["publish", "--keep", &late, "-q"]);
    for nothing in ["alice", "nobody"] {
        refused(&kept, &["publish", "--keep", nothing]);
    }
    // A new one takes its place, and the old one is still to be decided on: somebody has its key.
    let new = issue(&home, "late");
    assert_eq!(found(&home, "recovered").len(), 1);
    home.run(&["revoke", "late", "--yes", "-q"]);
    let revoked = read(&home, "web/server/revoked.map");
    assert!(revoked.contains(&late) && revoked.contains(&new), "{revoked}");
}

/// Has the home certify a server, and gives the certificate's serial number.
#[track_caller]
fn certified_server(home: &Home) -> String {
    for verb in ["add", "issue"] {
        home.run(&["server", verb, "api.acme.example", "--out", "tls", "-q"]);
    }
    let known = home.run(&["server", "list", "--json"]).json();
    let serial = known["servers"][0]["certificate"]["serial"].as_str();
    serial.unwrap().to_owned()
}

#[test]
fn who_is_lost_after_a_restore_is_locked_out_at_once_though_the_servers_ca_has_published_since() {
    let Some(home) = published() else {
        return;
    };
    let of_server = certified_server(&home);
    let bob = issue(&home, "bob");
    let backup = copy_of(&home);
    home.run(&["revoke", &of_server, "--yes", "-q"]);
    let crl = content(&home.path("web/public/crl"))["servers.crl"].clone();
    restore(&home, &backup);
    home.run(&["revoke", "bob", "--yes"]);
    assert!(read(&home, "web/server/revoked.map").contains(&bob));
    assert_eq!(content(&home.path("web/public/crl"))["servers.crl"], crl);
    home.run(&["publish", "-q"]);
    let again = home.run(&["revoke", &of_server, "--yes"]);
    assert!(again.stderr.contains("revoked already"), "{again}");
}

/// A revocation of a device opens the devices' CA alone: what a place takes back of a server's it goes on
/// taking back.
#[test]
fn who_is_lost_lets_no_server_in_again_that_a_place_takes_back_and_the_home_had_forgotten() {
    let Some(home) = published() else {
        return;
    };
    home.configure_table(&table(&home, "mirror"));
    let of_server = certified_server(&home);
    let backup = copy_of(&home);
    home.run(&["revoke", &of_server, "--yes", "-q"]);
    let crl = |place: &str| content(&home.path(place).join("public/crl"))["servers.crl"].clone();
    let taking_back = crl("mirror");
    restore(&home, &backup);
    // The mirror is away, and the other place has lost what it had, when a later CRL is signed that takes
    // nobody back.
    std::fs::rename(home.path("mirror"), home.path("away")).unwrap();
    std::fs::remove_dir_all(home.path("web")).unwrap();
    finish(
        &mut home.pki_at("+16d", &["publish", "--unlock", "--confirm", "LEDGER", "-q"]),
        b"",
    );
    let _ = std::fs::remove_dir_all(home.path("mirror"));
    std::fs::rename(home.path("away"), home.path("mirror")).unwrap();
    let said = finish(&mut home.pki_at("+16d", &["revoke", "alice", "--yes"]), b"").exits(5);
    assert!(
        said.stderr.contains("takes back what an older one does not have"),
        "{said}"
    );
    assert_eq!(crl("mirror"), taking_back);
    // Who goes by the lists hears of her all the same, everywhere; and the next publication is whole.
    let lost = home.serial_of("alice/phone");
    for place in ["web", "mirror"] {
        assert!(
            read(&home, &format!("{place}/server/revoked.map")).contains(&lost),
            "{place}"
        );
    }
    finish(&mut home.pki_at("+16d", &["publish", "-q"]), b"").ok();
    assert_eq!(crl("mirror"), crl("web"));
    assert_ne!(crl("mirror"), taking_back);
}

/// The root need not come out of its safe for a CRL that is published, and nobody is told to fetch it.
#[test]
fn a_crl_of_the_root_that_the_ledger_has_forgotten_counts_where_it_is_published() {
    let Some(home) = published() else {
        return;
    };
    let backup = copy_of(&home);
    let run_at = |when: &str, arguments: &[&str]| finish(&mut home.pki_at(when, arguments), b"");
    run_at("+300d", &["publish", "--confirm", "CLOCK", "-q"]);
    run_at("+300d", &["root", "crl", "-q"]).ok();
    run_at("+300d", &["publish", "-q"]).ok();
    restore(&home, &backup);
    run_at("+301d", &["publish", "--confirm", "CLOCK", "-q"]).ok();
    let found = run_at("+301d", &["doctor", "--json"]).json();
    let findings = found["findings"].as_array().unwrap();
    let of_root = |finding: &&serde_json::Value| finding["code"].as_str().unwrap().starts_with("root-crl");
    assert_eq!(findings.iter().filter(of_root).count(), 0, "{found}");
}

/// Numbers follow the time: a place that was away has an older list than the ledger, and names somebody all
/// the same.
#[test]
fn lists_are_compared_by_what_they_say_and_not_by_their_number() {
    let Some((home, late)) = restored(|home| issue(home, "late")) else {
        return;
    };
    while_away(&home, "web", || {
        for employee in ["eve", "eric"] {
            issue(&home, employee);
        }
    });
    let number = |place: &str| {
        let text = read(&home, &format!("{place}/server/manifest.json"));
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["number"].as_u64()
    };
    assert!(number("web") < number("home"));
    let said = home.run(&["publish", "--confirm", "LEDGER", "--json"]).json();
    assert_eq!(said["recovered"], serde_json::json!([late]));
}

/// What the list says of the device at this address.
fn listed(home: &Home, address: &str) -> serde_json::Value {
    let list: serde_json::Value = serde_json::from_str(&read(home, "web/server/devices.json")).unwrap();
    let mut devices = list["devices"].as_array().unwrap().iter();
    devices
        .find(|device| device["address"] == address)
        .unwrap()
        .clone()
}

/// A key is listed where the CA has certified it, and a certificate that is known by a list alone shows none.
#[test]
fn a_device_that_was_recovered_has_no_listed_key_until_it_is_renewed() {
    let Some((home, _)) = restored(|home| issue(home, "late")) else {
        return;
    };
    assert!(listed(&home, "late/phone")["spki"].is_string());
    home.run(&["publish", "--confirm", "LEDGER", "-q"]).ok();
    assert!(listed(&home, "late/phone")["spki"].is_null());
    assert!(listed(&home, "alice/phone")["spki"].is_string());
    home.run(&["revoke", "late", "--yes", "-q"]).ok();
    issue(&home, "late");
    assert!(listed(&home, "late/phone")["spki"].is_string());
}

/// The key of a phone that was lost does not come back by a backup that does not know of the loss.
#[test]
fn a_shared_key_that_was_lost_does_not_come_back() {
    let Some(home) = published() else { return };
    home.run(&["hmac", "rotate", HOST, "-q"]).ok();
    let key = |file: &str| {
        home.run(&["hmac", "show", HOST, "alice/phone", "--out", file, "-q"])
            .ok();
        read(&home, file)
    };
    let lost = key("lost.json");
    let backup = copy_of(&home);
    home.run(&["revoke", "alice", "--yes", "-q"]).ok();
    let serial = issue(&home, "alice");
    let next = key("next.json");
    restore(&home, &backup);
    assert_eq!(key("restored.json"), lost);
    home.run(&["publish", "--confirm", "LEDGER", "-q"]).ok();
    assert_eq!(listed(&home, "alice/phone")["first"], serial.as_str());
    let after = key("after.json");
    assert!(after == next && after != lost, "{after}");
}

/// A home that publishes and has shared keys; a backup of it; and what writes the key of Bob's phone.
fn with_shared_keys() -> Option<(Home, Home)> {
    let home = published()?;
    home.run(&["hmac", "rotate", HOST, "-q"]).ok();
    let backup = copy_of(&home);
    Some((home, backup))
}

fn key_of_bob(home: &Home, file: &str) -> String {
    home.run(&["hmac", "show", HOST, "bob/phone", "--out", file, "-q"])
        .ok();
    read(home, file)
}

/// A device that is known by a list alone keeps its key, and loses it as any other.
#[test]
fn the_shared_key_of_a_device_that_came_back_is_lost_with_it() {
    let Some((home, backup)) = with_shared_keys() else {
        return;
    };
    issue(&home, "bob");
    let own = key_of_bob(&home, "own.json");
    let renew = bundle(["renew", "bob"], "renewed");
    home.run(&[&renew[..], &["--revoke-old", "-q"]].concat()).ok();
    assert_eq!(key_of_bob(&home, "renewed.json"), own);
    restore(&home, &backup);
    home.run(&["publish", "--confirm", "LEDGER", "-q"]).ok();
    assert_eq!(key_of_bob(&home, "back.json"), own);
    home.run(&["revoke", "bob", "--reason", "lost", "--yes", "-q"])
        .ok();
    issue(&home, "bob");
    assert_ne!(key_of_bob(&home, "next.json"), own);
}

/// What a server has that is a little behind names keys that were lost since.
#[test]
fn an_older_list_brings_no_shared_key_back() {
    let Some((home, backup)) = with_shared_keys() else {
        return;
    };
    issue(&home, "bob");
    let lost = key_of_bob(&home, "lost.json");
    copied(&home.path("web"), &home.path("behind"));
    home.run(&["revoke", "bob", "--reason", "lost", "--yes", "-q"])
        .ok();
    issue(&home, "bob");
    let own = key_of_bob(&home, "own.json");
    restore(&home, &backup);
    home.run(&["publish", "--confirm", "LEDGER", "-q"]).ok();
    assert_eq!(key_of_bob(&home, "back.json"), own);
    home.run(&["publish", "--published", "behind", "-q"]);
    let after = key_of_bob(&home, "after.json");
    assert!(after == own && after != lost, "{after}");
}

/// What was lost or given here since the last publication, a list that was published elsewhere does not know.
#[test]
fn a_list_tells_no_shared_key_of_who_was_locked_out_here() {
    for (verb, locked_out) in [
        (
            "revoke",
            ["revoke", "bob/phone", "--yes", "--no-publish", "-q"].as_slice(),
        ),
        (
            "offboard",
            &["offboard", "bob", "--confirm", "bob", "--no-publish", "-q"],
        ),
    ] {
        let Some(home) = published() else { return };
        home.run(&["hmac", "rotate", HOST, "-q"]).ok();
        issue(&home, "bob/other");
        if verb == "revoke" {
            issue(&home, "bob");
        }
        let backup = copy_of(&home);
        if verb == "revoke" {
            home.run(&["revoke", "bob/phone", "--yes", "-q"]).ok();
        }
        issue(&home, "bob");
        let lost = key_of_bob(&home, "lost.json");
        let renew = bundle(["renew", "bob/phone"], "renewed");
        home.run(&[&renew[..], &["--revoke-old", "-q"]].concat()).ok();
        std::fs::rename(home.path("web"), home.path("there")).unwrap();
        restore(&home, &backup);
        home.run(locked_out);
        let issue = bundle(["issue", "bob/phone"], "again");
        let issue = || home.run(&[&issue[..], &["--reissue", "--no-publish", "-q"]].concat());
        if verb == "revoke" {
            issue().ok();
        }
        home.run(&["publish", "--published", "there", "-q"]);
        if verb == "offboard" {
            issue().ok();
        }
        assert_ne!(key_of_bob(&home, "next.json"), lost, "{verb}");
    }
}

/// Whoever can write to the home can write to its ledger, and servers take no key from it that the CA has not
/// certified.
#[test]
fn a_certificate_that_was_written_into_the_ledger_brings_no_key() {
    let Some(home) = published() else { return };
    assert!(listed(&home, "alice/phone")["spki"].is_string());
    let serial = issue(&home, "bob");
    let forged = "/UID=bob\\/phone/O=Acme Ltd/CN=bob (phone)";
    let number = format!("0x{serial}");
    let mut request = vec!["req", "-x509", "-nodes", "-keyout", "eve.key", "-days", "30"];
    request.extend(EC);
    request.extend([
        "-out",
        "eve.der",
        "-outform",
        "DER",
        "-set_serial",
        &number,
        "-subj",
        forged,
    ]);
    home.foreign("openssl", &request).ok();
    let certificate = BASE64.encode(&std::fs::read(home.path("eve.der")).unwrap());
    home.rewrite_ledger(|events| {
        let mut issued = events.iter_mut().filter(|event| event["event"] == "issued");
        let event = issued.find(|event| event["serial"] == serial.as_str()).unwrap();
        event["certificate"] = certificate.as_str().into();
    });
    home.run(&["publish", "-q"]);
    assert!(listed(&home, "bob/phone")["spki"].is_null());
    assert!(listed(&home, "alice/phone")["spki"].is_string());
}

#[test]
fn a_renewal_that_was_lost_takes_the_place_of_what_the_ledger_knows_and_can_be_renewed() {
    let Some((home, new)) = restored(|home| made(home, ["renew", "alice"])) else {
        return;
    };
    let old = home.serial_of("alice/phone");
    home.run(&["publish", "-q"]);
    let status = |serial: &str| home.run(&["show", serial, "--json"]).json()["status"].clone();
    assert_eq!(
        (status(&old), status(&new)),
        ("superseded".into(), "valid".into())
    );
    made(&home, ["renew", "alice"]);
    assert_eq!(
        (status(&old), status(&new)),
        ("superseded".into(), "superseded".into())
    );
}

#[test]
fn who_was_offboarded_comes_back_by_no_list() {
    let Some((home, tablet)) = restored(|home| issue(home, "alice/tablet")) else {
        return;
    };
    // Where the list is out of reach when she is offboarded.
    while_away(&home, "web", || {
        home.run(&["offboard", "alice", "--confirm", "alice", "-q"]);
    });
    home.run(&["publish", "--confirm", "LEDGER", "-q"]);
    assert!(read(&home, "web/server/revoked.map").contains(&tablet));
    assert!(!read(&home, "web/server/allowed.map").contains(&tablet));
}

/// The CRL says that she left, and the list of who is offboarded is in the ledger alone.
#[test]
fn an_offboarding_that_was_lost_is_told_until_it_is_done_again_or_given_up() {
    for settle in [
        &["offboard", "alice", "--confirm", "alice", "-q"][..],
        &["publish", "--confirm", "LEDGER", "-q"],
    ] {
        let offboard = |home: &Home| home.run(&["offboard", "alice", "--confirm", "alice", "-q"]);
        let Some((home, _)) = restored(offboard) else {
            return;
        };
        for _ in 0..2 {
            let said = home.run(&["publish", "-q"]);
            assert!(said.stderr.contains("pki offboard alice"), "{said}");
            assert_eq!(found(&home, "offboarding-lost").len(), 1);
        }
        for address in ["alice", "alice/tablet"] {
            let said = refused(&home, &bundle(["issue", address], "again"));
            assert!(said.stderr.contains("pki offboard alice"), "{said}");
        }
        home.run(settle);
        home.run(&["publish", "-q"]);
        assert!(found(&home, "offboarding-lost").is_empty(), "{settle:?}");
    }
}

/// Whatever is gone or damaged of what the newer home has published: it is known from the rest, or told.
#[test]
fn nothing_that_is_gone_of_a_place_goes_unnoticed() {
    let remove = |home: &Home, files: &[&str]| {
        for file in files {
            std::fs::remove_file(home.path("web").join(file)).unwrap();
        }
    };
    let overwrite = |home: &Home, text: &str| {
        for half in ["public", "server"] {
            std::fs::remove_dir_all(home.path("web").join(half)).unwrap();
            std::fs::create_dir(home.path("web").join(half)).unwrap();
            std::fs::write(home.path("web").join(half).join("manifest.jws"), text).unwrap();
        }
    };
    type Damage<'a> = &'a dyn Fn(&Home);
    let cases: [(&str, Damage<'_>); 8] = [
        ("devices", &|home| remove(home, &["server/devices.json"])),
        ("maps and CRL", &|home| {
            remove(home, &["server/revoked.map", "public/crl/issuing.crl"])
        }),
        ("all lists", &|home| {
            remove(
                home,
                &["server/revoked.map", "server/devices.json", "server/allowed.map"],
            );
        }),
        ("manifest", &|home| {
            remove(home, &["server/manifest.json", "server/manifest.jws"])
        }),
        ("damaged devices", &|home| {
            std::fs::write(home.path("web/server/devices.json"), "{").unwrap()
        }),
        ("made-up manifests", &|home| overwrite(home, "x")),
        ("empty manifests", &|home| overwrite(home, "")),
        ("older servers' half", &|home| {
            std::fs::remove_dir_all(home.path("web/server")).unwrap();
            copied(&home.path("older"), &home.path("web/server"));
        }),
    ];
    for (name, damage) in cases {
        let Some((home, bob)) = restored(|home| {
            copied(&home.path("web/server"), &home.path("older"));
            let bob = issue(home, "bob");
            home.run(&["revoke", "alice", "--yes", "-q"]);
            bob
        }) else {
            return;
        };
        let alice = home.serial_of("alice/phone");
        damage(&home);
        home.run(&["publish", "-q"]);
        let told = found(&home, "place-emptied").len() + found(&home, "unsigned-list").len();
        let knows_bob = finish(&mut home.pki(&["show", &bob]), b"").code == Some(0);
        let knows_alice = read(&home, "web/server/revoked.map").contains(&alice);
        assert!(
            told > 0 || knows_bob && knows_alice,
            "{name}: {knows_bob} {knows_alice}"
        );
        // Whom a list names is named, or known.
        let lists = format!("{:?}", found(&home, "unsigned-list"));
        let is_listed = ["devices", "manifest", "damaged devices"].contains(&name);
        assert!(!is_listed || knows_bob || lists.contains(&bob), "{name}: {lists}");
        // It is told until somebody has said what it means, and then as well.
        let said = home.run(&["publish", "--confirm", "LEDGER"]);
        assert_eq!(
            said.stderr.contains("none of this is in doubt any more"),
            told > 0,
            "{name}: {said}"
        );
        assert!(found(&home, "place-emptied").is_empty() && found(&home, "unsigned-list").is_empty());
    }
}

/// What the home has published since it was restored, or before its backup, says nothing of what was lost.
#[test]
fn what_a_home_has_written_itself_settles_no_doubt() {
    let Some((home, _)) = restored(|home| issue(home, "bob")) else {
        return;
    };
    std::fs::remove_dir_all(home.path("web")).unwrap();
    home.run(&["publish", "-q"]);
    for source in ["home/server", "web/server", "web", "home/public/crl/issuing.crl"] {
        for verb in [
            &["publish", "--published", source, "-q"][..],
            &["revoke", "alice", "--yes", "-q"],
        ] {
            home.run(verb);
            assert_eq!(found(&home, "place-emptied").len(), 2, "{source}");
        }
    }
}

/// A second place that has the last publication of this ledger shows that there was none after it.
#[test]
fn a_place_that_lost_its_publication_means_nothing_where_another_has_the_last_one() {
    let Some(home) = published() else { return };
    home.configure_table(&table(&home, "second"));
    home.run(&["publish", "-q"]);
    std::fs::remove_dir_all(home.path("second")).unwrap();
    let said = home.run(&["publish", "-q"]);
    assert!(!said.stderr.contains("--confirm LEDGER"), "{said}");
    assert!(home.path("second/server/revoked.map").exists());
    assert!(found(&home, "place-emptied").is_empty());
}

/// Why somebody was locked out is in the CRL alone: whoever is looked up by name first does not hide it.
#[test]
fn an_offboarding_that_was_lost_is_told_after_another_one_was_revoked_first() {
    let Some((home, _)) = restored(|home| {
        home.run(&["offboard", "alice", "--confirm", "alice", "-q"]);
        issue(home, "carol")
    }) else {
        return;
    };
    let said = home.run(&["revoke", "carol", "--yes", "-q"]);
    assert!(said.stderr.contains("pki offboard alice"), "{said}");
    assert_eq!(found(&home, "offboarding-lost").len(), 1);
    home.run(&["offboard", "alice", "--confirm", "alice", "--no-publish", "-q"]);
    assert!(found(&home, "offboarding-lost").is_empty());
}

/// As servers that fetch: they refuse what knows less, and what they have in place brings the home up to
/// date.
#[test]
fn what_servers_have_fetched_is_taken_in_where_the_places_are_empty() {
    if !need(&["faketime"]) {
        return;
    }
    let Some(home) = published() else { return };
    let backup = copy_of(&home);
    home.run(&["revoke", "alice", "--yes", "-q"]);
    let late = issue(&home, "late");
    std::fs::copy(home.home().join("root/root.crt"), home.path("root.crt")).unwrap();
    let alice = home.serial_of("alice/phone");
    let fetch = |half: &str| {
        let (from, to) = (format!("web/{half}"), format!("fetched/{half}"));
        finish(
            &mut home.pki_at("+1h", &["fetch", &from, "--root", "root.crt", "--out", &to]),
            b"",
        )
    };
    for half in ["public", "server"] {
        fetch(half).ok();
    }
    restore(&home, &backup);
    std::fs::remove_dir_all(home.path("web")).unwrap();
    // Later than all that was served: numbers are the Unix time at least.
    let at = |arguments: &[&str]| finish(&mut home.pki_at("+1h", arguments), b"");
    // It is written, for servers need a CRL; and it is not forgotten until somebody has said what it means.
    for employee in ["eve", "eva"] {
        let said = at(&bundle(["issue", employee], employee)).ok();
        assert!(
            said.stderr.contains("web/public had no publication left"),
            "{said}"
        );
        assert!(said.stderr.contains("pki publish --published"), "{said}");
    }
    let doctor = at(&["doctor"]).exits(3);
    assert!(doctor.stdout.contains("[place-emptied]"), "{doctor}");
    assert!(read(&home, "web/server/allowed.map").contains(&alice));
    for half in ["public", "server"] {
        let before = content(&home.path(format!("fetched/{half}")));
        let said = fetch(half).exits(1);
        // Nothing new came into the public half, whose number has not moved on.
        let why = if half == "server" {
            &alice
        } else {
            "it is an older one"
        };
        assert!(said.stderr.contains(why), "{said}");
        assert!(said.stderr.contains("pki publish --published"), "{said}");
        assert_eq!(content(&home.path(format!("fetched/{half}"))), before);
    }

    // Each half by itself, both by the directory above, and the CRL in each form.
    for (source, knows_late) in [
        ("fetched/server", true),
        ("fetched/public", false),
        ("fetched", true),
        ("fetched/public/crl/issuing.crl", false),
        ("fetched/public/crl/bundle.pem", false),
    ] {
        let again = copy_of(&home);
        own_places(&again, &home);
        let before = content(&again.path("fetched"));
        let said = finish(&mut again.pki_at("+1h", &["publish", "--published", source]), b"").ok();
        assert!(
            read(&again, "web/server/revoked.map").contains(&alice),
            "{source}: {said}"
        );
        assert!(
            !read(&again, "web/server/allowed.map").contains(&alice),
            "{source}: {said}"
        );
        assert_eq!(
            read(&again, "web/server/allowed.map").contains(&late),
            knows_late,
            "{source}: {said}"
        );
        // Only what names the devices says what the places had.
        let in_doubt = found(&again, "place-emptied").len();
        assert_eq!(in_doubt, if knows_late { 0 } else { 2 }, "{source}");
        // What was handed in is read and not written.
        assert_eq!(content(&again.path("fetched")), before);
        for half in ["public", "server"] {
            let (from, to) = (format!("web/{half}"), format!("fetched/{half}"));
            let arguments = ["fetch", &from, "--root", "root.crt", "--out", &to];
            // What has only a CRL to go by knows nothing of who was accepted, and the server says so.
            let (told, confirmed) = match half == "server" && !knows_late {
                true => (3, &["--confirm", "HISTORY"][..]),
                false => (0, &[][..]),
            };
            if told == 3 {
                // Nor did it take in a history that it could go on from.
                let refused = finish(&mut again.pki_at("+1h", &arguments), b"").exits(1);
                assert!(refused.stderr.contains("was set back"), "{refused}");
            }
            let arguments = [&arguments[..], confirmed].concat();
            finish(&mut again.pki_at("+1h", &arguments), b"").exits(told);
        }
    }
}

#[test]
fn what_is_no_publication_of_this_pki_is_not_taken_in() {
    let Some(home) = published() else { return };
    let other = Home::bare();
    other.configure_table(&table(&other, "web"));
    other.run(&["publish", "-q"]);
    copied(&other.path("web"), &home.path("theirs"));
    std::fs::create_dir(home.path("empty")).unwrap();
    home.write_private("text", "no CRL\n");
    home.write_private("nothing", "");
    for source in [
        "theirs",
        "theirs/server",
        "theirs/public/crl/issuing.crl",
        "theirs/public/crl/bundle.pem",
        "empty",
        "text",
        "nothing",
        "home/root/root.crt",
        "web/server/revoked.map",
    ] {
        let said = refused(&home, &["publish", "--published", source]);
        assert!(
            said.stderr
                .contains(&format!("{source} holds no publication and no CRL")),
            "{said}"
        );
    }
    refused(&home, &["publish", "--published", "not-there"]);
    home.run(&["publish", "--published", "web"]);
}

/// Signs a manifest again, by another CA of the same root, as a successor would.
fn sign_by_successor(home: &Home, place: &str) {
    let script = r#"
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout s.key -subj "/CN=Successor" -out s.csr
        printf 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign,digitalSignature\n' > s.ext
        printf 'extendedKeyUsage=clientAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n' >> s.ext
        openssl x509 -req -in s.csr -CA home/root/root.crt -CAkey home/root/root.key -passin file:root-passphrase -days 900 \
            -extfile s.ext -outform der -out s.der
    "#;
    if !home.path("s.der").exists() {
        home.foreign("sh", &["-e", "-c", script]).ok();
    }
    let json = read(home, &format!("{place}/manifest.json"));
    let mut manifest: serde_json::Value = serde_json::from_str(&json).unwrap();
    manifest["number"] = (manifest["number"].as_u64().unwrap() + 1_000_000).into();
    let text = manifest.to_string();
    let x5c = [BASE64.encode(&std::fs::read(home.path("s.der")).unwrap())];
    let header = serde_json::json!({ "alg": "ES256", "typ": "pki-manifest+jws", "x5c": x5c }).to_string();
    let signed = [&header, &text]
        .map(|part| BASE64URL_NOPAD.encode(part.as_bytes()))
        .join(".");
    std::fs::write(home.path("signed"), &signed).unwrap();
    home.foreign(
        "openssl",
        &["dgst", "-sha256", "-sign", "s.key", "-out", "signature", "signed"],
    )
    .ok();
    let der = std::fs::read(home.path("signature")).unwrap();
    let signature = p256::ecdsa::Signature::from_der(&der).unwrap();
    let signature = BASE64URL_NOPAD.encode(&signature.to_bytes());
    std::fs::write(home.path(format!("{place}/manifest.json")), text).unwrap();
    std::fs::write(
        home.path(format!("{place}/manifest.jws")),
        format!("{signed}.{signature}"),
    )
    .unwrap();
}

#[test]
fn where_another_ca_of_the_root_publishes_nothing_is_written() {
    let Some(home) = published() else { return };
    for place in ["web/server", "web/public"] {
        sign_by_successor(&home, place);
    }
    let before = content(&home.path("web"));
    for arguments in [
        &["issue", "bob", "--out", "out", "--bundle-passphrase-out", "bob"][..],
        &["publish"],
        &["revoke", "alice", "--yes"],
        &["publish"],
    ] {
        let said = finish(&mut home.pki(arguments), b"").exits(5);
        assert!(
            said.stderr.contains("Successor") && said.stderr.contains("web/public"),
            "{said}"
        );
        assert_eq!(content(&home.path("web")), before, "{said}");
    }
    let findings = found(&home, "other-ca");
    assert_eq!(findings.len(), 2, "{findings:?}");
    // The home's own half says what the ledger does.
    assert!(read(&home, "home/server/revoked.map").contains(" 1;"));
}

/// Another half in the same place is as it was: one is not kept back by the other.
#[test]
fn a_half_that_is_this_homes_is_published_beside_one_that_is_not() {
    let Some(home) = published() else { return };
    sign_by_successor(&home, "web/public");
    let alice = home.serial_of("alice/phone");
    finish(&mut home.pki(&["revoke", "alice", "--yes"]), b"").exits(5);
    assert!(read(&home, "web/server/revoked.map").contains(&alice));
}

/// An honest place that a reboot empties: the operator says that the ledger is the newest.
#[test]
fn a_place_that_lost_its_publication_is_told_until_the_operator_says_what_it_means() {
    let Some(home) = published() else { return };
    std::fs::remove_dir_all(home.path("web")).unwrap();
    std::fs::create_dir(home.path("web")).unwrap();
    for _ in 0..2 {
        let said = home.run(&["publish"]);
        assert!(said.stderr.contains("--confirm LEDGER"), "{said}");
        assert!(home.path("web/public/crl/issuing.crl").exists());
        assert_eq!(found(&home, "place-emptied").len(), 2);
    }
    home.run(&["publish", "--confirm", "LEDGER"]);
    home.run(&["publish"]);
    assert!(found(&home, "place-emptied").is_empty());
    finish(&mut home.pki(&["publish", "--confirm", "ALL"]), b"").exits(2);
}

/// The public half names nobody: that it is later than the ledger is all that there is to know.
#[test]
fn a_public_half_that_is_later_than_the_ledger_is_told_where_no_list_names_the_devices() {
    if !need(&["openssl", "cp"]) {
        return;
    }
    let home = Home::new();
    home.configure_table(&format!(
        "[[publish]]\npublic = '{}'\n",
        home.path("web").display()
    ));
    home.run(&["publish", "-q"]);
    let backup = copy_of(&home);
    issue(&home, "bob");
    home.run(&["revoke", "bob", "--yes", "-q"]);
    issue(&home, "carl");
    restore(&home, &backup);
    let said = home.run(&["publish", "-q"]);
    assert!(said.stderr.contains("pki publish --published"), "{said}");
    assert_eq!(found(&home, "place-emptied").len(), 1);
    home.run(&["publish", "--confirm", "LEDGER"]);
    assert!(found(&home, "place-emptied").is_empty());
}

#[test]
fn a_half_in_the_place_of_the_other_one_is_not_written_over() {
    let Some(home) = published() else { return };
    let text = read(&home, "home/pki.toml");
    let [public, server] = ["web/public", "web/server"].map(|place| home.path(place).display().to_string());
    let swapped = text
        .replace(&format!("public = '{public}'"), "public = 'A'")
        .replace(&format!("server = '{server}'"), &format!("server = '{public}'"))
        .replace("public = 'A'", &format!("public = '{server}'"));
    std::fs::write(home.home().join("pki.toml"), &swapped).unwrap();
    let before = content(&home.path("web"));
    let said = finish(&mut home.pki(&["revoke", "alice", "--yes"]), b"").exits(5);
    assert!(said.stderr.contains("half of a publication is there"), "{said}");
    assert_eq!(content(&home.path("web")), before);
    std::fs::write(home.home().join("pki.toml"), &text).unwrap();
    home.run(&["publish"]);
}

#[test]
fn a_publication_of_another_pki_is_not_written_over() {
    let Some(home) = published() else { return };
    let other = Home::bare();
    other.configure_table(&table(&home, "web"));
    let before = content(&home.path("web"));
    let said = finish(&mut other.pki(&["publish"]), b"").exits(5);
    assert!(
        said.stderr.contains("a CA that this home does not know"),
        "{said}"
    );
    assert_eq!(content(&home.path("web")), before);
}

/// Its address, its key and its end are known again, and the key is certified to nobody.
#[test]
fn what_a_list_names_and_a_crl_revokes_comes_back_as_both() {
    let Some(home) = published() else { return };
    let backup = copy_of(&home);
    let request = "openssl ecparam -name prime256v1 -genkey -noout -out k; openssl req -new -key k -subj /CN=x -out k.csr";
    home.foreign("sh", &["-e", "-c", request]).ok();
    let issue = |address: &str| {
        finish(
            &mut home.pki(&["issue", address, "--csr", "k.csr", "--out", "out"]),
            b"",
        )
    };
    issue("bob").ok();
    // The list is away while he is revoked.
    while_away(&home, "web/server", || {
        home.run(&["revoke", "bob", "--yes", "-q"]);
    });
    restore(&home, &backup);
    home.run(&["publish", "-q"]);
    let listed = home.run(&["list", "--employee", "bob", "--json"]).json();
    assert_eq!(listed["devices"][0]["status"], "revoked", "{listed}");
    issue("carl").exits(1);
    assert!(found(&home, "recovered").is_empty());
}

/// Half a copy of what a server has looks like a whole one that knows nothing.
#[test]
fn a_copy_that_is_not_whole_is_refused() {
    let Some(home) = published() else { return };
    for (half, file) in [
        ("server", "devices.json"),
        ("server", "revoked.map"),
        ("public", "crl/issuing.crl"),
    ] {
        for damage in ["rm", "truncate -s 1"] {
            let script = format!("rm -rf copy; cp -a web/{half} copy; {damage} copy/{file}");
            home.foreign("sh", &["-e", "-c", &script]).ok();
            let said = refused(&home, &["publish", "--published", "copy"]);
            assert!(
                said.stderr.contains(&format!("copy/{file} is missing there")),
                "{said}"
            );
        }
    }
}

/// A home with a server, published and with nothing else; and its backup.
fn with_server() -> Option<(Home, Home)> {
    let home = published()?;
    std::fs::copy(home.home().join("root/root.crt"), home.path("root.crt")).unwrap();
    home.run(&["server", "add", "api.acme.example", "--out", "tls", "-q"]);
    let backup = copy_of(&home);
    // Times are told in whole seconds: what comes next comes after that.
    std::thread::sleep(std::time::Duration::from_secs(1));
    Some((home, backup))
}

/// Puts the backup in place, and takes the places away.
fn restore_without_places(home: &Home, backup: &Home) {
    restore(home, backup);
    std::fs::remove_dir_all(home.path("web")).unwrap();
}

/// Later than all that was served: numbers are the Unix time at least.
fn later(home: &Home, arguments: &[&str]) -> Finished {
    finish(&mut home.pki_at("+1h", arguments), b"")
}

const FETCH: [&str; 6] = ["fetch", "web/public", "--root", "root.crt", "--out", "fetched"];

/// Its key is lost: what the first one has revoked is on no list of the second one, which has the same name.
#[test]
fn the_second_servers_ca_of_a_home_takes_no_place_where_the_first_one_was_fetched() {
    if !need(&["faketime"]) {
        return;
    }
    let Some((home, backup)) = with_server() else {
        return;
    };
    let issue = ["server", "issue", "api.acme.example", "--out", "tls", "--json"];
    let issued = home.run(&issue).json();
    let serial = issued["serial"].as_str().unwrap();
    home.run(&["revoke", serial, "--yes", "-q"]);
    home.run(&FETCH);
    let before = content(&home.path("fetched"));
    restore_without_places(&home, &backup);
    later(&home, &issue).ok();
    let said = later(&home, &FETCH).exits(1);
    let gone = format!("nothing revokes {serial} any more");
    for words in [&gone, "CN=Acme Ltd Servers CA"] {
        assert!(said.stderr.contains(words), "{words}: {said}");
    }
    assert_eq!(content(&home.path("fetched")), before);
}

#[test]
fn a_second_servers_ca_is_not_made_where_the_first_one_is_published() {
    if !need(&["faketime"]) {
        return;
    }
    let Some((home, backup)) = with_server() else {
        return;
    };
    let issue = ["server", "issue", "api.acme.example", "--out", "tls"];
    home.run(&issue);
    restore(&home, &backup);
    let before = [content(&home.home()), content(&home.path("web"))];
    let said = later(&home, &issue).exits(1);
    assert!(
        said.stderr.contains("a servers' CA of this root is published"),
        "{said}"
    );
    assert_eq!([content(&home.home()), content(&home.path("web"))], before);
    // Its key is lost for good.
    let (_, serial) = said.stderr.split_once("--confirm ").unwrap();
    let serial: String = serial.chars().take_while(char::is_ascii_hexdigit).collect();
    later(&home, &[&issue[..], &["--confirm", "CA5"]].concat()).exits(1);
    later(&home, &[&issue[..], &["--confirm", &serial]].concat()).ok();
    assert!(home.home().join("servers/servers.crt").exists());
}

#[test]
fn a_servers_key_that_was_given_up_is_pinned_for_no_app_again() {
    if !need(&["faketime"]) {
        return;
    }
    let Some((home, backup)) = with_server() else {
        return;
    };
    let rotate = [
        "server",
        "rotate",
        "api.acme.example",
        "--out",
        "tls",
        "--compromised",
    ];
    home.run(&[&rotate[..], &["--confirm", "api.acme.example", "-q"]].concat());
    home.run(&FETCH);
    let before = content(&home.path("fetched"));
    restore_without_places(&home, &backup);
    // New sets are signed, which have a higher number.
    later(
        &home,
        &["server", "add", "www.acme.example", "--out", "tls", "-q"],
    )
    .ok();
    let said = later(&home, &FETCH).exits(1);
    assert!(
        said.stderr.contains("of api.acme.example as active since"),
        "{said}"
    );
    assert_eq!(content(&home.path("fetched")), before);
    // Who has lost what came after the backup rotates again.
    later(
        &home,
        &[&rotate[..], &["--confirm", "api.acme.example", "-q"]].concat(),
    )
    .ok();
    later(&home, &FETCH).ok();
}
