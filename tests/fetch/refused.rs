//! The bad inputs, each with its own word, and the old state untouched.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use pki::key;
use pki::model::{Serial, Span};
use pki::publish::{Area, Listed, Manifest};
use pki::x509::crl::Terms;
use pki::x509::pem;
use rcgen::{ExtendedKeyUsagePurpose as Eku, KeyUsagePurpose as Usage};

use crate::forge::{Forge, Holder, Publication, now, params, root_terms, terms};
use crate::support::{Finished, finish, need, program};

/// A forge with publication number 5 in place.
fn fetched() -> Forge {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    forge.fetch(&["--exec", "true"]).ok();
    forge
}

/// The fetch is refused, says why in these words, soon, and leaves everything as it was.
#[track_caller]
fn refused(forge: &Forge, why: &str) -> Finished {
    refused_with(forge, &["--timeout", "1s"], why)
}

#[track_caller]
fn refused_with(forge: &Forge, more: &[&str], why: &str) -> Finished {
    let before = forge.traces();
    let begun = Instant::now();
    let said = finish(
        &mut forge.command(&[more, &["--exec", "touch reloaded"]].concat()),
        b"",
    )
    .exits(1);
    assert!(begun.elapsed() < Duration::from_secs(30), "{said}");
    assert!(said.stderr.contains(why), "{why}: {said}");
    assert!(said.stderr.lines().count() >= 2, "no hint: {said}");
    assert_eq!(forge.traces(), before, "{said}");
    assert!(!forge.path("reloaded").exists(), "{said}");
    said
}

/// With a publication in place and with none yet: an unchanged file is not read again from the source.
fn each(run: impl Fn(&Forge, &str)) {
    let files = [
        "crl/bundle.pem",
        "crl/issuing.pem",
        "crl/issuing.crl",
        Manifest::JSON,
        Manifest::JWS,
    ];
    let forge = fetched();
    files.into_iter().for_each(|path| run(&forge, path));
    let forge = Forge::new();
    let publication = forge.public(6);
    let others = publication
        .files
        .keys()
        .filter(|path| !files.contains(&path.as_str()));
    others.for_each(|path| run(&forge, path));
    assert!(!forge.path("out").exists() && !forge.path(".out.pki-fetch").exists());
}

#[test]
fn a_changed_octet_in_any_file() {
    each(|forge, path| {
        forge.publish(&forge.public(6));
        let file = forge.path("source").join(path);
        let mut octets = std::fs::read(&file).unwrap();
        let middle = octets.len() / 2;
        octets[middle] ^= 1;
        std::fs::write(&file, octets).unwrap();
        let why = match path {
            Manifest::JWS => "manifest.jws: it",
            Manifest::JSON => "manifest.json is not what manifest.jws says",
            _ => "has not the SHA-256 that the manifest says",
        };
        let said = refused(forge, why);
        assert!(said.stderr.contains(&format!("source/{path}")), "{said}");
    });
}

#[test]
fn what_was_caught_between_two_states_is_taken_when_it_is_whole() {
    let forge = fetched();
    let publication = forge.public(6);
    forge.publish(&publication);
    let [late, place] = ["late", "source/crl/issuing.crl"].map(|path| forge.path(path));
    std::fs::rename(&place, &late).unwrap();
    std::fs::write(&place, "x").unwrap();
    let writer = || {
        std::thread::sleep(Duration::from_millis(600));
        std::fs::rename(&late, &place).unwrap();
    };
    let said = std::thread::scope(|scope| {
        scope.spawn(writer);
        forge.fetch(&[])
    });
    said.ok();
    assert!(forge.holds(&publication));
}

#[test]
fn a_file_that_is_cut_off() {
    each(|forge, path| {
        forge.publish(&forge.public(6));
        let file = forge.path("source").join(path);
        let octets = std::fs::read(&file).unwrap();
        std::fs::write(&file, &octets[..octets.len() / 2]).unwrap();
        let why = match path {
            Manifest::JWS => "manifest.jws: it",
            Manifest::JSON => "manifest.json is not what manifest.jws says",
            _ => "octets, and",
        };
        refused(forge, why);
    });
}

#[test]
fn a_file_that_is_missing_or_too_long() {
    let forge = fetched();
    for (path, gone, long) in [
        (
            "crl/issuing.crl",
            "is missing, and the manifest lists it",
            "octets that the manifest says",
        ),
        (
            Manifest::JSON,
            "there is no such file",
            "is not what manifest.jws says",
        ),
        (Manifest::JWS, "there is no such file", "it is no JWS"),
    ] {
        forge.publish(&forge.public(6));
        let file = forge.path("source").join(path);
        let mut octets = std::fs::read(&file).unwrap();
        octets.push(b'\n');
        std::fs::write(&file, octets).unwrap();
        refused(&forge, long);
        std::fs::remove_file(&file).unwrap();
        refused(&forge, gone);
    }
}

#[test]
fn yesterdays_publication() {
    let forge = fetched();
    forge.publish(&forge.public(4));
    refused(&forge, "it has the number 4, and 5 was seen already");
    // Of the same number, and another one.
    forge.publish(
        &forge
            .public(5)
            .saying(|manifest| manifest.valid_until = now() + Span::days(1)),
    );
    refused(&forge, "it has the number 5 as one that was seen already");
}

#[test]
fn an_older_crl_in_a_newer_manifest() {
    let forge = fetched();
    let root_crl = forge.root.crl(root_terms(1), &[]);
    let older = forge.issuing.crl(terms(4), &[]);
    forge.publish(&forge.public_with(6, &root_crl, &older));
    let said = refused(&forge, "it has the number 4, and 5 was seen already");
    assert!(said.stderr.contains("source/crl/issuing.crl"), "{said}");
    let other = forge.issuing.crl(terms(5), &[]);
    forge.publish(&forge.public_with(6, &root_crl, &other));
    refused(&forge, "it has the number 5 as one that was seen already");
}

#[test]
fn one_that_has_ended_or_not_begun() {
    let forge = fetched();
    forge.publish(
        &forge
            .public(6)
            .saying(|manifest| manifest.valid_until = now() - Span::seconds(2)),
    );
    refused(&forge, "manifest.jws: it ended on");
    forge.publish(
        &forge
            .public(6)
            .saying(|manifest| manifest.made = now() + Span::minutes(10)),
    );
    refused(&forge, "manifest.jws: it begins on");
    let ended = Terms {
        next_update: now() - Span::seconds(2),
        ..terms(6)
    };
    let future = Terms {
        this_update: now() + Span::minutes(10),
        ..root_terms(6)
    };
    let (root_crl, issuing_crl) = (
        forge.root.crl(root_terms(1), &[]),
        forge.issuing.crl(terms(6), &[]),
    );
    for (terms, why) in [(ended, "it ended on"), (future, "it begins on")] {
        forge.publish(&forge.public_with(6, &root_crl, &forge.issuing.crl(terms, &[])));
        refused(&forge, &format!("crl/issuing.crl: {why}"));
        forge.publish(&forge.public_with(6, &forge.root.crl(terms, &[]), &issuing_crl));
        refused(&forge, &format!("crl/root.crl: {why}"));
    }
}

#[test]
fn another_cas() {
    let forge = fetched();
    let other = Forge::new();
    forge.publish_by(&forge.public(6), &other.issuing);
    refused(&forge, "which the root that was given has not issued");
    forge.publish_by(&other.public(6), &other.issuing);
    let said = refused(&forge, "which the root that was given has not issued");
    // The fault may be with the root that was given.
    let given = data_encoding::HEXUPPER.encode(&forge.root.certificate.sha256());
    let hint = format!("--root names another PKI's root: its SHA-256 is {given}");
    let words: Vec<&str> = said.stderr.split_whitespace().collect();
    assert!(words.join(" ").contains(&hint), "{said}");
    // With the right signature under it, and the other's CRL, or CA.
    let mine = forge.public(6);
    for path in [
        "crl/root.crl",
        "crl/issuing.crl",
        "ca/root.der",
        "ca/issuing.der",
        "ca/issuing.crt",
    ] {
        let theirs = other.public(6).files[path].clone();
        forge.publish(&mine.clone().with(path, theirs));
        refused(&forge, &format!("source/{path}: it is not"));
    }
}

#[test]
fn one_that_a_device_a_server_or_the_servers_ca_has_signed() {
    let forge = fetched();
    let device = |issuer: &Holder, purpose| {
        issuer.certify(params(
            "alice/phone",
            false,
            &[Usage::DigitalSignature],
            &[purpose],
        ))
    };
    let all = [Usage::DigitalSignature, Usage::KeyCertSign, Usage::CrlSign];
    for signer in [
        device(&forge.issuing, Eku::ClientAuth),
        device(&forge.servers, Eku::ServerAuth),
        device(&forge.root, Eku::ClientAuth),
        // The servers' CA, as it is, and as it might be.
        forge
            .root
            .certify(params("Acme Ltd Servers CA", true, &all[1..], &[Eku::ServerAuth])),
        forge
            .root
            .certify(params("Acme Ltd Servers CA", true, &all, &[Eku::ServerAuth])),
        forge
            .root
            .certify(params("Both", true, &all, &[Eku::ServerAuth, Eku::ClientAuth])),
        forge
            .root
            .certify(params("Any", true, &all, &[Eku::ClientAuth, Eku::Any])),
        forge.root.certify(params("No purpose", true, &all, &[])),
        forge
            .root
            .certify(params("No signatures", true, &all[1..], &[Eku::ClientAuth])),
        forge
            .root
            .certify(params("No CA", false, &all, &[Eku::ClientAuth])),
    ] {
        forge.publish_by(&forge.public(6), &signer);
        refused(&forge, "which is not the devices' CA");
    }
    // A CA for devices that another one below the root has made.
    let below = forge
        .issuing
        .certify(params("Below", true, &all, &[Eku::ClientAuth]));
    forge.publish_by(&forge.public(6), &below);
    refused(&forge, "which the root that was given has not issued");
    // With the issuing CA's certificate, and another's signature.
    let text = forge.public(6).manifest.text();
    let jws = String::from_utf8(forge.issuing.state(Manifest::TYPE, &text)).unwrap();
    let (signed, _) = jws.rsplit_once('.').unwrap();
    let signature = key::sign(&forge.servers.key, signed.as_bytes()).unwrap();
    let forged = data_encoding::BASE64URL_NOPAD.encode(&signature.to_fixed());
    forge.put(&forge.public(6), &text, format!("{signed}.{forged}").as_bytes());
    refused(&forge, "its signature does not hold");
}

#[test]
fn one_whose_signer_the_root_has_revoked() {
    let forge = fetched();
    let issuing_crl = forge.issuing.crl(terms(6), &[]);
    let revoking = forge.root.crl(root_terms(6), &[forge.issuing.serial()]);
    forge.publish(&forge.public_with(6, &revoking, &issuing_crl));
    refused(&forge, "is revoked by the root");
}

#[test]
fn a_server_half_whose_signer_is_on_the_roots_crl_that_was_given() {
    let forge = Forge::new();
    forge.publish(&forge.server(5));
    for (name, revoked) in [("good.crl", vec![]), ("bad.crl", vec![forge.issuing.serial()])] {
        std::fs::write(forge.path(name), forge.root.crl(root_terms(6), &revoked)).unwrap();
    }
    let pem = pem::encode(pem::CRL, &std::fs::read(forge.path("bad.crl")).unwrap());
    std::fs::write(forge.path("bad.pem"), pem).unwrap();
    std::fs::write(
        forge.path("foreign.crl"),
        Forge::new().root.crl(root_terms(6), &[]),
    )
    .unwrap();
    for (crl, why) in [
        ("bad.crl", "is revoked by the root"),
        ("bad.pem", "is revoked by the root"),
        (
            "foreign.crl",
            "foreign.crl: it is not signed by the root that was given",
        ),
    ] {
        let said = forge.fetch(&["--root-crl", crl]).exits(1);
        assert!(said.stderr.contains(why), "{said}");
    }
    forge.fetch(&["--root-crl", "good.crl"]).ok();
    assert!(forge.holds(&forge.server(5)));
}

#[test]
fn the_wrong_half() {
    let forge = fetched();
    forge.publish(&forge.server(6));
    refused(&forge, "it is of the server area, and not of the public area");
    refused_with(
        &forge,
        &["--area", "server"],
        "out holds the public area of a publication, and not the server area",
    );
    // A half that says it is the other one.
    forge.publish(&forge.server(6).saying(|manifest| manifest.area = Area::Public));
    refused(&forge, "which is no file of the public area");
    let first = Forge::new();
    first.publish(&first.server(6));
    let said = first.fetch(&["--area", "public"]).exits(1);
    assert!(
        said.stderr
            .contains("it is of the server area, and not of the public area"),
        "{said}"
    );
}

#[test]
fn one_that_lists_too_much_or_too_little() {
    let forge = fetched();
    for stray in [
        "crl/../../../tmp/x",
        "/etc/cron.d/x",
        "evil.pem",
        "crl",
        "manifest.json",
        "revoked.map",
    ] {
        let mut publication = forge.public(6);
        let listed = Listed {
            sha256: "0".repeat(64),
            size: 1,
        };
        publication.manifest.files.insert(stray.to_owned(), listed);
        forge.publish(&publication);
        refused(
            &forge,
            &format!("it lists \"{stray}\", which is no file of the public area"),
        );
    }
    for path in ["crl/root.crl", "ca/bundle.pem"] {
        forge.publish(&forge.public(6).without(path));
        refused(&forge, &format!("it does not list {path}"));
    }
    let two_gigabytes = |manifest: &mut Manifest| {
        manifest.files.get_mut("crl/issuing.crl").unwrap().size = 2 << 30;
    };
    forge.publish(&forge.public(6).saying(two_gigabytes));
    refused(&forge, "it lists crl/issuing.crl with 2147483648 octets");
    forge.publish(&forge.public(6).saying(|manifest| manifest.version = 2));
    refused(&forge, "it is of version 2");
}

#[test]
fn two_gigabytes_in_the_place_of_any_file() {
    if !need(&["prlimit"]) {
        return;
    }
    let forge = fetched();
    for path in ["crl/issuing.crl", Manifest::JSON, Manifest::JWS] {
        forge.publish(&forge.public(6));
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(forge.path("source").join(path))
            .unwrap();
        file.set_len(2 << 30).unwrap();
        let before = forge.traces();
        let begun = Instant::now();
        let pki = forge.command(&["--timeout", "1s"]);
        let mut limited = program("prlimit");
        limited
            .arg("--as=600000000")
            .arg(pki.get_program())
            .args(pki.get_args());
        limited.current_dir(forge.path(""));
        let said = finish(&mut limited, b"").exits(1);
        assert!(begun.elapsed() < Duration::from_secs(30), "{said}");
        assert!(
            said.stderr.contains("it has more than") || said.stderr.contains("has more than the"),
            "{said}"
        );
        assert_eq!(forge.traces(), before);
    }
}

#[test]
fn links_and_pipes_in_the_source() {
    if !need(&["mkfifo"]) {
        return;
    }
    let forge = fetched();
    for path in ["crl/issuing.crl", Manifest::JSON, Manifest::JWS] {
        forge.publish(&forge.public(6));
        let file = forge.path("source").join(path);
        std::fs::rename(&file, forge.path("moved")).unwrap();
        symlink(forge.path("moved"), &file).unwrap();
        refused(&forge, "it is a link, and none is followed here");
        std::fs::remove_file(&file).unwrap();
        finish(program("mkfifo").arg(&file), b"").ok();
        refused(&forge, "it is no regular file");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        refused(&forge, "it is no regular file");
    }
    forge.publish(&forge.public(6));
    std::fs::rename(forge.path("source/crl"), forge.path("crl")).unwrap();
    symlink(forge.path("crl"), forge.path("source/crl")).unwrap();
    refused(&forge, "it is a link, and none is followed here");
}

#[test]
fn files_that_do_not_say_the_same() {
    let forge = fetched();
    let good = forge.public(6);
    let text = |path: &str| String::from_utf8(good.files[path].clone()).unwrap();
    let [root, issuing] = ["ca/root.crt", "ca/issuing.crt"].map(text);
    let [root_crl, issuing_crl] = ["crl/root.pem", "crl/issuing.pem"].map(text);
    for (path, octets) in [
        ("crl/issuing.pem", root_crl.clone()),
        ("crl/root.pem", issuing_crl.clone()),
        // The CRL of one CA alone has nginx refuse everybody.
        ("crl/bundle.pem", issuing_crl.clone()),
        ("crl/bundle.pem", format!("{issuing_crl}{root_crl}{root_crl}")),
        ("crl/bundle.pem", format!("{issuing_crl}{root_crl}\n")),
        ("ca/bundle.pem", root.clone()),
        // The servers' CA must not be what devices are verified with.
        (
            "ca/bundle.pem",
            format!("{root}{issuing}{}", forge.servers.certificate.pem()),
        ),
        ("ca/issuing.crt", forge.servers.certificate.pem()),
        ("ca/root.crt", issuing),
    ] {
        forge.publish(&good.clone().with(path, octets));
        refused(&forge, &format!("source/{path}: it is not"));
    }
    forge.publish(&good.clone().with("crl/issuing.crl", [0x30, 0]));
    refused(&forge, "crl/issuing.crl: it cannot be read");
}

#[test]
fn lists_that_nginx_would_read_otherwise() {
    let forge = Forge::new();
    let good = forge.server(5);
    forge.publish(&good);
    forge.fetch(&["--exec", "true"]).ok();
    let serial = Serial::from_random([7; 16]);
    for (path, octets, why) in [
        (
            "revoked.map",
            format!("{serial} 1;\n}} evil {{\n"),
            "revoked.map: line 2",
        ),
        ("revoked.map", format!("{serial} 1;"), "revoked.map: line 1"),
        ("revoked.map", format!("{serial} 0;\n"), "revoked.map: line 1"),
        (
            "allowed.map",
            format!("{serial} \"alice/phone\";\n"),
            "allowed.map: line 1",
        ),
        (
            "allowed.map",
            String::new(),
            "devices.json: it is not what allowed.map says",
        ),
        ("devices.json", "{}".into(), "devices.json: it cannot be read"),
        (
            "devices.json",
            r#"{"version":2,"devices":[]}"#.into(),
            "devices.json: it is of version 2",
        ),
        (
            "devices.json",
            r#"{"version":1,"devices":[]}"#.into(),
            "allowed.map: line 1",
        ),
    ] {
        let changed = good
            .clone()
            .with(path, octets)
            .saying(|manifest| manifest.number = 6);
        forge.publish(&changed);
        refused(&forge, why);
    }
}

#[test]
fn a_servers_ca_that_is_none() {
    let forge = fetched();
    let with = |ca: &Holder, crl_of: &Holder, terms: Terms| -> Publication {
        let crl = crl_of.crl(terms, &[]);
        let pem = pem::encode(pem::CRL, &crl);
        let publication = forge.public(6).with("ca/servers.der", ca.certificate.der());
        let publication = publication.with("ca/servers.crt", ca.certificate.pem());
        publication
            .with("crl/servers.crl", crl)
            .with("crl/servers.pem", pem)
    };
    let good = with(&forge.servers, &forge.servers, terms(6));
    let other = Forge::new();
    let ended = Terms {
        next_update: now() - Span::seconds(2),
        ..terms(7)
    };
    for (publication, why) in [
        (
            with(&other.servers, &other.servers, terms(6)),
            "ca/servers.der: it is not signed by the root",
        ),
        (
            with(&forge.issuing, &forge.issuing, terms(6)),
            "ca/servers.der: it is not a CA for servers",
        ),
        (
            with(&forge.servers, &forge.issuing, terms(6)),
            "crl/servers.crl: it is not signed by",
        ),
        (
            good.clone().with("crl/servers.pem", "x"),
            "crl/servers.pem: it is not crl/servers.crl in PEM",
        ),
        (
            good.clone().with("ca/servers.crt", "x"),
            "ca/servers.crt: it is not ca/servers.der in PEM",
        ),
        (
            good.clone().without("crl/servers.pem"),
            "it does not list crl/servers.pem",
        ),
    ] {
        forge.publish(&publication);
        refused(&forge, why);
    }
    forge.publish(&good);
    forge.fetch(&["--exec", "true"]).ok();
    assert!(forge.holds(&good));
    // One that has ended takes no device back, and keeps none that is taken back from going out.
    let ended = with(&forge.servers, &forge.servers, ended).saying(|manifest| manifest.number = 7);
    forge.publish(&ended);
    forge.fetch(&[]).exits(3);
    assert!(forge.holds(&ended));
    // Where it is gone and comes back with an older CRL.
    let number = |publication: Publication, number| publication.saying(|manifest| manifest.number = number);
    forge.publish(&number(forge.public(6), 8));
    forge.fetch(&["--exec", "true"]).ok();
    forge.publish(&number(with(&forge.servers, &forge.servers, terms(5)), 9));
    refused(
        &forge,
        "crl/servers.crl: it has the number 5, and 7 was seen already",
    );
}

#[test]
fn pins_that_do_not_hold() {
    let forge = fetched();
    let set = serde_json::json!({ "host": "api.acme.example", "include_subdomains": false, "expires": now() + Span::days(90),
        "pins": [{ "pin": data_encoding::BASE64.encode(&[7; 32]), "role": "active", "since": now() }] });
    let json = |number: u64, iat: i64, exp: i64| {
        serde_json::json!({ "version": 1, "number": number, "iat": iat, "exp": exp, "sets": [set] })
            .to_string()
    };
    let unix = now().unix();
    let with = |manifest_number: u64, json: &str, typ: &str, signer: &Holder| {
        let publication = forge.public(6).with("pins/pins.json", json);
        let publication = publication.with("pins/pins.jws", signer.state(typ, json.as_bytes()));
        publication.saying(|manifest| manifest.number = manifest_number)
    };
    const TYPE: &str = "pki-pins+jws";
    let good = json(6, unix, unix + 86_400);
    let device = forge.issuing.certify(params(
        "alice",
        false,
        &[Usage::DigitalSignature],
        &[Eku::ClientAuth],
    ));
    for (publication, why) in [
        (with(6, &good, TYPE, &device), "pins/pins.jws: it is signed by"),
        (
            with(6, &good, TYPE, &forge.servers),
            "pins/pins.jws: it is signed by",
        ),
        (
            with(6, &good, Manifest::TYPE, &forge.issuing),
            "pins/pins.jws: its header",
        ),
        (
            with(6, &json(6, unix, unix - 2), TYPE, &forge.issuing),
            "pins/pins.jws: it ended on",
        ),
        (
            with(6, &json(6, unix + 900, unix + 9000), TYPE, &forge.issuing),
            "pins/pins.jws: it begins on",
        ),
        (
            with(6, "{}", TYPE, &forge.issuing),
            "pins/pins.jws: it cannot be read",
        ),
        (
            with(6, &good, TYPE, &forge.issuing)
                .with("pins/pins.json", json(7, unix, unix + 9))
                .saying(|m| m.number = 6),
            "pins/pins.jws: it is not what pins/pins.json says",
        ),
        (
            with(6, &good, TYPE, &forge.issuing)
                .without("pins/pins.jws")
                .saying(|m| m.number = 6),
            "it does not list pins/pins.jws",
        ),
    ] {
        forge.publish(&publication);
        refused(&forge, why);
    }
    let publication = with(6, &good, TYPE, &forge.issuing);
    forge.publish(&publication);
    forge.fetch(&["--exec", "true"]).ok();
    assert!(forge.holds(&publication));
    // Pins that are gone for a while do not come back as older ones.
    forge.publish(&forge.public(6).saying(|manifest| manifest.number = 7));
    forge.fetch(&["--exec", "true"]).exits(3);
    for (number, exp, why) in [
        (5, 86_400, "it has the number 5"),
        (6, 9000, "it has the number 6 as one"),
    ] {
        forge.publish(&with(8, &json(number, unix, unix + exp), TYPE, &forge.issuing));
        refused(&forge, &format!("pins/pins.jws: {why}"));
    }
    forge.publish(&with(8, &json(7, unix, unix + 9000), TYPE, &forge.issuing));
    forge.fetch(&["--exec", "true"]).ok();
}

#[test]
fn a_root_that_is_none() {
    let forge = fetched();
    let [issuing, other] = [
        forge.issuing.certificate.pem(),
        Forge::new().root.certificate.pem(),
    ];
    for (text, why) in [
        (
            "x".to_owned(),
            "other.crt: it is nothing that this program knows, and no certificate",
        ),
        (issuing, "other.crt is no root"),
        (other, "out came by another root than the one that was given"),
    ] {
        std::fs::write(forge.path("other.crt"), text).unwrap();
        let before = forge.traces();
        let mut command = forge.command(&[]);
        let said = finish(command.args(["--root", "other.crt"]), b"");
        // clap takes a flag once.
        assert_eq!(said.code, Some(2), "{said}");
        let said = finish(
            std::process::Command::new(crate::support::PKI)
                .args(["fetch", "source", "--out", "out", "--root", "other.crt"])
                .current_dir(forge.path("")),
            b"",
        )
        .exits(1);
        assert!(said.stderr.contains(why), "{said}");
        assert_eq!(forge.traces(), before);
    }
}
