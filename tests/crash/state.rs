//! What must hold of a home, judged from what lies in it and from what the program says of it.

use std::path::{Path, PathBuf};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use serde_json::Value;
use sha2::{Digest, Sha256};
use x509_parser::prelude::FromDer;

use crate::support::{Finished, Home, files_below};

/// What a certificate is said to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub address: String,
    pub serial: String,
    pub status: String,
}

/// Every certificate, as the inventory has them.
#[track_caller]
pub fn certificates(home: &Home) -> Vec<Certificate> {
    let said = home.run(&["list", "--json"]).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let certificate = |device: &Value| Certificate {
        address: text(&device["address"]),
        serial: text(&device["serial"]),
        status: text(&device["status"]),
    };
    said["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(certificate)
        .collect()
}

/// What the inventory says of one certificate.
#[track_caller]
pub fn status(home: &Home, serial: &str) -> String {
    certificates(home)
        .into_iter()
        .find(|certificate| certificate.serial == serial)
        .unwrap()
        .status
}

/// The events of the ledger, from the file itself. A last line that was cut off is passed over.
pub fn events(home: &Home) -> Vec<Value> {
    let octets = ledger(home);
    octets
        .split(|octet| *octet == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

/// Whether the ledger says that a certificate is revoked.
pub fn recorded(home: &Home, serial: &str) -> bool {
    events(home)
        .iter()
        .any(|event| event["event"] == "revoked" && event["serial"] == serial)
}

/// The octets of the ledger.
pub fn ledger(home: &Home) -> Vec<u8> {
    std::fs::read(home.home().join("ledger.jsonl")).unwrap()
}

/// The kind of an error that was told with `--json`.
#[track_caller]
pub fn kind(finished: &Finished) -> String {
    let line = finished
        .stderr
        .lines()
        .last()
        .unwrap_or_else(|| panic!("no error: {finished}"));
    let error: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {finished}"));
    error["error"]["kind"]
        .as_str()
        .unwrap_or_else(|| panic!("no kind: {finished}"))
        .to_owned()
}

/// Holds right after a kill: what lies under a final name is whole.
#[track_caller]
pub fn is_whole(home: &Home, step: &str) {
    for area in ["public", "server"] {
        for file in files_below(&home.home().join(area)) {
            if !file.ends_with(".tmp") {
                demand_parses(&home.home().join(area).join(&file), step);
            }
        }
    }
    for file in files_below(&home.path(".")) {
        if file.ends_with(".p12") {
            demand_der(
                &std::fs::read(home.path(&file)).unwrap(),
                &format!("{step}: {file}"),
            );
        }
    }
    for file in [
        "pki.toml",
        "root/root.crt",
        "root/root.crl",
        "issuing/issuing.crt",
        "issuing/issuing.key",
    ] {
        assert!(
            std::fs::metadata(home.home().join(file)).unwrap().len() > 0,
            "{step}: {file}"
        );
    }
}

/// Holds once the same command was run again: the ledger is good, nothing is wrong, the publication is whole
/// and says what the ledger says, and nothing is left lying about in it.
#[track_caller]
pub fn is_sound(home: &Home, step: &str) -> Vec<Certificate> {
    let verified = home.run(&["audit", "verify", "--json"]).json();
    assert_eq!(verified["good"], true, "{step}: {verified}");
    let findings = findings(home);
    let serious: Vec<_> = findings
        .iter()
        .filter(|finding| finding["severity"] != "note")
        // What a stranger has tried is told, and nothing wrong with the home.
        .filter(|finding| finding["code"] != "second-key")
        .collect();
    assert!(serious.is_empty(), "{step}: {serious:?}");
    for area in ["public", "server"] {
        demand_publication(&home.home().join(area), step);
    }
    let all = certificates(home);
    let with = |wanted: &[&str]| -> Vec<String> {
        let chosen = all
            .iter()
            .filter(|certificate| wanted.contains(&certificate.status.as_str()));
        let mut serials: Vec<String> = chosen.map(|certificate| certificate.serial.clone()).collect();
        serials.sort();
        serials
    };
    let revoked = with(&["revoked"]);
    assert_eq!(
        serials_of_map(&home.server("revoked.map")),
        revoked,
        "{step}: revoked.map"
    );
    assert_eq!(
        serials_of_crl(&home.public("crl/issuing.crl")),
        revoked,
        "{step}: issuing.crl"
    );
    assert_eq!(
        serials_of_map(&home.server("allowed.map")),
        with(&["valid", "superseded"]),
        "{step}: allowed.map"
    );
    all
}

/// What `pki doctor` finds.
#[track_caller]
pub fn findings(home: &Home) -> Vec<Value> {
    let said = crate::support::finish(&mut home.pki(&["doctor", "--json"]), b"");
    assert!(matches!(said.code, Some(0 | 3)), "{said}");
    said.json()["findings"].as_array().unwrap().clone()
}

fn demand_publication(area: &Path, step: &str) {
    let manifest = std::fs::read(area.join("manifest.json")).unwrap();
    let said: Value = serde_json::from_slice(&manifest).unwrap();
    let mut files = said["files"].as_object().unwrap().clone();
    files.extend(said["optional"].as_object().cloned().unwrap_or_default());
    let mut listed: Vec<&str> = files.keys().map(String::as_str).collect();
    listed.extend(["manifest.json", "manifest.jws"]);
    listed.sort_unstable();
    assert_eq!(
        files_below(area),
        listed,
        "{step}: the files of {}",
        area.display()
    );
    for (name, file) in &files {
        let octets = std::fs::read(area.join(name)).unwrap();
        assert_eq!(file["size"], octets.len(), "{step}: {name}");
        assert_eq!(
            file["sha256"],
            HEXLOWER.encode(&Sha256::digest(&octets)),
            "{step}: {name}"
        );
        demand_parses(&area.join(name), step);
    }
    let jws = std::fs::read_to_string(area.join("manifest.jws")).unwrap();
    let payload = jws.split('.').nth(1).unwrap();
    assert_eq!(
        BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap(),
        manifest,
        "{step}: {}",
        area.display()
    );
}

fn demand_parses(file: &Path, step: &str) {
    let octets = std::fs::read(file).unwrap();
    let at = format!("{step}: {}", file.display());
    let pem = || {
        let blocks: Result<Vec<_>, _> = x509_parser::pem::Pem::iter_from_buffer(&octets).collect();
        let blocks = blocks.unwrap_or_else(|error| panic!("{at}: {error}"));
        assert!(!blocks.is_empty() && octets.ends_with(b"-----\n"), "{at}");
        blocks
    };
    match file.extension().unwrap().to_str().unwrap() {
        "crl" | "der" => demand_der(&octets, &at),
        "pem" | "crt" => pem().iter().for_each(|block| demand_der(&block.contents, &at)),
        "json" => {
            drop(serde_json::from_slice::<Value>(&octets).unwrap_or_else(|error| panic!("{at}: {error}")))
        }
        "jsonl" => assert!(octets.ends_with(b"\n"), "{at}"),
        "jws" => assert_eq!(octets.split(|octet| *octet == b'.').count(), 3, "{at}"),
        "map" => assert!(octets.is_empty() || octets.ends_with(b";\n"), "{at}"),
        other => panic!("{at}: what is .{other}?"),
    }
}

/// One element of DER, and nothing behind it.
fn demand_der(octets: &[u8], at: &str) {
    let (rest, any) =
        x509_parser::der_parser::asn1_rs::Any::from_der(octets).unwrap_or_else(|e| panic!("{at}: {e}"));
    assert!(rest.is_empty() && !any.data.is_empty(), "{at}");
}

fn serials_of_map(map: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(map).unwrap();
    let mut serials: Vec<String> = text
        .lines()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    serials.sort();
    serials
}

fn serials_of_crl(crl: &Path) -> Vec<String> {
    let der = std::fs::read(crl).unwrap();
    let (_, crl) = x509_parser::revocation_list::CertificateRevocationList::from_der(&der).unwrap();
    let mut serials: Vec<String> = crl
        .iter_revoked_certificates()
        .map(|entry| HEXUPPER.encode(entry.raw_serial()))
        .collect();
    serials.sort();
    serials
}

/// The bundle of a certificate, found by what the ledger says was delivered; none where it lies nowhere below
/// the home's neighbours.
pub fn bundle_of(home: &Home, serial: &str) -> Option<PathBuf> {
    let events = events(home);
    let event = events
        .iter()
        .find(|event| event["event"] == "delivered" && event["serial"] == serial)?;
    let bundles = files_below(&home.path("."))
        .into_iter()
        .filter(|file| file.ends_with(".p12"));
    bundles
        .map(|file| home.path(file))
        .find(|file| event["sha256"] == HEXLOWER.encode(&Sha256::digest(std::fs::read(file).unwrap())))
}

/// OpenSSL opens the bundle with that passphrase, and finds the key of the certificate with that serial
/// number in it.
#[track_caller]
pub fn demand_opens(home: &Home, bundle: &Path, passphrase: &str, serial: &str, step: &str) {
    let secret = format!("pass:{passphrase}");
    let arguments = [
        "pkcs12",
        "-in",
        bundle.to_str().unwrap(),
        "-passin",
        &secret,
        "-noenc",
        "-legacy",
    ];
    let opened = home.foreign("openssl", &arguments);
    assert_eq!(opened.code, Some(0), "{step}: {opened}");
    assert!(
        opened.stdout.contains("BEGIN PRIVATE KEY"),
        "{step}: no key in {}",
        bundle.display()
    );
    let leaf = home
        .foreign_given(
            "openssl",
            &["x509", "-noout", "-serial"],
            opened.stdout.as_bytes(),
        )
        .ok();
    assert_eq!(
        leaf.stdout.trim(),
        format!("serial={serial}"),
        "{step}: {}",
        bundle.display()
    );
}

/// Every bundle of a device was delivered: what was cut off before it counted lies there no more.
#[track_caller]
fn demand_none_void(home: &Home, all: &[&Certificate], address: &str, step: &str) {
    let begins = format!("{}-", address.replace('/', "-"));
    let files = files_below(&home.path(""));
    let of_device = |file: &&String| {
        let name = file.rsplit('/').next().unwrap();
        name.strip_suffix(".p12")
            .is_some_and(|stem| format!("{stem}-").starts_with(&begins))
    };
    let bundles: Vec<&String> = files.iter().filter(of_device).collect();
    let delivered = events(home)
        .iter()
        .filter(|event| event["event"] == "delivered" && all.iter().any(|one| event["serial"] == *one.serial))
        .count();
    assert!(
        bundles.len() <= delivered,
        "{step}: {delivered} delivered: {bundles:?}"
    );
}

/// Of this device exactly one certificate is valid, its bundle is there and opens; every other that servers
/// accept has its bundle as well; none is undelivered.
#[track_caller]
pub fn demand_one_valid(
    home: &Home,
    all: &[Certificate],
    address: &str,
    passphrase: &str,
    step: &str,
) -> String {
    let all: Vec<_> = all
        .iter()
        .filter(|certificate| certificate.address == address)
        .collect();
    let valid: Vec<_> = all
        .iter()
        .filter(|certificate| certificate.status == "valid")
        .collect();
    assert_eq!(valid.len(), 1, "{step}: {all:?}");
    for certificate in &all {
        match certificate.status.as_str() {
            "valid" | "superseded" => {
                let there = bundle_of(home, &certificate.serial).is_some();
                assert!(
                    there,
                    "{step}: accepted, and nobody has it: {certificate:?} of {all:?}"
                );
            }
            status => assert_eq!(status, "revoked", "{step}: {all:?}"),
        }
    }
    demand_none_void(home, &all, address, step);
    let serial = valid[0].serial.clone();
    demand_opens(
        home,
        &bundle_of(home, &serial).unwrap(),
        passphrase,
        &serial,
        step,
    );
    serial
}
