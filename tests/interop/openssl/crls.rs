//! Every field of the CRLs.

use super::{BACKDATED_AT_MOST, DAY, Uncritical, crl, extensions, line, now, unix, x509};
use crate::support::{Home, REASONS, need};

const HEADING: &str = "CRL extensions:";

#[test]
fn every_crl_holds_number_and_key_identifier_and_no_distribution_point() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::with_certified_server();
    for (authority, name) in [
        ("root", "Acme Ltd Root CA"),
        ("issuing", "Acme Ltd Issuing CA"),
        ("servers", "Acme Ltd Servers CA"),
    ] {
        let text = crl(&home, &home.public(&format!("crl/{authority}.crl")), &["-text"]);
        assert_eq!(line(&text, "Version "), "2 (0x1)");
        assert_eq!(line(&text, "Issuer: "), format!("O = Acme Ltd, CN = {name}"));
        let issuer = x509(&home, &home.public(&format!("ca/{authority}.crt")), &["-text"]);
        let issuer = extensions(&issuer, "X509v3 extensions:");
        let found = extensions(&text, HEADING);
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["X509v3 Authority Key Identifier", "X509v3 CRL Number"]);
        assert_eq!(
            found["X509v3 Authority Key Identifier"].1,
            issuer["X509v3 Subject Key Identifier"].1
        );
        assert!(
            found.values().all(|(critical, _)| *critical == Uncritical),
            "{found:?}"
        );
    }
}

#[test]
fn the_crl_of_the_issuing_authority_holds_30_days_and_the_roots_400() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    for (authority, days) in [("root", 400), ("issuing", 30)] {
        let text = crl(
            &home,
            &home.public(&format!("crl/{authority}.crl")),
            &["-lastupdate", "-nextupdate"],
        );
        let [begin, end] = ["lastUpdate=", "nextUpdate="].map(|title| unix(line(&text, title)));
        assert_eq!(end - begin, days * DAY, "{authority}");
    }
}

#[test]
fn a_new_crl_begins_minutes_ago() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::staffed();
    home.run(&["revoke", "alice", "--yes"]);
    let text = crl(&home, &home.public("crl/issuing.crl"), &["-lastupdate"]);
    let age = now() - unix(line(&text, "lastUpdate="));
    assert!((0..=BACKDATED_AT_MOST).contains(&age), "{age} s");
}

#[test]
fn an_empty_crl_has_no_list_at_all() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    for authority in ["root", "issuing"] {
        let path = home.public(&format!("crl/{authority}.crl"));
        let told = home
            .foreign(
                "openssl",
                &["asn1parse", "-inform", "DER", "-in", path.to_str().unwrap()],
            )
            .ok()
            .stdout;
        // In the signed part: version, algorithm, issuer, two times, extensions. A list would be a sequence
        // after the times.
        let signed = told
            .lines()
            .skip(2)
            .take_while(|line| !line.contains(":d=1 "))
            .filter(|line| line.contains(":d=2 "));
        let kinds: Vec<&str> = signed
            .map(|line| line.split(": ").nth(1).unwrap().split("  ").next().unwrap())
            .collect();
        assert_eq!(
            kinds,
            [
                "INTEGER",
                "SEQUENCE",
                "SEQUENCE",
                "UTCTIME",
                "UTCTIME",
                "cont [ 0 ]"
            ],
            "{told}"
        );
    }
}

#[test]
fn every_word_for_a_reason_becomes_the_code_of_the_contract() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::of_leavers();
    let text = crl(&home, &home.public("crl/issuing.crl"), &["-text"]);
    for (word, code) in REASONS {
        let serial = home.serial_of(&format!("{word}/phone"));
        let (_, rest) = text
            .split_once(&format!("Serial Number: {serial}\n"))
            .unwrap_or_else(|| panic!("{word}: {text}"));
        let entry = rest.split("Serial Number: ").next().unwrap();
        let entry = entry.split("Signature Algorithm").next().unwrap();
        let reason = entry
            .split_once("X509v3 CRL Reason Code:")
            .map(|(_, rest)| rest.trim().lines().next().unwrap());
        assert_eq!(reason, code, "{word}: {entry}");
    }
    assert_eq!(text.matches("Serial Number: ").count(), REASONS.len(), "{text}");
}

#[test]
fn every_crl_is_signed_by_its_authority_and_the_same_in_each_form() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::of_leavers();
    for authority in ["root", "issuing"] {
        let issuer = home.public(&format!("ca/{authority}.crt"));
        let fingerprint = |file: &str, form: &str| {
            let path = home.public(&format!("crl/{authority}.{file}"));
            let mut arguments = vec!["crl", "-in", path.to_str().unwrap(), "-inform", form, "-noout"];
            arguments.extend(["-fingerprint", "-sha256", "-CAfile", issuer.to_str().unwrap()]);
            let said = home.foreign("openssl", &arguments).ok();
            assert!(said.stderr.contains("verify OK"), "{said}");
            said.stdout
        };
        assert_eq!(fingerprint("crl", "DER"), fingerprint("pem", "PEM"));
    }
    let [root, issuing, bundle] = ["root", "issuing", "bundle"]
        .map(|file| std::fs::read_to_string(home.public(&format!("crl/{file}.pem"))).unwrap());
    assert!(
        bundle == format!("{root}{issuing}") || bundle == format!("{issuing}{root}"),
        "{bundle}"
    );
}

#[test]
fn numbers_of_crls_rise_with_every_change() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::staffed();
    let number = || {
        let text = crl(&home, &home.public("crl/issuing.crl"), &["-crlnumber"]);
        u128::from_str_radix(line(&text, "crlNumber=0x"), 16).unwrap()
    };
    let first = number();
    home.run(&["revoke", "alice", "--yes"]);
    let second = number();
    home.run(&["revoke", "bob", "--yes"]);
    let third = number();
    assert!(first < second && second < third, "{first} {second} {third}");
}
